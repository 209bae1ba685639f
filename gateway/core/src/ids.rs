//! Ids of one shard: `max(clock, last + 1)`, always inside a reservation that is durable before it is used.
//!
//! As in Redis Streams an id is a time and a position in one. Theirs repeat if the clock is set back over a restart; the
//! reservation, kept ahead of the clock in the superblock, is what ours has more.

use wire::Id;

/// Gives ids. Invariant: `last < reserved_below`, and no id is given twice, not even by another run of the process.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    last: u64,
    reserved_below: u64,
    reserve_us: u64,
}

impl Ids {
    /// A source that gives nothing until its first reservation.
    pub(crate) fn new(reserve_us: u64) -> Ids {
        Ids { last: 0, reserved_below: 0, reserve_us }
    }

    /// Recovery found this reservation: ids start at `first_free` or above.
    pub(crate) fn start(&mut self, first_free: Id, reserved_below: Id) {
        self.last = self.last.max(first_free.0.saturating_sub(1));
        self.reserved_below = reserved_below.0;
    }

    /// A longer reservation is durable.
    pub(crate) fn extend(&mut self, reserved_below: Id) {
        self.reserved_below = self.reserved_below.max(reserved_below.0);
    }

    /// The next id, or none when the reservation is used up because it could not be extended.
    ///
    /// The last quarter of the reservation is counted through one by one: a disk that stops for a while then costs the
    /// ids their nearness to the clock, not their being given.
    pub(crate) fn next(&mut self, wall_us: u64) -> Option<Id> {
        let by_clock = self.last.saturating_add(1).max(wall_us);
        let margin = self.reserve_us / 4;
        let id = if by_clock.saturating_add(margin) < self.reserved_below { by_clock } else { self.last + 1 };
        (id < self.reserved_below).then(|| {
            self.last = id;
            Id(id)
        })
    }

    /// Whether [`Ids::next`] has something to give.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.last + 1 >= self.reserved_below
    }

    /// What to reserve now, when less than half of the reservation lies ahead.
    pub(crate) fn wanted(&self, wall_us: u64) -> Option<Id> {
        let at = self.last.max(wall_us);
        let ahead = self.reserved_below.saturating_sub(at);
        (ahead < self.reserve_us / 2).then(|| Id(at + self.reserve_us))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids() -> Ids {
        let mut ids = Ids::new(1_000);
        ids.start(Id(5_000), Id(6_000));
        ids
    }

    #[test]
    fn ids_follow_the_clock_and_never_repeat() {
        let mut ids = ids();
        assert_eq!(ids.next(5_100), Some(Id(5_100)));
        assert_eq!(ids.next(5_100), Some(Id(5_101)));
        assert_eq!(ids.next(10), Some(Id(5_102)), "the clock was set back");
    }

    #[test]
    fn a_restart_begins_above_the_reservation() {
        assert_eq!(ids().next(0), Some(Id(5_000)));
    }

    #[test]
    fn a_stopped_disk_leaves_a_quarter_to_count_through() {
        let mut ids = ids();
        assert_eq!(ids.next(5_700), Some(Id(5_700)));
        assert_eq!(ids.next(9_000), Some(Id(5_701)));
        assert_eq!((5_702..6_000).filter(|_| ids.next(9_000).is_some()).count(), 298);
        assert!(ids.is_exhausted());
        assert_eq!(ids.next(9_000), None);
        ids.extend(Id(20_000));
        assert_eq!(ids.next(9_000), Some(Id(9_000)));
    }

    #[test]
    fn more_is_wanted_when_half_is_used() {
        let ids = ids();
        assert_eq!(ids.wanted(5_400), None);
        assert_eq!(ids.wanted(5_600), Some(Id(6_600)));
    }
}
