//! `shardwire chat`: a line-mode client on the Rust SDK.

mod conversation;
mod input;
mod text;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use shardwire_sdk::adapter::monoio::Session;
use shardwire_sdk::store::{FileStore, Sync};
use shardwire_sdk::{Client, Config, Credential, StoreError};
use wire::{Device, Name};

use self::conversation::Conversation;
use crate::auth;
use crate::config::{DEFAULT_DATA_DIR, DEFAULT_LISTEN};

/// Chat from a terminal, or from a pipe.
///
/// Each line of input is sent to the person you are talking to; `@bob hello` sends one line to somebody else. `#1 → bob` says that
/// a line is kept and on its way, `#1 ✓ received` that every device of bob has it, `#1 ✓ stored` that it waits for him on the
/// gateway's disk: from then on nothing can lose it. What came while you were away is shown first. Times are UTC.
///
/// Commands: `/to NAME`, `/quit`, `/logout`, `/help`. At the end of input it waits until everything is safe, then ends. What
/// was not safe when it was stopped is sent again the next time.
#[derive(Debug, Args)]
pub(crate) struct ChatArgs {
    /// Who you are
    #[arg(long, value_name = "NAME")]
    user: String,
    /// Whom you are talking to: a user, or a #group
    #[arg(long, value_name = "NAME")]
    to: Option<String>,
    /// The name of this device of yours; another chat of the same name takes its place
    #[arg(long, value_name = "NAME", default_value = "chat")]
    device: String,
    /// Where the gateway is [default: 127.0.0.1:7400]
    #[arg(long, value_name = "ADDRESS")]
    server: Option<String>,
    /// Log in with a token of the key that `serve --dev` made in this data directory [default: shardwire-data]
    #[arg(long, value_name = "DIR", conflicts_with = "token")]
    data_dir: Option<PathBuf>,
    /// Log in with this token (other users of the machine can read it in the process list; SHARDWIRE_TOKEN hides it)
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// Keep what is not yet safe, and what was seen, here: a file, or a directory with one file per user and device
    /// [default: a file for this gateway, user and device in $XDG_DATA_HOME/shardwire or ~/.local/share/shardwire]
    #[arg(long, value_name = "PATH")]
    store: Option<PathBuf>,
    /// Sync each message to the disk before it counts as received or kept, instead of leaving it to the system
    #[arg(long)]
    sync: bool,
}

/// Where tokens come from.
#[derive(Debug)]
pub(crate) enum Tokens {
    /// The command line, or the environment: there is one.
    Given(String),
    /// The private half of the development key: there is always another.
    Minted(PathBuf),
}

/// Chats until told to stop, or until the input has ended and all of it is safe.
///
/// # Errors
/// What keeps it from chatting, and at the end of piped input, that some of it was refused.
pub(crate) fn run(args: ChatArgs) -> anyhow::Result<()> {
    let user = Name::parse_user(args.user.as_bytes()).context("--user")?;
    let device = Device::parse(args.device.as_bytes()).context("--device")?;
    let to = args.to.as_deref().map(|to| Name::parse(to.as_bytes())).transpose().context("--to")?;
    let server = args.server.unwrap_or_else(|| DEFAULT_LISTEN.to_owned());
    let tokens = Tokens::choose(args.token, args.data_dir)?;
    let path = store_path(args.store, &tokens, &server, user, device)?;
    let sync = if args.sync { Sync::Each } else { Sync::Lazy };
    let store = FileStore::open(&path, user, device, sync).map_err(|error| match error {
        StoreError::InUse { .. } => {
            anyhow!("{user} chats on this device ({device}) already: give one of the two --device NAME")
        }
        error => error.into(),
    })?;
    let mut config = Config::new(user.into(), device.into(), tokens.credential(user)?);
    config.client_name = "shardwire chat".to_owned();
    let client = Client::new(config, store, getrandom::u64()?)?;

    let mut runtime = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new()
        .enable_timer()
        .build()
        .context("this system has no io_uring for this process (a kernel of 5.19 or later, not switched off)")?;
    runtime.block_on(async {
        let conversation = Conversation::new(&client, to.map(Into::into), tokens, &server);
        let session = Session::new(client, &server);
        let lines = input::stdin()?;
        let typing = conversation.take_lines(&session, lines);
        session.run_until(typing, |session, event| conversation.on_event(session, event)).await
    })
}

impl Tokens {
    fn choose(token: Option<String>, data_dir: Option<PathBuf>) -> anyhow::Result<Tokens> {
        let from_environment = || env::var("SHARDWIRE_TOKEN").ok().filter(|_| data_dir.is_none());
        if let Some(token) = token.or_else(from_environment) {
            return Ok(Tokens::Given(token));
        }
        let key = data_dir.unwrap_or_else(|| DEFAULT_DATA_DIR.into()).join(auth::DEV_KEY);
        if !key.exists() {
            bail!(
                "{} does not exist: start `shardwire serve --dev` first, in this directory or with the same --data-dir; \
                 or log in with --token TOKEN",
                key.display()
            );
        }
        Ok(Tokens::Minted(key))
    }

    /// A token to log in with. A given one is always the same.
    fn credential(&self, user: Name<'_>) -> anyhow::Result<Credential> {
        let token = match self {
            Tokens::Given(token) => token.clone(),
            Tokens::Minted(key) => auth::mint(key, user.as_str(), TOKEN_TTL)?,
        };
        Ok(Credential::Token(token.into()))
    }
}

/// Where the store is. One for each gateway: numbers that one has given mean nothing to another. A development gateway is known by
/// its key, since a data directory made anew is another gateway at the same address.
fn store_path(
    given: Option<PathBuf>,
    tokens: &Tokens,
    server: &str,
    user: Name<'_>,
    device: Device<'_>,
) -> anyhow::Result<PathBuf> {
    let file = format!("{user}-{device}");
    if let Some(path) = given {
        return Ok(if path.is_dir() { path.join(file) } else { path });
    }
    let data = match (env::var_os("XDG_DATA_HOME"), env::var_os("HOME")) {
        (Some(data), _) if Path::new(&data).is_absolute() => PathBuf::from(data),
        (_, Some(home)) => Path::new(&home).join(".local/share"),
        _ => bail!("there is no HOME to keep messages in: say where with --store FILE"),
    };
    let gateway = match tokens {
        Tokens::Given(_) => server.replace(['/', ':'], "_"),
        Tokens::Minted(key) => {
            let pem = fs::read(key).with_context(|| format!("reading {}", key.display()))?;
            format!("dev-{:08x}", crc32c::crc32c(&pem))
        }
    };
    Ok(data.join("shardwire").join(gateway).join(file))
}

/// How long a minted token is good. The chat makes another when it is over.
const TOKEN_TTL: Duration = Duration::from_secs(12 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    fn path_for(tokens: &Tokens, given: Option<&Path>) -> PathBuf {
        let (user, device) = (Name::parse(b"alice").unwrap(), Device::parse(b"chat").unwrap());
        store_path(given.map(Path::to_owned), tokens, "127.0.0.1:7400", user, device).unwrap()
    }

    #[test]
    fn a_data_directory_made_anew_has_a_store_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join("key");
        let tokens = Tokens::Minted(key.clone());
        fs::write(&key, "one").unwrap();
        let first = path_for(&tokens, None);
        assert!(first.ends_with("alice-chat"));
        assert_eq!(path_for(&tokens, None), first);
        fs::write(&key, "two").unwrap();
        assert_ne!(path_for(&tokens, None), first);
    }

    #[test]
    fn a_given_store_is_a_file_or_a_directory_of_them() {
        let dir = tempfile::tempdir().unwrap();
        let tokens = Tokens::Given(String::new());
        assert_eq!(path_for(&tokens, Some(dir.path())), dir.path().join("alice-chat"));
        assert_eq!(path_for(&tokens, Some(&dir.path().join("mine"))), dir.path().join("mine"));
    }
}
