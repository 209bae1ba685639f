//! What a client tells its application.

use std::fmt;

use wire::frame::{Deliver, SafeBy, SendFlags};
use wire::{Counter, DeviceNo, Id, Mid, Name};

use crate::error::StoreError;

/// Something the application may want to know. Events come in the order in which they happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// There is a session; what was unresolved is being sent again.
    Welcomed(Welcomed),
    /// A message, committed to the store unless it is ephemeral. Each comes once, whatever the network and the gateway did.
    Message(Received),
    /// A message that came before has a later place than was told, the same on all devices of the user.
    Moved {
        /// Who sent it.
        from: wire::NameBuf,
        /// The sender's name for it.
        mid: Mid,
        /// Its place from now on.
        id: Id,
    },
    /// A message this client sent is safe.
    Accepted {
        /// Which, as [`Client::send`](crate::Client::send) numbered it.
        counter: Counter,
        /// How it is safe.
        safe_by: SafeBy,
        /// Its place among the messages of the user's own inbox, [`Id::NONE`] if the user has no other device.
        self_id: Id,
    },
    /// A message this client sent is refused, finally; it is no longer kept.
    Refused {
        /// Which, as [`Client::send`](crate::Client::send) numbered it.
        counter: Counter,
        /// Why: a number of [`wire::Code`], or of a later version's table.
        code: u16,
        /// False: it was first offered before the gateway last started, and may have arrived then.
        known: bool,
    },
    /// A message has another number from now on: the client had to take a new incarnation. These come in ascending order,
    /// and a new number is never larger than the old one, so each can be carried out at once. What
    /// [`Client::send`](crate::Client::send) returned since the last event was asked for is a new number already: an application that
    /// lets events wait for long asks for them before it sends.
    Renumbered {
        /// Its number so far.
        old: Counter,
        /// Its number from now on.
        new: Counter,
    },
    /// Entries with `first <= id <= last` were trimmed and will not come, but for those that came.
    Gap {
        /// The first id that may be missing.
        first: Id,
        /// The last id that may be missing.
        last: Id,
        /// 0 quota, 1 time to live, 2 damage.
        reason: u8,
    },
    /// The gateway took offence at one frame; the session stays.
    Error {
        /// A number of [`wire::Code`], or of a later version's table.
        code: u16,
        /// The type byte of the frame it is about, 0 for none.
        frame_type: u8,
        /// For a person who reads a log.
        text: Box<str>,
    },
    /// The transport is of no use any more: close it now. [`Client::connect_at`](crate::Client::connect_at) says when to
    /// connect again; [`Client::on_disconnected`](crate::Client::on_disconnected) need not be called, and does no harm.
    Disconnect {
        /// Of GOAWAY, or what the client found wrong itself; none if the gateway was silent for too long.
        code: Option<u16>,
    },
    /// The transport was lost, or could not connect: nothing to do, the client connects again at
    /// [`Client::connect_at`](crate::Client::connect_at).
    Lost,
    /// The client does not connect again by itself. After a change (a new credential, a person's wish)
    /// [`Client::restart`](crate::Client::restart) lets it.
    Ended {
        /// Why: a number of [`wire::Code`].
        code: u16,
    },
    /// What was asked for about the account is done and durable. After [`Client::register`](crate::Client::register) the client logs
    /// in; after a change of the password it uses the new one; after a deletion [`Event::Ended`] follows.
    AccountDone {
        /// As [`Client::register`](crate::Client::register) and its like numbered it.
        request: u32,
    },
    /// What was asked for about the account is not done, and nothing was changed.
    AccountFailed {
        /// As [`Client::register`](crate::Client::register) and its like numbered it.
        request: u32,
        /// Why: a number of [`wire::Code`]. None: the connection ended before the answer, so it may have been done.
        code: Option<u16>,
        /// There is no use in trying again before so many milliseconds are over; 0 when that does not matter.
        retry_ms: u32,
    },
    /// The store failed. Nothing after it was acknowledged, and the client does nothing more: make a new one on a store that works.
    StoreFailed(Box<StoreError>),
}

/// What WELCOME said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Welcomed {
    /// The device's number; [`Mid`]s of what this client sends carry it.
    pub device_no: DeviceNo,
    /// Goes up each time the gateway starts.
    pub boot: u64,
    /// The last id given in the user's inbox.
    pub head: Id,
    /// The oldest id kept, [`Id::NONE`] when nothing is.
    pub oldest: Id,
    /// How often the client pings, in seconds.
    pub heartbeat_s: u32,
    /// Whether `stored` means synced to the disk (true) or only written.
    pub stored_is_synced: bool,
    /// Microseconds since 1970 on the home shard's clock.
    pub server_time_us: u64,
}

/// A message that came, in one allocation.
#[derive(Clone, PartialEq, Eq)]
pub struct Received {
    /// Its place in the inbox; [`Id::NONE`] when ephemeral.
    pub id: Id,
    /// The sender's name for it; counter 0 when ephemeral.
    pub mid: Mid,
    /// As sent.
    pub flags: SendFlags,
    /// As sent.
    pub kind: u8,
    pub(crate) from_len: u8,
    pub(crate) to_len: u8,
    /// from, to, body.
    pub(crate) bytes: Box<[u8]>,
}

impl Received {
    pub(crate) fn new(deliver: &Deliver<'_>) -> Received {
        let (from, to) = (deliver.from.as_str(), deliver.to.as_str());
        let mut bytes = Vec::with_capacity(from.len() + to.len() + deliver.body.len());
        bytes.extend_from_slice(from.as_bytes());
        bytes.extend_from_slice(to.as_bytes());
        bytes.extend_from_slice(deliver.body);
        Received {
            id: deliver.id,
            mid: deliver.mid,
            flags: deliver.flags,
            kind: deliver.kind,
            from_len: name_len(from),
            to_len: name_len(to),
            bytes: bytes.into_boxed_slice(),
        }
    }

    /// Who sent it: another user, or this one from another device.
    pub fn from(&self) -> Name<'_> {
        self.name(0, self.from_len.into())
    }

    /// This user, a group, or, when it is from this user himself, whom he wrote to.
    pub fn to(&self) -> Name<'_> {
        self.name(self.from_len.into(), self.to_len.into())
    }

    /// Which conversation it belongs to, as this user sees it: the group, or the other user.
    pub fn conversation(&self, own: Name<'_>) -> Name<'_> {
        conversation(own, self.from(), self.to())
    }

    /// The content.
    pub fn body(&self) -> &[u8] {
        self.bytes
            .get(usize::from(self.from_len) + usize::from(self.to_len)..)
            .expect("from_len + to_len <= bytes.len()")
    }

    fn name(&self, start: usize, len: usize) -> Name<'_> {
        let bytes = self.bytes.get(start..start + len).unwrap_or_default();
        Name::parse(bytes).expect("it was a Name when it was put in")
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received")
            .field("id", &self.id)
            .field("from", &self.from())
            .field("mid", &self.mid)
            .field("to", &self.to())
            .field("flags", &self.flags.0)
            .field("kind", &self.kind)
            .field("body", &format_args!("{}", self.body().escape_ascii()))
            .finish()
    }
}

/// The conversation of a delivered message: the group; or whom the user himself wrote to; or who wrote.
pub(crate) fn conversation<'a>(own: Name<'_>, from: Name<'a>, to: Name<'a>) -> Name<'a> {
    if to.is_group() || from == own { to } else { from }
}

fn name_len(name: &str) -> u8 {
    u8::try_from(name.len()).expect("a name has at most 64 bytes")
}
