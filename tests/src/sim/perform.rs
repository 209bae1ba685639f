//! What a shell does with its core's outputs: it performs them in their order.

use std::collections::VecDeque;

use gateway_core::{ConnId, Input, Notice, Output};
use storage::{DiskOpKind, File, LogState};
use wire::decode;
use wire::deframer::{Cut, cut};
use wire::limits::PAYLOAD_LEN_MAX;

use super::mesh::Moving;
use super::net::{End, LinkId};
use super::shell::{Around, Conn, Shell};
use super::show;
use super::trace::trace;

impl Shell {
    /// Performs what the core has said.
    pub(super) fn carry_out(&mut self, around: &mut Around<'_>) {
        let mut out = std::mem::take(&mut self.out);
        for output in std::mem::take(&mut out.list) {
            self.perform(output, &out.bytes, around);
        }
        out.clear();
        self.out = out;
    }

    fn perform(&mut self, output: Output, bytes: &[u8], around: &mut Around<'_>) {
        match output {
            Output::Write { conn, start, len } => {
                let frames = &bytes[start as usize..][..len as usize];
                let Some(at) = self.find(conn, "Write", around) else { return };
                self.conns[at].outbox.extend(frames);
                self.overhear(self.conns[at].link, frames, around);
            }
            Output::Authenticate { conn, user, device, credential } => {
                let Some(at) = self.find(conn, "Authenticate", around) else { return };
                self.conns[at].is_paused = true;
                let wall_us = around.clock.now().wall_us;
                let verdict = around.accounts.check(user.as_name(), device.as_device(), &credential, wall_us);
                self.verdicts.push((conn, verdict));
            }
            Output::Account { conn, request } => {
                let Some(_) = self.find(conn, "Account", around) else { return };
                trace!(around.trace, "s{} asks the accounts: {request:?}", self.index.0);
                around.accounts.ask(self.index, conn, request);
            }
            Output::Purged { user } => {
                trace!(around.trace, "s{} says that {user} is purged", self.index.0);
                let user = around.model.user(user.as_name()).expect("one of the world's own");
                around.accounts.on_purged(user);
                around.model.on_purged(user);
            }
            Output::Handoff { conn, to, login } => {
                let Some(at) = self.find(conn, "Handoff", around) else { return };
                let Conn { link, unread, outbox, .. } = self.conns.swap_remove(at);
                around.mesh.hand_off(to, Moving { link, unread, outbox, login });
            }
            Output::Forward { to, envelope } => {
                if let Err(text) = around.mesh.forward(self.index, to, envelope, &self.config) {
                    around.model.fail(text);
                }
            }
            Output::Disk(op) => {
                trace!(around.trace, "s{} disk: {}", self.index.0, show::op(&op));
                match op.kind {
                    DiskOpKind::Rename { to: File::Segment(_), .. } => around.model.tally.count("segment begun"),
                    DiskOpKind::Rename { to: File::Spare(_), .. } => around.model.tally.count("segment recycled"),
                    _ => {}
                }
                self.disk.submit(op);
            }
            Output::PauseRead { conn } => {
                let Some(at) = self.find(conn, "PauseRead", around) else { return };
                self.conns[at].is_paused = true;
                around.model.tally.count("reading paused");
            }
            Output::ResumeRead { conn } => {
                let Some(at) = self.find(conn, "ResumeRead", around) else { return };
                (self.conns[at].is_paused, self.conns[at].is_resumed) = (false, true);
            }
            Output::Close { conn } => {
                let Some(at) = self.find(conn, "Close", around) else { return };
                trace!(around.trace, "s{} closes {conn:?}", self.index.0);
                let Conn { link, outbox, .. } = self.conns.swap_remove(at);
                self.closing.push((link, outbox));
            }
            Output::Ready { .. } => self.is_ready = true,
            Output::Drained => self.is_drained = true,
            Output::Notice(notice) => self.on_notice(&notice, around),
        }
    }

    fn on_notice(&mut self, notice: &Notice, around: &mut Around<'_>) {
        trace!(around.trace, "s{} {notice:?}", self.index.0);
        match notice {
            Notice::Log(state) => self.log_state = *state,
            Notice::CommitFailed(_) => around.model.tally.count("commit failed"),
            Notice::ReadFailed => around.model.tally.count("read failed"),
            Notice::TornTail { .. } => around.model.tally.count("torn tail"),
            Notice::Unusable(_) => {
                around.model.tally.count("could not start");
                self.is_unusable = true;
            }
            Notice::Damage { .. } => {}
        }
        let is_harmless = matches!(notice, Notice::TornTail { .. } | Notice::Log(LogState::Ok | LogState::Recovering));
        let is_bad = matches!(notice, Notice::Damage { .. }) || !is_harmless && around.model.are_disks_good;
        if is_bad {
            around.model.fail(format!("{notice:?}, and no disk gave cause for it"));
        }
    }

    /// Where a connection is; the core may speak only of those that are open.
    fn find(&self, conn: ConnId, what: &str, around: &mut Around<'_>) -> Option<usize> {
        let at = self.conns.iter().position(|open| open.id == conn);
        if at.is_none() {
            around.model.fail(format!("{what} for {conn:?}, which is not open on shard {}", self.index.0));
        }
        at
    }

    fn overhear(&self, link: LinkId, mut frames: &[u8], around: &mut Around<'_>) {
        while !frames.is_empty() {
            let Ok(Cut::Frame { frame_type, payload, len }) = cut(frames, PAYLOAD_LEN_MAX) else {
                return around.model.fail("a Write holds something else than whole frames".to_owned());
            };
            match decode(frame_type, payload) {
                Ok(Some(frame)) => {
                    trace!(around.trace, "s{} > {link} {}", self.index.0, show::frame(&frame));
                    around.model.on_frame_out(link, &frame);
                }
                other => around.model.fail(format!("a Write holds {other:?}")),
            }
            frames = &frames[len..];
        }
    }

    /// One send per connection that has something, as much as its socket takes.
    pub(super) fn flush(&mut self, around: &mut Around<'_>) {
        let mut progress = Vec::new();
        for conn in self.conns.iter_mut().filter(|conn| !conn.outbox.is_empty()) {
            if around.rng.chance(1, 16) {
                continue; // Not everybody has his turn each time.
            }
            let taken = write_out(conn.link, &mut conn.outbox, around);
            let (was_blocked, left) = (conn.is_blocked, conn.outbox.len());
            conn.is_blocked = left > 0;
            match (was_blocked, left) {
                (false, 0) => {}
                (false, _) => progress.push(Input::Blocked { conn: conn.id }),
                (true, left) if taken > 0 => progress.push(Input::Sent { conn: conn.id, left }),
                (true, _) => {}
            }
        }
        self.closing.retain_mut(|(link, outbox)| {
            write_out(*link, outbox, around);
            if outbox.is_empty() {
                around.net.close(*link, End::Gateway);
            }
            !outbox.is_empty()
        });
        for input in progress {
            around.model.tally.count("blocked");
            self.handle(input, around);
        }
    }
}

fn write_out(link: LinkId, outbox: &mut VecDeque<u8>, around: &mut Around<'_>) -> usize {
    let taken = around.net.write(link, End::Client, outbox.make_contiguous());
    outbox.drain(..taken);
    taken
}
