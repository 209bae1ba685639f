//! The recipient's home: an entry gets its id, goes to the live devices at once, and waits in the window until it is safe.
//! Steps 6 and 7a of the walk.

use storage::{AppendError, LogState};
use wire::frame::{Credit, SafeBy};
use wire::{Code, DeviceNo, Frame, Id};

use crate::config::UnknownRecipients;
use crate::device::{Device, Phase};
use crate::envelope::{Outcome, Parcel, UserRef};
use crate::event::{ConnId, Now, Outputs};
use crate::fault::Fault;
use crate::inbox::{Entry, Origin, Stage};
use crate::outbox::{encode, write_again, write_error};
use crate::session::Sessions;
use crate::shard::{Report, Shard};
use crate::user::Users;

impl Shard {
    /// A message for a user who lives here.
    pub(crate) fn on_message(
        &mut self,
        now: Now,
        origin: Origin,
        wants_accepted: bool,
        parcel: Parcel,
        out: &mut Outputs,
    ) {
        let known = self.users.find(parcel.to()).filter(|user| self.is_known(*user));
        let to = match (known, self.config.unknown_recipients) {
            (Some(user), _) => user,
            (None, UnknownRecipients::Store) => {
                // Nobody is made known by a message that is refused.
                if self.users.find(parcel.to()).is_none() && (self.ids.is_exhausted() || !self.has_room(&parcel)) {
                    return self.report(origin, &parcel, Outcome::Refused(Code::StorageFull));
                }
                self.users.intern(parcel.to())
            }
            (None, UnknownRecipients::Refuse) => {
                let outcome = Outcome::Refused(Code::UnknownRecipient);
                return self.report(origin, &parcel, outcome);
            }
        };
        if let Some(code) = self.refusal(to, &parcel).filter(|_| !self.planted.is(Fault::RefuseAfterDeliver)) {
            return self.report(origin, &parcel, Outcome::Refused(code));
        }
        self.accept(now, to, origin, wants_accepted, parcel, out);
    }

    /// Whether somebody of that name has registered, or messages were stored for him: a retry of one of those is answered as
    /// the first was.
    fn is_known(&self, user: UserRef) -> bool {
        self.users.get(user).is_known() || self.log.span(Users::inbox(user)).is_some()
    }

    /// Why a message cannot be taken, decided before anybody sees it.
    pub(crate) fn refusal(&self, to: UserRef, parcel: &Parcel) -> Option<Code> {
        let user = self.users.get(to);
        if user.found.as_ref().is_some_and(|found| found.id_of(self.users.identity(parcel)).is_some()) {
            return None; // A retry of what is stored: nothing new is needed for it.
        }
        let stored = self.log.span(Users::inbox(to)).map_or(0, |(_, _, count)| count as usize);
        if stored + user.window.count() >= self.config.inbox_count_max as usize {
            return Some(Code::InboxFull);
        }
        if self.ids.is_exhausted() {
            return Some(Code::StorageFull);
        }
        let all_live = !user.devices.is_empty()
            && user.devices.iter().all(|device| is_ready(&self.sessions, device, parcel, &user.name));
        // What nobody may ever confirm must not wait in memory without a bound, nor behind what cannot be stored.
        let is_waiting = user.is_spill_queued || user.window.is_full();
        let is_closed = !self.has_room(parcel) || user.is_spill_queued && !self.log_takes_messages();
        (is_closed && (!all_live || is_waiting || self.is_draining)).then_some(Code::StorageFull)
    }

    /// Whether the log has room for a message, now or when its queue moves on.
    fn has_room(&self, parcel: &Parcel) -> bool {
        !matches!(self.log.can_append(parcel.bytes.len()), Err(AppendError::NoSpace | AppendError::ReadOnly))
    }

    /// Takes a message into an inbox. From here on it is not refused.
    pub(crate) fn accept(
        &mut self,
        now: Now,
        to: UserRef,
        origin: Origin,
        wants_accepted: bool,
        parcel: Parcel,
        out: &mut Outputs,
    ) {
        let identity = self.users.identity(&parcel);
        if let Some(id) = self.users.get(to).found.as_ref().and_then(|found| found.id_of(identity)) {
            return self.report(origin, &parcel, Outcome::Safe { by: SafeBy::Stored, id });
        }
        let id = self.ids.next(now.wall_us).expect("looked at before: refusal, make_copy");
        if wants_accepted {
            self.report(origin, &parcel, Outcome::Accepted);
        }
        let user = self.users.get_mut(to);
        user.head = id;
        let mut encoded = None;
        for device in user.devices.iter_mut().filter(|device| device.is_live()) {
            if device.wrote(&user.name, &parcel) {
                device.on_skipped(id);
            } else if is_ready(&self.sessions, device, &parcel, &user.name) || self.planted.is(Fault::DeliverPastCredit)
            {
                let frame = *encoded.get_or_insert_with(|| encode(out, &Frame::Deliver(parcel.deliver(id))));
                let conn = device.session.expect("a live device has a session");
                write_again(out, conn, frame);
                device.on_delivered(id, parcel.size());
                self.counters.delivered += 1;
            } else {
                device.phase = Phase::Lagging;
            }
        }
        if self.planted.is(Fault::RefuseAfterDeliver)
            && let Some(code) = self.refusal(to, &parcel).filter(|_| !origin.is_copy)
        {
            return self.report(origin, &parcel, Outcome::Refused(code));
        }
        self.keep_until_safe(
            now,
            to,
            Entry { id, parcel, origin, stage: Stage::Waiting, is_off_lane: false, since_us: now.mono_us },
        );
    }

    /// Puts an entry into the window and decides whether it goes to the log now.
    fn keep_until_safe(&mut self, now: Now, to: UserRef, entry: Entry) {
        let id = entry.id;
        let user = self.users.get_mut(to);
        let mut missing = user.devices.iter().filter(|device| !device.has(&user.name, id, &entry.parcel)).peekable();
        if missing.peek().is_none() && !user.devices.is_empty() {
            self.counters.safe.record(now.mono_us.saturating_sub(entry.since_us));
            self.outcomes.push_back(safe(&entry, SafeBy::Received));
            return self.release(to);
        }
        let wants_log = user.devices.is_empty() || missing.any(|device| !device.is_live());
        user.window.push(entry);
        if wants_log || user.window.is_full() || self.is_draining {
            self.spill(to, id);
        } else {
            self.set_confirm_timer(now, to);
        }
    }

    /// DELIVER_ACK: cumulative, and counted up to what was delivered.
    pub(crate) fn on_deliver_ack(
        &mut self,
        now: Now,
        conn: ConnId,
        user: UserRef,
        device_no: DeviceNo,
        id: Id,
        out: &mut Outputs,
    ) {
        let device = self.users.get_mut(user).device(device_no).expect("a session's device is registered");
        let before = device.cursor;
        let is_within = device.on_confirmed(id);
        let cursor = device.cursor;
        if !is_within {
            write_error(out, conn, Code::BadAck, Frame::DeliverAck(wire::frame::DeliverAck { id }).frame_type());
        }
        if cursor > before {
            self.on_cursor_moved(now, user, device_no);
        }
        self.catch_up(now, user, device_no, out);
    }

    /// A device's cursor went up: what all have is safe, and nobody wants it any more.
    pub(crate) fn on_cursor_moved(&mut self, now: Now, to: UserRef, device_no: DeviceNo) {
        let inbox = Users::inbox(to);
        let is_kept = self.log.span(inbox).is_some();
        let user = self.users.get_mut(to);
        if let Some(device) = user.device(device_no) {
            let cursor = device.cursor;
            // A cursor is worth a record only while the log holds entries of the inbox: without one they would come again.
            if is_kept && cursor > device.recorded_cursor && !std::mem::replace(&mut device.is_cursor_due, true) {
                self.cursor_timers.push_back((now.mono_us + CURSOR_DELAY_US, to, device_no));
            }
            user.confirmed = user.confirmed.max(cursor);
        }
        let cursor = user.device(device_no).map_or(Id::NONE, |device| device.cursor);
        self.settle_confirmed(now, to, cursor);
        self.release(to);
    }

    /// Entries up to and with `up_to` that every registered device has are safe.
    pub(crate) fn settle_confirmed(&mut self, now: Now, to: UserRef, up_to: Id) {
        let user = self.users.get_mut(to);
        if user.devices.is_empty() {
            return;
        }
        for entry in user.window.unsettled_mut(up_to) {
            if user.devices.iter().all(|device| device.has(&user.name, entry.id, &entry.parcel)) {
                entry.stage = Stage::Settled;
                self.counters.safe.record(now.mono_us.saturating_sub(entry.since_us));
                self.outcomes.push_back(safe(entry, SafeBy::Received));
            }
        }
        user.window.pop_settled();
    }

    /// Lets the log go of what every device has.
    pub(crate) fn release(&mut self, to: UserRef) {
        let user = self.users.get_mut(to);
        user.release_found();
        let floor = user.floor();
        self.log.release(Users::inbox(to), floor, &mut self.ops, &mut self.events);
    }

    /// CREDIT: new limits, from now on.
    pub(crate) fn on_credit(
        &mut self,
        now: Now,
        user: UserRef,
        device_no: DeviceNo,
        credit: Credit,
        out: &mut Outputs,
    ) {
        let device = self.users.get_mut(user).device(device_no).expect("a session's device is registered");
        device.credit = credit;
        self.catch_up(now, user, device_no, out);
    }

    /// To whoever has a session here and takes bytes now; nobody else ever sees it.
    pub(crate) fn deliver_ephemeral(&mut self, parcel: &Parcel, out: &mut Outputs) {
        let Some(to) = self.users.find(parcel.to()) else {
            return;
        };
        let mut encoded = None;
        for device in self.users.get(to).devices.iter().filter(|device| device.is_live()) {
            let Some(conn) = device.session.filter(|conn| {
                self.sessions.get(*conn).is_some_and(|session| session.ready().is_some() && !session.is_blocked)
            }) else {
                continue;
            };
            if device.wrote(parcel.to().as_str(), parcel) {
                continue;
            }
            let frame = *encoded.get_or_insert_with(|| encode(out, &Frame::Deliver(parcel.deliver(Id::NONE))));
            write_again(out, conn, frame);
            self.counters.delivered += 1;
        }
    }

    /// Tells the sender's home what became of a message.
    pub(crate) fn report(&mut self, origin: Origin, parcel: &Parcel, outcome: Outcome) {
        let room = (outcome != Outcome::Accepted).then_some(parcel.size());
        self.outcomes.push_back(Report { origin, mid: parcel.mid, room, outcome });
    }

    /// Whether the log takes messages.
    pub(crate) fn log_takes_messages(&self) -> bool {
        self.log.state() == LogState::Ok
    }
}

/// The outcome of an entry that became safe.
pub(crate) fn safe(entry: &Entry, by: SafeBy) -> Report {
    let outcome = Outcome::Safe { by, id: entry.id };
    let room = (!entry.is_off_lane).then_some(entry.parcel.size());
    Report { origin: entry.origin, mid: entry.parcel.mid, room, outcome }
}

/// Whether a device takes this entry at once, or needs no delivery of it.
fn is_ready(sessions: &Sessions, device: &Device, parcel: &Parcel, user: &str) -> bool {
    let takes_bytes = |conn| sessions.get(conn).is_some_and(|session| !session.is_blocked);
    device.wrote(user, parcel)
        || device.is_live() && device.has_credit(parcel.size()) && device.session.is_some_and(takes_bytes)
}

/// How long a cursor may wait for its record.
const CURSOR_DELAY_US: u64 = 1_000_000;
