//! A coarse timer wheel: one slot a second, one entry a connection.
//!
//! Hashed timing wheels after Varghese and Lauck (1987), scheme 6, made lazy: hearing from a connection only stores a time in
//! its session, and when its slot comes round the entry moves on to the slot of its real deadline.

use crate::event::ConnId;

/// Slots. The longest deadline, 1.5 × 1,680 s + 10 s, fits in one round.
const SLOT_COUNT: usize = 4096;
const SLOT_US: u64 = 1_000_000;

/// When to look at which connection. Cost: 8 bytes a connection; a second's slot is handled at once.
#[derive(Debug)]
pub(crate) struct Wheel {
    slots: Vec<Vec<ConnId>>,
    /// The slot that is handled next, counted from the clock's zero.
    next_slot: u64,
    count: usize,
}

impl Wheel {
    pub(crate) fn new() -> Wheel {
        Wheel { slots: vec![Vec::new(); SLOT_COUNT], next_slot: 0, count: 0 }
    }

    /// Looks at the connection when `deadline_us` has passed, at most a second late; beyond the wheel's round, early.
    pub(crate) fn insert(&mut self, now_us: u64, deadline_us: u64, conn: ConnId) {
        if self.count == 0 {
            self.next_slot = self.next_slot.max(now_us / SLOT_US);
        }
        let wanted = deadline_us / SLOT_US + 1;
        let slot = wanted.clamp(self.next_slot, self.next_slot + SLOT_COUNT as u64 - 1);
        self.slot_mut(slot).push(conn);
        self.count += 1;
    }

    /// Takes a connection whose slot has come, if there is one.
    pub(crate) fn pop_due(&mut self, now_us: u64) -> Option<ConnId> {
        while self.count > 0 && self.next_slot <= now_us / SLOT_US {
            let slot = self.next_slot;
            if let Some(conn) = self.slot_mut(slot).pop() {
                self.count -= 1;
                return Some(conn);
            }
            // Give back what a crowded second needed.
            *self.slot_mut(slot) = Vec::new();
            self.next_slot += 1;
        }
        None
    }

    /// When [`Wheel::pop_due`] may have something.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        (self.count > 0).then_some(self.next_slot * SLOT_US)
    }

    fn slot_mut(&mut self, slot: u64) -> &mut Vec<ConnId> {
        let index = usize::try_from(slot % SLOT_COUNT as u64).expect("below SLOT_COUNT");
        &mut self.slots[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conn(index: u32) -> ConnId {
        ConnId { index, generation: 1 }
    }

    #[test]
    fn a_connection_comes_up_after_its_deadline_and_once() {
        let mut wheel = Wheel::new();
        wheel.insert(0, 3_500_000, conn(1));
        assert_eq!(wheel.pop_due(3_999_999), None);
        assert_eq!(wheel.pop_due(4_000_000), Some(conn(1)));
        assert_eq!(wheel.pop_due(9_000_000), None);
        assert_eq!(wheel.next_deadline(), None);
    }

    #[test]
    fn one_pass_takes_all_that_is_due_however_late() {
        let mut wheel = Wheel::new();
        for index in 0..100 {
            wheel.insert(0, u64::from(index) * 100_000, conn(index));
        }
        let mut due = 0;
        while wheel.pop_due(60_000_000).is_some() {
            due += 1;
        }
        assert_eq!(due, 100);
    }

    #[test]
    fn a_deadline_beyond_the_round_comes_up_early_not_late() {
        let mut wheel = Wheel::new();
        wheel.insert(0, 10_000 * SLOT_US, conn(1));
        assert_eq!(wheel.pop_due(4_096 * SLOT_US), Some(conn(1)));
    }
}
