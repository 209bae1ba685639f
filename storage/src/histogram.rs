//! How long things took, as counts in fixed buckets.

/// Times in microseconds, counted by their power of two: an observation costs a handful of instructions and no memory, and the
/// whole is 208 bytes. Within a bucket nothing is known, so a quantile read from it is right to a factor of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Histogram {
    counts: [u64; BUCKET_COUNT],
    sum_us: u64,
}

impl Histogram {
    /// One that took `us` microseconds.
    #[inline]
    pub fn record(&mut self, us: u64) {
        // 0 to 8 go to the first bucket, 9 to 16 to the second, and so on: a bound belongs to the bucket below it.
        let bits = (u64::BITS - us.saturating_sub(1).leading_zeros()).saturating_sub(FIRST_BOUND_BITS) as usize;
        let index = bits.min(BUCKET_COUNT - 1);
        self.counts[index] += 1;
        self.sum_us = self.sum_us.saturating_add(us);
    }

    /// Upper bounds in microseconds and how many lie at or below each; ascending. Those above the last bound are counted in
    /// [`Histogram::count`] only.
    pub fn cumulative(&self) -> impl Iterator<Item = (u64, u64)> {
        let mut below = 0;
        self.counts.iter().take(BUCKET_COUNT - 1).zip(FIRST_BOUND_BITS..).map(move |(count, bits)| {
            below += count;
            (1 << bits, below)
        })
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How long they took together, in microseconds.
    pub fn sum_us(&self) -> u64 {
        self.sum_us
    }
}

/// The lowest bound is 2 to the power of this, in microseconds: below 8 µs nothing is of interest.
const FIRST_BOUND_BITS: u32 = 3;
/// 24 bounds, 8 µs to 67 s, and one bucket for all that is longer.
const BUCKET_COUNT: usize = 25;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_agree_with_a_list_of_all_that_was_recorded() {
        let mut histogram = Histogram::default();
        let mut all = Vec::new();
        let mut us: u64 = 1;
        for step in 0..2_000_u64 {
            us = us.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(step);
            let edge = 1_u64 << (step % 40);
            for us in [us >> (step % 64), edge - 1, edge, edge + 1] {
                let us = us.min(1 << 40);
                histogram.record(us);
                all.push(us);
            }
        }
        let bounds: Vec<_> = histogram.cumulative().collect();
        assert_eq!((bounds.len(), bounds[0].0, bounds[23].0), (24, 8, 67_108_864));
        for (bound, count) in bounds {
            let expected = all.iter().filter(|us| **us <= bound).count() as u64;
            assert_eq!(count, expected, "at or below {bound} µs");
        }
        assert_eq!(histogram.count(), all.len() as u64);
        assert_eq!(histogram.sum_us(), all.iter().sum::<u64>());
    }

    #[test]
    fn nothing_and_for_ever_have_a_place() {
        let mut histogram = Histogram::default();
        histogram.record(0);
        histogram.record(u64::MAX);
        assert_eq!(histogram.cumulative().next(), Some((8, 1)));
        assert_eq!(histogram.cumulative().last(), Some((67_108_864, 1)));
        assert_eq!((histogram.count(), histogram.sum_us()), (2, u64::MAX));
    }
}
