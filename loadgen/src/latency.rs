//! How long messages took, counted from the moment they were meant to leave.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Latencies in microseconds, to three significant figures. What took longer than [`LATENCY_US_MAX`] counts as that.
#[derive(Debug, Clone)]
pub(crate) struct Latency(Histogram<u64>);

/// The figures of a [`Latency`], in microseconds; all 0 when nothing was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Summary {
    pub(crate) count: u64,
    pub(crate) p50: u64,
    pub(crate) p90: u64,
    pub(crate) p99: u64,
    pub(crate) p999: u64,
    pub(crate) p9999: u64,
    pub(crate) max: u64,
}

/// A [`Latency`] as it goes through a pipe: each value that occurred and how often.
pub(crate) type Buckets = Vec<(u64, u64)>;

impl Latency {
    pub(crate) fn new() -> Latency {
        let histogram = Histogram::new_with_bounds(1, LATENCY_US_MAX, 3);
        Latency(histogram.expect("1 <= max / 2, and 3 figures are allowed"))
    }

    /// Something that was meant to begin at `intended_ns` ended at `now_ns`.
    pub(crate) fn record(&mut self, intended_ns: u64, now_ns: u64) {
        self.0.saturating_record(now_ns.saturating_sub(intended_ns) / 1_000);
    }

    pub(crate) fn buckets(&self) -> Buckets {
        self.0.iter_recorded().map(|step| (step.value_iterated_to(), step.count_at_value())).collect()
    }

    /// Adds what another process measured.
    pub(crate) fn merge(&mut self, buckets: &[(u64, u64)]) {
        for (value, count) in buckets {
            self.0.saturating_record_n(*value, *count);
        }
    }

    pub(crate) fn summary(&self) -> Summary {
        Summary {
            count: self.0.len(),
            p50: self.0.value_at_quantile(0.5),
            p90: self.0.value_at_quantile(0.9),
            p99: self.0.value_at_quantile(0.99),
            p999: self.0.value_at_quantile(0.999),
            p9999: self.0.value_at_quantile(0.9999),
            max: self.0.max(),
        }
    }
}

/// An hour.
const LATENCY_US_MAX: u64 = 3_600_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::Schedule;

    const MS: u64 = 1_000_000;

    fn near(value: u64, wanted: u64) -> bool {
        value.abs_diff(wanted) * 1_000 <= wanted
    }

    #[test]
    fn percentiles_are_those_of_the_values() {
        let mut latency = Latency::new();
        for us in 1..=10_000u64 {
            latency.record(5 * MS, 5 * MS + us * 1_000);
        }
        let summary = latency.summary();
        assert_eq!(summary.count, 10_000);
        assert!(near(summary.p50, 5_000), "{summary:?}");
        assert!(near(summary.p99, 9_900), "{summary:?}");
        assert!(near(summary.p999, 9_990), "{summary:?}");
        assert!(near(summary.max, 10_000), "{summary:?}");
    }

    #[test]
    fn merged_parts_equal_the_whole() {
        let (mut whole, mut odd, mut even) = (Latency::new(), Latency::new(), Latency::new());
        for us in 0..50_000u64 {
            whole.record(0, us * 1_000);
            if us % 2 == 0 { &mut even } else { &mut odd }.record(0, us * 1_000);
        }
        let mut merged = Latency::new();
        merged.merge(&odd.buckets());
        merged.merge(&even.buckets());
        assert_eq!(merged.summary(), whole.summary());
    }

    #[test]
    fn a_server_that_stalls_shows_in_every_message_that_was_due_meanwhile() {
        // It answers at once, but not between 1 s and 3 s of the 10 s: a fifth of all messages waits, 1 s on average.
        let answered = |sent_ns: u64| match sent_ns / MS {
            1_000..3_000 => 3_000 * MS,
            _ => sent_ns,
        };
        let mut schedule = Schedule::new(0, 10_000 * MS, 1_000.0, 9);
        let mut latency = Latency::new();
        let mut now_ns = 0;
        // The client itself is stopped by the stall as well, as a closed loop would be: the schedule does not care.
        while let Some(next_ns) = schedule.next_at_ns() {
            now_ns = answered(now_ns.max(next_ns));
            while let Some(intended_ns) = schedule.take_due(now_ns) {
                latency.record(intended_ns, now_ns);
            }
        }
        let summary = latency.summary();
        assert!(summary.count > 9_500);
        assert!(summary.p50 < 10, "{summary:?}");
        assert!((1_800_000..=2_000_000).contains(&summary.p99), "{summary:?}");
    }

    #[test]
    fn nothing_measured_is_all_zero() {
        let summary = Latency::new().summary();
        assert_eq!((summary.count, summary.p50, summary.max), (0, 0, 0));
    }
}
