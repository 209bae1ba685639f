//! Numbers that name things. All are plain integers on the wire and distinct types here, so that none stands for another.

use std::fmt;

/// The sender's own number for a message: 1 and up by one per message of a [`DeviceNo`]; 48 bits. 0 is "none yet".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Counter(pub u64);

impl Counter {
    /// The largest counter: at a million messages a second a device reaches it after nine years.
    pub const MAX: Counter = Counter((1 << 48) - 1);

    /// The counter after this one.
    pub fn next(self) -> Counter {
        Counter(self.0 + 1)
    }
}

/// A device's number within its user, given by the user's home shard and never given twice. 0 is the server.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct DeviceNo(pub u16);

/// The sender's name for a message: `device_no << 48 | counter`. With the sender's name it is the message's identity for ever.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mid(pub u64);

impl Mid {
    /// The mid of message `counter` of device `device_no`. Counters above [`Counter::MAX`] are a caller's error.
    pub fn new(device_no: DeviceNo, counter: Counter) -> Mid {
        debug_assert!(counter <= Counter::MAX);
        Mid(u64::from(device_no.0) << 48 | counter.0)
    }

    /// The device that sent it.
    pub fn device_no(self) -> DeviceNo {
        DeviceNo((self.0 >> 48) as u16)
    }

    /// The sender's number for it.
    pub fn counter(self) -> Counter {
        Counter(self.0 & Counter::MAX.0)
    }
}

/// An entry's position in one inbox, in microseconds of the home shard's clock: order, cursor and server time in one.
/// Increasing within an inbox, not contiguous. [`Id::NONE`] marks what has no position: ephemeral deliveries.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Id(pub u64);

impl Id {
    /// No position.
    pub const NONE: Id = Id(0);
}

/// Born at random with a client's local store: a device whose store was wiped has a new one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Incarnation(pub u64);

macro_rules! show {
    ($($name:ident)*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self)
            }
        }
    )*};
}
show!(Counter DeviceNo Id Incarnation);

impl fmt::Display for Mid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.device_no(), self.counter())
    }
}

impl fmt::Debug for Mid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mid({self})")
    }
}
