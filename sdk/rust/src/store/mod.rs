//! What outlives the process: who this client is, what it has not seen acknowledged, what it has seen.
//!
//! A store holds a [`State`] and is told every [`Change`] of it before anything that follows from the change leaves the
//! client. An application with a database of its own implements [`Store`] over it and writes a received message into its own
//! table in the same transaction: then not even a crash between commit and display can lose or double one.

mod encoding;
mod file;
mod memory;
mod state;

pub use crate::dedup::{Seen, SeenKey, Window};
pub use crate::outbox::{Outbox, Waiting};
pub use file::{FileStore, Sync};
pub use memory::{MemoryStore, NoStore};
pub use state::{Ledger, State, Ticket};

use wire::frame::SendFlags;
use wire::limits::STORE_LEN;
use wire::{Counter, DeviceNo, Id, Incarnation, Mid, Name};

use crate::error::StoreError;
use crate::event::Received;

/// Keeps a client's state.
pub trait Store {
    /// What was kept; [`State::default`] when the store is new. Called once, before any commit.
    ///
    /// # Errors
    /// [`StoreError`]: the client is not made.
    fn load(&mut self) -> Result<State, StoreError>;

    /// Keeps one change, all of it or nothing: it must still be there after the process was killed. Whether it must outlive
    /// a power cut too is the store's to say.
    ///
    /// # Errors
    /// [`StoreError`]: the change must then have no effect; the client does nothing that would follow from it, and stops.
    fn commit(&mut self, change: &Change<'_>) -> Result<(), StoreError>;
}

impl<S: Store + ?Sized> Store for &mut S {
    fn load(&mut self) -> Result<State, StoreError> {
        (**self).load()
    }

    fn commit(&mut self, change: &Change<'_>) -> Result<(), StoreError> {
        (**self).commit(change)
    }
}

impl<S: Store + ?Sized> Store for Box<S> {
    fn load(&mut self) -> Result<State, StoreError> {
        (**self).load()
    }

    fn commit(&mut self, change: &Change<'_>) -> Result<(), StoreError> {
        (**self).commit(change)
    }
}

/// One step of a [`State`]; [`State::apply`] is the one place that says what it means. `Debug` shows a ticket: do not log it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change<'a> {
    /// The client takes this incarnation: it has no device number and has sent nothing. Messages of its outbox are numbered
    /// 1, 2, 3… in their order.
    Incarnation(Incarnation),
    /// The home shard gave this number.
    DeviceNo(DeviceNo),
    /// A message to be sent.
    Queued(Queued<'a>),
    /// Every queued message up to and with this one has been offered; those that had not been before are so in this boot.
    Offered {
        /// The highest counter sent.
        through: Counter,
        /// The gateway's boot number.
        boot: u64,
    },
    /// Acknowledged or refused: no longer kept.
    Resolved(Counter),
    /// The last id, without a message.
    LastId(Id),
    /// A message and the cursor behind it, together. It is unread.
    Received {
        /// The message.
        message: &'a Received,
        /// Which sequence of counters it belongs to.
        key: SeenKey<'a>,
    },
    /// A message that came before has a later place, and the last id moves there.
    Moved {
        /// Who sent it.
        from: Name<'a>,
        /// The sender's name for it.
        mid: Mid,
        /// Its new place.
        id: Id,
    },
    /// The application came back for more after the oldest unread message: it is read.
    Read,
    /// WELCOME named the gateway's store. If it is another one than before, the gateway has lost everything: what was received
    /// under the old one says nothing about what comes, and what is not resolved may have arrived then.
    Store([u8; STORE_LEN]),
    /// A resume ticket, or that there is none any more. Whoever reads it can log in as this device: it is kept as a password is.
    Ticket(Option<&'a [u8]>),
}

/// A message to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queued<'a> {
    /// Its number.
    pub counter: Counter,
    /// User or group.
    pub to: Name<'a>,
    /// The application's.
    pub kind: u8,
    /// Without [`SendFlags::EPHEMERAL`].
    pub flags: SendFlags,
    /// Opaque.
    pub body: &'a [u8],
}
