//! A client's state, and the meaning of every change of it.

use std::collections::VecDeque;
use std::fmt;

use wire::limits::STORE_LEN;
use wire::{Counter, DeviceNo, Id, Incarnation};

use super::Change;
use crate::dedup::Seen;
use crate::event::Received;
use crate::outbox::{Outbox, Waiting};

/// Everything that outlives the process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// What the client works with.
    pub ledger: Ledger,
    /// Messages that are committed and that the application has not dealt with, oldest first.
    pub unread: VecDeque<Received>,
}

/// Who this client is, what it has not seen resolved, what it has seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ledger {
    /// None: the store is new.
    pub incarnation: Option<Incarnation>,
    /// None until a WELCOME of this incarnation.
    pub device_no: Option<DeviceNo>,
    /// The highest counter ever offered in this incarnation: what waits above it was never offered in it.
    pub highest_sent: Counter,
    /// The highest place of a message that is committed here.
    pub last_id: Id,
    /// What is neither accepted nor refused.
    pub outbox: Outbox,
    /// What came.
    pub seen: Seen,
    /// The gateway's store that all this goes back to, once a WELCOME named it.
    pub store: Option<[u8; STORE_LEN]>,
    /// From the last WELCOME, for the next HELLO: as good as a password for this device. `Debug` does not show it.
    pub ticket: Option<Ticket>,
}

/// A resume ticket. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket(pub Box<[u8]>);

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ticket({} bytes)", self.0.len())
    }
}

impl State {
    /// Carries out one change: [`Ledger::apply`], and the list of unread messages.
    pub fn apply(&mut self, change: &Change<'_>) {
        self.ledger.apply(change);
        match change {
            Change::Received { message, .. } => self.unread.push_back((*message).clone()),
            Change::Read => drop(self.unread.pop_front()),
            Change::Moved { from, mid, id } => {
                let is_moved = |unread: &&mut Received| unread.mid == *mid && unread.from() == *from;
                if let Some(unread) = self.unread.iter_mut().find(is_moved) {
                    unread.id = *id;
                }
            }
            _ => {}
        }
    }
}

impl Ledger {
    /// Carries out one change. O(log n) in conversations and waiting messages, besides copies of content.
    pub fn apply(&mut self, change: &Change<'_>) {
        match *change {
            Change::Incarnation(incarnation) => {
                self.incarnation = Some(incarnation);
                self.device_no = None;
                self.highest_sent = Counter(0);
                self.outbox.renumber();
            }
            Change::DeviceNo(device_no) => {
                if self.device_no.is_some_and(|before| before != device_no) {
                    self.outbox.rename();
                }
                self.device_no = Some(device_no);
            }
            Change::Queued(queued) => self.outbox.push(Waiting::new(&queued, 0)),
            Change::Offered { through, boot } => {
                self.highest_sent = self.highest_sent.max(through);
                self.outbox.offered(through, boot);
            }
            Change::Resolved(counter) => drop(self.outbox.resolve(counter)),
            Change::LastId(id) => self.last_id = id,
            Change::Received { message, key } => {
                self.last_id = self.last_id.max(message.id);
                self.seen.insert(&key, message.mid.counter());
            }
            Change::Moved { id, .. } => self.last_id = self.last_id.max(id),
            Change::Read => {}
            Change::Store(store) => {
                if self.store.is_some_and(|before| before != store) {
                    // Ids, boots and devices of another store mean nothing in this one.
                    self.last_id = Id::NONE;
                    self.seen = Seen::default();
                    self.outbox.rename();
                    self.device_no = None;
                }
                self.store = Some(store);
            }
            Change::Ticket(ticket) => self.ticket = ticket.map(|bytes| Ticket(bytes.into())),
        }
    }

    /// HELLO's lowest unresolved: one above the highest sent when all are resolved.
    pub fn lowest_unresolved(&self) -> Counter {
        match self.outbox.first() {
            Some(first) => first.counter,
            None => self.highest_sent.next(),
        }
    }

    /// The number of the next message.
    pub fn next_counter(&self) -> Counter {
        match self.outbox.last() {
            Some(last) => last.counter.max(self.highest_sent).next(),
            None => self.highest_sent.next(),
        }
    }
}
