//! When to ping, and when to give the gateway up.

/// Silence tolerated above one and a half intervals: the same as the gateway's.
const SLACK_US: u64 = 10_000_000;

/// Times of one session, in microseconds.
#[derive(Debug, Clone)]
pub(crate) struct Heartbeat {
    interval_us: u64,
    heard_us: u64,
    sent_us: u64,
    /// The session's beginning, until the first ping.
    pinged_us: u64,
}

impl Heartbeat {
    pub(crate) fn new(now_us: u64, interval_s: u32) -> Heartbeat {
        Heartbeat {
            interval_us: u64::from(interval_s) * 1_000_000,
            heard_us: now_us,
            sent_us: now_us,
            pinged_us: now_us,
        }
    }

    pub(crate) fn on_heard(&mut self, now_us: u64) {
        self.heard_us = now_us;
    }

    pub(crate) fn on_sent(&mut self, now_us: u64) {
        self.sent_us = now_us;
    }

    pub(crate) fn on_pinged(&mut self, now_us: u64) {
        self.pinged_us = now_us;
        self.sent_us = now_us;
    }

    /// An interval after the last sign in one direction or the other: who only sends what is not answered would else take the
    /// gateway's silence for its death.
    pub(crate) fn ping_at(&self) -> u64 {
        self.pinged_us.max(self.heard_us.min(self.sent_us)) + self.interval_us
    }

    /// The gateway's rule turned round. A process that was stopped for long must first have its ping answered, hence the
    /// second half.
    pub(crate) fn dead_at(&self) -> u64 {
        let patience_us = self.interval_us + self.interval_us / 2 + SLACK_US;
        (self.heard_us + patience_us).max(self.pinged_us + SLACK_US)
    }
}
