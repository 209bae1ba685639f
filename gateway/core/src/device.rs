//! A device of a user, at the user's home.

use std::collections::VecDeque;

use storage::Lsn;
use wire::frame::Credit;
use wire::{DeviceBuf, DeviceNo, Id, Incarnation};

use crate::dedup::SendWindow;
use crate::envelope::Parcel;
use crate::event::ConnId;

/// Where a device stands towards its inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// No session.
    Absent,
    /// Its registration is not durable yet; a session may wait for it.
    Registering,
    /// It reads at its own pace what it has not seen.
    Lagging,
    /// It has seen everything: new entries go out at once.
    Live,
}

/// A registered device. Invariant: `cursor <= delivered.max(cursor) <= sent`.
#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) no: DeviceNo,
    pub(crate) name: DeviceBuf,
    pub(crate) incarnation: Incarnation,
    pub(crate) phase: Phase,
    /// Its connection, in every phase but `Absent`.
    pub(crate) session: Option<ConnId>,
    /// Everything up to here is confirmed.
    pub(crate) cursor: Id,
    /// Everything up to here is confirmed, and will be known to be after a crash; `durable_cursor <= cursor`.
    pub(crate) durable_cursor: Id,
    /// Everything up to here was delivered in this session, or needs no delivery.
    pub(crate) sent: Id,
    /// Delivered and not confirmed: id and bytes of each.
    pub(crate) unconfirmed: VecDeque<(Id, u32)>,
    /// Sum of the bytes in `unconfirmed`.
    pub(crate) unconfirmed_len: u64,
    pub(crate) credit: Credit,
    /// The read from the log that is under way.
    pub(crate) reading: Option<u64>,
    /// What it has in flight.
    pub(crate) sending: SendWindow,
    /// Tickets of proofs given before this are void here: of its registration, or its newest sign-out.
    pub(crate) valid_from_us: u64,
    /// When its last session ended, on the clock that never goes back.
    pub(crate) away_since_us: u64,
    /// The record that registered it.
    pub(crate) record: Lsn,
    /// The newest record of its cursor.
    pub(crate) cursor_record: Option<Lsn>,
    /// The cursor in its newest record.
    pub(crate) recorded_cursor: Id,
    /// Whether a cursor record is due.
    pub(crate) is_cursor_due: bool,
    /// Whether its purge is on the way to the disk: no later record may bring it back.
    pub(crate) is_purging: bool,
}

impl Device {
    pub(crate) fn new(
        no: DeviceNo,
        name: DeviceBuf,
        incarnation: Incarnation,
        cursor: Id,
        valid_from_us: u64,
        record: Lsn,
    ) -> Device {
        Device {
            no,
            name,
            incarnation,
            phase: Phase::Absent,
            session: None,
            cursor,
            durable_cursor: cursor,
            sent: cursor,
            unconfirmed: VecDeque::new(),
            unconfirmed_len: 0,
            credit: Credit { entries: 0, bytes: 0 },
            reading: None,
            sending: SendWindow::default(),
            valid_from_us,
            away_since_us: 0,
            record,
            cursor_record: None,
            recorded_cursor: cursor,
            is_cursor_due: false,
            is_purging: false,
        }
    }

    /// Whether an entry is this device's own message: it has it and is not sent it.
    pub(crate) fn wrote(&self, user: &str, parcel: &Parcel) -> bool {
        parcel.is_from(user, self.no)
    }

    /// Whether the device has an entry, or needs no delivery of it.
    pub(crate) fn has(&self, user: &str, id: Id, parcel: &Parcel) -> bool {
        self.cursor >= id || self.wrote(user, parcel)
    }

    /// Whether another entry may be delivered. One may always be out, whatever its size.
    pub(crate) fn has_credit(&self, parcel_len: u32) -> bool {
        self.unconfirmed.is_empty()
            || (self.unconfirmed.len() < self.credit.entries as usize
                && self.unconfirmed_len + u64::from(parcel_len) <= u64::from(self.credit.bytes))
    }

    /// An entry was written to its connection.
    pub(crate) fn on_delivered(&mut self, id: Id, parcel_len: u32) {
        self.unconfirmed.push_back((id, parcel_len));
        self.unconfirmed_len += u64::from(parcel_len);
        self.sent = id;
    }

    /// An entry was passed over because the device wrote it. With nothing unconfirmed below it, it is confirmed too.
    pub(crate) fn on_skipped(&mut self, id: Id) {
        self.sent = id;
        if self.unconfirmed.is_empty() {
            self.cursor = self.cursor.max(id);
        }
    }

    /// DELIVER_ACK: counts up to what was delivered. Says whether it was within that.
    pub(crate) fn on_confirmed(&mut self, id: Id) -> bool {
        let delivered = self.unconfirmed.back().map_or(self.cursor, |(id, _)| *id);
        while let Some(&(first, len)) = self.unconfirmed.front().filter(|(first, _)| *first <= id) {
            self.unconfirmed.pop_front();
            self.unconfirmed_len -= u64::from(len);
            self.cursor = self.cursor.max(first);
        }
        if self.unconfirmed.is_empty() {
            // What was passed over behind the last delivery needs no confirmation of its own.
            self.cursor = self.cursor.max(self.sent);
            if self.unconfirmed.capacity() > KEPT_CAPACITY {
                self.unconfirmed = VecDeque::new();
            }
        }
        id <= delivered.max(self.sent)
    }

    /// Its session is over.
    pub(crate) fn on_absent(&mut self, now_us: u64) {
        if self.phase != Phase::Registering {
            self.phase = Phase::Absent;
        }
        self.session = None;
        self.reading = None;
        self.unconfirmed = VecDeque::new();
        self.unconfirmed_len = 0;
        self.away_since_us = now_us;
    }

    /// A session begins: everything above the cursor is delivered again.
    pub(crate) fn on_session(&mut self, conn: ConnId, credit: Credit) {
        self.phase = Phase::Lagging;
        self.session = Some(conn);
        self.sent = self.cursor;
        self.unconfirmed.clear();
        self.unconfirmed_len = 0;
        self.credit = credit;
        self.reading = None;
    }

    /// Whether the device takes new entries at once, credit and its connection aside.
    pub(crate) fn is_live(&self) -> bool {
        self.phase == Phase::Live
    }
}

/// Deliveries whose room a device keeps when all are confirmed.
const KEPT_CAPACITY: usize = 8;
