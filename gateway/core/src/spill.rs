//! What goes to the log, what comes of it, and what comes back from it to devices that are behind. Step 7b of the walk.

use storage::{AppendError, LogEvent, LogState, Lsn, Message, Record};
use wire::frame::SafeBy;
use wire::{Code, DeviceNo, Id};

use crate::delivery::safe;
use crate::envelope::{Outcome, Parcel, UserRef, split};
use crate::event::{Notice, Now, Output, Outputs};
use crate::fault::Fault;
use crate::inbox::{Entry, Stage};
use crate::shard::{Report, Shard};
use crate::user::Users;

/// What a record on its way to the disk is for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Commit {
    /// An entry of an inbox.
    Message(UserRef, Id),
    /// A new device: WELCOME waits for it.
    Register(UserRef, DeviceNo),
    /// A device that is gone once this is durable.
    Purge(UserRef, DeviceNo),
    /// A device that signed out, its cursor as far as here, and the moment before which its logins are void.
    SignOut(UserRef, DeviceNo, Id, u64),
    /// A deleted account: its devices up to this number, its inbox up to here.
    Erase(UserRef, DeviceNo, Id),
    /// A device's cursor, as far as here.
    Cursor(UserRef, DeviceNo, Id),
    /// State written again, so that an old segment can go; of a device, its cursor as far as here.
    Rewrite(UserRef, DeviceNo, Id),
}

/// The oldest segment waits for the state in it to be written again.
#[derive(Debug)]
pub(crate) struct Rewrite {
    /// The first record behind that segment.
    pub(crate) below: Lsn,
    /// Records written again and not durable yet.
    pub(crate) under_way: u32,
}

impl Shard {
    /// Sends the window up to and with `up_to` to the log, oldest first (the order rule); what finds no room there waits here.
    pub(crate) fn spill(&mut self, to: UserRef, up_to: Id) {
        let user = self.users.get_mut(to);
        user.spill_up_to = user.spill_up_to.max(up_to);
        if !user.is_spill_queued && !self.append_waiting(to) {
            self.users.get_mut(to).is_spill_queued = true;
            self.spills.push_back(to);
        }
    }

    /// Spills everything in the window.
    pub(crate) fn spill_all(&mut self, to: UserRef) {
        if let Some(newest) = self.users.get(to).window.newest() {
            self.spill(to, newest);
        }
    }

    /// Tries again what found no room in the log, in the order in which it came.
    pub(crate) fn retry_spills(&mut self, now: Now) {
        while let Some(user) = self.spills.front().copied() {
            if !self.append_waiting(user) {
                break;
            }
            self.users.get_mut(user).is_spill_queued = false;
            self.spills.pop_front();
            self.set_confirm_timer(now, user);
        }
    }

    /// Appends the waiting entries that want the log. Says whether all found room.
    fn append_waiting(&mut self, to: UserRef) -> bool {
        let user = self.users.get_mut(to);
        let mut waiting: Vec<_> = user.window.waiting_mut(user.spill_up_to).collect();
        if self.planted.is(Fault::WrongSpillOrder) {
            waiting.reverse();
        }
        for entry in waiting {
            if self.planted.is(Fault::SkipSpill) {
                entry.stage = Stage::Settled;
                self.outcomes.push_back(safe(entry, SafeBy::Stored));
                continue;
            }
            let record = Record::Message(as_message(user.name.as_name(), entry.id, &entry.parcel));
            let lsn = match self.log.append(Users::inbox(to), &record) {
                Ok(lsn) => lsn,
                Err(AppendError::QueueFull) => return false,
                Err(AppendError::NoSpace | AppendError::ReadOnly) => {
                    self.take_off_lanes(to);
                    return false;
                }
            };
            entry.stage = Stage::Appended(lsn);
            self.commits.push_back((lsn, Commit::Message(to, entry.id)));
            self.counters.spilled += 1;
            if self.planted.is(Fault::AcknowledgeBeforeSafe) {
                self.outcomes.push_back(safe(entry, SafeBy::Stored));
                entry.stage = Stage::Settled;
            }
        }
        user.window.pop_settled();
        true
    }

    /// The log takes nothing now. What waits for it must not keep others from their lanes meanwhile.
    fn take_off_lanes(&mut self, to: UserRef) {
        let user = self.users.get_mut(to);
        let waiting = user.window.waiting_mut(user.spill_up_to);
        for entry in waiting.filter(|entry| !entry.is_off_lane && !entry.origin.is_copy) {
            self.outcomes.push_back(Report { outcome: Outcome::Held, ..safe(entry, SafeBy::Stored) });
            entry.is_off_lane = true;
        }
    }

    /// Entries that waited too long for their confirmation go to the log.
    pub(crate) fn on_confirm_timeout(&mut self, now: Now, to: UserRef) {
        let confirm_timeout_us = self.confirm_timeout_us();
        let user = self.users.get_mut(to);
        user.is_timer_set = false;
        let is_due = |entry: &&mut Entry| entry.since_us + confirm_timeout_us <= now.mono_us;
        let due = user.window.waiting_mut(Id(u64::MAX)).rfind(is_due);
        if let Some(id) = due.map(|entry| entry.id) {
            self.spill(to, id);
        }
        self.set_confirm_timer(now, to);
    }

    /// Looks at the window again when its oldest waiting entry is due. Deadlines go up: all timers run equally long.
    pub(crate) fn set_confirm_timer(&mut self, now: Now, to: UserRef) {
        let confirm_timeout_us = self.confirm_timeout_us();
        let user = self.users.get_mut(to);
        if user.is_timer_set || user.is_spill_queued {
            return;
        }
        if let Some(entry) = user.window.first_waiting() {
            let at = (entry.since_us + confirm_timeout_us).max(now.mono_us);
            user.is_timer_set = true;
            let index = self.confirm_timers.partition_point(|(due, _)| *due <= at);
            self.confirm_timers.insert(index, (at, to));
        }
    }

    /// How long an entry may wait for its confirmation before it goes to the log.
    fn confirm_timeout_us(&self) -> u64 {
        u64::from(self.config.confirm_timeout_ms) * 1_000
    }

    /// Something happened in the log.
    pub(crate) fn on_log_event(&mut self, now: Now, event: LogEvent, out: &mut Outputs) {
        match event {
            LogEvent::Durable { up_to } => {
                while let Some((_, commit)) = self.commits.pop_front_if(|(lsn, _)| *lsn <= up_to) {
                    self.on_durable(now, commit, out);
                }
                self.retry_spills(now);
            }
            LogEvent::Refused { first, last, error } => {
                out.list.push(Output::Notice(Notice::CommitFailed(error)));
                // The log refuses everything behind the first record that it refuses, so order is kept when it is appended
                // again; what is before may still be on its way.
                let from = self.commits.partition_point(|(lsn, _)| *lsn < first);
                let to = self.commits.partition_point(|(lsn, _)| *lsn <= last);
                let refused: Vec<_> = self.commits.drain(from..to).map(|(_, commit)| commit).collect();
                for commit in refused {
                    self.on_commit_refused(now, commit, out);
                }
            }
            LogEvent::Read { token, entries, error } => self.on_read(now, token, &entries, error.is_some(), out),
            LogEvent::Reserved { below } => {
                self.ids.extend(below);
                self.retry_copies(now, out);
            }
            LogEvent::Reclaimable { below } => self.rewrite = Some(Rewrite { below, under_way: 0 }),
            LogEvent::State(state) => {
                out.list.push(Output::Notice(Notice::Log(state)));
                if state == LogState::Ok {
                    self.retry_spills(now);
                } else {
                    for index in 0..self.spills.len() {
                        self.take_off_lanes(self.spills[index]);
                    }
                }
            }
            event => self.on_recovery_event(now, event, out),
        }
    }

    fn on_durable(&mut self, now: Now, commit: Commit, out: &mut Outputs) {
        match commit {
            Commit::Message(to, id) => {
                let window = &mut self.users.get_mut(to).window;
                if let Some(entry) = window.get_mut(id).filter(|entry| entry.stage != Stage::Settled) {
                    entry.stage = Stage::Settled;
                    self.counters.safe.record(now.mono_us.saturating_sub(entry.since_us));
                    self.outcomes.push_back(safe(entry, SafeBy::Stored));
                    window.pop_settled();
                }
            }
            Commit::Register(user, device_no) => self.on_registered(now, user, device_no, out),
            Commit::Purge(user, device_no) => self.on_purged(now, user, device_no, out),
            Commit::SignOut(user, device_no, id, valid_from_us) => {
                self.users.get_mut(user).on_cursor_durable(device_no, id);
                self.end_leaving(now, user, device_no, valid_from_us, Code::LoggedOut, out);
            }
            Commit::Erase(user, up_to, cut) => self.on_erased(now, user, up_to, cut, out),
            Commit::Cursor(user, device_no, id) => self.users.get_mut(user).on_cursor_durable(device_no, id),
            Commit::Rewrite(user, device_no, id) => {
                self.users.get_mut(user).on_cursor_durable(device_no, id);
                if let Some(rewrite) = &mut self.rewrite {
                    rewrite.under_way -= 1;
                }
            }
        }
    }

    fn on_commit_refused(&mut self, now: Now, commit: Commit, out: &mut Outputs) {
        match commit {
            Commit::Message(to, id) => {
                let user = self.users.get_mut(to);
                if let Some(entry) = user.window.get_mut(id).filter(|entry| entry.stage != Stage::Settled) {
                    entry.stage = Stage::Waiting;
                    user.spill_up_to = user.spill_up_to.max(id);
                    if !std::mem::replace(&mut user.is_spill_queued, true) {
                        self.spills.push_back(to);
                    }
                    if !self.log_takes_messages() {
                        self.take_off_lanes(to);
                    }
                }
            }
            Commit::Register(user, device_no) => self.on_registration_failed(now, user, device_no, out),
            Commit::Purge(user, device_no) => {
                if let Some(device) = self.users.get_mut(user).device(device_no) {
                    device.is_purging = false;
                }
                self.purges.push_back((user, device_no));
            }
            Commit::SignOut(user, device_no, ..) => {
                self.on_state_refused(user, device_no);
                self.sign_outs.push_back((user, device_no));
            }
            Commit::Erase(user, ..) => self.on_erasure_refused(user),
            Commit::Cursor(user, device_no, _) => self.on_state_refused(user, device_no),
            Commit::Rewrite(user, device_no, _) => {
                if let Some(rewrite) = &mut self.rewrite {
                    rewrite.under_way -= 1;
                }
                self.on_state_refused(user, device_no);
            }
        }
    }
}

fn as_message<'a>(user: wire::Name<'a>, id: Id, parcel: &'a Parcel) -> Message<'a> {
    let (from, to, body) = split(&parcel.bytes, parcel.from_len, parcel.to_len);
    Message { user, id, from, to, mid: parcel.mid, flags: parcel.flags, kind: parcel.kind, body }
}
