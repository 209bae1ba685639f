//! One user: the client library, its connection, and what the user sent.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use anyhow::{Result, anyhow};
use rustix::event::epoll::{self, EventData, EventFlags};
use shardwire_sdk::tls::{Tls, TlsConfig, TlsError};
use shardwire_sdk::{Client, Config, Credential, Event, NoStore};
use wire::frame::SendFlags;
use wire::{Code, Counter, Device, Name};

use crate::body::Body;
use crate::net::{self, Progress, Socket};
use crate::rng::Rng;
use crate::scenario::Scenario;
use crate::stream::Stream;
use crate::tally::Tally;
use crate::timers::Timers;
use crate::verify::Sent;

/// What the users of a worker share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) scenario: Scenario,
    pub(crate) target: SocketAddr,
    /// The host that a certificate must be for, and who is trusted to say so; none for plain TCP.
    pub(crate) tls: Option<(String, TlsConfig)>,
    pub(crate) epoll: OwnedFd,
    pub(crate) timers: Timers,
    pub(crate) tally: Tally,
    pub(crate) rng: Rng,
    /// Acknowledgements from here on are too late for the rate.
    pub(crate) end_ns: u64,
    /// Messages each user keeps unacknowledged, while a closed loop runs.
    pub(crate) window: Option<u32>,
    /// When the latest user was welcomed for the first time.
    pub(crate) registered_ns: u64,
    /// Why the run cannot go on.
    pub(crate) fatal: Option<String>,
    /// Where every socket is read into.
    pub(crate) buffer: Box<[u8]>,
    /// Where every body is written.
    pub(crate) body: Vec<u8>,
    /// Where every read is decrypted into.
    pub(crate) plaintext: Vec<u8>,
}

/// A user of this worker.
#[derive(Debug)]
pub(crate) struct User {
    /// Among all users of the run.
    index: u32,
    /// Among the users of this worker.
    slot: u32,
    client: Client<NoStore>,
    /// With a memory for this user's own TLS session.
    tls: Option<TlsConfig>,
    link: Link,
    /// False while the user is away.
    wanted: bool,
    /// The pace of logins: no connection before this time.
    not_before_us: u64,
    place: Place,
    /// There is a session.
    is_online: bool,
    /// There is something to settle.
    pub(crate) is_dirty: bool,
    /// Unresolved messages, by ascending counter.
    unresolved: VecDeque<Unresolved>,
    sent: Sent,
}

#[derive(Debug)]
enum Link {
    None,
    Connecting { socket: Socket, until_us: u64 },
    Up(Stream),
}

/// Which WELCOME comes next, from the run's point of view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The first.
    New,
    /// One nobody had planned.
    Known,
    /// The one after having been away.
    Returning,
}

#[derive(Debug)]
struct Unresolved {
    counter: Counter,
    number: u32,
    intended_ns: u64,
}

impl User {
    /// A user who will connect at `not_before_us`.
    ///
    /// # Errors
    /// When the user's name is none.
    pub(crate) fn new(
        scenario: &Scenario,
        index: u32,
        slot: u32,
        token: String,
        ack_delay_ms: u64,
        not_before_us: u64,
        seed: u64,
    ) -> Result<User> {
        let name = scenario.user_name(index);
        let name = Name::parse_user(name.as_bytes()).map_err(|error| anyhow!("{name:?}: {error}"))?;
        let device = Device::parse(b"loadgen")?;
        let credential = Credential::Token(token.into_boxed_str());
        let mut config = Config::new(name.into(), device.into(), credential);
        config.ack_delay_ms = ack_delay_ms;
        config.client_name = env!("CARGO_PKG_NAME").to_owned();
        Ok(User {
            index,
            slot,
            client: Client::new(config, NoStore, seed)?,
            tls: None,
            link: Link::None,
            wanted: true,
            not_before_us,
            place: Place::New,
            is_online: false,
            is_dirty: true,
            unresolved: VecDeque::new(),
            sent: Sent { sender: index, ..Sent::default() },
        })
    }

    /// The user comes back, at `not_before_us`, to collect.
    pub(crate) fn come_back(&mut self, not_before_us: u64) {
        self.wanted = true;
        self.not_before_us = not_before_us;
        self.place = Place::Returning;
        self.is_dirty = true;
    }

    /// Hands a message to the client library that was meant to leave at `intended_ns`.
    pub(crate) fn send(&mut self, shared: &mut Shared, intended_ns: u64, now_ns: u64) {
        let recipient = shared.scenario.recipient(self.index, &mut shared.rng);
        let number = self.sent.count;
        let body = Body { run: shared.scenario.run, intended_ns, sender: self.index, recipient, number };
        body.write(shared.scenario.payload_len, &mut shared.body);
        let to = shared.scenario.user_name(recipient);
        let to = Name::parse_user(to.as_bytes()).expect("the scenario's names were checked");
        self.is_dirty = true;
        match self.client.send(now_ns / 1_000, to, KIND_TEXT, SendFlags::default(), &shared.body) {
            Ok(counter) => {
                self.unresolved.push_back(Unresolved { counter, number, intended_ns });
                self.sent.count += 1;
                shared.tally.on_sent(intended_ns, now_ns);
            }
            Err(error) => shared.tally.on_error(&format!("not sent: {error}")),
        }
    }

    /// The socket is ready for something.
    pub(crate) fn on_ready(&mut self, shared: &mut Shared, flags: EventFlags, now_ns: u64) {
        self.is_dirty = true;
        if matches!(self.link, Link::Connecting { .. }) {
            self.on_connect_outcome(shared, now_ns);
        }
        let hung_up = flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
        if hung_up || flags.contains(EventFlags::IN) {
            self.read(shared, hung_up, now_ns);
        }
    }

    /// A deadline that [`User::settle`] set has passed.
    pub(crate) fn on_time(&mut self, shared: &mut Shared, now_ns: u64) {
        let now_us = now_ns / 1_000;
        self.is_dirty = true;
        self.client.on_tick(now_us);
        match &self.link {
            Link::None if self.connect_at_us().is_some_and(|at_us| at_us <= now_us) => {
                self.connect(shared, now_us);
            }
            Link::Connecting { until_us, .. } if *until_us <= now_us => {
                self.disconnect(shared, now_us, "connecting took too long");
            }
            Link::None | Link::Connecting { .. } | Link::Up(_) => {}
        }
    }

    /// Hears what the client library tells, writes what it wants written, and sets the user's next deadline.
    pub(crate) fn settle(&mut self, shared: &mut Shared, now_ns: u64) {
        self.is_dirty = false;
        self.hear(shared, now_ns);
        if let Some(window) = shared.window.filter(|_| shared.scenario.is_sender(self.index)) {
            while self.unresolved.len() < window as usize {
                let before = self.sent.count;
                self.send(shared, now_ns, now_ns);
                if self.sent.count == before {
                    break;
                }
            }
            self.is_dirty = false;
        }
        self.write(shared, now_ns);
        shared.timers.set(self.slot, self.deadline_us());
    }

    pub(crate) fn into_sent(self) -> Sent {
        self.sent
    }

    fn connect(&mut self, shared: &mut Shared, now_us: u64) {
        self.client.on_connecting();
        let source = net::source(shared.target, self.index);
        let socket = Socket::connect(shared.target, source).and_then(|socket| {
            let events = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
            epoll::add(&shared.epoll, socket.fd(), EventData::new_u64(self.slot.into()), events)?;
            Ok(socket)
        });
        match socket {
            Ok(socket) => self.link = Link::Connecting { socket, until_us: now_us + CONNECT_TIMEOUT_US },
            Err(error) => self.disconnect(shared, now_us, &format!("connect: {error}")),
        }
    }

    fn on_connect_outcome(&mut self, shared: &mut Shared, now_ns: u64) {
        match std::mem::replace(&mut self.link, Link::None) {
            Link::Connecting { socket, .. } => match socket.connect_error() {
                None => self.on_connected(shared, socket, now_ns / 1_000),
                Some(error) => {
                    self.disconnect(shared, now_ns / 1_000, &format!("connect: {error}"));
                }
            },
            other => self.link = other,
        }
    }

    fn on_connected(&mut self, shared: &mut Shared, socket: Socket, now_us: u64) {
        let tls = shared.tls.as_ref().map(|(host, config)| {
            let config = self.tls.get_or_insert_with(|| config.with_own_session());
            Tls::new(config, host)
        });
        match tls.transpose() {
            Ok(tls) => {
                self.link = Link::Up(Stream::new(socket, tls));
                self.client.on_connected(now_us);
            }
            Err(error) => self.on_tls_error(shared, &error, now_us),
        }
    }

    /// Reads what is there; to the very end if the peer has `hung_up`, since no further readiness will be told then.
    fn read(&mut self, shared: &mut Shared, hung_up: bool, now_ns: u64) {
        while let Link::Up(stream) = &mut self.link {
            match stream.read(&mut shared.buffer) {
                Progress::Bytes(len) => {
                    let bytes = shared.buffer.get(..len).expect("a read fills at most the buffer");
                    match stream.open(bytes, &mut shared.plaintext) {
                        Ok(bytes) => self.client.on_bytes(now_ns / 1_000, bytes),
                        Err(error) => return self.on_tls_error(shared, &error, now_ns / 1_000),
                    }
                    shared.tally.on_handshake(stream.handshake());
                    if len < shared.buffer.len() && !hung_up {
                        return;
                    }
                    self.hear(shared, now_ns);
                }
                Progress::Later => return,
                Progress::Over(why) => match stream.on_end() {
                    Ok(()) => self.disconnect(shared, now_ns / 1_000, &why),
                    Err(error) => self.on_tls_error(shared, &error, now_ns / 1_000),
                },
            }
        }
    }

    fn write(&mut self, shared: &mut Shared, now_ns: u64) {
        if let Link::Up(stream) = &mut self.link
            && let Err(why) = stream.write(self.client.transmit())
        {
            self.disconnect(shared, now_ns / 1_000, &why);
            self.hear(shared, now_ns);
        }
    }

    /// With what somebody must change first there is no run.
    fn on_tls_error(&mut self, shared: &mut Shared, error: &TlsError, now_us: u64) {
        let why = format!("TLS with {}: {error}", shared.target);
        self.disconnect(shared, now_us, &why);
        if self.place == Place::New && error.is_lasting() {
            shared.fatal = Some(why);
        }
    }

    fn hear(&mut self, shared: &mut Shared, now_ns: u64) {
        while let Some(event) = self.client.poll_event() {
            match event {
                Event::Welcomed(_) => self.on_welcomed(shared, now_ns),
                Event::Message(message) => {
                    shared.tally.on_message(&shared.scenario, self.index, &message, now_ns);
                }
                Event::Accepted { counter, safe_by, .. } => {
                    if let Some(done) = self.resolve(counter) {
                        self.sent.acked.insert(done.number);
                        shared.tally.on_accepted(done.intended_ns, now_ns, shared.end_ns, safe_by);
                    }
                }
                Event::Refused { counter, code, known } => {
                    self.resolve(counter);
                    shared.tally.progress.refused += 1;
                    let detail = if known { "" } else { ", perhaps delivered before" };
                    shared.tally.on_error(&format!("refused: {}{detail}", show_code(code)));
                }
                Event::Renumbered { old, new } => {
                    if let Ok(at) = self.find(old) {
                        self.unresolved.get_mut(at).expect("just found").counter = new;
                    }
                }
                Event::Disconnect { code } => {
                    let why = code.map_or("the gateway was silent for too long".into(), show_code);
                    self.disconnect(shared, now_ns / 1_000, &format!("session ended: {why}"));
                }
                Event::Ended { code } => self.on_ended(shared, code),
                Event::Gap { .. } => shared.tally.on_error("the gateway announced a gap"),
                Event::Error { code, text, .. } => {
                    shared.tally.on_error(&format!("error: {}: {text}", show_code(code)));
                }
                Event::StoreFailed(error) => shared.tally.on_error(&error.to_string()),
                _ => {}
            }
        }
    }

    fn on_welcomed(&mut self, shared: &mut Shared, now_ns: u64) {
        self.is_online = true;
        shared.tally.progress.online += 1;
        match self.place {
            Place::New => {
                shared.tally.progress.registered += 1;
                shared.registered_ns = now_ns;
            }
            Place::Returning => shared.tally.progress.returned += 1,
            Place::Known => shared.tally.progress.reconnects += 1,
        }
        if self.place == Place::New && shared.scenario.is_away(self.index) {
            self.wanted = false;
            self.close(shared, now_ns / 1_000);
        }
        self.place = Place::Known;
    }

    fn on_ended(&mut self, shared: &mut Shared, code: u16) {
        let why = format!("the gateway turned a user away for good: {}", show_code(code));
        shared.tally.on_error(&why);
        if self.place == Place::New {
            shared.fatal = Some(why);
        }
    }

    fn disconnect(&mut self, shared: &mut Shared, now_us: u64, why: &str) {
        shared.tally.on_error(why);
        self.close(shared, now_us);
    }

    fn close(&mut self, shared: &mut Shared, now_us: u64) {
        self.link = Link::None;
        shared.tally.progress.online -= u32::from(self.is_online);
        self.is_online = false;
        self.client.on_disconnected(now_us);
    }

    fn resolve(&mut self, counter: Counter) -> Option<Unresolved> {
        let at = self.find(counter).ok()?;
        self.unresolved.remove(at)
    }

    fn find(&self, counter: Counter) -> Result<usize, usize> {
        self.unresolved.binary_search_by_key(&counter, |message| message.counter)
    }

    fn connect_at_us(&self) -> Option<u64> {
        let at_us = self.client.connect_at().filter(|_| self.wanted)?;
        Some(at_us.max(self.not_before_us))
    }

    fn deadline_us(&self) -> Option<u64> {
        let link = match &self.link {
            Link::None => self.connect_at_us(),
            Link::Connecting { until_us, .. } => Some(*until_us),
            Link::Up(_) => None,
        };
        let client = self.client.next_deadline().filter(|_| self.wanted);
        [link, client].into_iter().flatten().min()
    }
}

fn show_code(number: u16) -> String {
    match Code::from_number(number) {
        Some(code) => format!("{number} {}", code.text()),
        None => format!("{number}"),
    }
}

/// `kind` of an ordinary text message.
const KIND_TEXT: u8 = 0;
const CONNECT_TIMEOUT_US: u64 = 10_000_000;
