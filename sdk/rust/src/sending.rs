//! From the outbox to the gateway, and what the gateway says to it.

use wire::frame::{Send, SendAcks, SendNack};
use wire::{Counter, Frame, Mid};

use crate::client::Client;
use crate::event::Event;
use crate::session::Phase;
use crate::store::{Change, Store};

impl<S: Store> Client<S> {
    /// Offers what the window has room for: at the beginning of a session first everything that is unresolved, then what is new.
    pub(crate) fn pump(&mut self) {
        let Phase::Welcomed(session) = &self.phase else {
            return;
        };
        let (Some(first), Some(last), Some(device_no)) =
            (self.ledger.outbox.first(), self.ledger.outbox.last(), self.ledger.device_no)
        else {
            return;
        };
        let (lowest, after, boot) = (first.counter, session.offered, session.boot);
        // What was sent once may be sent again, even if the window has become smaller.
        let window_end = Counter(lowest.0 + session.in_flight_max - 1).max(self.ledger.highest_sent);
        let through = last.counter.min(window_end);
        if through <= after {
            return;
        }
        // Kept before it leaves: a client that forgets what it has sent would give the number to another message.
        if through > self.ledger.highest_sent && !self.commit_or_fail(&Change::Offered { through, boot }) {
            return;
        }
        self.confirm();
        for waiting in self.ledger.outbox.between(after, through) {
            let span = waiting.counter.0 - lowest.0;
            let send = Send {
                mid: Mid::new(device_no, waiting.counter),
                span: u8::try_from(span).expect("at most 64 counters are in flight"),
                flags: waiting.flags,
                kind: waiting.kind,
                to: waiting.to(),
                body: waiting.body(),
            };
            wire::encode(&Frame::Send(send), &mut self.transmit);
        }
        if let Phase::Welcomed(session) = &mut self.phase {
            session.offered = through;
            session.heartbeat.on_sent(self.now_us);
        }
    }

    pub(crate) fn on_send_acks(&mut self, acks: &SendAcks<'_>) {
        for ack in acks.iter() {
            if self.is_in_flight(ack.counter) {
                if !self.commit_or_fail(&Change::Resolved(ack.counter)) {
                    return;
                }
                self.events.push_back(Event::Accepted {
                    counter: ack.counter,
                    safe_by: ack.safe_by,
                    self_id: ack.self_id,
                });
            }
        }
        self.pump();
    }

    pub(crate) fn on_send_nack(&mut self, nack: SendNack) {
        let Phase::Welcomed(session) = &self.phase else {
            return;
        };
        let boot = session.boot;
        let Some(waiting) = self.ledger.outbox.get(nack.counter) else {
            return;
        };
        let known = waiting.boot == boot;
        if self.is_in_flight(nack.counter) && self.commit_or_fail(&Change::Resolved(nack.counter)) {
            self.events.push_back(Event::Refused { counter: nack.counter, code: nack.code, known });
            self.pump();
        }
    }

    /// Whether the gateway may speak of it: offered on this connection and unresolved. (An outcome may come twice.)
    fn is_in_flight(&self, counter: Counter) -> bool {
        match &self.phase {
            Phase::Welcomed(session) => counter <= session.offered && self.ledger.outbox.get(counter).is_some(),
            _ => false,
        }
    }
}
