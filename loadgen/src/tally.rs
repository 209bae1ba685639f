//! What one worker counts and measures.

use shardwire_sdk::Received as Message;
use wire::frame::SafeBy;

use crate::latency::Latency;
use crate::link::{Part, Progress};
use crate::scenario::Scenario;
use crate::stream::Handshake;
use crate::timeline::{Timeline, Usage};
use crate::verify::{Received, Sent};

/// Counts and latencies of all users of a worker.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) progress: Progress,
    pub(crate) timeline: Timeline,
    received: Received,
    accepted: Latency,
    delivered: Latency,
    caught_up: Latency,
    lag: Latency,
    received_count: u64,
    stored_count: u64,
    acked_in_time: u64,
}

impl Tally {
    pub(crate) fn new(scenario: &Scenario) -> Tally {
        Tally {
            progress: Progress::default(),
            timeline: Timeline::new(scenario.duration_ns),
            received: Received::new(scenario.users),
            accepted: Latency::new(),
            delivered: Latency::new(),
            caught_up: Latency::new(),
            lag: Latency::new(),
            received_count: 0,
            stored_count: 0,
            acked_in_time: 0,
        }
    }

    /// A handshake of TLS is complete, if one is.
    pub(crate) fn on_handshake(&mut self, handshake: Option<Handshake>) {
        self.progress.handshakes += u64::from(handshake.is_some());
        self.progress.handshakes_resumed += u64::from(handshake == Some(Handshake::Resumed));
    }

    /// A message that was meant to leave at `intended_ns` was handed to the client library.
    pub(crate) fn on_sent(&mut self, intended_ns: u64, now_ns: u64) {
        self.progress.sent += 1;
        self.lag.record(intended_ns, now_ns);
        self.timeline.on_sent(intended_ns, now_ns);
    }

    /// A message is safe.
    pub(crate) fn on_accepted(&mut self, intended_ns: u64, now_ns: u64, end_ns: u64, safe_by: SafeBy) {
        self.progress.acked += 1;
        self.acked_in_time += u64::from(now_ns < end_ns);
        self.accepted.record(intended_ns, now_ns);
        self.timeline.on_accepted(intended_ns, now_ns);
        match safe_by {
            SafeBy::Received => self.received_count += 1,
            SafeBy::Stored => self.stored_count += 1,
            SafeBy::Duplicate => {}
        }
    }

    /// The client library gave a message to a user.
    pub(crate) fn on_message(&mut self, scenario: &Scenario, recipient: u32, message: &Message, now_ns: u64) {
        let from = message.from();
        let body = self.received.on_message(scenario, recipient, from.as_str(), message.body());
        if let Some(body) = body {
            let is_away = scenario.is_away(recipient);
            let latency = if is_away { &mut self.caught_up } else { &mut self.delivered };
            latency.record(body.intended_ns, now_ns);
            self.timeline.on_delivered(Some(body.intended_ns).filter(|_| !is_away), now_ns);
        }
        self.progress.delivered = self.received.delivered;
    }

    /// Something went wrong by itself.
    pub(crate) fn on_error(&mut self, what: &str) {
        match self.progress.errors.get_mut(what) {
            Some(count) => *count += 1,
            None => {
                self.progress.errors.insert(what.to_owned(), 1);
            }
        }
    }

    pub(crate) fn into_part(self, sent: Vec<Sent>, connect_ns: (u64, u64), usage: Usage) -> Part {
        Part {
            received: self.received_count,
            stored: self.stored_count,
            acked_in_time: self.acked_in_time,
            duplicated: self.received.duplicated,
            reordered: self.received.reordered,
            corrupted: self.received.corrupted,
            sent,
            arrived: self.received.into_arrived(),
            accepted: self.accepted.buckets(),
            delivered: self.delivered.buckets(),
            caught_up: self.caught_up.buckets(),
            lag: self.lag.buckets(),
            connect_ns,
            cpu_ns: usage.used_ns,
            waited_ns: usage.waited_ns,
            slots: self.timeline.into_parts(),
            progress: self.progress,
        }
    }
}
