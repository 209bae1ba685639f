//! Leaky buckets for any number of keys, in memory of a fixed size.
//!
//! A bucket is one number, as in the generic cell rate algorithm (ITU-T I.371): the time at which everything charged so far will
//! have leaked out. A key has one cell in each of four rows, at places that a keyed hash chooses, and the smallest of the four is
//! its bucket: a count-min sketch (Cormode and Muthukrishnan, 2005) with conservative update (Estan and Varghese, 2002), whose
//! cells hold such times instead of counts.
//!
//! So nothing is ever thrown out to make room, and nobody can have his own record thrown out. What can go wrong is that
//! a key looks fuller than it is, when all four cells are shared with fuller ones. What fills a cell is a charge, a charge needs a
//! hash to be computed, and hashes are computed at a bounded rate: with the numbers of `backoff.rs`, a pool that does
//! nothing but wrong guesses keeps some 24,000 charges alive in rows of 65,536 cells for each thread, one or two in most that are
//! hit at all, where it takes six in all four to refuse an innocent.

/// Buckets of one kind.
pub(crate) struct Meters {
    /// Four rows, one behind the other: when the bucket is empty again, in µs.
    cells: Vec<u64>,
    row_bits: u32,
    rate: Rate,
}

/// How fast a bucket leaks, and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    /// One charge leaks out in this time.
    pub(crate) interval_us: u64,
    /// So many charges fit.
    pub(crate) burst: u64,
}

/// A keyed hash of whatever the bucket is for. Secret: who knows it could choose names that share cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key(pub(crate) u64);

impl Meters {
    /// All empty; rows of `2^row_bits` cells. The memory is touched only where it is used.
    pub(crate) fn new(row_bits: u32, rate: Rate) -> Meters {
        Meters { cells: vec![0; ROW_MULTIPLIERS.len() << row_bits], row_bits, rate }
    }

    /// When one more charge fits; not after `now_us` if it fits now.
    pub(crate) fn fits_at(&self, key: Key) -> u64 {
        self.empty_at(key).saturating_sub((self.rate.burst - 1) * self.rate.interval_us)
    }

    /// How many charges are in the bucket, the last one perhaps in part.
    pub(crate) fn level(&self, key: Key, now_us: u64) -> u64 {
        self.empty_at(key).saturating_sub(now_us).div_ceil(self.rate.interval_us)
    }

    /// One more, whether it fits or not.
    pub(crate) fn charge(&mut self, key: Key, now_us: u64) {
        let full = self.empty_at(key).max(now_us) + self.rate.interval_us;
        for place in self.places(key) {
            let cell = self.cell(place);
            *cell = full.max(*cell);
        }
    }

    fn empty_at(&self, key: Key) -> u64 {
        let places = self.places(key);
        places.into_iter().filter_map(|place| self.cells.get(place)).copied().min().unwrap_or(0)
    }

    fn places(&self, key: Key) -> [usize; 4] {
        let mut row = 0;
        ROW_MULTIPLIERS.map(|multiplier| {
            let column = key.0.wrapping_mul(multiplier) >> (u64::BITS - self.row_bits);
            let place = (row << self.row_bits) | usize::try_from(column).expect("fewer bits than a usize has");
            row += 1;
            place
        })
    }

    fn cell(&mut self, place: usize) -> &mut u64 {
        self.cells.get_mut(place).expect("a row, and a column within it")
    }
}

/// Odd, otherwise any: the fractional parts of the square roots of 2, 3, 5 and 7.
const ROW_MULTIPLIERS: [u64; 4] =
    [0x6a09_e667_f3bc_c909, 0xbb67_ae85_84ca_a73b, 0x3c6e_f372_fe94_f82b, 0xa54f_f53a_5f1d_36f1];

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};

    use super::*;

    const RATE: Rate = Rate { interval_us: 10, burst: 3 };

    fn meters() -> Meters {
        Meters::new(10, RATE)
    }

    #[test]
    fn a_burst_fits_and_then_one_in_each_interval() {
        let (mut meters, key, mut now) = (meters(), Key(1), 1_000);
        for _ in 0..RATE.burst {
            assert!(meters.fits_at(key) <= now);
            meters.charge(key, now);
        }
        for _ in 0..5 {
            assert_eq!(meters.fits_at(key), now + RATE.interval_us);
            now += RATE.interval_us;
            meters.charge(key, now);
        }
        assert_eq!(meters.level(key, now), RATE.burst);
    }

    #[test]
    fn a_bucket_that_was_left_alone_is_empty() {
        let (mut meters, key) = (meters(), Key(1));
        for _ in 0..RATE.burst {
            meters.charge(key, 1_000);
        }
        assert_eq!(meters.level(key, 1_000 + 2 * RATE.interval_us), 1);
        assert_eq!(meters.level(key, 1_000 + 3 * RATE.interval_us), 0);
        assert_eq!(meters.level(key, 1_000_000), 0);
    }

    #[test]
    fn a_bucket_never_looks_emptier_than_it_is() {
        let mut meters = meters();
        let hasher = RandomState::new();
        let key = |number: u64| Key(hasher.hash_one(number));
        meters.charge(key(0), 1_000);
        meters.charge(key(0), 1_000);
        // More keys than cells.
        for number in 1..20_000 {
            meters.charge(key(number), 1_000);
        }
        assert!(meters.level(key(0), 1_000) >= 2);
    }

    #[test]
    fn few_charges_leave_the_other_keys_alone() {
        let mut meters = meters();
        let hasher = RandomState::new();
        for number in 0..100u64 {
            meters.charge(Key(hasher.hash_one(number)), 1_000);
        }
        // A tenth of each row is used: one key in ten thousand meets four used cells.
        let met = (100..10_100u64).filter(|number| meters.level(Key(hasher.hash_one(number)), 1_000) > 0).count();
        assert!(met < 30, "{met} of 10,000");
    }
}
