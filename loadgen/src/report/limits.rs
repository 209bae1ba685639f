//! Whether the load generator, or its machine, was itself the limit: then the latencies are not the gateway's.
//!
//! A process of the load generator has one thread, so one core is all it can use. That it used nearly all of it, over the run or in
//! many of its seconds, is the first sign. The second is the scheduler's own account (`/proc/self/schedstat`): how long the process
//! was ready to run and had no processor, because others had them all. The third is time that a hypervisor gave to somebody else
//! (steal). The last is the effect itself: messages that left late.

use super::history::History;
use super::show_us;
use crate::latency::Summary;
use crate::link::Part;
use crate::scenario::{Load, Scenario};

/// The load generator's own part in what was measured.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Effort {
    /// Of the process that used most, of one core, over the time in which messages flowed.
    pub(super) cpu_pct: f64,
    /// Of the process that waited longest for a processor, of that time.
    pub(super) wait_pct: f64,
    /// Time of this machine's processors that its hypervisor gave to others.
    pub(super) steal_pct: f64,
}

impl Effort {
    pub(super) fn of(scenario: &Scenario, parts: &[Part], steal_pct: f64) -> Effort {
        let largest = |of: fn(&Part) -> u64| parts.iter().map(of).max().unwrap_or(0);
        let share = |ns: u64| ns as f64 / scenario.duration_ns as f64 * 100.0;
        Effort {
            cpu_pct: share(largest(|part| part.cpu_ns)),
            wait_pct: share(largest(|part| part.waited_ns)),
            steal_pct,
        }
    }

    /// In what way it was the limit, in words.
    pub(super) fn limits(self, history: &History, lag: Summary, load: Load) -> Vec<String> {
        let mut limits = Vec::new();
        let slots = history.flowing();
        let full = slots.iter().filter(|moment| moment.client_cpu_pct >= SLOT_CPU_PCT_MAX).count();
        if self.cpu_pct >= CPU_PCT_MAX {
            limits.push(format!("a process used {:.0} % of a core; more --processes may help", self.cpu_pct));
        } else if full as f64 > slots.len() as f64 * FULL_SLOTS_MAX {
            limits.push(format!(
                "a process used {SLOT_CPU_PCT_MAX:.0} % of a core or more during {:.0} s of {:.0} s; more --processes may help",
                full as f64 * history.slot_s,
                history.flow_s
            ));
        }
        if self.wait_pct >= WAIT_PCT_MAX {
            limits.push(format!(
                "a process waited {:.0} % of the time for a processor: others, perhaps the gateway, had them all",
                self.wait_pct
            ));
        }
        if self.steal_pct >= STEAL_PCT_MAX {
            limits
                .push(format!("the hypervisor gave {:.0} % of this machine's time to others (steal)", self.steal_pct));
        }
        if matches!(load, Load::Open { .. }) && lag.p99 > LAG_US_MAX {
            limits.push(format!("one message in a hundred left more than {} late", show_us(lag.p99)));
        }
        limits
    }
}

/// A process that uses more of its one core than this has no time to be punctual.
const CPU_PCT_MAX: f64 = 90.0;
/// The same within a second of the run, which can be fuller.
const SLOT_CPU_PCT_MAX: f64 = 95.0;
/// This share of the seconds may be full.
const FULL_SLOTS_MAX: f64 = 0.05;
/// A process that is ready and has to wait longer than this delays what it measures by as much.
const WAIT_PCT_MAX: f64 = 10.0;
/// With more of it, latencies are those of the hypervisor's other guests too.
const STEAL_PCT_MAX: f64 = 2.0;
/// When more than one message in a hundred leaves later than this, the latencies are largely the load generator's own.
const LAG_US_MAX: u64 = 5_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::Latency;
    use crate::scenario::{Pattern, tests::scenario};
    use crate::timeline::SlotPart;

    const OPEN: Load = Load::Open { rate: 1.0 };

    fn told(effort: Effort, parts: &[Part], late_us: u64) -> Vec<String> {
        let mut lag = Latency::new();
        lag.record(0, late_us * 1_000);
        effort.limits(&History::of(&scenario(2, Pattern::Pairs, 0.0), parts), lag.summary(), OPEN)
    }

    #[test]
    fn each_shortage_is_told_in_its_own_words_and_plenty_is_not() {
        let easy = Effort { cpu_pct: 89.0, wait_pct: 9.0, steal_pct: 1.0 };
        assert!(told(easy, &[], 4_000).is_empty());
        for (effort, late_us, word) in [
            (Effort { cpu_pct: 91.0, ..easy }, 0, "of a core"),
            (Effort { wait_pct: 12.0, ..easy }, 0, "waited 12 %"),
            (Effort { steal_pct: 3.0, ..easy }, 0, "steal"),
            (easy, 20_000, "late"),
        ] {
            let limits = told(effort, &[], late_us);
            assert!(limits.len() == 1 && limits[0].contains(word), "{limits:?}");
        }
    }

    #[test]
    fn a_process_that_was_full_now_and_then_is_told_although_its_mean_is_low() {
        let busy = Part { slots: vec![SlotPart { used_ns: 990_000_000, ..SlotPart::default() }], ..Part::default() };
        let limits = told(Effort { cpu_pct: 30.0, ..Effort::default() }, &[busy], 0);
        assert!(limits.len() == 1 && limits[0].contains("during 1 s of 1 s"), "{limits:?}");
    }

    #[test]
    fn in_a_closed_loop_nothing_leaves_late() {
        let mut lag = Latency::new();
        lag.record(0, 20_000_000);
        let history = History::of(&scenario(2, Pattern::Pairs, 0.0), &[]);
        assert!(Effort::default().limits(&history, lag.summary(), Load::Closed { window: 1 }).is_empty());
    }
}
