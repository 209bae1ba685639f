//! When to try again, and the client's own randomness.

use crate::config::Backoff;

/// SplitMix64 (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", 2014): eight bytes of state, good enough
/// to spread clients in time and to make incarnations from a good seed.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// `low <= result <= high`; `low` if they are the wrong way round. The bias of the remainder does not matter here.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        let count = high.saturating_sub(low).saturating_add(1);
        low + self.next() % count
    }
}

/// How long to wait before connection attempt `failure_count + 1`, in microseconds: anything between half the first wait and
/// a ceiling that doubles with each failure. Wide on purpose: after a restart of the gateway everybody draws at once.
pub(crate) fn wait_us(backoff: Backoff, failure_count: u32, random: &mut Random) -> u64 {
    let ceiling_ms =
        2_u64.saturating_pow(failure_count).saturating_mul(backoff.first_ms).min(backoff.max_ms.max(backoff.first_ms));
    random.between(backoff.first_ms * 500, ceiling_ms.saturating_mul(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_stays_between_half_the_first_and_a_ceiling_that_doubles_up_to_the_longest() {
        let backoff = Backoff { first_ms: 100, max_ms: 1_000 };
        for (failure_count, ceiling_ms) in [(0, 100), (1, 200), (3, 800), (4, 1_000), (99, 1_000)] {
            let waits: Vec<u64> =
                (0..1_000).map(|seed| wait_us(backoff, failure_count, &mut Random::new(seed))).collect();
            let (low, high) = (50_000, ceiling_ms * 1_000);
            assert!(waits.iter().all(|wait| (low..=high).contains(wait)));
            // Spread over the whole range, not gathered somewhere in it.
            let width = high - low;
            assert!(waits.iter().any(|wait| *wait < low + width / 20));
            assert!(waits.iter().any(|wait| *wait > high - width / 20));
        }
    }

    #[test]
    fn a_longest_wait_below_the_first_does_not_count() {
        let backoff = Backoff { first_ms: 100, max_ms: 0 };
        let wait = wait_us(backoff, 7, &mut Random::new(1));
        assert!((50_000..=100_000).contains(&wait));
    }

    #[test]
    fn no_wait_at_all_can_be_had() {
        let backoff = Backoff { first_ms: 0, max_ms: 0 };
        assert_eq!(wait_us(backoff, 3, &mut Random::new(1)), 0);
    }
}
