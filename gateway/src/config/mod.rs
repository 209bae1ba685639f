//! What an operator may set: a TOML file, over it the environment, over that the flags. Text becomes checked values here, once.

mod environment;
mod file;
mod key;
mod near;
mod rules;
mod settings;

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use gateway_core::UnknownRecipients;
use tracing::Level;

pub(crate) use self::key::{
    ADMIN_LISTEN, ALLOW_PLAIN_TCP, CERTIFICATE_FILE, DATA_DIR, DEFAULT_DATA_DIR, DEFAULT_LISTEN, Endpoint, KEY_FILE,
    Key, LISTEN_TCP, LISTEN_TLS, SHARDS, TOKEN_KEY_FILE, Value,
};
pub(crate) use self::settings::Mistakes;
use self::settings::{Settings, Source};
use crate::error::Error;

/// Everything an operator decides, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    /// The store's directory.
    pub(crate) data_dir: PathBuf,
    /// 1 to 64; `None` takes what the store has, or one for each allowed CPU.
    pub(crate) shards: Option<u16>,
    /// Where clients come. At least one of the two is there.
    pub(crate) listen: ListenConfig,
    /// The certificate; `None` with a TLS listener only in development, which makes its own.
    pub(crate) tls: Option<TlsFiles>,
    /// How clients prove who they are.
    pub(crate) login: LoginConfig,
    /// What a session may do.
    pub(crate) session: SessionConfig,
    /// What is taken and kept.
    pub(crate) messages: MessagesConfig,
    /// How the gateway ends.
    pub(crate) drain: DrainConfig,
    /// Where operators and their tools come.
    pub(crate) admin: AdminConfig,
    /// What is told.
    pub(crate) log: LogConfig,
}

/// `[listen]`. Port 0 lets the system choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListenConfig {
    /// Plain TCP.
    pub(crate) tcp: Option<SocketAddr>,
    /// TLS.
    pub(crate) tls: Option<SocketAddr>,
    /// The operator knows that plain TCP can be read on its way.
    pub(crate) allow_plain_tcp: bool,
}

/// `[tls]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    /// The certificate and those above it, PEM.
    pub(crate) certificate: PathBuf,
    /// Its private key, PEM.
    pub(crate) key: PathBuf,
}

/// `[login]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LoginConfig {
    /// `--dev`: tokens of a key that the gateway makes itself are good.
    pub(crate) dev: bool,
    /// Whose tokens are good: a public Ed25519 key, PEM. Never together with `dev`.
    pub(crate) token_key: Option<PathBuf>,
    /// People may log in with passwords.
    pub(crate) passwords: bool,
    /// People may make accounts for themselves.
    pub(crate) register: bool,
    /// How long after the last proof a device comes back without another; zero: there are no tickets.
    pub(crate) ticket_ttl: Duration,
    /// How many threads hash passwords, 1 to 64.
    pub(crate) hash_threads: u16,
    /// The memory one hash takes, in KiB.
    pub(crate) hash_memory_kib: u32,
}

/// `[session]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SessionConfig {
    /// The client's heartbeat interval in seconds.
    pub(crate) heartbeat_s: u32,
    /// The longest payload taken from a client, in bytes.
    pub(crate) payload_len_max: u32,
}

/// `[messages]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MessagesConfig {
    /// What becomes of messages for names nobody registered under.
    pub(crate) unknown_recipients: UnknownRecipients,
    /// How many messages may wait for one person.
    pub(crate) inbox_count_max: u32,
}

/// `[drain]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DrainConfig {
    /// How long a drain may take before the process gives up.
    pub(crate) deadline: Duration,
    /// How long after it the first come back.
    pub(crate) slot_start: Duration,
    /// Over how long the return is spread.
    pub(crate) slot_len: Duration,
}

/// `[admin]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AdminConfig {
    /// On loopback; port 0 lets the system choose.
    pub(crate) listen: Option<SocketAddr>,
    /// Who knows what is in here may change things; `None`: a file in the data directory, made when it is missing.
    pub(crate) token_file: Option<PathBuf>,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogConfig {
    /// The least important lines that are written.
    pub(crate) level: Level,
    /// What a line looks like.
    pub(crate) format: LogFormat,
}

/// What a line of the log looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// An object each, for programs.
    Json,
}

/// What the command line says.
#[derive(Debug, Default)]
pub(crate) struct Flags {
    /// `--config`
    pub(crate) config: Option<PathBuf>,
    /// `--dev`
    pub(crate) dev: bool,
    /// Each key that a flag set, and the flag's name.
    pub(crate) given: Vec<(&'static Key, &'static str, Value)>,
}

impl Config {
    /// Reads the file, if one is named, and lays the environment and the flags over it.
    ///
    /// # Errors
    /// [`Error::Path`] for a file that cannot be read, [`Error::Config`] with all mistakes that were made.
    pub(crate) fn load(flags: Flags) -> Result<Config, Error> {
        let dev = flags.dev;
        let settings = gather(flags)?;
        rules::check(&settings, dev).map_err(Error::Config)
    }
}

fn gather(flags: Flags) -> Result<Settings, Error> {
    let mut settings = Settings::new();
    let mut mistakes = Mistakes::default();
    if let Some(path) = &flags.config {
        let text = fs::read_to_string(path).map_err(Error::path(path, "read the configuration"))?;
        file::lay_over(&mut settings, path, &text, &mut mistakes);
    }
    environment::lay_over(&mut settings, std::env::vars_os(), &mut mistakes);
    for (key, flag, value) in flags.given {
        settings.set(key, value, Source::Flag(flag));
    }
    if mistakes.0.is_empty() { Ok(settings) } else { Err(Error::Config(mistakes)) }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn dev() -> Flags {
        Flags { dev: true, ..Flags::default() }
    }

    /// What the command line, the environment and a file called `file.toml` come to.
    fn load(flags: Flags, variables: &[(&str, &str)], toml: &str) -> Result<Config, String> {
        let (mut settings, mut mistakes) = (Settings::new(), Mistakes::default());
        file::lay_over(&mut settings, Path::new("file.toml"), toml, &mut mistakes);
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        environment::lay_over(&mut settings, variables, &mut mistakes);
        for (key, flag, value) in flags.given {
            settings.set(key, value, Source::Flag(flag));
        }
        if mistakes.0.is_empty() {
            rules::check(&settings, flags.dev).map_err(|mistakes| mistakes.to_string())
        } else {
            Err(mistakes.to_string())
        }
    }

    #[test]
    fn flags_win_over_the_environment_and_that_over_the_file() {
        let toml =
            "shards = 3\ndata_dir = 'file'\n[messages]\nunknown_recipients = 'refuse'\n[session]\nheartbeat_s = 100";
        let variables = [("SHARDWIRE__SHARDS", "4"), ("SHARDWIRE__SESSION__HEARTBEAT_S", "200")];
        let flags = Flags { given: vec![(&SHARDS, "--shards", Value::Whole(5))], ..dev() };
        let config = load(flags, &variables, toml).unwrap();
        assert_eq!(config.shards, Some(5));
        assert_eq!(config.session.heartbeat_s, 200);
        assert_eq!(config.data_dir, Path::new("file"));
        assert_eq!(config.messages.unknown_recipients, UnknownRecipients::Refuse);
    }
}
