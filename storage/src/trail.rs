//! Where the messages of one inbox lie in one segment, as far as links were followed: so that a long backlog, which is read in
//! steps from its old end, is walked about twice and not once per step.

use std::collections::VecDeque;

use wire::Id;

use crate::disk::Generation;
use crate::index::Group;

/// The nearest messages to read, at most so many.
const RUN_COUNT_MAX: usize = 4096;
/// Of those beyond, every so manieth is remembered.
const MARK_EVERY: u32 = 1024;

/// Offsets gathered by following links from newer to older.
#[derive(Debug, Clone)]
pub(crate) struct Trail {
    generation: Generation,
    /// The first message of the group.
    first: Id,
    /// Everything of the inbox and segment above `floor` up to the last of these; ascending.
    run: VecDeque<(Id, u32)>,
    floor: Id,
    /// Some of the messages above `run`; descending.
    marks: Vec<(Id, u32)>,
    dropped_count: u32,
}

impl Trail {
    pub(crate) fn new(group: &Group) -> Trail {
        let (generation, first) = (group.generation, group.first_id);
        Trail { generation, first, run: VecDeque::new(), floor: Id(u64::MAX), marks: Vec::new(), dropped_count: 0 }
    }

    /// Whether it leads through this group.
    pub(crate) fn is_of(&self, group: &Group) -> bool {
        (self.generation, self.first) == (group.generation, group.first_id)
    }

    /// The first message above `after`, if the trail is sure of it.
    pub(crate) fn first_above(&mut self, after: Id) -> Option<u32> {
        if after < self.floor {
            return None;
        }
        while let Some(&(id, offset)) = self.run.front() {
            if id > after {
                return Some(offset);
            }
            self.floor = id;
            self.run.pop_front();
        }
        None
    }

    /// Begins to follow links down to `after`, and answers from which message: the lowest one known above it, or the `last` of all.
    pub(crate) fn restart(&mut self, after: Id, last: (Id, u32)) -> (Id, u32) {
        self.run.clear();
        self.floor = Id(u64::MAX);
        self.dropped_count = 0;
        while self.marks.last().is_some_and(|(id, _)| *id <= after) {
            self.marks.pop();
        }
        self.marks.last().copied().unwrap_or(last)
    }

    /// The next older message.
    pub(crate) fn push(&mut self, id: Id, offset: u32) {
        self.run.push_front((id, offset));
        if self.run.len() > RUN_COUNT_MAX
            && let Some(dropped) = self.run.pop_back()
        {
            if self.dropped_count.is_multiple_of(MARK_EVERY) && self.marks.last().is_none_or(|mark| dropped.0 < mark.0)
            {
                self.marks.push(dropped);
            }
            self.dropped_count += 1;
        }
    }

    /// The walk arrived: the run begins right above `after`.
    pub(crate) fn arrive(&mut self, after: Id) {
        self.floor = after;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.run.is_empty() && self.marks.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNT: u64 = 20_000;

    fn group() -> Group {
        let generation = Generation(1);
        Group { generation, last_offset: offset(COUNT), first_id: Id(1), last_id: Id(COUNT), count: 20_000 }
    }

    fn offset(id: u64) -> u32 {
        u32::try_from(id * 10).unwrap()
    }

    /// Follows the links from where the trail says down to `after`; answers how many it followed.
    fn walk(trail: &mut Trail, after: u64) -> u64 {
        let (start, found) = trail.restart(Id(after), (Id(COUNT), offset(COUNT)));
        assert_eq!(found, offset(start.0));
        for id in (after + 1..=start.0).rev() {
            trail.push(Id(id), offset(id));
        }
        trail.arrive(Id(after));
        start.0 - after
    }

    #[test]
    fn a_whole_backlog_is_walked_about_twice() {
        let mut trail = Trail::new(&group());
        let mut walked = 0;
        for after in 0..COUNT {
            let next = match trail.first_above(Id(after)) {
                Some(offset) => offset,
                None => {
                    walked += walk(&mut trail, after);
                    trail.first_above(Id(after)).unwrap()
                }
            };
            assert_eq!(next, offset(after + 1));
            assert!(trail.run.len() <= RUN_COUNT_MAX);
        }
        assert!(walked <= 2 * COUNT + u64::from(MARK_EVERY) * 20, "{walked}");
    }

    #[test]
    fn a_reader_further_behind_is_not_answered_from_where_another_one_is() {
        let mut trail = Trail::new(&group());
        walk(&mut trail, 500);
        assert_eq!(trail.first_above(Id(700)), Some(offset(701)));
        assert_eq!(trail.first_above(Id(500)), None);
        walk(&mut trail, 100);
        assert_eq!(trail.first_above(Id(100)), Some(offset(101)));
    }
}
