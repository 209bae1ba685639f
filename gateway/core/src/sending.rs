//! The sender's home: numbers, retries, the way out, and what comes back. Steps 3, 4 and 8 of the walk.

use wire::frame::{Send, SendAck, SendNack};
use wire::{Code, DeviceNo, Frame, Id, Mid};

use crate::dedup::{Pending, SelfCopy, Slot};
use crate::envelope::{Envelope, Outcome, Parcel, UserRef};
use crate::event::{ConnId, Now, Output, Outputs, ShardIndex};
use crate::inbox::Origin;
use crate::outbox::write;
use crate::session::Stalled;
use crate::shard::{Shard, home};

impl Shard {
    /// SEND: a new message, or a retry of one that is pending (then it attaches) or decided (then it is answered).
    pub(crate) fn on_send(
        &mut self,
        now: Now,
        conn: ConnId,
        user: UserRef,
        device_no: DeviceNo,
        send: &Send<'_>,
        out: &mut Outputs,
    ) {
        if send.mid.device_no() != device_no {
            return self.close(now, conn, Code::BadMid, out);
        }
        if send.flags.is_ephemeral() {
            return self.send_ephemeral(user, send, out);
        }
        let counter = send.mid.counter();
        let device = self.users.get_mut(user).device(device_no).expect("a session's device is registered");
        match device.sending.take(counter, send.span) {
            Err(()) => self.close(now, conn, Code::BadMid, out),
            Ok(Slot::Unknown) => self.offer(now, conn, user, send, out),
            Ok(Slot::Pending(_)) => self.counters.retries += 1,
            Ok(&mut Slot::Safe { by, self_id }) => {
                self.counters.retries += 1;
                self.acks.push((conn, SendAck { counter, safe_by: by, self_id }));
            }
            Ok(&mut Slot::Refused(code)) => {
                self.counters.retries += 1;
                write(out, conn, &Frame::SendNack(SendNack { counter, code: code.number() }));
            }
        }
    }

    /// A message that was not offered before: refused here, sent on its way, or held until its lane has room.
    fn offer(&mut self, now: Now, conn: ConnId, user: UserRef, send: &Send<'_>, out: &mut Outputs) {
        self.counters.accepted += 1;
        let refusal = if send.to.is_group() {
            Some(Code::NotAMember)
        } else if send.body.len() > self.body_len_max() {
            Some(Code::BodyTooLarge)
        } else {
            None
        };
        if let Some(code) = refusal {
            return self.refuse(user, send.mid, code, out);
        }
        let sender = self.users.get_mut(user);
        let parcel = Parcel::pack(sender.name.as_name(), send);
        let device = sender.device(send.mid.device_no()).expect("its session sent this");
        let may_be_known = device.sending.may_be_known(send.mid.counter());
        // The copy for the other devices cannot be refused once the recipient has the message.
        if sender.devices.len() > 1
            && !may_be_known
            && let Some(code) = self.refusal(user, &parcel)
        {
            return self.refuse(user, send.mid, code, out);
        }
        let to = home(&self.config.key, self.config.shard_count, send.to.as_str());
        if self.router.admit(to, parcel.size()) {
            self.dispatch(now, user, to, parcel, out);
        } else {
            self.router.stall(to, conn);
            if let Some(session) = self.sessions.get_mut(conn) {
                session.stalled = Some(Box::new(Stalled { to, parcel }));
            }
            self.update_reading(now, conn, out);
        }
    }

    /// The longest body: a DELIVER with the longest names is no longer than a client's frame may be.
    fn body_len_max(&self) -> usize {
        self.config.payload_len_max as usize - DELIVER_OVERHEAD
    }

    /// Sends a message that has room on its lane to its recipient's home.
    fn dispatch(&mut self, now: Now, user: UserRef, to: ShardIndex, parcel: Parcel, out: &mut Outputs) {
        let sender = self.users.get_mut(user);
        let has_others = sender.devices.iter().any(|device| device.no != parcel.mid.device_no());
        let copy = if *sender.name == *parcel.to().as_str() {
            SelfCopy::IsItself
        } else if has_others {
            SelfCopy::Held(Box::new(parcel.clone()))
        } else {
            SelfCopy::NotNeeded
        };
        let wants_accepted = matches!(copy, SelfCopy::Held(_));
        let device = sender.device(parcel.mid.device_no()).expect("its session sent this");
        let slot = device.sending.slot_mut(parcel.mid.counter()).expect("taken when it came");
        *slot = Slot::Pending(Pending { since_us: now.mono_us, safe_by: None, copy });
        if to == self.config.shard {
            let origin = Origin { shard: to, user, is_copy: false };
            self.on_message(now, origin, wants_accepted, parcel, out);
        } else {
            out.list.push(Output::Forward { to, envelope: Envelope::Message { origin: user, wants_accepted, parcel } });
        }
    }

    /// What became of a message, from the recipient's home.
    #[expect(clippy::too_many_arguments, reason = "the parts of an envelope, and the border's two")]
    pub(crate) fn on_outcome(
        &mut self,
        now: Now,
        from: ShardIndex,
        user: UserRef,
        mid: Mid,
        room: Option<u32>,
        outcome: Outcome,
        out: &mut Outputs,
    ) {
        match outcome {
            Outcome::Held => {}
            Outcome::Accepted => self.make_copy(now, user, mid, out),
            Outcome::Refused(code) => self.refuse(user, mid, code, out),
            Outcome::Safe { by, id } => {
                if let Some(pending) = self.pending_mut(user, mid) {
                    pending.safe_by = Some(by);
                    if matches!(pending.copy, SelfCopy::IsItself) {
                        pending.copy = SelfCopy::Safe(id);
                    }
                }
                self.make_copy(now, user, mid, out);
                self.acknowledge_if_safe(now, user, mid);
            }
        }
        if let Some(len) = room {
            self.router.on_outcome(from, 1, len);
            self.resume_stalled(now, from, out);
        }
    }

    /// The self-copy is safe.
    pub(crate) fn on_copy_outcome(&mut self, now: Now, user: UserRef, mid: Mid, outcome: Outcome) {
        if let (Outcome::Safe { id, .. }, Some(pending)) = (outcome, self.pending_mut(user, mid)) {
            pending.copy = SelfCopy::Safe(id);
            self.acknowledge_if_safe(now, user, mid);
        }
    }

    /// Makes the copy for the sender's other devices, once: the recipient's shard can no longer refuse.
    fn make_copy(&mut self, now: Now, user: UserRef, mid: Mid, out: &mut Outputs) {
        let must_wait = self.ids.is_exhausted() || !self.copies.is_empty();
        let is_erasing = self.users.get(user).is_erasing;
        let Some(pending) = self.pending_mut(user, mid) else { return };
        if is_erasing && matches!(pending.copy, SelfCopy::Held(_)) {
            // Whoever has the name next is not to see what this one wrote.
            pending.copy = SelfCopy::NotNeeded;
        }
        if must_wait && matches!(pending.copy, SelfCopy::Held(_)) {
            // In order: a later copy must not overtake this one.
            return self.copies.push_back((user, mid));
        }
        if let SelfCopy::Held(_) = pending.copy
            && let SelfCopy::Held(parcel) = std::mem::replace(&mut pending.copy, SelfCopy::Waiting)
        {
            let origin = Origin { shard: self.config.shard, user, is_copy: true };
            self.accept(now, user, origin, false, *parcel, out);
        }
    }

    /// Ids can be given again: the copies that waited for them, in order.
    pub(crate) fn retry_copies(&mut self, now: Now, out: &mut Outputs) {
        for (user, mid) in std::mem::take(&mut self.copies) {
            self.make_copy(now, user, mid, out);
        }
    }

    /// SEND_ACK, when the recipient's entry and the self-copy are safe.
    fn acknowledge_if_safe(&mut self, now: Now, user: UserRef, mid: Mid) {
        let Some(pending) = self.pending_mut(user, mid) else {
            return;
        };
        let (Some(by), Some(self_id)) = (pending.safe_by, pending.copy.safe_id()) else {
            return;
        };
        let since_us = pending.since_us;
        self.counters.acknowledge.record(now.mono_us.saturating_sub(since_us));
        let device = self.users.get_mut(user).device(mid.device_no()).expect("it has a pending message");
        let counter = mid.counter();
        if let Some(slot) = device.sending.slot_mut(counter) {
            *slot = Slot::Safe { by, self_id };
        }
        if let Some(conn) = device.session {
            self.acks.push((conn, SendAck { counter, safe_by: by, self_id }));
        }
    }

    /// SEND_NACK: final for this mid.
    fn refuse(&mut self, user: UserRef, mid: Mid, code: Code, out: &mut Outputs) {
        let Some(device) = self.users.get_mut(user).device(mid.device_no()) else {
            return;
        };
        let counter = mid.counter();
        let Some(slot) = device.sending.slot_mut(counter) else {
            return;
        };
        *slot = Slot::Refused(code);
        self.counters.refused.count(code);
        if let Some(conn) = device.session {
            write(out, conn, &Frame::SendNack(SendNack { counter, code: code.number() }));
        }
    }

    /// A lane has room again: the sessions that waited for it go on, in order.
    pub(crate) fn resume_stalled(&mut self, now: Now, to: ShardIndex, out: &mut Outputs) {
        while let Some(conn) = self.router.pop_stalled(to) {
            let Some(session) = self.sessions.get_mut(conn) else {
                continue;
            };
            let (Some(stalled), Some((user, _))) = (session.stalled.take(), session.ready()) else {
                continue;
            };
            assert!(self.router.admit(stalled.to, stalled.parcel.size()), "there was room a moment ago");
            self.dispatch(now, user, stalled.to, stalled.parcel, out);
            self.update_reading(now, conn, out);
        }
    }

    /// To live devices only; dropped when the lane has no room.
    fn send_ephemeral(&mut self, user: UserRef, send: &Send<'_>, out: &mut Outputs) {
        self.counters.ephemeral += 1;
        if send.to.is_group() || send.body.len() > self.body_len_max() {
            return;
        }
        let parcel = Parcel::pack(self.users.get(user).name.as_name(), send);
        let to = home(&self.config.key, self.config.shard_count, send.to.as_str());
        if to == self.config.shard {
            self.deliver_ephemeral(&parcel, out);
        } else if self.router.admit(to, parcel.size()) {
            out.list.push(Output::Forward { to, envelope: Envelope::Ephemeral { parcel } });
        }
    }

    fn pending_mut(&mut self, user: UserRef, mid: Mid) -> Option<&mut Pending> {
        let device = self.users.get_mut(user).device(mid.device_no())?;
        match device.sending.slot_mut(mid.counter()) {
            Some(Slot::Pending(pending)) => Some(pending),
            _ => None,
        }
    }
}

impl SelfCopy {
    /// Its position once it is safe; none is needed when there is no other device.
    fn safe_id(&self) -> Option<Id> {
        match self {
            SelfCopy::NotNeeded => Some(Id::NONE),
            SelfCopy::Safe(id) => Some(*id),
            SelfCopy::Held(_) | SelfCopy::Waiting | SelfCopy::IsItself => None,
        }
    }
}

/// DELIVER's fixed part and two names.
const DELIVER_OVERHEAD: usize = 24 + 2 * wire::limits::NAME_LEN_MAX;
