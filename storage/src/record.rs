//! What a record says. How it is laid out on disk is in `docs/storage.md`.

use wire::frame::SendFlags;
use wire::{Device, DeviceNo, Id, Incarnation, Mid, Name};

/// Tells one store from every other; 16 random bytes from when it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreId(pub [u8; 16]);

/// A record's number in its shard's log: up by one per record, for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lsn(pub u64);

/// A dense number for an inbox, given by the caller for as long as the process runs; never on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InboxNo(pub u32);

/// An entry of an inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Whose inbox.
    pub user: Name<'a>,
    /// Its position there.
    pub id: Id,
    /// The sender.
    pub from: Name<'a>,
    /// The user, a group, or, when `from` is the user, whom he wrote to.
    pub to: Name<'a>,
    /// The sender's name for it.
    pub mid: Mid,
    /// As sent.
    pub flags: SendFlags,
    /// As sent.
    pub kind: u8,
    /// As sent.
    pub body: &'a [u8],
}

/// A [`Message`] that owns its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMessage {
    /// Its position in the inbox.
    pub id: Id,
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
    /// from, to, body: the tail of DELIVER.
    pub bytes: Box<[u8]>,
}

/// What the log keeps. Message records die when the inbox is released beyond them; the others are the caller's to
/// write again before their segment is reclaimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record<'a> {
    /// An entry of an inbox.
    Message(Message<'a>),
    /// A device confirmed everything up to `id`. Never forces a sync: it rides with the next batch.
    Cursor {
        /// Whose device.
        user: Name<'a>,
        /// Which.
        device_no: DeviceNo,
        /// Up to and with.
        id: Id,
    },
    /// A device as it is now: registered, or written again. Replaces what was known of that `device_no`, and of an older
    /// device of the same name.
    Device {
        /// Whose device.
        user: Name<'a>,
        /// Its number.
        device_no: DeviceNo,
        /// Its name.
        device: Device<'a>,
        /// Its incarnation.
        incarnation: Incarnation,
        /// Its cursor.
        cursor: Id,
        /// The highest number given to any device of the user so far.
        highest: DeviceNo,
        /// Tickets of proofs given before this are void, in microseconds since 1970.
        valid_from_us: u64,
    },
    /// A device is gone, or all of them.
    Purge {
        /// Whose device.
        user: Name<'a>,
        /// Which; 0 says only what the other fields say.
        device_no: DeviceNo,
        /// The highest number given to any device of the user so far.
        highest: DeviceNo,
        /// The account is deleted: all devices up to and with `device_no` are gone, and nobody wants what is in the inbox up to
        /// `confirmed`.
        is_all: bool,
        /// The highest id that any device of the user confirmed, or that was deleted.
        confirmed: Id,
        /// Tickets of proofs given before this are void for every device that comes later, in microseconds since 1970.
        valid_from_us: u64,
    },
}
