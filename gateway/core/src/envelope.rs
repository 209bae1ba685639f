//! What passes between shards.

use wire::frame::{Deliver, SafeBy, Send, SendFlags};
use wire::{Code, DeviceNo, Id, Mid, Name};

/// Classes of lanes, in order: handling an envelope of one class may produce only envelopes of a later class, so no two
/// shards can wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LaneClass {
    /// From a sender's home to where the message goes.
    FirstHop = 0,
    /// From a group's home to its members' homes.
    FanOut = 1,
    /// Back to the sender's home.
    Outcome = 2,
}

/// A message on its way, in one allocation that moves with it from the sender's shard into the recipient's inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    /// The sender's name for it.
    pub mid: Mid,
    /// As sent.
    pub flags: SendFlags,
    /// As sent.
    pub kind: u8,
    /// Length of the sender's name in `bytes`.
    pub from_len: u8,
    /// Length of the addressee's name in `bytes`.
    pub to_len: u8,
    /// from, to, body.
    pub bytes: Box<[u8]>,
}

/// A user of one shard, by that shard's own dense number; it lasts as long as the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserRef(pub u32);

/// One thing one shard tells another.
///
/// Lost: cannot be, within a process. Late: a sender waits longer. Twice: cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Envelope {
    /// A message for a user of the receiving shard.
    Message {
        /// Whom the outcome is for.
        origin: UserRef,
        /// Whether the sender wants to hear of acceptance before safety, because other devices wait for their copy.
        wants_accepted: bool,
        /// The message.
        parcel: Parcel,
    },
    /// An ephemeral message: no outcome.
    Ephemeral {
        /// The message.
        parcel: Parcel,
    },
    /// So many ephemeral messages have left the lane: what comes free of the bound on it. At most one a turn.
    Taken {
        /// Messages.
        count: u32,
        /// Bytes of their parcels.
        len: u32,
    },
    /// What became of a message.
    Outcome {
        /// As in the message.
        origin: UserRef,
        /// As in the message.
        mid: Mid,
        /// The room on the lane that comes free with it, in bytes of the parcel: once a message.
        room: Option<u32>,
        /// What became of it.
        outcome: Outcome,
    },
}

/// What became of a message at the recipient's home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It can no longer be refused; safety follows.
    Accepted,
    /// The disk takes nothing now: it waits where it is, and not on the lane. Safety follows when the disk, or the last
    /// device, allows.
    Held,
    /// It is safe; nothing follows.
    Safe {
        /// How.
        by: SafeBy,
        /// Its position in the recipient's inbox: the sender's own when he wrote to himself.
        id: Id,
    },
    /// It was refused before anybody saw it; nothing follows.
    Refused(Code),
}

impl Parcel {
    /// The DELIVER that carries it, with this position in the inbox.
    pub fn deliver(&self, id: Id) -> Deliver<'_> {
        let (from, to, body) = split(&self.bytes, self.from_len, self.to_len);
        Deliver { id, mid: self.mid, flags: self.flags, kind: self.kind, from, to, body }
    }

    /// Whether this device of this user sent it.
    pub fn is_from(&self, user: &str, device_no: DeviceNo) -> bool {
        self.mid.device_no() == device_no && self.bytes.get(..usize::from(self.from_len)) == Some(user.as_bytes())
    }

    /// The sender.
    pub fn from(&self) -> Name<'_> {
        split(&self.bytes, self.from_len, self.to_len).0
    }

    /// The addressee.
    pub fn to(&self) -> Name<'_> {
        split(&self.bytes, self.from_len, self.to_len).1
    }

    /// Packs a SEND of `from`.
    pub fn pack(from: Name<'_>, send: &Send<'_>) -> Parcel {
        let (name, to) = (from.as_str().as_bytes(), send.to.as_str().as_bytes());
        let mut bytes = Vec::with_capacity(name.len() + to.len() + send.body.len());
        for part in [name, to, send.body] {
            bytes.extend_from_slice(part);
        }
        let len = |bytes: &[u8]| u8::try_from(bytes.len()).expect("names are short");
        Parcel {
            mid: send.mid,
            flags: send.flags,
            kind: send.kind,
            from_len: len(name),
            to_len: len(to),
            bytes: bytes.into_boxed_slice(),
        }
    }

    /// Bytes it counts for in the bound on a lane.
    pub fn size(&self) -> u32 {
        u32::try_from(self.bytes.len()).expect("a frame is shorter than 16 MiB")
    }
}

/// Takes from, to and body apart. The names were checked when they came.
pub(crate) fn split(bytes: &[u8], from_len: u8, to_len: u8) -> (Name<'_>, Name<'_>, &[u8]) {
    let (from, rest) = bytes.split_at(usize::from(from_len));
    let (to, body) = rest.split_at(usize::from(to_len));
    let name = |bytes| Name::parse(bytes).expect("checked before it was packed");
    (name(from), name(to), body)
}

impl Envelope {
    /// The class of lane it travels in.
    pub fn class(&self) -> LaneClass {
        match self {
            Envelope::Message { .. } | Envelope::Ephemeral { .. } => LaneClass::FirstHop,
            Envelope::Outcome { .. } | Envelope::Taken { .. } => LaneClass::Outcome,
        }
    }

    /// About how many bytes it holds, for bounds on bytes.
    pub fn size(&self) -> usize {
        let heap = match self {
            Envelope::Message { parcel, .. } | Envelope::Ephemeral { parcel } => parcel.bytes.len(),
            Envelope::Outcome { .. } | Envelope::Taken { .. } => 0,
        };
        size_of::<Envelope>() + heap
    }
}
