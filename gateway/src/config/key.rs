//! The keys: what each is called, what it takes, and what it is when nobody sets it. `gateway/config.example.toml` says why.

use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;

use wire::limits::{CLIENT_PAYLOAD_LEN_MAX, HEARTBEAT_S_RANGE, HELLO_PAYLOAD_LEN_MAX, PAYLOAD_LEN_MAX};

use crate::store::SHARD_COUNT_MAX;

/// One thing that can be set.
#[derive(Debug)]
pub(crate) struct Key {
    /// `section.key`, or `key` at the top of the file.
    pub(crate) name: &'static str,
    pub(super) kind: Kind,
    /// As the environment would say it; `None` for a key that is absent until it is set.
    pub(super) default: Option<&'static str>,
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
    /// Of [`Kind::Address`].
    Address(Endpoint),
    /// Of [`Kind::Path`].
    Path(PathBuf),
    /// Of [`Kind::Switch`].
    Switch(bool),
    /// Of [`Kind::Whole`].
    Whole(u32),
    /// Of [`Kind::Word`].
    Word(&'static str),
}

/// Where to listen, or nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Endpoint(pub(crate) Option<SocketAddr>);

impl Key {
    /// The section, if it is in one, and the name in there.
    pub(super) fn parts(&self) -> (Option<&'static str>, &'static str) {
        self.name.split_once('.').map_or((None, self.name), |(section, name)| (Some(section), name))
    }
}

impl Kind {
    /// Takes a value that stands somewhere as text: in the environment, or in quotes.
    pub(super) fn take_text(&self, text: &str) -> Result<Value, String> {
        let wrong = || Err(format!("{self}, not {text:?}"));
        match self {
            Kind::Address => text.parse().map(Value::Address).or_else(|()| wrong()),
            Kind::Path if text.is_empty() => wrong(),
            Kind::Path => Ok(Value::Path(text.into())),
            Kind::Switch => text.parse().map(Value::Switch).or_else(|_| wrong()),
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
            Kind::Path => write!(f, "a path"),
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
            Value::Address(Endpoint(Some(address))) => write!(f, "\"{address}\""),
            Value::Address(Endpoint(None)) => write!(f, "\"none\""),
            Value::Path(path) => write!(f, "{}", toml::Value::from(path.to_string_lossy().as_ref())),
            Value::Switch(switch) => write!(f, "{switch}"),
            Value::Whole(number) => write!(f, "{number}"),
            Value::Word(word) => write!(f, "\"{word}\""),
        }
    }
}

impl FromStr for Endpoint {
    type Err = ();

    fn from_str(text: &str) -> Result<Endpoint, ()> {
        if text == "none" {
            Ok(Endpoint(None))
        } else {
            text.parse().map(|address| Endpoint(Some(address))).map_err(drop)
        }
    }
}

/// Where the gateway listens, and clients look, unless told otherwise.
pub(crate) const DEFAULT_LISTEN: &str = "127.0.0.1:7400";
/// The data directory unless told otherwise, under the working directory.
pub(crate) const DEFAULT_DATA_DIR: &str = "shardwire-data";

const fn key(name: &'static str, kind: Kind, default: Option<&'static str>) -> Key {
    Key { name, kind, default }
}

const fn whole(
    name: &'static str,
    range: RangeInclusive<u32>,
    unit: &'static str,
    default: Option<&'static str>,
) -> Key {
    Key { name, kind: Kind::Whole(range, unit), default }
}

pub(crate) static DATA_DIR: Key = key("data_dir", Kind::Path, Some(DEFAULT_DATA_DIR));
pub(crate) static SHARDS: Key = whole("shards", 1..=SHARD_COUNT_MAX as u32, "shards", None);
pub(crate) static LISTEN_TCP: Key = key("listen.tcp", Kind::Address, Some(DEFAULT_LISTEN));
pub(crate) static LISTEN_TLS: Key = key("listen.tls", Kind::Address, Some("none"));
pub(crate) static ALLOW_PLAIN_TCP: Key = key("listen.allow_plain_tcp", Kind::Switch, Some("false"));
pub(crate) static CERTIFICATE_FILE: Key = key("tls.certificate_file", Kind::Path, None);
pub(crate) static KEY_FILE: Key = key("tls.key_file", Kind::Path, None);
pub(crate) static TOKEN_KEY_FILE: Key = key("login.token_key_file", Kind::Path, None);
pub(crate) static PASSWORDS: Key = key("login.passwords", Kind::Switch, Some("true"));
pub(crate) static REGISTER: Key = key("login.register", Kind::Switch, Some("false"));
pub(crate) static TICKET_HOURS: Key = whole("login.ticket_hours", 0..=8760, "hours", Some("720"));
pub(crate) static HASH_THREADS: Key = whole("login.hash_threads", 1..=64, "threads", None);
pub(crate) static HASH_MEMORY_KIB: Key = whole("login.hash_memory_kib", 8192..=1_048_576, "KiB", Some("19456"));
pub(crate) static HEARTBEAT_S: Key = whole("session.heartbeat_s", HEARTBEAT_S_RANGE, "seconds", Some("60"));
pub(crate) static PAYLOAD_LEN_MAX_KEY: Key =
    whole("session.payload_len_max", 4096..=16_777_215, "bytes", Some("65536"));
pub(crate) static UNKNOWN_RECIPIENTS: Key =
    key("messages.unknown_recipients", Kind::Word(&["store", "refuse"]), Some("store"));
pub(crate) static INBOX_COUNT_MAX: Key =
    whole("messages.inbox_count_max", 64..=16_000_000, "messages", Some("1000000"));
pub(crate) static DRAIN_DEADLINE_S: Key = whole("drain.deadline_s", 1..=3600, "seconds", Some("10"));
pub(crate) static DRAIN_SLOT_START_S: Key = whole("drain.slot_start_s", 0..=3600, "seconds", Some("2"));
pub(crate) static DRAIN_SLOT_LEN_S: Key = whole("drain.slot_len_s", 1..=3600, "seconds", Some("10"));
pub(crate) static ADMIN_LISTEN: Key = key("admin.listen", Kind::Address, Some("127.0.0.1:7401"));
pub(crate) static ADMIN_TOKEN_FILE: Key = key("admin.token_file", Kind::Path, None);
pub(crate) static LOG_LEVEL: Key =
    key("log.level", Kind::Word(&["error", "warn", "info", "debug", "trace"]), Some("info"));
pub(crate) static LOG_FORMAT: Key = key("log.format", Kind::Word(&["text", "json"]), Some("text"));

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
