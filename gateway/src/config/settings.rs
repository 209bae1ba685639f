//! What was set, where, and the mistakes made in it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::key::{KEYS, Key, Unset, Value};

/// The values of all keys that are set or have a default, each with its source.
#[derive(Debug)]
pub(super) struct Settings {
    by_name: BTreeMap<&'static str, Setting>,
}

#[derive(Debug)]
pub(super) struct Setting {
    pub(super) value: Value,
    pub(super) source: Source,
}

/// Who said it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// Nobody.
    Default,
    /// The file, at this line and column, both counted from 1.
    File(PathBuf, usize, usize),
    /// This variable of the environment.
    Environment(String),
    /// This flag.
    Flag(&'static str),
}

/// Something that cannot be taken as it was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// Where it stands. [`Source::Default`]: nowhere, it is missing.
    pub(crate) source: Source,
    /// What is wrong, and what would be right.
    pub(crate) message: String,
}

/// All that is wrong, in the order in which it stands.
#[derive(Debug, Default)]
pub(crate) struct Mistakes(pub(crate) Vec<Mistake>);

impl Settings {
    /// The defaults.
    pub(super) fn new() -> Settings {
        let defaults = KEYS.iter().filter_map(|key| {
            let Unset::Default(text) = key.unset else { return None };
            let value = key.kind.take_text(text).expect("a default is of its key's kind");
            Some((key.name, Setting { value, source: Source::Default }))
        });
        Settings { by_name: defaults.collect() }
    }

    /// Sets a key, over what was said before.
    pub(super) fn set(&mut self, key: &'static Key, value: Value, source: Source) {
        self.by_name.insert(key.name, Setting { value, source });
    }

    pub(super) fn find(&self, key: &Key) -> Option<&Setting> {
        self.by_name.get(key.name)
    }

    /// Sets a key that nobody has set.
    pub(super) fn suppose(&mut self, key: &'static Key, value: Value, source: Source) {
        if self.source(key) == Source::Default {
            self.set(key, value, source);
        }
    }

    /// Who set a key; [`Source::Default`] if nobody did.
    pub(super) fn source(&self, key: &Key) -> Source {
        self.find(key).map_or(Source::Default, |setting| setting.source.clone())
    }

    pub(super) fn path(&self, key: &Key) -> Option<&Path> {
        match &self.find(key)?.value {
            Value::Path(path) => Some(path),
            other => unreachable!("{}: {other:?}", key.name),
        }
    }

    pub(super) fn number(&self, key: &Key) -> Option<u32> {
        match self.find(key)?.value {
            Value::Whole(number) => Some(number),
            ref other => unreachable!("{}: {other:?}", key.name),
        }
    }

    /// Of a key with a default.
    pub(super) fn whole(&self, key: &Key) -> u32 {
        self.number(key).expect("the key has a default")
    }

    pub(super) fn switch(&self, key: &Key) -> bool {
        match self.find(key).expect("the key has a default").value {
            Value::Switch(switch) => switch,
            ref other => unreachable!("{}: {other:?}", key.name),
        }
    }

    pub(super) fn address(&self, key: &Key) -> Option<SocketAddr> {
        match self.find(key).expect("the key has a default").value {
            Value::Address(address) => address,
            ref other => unreachable!("{}: {other:?}", key.name),
        }
    }

    pub(super) fn word(&self, key: &Key) -> &'static str {
        match self.find(key).expect("the key has a default").value {
            Value::Word(word) => word,
            ref other => unreachable!("{}: {other:?}", key.name),
        }
    }
}

impl Mistakes {
    pub(super) fn push(&mut self, source: Source, message: impl Into<String>) {
        self.0.push(Mistake { source, message: message.into() });
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Default => write!(f, "default"),
            Source::File(path, line, column) => write!(f, "{}:{line}:{column}", path.display()),
            Source::Environment(name) => write!(f, "{name}"),
            Source::Flag(flag) => write!(f, "{flag}"),
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.source != Source::Default {
            write!(f, "{}: ", self.source)?;
        }
        write!(f, "{}", self.message)
    }
}

/// A line for each.
impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [mistake] = self.0.as_slice() {
            return write!(f, "{mistake}");
        }
        write!(f, "{} mistakes in the configuration:", self.0.len())?;
        self.0.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))
    }
}
