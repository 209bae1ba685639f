//! The keys: what each is called, what it takes, and what it is when nobody sets it. `gateway/config.example.toml` says why.

use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use self::Unset::{Absent, Default};
use wire::limits::{CLIENT_PAYLOAD_LEN_MAX, HEARTBEAT_S_RANGE, HELLO_PAYLOAD_LEN_MAX, PAYLOAD_LEN_MAX};

use crate::store::SHARD_COUNT_MAX;

/// One thing that can be set.
#[derive(Debug)]
pub(crate) struct Key {
    /// `section.key`, or `key` at the top of the file.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) unset: Unset,
}

/// What holds when nobody sets a key.
#[derive(Debug)]
pub(super) enum Unset {
    /// This value, as the environment would say it.
    Default(&'static str),
    /// There is none, and this is what happens.
    Absent(&'static str),
}

/// What a key takes.
#[derive(Debug)]
pub(super) enum Kind {
    /// An IP address and a port, or `none`.
    Address,
    /// A file or a directory.
    Path,
    /// `true` or `false`.
    Switch,
    /// A whole number in a range, of these.
    Whole(RangeInclusive<u32>, &'static str),
    /// One of these.
    Word(&'static [&'static str]),
}

/// What a key was set to: of its kind, and within its range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// Of [`Kind::Address`]; `None` is nowhere.
    Address(Option<SocketAddr>),
    /// Of [`Kind::Path`].
    Path(PathBuf),
    /// Of [`Kind::Switch`].
    Switch(bool),
    /// Of [`Kind::Whole`].
    Whole(u32),
    /// Of [`Kind::Word`].
    Word(&'static str),
}

impl Key {
    /// The section, if it is in one, and the name in there.
    pub(super) fn parts(&self) -> (Option<&'static str>, &'static str) {
        self.name.split_once('.').map_or((None, self.name), |(section, name)| (Some(section), name))
    }

    /// Takes what stands on the command line.
    ///
    /// # Errors
    /// What would be right, and what was said instead.
    pub(crate) fn parse(&self, text: &str) -> Result<Value, String> {
        self.kind.take_text(text)
    }
}

impl Kind {
    /// Takes a value that stands somewhere as text: in the environment, or in quotes.
    pub(super) fn take_text(&self, text: &str) -> Result<Value, String> {
        let wrong = || Err(format!("{self}, not {text:?}"));
        match self {
            Kind::Address if text == "none" => Ok(Value::Address(None)),
            Kind::Address => text.parse().map(|address| Value::Address(Some(address))).or_else(|_| wrong()),
            Kind::Path if text.is_empty() => wrong(),
            // Not shown: it may be a secret.
            Kind::Path if text.contains('\n') => Err(format!("{self}, and not what is to be in the file")),
            Kind::Path => Ok(Value::Path(text.into())),
            // Not shown either: somebody may take `passwords` for a place to write one.
            Kind::Switch => text.parse().map(Value::Switch).map_err(|_| format!("{self}, and no other text")),
            Kind::Whole(..) => text.parse().map_or_else(|_| wrong(), |number| self.take_number(number)),
            Kind::Word(words) => {
                words.iter().find(|word| **word == text).map(|word| Value::Word(word)).map_or_else(wrong, Ok)
            }
        }
    }

    /// Takes a number.
    pub(super) fn take_number(&self, number: i64) -> Result<Value, String> {
        match self {
            Kind::Whole(range, _) => match u32::try_from(number) {
                Ok(number) if range.contains(&number) => Ok(Value::Whole(number)),
                _ => Err(format!("{self}, not {number}")),
            },
            _ => Err(format!("{self}, not the number {number}")),
        }
    }
}

/// What is wanted.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Address => write!(f, "an IP address and a port, such as \"127.0.0.1:7400\", or \"none\""),
            Kind::Path => write!(f, "the path of a file or directory"),
            Kind::Switch => write!(f, "true or false"),
            Kind::Whole(range, unit) => write!(f, "{} to {} {unit}", range.start(), range.end()),
            Kind::Word(words) => {
                let words: Vec<_> = words.iter().map(|word| format!("{word:?}")).collect();
                write!(f, "{}", words.join(" or "))
            }
        }
    }
}

/// As in the file.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Address(Some(address)) => write!(f, "\"{address}\""),
            Value::Address(None) => write!(f, "\"none\""),
            Value::Path(path) => write!(f, "{}", toml::Value::from(path.to_string_lossy().as_ref())),
            Value::Switch(switch) => write!(f, "{switch}"),
            Value::Whole(number) => write!(f, "{number}"),
            Value::Word(word) => write!(f, "\"{word}\""),
        }
    }
}

/// Where the gateway listens, and clients look, unless told otherwise.
pub(crate) const DEFAULT_LISTEN: &str = "127.0.0.1:7400";
/// The data directory unless told otherwise, under the working directory.
pub(crate) const DEFAULT_DATA_DIR: &str = "shardwire-data";

const fn key(name: &'static str, kind: Kind, unset: Unset) -> Key {
    Key { name, kind, unset }
}

const fn whole(name: &'static str, range: RangeInclusive<u32>, unit: &'static str, unset: Unset) -> Key {
    Key { name, kind: Kind::Whole(range, unit), unset }
}

pub(crate) static DATA_DIR: Key = key("data_dir", Kind::Path, Default(DEFAULT_DATA_DIR));
pub(crate) static SHARDS: Key = whole(
    "shards",
    1..=SHARD_COUNT_MAX as u32,
    "shards",
    Absent("as the store has; at first one for each allowed CPU"),
);
pub(crate) static LISTEN_TCP: Key = key("listen.tcp", Kind::Address, Default(DEFAULT_LISTEN));
pub(crate) static LISTEN_TLS: Key = key("listen.tls", Kind::Address, Default("none"));
pub(crate) static ALLOW_PLAIN_TCP: Key = key("listen.allow_plain_tcp", Kind::Switch, Default("false"));
pub(crate) static CERTIFICATE_FILE: Key = key("tls.certificate_file", Kind::Path, Absent("--dev makes one for itself"));
pub(crate) static KEY_FILE: Key = key("tls.key_file", Kind::Path, Absent("--dev makes one for itself"));
pub(crate) static TOKEN_KEY_FILE: Key =
    key("login.token_key_file", Kind::Path, Absent("no tokens are taken; --dev makes a key for itself"));
pub(crate) static PASSWORDS: Key = key("login.passwords", Kind::Switch, Default("true"));
pub(crate) static REGISTER: Key = key("login.register", Kind::Switch, Default("false"));
pub(crate) static TICKET_HOURS: Key = whole("login.ticket_hours", 0..=8760, "hours", Default("720"));
pub(crate) static HASH_THREADS: Key =
    whole("login.hash_threads", 1..=64, "threads", Absent("a quarter of the CPUs, at least 1"));
pub(crate) static HASH_MEMORY_KIB: Key = whole("login.hash_memory_kib", 8192..=1_048_576, "KiB", Default("19456"));
pub(crate) static HEARTBEAT_S: Key = whole("session.heartbeat_s", HEARTBEAT_S_RANGE, "seconds", Default("60"));
pub(crate) static PAYLOAD_LEN_MAX_KEY: Key =
    whole("session.payload_len_max", 4096..=16_777_215, "bytes", Default("65536"));
pub(crate) static UNKNOWN_RECIPIENTS: Key =
    key("messages.unknown_recipients", Kind::Word(&["store", "refuse"]), Default("store"));
pub(crate) static INBOX_COUNT_MAX: Key =
    whole("messages.inbox_count_max", 64..=16_000_000, "messages", Default("1000000"));
pub(crate) static DRAIN_DEADLINE_S: Key = whole("drain.deadline_s", 1..=3600, "seconds", Default("10"));
pub(crate) static DRAIN_SLOT_START_S: Key = whole("drain.slot_start_s", 0..=3600, "seconds", Default("2"));
pub(crate) static DRAIN_SLOT_LEN_S: Key = whole("drain.slot_len_s", 1..=3600, "seconds", Default("10"));
pub(crate) static ADMIN_LISTEN: Key = key("admin.listen", Kind::Address, Default("127.0.0.1:7401"));
pub(crate) static ADMIN_TOKEN_FILE: Key =
    key("admin.token_file", Kind::Path, Absent("a file in the data directory, made when it is missing"));
pub(crate) static LOG_LEVEL: Key =
    key("log.level", Kind::Word(&["error", "warn", "info", "debug", "trace"]), Default("info"));
pub(crate) static LOG_FORMAT: Key = key("log.format", Kind::Word(&["text", "json"]), Default("text"));

/// All of them, as they are printed: at the top of the file first, then section after section.
pub(super) static KEYS: &[&Key] = &[
    &DATA_DIR,
    &SHARDS,
    &LISTEN_TCP,
    &LISTEN_TLS,
    &ALLOW_PLAIN_TCP,
    &CERTIFICATE_FILE,
    &KEY_FILE,
    &TOKEN_KEY_FILE,
    &PASSWORDS,
    &REGISTER,
    &TICKET_HOURS,
    &HASH_THREADS,
    &HASH_MEMORY_KIB,
    &HEARTBEAT_S,
    &PAYLOAD_LEN_MAX_KEY,
    &UNKNOWN_RECIPIENTS,
    &INBOX_COUNT_MAX,
    &DRAIN_DEADLINE_S,
    &DRAIN_SLOT_START_S,
    &DRAIN_SLOT_LEN_S,
    &ADMIN_LISTEN,
    &ADMIN_TOKEN_FILE,
    &LOG_LEVEL,
    &LOG_FORMAT,
];

const _: () =
    assert!(HELLO_PAYLOAD_LEN_MAX == 4096 && PAYLOAD_LEN_MAX == 16_777_215, "the range of session.payload_len_max");
const _: () = assert!(CLIENT_PAYLOAD_LEN_MAX == 65536, "the default of session.payload_len_max");
