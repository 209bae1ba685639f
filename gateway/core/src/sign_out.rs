//! LOGOUT: the device's tickets are void, durably, before its client is told.

use storage::AppendError;
use wire::{Code, DeviceNo};

use crate::envelope::UserRef;
use crate::event::{ConnId, Now, Outputs};
use crate::fault::Fault;
use crate::session::State;
use crate::shard::Shard;
use crate::spill::Commit;

impl Shard {
    /// LOGOUT: delivery to the device stops at once, and its tickets are void. With `forget` the device goes
    /// too. GOAWAY answers when a crash cannot undo it.
    pub(crate) fn on_logout(
        &mut self,
        now: Now,
        conn: ConnId,
        user: UserRef,
        device_no: DeviceNo,
        forget: bool,
        out: &mut Outputs,
    ) {
        let Some(session) = self.sessions.get_mut(conn) else {
            return;
        };
        session.state = State::Leaving;
        session.heard_us = now.mono_us;
        // Above the session's own proof even if the clock was set back since.
        let moment_us = now.wall_us.max(session.proven_us.saturating_add(1));
        self.update_reading(now, conn, out);
        self.set_deadline(now, conn);
        self.stop_delivery(now, conn, user, device_no);
        let Some(device) = self.users.get_mut(user).device(device_no) else {
            return self.close(now, conn, Code::LoggedOut, out);
        };
        device.valid_from_us = device.valid_from_us.max(moment_us);
        let valid_from_us = device.valid_from_us;
        self.leaving.entry((user, device_no)).or_default().push((conn, valid_from_us));
        if forget {
            self.forget(now, user, device_no, out);
        } else {
            self.sign_outs.push_back((user, device_no));
            self.retry_sign_outs(now, out);
        }
        if self.planted.is(Fault::SignOutBeforeDurable) {
            self.end_leaving(now, user, device_no, u64::MAX, Code::LoggedOut, out);
        }
    }

    /// Writes down what found no room before.
    pub(crate) fn retry_sign_outs(&mut self, now: Now, out: &mut Outputs) {
        while let Some((user, device_no)) = self.sign_outs.front().copied() {
            match self.append_sign_out(user, device_no) {
                Ok(()) => {}
                Err(AppendError::QueueFull) => return,
                // Nobody is told that he is signed out who may not be after a crash. He may try again.
                Err(AppendError::NoSpace | AppendError::ReadOnly) => {
                    self.end_leaving(now, user, device_no, u64::MAX, Code::StorageFull, out);
                }
            }
            self.sign_outs.pop_front();
        }
    }

    fn append_sign_out(&mut self, user: UserRef, device_no: DeviceNo) -> Result<(), AppendError> {
        // A device that is gone, or will be when its purge is durable: that says all.
        let is_due = self.users.get_mut(user).device(device_no).filter(|device| !device.is_purging);
        let Some((cursor, valid_from_us)) = is_due.map(|device| (device.cursor, device.valid_from_us)) else {
            return Ok(());
        };
        let lsn = self.append_device(user, device_no)?;
        self.commits.push_back((lsn, Commit::SignOut(user, device_no, cursor, valid_from_us)));
        Ok(())
    }

    /// Tells those who signed out that it is durable, or cannot be: whoever did so up to this moment.
    pub(crate) fn end_leaving(
        &mut self,
        now: Now,
        user: UserRef,
        device_no: DeviceNo,
        up_to_us: u64,
        code: Code,
        out: &mut Outputs,
    ) {
        let Some(mut leaving) = self.leaving.remove(&(user, device_no)) else {
            return;
        };
        for (conn, _) in leaving.extract_if(.., |(_, moment_us)| *moment_us <= up_to_us) {
            if self.sessions.get(conn).is_some() {
                self.close(now, conn, code, out);
            }
        }
        if !leaving.is_empty() {
            self.leaving.insert((user, device_no), leaving);
        }
    }
}
