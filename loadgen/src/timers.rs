//! Whose deadline is next, among many users.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Deadlines of users, each a dense index from 0. Moving a deadline leaves its old entry behind, which is dropped when it comes
/// up: setting a later one costs nothing, an earlier one O(log n).
#[derive(Debug)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(u64, u32)>>,
    /// By user: what is wished; [`NEVER`] for nothing.
    wished: Vec<u64>,
    /// By user: the earliest entry in the heap; at most `wished` unless there is none.
    queued: Vec<u64>,
}

const NEVER: u64 = u64::MAX;

impl Timers {
    pub(crate) fn new(users: usize) -> Timers {
        Timers { heap: BinaryHeap::new(), wished: vec![NEVER; users], queued: vec![NEVER; users] }
    }

    /// The user's deadline from now on; `None` for none. Users outside the range of [`Timers::new`] are not kept.
    pub(crate) fn set(&mut self, user: u32, at: Option<u64>) {
        let at = at.unwrap_or(NEVER);
        let (Some(wished), Some(queued)) = (self.wished.get_mut(user as usize), self.queued.get_mut(user as usize))
        else {
            return;
        };
        *wished = at;
        if at < *queued {
            *queued = at;
            self.heap.push(Reverse((at, user)));
        }
    }

    /// A user whose deadline has passed; it is not set any more.
    pub(crate) fn take_due(&mut self, now: u64) -> Option<u32> {
        while let Some(&Reverse((at, user))) = self.heap.peek() {
            if at > now {
                return None;
            }
            self.heap.pop();
            let wished = self.wished.get_mut(user as usize).expect("only users of the range are queued");
            let queued = self.queued.get_mut(user as usize).expect("only users of the range are queued");
            if at != *queued {
                continue;
            }
            *queued = NEVER;
            if *wished <= now {
                *wished = NEVER;
                return Some(user);
            }
            if *wished != NEVER {
                *queued = *wished;
                self.heap.push(Reverse((*wished, user)));
            }
        }
        None
    }

    /// When to look again: no deadline is before it.
    pub(crate) fn next_at(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_come_in_order_and_not_early() {
        let mut timers = Timers::new(3);
        timers.set(0, Some(30));
        timers.set(1, Some(10));
        timers.set(2, Some(20));
        assert_eq!(timers.take_due(9), None);
        assert_eq!(timers.next_at(), Some(10));
        let order: Vec<_> = std::iter::from_fn(|| timers.take_due(30)).collect();
        assert_eq!(order, [1, 2, 0]);
        assert_eq!(timers.next_at(), None);
    }

    #[test]
    fn a_moved_deadline_counts_once_where_it_is_now() {
        let mut timers = Timers::new(1);
        timers.set(0, Some(10));
        timers.set(0, Some(50));
        timers.set(0, Some(40));
        assert_eq!(timers.take_due(39), None);
        timers.set(0, Some(20));
        assert_eq!(timers.take_due(39), Some(0));
        assert_eq!(timers.take_due(1_000), None);
    }

    #[test]
    fn a_deadline_taken_back_does_not_come() {
        let mut timers = Timers::new(1);
        timers.set(0, Some(10));
        timers.set(0, None);
        assert_eq!(timers.take_due(1_000), None);
        timers.set(0, Some(2_000));
        assert_eq!(timers.take_due(2_000), Some(0));
    }

    #[test]
    fn it_agrees_with_a_naive_model() {
        let mut rng = crate::rng::Rng::new(5);
        let mut timers = Timers::new(16);
        let mut model = [None; 16];
        for now in 0..20_000 {
            let user = rng.below(16);
            let at = (rng.below(4) > 0).then(|| now + u64::from(rng.below(50)));
            timers.set(user, at);
            model[user as usize] = at;
            let mut due: Vec<_> = std::iter::from_fn(|| timers.take_due(now)).collect();
            due.sort_unstable();
            let expected = (0..16u32).filter(|user| model[*user as usize].is_some_and(|at| at <= now));
            assert_eq!(due, expected.collect::<Vec<_>>());
            for user in due {
                model[user as usize] = None;
            }
        }
    }
}
