//! What an operator may set: a TOML file and flags. Text becomes checked values here, once; flags win over the file.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use gateway_core::UnknownRecipients;
use serde::Deserialize;
use wire::limits::{CLIENT_PAYLOAD_LEN_MAX, HEARTBEAT_S_RANGE, HELLO_PAYLOAD_LEN_MAX, PAYLOAD_LEN_MAX};

use crate::error::Error;
use crate::store::SHARD_COUNT_MAX;

/// Everything an operator decides, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    /// Where clients come; port 0 lets the system choose.
    pub(crate) listen: SocketAddr,
    /// The store's directory.
    pub(crate) data_dir: PathBuf,
    /// 1 to 64; `None` takes what the store has, or one for each allowed CPU.
    pub(crate) shards: Option<u16>,
    /// How clients prove who they are.
    pub(crate) login: Login,
    /// The client's heartbeat interval in seconds.
    pub(crate) heartbeat_s: u32,
    /// The longest payload taken from a client, in bytes.
    pub(crate) payload_len_max: u32,
    /// What becomes of messages for names nobody registered under.
    pub(crate) unknown_recipients: UnknownRecipients,
}

/// Whose tokens are good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Login {
    /// Those of a key made by the gateway itself, in its data directory.
    Dev,
    /// Those of the operator's key: a public Ed25519 key in PEM.
    TokenKey(PathBuf),
}

/// What the command line says; `None` where it is silent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flags {
    /// `--config`
    pub(crate) config: Option<PathBuf>,
    /// `--dev`
    pub(crate) dev: bool,
    /// `--data-dir`
    pub(crate) data_dir: Option<PathBuf>,
    /// `--shards`
    pub(crate) shards: Option<u16>,
    /// `--listen`
    pub(crate) listen: Option<SocketAddr>,
    /// `--token-key`
    pub(crate) token_key: Option<PathBuf>,
    /// `--allow-plain-tcp`
    pub(crate) allow_plain_tcp: bool,
}

impl Config {
    /// Reads the file, if one is named, and lays the flags over it.
    ///
    /// # Errors
    /// [`Error::Path`] and [`Error::Config`] for the file, [`Error::Setting`] for a value or a combination that is refused.
    pub(crate) fn load(flags: Flags) -> Result<Config, Error> {
        let file = match &flags.config {
            Some(path) => FileConfig::read(path)?,
            None => FileConfig::default(),
        };
        Config::merge(flags, file)
    }

    fn merge(flags: Flags, file: FileConfig) -> Result<Config, Error> {
        let listen = flags.listen.or(file.listen).unwrap_or(DEFAULT_LISTEN);
        let allow_plain_tcp = flags.allow_plain_tcp || file.allow_plain_tcp;
        let login = match (flags.dev, flags.token_key.or(file.token_key)) {
            (true, _) if !listen.ip().is_loopback() => {
                return refuse(format!(
                    "--dev is for this machine only, and {listen} can be reached from others: \
                     listen on 127.0.0.1, or use --token-key"
                ));
            }
            (true, Some(path)) => {
                return refuse(format!(
                    "--dev takes tokens of a key of its own, and {} is to be the key: leave one of them out",
                    path.display()
                ));
            }
            (true, None) => Login::Dev,
            (false, Some(path)) => Login::TokenKey(path),
            (false, None) => {
                return refuse(
                    "nobody could log in: give --token-key FILE, the public key of whoever signs your tokens, \
                     or --dev to try things out",
                );
            }
        };
        if !listen.ip().is_loopback() && !allow_plain_tcp {
            return refuse(format!(
                "{listen} can be reached from other machines, and plain TCP shows tokens and messages to every one on the way: \
                 put a TLS proxy before a loopback address, or accept that with --allow-plain-tcp"
            ));
        }
        let shards = flags.shards.or(file.shards);
        if shards.is_some_and(|shards| !(1..=SHARD_COUNT_MAX).contains(&shards)) {
            return refuse(format!("shards: 1 to {SHARD_COUNT_MAX}"));
        }
        let heartbeat_s = file.heartbeat_s.unwrap_or(60);
        if !HEARTBEAT_S_RANGE.contains(&heartbeat_s) {
            let (low, high) = (HEARTBEAT_S_RANGE.start(), HEARTBEAT_S_RANGE.end());
            return refuse(format!("heartbeat_s: {low} to {high} seconds"));
        }
        Ok(Config {
            listen,
            data_dir: flags.data_dir.or(file.data_dir).unwrap_or_else(|| DEFAULT_DATA_DIR.into()),
            shards,
            login,
            heartbeat_s,
            payload_len_max: payload_len_max(file.payload_len_max)?,
            unknown_recipients: match file.unknown_recipients {
                Some(FileUnknownRecipients::Refuse) => UnknownRecipients::Refuse,
                Some(FileUnknownRecipients::Store) | None => UnknownRecipients::Store,
            },
        })
    }
}

/// Where the gateway listens, and clients look, unless told otherwise.
pub(crate) const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 7400);

/// The data directory unless told otherwise, under the working directory.
pub(crate) const DEFAULT_DATA_DIR: &str = "shardwire-data";

/// The file, as written. Every key may be left out.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileConfig {
    listen: Option<SocketAddr>,
    data_dir: Option<PathBuf>,
    shards: Option<u16>,
    token_key: Option<PathBuf>,
    #[serde(default)]
    allow_plain_tcp: bool,
    heartbeat_s: Option<u32>,
    payload_len_max: Option<u32>,
    unknown_recipients: Option<FileUnknownRecipients>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum FileUnknownRecipients {
    Store,
    Refuse,
}

impl FileConfig {
    fn read(path: &Path) -> Result<FileConfig, Error> {
        let text = fs::read_to_string(path).map_err(Error::path(path, "read the configuration"))?;
        FileConfig::parse(&text).map_err(|message| Error::Config { path: path.to_owned(), message })
    }

    fn parse(text: &str) -> Result<FileConfig, String> {
        toml::from_str(text).map_err(|error| {
            let line = error
                .span()
                .and_then(|span| text.get(..span.start))
                .map_or(1, |before| before.matches('\n').count() + 1);
            format!("line {line}: {}", error.message())
        })
    }
}

fn payload_len_max(wish: Option<u32>) -> Result<u32, Error> {
    let limit = |bytes: usize| u32::try_from(bytes).expect("the limits of a frame fit into 24 bits");
    let (low, high) = (limit(HELLO_PAYLOAD_LEN_MAX), limit(PAYLOAD_LEN_MAX));
    let len = wish.unwrap_or_else(|| limit(CLIENT_PAYLOAD_LEN_MAX));
    if (low..=high).contains(&len) { Ok(len) } else { refuse(format!("payload_len_max: {low} to {high} bytes")) }
}

fn refuse<T>(message: impl Into<String>) -> Result<T, Error> {
    Err(Error::Setting(message.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dev() -> Flags {
        Flags { dev: true, ..Flags::default() }
    }

    fn merge(flags: Flags, toml: &str) -> Result<Config, Error> {
        Config::merge(flags, FileConfig::parse(toml).unwrap())
    }

    #[test]
    fn flags_win_over_the_file() {
        let toml = "listen = '127.0.0.1:1'\nshards = 3\ndata_dir = 'there'\nunknown_recipients = 'refuse'";
        let config =
            merge(Flags { shards: Some(5), listen: Some("127.0.0.1:2".parse().unwrap()), ..dev() }, toml).unwrap();
        assert_eq!(config.shards, Some(5));
        assert_eq!(config.listen.port(), 2);
        assert_eq!(config.data_dir, Path::new("there"));
        assert_eq!(config.unknown_recipients, UnknownRecipients::Refuse);
    }

    #[test]
    fn a_mistake_in_the_file_is_told_with_its_line() {
        let message = FileConfig::parse("shards = 2\n\nshard = 3\n").unwrap_err();
        assert!(message.starts_with("line 3: ") && message.contains("shard"), "{message}");
        let message = FileConfig::parse("listen = 'nowhere'\n").unwrap_err();
        assert!(message.starts_with("line 1: "), "{message}");
    }

    #[test]
    fn a_value_out_of_range_is_refused() {
        for toml in
            ["shards = 0", "shards = 65", "heartbeat_s = 5", "payload_len_max = 100", "payload_len_max = 16777216"]
        {
            assert!(merge(dev(), toml).is_err(), "{toml}");
        }
    }

    #[test]
    fn dev_is_for_loopback_only() {
        let everywhere = Some("0.0.0.0:1".parse().unwrap());
        let error = merge(Flags { listen: everywhere, allow_plain_tcp: true, ..dev() }, "").unwrap_err();
        assert!(error.to_string().contains("--dev"), "{error}");
    }

    #[test]
    fn dev_beside_a_token_key_is_refused_by_both_names() {
        let error = merge(dev(), "token_key = 'key.pem'").unwrap_err().to_string();
        assert!(error.contains("--dev") && error.contains("key.pem"), "{error}");
    }

    #[test]
    fn plain_tcp_to_the_world_needs_to_be_said() {
        let toml = "listen = '0.0.0.0:1'\ntoken_key = 'key.pem'";
        let error = merge(Flags::default(), toml).unwrap_err();
        assert!(error.to_string().contains("--allow-plain-tcp"), "{error}");
        let allowed = format!("{toml}\nallow_plain_tcp = true");
        assert!(merge(Flags::default(), &allowed).is_ok());
    }

    #[test]
    fn without_a_key_nobody_could_log_in() {
        let error = merge(Flags::default(), "").unwrap_err();
        assert!(error.to_string().contains("--token-key"), "{error}");
    }
}
