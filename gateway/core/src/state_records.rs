//! Records that hold today's state of devices: cursors written down as they move, and everything written again before the
//! segment it stands in goes.

use storage::{AppendError, Lsn, Record};
use wire::{DeviceNo, Id};

use crate::envelope::UserRef;
use crate::event::Now;
use crate::shard::Shard;
use crate::spill::Commit;
use crate::user::Users;

impl Shard {
    /// The records of a device hold nothing any more.
    pub(crate) fn forget_device_records(&mut self, user_ref: UserRef, device_no: DeviceNo) {
        let Some(device) = self.users.get_mut(user_ref).device(device_no) else {
            return;
        };
        let cursor_record = device.cursor_record.take();
        for lsn in [Some(device.record), cursor_record].into_iter().flatten() {
            self.state_records.remove(&(lsn, user_ref, device_no));
        }
    }

    /// Records where a device has come to, about a second after it moved.
    pub(crate) fn record_cursor(&mut self, now: Now, user_ref: UserRef, device_no: DeviceNo) {
        let user = self.users.get_mut(user_ref);
        let name = user.name.clone();
        let Some(device) = user.device(device_no) else {
            return;
        };
        let id = device.cursor;
        let record = Record::Cursor { user: name.as_name(), device_no, id };
        match self.log.append(Users::inbox(user_ref), &record) {
            Ok(lsn) => {
                device.is_cursor_due = false;
                device.recorded_cursor = id;
                let old = device.cursor_record.replace(lsn);
                self.replace_state(old, lsn, user_ref, device_no);
                self.commits.push_back((lsn, Commit::Cursor(user_ref, device_no, id)));
            }
            Err(AppendError::ReadOnly) => device.is_cursor_due = false,
            Err(_) => self.cursor_timers.push_back((now.mono_us + RETRY_US, user_ref, device_no)),
        }
    }

    /// Writes some of the state in the oldest segment again, so that the segment can go. A slice each turn.
    pub(crate) fn rewrite_some(&mut self) {
        let Some(below) = self.rewrite.as_ref().map(|rewrite| rewrite.below) else {
            return;
        };
        for _ in 0..REWRITES_PER_TURN {
            let Some(&(lsn, user, device_no)) = self.state_records.first().filter(|(lsn, ..)| *lsn < below) else {
                break;
            };
            if !self.rewrite_one(user, device_no) {
                return;
            }
            debug_assert!(!self.state_records.contains(&(lsn, user, device_no)), "it has a newer record");
        }
        let is_done = self.state_records.first().is_none_or(|(lsn, ..)| *lsn >= below)
            && self.rewrite.as_ref().is_some_and(|rewrite| rewrite.under_way == 0);
        if is_done {
            self.rewrite = None;
            self.log.reclaim(below, &mut self.ops, &mut self.events);
        }
    }

    /// Writes a device with its cursor, or a user's highest number, again. Says whether the log had room.
    fn rewrite_one(&mut self, user_ref: UserRef, device_no: DeviceNo) -> bool {
        let device = self.users.get_mut(user_ref).device(device_no);
        let cursor = device.as_ref().map_or(Id::NONE, |device| device.cursor);
        let result = match device {
            // Its records go when its purge is durable, and must not come behind that.
            Some(device) if device.is_purging => return false,
            Some(_) => self.append_device(user_ref, device_no),
            None => self.append_nobody(user_ref),
        };
        let Ok(lsn) = result else { return false };
        self.commits.push_back((lsn, Commit::Rewrite(user_ref, device_no, cursor)));
        if let Some(rewrite) = &mut self.rewrite {
            rewrite.under_way += 1;
        }
        true
    }

    /// Writes a device down as it is now.
    pub(crate) fn append_device(&mut self, user_ref: UserRef, device_no: DeviceNo) -> Result<Lsn, AppendError> {
        let user = self.users.get_mut(user_ref);
        let (name, highest) = (user.name.clone(), user.highest);
        let device = user.device(device_no).expect("looked at before: rewrite_one, append_sign_out");
        let record = Record::Device {
            user: name.as_name(),
            device_no,
            device: device.name.as_device(),
            incarnation: device.incarnation,
            cursor: device.cursor,
            highest,
            valid_from_us: device.valid_from_us,
        };
        let lsn = self.log.append(Users::inbox(user_ref), &record)?;
        self.set_device_record(user_ref, device_no, lsn);
        Ok(lsn)
    }

    /// Writes down what is known of a user without a device's record.
    fn append_nobody(&mut self, user_ref: UserRef) -> Result<Lsn, AppendError> {
        let user = self.users.get(user_ref);
        let record = Record::Purge {
            user: user.name.as_name(),
            device_no: if user.is_deleted { user.highest } else { NOBODY },
            highest: user.highest,
            is_all: user.is_deleted,
            confirmed: user.confirmed,
            valid_from_us: user.removed_us,
        };
        let lsn = self.log.append(Users::inbox(user_ref), &record)?;
        let old = self.users.get_mut(user_ref).highest_record.replace(lsn);
        self.replace_state(old, lsn, user_ref, NOBODY);
        Ok(lsn)
    }

    /// A record of state was not stored: an older one still stands, and it is written again before that one goes.
    pub(crate) fn on_state_refused(&mut self, user_ref: UserRef, device_no: DeviceNo) {
        if device_no == NOBODY {
            let old = self.users.get_mut(user_ref).highest_record.replace(REFUSED);
            self.replace_state(old, REFUSED, user_ref, NOBODY);
        } else {
            if let Some(device) = self.users.get_mut(user_ref).device(device_no) {
                device.recorded_cursor = device.durable_cursor;
            }
            self.set_device_record(user_ref, device_no, REFUSED);
        }
    }

    /// The newest record of a device: it says its cursor too.
    pub(crate) fn set_device_record(&mut self, user_ref: UserRef, device_no: DeviceNo, lsn: storage::Lsn) {
        let Some(device) = self.users.get_mut(user_ref).device(device_no) else {
            return;
        };
        let cursor_record = device.cursor_record.take();
        let record = std::mem::replace(&mut device.record, lsn);
        for old in [Some(record), cursor_record].into_iter().flatten() {
            self.state_records.remove(&(old, user_ref, device_no));
        }
        self.state_records.insert((lsn, user_ref, device_no));
    }

    pub(crate) fn replace_state(
        &mut self,
        old: Option<storage::Lsn>,
        new: storage::Lsn,
        user: UserRef,
        device_no: DeviceNo,
    ) {
        if let Some(old) = old {
            self.state_records.remove(&(old, user, device_no));
        }
        self.state_records.insert((new, user, device_no));
    }
}

/// What a device number that is nobody's stands for in the set of state records: the user's highest number.
pub(crate) const NOBODY: DeviceNo = DeviceNo(0);
/// The lsn of state whose newest record was refused: an older one still stands, and it is written again at the next chance.
pub(crate) const REFUSED: Lsn = Lsn(0);
/// State records written again in one turn.
const REWRITES_PER_TURN: usize = 64;
/// How soon a cursor that found no room is tried again.
const RETRY_US: u64 = 1_000_000;
