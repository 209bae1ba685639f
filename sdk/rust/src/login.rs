//! How a connection begins and ends: HELLO, WELCOME, LOGOUT, GOAWAY, and when to come back.

use wire::code::Retry;
use wire::frame::{GoAway, Hello, Logout, Welcome};
use wire::limits::{CLIENT_TEXT_LEN_MAX, HELLO_TIMEOUT, VERSION};
use wire::{Code, Counter, Deframer, Frame, Incarnation};

use crate::backoff;
use crate::client::Client;
use crate::config::Credential;
use crate::error::StoreError;
use crate::event::{Event, Welcomed};
use crate::session::{Phase, Session};
use crate::store::{Change, Store};

/// What follows the end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another one, after a wait that grows.
    BackOff,
    /// Another one, at that time.
    At { us: u64 },
    /// None, unless the application says so.
    End { code: u16 },
    /// None.
    Fail,
}

impl<S: Store> Client<S> {
    /// A new connection: what comes first on it.
    pub(crate) fn begin(&mut self) {
        self.transmit.clear();
        if self.registration.as_ref().is_some_and(|registration| !registration.is_assumed) {
            self.ask_for_account();
        } else {
            self.greet();
        }
    }

    /// Puts HELLO into the transmit buffer.
    pub(crate) fn greet(&mut self) {
        let ticket = self.ledger.ticket.as_ref();
        let credential = match (ticket, self.config.credential.as_wire()) {
            (Some(ticket), _) => wire::frame::Credential::Ticket(&ticket.0),
            (None, Some(credential)) => credential,
            (None, None) => return self.close(None, Next::End { code: Code::OneCredential.number() }),
        };
        self.phase = Phase::Greeting { deadline_us: self.now_us + ANSWER_TIMEOUT_US };
        let hello = Hello {
            version_min: VERSION,
            version_max: VERSION,
            features: 0,
            user: self.config.user.as_name(),
            credential,
            device: self.config.device.as_device(),
            incarnation: self.ledger.incarnation.unwrap_or_default(),
            lowest_unresolved: self.ledger.lowest_unresolved(),
            highest_sent: self.ledger.highest_sent,
            last_id: self.ledger.last_id,
            credit: self.config.credit,
            client_name: cut_text(&self.config.client_name),
            client_version: cut_text(&self.config.client_version),
            store: self.ledger.store.as_ref().map_or(&[], |store| store),
        };
        wire::encode(&Frame::Hello(hello), &mut self.transmit);
    }

    pub(crate) fn on_welcome(&mut self, welcome: &Welcome<'_>) {
        if welcome.version != VERSION {
            return self.close(Some(Code::Version), Next::BackOff);
        }
        if !self.keep_store(welcome) || !self.keep_ticket(welcome.ticket) {
            return;
        }
        if self.ledger.device_no != Some(welcome.device_no)
            && !self.commit_or_fail(&Change::DeviceNo(welcome.device_no))
        {
            return;
        }
        // The gateway has lost the end of this inbox. A last id above its head would one day hide entries that this client
        // never had.
        if welcome.head < self.ledger.last_id && !self.commit_or_fail(&Change::LastId(welcome.head)) {
            return;
        }
        self.failure_count = 0;
        self.payload_len_max = welcome.payload_len_max as usize;
        let offered = Counter(self.ledger.lowest_unresolved().0.saturating_sub(1));
        self.phase = Phase::Welcomed(Session::new(self.now_us, welcome, offered));
        self.events.push_back(Event::Welcomed(Welcomed {
            device_no: welcome.device_no,
            boot: welcome.boot,
            head: welcome.head,
            oldest: welcome.oldest,
            heartbeat_s: welcome.heartbeat_s,
            stored_is_synced: welcome.stored_is_synced,
            server_time_us: welcome.server_time_us,
        }));
        self.on_registered();
        self.pump();
        self.send_logout();
    }

    /// Another store than the last time: what was received under that one is forgotten. False: the store of this client failed.
    fn keep_store(&mut self, welcome: &Welcome<'_>) -> bool {
        match welcome.store.try_into() {
            Ok(store) if self.ledger.store != Some(store) => self.commit_or_fail(&Change::Store(store)),
            _ => true,
        }
    }

    /// The ticket for the next HELLO; empty is none. False: the store of this client failed.
    pub(crate) fn keep_ticket(&mut self, ticket: &[u8]) -> bool {
        if self.ledger.ticket.as_ref().map_or(&[][..], |kept| &kept.0) == ticket {
            return true;
        }
        self.commit_or_fail(&Change::Ticket(Some(ticket).filter(|ticket| !ticket.is_empty())))
    }

    /// No ticket any more. False: the store of this client failed.
    pub(crate) fn forget_ticket(&mut self) -> bool {
        self.keep_ticket(&[])
    }

    /// Sends LOGOUT if it is wished and there is a session.
    pub(crate) fn send_logout(&mut self) {
        let (Some(forget), Phase::Welcomed(session)) = (self.logout, &mut self.phase) else {
            return;
        };
        session.logout_deadline_us = Some(self.now_us + ANSWER_TIMEOUT_US);
        self.put(&Frame::Logout(Logout { forget }));
    }

    pub(crate) fn on_goaway(&mut self, goaway: &GoAway<'_>) {
        let code = Code::from_number(goaway.code);
        if self.is_registration_refused(code) {
            return;
        }
        let is_forgotten = code == Some(Code::LoggedOut) && self.logout == Some(true);
        if (is_forgotten || code == Some(Code::NewIncarnation)) && !self.renew() {
            return;
        }
        let had_ticket = self.ledger.ticket.is_some();
        if is_end_of_ticket(code) && !self.forget_ticket() {
            return;
        }
        let next = match code.map(Code::retry) {
            // A ticket that is not taken, or a session that another login made void, is no verdict about the credential.
            Some(Retry::Never)
                if is_about_credential(code)
                    && (had_ticket || self.is_welcomed() && code == Some(Code::CredentialExpired))
                    && self.config.credential != Credential::None =>
            {
                Next::BackOff
            }
            Some(Retry::Never) => Next::End { code: goaway.code },
            Some(Retry::Now) => Next::BackOff,
            // A code of a later version: its slot tells what it is.
            Some(Retry::Slot) | None => self.slot(goaway),
        };
        self.events.push_back(Event::Disconnect { code: Some(goaway.code) });
        self.leave(next);
    }

    /// Takes a new incarnation and numbers what is unresolved anew.
    pub(crate) fn take_incarnation(&mut self) -> Result<(), StoreError> {
        let incarnation = Incarnation(self.random.next());
        let old: Vec<Counter> = self.ledger.outbox.iter().map(|waiting| waiting.counter).collect();
        self.commit(&Change::Incarnation(incarnation))?;
        let new = self.ledger.outbox.iter().map(|waiting| waiting.counter);
        for (old, new) in old.into_iter().zip(new).filter(|(old, new)| old != new) {
            self.events.push_back(Event::Renumbered { old, new });
        }
        Ok(())
    }

    /// [`Client::take_incarnation`], or stops for good. False: stopped.
    pub(crate) fn renew(&mut self) -> bool {
        let result = self.take_incarnation();
        if let Err(error) = result {
            self.fail(error);
            return false;
        }
        true
    }

    /// Ends the connection from this side.
    pub(crate) fn close(&mut self, code: Option<Code>, next: Next) {
        let code = code.map(Code::number);
        self.events.push_back(Event::Disconnect { code });
        self.leave(next);
    }

    /// The connection is over; what comes next.
    pub(crate) fn leave(&mut self, next: Next) {
        self.on_account_unheard();
        self.transmit = Vec::new();
        self.deframer = Deframer::new(wire::limits::PAYLOAD_LEN_MAX);
        self.phase = match next {
            Next::BackOff => {
                let wait_us = backoff::wait_us(self.config.backoff, self.failure_count, &mut self.random);
                self.failure_count = self.failure_count.saturating_add(1);
                Phase::Waiting { at_us: self.now_us + wait_us }
            }
            Next::At { us } => Phase::Waiting { at_us: us },
            Next::End { code } => {
                self.logout = None;
                self.on_account_over(code);
                self.events.push_back(Event::Ended { code });
                Phase::Ended
            }
            Next::Fail => Phase::Failed,
        };
    }

    /// A moment in GOAWAY's slot; without a slot, the usual wait.
    fn slot(&mut self, goaway: &GoAway<'_>) -> Next {
        let (start_ms, len_ms) = (u64::from(goaway.slot_start_ms), u64::from(goaway.slot_len_ms));
        if start_ms + len_ms == 0 {
            return Next::BackOff;
        }
        let wait_us = self.random.between(start_ms * 1000, (start_ms + len_ms) * 1000);
        Next::At { us: self.now_us + wait_us }
    }
}

/// How long HELLO and LOGOUT may stay unanswered, in microseconds.
#[expect(clippy::cast_possible_truncation, reason = "ten seconds")]
pub(crate) const ANSWER_TIMEOUT_US: u64 = HELLO_TIMEOUT.as_micros() as u64;

/// Whether the ticket is of no use any more.
fn is_end_of_ticket(code: Option<Code>) -> bool {
    is_about_credential(code) || matches!(code, Some(Code::LoggedOut | Code::Revoked))
}

fn is_about_credential(code: Option<Code>) -> bool {
    matches!(code, Some(Code::BadCredential | Code::CredentialExpired | Code::CredentialUnsupported))
}

/// As much of it as HELLO takes.
fn cut_text(text: &str) -> &str {
    let len = text.floor_char_boundary(CLIENT_TEXT_LEN_MAX);
    text.get(..len).unwrap_or_default()
}
