//! What the log tells its owner.

use wire::Id;

use crate::disk::{DiskError, File, Generation};
use crate::record::{Lsn, StoredMessage};

/// Where a message record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// In which segment.
    pub generation: Generation,
    /// At which byte of it.
    pub offset: u32,
    /// So long.
    pub len: u32,
    /// Where in the segment the record of the same inbox before it lies, 0 if there is none.
    pub back: u32,
    /// crc32c of the user's name.
    pub user_crc: u32,
    /// The entry's position in its inbox.
    pub id: Id,
}

/// What the log can do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogState {
    /// Reading what an earlier run left; appends are taken after [`LogEvent::Ready`].
    Recovering,
    /// Everything works.
    Ok,
    /// No space for another segment: messages are refused, what is in the current segment's last room goes to state records.
    Full,
    /// A second segment in a row failed: nothing is written any more.
    ReadOnly,
}

/// Why a record was not taken. None of these leaves a trace: the caller keeps what it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The commit queue is full; room comes with the next [`LogEvent::Durable`].
    #[error("the commit queue is full")]
    QueueFull,
    /// No space left.
    #[error("no space left for the log")]
    NoSpace,
    /// The log is read-only after failures, or still recovering.
    #[error("the log cannot be written")]
    ReadOnly,
}

/// One thing that happened. A list of these is in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogEvent {
    /// Recovery: a message, in the order of the log. The owner answers with `Log::place` for an inbox it keeps.
    FoundMessage {
        /// The user whose inbox it is in.
        user: wire::NameBuf,
        /// What it is (with its body).
        message: StoredMessage,
        /// Where it lies.
        place: Place,
        /// Its number.
        lsn: Lsn,
    },
    /// Recovery: a cursor.
    FoundCursor {
        /// Whose.
        user: wire::NameBuf,
        /// Of which device.
        device_no: wire::DeviceNo,
        /// Up to and with.
        id: Id,
        /// Its number.
        lsn: Lsn,
    },
    /// Recovery: a device.
    FoundDevice {
        /// Whose.
        user: wire::NameBuf,
        /// Its number.
        device_no: wire::DeviceNo,
        /// Its name.
        device: wire::DeviceBuf,
        /// Its incarnation.
        incarnation: wire::Incarnation,
        /// Its cursor when the record was written.
        cursor: Id,
        /// The highest number given to any device of the user by then.
        highest: wire::DeviceNo,
        /// Tickets of proofs given before this are void.
        valid_from_us: u64,
        /// The record's number.
        lsn: Lsn,
    },
    /// Recovery: a device that is gone, or all of them.
    FoundPurge {
        /// Whose.
        user: wire::NameBuf,
        /// Which.
        device_no: wire::DeviceNo,
        /// The highest number given to any device of the user by then.
        highest: wire::DeviceNo,
        /// All devices up to and with `device_no` are gone.
        is_all: bool,
        /// The highest id that any device confirmed by then, or that was deleted.
        confirmed: Id,
        /// Tickets of proofs given before this are void for devices that come later.
        valid_from_us: u64,
        /// The record's number.
        lsn: Lsn,
    },
    /// Recovery is over: everything found is durable, and so are the boot number and the first reservation.
    Ready {
        /// Up by one each time this shard's log was opened for writing.
        boot: u64,
        /// No id at or above this was ever given: ids start here, or above.
        first_free: Id,
        /// Ids below this may be given.
        reserved_below: Id,
    },
    /// Every record up to and with this one is durable, or was refused by an earlier event.
    Durable {
        /// The last of them.
        up_to: Lsn,
    },
    /// These records were not stored and never will be under these numbers: their write or sync failed.
    Refused {
        /// The first of them.
        first: Lsn,
        /// The last of them.
        last: Lsn,
        /// Why.
        error: DiskError,
    },
    /// The answer to `Log::read`: durable entries in ascending order of id.
    Read {
        /// As given.
        token: u64,
        /// The entries; empty when there are none above `after`.
        entries: Vec<StoredMessage>,
        /// Why it ended early, if the disk failed: what is in `entries` is good.
        error: Option<DiskError>,
    },
    /// Ids below this may be given.
    Reserved {
        /// The new bound.
        below: Id,
    },
    /// The oldest segment holds no message that is still wanted. The owner writes again what state it has in records below
    /// this number, waits until that is durable, and calls `Log::reclaim`.
    Reclaimable {
        /// The first number that is not in that segment.
        below: Lsn,
    },
    /// What the log can do has changed.
    State(LogState),
    /// Recovery cut a torn tail: bytes that no one had been told were safe.
    TornTail {
        /// In which file.
        file: File,
        /// From this byte on.
        offset: u64,
    },
    /// Bytes that had been durable are damaged. They are kept, and reading goes on behind them.
    Damage {
        /// In which file.
        file: File,
        /// From this byte on.
        offset: u64,
        /// The records lost, as far as known: first and one past the last.
        lost: (Lsn, Lsn),
    },
    /// The store cannot be used, and this is why; nothing was changed.
    Unusable {
        /// For a person: what is wrong and what helps.
        reason: String,
    },
}
