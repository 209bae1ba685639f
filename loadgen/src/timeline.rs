//! What happened when: the run cut into slots of time.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::latency::Buckets;

/// The slots of one worker. Latencies belong to the slot in which their message was due, and everything else to the one in which it
/// happened.
#[derive(Debug)]
pub(crate) struct Timeline {
    slot_ns: u64,
    start_ns: Option<u64>,
    slots: Vec<Slot>,
    /// Used and waited for when the worker last looked.
    usage: Usage,
}

/// Time on processors, of a process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// On a processor.
    pub(crate) used_ns: u64,
    /// Ready to run, with no processor free for it; 0 where the kernel does not tell.
    pub(crate) waited_ns: u64,
}

#[derive(Debug, Default)]
struct Slot {
    part: SlotPart,
    accepted: Option<Histogram<u32>>,
    delivered: Option<Histogram<u32>>,
}

/// A slot of one worker, or of all of them together, as it goes through a pipe.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SlotPart {
    /// Messages meant to leave.
    pub(crate) due: u64,
    /// Messages handed to the client library.
    pub(crate) sent: u64,
    pub(crate) acked: u64,
    pub(crate) delivered: u64,
    pub(crate) used_ns: u64,
    pub(crate) waited_ns: u64,
    pub(crate) accepted_us: Buckets,
    pub(crate) delivered_us: Buckets,
}

/// How long a slot is when messages flow for `duration_ns`: a second, or as many as keep the slots to [`SLOTS_MAX`].
pub(crate) fn slot_ns(duration_ns: u64) -> u64 {
    duration_ns.div_ceil(SLOTS_MAX as u64).div_ceil(SECOND_NS).max(1) * SECOND_NS
}

impl Timeline {
    pub(crate) fn new(duration_ns: u64) -> Timeline {
        Timeline { slot_ns: slot_ns(duration_ns), start_ns: None, slots: Vec::new(), usage: Usage::default() }
    }

    /// Messages flow from here on.
    pub(crate) fn start(&mut self, start_ns: u64, usage: Usage) {
        self.start_ns = Some(start_ns);
        self.usage = usage;
    }

    pub(crate) fn on_sent(&mut self, intended_ns: u64, now_ns: u64) {
        self.count(intended_ns, |slot| slot.part.due += 1);
        self.count(now_ns, |slot| slot.part.sent += 1);
    }

    pub(crate) fn on_accepted(&mut self, intended_ns: u64, now_ns: u64) {
        self.count(now_ns, |slot| slot.part.acked += 1);
        self.count(intended_ns, |slot| record(&mut slot.accepted, now_ns.saturating_sub(intended_ns)));
    }

    /// `intended_ns` is none for one who was away: his latencies are mostly his absence.
    pub(crate) fn on_delivered(&mut self, intended_ns: Option<u64>, now_ns: u64) {
        self.count(now_ns, |slot| slot.part.delivered += 1);
        if let Some(intended_ns) = intended_ns {
            self.count(intended_ns, |slot| record(&mut slot.delivered, now_ns.saturating_sub(intended_ns)));
        }
    }

    /// To be told several times a slot.
    pub(crate) fn on_usage(&mut self, now_ns: u64, usage: Usage) {
        let more = usage.since(std::mem::replace(&mut self.usage, usage));
        self.count(now_ns, |slot| {
            slot.part.used_ns += more.used_ns;
            slot.part.waited_ns += more.waited_ns;
        });
    }

    pub(crate) fn into_parts(self) -> Vec<SlotPart> {
        let parts = self.slots.into_iter().map(|slot| SlotPart {
            accepted_us: buckets(slot.accepted.as_ref()),
            delivered_us: buckets(slot.delivered.as_ref()),
            ..slot.part
        });
        parts.collect()
    }

    /// What is before the start, or far behind the end, has no slot: the last one takes it, or none.
    fn count(&mut self, at_ns: u64, act: impl FnOnce(&mut Slot)) {
        let Some(since_ns) = self.start_ns.and_then(|start_ns| at_ns.checked_sub(start_ns)) else {
            return;
        };
        let index = usize::try_from(since_ns / self.slot_ns).unwrap_or(usize::MAX).min(2 * SLOTS_MAX);
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, Slot::default);
        }
        act(self.slots.get_mut(index).expect("just made long enough"));
    }
}

impl Usage {
    pub(crate) fn since(self, before: Usage) -> Usage {
        Usage {
            used_ns: self.used_ns.saturating_sub(before.used_ns),
            waited_ns: self.waited_ns.saturating_sub(before.waited_ns),
        }
    }
}

impl SlotPart {
    /// Adds what another worker did in the same slot.
    pub(crate) fn add(&mut self, other: &SlotPart) {
        self.due += other.due;
        self.sent += other.sent;
        self.acked += other.acked;
        self.delivered += other.delivered;
        self.used_ns += other.used_ns;
        self.waited_ns += other.waited_ns;
        self.accepted_us.extend_from_slice(&other.accepted_us);
        self.delivered_us.extend_from_slice(&other.delivered_us);
    }
}

/// Two kilobytes each, so that long runs can have many: to one significant figure, which is 6 %.
fn record(latency: &mut Option<Histogram<u32>>, took_ns: u64) {
    let fresh = || Histogram::new_with_bounds(1, LATENCY_US_MAX, 1).expect("1 <= max / 2, and 1 figure is allowed");
    latency.get_or_insert_with(fresh).saturating_record(took_ns / 1_000);
}

fn buckets(latency: Option<&Histogram<u32>>) -> Buckets {
    let steps = latency.into_iter().flat_map(Histogram::iter_recorded);
    steps.map(|step| (step.value_iterated_to(), u64::from(step.count_at_value()))).collect()
}

/// While messages flow; as many again may follow.
const SLOTS_MAX: usize = 600;
/// An hour.
const LATENCY_US_MAX: u64 = 3_600_000_000;
const SECOND_NS: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_a_second_unless_there_would_be_too_many() {
        assert_eq!(slot_ns(500_000_000), SECOND_NS);
        assert_eq!(slot_ns(600 * SECOND_NS), SECOND_NS);
        assert_eq!(slot_ns(601 * SECOND_NS), 2 * SECOND_NS);
        assert_eq!(slot_ns(86_400 * SECOND_NS), 144 * SECOND_NS);
    }

    #[test]
    fn a_latency_belongs_to_when_its_message_was_due_and_an_outcome_to_when_it_came() {
        let mut timeline = Timeline::new(10 * SECOND_NS);
        timeline.on_sent(1, 2);
        timeline.start(SECOND_NS, Usage::default());
        timeline.on_sent(SECOND_NS + 1, 2 * SECOND_NS + 2);
        timeline.on_accepted(SECOND_NS + 1, 3 * SECOND_NS + 3);
        timeline.on_delivered(Some(SECOND_NS + 1), 2 * SECOND_NS + 2);
        timeline.on_delivered(None, 2 * SECOND_NS + 2);
        timeline.on_usage(3 * SECOND_NS, Usage { used_ns: 7, waited_ns: 5 });
        let parts = timeline.into_parts();
        let [first, second, third] = parts.as_slice() else { panic!("{parts:?}") };
        assert_eq!((first.due, first.sent, first.acked, first.delivered), (1, 0, 0, 0));
        assert_eq!((second.due, second.sent, second.acked, second.delivered), (0, 1, 0, 2));
        assert_eq!((third.acked, third.used_ns, third.waited_ns), (1, 7, 5));
        let [(us, 1)] = first.accepted_us.as_slice() else { panic!("{first:?}") };
        assert!(us.abs_diff(2_000_000) * 100 <= 6 * 2_000_000, "{us}");
        assert_eq!(first.delivered_us.len(), 1);
        assert!(second.accepted_us.is_empty() && second.delivered_us.is_empty());
    }

    #[test]
    fn what_comes_far_behind_the_end_is_counted_all_the_same() {
        let mut timeline = Timeline::new(SECOND_NS);
        timeline.start(0, Usage::default());
        timeline.on_delivered(None, u64::MAX);
        let parts = timeline.into_parts();
        assert_eq!(parts.len(), 2 * SLOTS_MAX + 1);
        assert_eq!(parts.iter().map(|part| part.delivered).sum::<u64>(), 1);
    }
}
