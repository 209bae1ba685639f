//! The run second by second, all workers together.

use serde::Serialize;

use crate::latency::Latency;
use crate::link::Part;
use crate::scenario::Scenario;
use crate::schedule::whole;
use crate::timeline::{SlotPart, slot_ns};

/// The run, cut into slots of equal length from the moment messages begin to flow.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct History {
    /// A slot's length.
    pub(crate) slot_s: f64,
    /// Messages flow until this time after the start; what is behind it belongs to the collecting.
    pub(crate) flow_s: f64,
    pub(crate) slots: Vec<Moment>,
}

/// One slot. Rates are per second, latencies in microseconds to 6 %, of the messages that were due in this slot; none where there
/// was no such message, or none of them had an outcome.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Moment {
    pub(crate) due_per_s: f64,
    pub(crate) sent_per_s: f64,
    pub(crate) acked_per_s: f64,
    pub(crate) delivered_per_s: f64,
    pub(crate) accepted_p50_us: Option<u64>,
    pub(crate) accepted_p99_us: Option<u64>,
    pub(crate) delivered_p50_us: Option<u64>,
    pub(crate) delivered_p99_us: Option<u64>,
    /// Of the process that used most, of one core.
    pub(crate) client_cpu_pct: f64,
    /// Of the process that waited longest for a processor, of the time.
    pub(crate) client_wait_pct: f64,
}

impl History {
    pub(crate) fn of(scenario: &Scenario, parts: &[Part]) -> History {
        let slot_s = slot_ns(scenario.duration_ns) as f64 / 1e9;
        let flow_s = scenario.duration_ns as f64 / 1e9;
        let count = parts.iter().map(|part| part.slots.len()).max().unwrap_or(0);
        let slots = (0..count).map(|index| {
            let in_slot: Vec<&SlotPart> = parts.iter().filter_map(|part| part.slots.get(index)).collect();
            Moment::of(&in_slot, slot_s)
        });
        let mut history = History { slot_s, flow_s, slots: slots.collect() };
        let is_over = |moment: &Moment| moment.acked_per_s == 0.0 && moment.delivered_per_s == 0.0;
        while history.slots.len() > history.flow_count() && history.slots.last().is_some_and(is_over) {
            history.slots.pop();
        }
        history
    }

    /// The slots in which messages flowed, the last one perhaps for a part of it.
    pub(crate) fn flow_count(&self) -> usize {
        usize::try_from(whole((self.flow_s / self.slot_s).ceil())).unwrap_or(usize::MAX)
    }

    /// The slots in which messages were due all the time.
    pub(crate) fn flowing(&self) -> &[Moment] {
        let count = usize::try_from(whole((self.flow_s / self.slot_s).floor())).unwrap_or(usize::MAX);
        self.slots.get(..count.min(self.slots.len())).unwrap_or_default()
    }
}

impl Moment {
    fn of(parts: &[&SlotPart], slot_s: f64) -> Moment {
        let mut sum = SlotPart::default();
        for part in parts {
            sum.add(part);
        }
        let quantiles = |buckets: &[(u64, u64)]| {
            let mut latency = Latency::new();
            latency.merge(buckets);
            let summary = latency.summary();
            (summary.count > 0).then_some((summary.p50, summary.p99))
        };
        let (accepted, delivered) = (quantiles(&sum.accepted_us), quantiles(&sum.delivered_us));
        let largest = |of: fn(&SlotPart) -> u64| parts.iter().map(|part| of(part)).max().unwrap_or(0);
        let share = |ns: u64| ns as f64 / 1e9 / slot_s * 100.0;
        Moment {
            due_per_s: sum.due as f64 / slot_s,
            sent_per_s: sum.sent as f64 / slot_s,
            acked_per_s: sum.acked as f64 / slot_s,
            delivered_per_s: sum.delivered as f64 / slot_s,
            accepted_p50_us: accepted.map(|(p50, _)| p50),
            accepted_p99_us: accepted.map(|(_, p99)| p99),
            delivered_p50_us: delivered.map(|(p50, _)| p50),
            delivered_p99_us: delivered.map(|(_, p99)| p99),
            client_cpu_pct: share(largest(|part| part.used_ns)),
            client_wait_pct: share(largest(|part| part.waited_ns)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Pattern, tests::scenario};

    fn slot(acked: u64, used_ns: u64) -> SlotPart {
        SlotPart { due: 10, sent: 10, acked, used_ns, accepted_us: vec![(1_000, acked)], ..SlotPart::default() }
    }

    #[test]
    fn workers_add_up_and_the_busiest_of_them_is_told() {
        let parts = [(4, 500_000_000), (6, 900_000_000)]
            .map(|(acked, used_ns)| Part { slots: vec![slot(acked, used_ns)], ..Part::default() });
        let history = History::of(&scenario(2, Pattern::Pairs, 0.0), &parts);
        let [moment] = history.slots.as_slice() else { panic!("{history:?}") };
        assert!((moment.due_per_s - 20.0).abs() < 1e-9 && (moment.acked_per_s - 10.0).abs() < 1e-9);
        assert!((moment.client_cpu_pct - 90.0).abs() < 1e-9, "{moment:?}");
        assert_eq!(moment.accepted_p50_us, Some(1_000));
        assert_eq!(moment.delivered_p99_us, None);
    }

    #[test]
    fn the_silence_behind_the_flow_is_left_out() {
        let part = Part { slots: vec![slot(1, 0), slot(1, 0), slot(0, 5), slot(0, 5)], ..Part::default() };
        let history = History::of(&scenario(2, Pattern::Pairs, 0.0), &[part]);
        assert_eq!((history.slots.len(), history.flowing().len()), (2, 1));
    }
}
