//! What an earlier run left, and the state records that keep it findable as old segments go.

use storage::{LogEvent, Place, Record, StoredMessage};
use wire::{DeviceBuf, DeviceNo, Id, Incarnation, NameBuf};

use crate::device::Device;
use crate::envelope::{UserRef, split};
use crate::event::{Notice, Now, Output, Outputs};
use crate::login::{NOBODY, REFUSED};
use crate::shard::Shard;
use crate::spill::Commit;
use crate::user::Users;

impl Shard {
    /// Recovery found something, or is over.
    pub(crate) fn on_recovery_event(&mut self, now: Now, event: LogEvent, out: &mut Outputs) {
        match event {
            LogEvent::FoundMessage {
                user,
                message,
                place,
                ..
            } => self.on_found_message(&user, &message, place),
            LogEvent::FoundCursor {
                user,
                device_no,
                id,
                lsn,
            } => {
                let user_ref = self.users.intern(user.as_name());
                let user = self.users.get_mut(user_ref);
                user.head = user.head.max(id);
                user.confirmed = user.confirmed.max(id);
                if let Some(device) = user.device(device_no) {
                    device.cursor = device.cursor.max(id);
                    let old = device.cursor_record.replace(lsn);
                    self.replace_state(old, lsn, user_ref, device_no);
                }
            }
            LogEvent::FoundDevice {
                user,
                device_no,
                device,
                incarnation,
                cursor,
                highest,
                lsn,
            } => {
                let user = self.users.intern(user.as_name());
                self.on_found_device(user, device_no, device, incarnation, cursor, highest);
                self.set_device_record(user, device_no, lsn);
            }
            LogEvent::FoundPurge {
                user,
                device_no,
                highest,
                lsn,
            } => {
                let user_ref = self.users.intern(user.as_name());
                self.forget_found_device(user_ref, device_no);
                let user = self.users.get_mut(user_ref);
                user.highest = user.highest.max(highest);
                let old = user.highest_record.replace(lsn);
                self.replace_state(old, lsn, user_ref, NOBODY);
            }
            LogEvent::Ready {
                boot,
                first_free,
                reserved_below,
            } => {
                self.boot = boot;
                self.ids.start(first_free, reserved_below);
                for user in self.users.refs() {
                    self.start_user(now, user);
                }
                out.list.push(Output::Ready { boot });
            }
            LogEvent::TornTail { file, offset } => {
                out.list
                    .push(Output::Notice(Notice::TornTail { file, offset }));
            }
            LogEvent::Damage { file, offset, lost } => {
                let lost_count = lost.1.0.saturating_sub(lost.0.0);
                out.list.push(Output::Notice(Notice::Damage {
                    file,
                    offset,
                    lost_count,
                }));
            }
            LogEvent::Unusable { reason } => {
                out.list.push(Output::Notice(Notice::Unusable(reason)))
            }
            other => unreachable!("handled where it belongs: {other:?}"),
        }
    }

    fn on_found_message(&mut self, user: &NameBuf, message: &StoredMessage, place: Place) {
        let user_ref = self.users.intern(user.as_name());
        let (from, _, _) = split(&message.bytes, message.from_len, message.to_len);
        let identity = self.users.identity_of(from, message.mid);
        let empty = self.users.new_found();
        let user = self.users.get_mut(user_ref);
        user.head = user.head.max(message.id);
        user.found
            .get_or_insert_with(|| Box::new(empty))
            .insert(message.id, identity);
        self.log.place(Users::inbox(user_ref), place);
    }

    fn on_found_device(
        &mut self,
        user_ref: UserRef,
        device_no: DeviceNo,
        name: DeviceBuf,
        incarnation: Incarnation,
        cursor: Id,
        highest: DeviceNo,
    ) {
        let user = self.users.get_mut(user_ref);
        user.highest = user.highest.max(highest).max(device_no);
        user.head = user.head.max(cursor);
        user.confirmed = user.confirmed.max(cursor);
        if let Some(device) = user.device(device_no) {
            device.cursor = device.cursor.max(cursor);
            return;
        }
        if user
            .devices
            .iter()
            .any(|device| device.name == name && device.no > device_no)
        {
            return; // Written again while its successor's record was on the way.
        }
        let older: Vec<_> = user
            .devices
            .iter()
            .filter(|device| device.name == name)
            .map(|device| device.no)
            .collect();
        for no in older {
            self.forget_found_device(user_ref, no);
        }
        let user = self.users.get_mut(user_ref);
        user.devices
            .push(Device::new(device_no, name, incarnation, cursor, REFUSED));
        user.devices.sort_by_key(|device| device.no);
    }

    fn forget_found_device(&mut self, user_ref: UserRef, device_no: DeviceNo) {
        self.forget_device_records(user_ref, device_no);
        self.users
            .get_mut(user_ref)
            .devices
            .retain(|device| device.no != device_no);
    }

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

    /// Everything about a user was found: nobody has a session, and what all devices had is not wanted.
    fn start_user(&mut self, now: Now, user: UserRef) {
        for device in &mut self.users.get_mut(user).devices {
            device.on_absent(now.mono_us);
            device.sent = device.cursor;
        }
        self.release(user);
    }

    /// Records where a device has come to, about a second after it moved.
    pub(crate) fn record_cursor(&mut self, now: Now, user_ref: UserRef, device_no: DeviceNo) {
        let user = self.users.get_mut(user_ref);
        let name = user.name.clone();
        let Some(device) = user.device(device_no) else {
            return;
        };
        let record = Record::Cursor {
            user: name.as_name(),
            device_no,
            id: device.cursor,
        };
        match self.log.append(Users::inbox(user_ref), &record) {
            Ok(lsn) => {
                device.is_cursor_due = false;
                let old = device.cursor_record.replace(lsn);
                self.replace_state(old, lsn, user_ref, device_no);
                self.commits
                    .push_back((lsn, Commit::Cursor(user_ref, device_no)));
            }
            Err(_) => self
                .cursor_timers
                .push_back((now.mono_us + RETRY_US, user_ref, device_no)),
        }
    }

    /// Writes some of the state in the oldest segment again, so that the segment can go. A slice each turn.
    pub(crate) fn rewrite_some(&mut self) {
        let Some(below) = self.rewrite.as_ref().map(|rewrite| rewrite.below) else {
            return;
        };
        for _ in 0..REWRITES_PER_TURN {
            let Some(&(lsn, user, device_no)) =
                self.state_records.first().filter(|(lsn, ..)| *lsn < below)
            else {
                break;
            };
            if !self.rewrite_one(user, device_no) {
                return;
            }
            debug_assert!(
                !self.state_records.contains(&(lsn, user, device_no)),
                "it has a newer record"
            );
        }
        let is_done = self
            .state_records
            .first()
            .is_none_or(|(lsn, ..)| *lsn >= below)
            && self
                .rewrite
                .as_ref()
                .is_some_and(|rewrite| rewrite.under_way == 0);
        if is_done {
            self.rewrite = None;
            self.log.reclaim(below, &mut self.ops, &mut self.events);
        }
    }

    /// Writes a device with its cursor, or a user's highest number, again. Says whether the log had room.
    fn rewrite_one(&mut self, user_ref: UserRef, device_no: DeviceNo) -> bool {
        let user = self.users.get_mut(user_ref);
        let (name, highest) = (user.name.clone(), user.highest);
        let inbox = Users::inbox(user_ref);
        let result = match user.device(device_no) {
            Some(device) if device.is_purging => {
                self.forget_device_records(user_ref, device_no);
                return true;
            }
            Some(device) => self.log.append(
                inbox,
                &Record::Device {
                    user: name.as_name(),
                    device_no,
                    device: device.name.as_device(),
                    incarnation: device.incarnation,
                    cursor: device.cursor,
                    highest,
                },
            ),
            None => self.log.append(
                inbox,
                &Record::Purge {
                    user: name.as_name(),
                    device_no: NOBODY,
                    highest,
                },
            ),
        };
        let Ok(lsn) = result else { return false };
        if device_no == NOBODY {
            let old = self.users.get_mut(user_ref).highest_record.replace(lsn);
            self.replace_state(old, lsn, user_ref, NOBODY);
        } else {
            self.set_device_record(user_ref, device_no, lsn);
        }
        self.commits
            .push_back((lsn, Commit::Rewrite(user_ref, device_no)));
        if let Some(rewrite) = &mut self.rewrite {
            rewrite.under_way += 1;
        }
        true
    }

    /// A record of state was not stored: an older one still stands, and it is written again before that one goes.
    pub(crate) fn on_state_refused(&mut self, user_ref: UserRef, device_no: DeviceNo) {
        if device_no == NOBODY {
            let old = self.users.get_mut(user_ref).highest_record.replace(REFUSED);
            self.replace_state(old, REFUSED, user_ref, NOBODY);
        } else {
            self.set_device_record(user_ref, device_no, REFUSED);
        }
    }

    /// The newest record of a device: it says its cursor too.
    fn set_device_record(&mut self, user_ref: UserRef, device_no: DeviceNo, lsn: storage::Lsn) {
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

    fn replace_state(
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

/// State records written again in one turn.
const REWRITES_PER_TURN: usize = 64;
/// How soon a cursor that found no room is tried again.
const RETRY_US: u64 = 1_000_000;
