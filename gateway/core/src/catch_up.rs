//! A device that is behind reads at its own pace: from the log, then from the window, then it is live.

use storage::StoredMessage;
use wire::{Code, DeviceNo, Frame};

use crate::device::Phase;
use crate::envelope::{UserRef, split};
use crate::event::{Notice, Now, Output, Outputs};
use crate::fault::Fault;
use crate::outbox::write;
use crate::shard::Shard;
use crate::user::Users;

impl Shard {
    /// A device that is behind goes on: from the log what is durable, from the window what is not yet, until its credit is
    /// used, its connection blocked, or nothing above its position remains. Then, and only then, it is live. One place does
    /// all of it, so there is no gap and no overlap.
    pub(crate) fn catch_up(&mut self, now: Now, to: UserRef, device_no: DeviceNo, out: &mut Outputs) {
        let inbox = Users::inbox(to);
        let user = self.users.get_mut(to);
        let Some(device) = user.devices.iter_mut().find(|device| device.no == device_no) else {
            return;
        };
        let Some(conn) = device.session.filter(|_| device.phase == Phase::Lagging && device.reading.is_none()) else {
            return;
        };
        if self.is_draining || self.sessions.get(conn).is_none_or(|session| session.is_blocked) {
            return;
        }
        if let Some((_, newest, _)) = self.log.span(inbox).filter(|(_, newest, _)| *newest > device.sent)
            && !self.planted.is(Fault::LiveTooEarly)
        {
            if device.has_credit(0) || self.planted.is(Fault::DeliverPastCredit) {
                let token = self.next_read;
                self.next_read += 1;
                self.reads.insert(token, (to, device_no, newest));
                device.reading = Some(token);
                let count =
                    device.credit.entries.saturating_sub(short(device.unconfirmed.len())).clamp(1, READ_COUNT_MAX);
                self.log.read(inbox, device.sent, count, READ_LEN_MAX, token, &mut self.ops, &mut self.events);
            }
            return;
        }
        for entry in user.window.after(device.sent) {
            if self.planted.is(Fault::LiveTooEarly) {
                break;
            }
            if device.wrote(&user.name, &entry.parcel) {
                device.on_skipped(entry.id);
            } else if device.has_credit(entry.parcel.size()) || self.planted.is(Fault::DeliverPastCredit) {
                write(out, conn, &Frame::Deliver(entry.parcel.deliver(entry.id)));
                device.on_delivered(entry.id, entry.parcel.size());
                self.counters.delivered += 1;
            } else {
                return;
            }
        }
        device.phase = Phase::Live;
        // Passing over the device's own messages may have moved its cursor.
        self.on_cursor_moved(now, to, device_no);
    }

    /// What a device asked of the log has come.
    pub(crate) fn on_read(&mut self, now: Now, token: u64, entries: &[StoredMessage], failed: bool, out: &mut Outputs) {
        let Some((to, device_no, reach)) = self.reads.remove(&token) else {
            return;
        };
        let user = self.users.get_mut(to);
        let Some(device) = user.devices.iter_mut().find(|device| device.no == device_no) else {
            return;
        };
        if device.reading != Some(token) {
            return; // An earlier session of the device asked.
        }
        device.reading = None;
        let Some(conn) = device.session else { return };
        if failed {
            out.list.push(Output::Notice(Notice::ReadFailed));
            if entries.is_empty() {
                return self.close(now, conn, Code::Internal, out);
            }
        }
        if entries.is_empty() {
            device.on_skipped(reach);
        }
        let mut is_out_of_credit = false;
        for stored in entries {
            if stored.id <= device.sent {
                continue;
            }
            let parcel_len = short(stored.bytes.len());
            let (from, to, body) = split(&stored.bytes, stored.from_len, stored.to_len);
            if stored.mid.device_no() == device_no && from.as_str() == &*user.name {
                device.on_skipped(stored.id);
                continue;
            }
            if !device.has_credit(parcel_len) && !self.planted.is(Fault::DeliverPastCredit) {
                is_out_of_credit = true;
                break;
            }
            let StoredMessage { id, mid, flags, kind, .. } = *stored;
            write(out, conn, &Frame::Deliver(wire::frame::Deliver { id, mid, flags, kind, from, to, body }));
            device.on_delivered(id, parcel_len);
            self.counters.delivered += 1;
        }
        self.on_cursor_moved(now, to, device_no);
        if !is_out_of_credit && !failed {
            self.catch_up(now, to, device_no, out); // Otherwise DELIVER_ACK or CREDIT comes back to it.
        }
    }
}

fn short(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// Entries of one read from the log.
const READ_COUNT_MAX: u32 = 64;
/// Bytes of one read from the log.
const READ_LEN_MAX: u32 = 64 << 10;
