//! What an operator may set: a TOML file, over it the environment, over that the flags. Text becomes checked values here, once.

mod change;
mod environment;
mod file;
mod key;
mod near;
mod paths;
mod print;
mod rules;
mod settings;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gateway_core::UnknownRecipients;
use tracing::Level;

pub(crate) use self::key::{
    ADMIN_LISTEN, ALLOW_PLAIN_TCP, CERTIFICATE_FILE, DATA_DIR, DEFAULT_DATA_DIR, DEFAULT_LISTEN, KEY_FILE, Key,
    LISTEN_TCP, LISTEN_TLS, LOG_FORMAT, LOG_LEVEL, SHARDS, TOKEN_KEY_FILE, Value,
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
#[derive(Debug, Clone, Default)]
pub(crate) struct Flags {
    /// `--config`
    pub(crate) config: Option<PathBuf>,
    /// `--dev`
    pub(crate) dev: bool,
    /// Each key that a flag set, and the flag's name.
    pub(crate) given: Vec<(&'static Key, &'static str, Value)>,
}

/// All that is set, by whomever, each value good for itself.
#[derive(Debug)]
pub(crate) struct Effective {
    settings: Settings,
    dev: bool,
}

/// The data directory for a command that works on one without a configuration: as its flag says, or the environment.
pub(crate) fn data_dir(flag: Option<PathBuf>) -> PathBuf {
    let variable = || std::env::var_os(environment::variable_of(DATA_DIR.name)).filter(|value| !value.is_empty());
    flag.or_else(|| variable().map(PathBuf::from)).unwrap_or_else(|| DEFAULT_DATA_DIR.into())
}

impl Config {
    /// Reads the file, if one is named, and lays the environment and the flags over it.
    ///
    /// # Errors
    /// As [`Effective::read`] and [`Effective::check`].
    pub(crate) fn load(flags: Flags) -> Result<Config, Error> {
        Effective::read(flags)?.check()
    }
}

impl Effective {
    /// Reads the file, if one is named, and lays the environment and the flags over it.
    ///
    /// # Errors
    /// [`Error::Path`] for a file that cannot be read, [`Error::Config`] with every value that cannot be used.
    pub(crate) fn read(flags: Flags) -> Result<Effective, Error> {
        let file = match &flags.config {
            Some(path) => Some((path, read_file(path)?)),
            None => None,
        };
        let file = file.as_ref().map(|(path, text)| (path.as_path(), text.as_str()));
        Effective::gather(file, std::env::vars_os(), flags.given, flags.dev).map_err(Error::Config)
    }

    /// What it comes to.
    ///
    /// # Errors
    /// [`Error::Config`] with every value that does not go together with another one.
    pub(crate) fn check(&self) -> Result<Config, Error> {
        rules::check(&self.settings, self.dev).map_err(Error::Config)
    }

    /// Looks at all that can be looked at without changing anything: besides [`Effective::check`], whether the files are there that
    /// it names, and can be used. Gives what can be used, but not without a word about it.
    ///
    /// # Errors
    /// [`Error::Config`] with everything that would not do.
    pub(crate) fn check_thoroughly(&self) -> Result<Vec<String>, Error> {
        let mut mistakes = rules::check(&self.settings, self.dev).err().unwrap_or_default();
        let (mut of_paths, warnings) = paths::check(&self.settings);
        mistakes.0.append(&mut of_paths.0);
        if mistakes.0.is_empty() { Ok(warnings) } else { Err(Error::Config(mistakes)) }
    }

    fn gather(
        file: Option<(&Path, &str)>,
        variables: impl Iterator<Item = (OsString, OsString)>,
        flags: Vec<(&'static Key, &'static str, Value)>,
        dev: bool,
    ) -> Result<Effective, Mistakes> {
        let (mut settings, mut mistakes) = (Settings::new(), Mistakes::default());
        if let Some((path, text)) = file {
            file::lay_over(&mut settings, path, text, &mut mistakes);
        }
        environment::lay_over(&mut settings, variables, &mut mistakes);
        for (key, flag, value) in flags {
            settings.set(key, value, Source::Flag(flag));
        }
        rules::suppose(&mut settings, dev);
        if mistakes.0.is_empty() { Ok(Effective { settings, dev }) } else { Err(mistakes) }
    }
}

fn read_file(path: &Path) -> Result<String, Error> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(FILE_LEN_MAX + 1).read_to_string(&mut text));
    let bounded = read.and_then(|_| match text.len() as u64 {
        0..=FILE_LEN_MAX => Ok(()),
        _ => Err(io::Error::other("it is longer than 1 MiB")),
    });
    bounded.map_err(Error::path(path, "read the configuration"))?;
    Ok(text)
}

/// What is longer was meant for something else.
const FILE_LEN_MAX: u64 = 1 << 20;

#[cfg(test)]
mod tests;
