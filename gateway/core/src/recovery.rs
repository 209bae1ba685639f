//! What an earlier run left, and the state records that keep it findable as old segments go.

use storage::{LogEvent, Place, StoredMessage};
use wire::{DeviceNo, Id, NameBuf};

use crate::device::Device;
use crate::envelope::{UserRef, split};
use crate::event::{Notice, Now, Output, Outputs};
use crate::fault::Fault;
use crate::shard::Shard;
use crate::state_records::{NOBODY, REFUSED};
use crate::user::Users;

impl Shard {
    /// Recovery found something, or is over.
    pub(crate) fn on_recovery_event(&mut self, now: Now, event: LogEvent, out: &mut Outputs) {
        match event {
            LogEvent::FoundMessage { user, message, place, .. } => self.on_found_message(&user, &message, place),
            LogEvent::FoundCursor { user, device_no, id, lsn } => {
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
            LogEvent::FoundDevice { user, device_no, device, incarnation, cursor, highest, valid_from_us, lsn } => {
                let user = self.users.intern(user.as_name());
                let found = Device::new(device_no, device, incarnation, cursor, valid_from_us, REFUSED);
                self.on_found_device(user, found, highest);
                self.set_device_record(user, device_no, lsn);
            }
            LogEvent::FoundPurge { user, device_no, highest, is_all, confirmed, valid_from_us, lsn } => {
                let user_ref = self.users.intern(user.as_name());
                let is_gone = |no: DeviceNo| no == device_no || is_all && no < device_no;
                let devices = self.users.get(user_ref).devices.iter();
                let gone: Vec<_> = devices.map(|device| device.no).filter(|no| is_gone(*no)).collect();
                for no in gone {
                    self.forget_found_device(user_ref, no);
                }
                let user = self.users.get_mut(user_ref);
                user.highest = user.highest.max(highest);
                user.head = user.head.max(confirmed);
                user.confirmed = user.confirmed.max(confirmed);
                user.removed_us = user.removed_us.max(valid_from_us);
                user.is_deleted = is_all && user.devices.is_empty();
                let old = user.highest_record.replace(lsn);
                self.replace_state(old, lsn, user_ref, NOBODY);
            }
            LogEvent::Ready { boot, first_free, reserved_below } => {
                self.boot = boot;
                let is_forgetful = self.planted.is(Fault::ForgetReservation);
                self.ids.start(if is_forgetful { Id::NONE } else { first_free }, reserved_below);
                for user in self.users.refs() {
                    self.start_user(now, user);
                }
                out.list.push(Output::Ready { boot });
            }
            LogEvent::TornTail { file, offset } => {
                out.list.push(Output::Notice(Notice::TornTail { file, offset }));
            }
            LogEvent::Damage { file, offset, lost } => {
                let lost_count = lost.1.0.saturating_sub(lost.0.0);
                out.list.push(Output::Notice(Notice::Damage { file, offset, lost_count }));
            }
            LogEvent::Unusable { reason } => out.list.push(Output::Notice(Notice::Unusable(reason))),
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
        user.found.get_or_insert_with(|| Box::new(empty)).insert(message.id, identity);
        self.log.place(Users::inbox(user_ref), place);
    }

    fn on_found_device(&mut self, user_ref: UserRef, found: Device, highest: DeviceNo) {
        let user = self.users.get_mut(user_ref);
        user.highest = user.highest.max(highest).max(found.no);
        user.head = user.head.max(found.cursor);
        user.confirmed = user.confirmed.max(found.cursor);
        user.is_deleted = false;
        if let Some(device) = user.device(found.no) {
            device.cursor = device.cursor.max(found.cursor);
            device.valid_from_us = device.valid_from_us.max(found.valid_from_us);
            return;
        }
        if user.devices.iter().any(|device| device.name == found.name && device.no > found.no) {
            return; // Written again while its successor's record was on the way.
        }
        let older: Vec<_> = user.devices.iter().filter(|d| d.name == found.name).map(|d| d.no).collect();
        for no in older {
            self.forget_found_device(user_ref, no);
        }
        let user = self.users.get_mut(user_ref);
        user.devices.push(found);
        user.devices.sort_by_key(|device| device.no);
        self.device_count += 1;
    }

    fn forget_found_device(&mut self, user_ref: UserRef, device_no: DeviceNo) {
        self.forget_device_records(user_ref, device_no);
        let devices = &mut self.users.get_mut(user_ref).devices;
        let count_before = devices.len();
        devices.retain(|device| device.no != device_no);
        self.device_count -= (count_before - devices.len()) as u64;
    }

    /// Everything about a user was found: nobody has a session, and what all devices had is not wanted.
    fn start_user(&mut self, now: Now, user: UserRef) {
        for device in &mut self.users.get_mut(user).devices {
            device.on_absent(now.mono_us);
            device.sent = device.cursor;
            device.durable_cursor = device.cursor;
            device.recorded_cursor = device.cursor;
        }
        self.release(user);
    }
}
