//! Stop taking new work, finish the old, tell everybody, say so.

use std::fmt;

use wire::Code;
use wire::frame::GoAway;

use crate::event::{Now, Output, Outputs};
use crate::outbox::write_goaway;
use crate::shard::Shard;

/// What a drain still waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DrainLeft {
    /// Records on their way to the disk.
    pub record_count: u64,
    /// Inboxes whose messages wait for room in the log.
    pub inbox_count: u64,
    /// Messages sent to other shards that have no outcome yet.
    pub message_count: u64,
    /// The disk has not answered.
    pub is_disk_busy: bool,
}

impl fmt::Display for DrainLeft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [
            (self.record_count, ["record", "records"], "not stored"),
            (self.inbox_count, ["inbox", "inboxes"], "waiting for the log"),
            (self.message_count, ["message", "messages"], "without an answer from another shard"),
        ];
        let mut is_first = true;
        for (count, [one, many], state) in counts.into_iter().filter(|(count, ..)| *count > 0) {
            let (comma, what) = (if is_first { "" } else { ", " }, if count == 1 { one } else { many });
            write!(f, "{comma}{count} {what} {state}")?;
            is_first = false;
        }
        match (self.is_disk_busy, is_first) {
            (true, true) => f.write_str("the disk is busy"),
            (true, false) => f.write_str(", and the disk is busy"),
            (false, true) => f.write_str("not ready yet"),
            (false, false) => Ok(()),
        }
    }
}

impl Shard {
    /// What a drain waits for; none when it is complete.
    pub fn drain_left(&self) -> Option<DrainLeft> {
        let left = DrainLeft {
            record_count: self.commits.len() as u64,
            inbox_count: self.spills.len() as u64,
            message_count: self.router.load().0,
            is_disk_busy: !self.log.is_idle(),
        };
        (!self.is_drained).then_some(left)
    }

    /// Nothing is read any more; what is unconfirmed goes to the log.
    pub(crate) fn on_drain(&mut self, out: &mut Outputs) {
        if std::mem::replace(&mut self.is_draining, true) {
            return;
        }
        for conn in self.sessions.conns() {
            if let Some(session) = self.sessions.get_mut(conn)
                && !std::mem::replace(&mut session.is_paused, true)
            {
                out.list.push(Output::PauseRead { conn });
            }
        }
        for user in self.users.refs() {
            self.spill_all(user);
        }
    }

    /// Once nothing that was accepted is unsafe, or the disk can make nothing safe: GOAWAY to all.
    pub(crate) fn finish_drain(&mut self, now: Now, out: &mut Outputs) {
        let nothing_waits =
            self.spills.is_empty() && self.purges.is_empty() && self.sign_outs.is_empty() && self.erasures.is_empty();
        let is_stored = self.commits.is_empty() && (!self.log_takes_messages() || nothing_waits);
        let is_done = is_stored && self.router.is_idle() && self.log.is_idle() && self.acks.is_empty();
        if !self.is_draining || self.is_drained || !is_done {
            return;
        }
        let conns = self.sessions.conns();
        for (position, conn) in (0..).zip(&conns) {
            let goaway = self.goaway_with_slot(position, conns.len() as u64);
            write_goaway(out, *conn, goaway);
            self.end_session(now, *conn);
        }
        self.is_drained = true;
        out.list.push(Output::Drained);
    }

    /// GOAWAY with a slot that no other session has: the time in which all come back is cut into as many pieces as there are
    /// sessions, so that they come back evenly whatever their clients make of it. Shards know nothing of each other's sessions:
    /// each begins a little later than the one before, and so their slots interleave.
    fn goaway_with_slot(&self, position: u64, session_count: u64) -> GoAway<'static> {
        let (start_ms, len_ms) = (self.config.drain_slot_start_ms, u64::from(self.config.drain_slot_len_ms));
        let shard_count = u64::from(self.config.shard_count);
        let turn = position * shard_count + u64::from(self.config.shard.0);
        let offset_ms = u32::try_from(len_ms * turn / (session_count * shard_count)).expect("below the whole length");
        let left_ms = self.config.drain_slot_len_ms - offset_ms;
        // Of more sessions than milliseconds several have the same one.
        let slot_len_ms = u32::try_from(len_ms / session_count).expect("a part of it").max(1).min(left_ms);
        GoAway { slot_start_ms: start_ms.saturating_add(offset_ms), slot_len_ms, ..GoAway::of(Code::Draining) }
    }

    /// GOAWAY with the whole time in which to come back: for who comes while the gateway drains.
    pub(crate) fn drain_goaway(&self) -> GoAway<'static> {
        GoAway {
            slot_start_ms: self.config.drain_slot_start_ms,
            slot_len_ms: self.config.drain_slot_len_ms,
            ..GoAway::of(Code::Draining)
        }
    }
}
