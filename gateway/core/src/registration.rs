//! Devices come and go: numbers, registration, retirement, purge.

use storage::{AppendError, Record};
use wire::frame::GoAway;
use wire::limits::DEVICE_COUNT_MAX;
use wire::{Code, DeviceNo, Id};

use crate::device::{Device, Phase};
use crate::envelope::UserRef;
use crate::event::{ConnId, Login, Now, Outputs};
use crate::fault::Fault;
use crate::outbox::write_goaway;
use crate::session::{Session, State};
use crate::shard::Shard;
use crate::spill::Commit;
use crate::state_records::NOBODY;
use crate::user::Users;

impl Shard {
    /// Gives a device its number. It counts as registered at once; WELCOME waits until that is durable.
    pub(crate) fn register(&mut self, now: Now, conn: ConnId, user_ref: UserRef, login: Box<Login>, out: &mut Outputs) {
        let user = self.users.get_mut(user_ref);
        let is_staying = |device: &&Device| device.name != login.device && !device.is_purging;
        if user.devices.iter().filter(is_staying).count() >= DEVICE_COUNT_MAX {
            let away = user.devices.iter().filter(|device| device.phase == Phase::Absent);
            let longest = away.filter(is_staying).min_by_key(|device| device.away_since_us);
            let Some(evicted) = longest.filter(|device| now.mono_us - device.away_since_us >= EVICT_AFTER_US) else {
                return write_goaway(out, conn, GoAway::of(Code::TooManyDevices));
            };
            let evicted = evicted.no;
            if let Some(device) = user.device(evicted) {
                device.valid_from_us = device.valid_from_us.max(now.wall_us);
            }
            if let Err(error) = self.purge(user_ref, evicted) {
                return write_goaway(out, conn, GoAway::of(no_room(error)));
            }
        }
        let is_planted = self.planted.is(Fault::NewDeviceAtHead);
        let user = self.users.get_mut(user_ref);
        if user.highest.0 == u16::MAX {
            return write_goaway(out, conn, GoAway::of(Code::TooManyDevices));
        }
        let device_no = DeviceNo(user.highest.0 + 1);
        // A device that was removed and is back may know of more than was heard from it: that counts at once.
        user.confirmed = user.confirmed.max(login.last_id.min(user.head));
        // What an older device of the name signed out of stays void.
        let older_us = user.device_named(login.device.as_device()).map_or(0, |device| device.valid_from_us);
        let valid_from_us = login.grant.proven_us.max(user.removed_us).max(older_us);
        let cursor = if is_planted { user.head } else { user.confirmed };
        let record = Record::Device {
            user: user.name.as_name(),
            device_no,
            device: login.device.as_device(),
            incarnation: login.incarnation,
            cursor,
            highest: device_no,
            valid_from_us,
        };
        let lsn = match self.log.append(Users::inbox(user_ref), &record) {
            Ok(lsn) => lsn,
            Err(error) => return write_goaway(out, conn, GoAway::of(no_room(error))),
        };
        user.highest = device_no;
        user.is_deleted = false;
        let mut device = Device::new(device_no, login.device.clone(), login.incarnation, cursor, valid_from_us, lsn);
        device.phase = Phase::Registering;
        device.session = Some(conn);
        user.devices.push(device);
        self.device_count += 1;
        self.state_records.insert((lsn, user_ref, device_no));
        self.commits.push_back((lsn, Commit::Register(user_ref, device_no)));
        let grant = login.grant.clone();
        let session = Session::new(conn, State::Registering(login, user_ref, device_no), now.mono_us);
        self.add_session(now, session.proven(&grant));
    }

    /// A registration is durable: the devices of the same name that it replaces are gone, and whoever waits is welcome.
    pub(crate) fn on_registered(&mut self, now: Now, user_ref: UserRef, device_no: DeviceNo, out: &mut Outputs) {
        let user = self.users.get_mut(user_ref);
        let Some(device) = user.device(device_no) else {
            return;
        };
        device.phase = Phase::Absent;
        let (name, session) = (device.name.clone(), device.session);
        let older: Vec<_> = user.devices.iter().filter(|d| d.name == name && d.no < device_no).map(|d| d.no).collect();
        for no in older {
            self.remove_device(now, user_ref, no);
        }
        let Some(conn) = session else { return };
        let Some(session) = self.sessions.get_mut(conn) else {
            return;
        };
        let ready = State::Ready(user_ref, device_no);
        if let State::Registering(login, ..) = std::mem::replace(&mut session.state, ready) {
            session.heard_us = now.mono_us;
            self.welcome(now, conn, user_ref, device_no, &login, out);
        }
    }

    /// A registration could not be stored: it never was.
    pub(crate) fn on_registration_failed(&mut self, now: Now, user: UserRef, device_no: DeviceNo, out: &mut Outputs) {
        if let Some(conn) = self.users.get_mut(user).device(device_no).and_then(|device| device.session) {
            self.close(now, conn, Code::StorageFull, out);
        }
        self.remove_device(now, user, device_no);
    }

    /// Writes down that a device is gone. Until that is durable the device counts. Without room in the log nothing happens.
    fn purge(&mut self, user_ref: UserRef, device_no: DeviceNo) -> Result<(), AppendError> {
        let user = self.users.get_mut(user_ref);
        let gone_us = user.device(device_no).map_or(0, |device| device.valid_from_us);
        let record = Record::Purge {
            user: user.name.as_name(),
            device_no,
            highest: user.highest,
            is_all: false,
            confirmed: user.confirmed,
            valid_from_us: user.removed_us.max(gone_us),
        };
        let lsn = self.log.append(Users::inbox(user_ref), &record)?;
        user.removed_us = user.removed_us.max(gone_us);
        if let Some(device) = user.device(device_no) {
            device.is_purging = true;
        }
        let old = user.highest_record.replace(lsn);
        self.replace_state(old, lsn, user_ref, NOBODY);
        self.commits.push_back((lsn, Commit::Purge(user_ref, device_no)));
        Ok(())
    }

    /// A device asked to be forgotten: as soon as the log has room for it.
    pub(crate) fn forget(&mut self, now: Now, user: UserRef, device_no: DeviceNo, out: &mut Outputs) {
        self.purges.push_back((user, device_no));
        self.retry_purges(now, out);
    }

    /// Writes down what found no room before.
    pub(crate) fn retry_purges(&mut self, now: Now, out: &mut Outputs) {
        while let Some((user, device_no)) = self.purges.front().copied() {
            let is_due = self.users.get_mut(user).device(device_no).is_some_and(|device| !device.is_purging);
            if is_due && let Err(error) = self.purge(user, device_no) {
                if error != AppendError::QueueFull {
                    // It is not forgotten that it is to be forgotten, but a crash would do that.
                    self.end_leaving(now, user, device_no, u64::MAX, Code::StorageFull, out);
                }
                return;
            }
            self.purges.pop_front();
        }
    }

    /// It is durable that a device is gone; it may have come back while that was under way.
    pub(crate) fn on_purged(&mut self, now: Now, user: UserRef, device_no: DeviceNo, out: &mut Outputs) {
        if let Some(conn) = self.users.get_mut(user).device(device_no).and_then(|device| device.session) {
            self.close(now, conn, Code::Revoked, out);
        }
        self.remove_device(now, user, device_no);
        self.end_leaving(now, user, device_no, u64::MAX, Code::LoggedOut, out);
    }

    /// Forgets a device; what only it had not confirmed is safe now.
    fn remove_device(&mut self, now: Now, user_ref: UserRef, device_no: DeviceNo) {
        self.forget_device_records(user_ref, device_no);
        let user = self.users.get_mut(user_ref);
        let Some(index) = user.devices.iter().position(|device| device.no == device_no) else {
            return;
        };
        let device = user.devices.remove(index);
        user.confirmed = user.confirmed.max(device.cursor);
        self.device_count -= 1;
        self.settle_confirmed(now, user_ref, Id(u64::MAX));
        self.release(user_ref);
    }
}

/// What a client is told whose record finds no room.
fn no_room(error: AppendError) -> Code {
    match error {
        AppendError::QueueFull => Code::Busy,
        AppendError::NoSpace | AppendError::ReadOnly => Code::StorageFull,
    }
}

/// A device absent for so long makes room for a seventeenth.
const EVICT_AFTER_US: u64 = 86_400_000_000;
