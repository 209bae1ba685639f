//! What is delivered: seen before or new, committed, confirmed.

use wire::frame::{Deliver, DeliverAck, Gap};
use wire::{Frame, Id};

use crate::client::Client;
use crate::dedup::SeenKey;
use crate::event::{Event, Received, conversation};
use crate::session::Phase;
use crate::store::{Change, Store};

impl<S: Store> Client<S> {
    pub(crate) fn on_deliver(&mut self, deliver: &Deliver<'_>) {
        if deliver.id == Id::NONE {
            // Nobody waits for it: the first to go when the application does not keep up.
            if self.events.len() < EPHEMERAL_COUNT_MAX {
                self.push_message(Received::new(deliver));
            }
            return;
        }
        let own = self.config.user.as_name();
        let is_echo = deliver.from == own && self.ledger.device_no == Some(deliver.mid.device_no());
        let key = SeenKey {
            from: deliver.from,
            device_no: deliver.mid.device_no(),
            conversation: conversation(own, deliver.from, deliver.to),
        };
        let is_kept = if is_echo {
            // This device's own message has its place by SEND_ACK.
            self.advance(deliver.id)
        } else if self.ledger.seen.has(&key, deliver.mid.counter()) {
            #[cfg(feature = "planted")]
            if self.fault == Some(crate::client::Fault::DropDuplicateSilently) {
                return;
            }
            self.repeated(deliver)
        } else {
            let message = Received::new(deliver);
            let is_kept = self.commit_or_fail(&Change::Received { message: &message, key });
            if is_kept {
                self.push_message(message);
            }
            is_kept
        };
        if is_kept {
            let len = deliver.from.as_str().len() + deliver.to.as_str().len() + deliver.body.len();
            self.note_kept(deliver.id, len);
        }
    }

    /// Entries of this range will not come: the application is told, and the cursor does not wait for them.
    pub(crate) fn on_gap(&mut self, gap: Gap) {
        let Gap { first, last, reason } = gap;
        if self.advance(last) {
            self.events.push_back(Event::Gap { first, last, reason });
            self.note_kept(last, 0);
        }
    }

    /// Everything up to `id` is committed; the entry counted for `len` bytes of the credit.
    fn note_kept(&mut self, id: Id, len: usize) {
        if let Phase::Welcomed(session) = &mut self.phase {
            let delay_us = self.config.ack_delay_ms.min(ACK_DELAY_MS_MAX) * 1000;
            session.confirm.add(self.now_us, delay_us, self.config.credit, id, len);
        }
    }

    /// A message that came before. At a place above all that came it has moved there; at another, the gateway goes over
    /// known ground again. Either way it wants its acknowledgement.
    fn repeated(&mut self, deliver: &Deliver<'_>) -> bool {
        if deliver.id <= self.ledger.last_id {
            return true;
        }
        let is_kept = self.commit_or_fail(&Change::Moved { from: deliver.from, mid: deliver.mid, id: deliver.id });
        if is_kept {
            self.events.push_back(Event::Moved { from: deliver.from.into(), mid: deliver.mid, id: deliver.id });
        }
        is_kept
    }

    fn advance(&mut self, id: Id) -> bool {
        id <= self.ledger.last_id || self.commit_or_fail(&Change::LastId(id))
    }

    fn push_message(&mut self, message: Received) {
        self.unread_count = self.unread_count.saturating_add(1);
        self.events.push_back(Event::Message(message));
    }

    /// Puts DELIVER_ACK into the transmit buffer if anything is unconfirmed and the application keeps up.
    pub(crate) fn confirm(&mut self) {
        if !self.may_confirm() {
            return;
        }
        if let Phase::Welcomed(session) = &mut self.phase
            && let Some(id) = session.confirm.take()
        {
            session.heartbeat.on_sent(self.now_us);
            wire::encode(&Frame::DeliverAck(DeliverAck { id }), &mut self.transmit);
        }
    }

    pub(crate) fn confirm_if_due(&mut self) {
        if let Phase::Welcomed(session) = &self.phase
            && session.confirm.due_us().is_some_and(|due_us| due_us <= self.now_us)
        {
            self.confirm();
        }
    }

    /// Not as long as the application leaves a whole credit of messages unread: what waits in memory is bounded by two.
    pub(crate) fn may_confirm(&self) -> bool {
        self.unread_count < self.config.credit.entries
    }
}

/// The longest a commit may wait for its DELIVER_ACK: the protocol's bound.
const ACK_DELAY_MS_MAX: u64 = 50;
/// With so many events waiting, ephemeral messages are dropped.
const EPHEMERAL_COUNT_MAX: usize = 4096;
