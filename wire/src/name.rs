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
        check(bytes, bytes.strip_prefix(b"#").unwrap_or(bytes), NAME_LEN_MAX).map(Name)
    }

    /// Checks a name that must be a user's.
    ///
    /// # Errors
    /// [`NameError`]; a `#` is an unfit byte here.
    pub fn parse_user(bytes: &'a [u8]) -> Result<Name<'a>, NameError> {
        check(bytes, bytes, NAME_LEN_MAX).map(Name)
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
        check(bytes, bytes, DEVICE_LEN_MAX).map(Device)
    }

    /// The name as text.
    pub fn as_str(self) -> &'a str {
        self.0
    }
}

/// `own` are the bytes without a group's `#`.
fn check<'a>(bytes: &'a [u8], own: &[u8], len_max: usize) -> Result<&'a str, NameError> {
    if own.is_empty() {
        return Err(NameError::Len(0));
    }
    if bytes.len() > len_max {
        return Err(NameError::Len(bytes.len()));
    }
    // Every message has names: one look-up a byte and no branch halves what a long one costs against stopping early.
    if own.iter().fold(true, |is_fit, byte| is_fit & IS_NAME_BYTE[usize::from(*byte)]) {
        return Ok(std::str::from_utf8(bytes).expect("the alphabet is ASCII"));
    }
    let unfit = own.iter().find(|byte| !IS_NAME_BYTE[usize::from(**byte)]);
    Err(NameError::Byte(*unfit.expect("one of them is")))
}

const IS_NAME_BYTE: [bool; 256] = {
    let mut table = [false; 256];
    let alphabet = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@+:=-";
    let mut index = 0;
    while index < alphabet.len() {
        table[alphabet[index] as usize] = true;
        index += 1;
    }
    table
};

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
