//! When messages are due in an open loop: a Poisson process, fixed by its seed before the first message leaves.
//!
//! What happens to a message never moves the next one: a gateway that stalls finds all of them waiting afterwards, and their
//! latency counts from the moment they were due (Gil Tene's "coordinated omission" is what the other way hides).

use crate::rng::Rng;

/// The intended times of one worker's messages.
#[derive(Debug)]
pub(crate) struct Schedule {
    rng: Rng,
    mean_gap_ns: f64,
    /// The exact time of the next message: sums of rounded gaps would drift.
    next_ns: f64,
    end_ns: f64,
}

impl Schedule {
    /// `rate` messages a second on average, each after `start_ns` and before `end_ns`. A rate of 0 is never due.
    pub(crate) fn new(start_ns: u64, end_ns: u64, rate: f64, seed: u64) -> Schedule {
        let mut schedule =
            Schedule { rng: Rng::new(seed), mean_gap_ns: 1e9 / rate, next_ns: start_ns as f64, end_ns: end_ns as f64 };
        schedule.step();
        schedule
    }

    /// The next message's intended time, once it has come.
    pub(crate) fn take_due(&mut self, now_ns: u64) -> Option<u64> {
        let due_ns = self.next_at_ns().filter(|at_ns| *at_ns <= now_ns)?;
        self.step();
        Some(due_ns)
    }

    /// When the next message is due; `None` when there is none left.
    pub(crate) fn next_at_ns(&self) -> Option<u64> {
        (self.next_ns < self.end_ns).then(|| whole(self.next_ns.floor()))
    }

    fn step(&mut self) {
        self.next_ns += -self.rng.unit().ln() * self.mean_gap_ns;
    }
}

/// The nearest whole number; outside the range, the end of it.
#[expect(clippy::cast_possible_truncation, reason = "a float that is cast to an integer saturates")]
pub(crate) fn whole(value: f64) -> u64 {
    value.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn all(schedule: &mut Schedule, polls_ns: impl Iterator<Item = u64>) -> Vec<u64> {
        let mut due = Vec::new();
        for now_ns in polls_ns {
            while let Some(at_ns) = schedule.take_due(now_ns) {
                due.push(at_ns);
            }
        }
        due
    }

    #[test]
    fn gaps_have_the_mean_and_the_spread_of_a_poisson_process() {
        let mut schedule = Schedule::new(0, 100 * SECOND, 5_000.0, 1);
        let due = all(&mut schedule, std::iter::once(100 * SECOND));
        let count = due.len() as f64;
        assert!((count - 500_000.0).abs() < 4.0 * 500_000f64.sqrt(), "{count}");
        let gaps: Vec<f64> = due.windows(2).map(|pair| (pair[1] - pair[0]) as f64).collect();
        let mean = gaps.iter().sum::<f64>() / count;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / count;
        assert!((mean / 200_000.0 - 1.0).abs() < 0.01, "{mean}");
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.01, "an exponential's deviation is its mean");
    }

    #[test]
    fn a_stall_delays_nothing_in_the_schedule() {
        let fresh = || Schedule::new(7, 10 * SECOND, 1_000.0, 2);
        let smooth = all(&mut fresh(), (0..10_000).map(|ms| ms * 1_000_000));
        let stalled = all(&mut fresh(), [SECOND, 9 * SECOND, 10 * SECOND].into_iter());
        assert_eq!(smooth, stalled);
        assert!(smooth.len() > 9_000);
    }

    #[test]
    fn nothing_is_due_early_or_after_the_end() {
        let mut schedule = Schedule::new(SECOND, 2 * SECOND, 100.0, 3);
        assert_eq!(schedule.take_due(SECOND), None);
        let due = all(&mut schedule, std::iter::once(u64::MAX));
        assert!(due.iter().all(|at_ns| (SECOND..2 * SECOND).contains(at_ns)));
        assert_eq!(schedule.next_at_ns(), None);
    }

    #[test]
    fn a_rate_of_zero_is_never_due() {
        assert_eq!(Schedule::new(0, SECOND, 0.0, 4).next_at_ns(), None);
    }
}
