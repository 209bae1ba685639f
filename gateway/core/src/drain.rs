//! Stop taking new work, finish the old, tell everybody, say so.

use wire::Code;
use wire::frame::GoAway;

use crate::event::{Now, Output, Outputs};
use crate::shard::Shard;

impl Shard {
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
        let is_stored =
            self.commits.is_empty() && (!self.log_takes_messages() || self.spills.is_empty() && self.purges.is_empty());
        let is_done = is_stored && self.router.is_idle() && self.log.is_idle() && self.acks.is_empty();
        if !self.is_draining || self.is_drained || !is_done {
            return;
        }
        for conn in self.sessions.conns() {
            self.close(now, conn, Code::Draining, out);
        }
        self.is_drained = true;
        out.list.push(Output::Drained);
    }

    /// GOAWAY with the time in which to come back.
    pub(crate) fn drain_goaway(&self) -> GoAway<'static> {
        GoAway {
            slot_start_ms: self.config.drain_slot_start_ms,
            slot_len_ms: self.config.drain_slot_len_ms,
            ..GoAway::of(Code::Draining)
        }
    }
}
