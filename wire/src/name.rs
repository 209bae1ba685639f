//! Names of users, groups and devices. Whoever holds one of these types holds a checked name.

use std::{borrow::Borrow, fmt, ops::Deref};

use crate::limits::{DEVICE_LEN_MAX, NAME_LEN_MAX};

/// Why bytes are not a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Empty, or longer than [`NAME_LEN_MAX`] (a device: [`DEVICE_LEN_MAX`]) bytes.
    #[error("a name has 1 to {NAME_LEN_MAX} bytes (a device 1 to {DEVICE_LEN_MAX}), this one has {0}")]
    Len(usize),
    /// A byte outside `[A-Za-z0-9._@+:=-]`.
    #[error("a name is made of A-Z a-z 0-9 . _ @ + : = -, not of byte {0:#04x}")]
    Byte(u8),
}

/// A user, or a group when it starts with `#`: 1 to 64 bytes of `[A-Za-z0-9._@+:=-]`, case-sensitive (the `#` counts).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name<'a>(&'a str);

impl<'a> Name<'a> {
    /// Checks a user's or a group's name.
    ///
    /// # Errors
    /// [`NameError`] says what is wrong with it.
    pub fn parse(bytes: &'a [u8]) -> Result<Name<'a>, NameError> {
        let rest = bytes.strip_prefix(b"#").unwrap_or(bytes);
        let checked = check(rest, NAME_LEN_MAX - (bytes.len() - rest.len()))?;
        Ok(Name(if rest.len() == bytes.len() { checked } else { as_str(bytes)? }))
    }

    /// Checks a name that must be a user's.
    ///
    /// # Errors
    /// [`NameError`]; a `#` is an unfit byte here.
    pub fn parse_user(bytes: &'a [u8]) -> Result<Name<'a>, NameError> {
        check(bytes, NAME_LEN_MAX).map(Name)
    }

    /// Whether it names a group.
    pub fn is_group(self) -> bool {
        self.0.starts_with('#')
    }

    /// The name as text.
    pub fn as_str(self) -> &'a str {
        self.0
    }
}

/// A device's name: 1 to 32 bytes of the alphabet of users.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Device<'a>(&'a str);

impl<'a> Device<'a> {
    /// Checks a device's name.
    ///
    /// # Errors
    /// [`NameError`] says what is wrong with it.
    pub fn parse(bytes: &'a [u8]) -> Result<Device<'a>, NameError> {
        check(bytes, DEVICE_LEN_MAX).map(Device)
    }

    /// The name as text.
    pub fn as_str(self) -> &'a str {
        self.0
    }
}

fn check(bytes: &[u8], len_max: usize) -> Result<&str, NameError> {
    if bytes.is_empty() || bytes.len() > len_max {
        return Err(NameError::Len(bytes.len()));
    }
    match bytes.iter().find(|byte| !is_name_byte(**byte)) {
        Some(byte) => Err(NameError::Byte(*byte)),
        None => as_str(bytes),
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._@+:=-".contains(&byte)
}

fn as_str(bytes: &[u8]) -> Result<&str, NameError> {
    std::str::from_utf8(bytes).map_err(|error| NameError::Byte(bytes[error.valid_up_to()]))
}

/// A [`Name`] that owns its text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NameBuf(Box<str>);

impl NameBuf {
    /// The name, borrowed.
    pub fn as_name(&self) -> Name<'_> {
        Name(&self.0)
    }
}

/// A [`Device`] that owns its text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceBuf(Box<str>);

impl DeviceBuf {
    /// The name, borrowed.
    pub fn as_device(&self) -> Device<'_> {
        Device(&self.0)
    }
}

macro_rules! owned {
    ($($borrowed:ident $owned:ident)*) => {$(
        impl From<$borrowed<'_>> for $owned {
            fn from(name: $borrowed<'_>) -> $owned {
                $owned(name.0.into())
            }
        }
        impl Deref for $owned {
            type Target = str;
            fn deref(&self) -> &str {
                &self.0
            }
        }
        // Sound: `str` hashes and compares as the boxed text does.
        impl Borrow<str> for $owned {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Debug for $owned {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
        impl fmt::Display for $owned {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
        impl fmt::Debug for $borrowed<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
        impl fmt::Display for $borrowed<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}
owned!(Name NameBuf Device DeviceBuf);
