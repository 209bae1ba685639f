//! The dispatcher: bytes, time and wishes in; bytes and events out.

use std::collections::VecDeque;
use std::mem;

use wire::frame::{Ping, Send, SendFlags};
use wire::limits::{CLIENT_PAYLOAD_LEN_MAX, NAME_LEN_MAX, PAYLOAD_LEN_MAX};
use wire::{Code, Counter, Cut, Deframer, DeviceNo, Frame, Id, Mid, Name, WireError};

use crate::account::Registration;
use crate::backoff::Random;
use crate::config::{Config, Credential};
use crate::error::{SendError, StoreError};
use crate::event::Event;
use crate::login::Next;
use crate::outbox::Waiting;
use crate::session::Phase;
use crate::store::{Change, Ledger, Queued, State, Store};

/// A client of one device of one user. All times are microseconds of a clock that never goes back, its zero arbitrary.
///
/// Whoever drives it connects when [`Client::connect_at`] says so, hands in what comes, writes what [`Client::transmit`]
/// holds, ticks at [`Client::next_deadline`] and asks for events until there are none, each after whatever else was called.
/// Messages cost one allocation each way besides the store's own.
#[derive(Debug)]
pub struct Client<S> {
    pub(crate) config: Config,
    store: S,
    pub(crate) ledger: Ledger,
    pub(crate) random: Random,
    pub(crate) phase: Phase,
    /// Connections in a row that ended before WELCOME.
    pub(crate) failure_count: u32,
    /// What LOGOUT shall say, as long as it is wished and not answered.
    pub(crate) logout: Option<bool>,
    /// The account to be made before the next HELLO.
    pub(crate) registration: Option<Box<Registration>>,
    /// The number of the last request about the account.
    pub(crate) last_request: u32,
    /// The longest payload the gateway takes, as far as known.
    pub(crate) payload_len_max: usize,
    pub(crate) deframer: Deframer,
    pub(crate) transmit: Vec<u8>,
    pub(crate) events: VecDeque<Event>,
    /// Messages among `events`.
    pub(crate) unread_count: u32,
    /// The last event handed out was a message of the store.
    is_reading: bool,
    /// The time of the last call that said it.
    pub(crate) now_us: u64,
    #[cfg(feature = "planted")]
    pub(crate) fault: Option<Fault>,
}

/// Faults that the simulation must catch.
#[cfg(feature = "planted")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A dropped duplicate is not acknowledged: no DELIVER_ACK for it, and the last id stays.
    DropDuplicateSilently,
}

impl<S: Store> Client<S> {
    /// A client that is not connected; messages left unread in the store are its first events. All its randomness comes from
    /// `seed`, so two clients, and two runs of one client, need different seeds: the incarnation of a new store is born of it.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read or written.
    pub fn new(config: Config, mut store: S, seed: u64) -> Result<Client<S>, StoreError> {
        let State { ledger, unread } = store.load()?;
        let mut client = Client {
            config,
            store,
            ledger,
            random: Random::new(seed),
            phase: Phase::Waiting { at_us: 0 },
            failure_count: 0,
            logout: None,
            registration: None,
            last_request: 0,
            payload_len_max: CLIENT_PAYLOAD_LEN_MAX,
            deframer: Deframer::new(PAYLOAD_LEN_MAX),
            transmit: Vec::new(),
            unread_count: u32::try_from(unread.len()).unwrap_or(u32::MAX),
            events: unread.into_iter().map(Event::Message).collect(),
            is_reading: false,
            now_us: 0,
            #[cfg(feature = "planted")]
            fault: None,
        };
        if client.ledger.incarnation.is_none() {
            client.take_incarnation()?;
        }
        Ok(client)
    }

    /// When the transport should be connected. None while it is connected or connecting, and after [`Event::Ended`].
    pub fn connect_at(&self) -> Option<u64> {
        match self.phase {
            Phase::Waiting { at_us } => Some(at_us),
            _ => None,
        }
    }

    /// The transport begins to connect. Then comes [`Client::on_connected`] or [`Client::on_disconnected`]; how long
    /// connecting may take is the transport's to say.
    pub fn on_connecting(&mut self) {
        if matches!(self.phase, Phase::Waiting { .. }) {
            self.phase = Phase::Connecting;
        }
    }

    /// The transport is connected: HELLO is in the transmit buffer.
    pub fn on_connected(&mut self, now_us: u64) {
        self.now_us = now_us;
        match self.phase {
            Phase::Waiting { .. } | Phase::Connecting => self.begin(),
            Phase::Registering { .. } | Phase::Greeting { .. } | Phase::Welcomed(_) => {}
            Phase::Ended | Phase::Failed => self.events.push_back(Event::Disconnect { code: None }),
        }
    }

    /// Bytes came. Whatever is wrong with them ends as [`Event::Disconnect`]. Bytes of a connection that has ended are ignored.
    pub fn on_bytes(&mut self, now_us: u64, bytes: &[u8]) {
        self.now_us = now_us;
        if let Phase::Welcomed(session) = &mut self.phase {
            session.heartbeat.on_heard(now_us);
        }
        let mut deframer = mem::replace(&mut self.deframer, Deframer::new(PAYLOAD_LEN_MAX));
        let mut rest = bytes;
        if deframer.pending_len() == 0 {
            // Most reads are whole frames: these are decoded where they lie.
            while self.is_open()
                && let Ok(Cut::Frame { frame_type, payload, len }) = wire::cut(rest, PAYLOAD_LEN_MAX)
            {
                self.on_payload(frame_type, payload);
                rest = rest.get(len..).unwrap_or_default();
            }
        }
        if !rest.is_empty() {
            deframer.push(rest);
        }
        while self.is_open() {
            match deframer.next() {
                Ok(Some((frame_type, payload))) => self.on_payload(frame_type, payload),
                Ok(None) => break,
                Err(error) => self.on_broken(&error),
            }
        }
        if self.is_open() {
            self.deframer = deframer;
        }
        self.confirm_if_due();
    }

    /// The transport is lost, or could not connect.
    pub fn on_disconnected(&mut self, now_us: u64) {
        self.now_us = now_us;
        if self.is_open() || matches!(self.phase, Phase::Connecting) {
            self.leave(Next::BackOff);
            self.events.push_back(Event::Lost);
        }
    }

    /// The time is at or past [`Client::next_deadline`]. Harmless at any other time.
    pub fn on_tick(&mut self, now_us: u64) {
        self.now_us = now_us;
        self.confirm_if_due();
        let is_over = match &mut self.phase {
            Phase::Registering { deadline_us } | Phase::Greeting { deadline_us } => now_us >= *deadline_us,
            Phase::Welcomed(session) => {
                if session.heartbeat.ping_at() <= now_us {
                    session.heartbeat.on_pinged(now_us);
                    self.ping();
                }
                self.session_deadline().is_some_and(|at_us| at_us <= now_us)
            }
            _ => false,
        };
        if is_over {
            self.close(None, Next::BackOff);
        }
    }

    /// When [`Client::on_tick`] is due; it may be in the past. [`Client::connect_at`] is apart.
    pub fn next_deadline(&self) -> Option<u64> {
        match &self.phase {
            Phase::Registering { deadline_us } | Phase::Greeting { deadline_us } => Some(*deadline_us),
            Phase::Welcomed(session) => [
                Some(session.heartbeat.ping_at()),
                self.session_deadline(),
                session.confirm.due_us().filter(|_| self.may_confirm()),
            ]
            .into_iter()
            .flatten()
            .min(),
            _ => None,
        }
    }

    /// Queues a message, connected or not. It is committed to the store and sent, again after each disconnection, until it is
    /// accepted or refused; an [`Event`] with its number says which. Order is kept. [`SendFlags::EPHEMERAL`] is ignored here.
    ///
    /// # Errors
    /// [`SendError`]: nothing is queued.
    pub fn send(
        &mut self,
        now_us: u64,
        to: Name<'_>,
        kind: u8,
        flags: SendFlags,
        body: &[u8],
    ) -> Result<Counter, SendError> {
        self.now_us = now_us;
        self.check_len(body)?;
        let len = to.as_str().len() + body.len() + Waiting::OVERHEAD;
        if self.ledger.outbox.len() + len > self.config.outbox_len_max {
            return Err(SendError::OutboxFull);
        }
        let counter = self.ledger.next_counter();
        self.commit(&Change::Queued(Queued {
            counter,
            to,
            kind,
            flags: SendFlags(flags.0 & SendFlags::KNOWN & !SendFlags::EPHEMERAL),
            body,
        }))?;
        self.pump();
        Ok(counter)
    }

    /// Sends to the devices that are online, at once or not at all: no number, no store, no acknowledgement.
    ///
    /// # Errors
    /// [`SendError`]: nothing is sent.
    pub fn send_ephemeral(&mut self, to: Name<'_>, kind: u8, flags: SendFlags, body: &[u8]) -> Result<(), SendError> {
        self.check_len(body)?;
        let (true, Some(device_no)) = (self.is_welcomed(), self.ledger.device_no) else {
            return Err(SendError::NotWelcomed);
        };
        if self.transmit.len() > EPHEMERAL_BEHIND_LEN {
            return Err(SendError::Behind);
        }
        self.put(&Frame::Send(Send {
            mid: Mid::new(device_no, Counter(0)),
            span: 0,
            flags: SendFlags(flags.0 & SendFlags::KNOWN | SendFlags::EPHEMERAL),
            kind,
            to,
            body,
        }));
        Ok(())
    }

    /// Signs the device out, now or as soon as there is a session; [`Event::Ended`] with [`wire::Code::LoggedOut`] follows.
    /// With `forget` the device is also removed from its user. What is unresolved stays in the store.
    pub fn logout(&mut self, forget: bool) {
        if !matches!(self.phase, Phase::Ended | Phase::Failed) {
            self.logout = Some(forget);
            self.send_logout();
        }
    }

    /// Connects again, at once, after [`Event::Ended`] or in the middle of a back-off. Nothing while there is a connection, or
    /// after [`Event::StoreFailed`].
    pub fn restart(&mut self, now_us: u64) {
        if matches!(self.phase, Phase::Ended | Phase::Waiting { .. }) {
            self.failure_count = 0;
            self.phase = Phase::Waiting { at_us: now_us };
        }
    }

    /// From the next HELLO on. The resume ticket in the store is forgotten.
    pub fn set_credential(&mut self, credential: Credential) {
        self.config.credential = credential;
        if !matches!(self.phase, Phase::Failed) {
            self.forget_ticket();
        }
    }

    /// Bytes for the transport; the caller takes what it wrote off the front. They belong to the current connection: after
    /// [`Event::Disconnect`] or [`Client::on_disconnected`] it is empty.
    pub fn transmit(&mut self) -> &mut Vec<u8> {
        &mut self.transmit
    }

    /// The next event. Asking for it says that the one before has been dealt with: a message counts as read then. While as
    /// many messages wait here as the credit has entries, nothing further is acknowledged.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.finish_reading();
        let event = self.events.pop_front()?;
        if let Event::Message(message) = &event {
            self.unread_count = self.unread_count.saturating_sub(1);
            self.is_reading = message.id != Id::NONE;
        }
        Some(event)
    }

    /// The last event has been dealt with, and no further one is wanted now: what is committed is confirmed at once. For an
    /// application that is about to stop.
    pub fn finish(&mut self) {
        self.finish_reading();
        self.confirm();
    }

    fn finish_reading(&mut self) {
        if mem::take(&mut self.is_reading) && !matches!(self.phase, Phase::Failed) {
            self.commit_or_fail(&Change::Read);
        }
    }

    /// Whether there is a session.
    pub fn is_welcomed(&self) -> bool {
        matches!(self.phase, Phase::Welcomed(_))
    }

    /// Messages queued or sent, and neither accepted nor refused.
    pub fn unresolved_count(&self) -> usize {
        self.ledger.outbox.count()
    }

    /// The highest place of a message that is committed here.
    pub fn last_id(&self) -> Id {
        self.ledger.last_id
    }

    /// The device's number, once a WELCOME told it.
    pub fn device_no(&self) -> Option<DeviceNo> {
        self.ledger.device_no
    }

    /// Who logs in.
    pub fn user(&self) -> Name<'_> {
        self.config.user.as_name()
    }

    /// How it is set up now: with the credential that [`Client::set_credential`], or a changed password, left.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What it works with, for a look.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The store, for a look.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// The store, when the client is no longer needed.
    pub fn into_store(self) -> S {
        self.store
    }

    /// Makes this client break a rule.
    #[cfg(feature = "planted")]
    pub fn plant(&mut self, fault: Fault) {
        self.fault = Some(fault);
    }

    fn on_payload(&mut self, frame_type: u8, payload: &[u8]) {
        match wire::decode(frame_type, payload) {
            Ok(Some(frame)) => self.on_frame(&frame),
            Ok(None) => {}
            Err(error) => self.on_broken(&error),
        }
    }

    fn on_frame(&mut self, frame: &Frame<'_>) {
        match (frame, self.is_welcomed()) {
            (Frame::Welcome(welcome), false) if self.is_greeting() => self.on_welcome(welcome),
            (Frame::AccountDone(done), _) => self.on_account_done(done),
            (Frame::Error(error), _) => self.events.push_back(Event::Error {
                code: error.code,
                frame_type: error.frame_type,
                text: error.text.into(),
            }),
            (Frame::GoAway(goaway), _) => self.on_goaway(goaway),
            (Frame::SendAck(acks), true) => self.on_send_acks(acks),
            (Frame::SendNack(nack), true) => self.on_send_nack(*nack),
            (Frame::Deliver(deliver), true) => self.on_deliver(deliver),
            (Frame::Gap(gap), true) => self.on_gap(*gap),
            // Heard, and that is all there is to it.
            (Frame::Pong(_), true) => {}
            // What this client neither asked for nor shows.
            (Frame::Receipt(_) | Frame::Typing(_) | Frame::Presence(_), true) => {}
            _ => self.close(Some(Code::OutOfState), Next::BackOff),
        }
    }

    /// What came is not a frame. An unknown type is no reason to part.
    fn on_broken(&mut self, error: &WireError) {
        if error.is_fatal() {
            self.close(Some(error.code()), Next::BackOff);
        } else {
            self.events.push_back(Event::Error {
                code: error.code().number(),
                frame_type: error.frame_type(),
                text: error.to_string().into(),
            });
        }
    }

    fn check_len(&self, body: &[u8]) -> Result<(), SendError> {
        let max = self.payload_len_max.saturating_sub(DELIVER_HEAD_LEN);
        match body.len() {
            len if len > max => Err(SendError::TooLarge { len, max }),
            _ => Ok(()),
        }
    }

    /// Answered or not, the connection is over then.
    fn session_deadline(&self) -> Option<u64> {
        let Phase::Welcomed(session) = &self.phase else {
            return None;
        };
        let dead_at = session.heartbeat.dead_at();
        Some(session.logout_deadline_us.map_or(dead_at, |at| at.min(dead_at)))
    }

    fn ping(&mut self) {
        if self.transmit.is_empty() {
            // An idle client gives back what its last burst needed.
            self.transmit = Vec::new();
        }
        self.put(&Frame::Ping(Ping { token: 0 }));
    }

    /// Whether there is a connection.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Registering { .. } | Phase::Greeting { .. } | Phase::Welcomed(_))
    }

    /// Whether HELLO is on its way.
    fn is_greeting(&self) -> bool {
        matches!(self.phase, Phase::Greeting { .. })
    }

    /// Puts a frame into the transmit buffer, behind the DELIVER_ACK that waits.
    pub(crate) fn put(&mut self, frame: &Frame<'_>) {
        self.confirm();
        if let Phase::Welcomed(session) = &mut self.phase {
            session.heartbeat.on_sent(self.now_us);
        }
        wire::encode(frame, &mut self.transmit);
    }

    /// The store first, then what the client works with.
    pub(crate) fn commit(&mut self, change: &Change<'_>) -> Result<(), StoreError> {
        self.store.commit(change)?;
        self.ledger.apply(change);
        Ok(())
    }

    /// Commits, or stops for good. False: stopped.
    pub(crate) fn commit_or_fail(&mut self, change: &Change<'_>) -> bool {
        let result = self.commit(change);
        if let Err(error) = result {
            self.fail(error);
            return false;
        }
        true
    }

    /// The store failed: stops for good.
    pub(crate) fn fail(&mut self, error: StoreError) {
        self.events.push_back(Event::StoreFailed(Box::new(error)));
        if self.is_open() {
            self.close(None, Next::Fail);
        } else {
            self.phase = Phase::Failed;
        }
    }
}

/// Bytes that DELIVER may need before the body: a message is only as long as it can be delivered to anybody.
const DELIVER_HEAD_LEN: usize = 24 + 2 * NAME_LEN_MAX;
/// With more than this waiting for the transport, ephemeral messages are not worth sending.
const EPHEMERAL_BEHIND_LEN: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::NoStore;

    #[test]
    fn an_idle_client_is_small() {
        // Besides it an idle client has its names and its credential on the heap, and, once it has received, a node of the tree
        // that says what it has seen: a kilobyte altogether.
        let len = mem::size_of::<Client<NoStore>>();
        assert!(len <= 640, "{len} bytes");
    }
}
