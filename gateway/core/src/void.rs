//! Logins that are void: a password was changed, an account disabled or deleted. And what a deleted account leaves.

use storage::Record;
use wire::frame::SafeBy;
use wire::{Code, DeviceNo, Id, NameBuf};

use crate::delivery::safe;
use crate::envelope::UserRef;
use crate::event::{ConnId, Grant, Login, Now, Output, Outputs};
use crate::fault::Fault;
use crate::inbox::Stage;
use crate::session::Session;
use crate::shard::{Shard, home};
use crate::spill::Commit;
use crate::state_records::NOBODY;
use crate::user::{User, Users};

impl Shard {
    /// Why a login is void, if it is.
    pub(crate) fn void(&mut self, user: UserRef, login: &Login) -> Option<Code> {
        let is_planted = self.planted.is(Fault::TakeOldTicket);
        let user = self.users.get_mut(user);
        let Grant { proven_us, by_ticket, .. } = login.grant;
        if user.valid_from_us == u64::MAX {
            return Some(Code::AccountDisabled);
        }
        // A ticket is of a device that is registered; it cannot register one again that was removed. What a device's sign-out
        // voids are tickets: whoever still has a password or a token may log in, also when the clock was set back since.
        let is_dead_ticket = by_ticket
            && user
                .device_named(login.device.as_device())
                .is_none_or(|device| proven_us < device.valid_from_us || device.is_purging);
        (proven_us < user.valid_from_us || is_dead_ticket && !is_planted).then_some(Code::CredentialExpired)
    }

    /// Logins proven before `before_us` are void: sessions that began with one end, later ones are refused.
    pub(crate) fn on_void(
        &mut self,
        now: Now,
        name: &NameBuf,
        before_us: u64,
        code: Code,
        except: Option<ConnId>,
        out: &mut Outputs,
    ) {
        assert_eq!(home(&self.config.key, self.config.shard_count, name), self.config.shard, "told to its home");
        let user_ref = self.users.intern(name.as_name());
        let user = self.users.get_mut(user_ref);
        user.valid_from_us = before_us;
        let sessions: Vec<_> = user.devices.iter().filter_map(|device| device.session).collect();
        for conn in sessions {
            let Some(session) = self.sessions.get_mut(conn) else { continue };
            if except == Some(conn) {
                session.proven_us = session.proven_us.max(before_us);
            } else if session.proven_us < before_us && !self.planted.is(Fault::VoidLeavesSessions) {
                self.close(now, conn, code, out);
            }
        }
    }

    /// The account is deleted: its devices and what its inbox holds go, as soon as the log has room for saying so.
    pub(crate) fn erase(&mut self, name: &NameBuf) {
        let user_ref = self.users.intern(name.as_name());
        let user = self.users.get_mut(user_ref);
        // Said again before it was answered: one answer will do.
        if !std::mem::replace(&mut user.is_erasing, true) {
            self.erasures.push_back(user_ref);
        }
    }

    /// Writes deletions down, once recovery is over and the log has room.
    pub(crate) fn retry_erasures(&mut self, now: Now, out: &mut Outputs) {
        while self.boot > 0
            && let Some(user_ref) = self.erasures.front().copied()
        {
            let is_empty = self.log.span(Users::inbox(user_ref)).is_none();
            let user = self.users.get_mut(user_ref);
            if is_empty && user.window.count() == 0 && (user.is_deleted || user.highest == DeviceNo(0)) {
                user.found = None;
                self.end_erasure(user_ref, out);
            } else if !self.append_erasure(now, user_ref) {
                return;
            }
            self.erasures.pop_front();
        }
    }

    fn append_erasure(&mut self, now: Now, user_ref: UserRef) -> bool {
        let user = self.users.get_mut(user_ref);
        let (up_to, cut) = (user.highest, user.head);
        let newest_us = user.devices.iter().map(|device| device.valid_from_us).max().unwrap_or(0);
        user.removed_us = user.removed_us.max(now.wall_us).max(newest_us);
        let record = Record::Purge {
            user: user.name.as_name(),
            device_no: up_to,
            highest: up_to,
            is_all: true,
            confirmed: cut,
            valid_from_us: user.removed_us,
        };
        let Ok(lsn) = self.log.append(Users::inbox(user_ref), &record) else { return false };
        for device in &mut user.devices {
            device.is_purging = true;
        }
        let old = user.highest_record.replace(lsn);
        self.replace_state(old, lsn, user_ref, NOBODY);
        self.commits.push_back((lsn, Commit::Erase(user_ref, up_to, cut)));
        true
    }

    /// It is durable that an account is gone. Whoever waits to hear of a message that was in its inbox hears that it is safe: no
    /// crash changes any more what became of it.
    pub(crate) fn on_erased(&mut self, now: Now, user_ref: UserRef, up_to: DeviceNo, cut: Id, out: &mut Outputs) {
        let is_planted = self.planted.is(Fault::PurgeLeavesInbox);
        let user = self.users.get_mut(user_ref);
        if !is_planted {
            user.confirmed = user.confirmed.max(cut);
        }
        for entry in user.window.unsettled_mut(cut) {
            entry.stage = Stage::Settled;
            self.outcomes.push_back(safe(entry, SafeBy::Stored));
        }
        user.window.pop_settled();
        if user.found.as_mut().is_some_and(|found| !found.release(cut)) {
            user.found = None;
        }
        let gone: Vec<_> = user.devices.iter().map(|device| device.no).filter(|no| *no <= up_to).collect();
        for device_no in gone {
            self.on_purged(now, user_ref, device_no, out);
        }
        self.release(user_ref);
        self.end_erasure(user_ref, out);
    }

    /// A deletion could not be stored: it is tried again.
    pub(crate) fn on_erasure_refused(&mut self, user_ref: UserRef) {
        for device in &mut self.users.get_mut(user_ref).devices {
            device.is_purging = false;
        }
        self.on_state_refused(user_ref, NOBODY);
        self.erasures.push_back(user_ref);
    }

    fn end_erasure(&mut self, user_ref: UserRef, out: &mut Outputs) {
        let user = self.users.get_mut(user_ref);
        (user.is_erasing, user.is_deleted) = (false, user.devices.is_empty());
        out.list.push(Output::Purged { user: user.name.clone() });
    }
}

impl User {
    /// Whether a device ever registered under that name, since it was last free.
    pub(crate) fn is_known(&self) -> bool {
        self.highest > DeviceNo(0) && !self.is_deleted
    }
}

impl Session {
    /// With the proof its login gave.
    pub(crate) fn proven(mut self, grant: &Grant) -> Session {
        self.proven_us = grant.proven_us;
        self
    }
}
