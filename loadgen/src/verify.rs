//! Whether each message arrived as it was sent: nothing lost, doubled, reordered or changed.
//!
//! A worker sees what its own users send and receive; messages between workers are matched at the end, when the sent and the
//! received halves of all workers come together in [`Totals::of`].

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::body::Body;
use crate::scenario::Scenario;

/// A set of a sender's numbers, a bit each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Numbers(Vec<u64>);

impl Numbers {
    /// Whether it was new.
    pub(crate) fn insert(&mut self, number: u32) -> bool {
        let (word, bit) = (number as usize / 64, 1u64 << (number % 64));
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        let word = self.0.get_mut(word).expect("just made long enough");
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    fn merge(&mut self, other: &Numbers) {
        if other.0.len() > self.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine |= theirs;
        }
    }

    /// How many are in it and not in `other`.
    fn missing_in(&self, other: &Numbers) -> u64 {
        let theirs = other.0.iter().copied().chain(std::iter::repeat(0));
        self.0.iter().zip(theirs).map(|(mine, theirs)| u64::from((mine & !theirs).count_ones())).sum()
    }
}

/// What became of the messages that one user sent.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Sent {
    /// Index of the user.
    pub(crate) sender: u32,
    /// He numbered his messages from 0 up to below this.
    pub(crate) count: u32,
    /// The gateway said they were safe.
    pub(crate) acked: Numbers,
}

/// What the users of one worker received.
#[derive(Debug)]
pub(crate) struct Received {
    /// By index of the sender: his messages that arrived.
    arrived: Vec<Numbers>,
    /// By recipient and sender: the highest number that arrived.
    highest: HashMap<(u32, u32), u32>,
    pub(crate) delivered: u64,
    pub(crate) duplicated: u64,
    pub(crate) reordered: u64,
    pub(crate) corrupted: u64,
}

impl Received {
    pub(crate) fn new(users: u32) -> Received {
        Received {
            arrived: vec![Numbers::default(); users as usize],
            highest: HashMap::new(),
            delivered: 0,
            duplicated: 0,
            reordered: 0,
            corrupted: 0,
        }
    }

    /// The user with index `recipient` was given `bytes` from the user named `from`. Tells what it was if it came for the
    /// first time.
    pub(crate) fn on_message(&mut self, scenario: &Scenario, recipient: u32, from: &str, bytes: &[u8]) -> Option<Body> {
        let whole = Body::read(bytes).filter(|body| {
            body.run == scenario.run
                && body.recipient == recipient
                && bytes.len() == scenario.payload_len
                && scenario.user_index(from) == Some(body.sender)
        });
        let arrived = whole.and_then(|body| Some((body, self.arrived.get_mut(body.sender as usize)?)));
        let Some((body, arrived)) = arrived else {
            self.corrupted += 1;
            return None;
        };
        if !arrived.insert(body.number) {
            self.duplicated += 1;
            return None;
        }
        self.delivered += 1;
        let highest = self.highest.entry((recipient, body.sender)).or_insert(body.number);
        if body.number < *highest {
            self.reordered += 1;
        }
        *highest = body.number.max(*highest);
        Some(body)
    }

    /// By index of the sender: his messages that arrived.
    pub(crate) fn into_arrived(self) -> Vec<Numbers> {
        self.arrived
    }
}

/// What only the halves of all workers together can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Acknowledged and not delivered.
    pub(crate) lost: u64,
    /// Delivered though nobody sent it: its number is above the sender's last.
    pub(crate) unsent: u64,
}

impl Totals {
    /// `arrived` has an entry per worker, each by index of the sender.
    pub(crate) fn of(sent: &[Sent], arrived: &[&[Numbers]]) -> Totals {
        let mut totals = Totals { lost: 0, unsent: 0 };
        for user in sent {
            let mut seen = Numbers::default();
            for worker in arrived {
                if let Some(numbers) = worker.get(user.sender as usize) {
                    seen.merge(numbers);
                }
            }
            totals.lost += user.acked.missing_in(&seen);
            let mut numbered = Numbers::default();
            for number in 0..user.count {
                numbered.insert(number);
            }
            totals.unsent += seen.missing_in(&numbered);
        }
        totals
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Pattern, tests::scenario};

    /// User 0 writes to user 1.
    struct Line {
        scenario: Scenario,
        received: Received,
        sent: Sent,
    }

    impl Line {
        fn new() -> Line {
            Line { scenario: scenario(4, Pattern::Pairs, 0.0), received: Received::new(4), sent: Sent::default() }
        }

        fn send(&mut self) -> Vec<u8> {
            let mut bytes = Vec::new();
            let number = self.sent.count;
            Body { run: 7, intended_ns: 0, sender: 0, recipient: 1, number }.write(100, &mut bytes);
            self.sent.acked.insert(number);
            self.sent.count += 1;
            bytes
        }

        fn deliver(&mut self, bytes: &[u8]) -> Option<Body> {
            self.received.on_message(&self.scenario, 1, "t-0", bytes)
        }

        /// lost, duplicated, reordered, corrupted
        fn counts(self) -> [u64; 4] {
            let Received { duplicated, reordered, corrupted, .. } = self.received;
            let totals = Totals::of(&[self.sent], &[&self.received.into_arrived()]);
            [totals.lost, duplicated, reordered, corrupted + totals.unsent]
        }
    }

    #[test]
    fn an_honest_line_counts_nothing() {
        let mut line = Line::new();
        for _ in 0..1_000 {
            let bytes = line.send();
            assert!(line.deliver(&bytes).is_some());
        }
        assert_eq!(line.received.delivered, 1_000);
        assert_eq!(line.counts(), [0, 0, 0, 0]);
    }

    #[test]
    fn an_acknowledged_message_that_never_comes_is_lost() {
        let mut line = Line::new();
        let messages: Vec<_> = (0..100).map(|_| line.send()).collect();
        for bytes in &messages[..97] {
            line.deliver(bytes);
        }
        assert_eq!(line.counts(), [3, 0, 0, 0]);
    }

    #[test]
    fn a_message_without_an_outcome_is_not_lost() {
        let mut line = Line::new();
        line.send();
        line.sent.count += 1;
        assert_eq!(line.counts(), [1, 0, 0, 0]);
    }

    #[test]
    fn a_message_that_comes_twice_is_duplicated() {
        let mut line = Line::new();
        let bytes = line.send();
        assert!(line.deliver(&bytes).is_some());
        assert!(line.deliver(&bytes).is_none());
        assert_eq!(line.counts(), [0, 1, 0, 0]);
    }

    #[test]
    fn a_message_overtaken_by_a_later_one_is_reordered() {
        let mut line = Line::new();
        let [first, second, third] = [line.send(), line.send(), line.send()];
        for bytes in [&first, &third, &second] {
            line.deliver(bytes);
        }
        assert_eq!(line.counts(), [0, 0, 1, 0]);
    }

    #[test]
    fn order_is_per_conversation() {
        let mut line = Line::new();
        let [first, second] = [line.send(), line.send()];
        line.deliver(&second);
        let mut elsewhere = Body::read(&first).unwrap();
        elsewhere.recipient = 2;
        let mut bytes = Vec::new();
        elsewhere.write(100, &mut bytes);
        assert!(line.received.on_message(&line.scenario, 2, "t-0", &bytes).is_some());
        assert_eq!(line.counts(), [0, 0, 0, 0]);
    }

    #[test]
    fn a_message_that_is_not_what_was_sent_is_corrupted() {
        let mut line = Line::new();
        let good = line.send();
        let mut changed = good.clone();
        changed[60] ^= 1;
        assert!(line.deliver(&changed).is_none());
        assert!(line.deliver(&good[..99]).is_none());
        assert!(line.received.on_message(&line.scenario, 2, "t-0", &good).is_none(), "of another user");
        assert!(line.received.on_message(&line.scenario, 1, "t-3", &good).is_none(), "from another user");
        line.scenario.run = 8;
        assert!(line.deliver(&good).is_none(), "of another run");
        assert_eq!(line.counts(), [1, 0, 0, 5]);
    }

    #[test]
    fn a_message_nobody_sent_is_corrupted() {
        let mut line = Line::new();
        let bytes = line.send();
        line.deliver(&bytes);
        line.sent = Sent::default();
        assert_eq!(line.counts(), [0, 0, 0, 1]);
    }

    #[test]
    fn halves_of_different_workers_come_together() {
        let (mut acked, mut one, mut two) = (Numbers::default(), Numbers::default(), Numbers::default());
        for number in 0..200 {
            acked.insert(number);
            if number % 3 == 0 { &mut one } else { &mut two }.insert(number);
        }
        let sent = [Sent { sender: 1, count: 200, acked }];
        let empty = Numbers::default();
        let arrived: [&[Numbers]; 2] = [&[empty.clone(), one], &[empty, two]];
        assert_eq!(Totals::of(&sent, &arrived), Totals { lost: 0, unsent: 0 });
        assert_eq!(Totals::of(&sent, &arrived[..1]), Totals { lost: 133, unsent: 0 });
    }
}
