//! What passes between shards.

use wire::frame::{SafeBy, SendFlags};
use wire::{Code, Id, Mid};

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

/// Where an outcome goes: a user of a shard, as that shard numbers its users. A number used again has another generation,
/// and an outcome for a user that was forgotten is dropped: the sender's retry asks again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserRef {
    /// Place in the shard's slab of users.
    pub index: u32,
    /// Which use of it.
    pub generation: u32,
}

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
    /// What became of a message.
    Outcome {
        /// As in the message.
        origin: UserRef,
        /// As in the message.
        mid: Mid,
        /// Bytes of the parcel: what comes free of the bound on the lane.
        len: u32,
        /// What became of it.
        outcome: Outcome,
    },
}

/// What became of a message at the recipient's home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It can no longer be refused; safety follows.
    Accepted,
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

impl Envelope {
    /// The class of lane it travels in.
    pub fn class(&self) -> LaneClass {
        match self {
            Envelope::Message { .. } | Envelope::Ephemeral { .. } => LaneClass::FirstHop,
            Envelope::Outcome { .. } => LaneClass::Outcome,
        }
    }

    /// About how many bytes it holds, for bounds on bytes.
    pub fn size(&self) -> usize {
        let heap = match self {
            Envelope::Message { parcel, .. } | Envelope::Ephemeral { parcel } => parcel.bytes.len(),
            Envelope::Outcome { .. } => 0,
        };
        size_of::<Envelope>() + heap
    }
}
