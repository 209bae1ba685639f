//! What a sender's home remembers of the messages a device has in flight.

use std::collections::VecDeque;

use wire::frame::SafeBy;
use wire::limits::IN_FLIGHT_MAX;
use wire::{Code, Counter, Id};

use crate::envelope::Parcel;

/// What is known of one counter.
#[derive(Debug, Default)]
pub(crate) enum Slot {
    /// Never offered, or forgotten.
    #[default]
    Unknown,
    /// On its way.
    Pending(Pending),
    /// SEND_ACK was, or can be, given.
    Safe { by: SafeBy, self_id: Id },
    /// SEND_NACK was, or can be, given.
    Refused(Code),
}

/// What a message on its way waits for.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    /// When it was sent on its way.
    pub(crate) since_us: u64,
    /// Set once the recipient's entry is safe.
    pub(crate) safe_by: Option<SafeBy>,
    /// The copy for the sender's other devices.
    pub(crate) copy: SelfCopy,
}

/// The way of a self-copy.
#[derive(Debug, Default)]
pub(crate) enum SelfCopy {
    /// The sender has no other device.
    #[default]
    NotNeeded,
    /// The message is to the sender himself: its own entry is the copy.
    IsItself,
    /// To be made once the recipient's shard can no longer refuse.
    Held(Box<Parcel>),
    /// In the sender's inbox, not safe yet.
    Waiting,
    /// Safe, at this position.
    Safe(Id),
}

/// The 64 counters from the lowest unresolved on, of one device. Invariant:
/// `slots.len() <= IN_FLIGHT_MAX`, and `slots[i]` is counter `lowest + i`.
#[derive(Debug)]
pub(crate) struct SendWindow {
    lowest: Counter,
    highest: Counter,
    /// Counters up to here may have been offered to an earlier run.
    offered_before: Counter,
    slots: VecDeque<Slot>,
}

impl Default for SendWindow {
    fn default() -> SendWindow {
        SendWindow { lowest: Counter(1), highest: Counter(0), offered_before: Counter(0), slots: VecDeque::new() }
    }
}

impl SendWindow {
    /// Whether the device has gone back behind what it said before: a store restored from a backup.
    pub(crate) fn knows_more(&self, lowest: Counter, highest: Counter) -> bool {
        self.highest > highest || self.lowest > lowest || self.is_undecided_below(lowest)
    }

    /// The device logged in again and says where it stands.
    pub(crate) fn on_hello(&mut self, lowest: Counter, highest: Counter) {
        self.advance(lowest);
        self.highest = self.highest.max(highest);
        self.offered_before = self.highest;
    }

    /// Whether an earlier run may know this message: then only its recipient's home can tell what became of it.
    pub(crate) fn may_be_known(&self, counter: Counter) -> bool {
        counter <= self.offered_before
    }

    /// Whether something below `lowest` has no outcome yet: then nobody can have heard one.
    fn is_undecided_below(&self, lowest: Counter) -> bool {
        let below = self.index(lowest).unwrap_or(0).min(self.slots.len());
        self.slots.range(..below).any(|slot| matches!(slot, Slot::Pending(_)))
    }

    /// Takes the number of a SEND. `Err` when it is not one the device may use now: below what it called resolved, more
    /// than one above its highest, too far ahead, or calling resolved what has no outcome yet.
    pub(crate) fn take(&mut self, counter: Counter, span: u8) -> Result<&mut Slot, ()> {
        let lowest = Counter(counter.0.checked_sub(u64::from(span)).ok_or(())?);
        if counter < self.lowest || counter.0 > self.highest.0 + 1 || self.is_undecided_below(lowest) {
            return Err(());
        }
        self.advance(lowest);
        if counter.0 - self.lowest.0 >= IN_FLIGHT_MAX {
            return Err(());
        }
        self.highest = self.highest.max(counter);
        let index = self.index(counter).expect("at or above lowest");
        while self.slots.len() <= index {
            self.slots.push_back(Slot::Unknown);
        }
        Ok(&mut self.slots[index])
    }

    /// What is remembered of a counter.
    pub(crate) fn slot_mut(&mut self, counter: Counter) -> Option<&mut Slot> {
        let index = self.index(counter)?;
        self.slots.get_mut(index)
    }

    /// Forgets what the device has heard the outcome of.
    fn advance(&mut self, lowest: Counter) {
        while self.lowest < lowest {
            if self.slots.pop_front().is_none() {
                self.lowest = lowest;
                self.slots = VecDeque::new();
                return;
            }
            self.lowest = self.lowest.next();
        }
    }

    fn index(&self, counter: Counter) -> Option<usize> {
        usize::try_from(counter.0.checked_sub(self.lowest.0)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_go_up_by_one() {
        let mut window = SendWindow::default();
        assert!(window.take(Counter(1), 0).is_ok());
        assert!(window.take(Counter(3), 2).is_err(), "2 was skipped");
        assert!(window.take(Counter(2), 1).is_ok());
        assert!(window.take(Counter(1), 0).is_ok(), "a retry");
    }

    #[test]
    fn what_was_called_resolved_cannot_come_again() {
        let mut window = SendWindow::default();
        window.on_hello(Counter(11), Counter(10));
        assert!(window.take(Counter(10), 0).is_err());
        assert!(window.take(Counter(11), 0).is_ok());
        assert!(window.take(Counter(12), 0).is_ok());
        assert!(window.take(Counter(11), 0).is_err());
    }

    #[test]
    fn at_most_64_are_in_flight() {
        let mut window = SendWindow::default();
        for counter in 1..=64 {
            assert!(window.take(Counter(counter), u8::try_from(counter - 1).unwrap_or(63)).is_ok());
        }
        assert!(window.take(Counter(65), 63).is_ok(), "1 is resolved");
        assert!(window.take(Counter(66), 64).is_err());
    }

    #[test]
    fn a_device_that_went_back_is_noticed() {
        let mut window = SendWindow::default();
        window.on_hello(Counter(6), Counter(5));
        assert!(!window.knows_more(Counter(6), Counter(5)));
        assert!(window.knows_more(Counter(5), Counter(5)), "it had called 5 resolved");
        assert!(window.knows_more(Counter(5), Counter(4)), "it had sent 5");
        *window.take(Counter(6), 0).expect("free") = Slot::Pending(Pending::default());
        assert!(window.knows_more(Counter(7), Counter(6)), "6 has no outcome that it could have heard");
    }

    #[test]
    fn decided_slots_are_remembered_until_resolved() {
        let mut window = SendWindow::default();
        *window.take(Counter(1), 0).expect("free") = Slot::Refused(Code::Blocked);
        assert!(matches!(window.take(Counter(1), 0), Ok(Slot::Refused(Code::Blocked))));
        window.on_hello(Counter(2), Counter(1));
        assert!(window.slot_mut(Counter(1)).is_none());
    }
}
