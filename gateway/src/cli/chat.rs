//! `shardwire chat`: a line-mode client on the Rust SDK.

mod conversation;
mod input;
mod login;
mod text;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use clap::Args;
use shardwire_sdk::adapter::monoio::Session;
use shardwire_sdk::store::{FileStore, Sync};
use shardwire_sdk::tls::TlsConfig;
use shardwire_sdk::{Client, Config, Endpoint, StoreError};
use wire::{Device, Name};

use self::conversation::Conversation;
use self::login::{Login, Wanted};
use crate::config::{self, DEFAULT_LISTEN};
use crate::dev_certificate;

/// Chat from a terminal, or from a pipe.
///
/// Each line of input is sent to the person you are talking to; `@bob hello` sends one line to somebody else. `#1 → bob` says that
/// a line is kept and on its way, `#1 ✓ received` that every device of bob has it, `#1 ✓ stored` that it waits for him on the
/// gateway's disk: from then on nothing can lose it. What came while you were away is shown first. Times are UTC.
///
/// How you log in: with a password (--password, the first time --register), with a token (--token), or, beside a gateway that runs
/// with --dev, with a token that this command makes for itself. After a password has been taken, none is asked for again: the gateway
/// gives a ticket for the next time, which lies in the store until you sign out (/logout) or stay away for too long.
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
    /// Where the gateway is [default: 127.0.0.1:7400, with --tls 127.0.0.1:7443]
    #[arg(long, value_name = "ADDRESS")]
    server: Option<String>,
    /// Speak TLS with it
    #[arg(long)]
    tls: bool,
    /// Certificates (PEM) of those who may vouch for the gateway's name; nobody else is trusted, the system's authorities neither
    /// [default: the authority that `serve --dev` made in the data directory]
    #[arg(long, value_name = "FILE", requires = "tls")]
    ca: Option<PathBuf>,
    /// Log in with the account's password, which is asked for on the terminal: once, since a ticket kept in the store logs in from
    /// then on. Not over plain TCP to another machine
    #[arg(long)]
    password: bool,
    /// The same, with the password on the first line of this file
    #[arg(long, value_name = "FILE", conflicts_with = "password")]
    password_file: Option<PathBuf>,
    /// Make the account first, with a password that is asked for twice, or with that of --password-file
    #[arg(long)]
    register: bool,
    /// Where `serve --dev` keeps its data on this machine: log in with a token of the key that it made there
    /// [default: SHARDWIRE__DATA_DIR, or shardwire-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Log in with this token (other users of the machine can read it in the process list; SHARDWIRE_TOKEN hides it)
    #[arg(long, value_name = "TOKEN", conflicts_with_all = ["password", "password_file", "register"])]
    token: Option<String>,
    /// Keep what is not yet safe, and what was seen, here: a file, or a directory with one file per user and device
    /// [default: a file for this gateway, user and device in $XDG_DATA_HOME/shardwire or ~/.local/share/shardwire]
    #[arg(long, value_name = "PATH")]
    store: Option<PathBuf>,
    /// Sync each message to the disk before it counts as received or kept, instead of leaving it to the system
    #[arg(long)]
    sync: bool,
}

/// Chats until told to stop, or until the input has ended and all of it is safe.
///
/// # Errors
/// What keeps it from chatting, and at the end of piped input, that some of it was refused.
pub(crate) fn run(args: ChatArgs) -> anyhow::Result<()> {
    let user = Name::parse_user(args.user.as_bytes()).context("--user")?;
    let device = Device::parse(args.device.as_bytes()).context("--device")?;
    let to = args.to.as_deref().map(|to| Name::parse(to.as_bytes())).transpose().context("--to")?;
    let endpoint = endpoint(args.server, args.tls, args.ca, args.data_dir.as_deref())?;
    let server = endpoint.address().to_owned();
    let stores = Stores { given: args.store, server: &server, user, device };
    let wanted = Wanted {
        token: args.token,
        asks_password: args.password || args.register,
        password_file: args.password_file,
        data_dir: args.data_dir,
    };
    let login = Login::choose(wanted, stores.path(None)?.exists())?;
    let path = stores.path(login.dev_key())?;
    let sync = if args.sync { Sync::Each } else { Sync::Lazy };
    let store = FileStore::open(&path, user, device, sync).map_err(|error| match error {
        StoreError::InUse { .. } => {
            anyhow!("{user} chats on this device ({device}) already: give one of the two --device NAME")
        }
        error => error.into(),
    })?;
    let mut config = Config::new(user.into(), device.into(), login.credential(user)?);
    config.client_name = "shardwire chat".to_owned();
    let mut client = Client::new(config, store, getrandom::u64()?)?;
    login.begin(&mut client, args.register, &endpoint)?;

    let mut runtime = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new()
        .enable_timer()
        .build()
        .context("this system has no io_uring for this process (a kernel of 5.19 or later, not switched off)")?;
    runtime.block_on(async {
        let conversation = Conversation::new(&client, to.map(Into::into), login, &server);
        let session = Session::new(client, endpoint);
        let lines = input::stdin()?;
        let typing = conversation.take_lines(&session, lines);
        session.run_until(typing, |session, event| conversation.on_event(session, event)).await
    })
}

/// Where the gateway is, and whom to trust about that.
fn endpoint(
    server: Option<String>,
    is_tls: bool,
    ca: Option<PathBuf>,
    data_dir: Option<&Path>,
) -> anyhow::Result<Endpoint> {
    if !is_tls {
        return Ok(Endpoint::plain(server.unwrap_or_else(|| DEFAULT_LISTEN.to_owned())));
    }
    let server = server.unwrap_or_else(|| DEFAULT_TLS_SERVER.to_owned());
    let trusted = match ca {
        Some(ca) => TlsConfig::from_ca_file(&ca).context("--ca")?,
        None => {
            let ca = config::data_dir(data_dir.map(Path::to_owned)).join(dev_certificate::CA);
            TlsConfig::from_ca_file(&ca).context(
                "whom to trust? Give --ca FILE, or run from where `serve --dev --tls-listen 127.0.0.1:7443` runs, or with \
                 its --data-dir",
            )?
        }
    };
    Ok(Endpoint::tls(server, &trusted))
}

/// Where stores are.
struct Stores<'a> {
    given: Option<PathBuf>,
    server: &'a str,
    user: Name<'a>,
    device: Device<'a>,
}

impl Stores<'_> {
    /// One for each gateway: numbers that one has given mean nothing to another. One in development is known by its key, since a
    /// data directory made anew is another gateway at the same address.
    fn path(&self, dev_key: Option<&Path>) -> anyhow::Result<PathBuf> {
        let file = format!("{}-{}", self.user, self.device);
        if let Some(path) = &self.given {
            return Ok(if path.is_dir() { path.join(file) } else { path.clone() });
        }
        let data = match (env::var_os("XDG_DATA_HOME"), env::var_os("HOME")) {
            (Some(data), _) if Path::new(&data).is_absolute() => PathBuf::from(data),
            (_, Some(home)) => Path::new(&home).join(".local/share"),
            _ => bail!("there is no HOME to keep messages in: say where with --store FILE"),
        };
        let gateway = match dev_key {
            None => self.server.replace(['/', ':'], "_"),
            Some(key) => {
                let pem = fs::read(key).with_context(|| format!("reading {}", key.display()))?;
                format!("dev-{:08x}", crc32c::crc32c(&pem))
            }
        };
        Ok(data.join("shardwire").join(gateway).join(file))
    }
}

/// Where `serve --dev` is asked to listen for TLS in every example.
const DEFAULT_TLS_SERVER: &str = "127.0.0.1:7443";

#[cfg(test)]
mod tests {
    use super::*;

    fn path_for(dev_key: Option<&Path>, given: Option<&Path>) -> PathBuf {
        let (user, device) = (Name::parse(b"alice").unwrap(), Device::parse(b"chat").unwrap());
        let stores = Stores { given: given.map(Path::to_owned), server: "127.0.0.1:7400", user, device };
        stores.path(dev_key).unwrap()
    }

    #[test]
    fn a_data_directory_made_anew_has_a_store_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join("key");
        fs::write(&key, "one").unwrap();
        let first = path_for(Some(&key), None);
        assert!(first.ends_with("alice-chat"));
        assert_eq!(path_for(Some(&key), None), first);
        fs::write(&key, "two").unwrap();
        assert_ne!(path_for(Some(&key), None), first);
    }

    #[test]
    fn a_given_store_is_a_file_or_a_directory_of_them() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(path_for(None, Some(dir.path())), dir.path().join("alice-chat"));
        assert_eq!(path_for(None, Some(&dir.path().join("mine"))), dir.path().join("mine"));
    }
}
