//! Attempts that wait for a hash, in an order that no crowd can spoil. Decides only.
//!
//! There are four classes (`backoff.rs`). While all of them wait, of eight hashes four are for those who are known, two for strangers
//! with nothing against them, one for those who wait for their turn, one for suspects. The last two together never get more than a quarter of
//! the time, not even when nobody else waits: what guessers can make the machine do is bounded, and who comes finds the threads
//! idle or soon free. Within a class, addresses take turns, so that a crowd behind one address is one among others; and where there is
//! no room, the newest attempt of the address that has most gives way to one whose address has fewer.

use std::collections::{HashMap, VecDeque};

use super::backoff::{Class, Who};
use super::meters::Key;

/// The waiting.
pub(crate) struct Queue<T> {
    classes: [Lanes<T>; 4],
    /// Index into [`SCHEDULE`].
    next: usize,
    /// Suspects and those with a turn may go on from then.
    limited_until_us: u64,
    /// What a hash takes, on average.
    hash_us: u64,
    thread_count: u64,
}

/// What waits.
pub(crate) struct Waiting<T> {
    /// Since when.
    pub(crate) since_us: u64,
    /// How it stands.
    pub(crate) class: Class,
    /// Whom it is about.
    pub(crate) who: Who,
    /// The thing itself.
    pub(crate) item: T,
}

/// One class: a lane for each address.
struct Lanes<T> {
    lanes: HashMap<Key, VecDeque<Waiting<T>>>,
    /// Each lane once; who is first is next.
    order: VecDeque<Key>,
    count: usize,
}

impl<T> Queue<T> {
    /// Empty, in front of so many threads.
    pub(crate) fn new(thread_count: u16) -> Queue<T> {
        Queue {
            classes: std::array::from_fn(|_| Lanes::new()),
            next: 0,
            limited_until_us: 0,
            hash_us: FIRST_HASH_US,
            thread_count: u64::from(thread_count),
        }
    }

    /// Waits from now on. Gives what had to give way to it.
    ///
    /// # Errors
    /// Gives it back when the class, the address's lane, or the pair's share of it is full.
    pub(crate) fn push(&mut self, waiting: Waiting<T>) -> Result<Option<T>, T> {
        let count_max = match waiting.class {
            Class::Known | Class::Fresh => {
                CLASS_COUNT_MAX * usize::try_from(self.thread_count).expect("a small number")
            }
            Class::Turn | Class::Suspect => LIMITED_COUNT_MAX,
        };
        self.lanes(waiting.class).push(waiting, count_max)
    }

    /// The next one to be hashed, if one may be.
    pub(crate) fn pop(&mut self, now_us: u64) -> Option<Waiting<T>> {
        let is_limited = now_us < self.limited_until_us;
        for step in 0..SCHEDULE.len() {
            let index = (self.next + step) % SCHEDULE.len();
            let class = SCHEDULE[index];
            if is_limited && is_bounded(class) {
                continue;
            }
            if let Some(waiting) = self.lanes(class).pop() {
                self.next = index + 1;
                return Some(waiting);
            }
        }
        None
    }

    /// A hash for this class begins now.
    pub(crate) fn on_begun(&mut self, class: Class, now_us: u64) {
        if is_bounded(class) {
            let rest_us = self.hash_us * LIMITED_SHARE / self.thread_count;
            self.limited_until_us = self.limited_until_us.max(now_us) + rest_us;
        }
    }

    /// A hash is done; it took so long.
    pub(crate) fn on_done(&mut self, took_us: u64) {
        self.hash_us = (7 * self.hash_us + took_us) / 8;
    }

    /// When to look again, if only such wait that may not go on yet.
    pub(crate) fn next_at(&self) -> Option<u64> {
        let is_waiting = [Class::Turn, Class::Suspect].iter().any(|class| self.classes[*class as usize].count > 0);
        is_waiting.then_some(self.limited_until_us)
    }

    /// How many wait.
    pub(crate) fn count(&self) -> usize {
        self.classes.iter().map(|class| class.count).sum()
    }

    fn lanes(&mut self, class: Class) -> &mut Lanes<T> {
        &mut self.classes[class as usize]
    }
}

impl<T> Lanes<T> {
    fn new() -> Lanes<T> {
        Lanes { lanes: HashMap::new(), order: VecDeque::new(), count: 0 }
    }

    fn push(&mut self, waiting: Waiting<T>, count_max: usize) -> Result<Option<T>, T> {
        let (address, pair) = (waiting.who.address, waiting.who.pair);
        let lane = self.lanes.get(&address);
        let lane_count = lane.map_or(0, VecDeque::len);
        let pair_count = lane.into_iter().flatten().filter(|other| other.who.pair == pair).count();
        if lane_count >= LANE_COUNT_MAX || pair_count >= PAIR_COUNT_MAX {
            return Err(waiting.item);
        }
        let mut displaced = None;
        if self.count >= count_max {
            match self.longest(lane_count + 1) {
                None => return Err(waiting.item),
                Some(lane) => displaced = lane.pop_back().map(|newest| newest.item),
            }
        } else {
            self.count += 1;
        }
        if lane_count == 0 {
            self.order.push_back(address);
        }
        self.lanes.entry(address).or_default().push_back(waiting);
        Ok(displaced)
    }

    /// The longest lane, if it is longer than that. (It does not get empty by one that is taken from it.)
    fn longest(&mut self, len: usize) -> Option<&mut VecDeque<Waiting<T>>> {
        self.lanes.values_mut().max_by_key(|lane| lane.len()).filter(|lane| lane.len() > len)
    }

    fn pop(&mut self) -> Option<Waiting<T>> {
        let address = self.order.pop_front()?;
        let lane = self.lanes.get_mut(&address).expect("what is in the order has a lane");
        let waiting = lane.pop_front().expect("a lane in the order is not empty");
        if lane.is_empty() {
            self.lanes.remove(&address);
        } else {
            self.order.push_back(address);
        }
        self.count -= 1;
        Some(waiting)
    }
}

fn is_bounded(class: Class) -> bool {
    matches!(class, Class::Turn | Class::Suspect)
}

/// Whose turn it is, round and round.
const SCHEDULE: [Class; 8] =
    [Class::Known, Class::Fresh, Class::Known, Class::Turn, Class::Known, Class::Fresh, Class::Known, Class::Suspect];
/// What may wait in a class for each thread: at 20 ms a hash, those at the end are hashed before they give up.
const CLASS_COUNT_MAX: usize = 256;
/// What may wait of those that are bounded.
const LIMITED_COUNT_MAX: usize = 64;
/// What may wait from one address.
const LANE_COUNT_MAX: usize = 64;
/// What may wait from one address for one account.
const PAIR_COUNT_MAX: usize = 4;
/// What a hash is expected to take before there was one.
const FIRST_HASH_US: u64 = 20_000;
/// One in so many of the threads' time is for the bounded classes.
const LIMITED_SHARE: u64 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(class: Class, address: u64, pair: u64, item: u32) -> Waiting<u32> {
        let who = Who { account: Key(0), address: Key(address), pair: Key(pair) };
        Waiting { since_us: 0, class, who, item }
    }

    fn pop_all(queue: &mut Queue<u32>, now_us: u64) -> Vec<u32> {
        std::iter::from_fn(|| queue.pop(now_us).map(|waiting| waiting.item)).collect()
    }

    #[test]
    fn addresses_take_turns() {
        let mut queue = Queue::new(1);
        for item in 0..4 {
            queue.push(waiting(Class::Fresh, 1, u64::from(item), item)).unwrap();
        }
        queue.push(waiting(Class::Fresh, 2, 100, 100)).unwrap();
        queue.push(waiting(Class::Fresh, 3, 200, 200)).unwrap();
        assert_eq!(pop_all(&mut queue, 0), [0, 100, 200, 1, 2, 3]);
    }

    #[test]
    fn each_class_has_its_share() {
        let mut queue = Queue::new(1);
        let classes = [Class::Known, Class::Fresh, Class::Turn, Class::Suspect];
        for (class, number) in classes.into_iter().zip(0..) {
            for address in 0..40 {
                queue.push(waiting(class, address, address, number)).unwrap();
            }
        }
        let first: Vec<_> = (0..40).map(|_| queue.pop(0).unwrap().item).collect();
        let count = |number| first.iter().filter(|item| **item == number).count();
        assert_eq!([count(0), count(1), count(2), count(3)], [20, 10, 5, 5]);
        assert_eq!(pop_all(&mut queue, 0).len(), 120);
    }

    #[test]
    fn suspects_get_a_quarter_of_the_time_even_when_nobody_else_waits() {
        let mut queue = Queue::new(2);
        for address in 0..64 {
            queue.push(waiting(Class::Suspect, address, address, 0)).unwrap();
        }
        let (mut now_us, mut count) = (1_000_000, 0);
        let end_us = now_us + 1_000_000;
        while now_us < end_us {
            if queue.pop(now_us).is_some() {
                count += 1;
                queue.on_begun(Class::Suspect, now_us);
                queue.on_done(20_000);
            }
            now_us = queue.next_at().unwrap_or(end_us).max(now_us + 1);
        }
        // Two threads have two seconds, a quarter of it is 25 hashes of 20 ms.
        assert!((25..=26).contains(&count), "{count}");
    }

    #[test]
    fn who_is_bounded_keeps_nobody_else_waiting() {
        let mut queue = Queue::new(1);
        queue.push(waiting(Class::Suspect, 1, 1, 1)).unwrap();
        queue.push(waiting(Class::Turn, 2, 2, 2)).unwrap();
        queue.push(waiting(Class::Fresh, 3, 3, 3)).unwrap();
        queue.on_begun(Class::Suspect, 0);
        assert_eq!(pop_all(&mut queue, 0), [3]);
        assert_eq!(queue.next_at(), Some(80_000));
        assert_eq!(pop_all(&mut queue, 80_000), [2, 1]);
        assert_eq!(queue.next_at(), None);
    }

    #[test]
    fn idle_time_is_not_saved_up() {
        let mut queue = Queue::<u32>::new(1);
        queue.on_begun(Class::Suspect, 1_000_000);
        queue.on_begun(Class::Suspect, 1_000_000);
        assert_eq!(queue.limited_until_us, 1_160_000);
    }

    #[test]
    fn what_is_full_gives_back() {
        let mut queue = Queue::new(1);
        for item in 0..4 {
            queue.push(waiting(Class::Fresh, 1, 7, item)).unwrap();
        }
        assert_eq!(queue.push(waiting(Class::Fresh, 1, 7, 9)), Err(9), "of one pair");
        for item in 4..64 {
            queue.push(waiting(Class::Fresh, 1, 100 + u64::from(item), item)).unwrap();
        }
        assert_eq!(queue.push(waiting(Class::Fresh, 1, 8, 9)), Err(9), "of one address");
        queue.push(waiting(Class::Known, 1, 8, 9)).unwrap();
    }

    #[test]
    fn in_a_full_class_who_has_most_gives_way_to_who_has_less() {
        let mut queue = Queue::new(1);
        for item in 0..64 {
            queue.push(waiting(Class::Fresh, 1, u64::from(item), item)).unwrap();
        }
        for address in 2..194 {
            assert_eq!(queue.push(waiting(Class::Fresh, address, address, 1_000)), Ok(None));
        }
        assert_eq!(queue.push(waiting(Class::Fresh, 999, 999, 2_000)), Ok(Some(63)));
        assert_eq!(queue.push(waiting(Class::Fresh, 999, 998, 2_001)), Ok(Some(62)));
        assert_eq!(queue.push(waiting(Class::Fresh, 1, 1_000, 2_002)), Err(2_002), "it has most itself");
        let all = pop_all(&mut queue, 0);
        assert_eq!(all.len(), 256);
        assert_eq!((all[0], all[193], all[255]), (0, 2_000, 61));
    }

    #[test]
    fn a_class_full_of_single_attempts_is_full() {
        let mut queue = Queue::new(1);
        for address in 0..256 {
            queue.push(waiting(Class::Fresh, address, address, 0)).unwrap();
        }
        assert_eq!(queue.push(waiting(Class::Fresh, 999, 999, 9)), Err(9));
        queue.push(waiting(Class::Known, 999, 999, 9)).unwrap();
    }
}
