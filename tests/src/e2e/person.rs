//! A person with a client of the SDK. Any number of them are driven by one thread.

use std::{
    collections::BTreeMap,
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use shardwire_sdk::{Client, Config, Credential, Event, MemoryStore, Received, Store as _};
use wire::{
    Counter, Device, DeviceBuf, DeviceNo, Id, Incarnation, Mid, Name, NameBuf,
    frame::{SafeBy, SendFlags},
};

use super::LIMIT;

/// A person at one device.
pub struct Person {
    user: NameBuf,
    client: Client<MemoryStore>,
    addr: SocketAddr,
    stream: Option<TcpStream>,
    is_away: bool,
    is_reading: bool,
    begin: Instant,
    /// Sent and neither safe nor refused.
    waiting: BTreeMap<Counter, String>,
    safe: Vec<(String, SafeBy)>,
    refused: Vec<(String, u16)>,
    inbox: Vec<Entry>,
    ended: Option<u16>,
    welcome_count: usize,
}

/// A message that came.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    id: Id,
    from: NameBuf,
    mid: Mid,
    body: String,
}

impl Person {
    /// `user` at a new device `phone`.
    ///
    /// # Panics
    /// When `user` is not a name.
    pub fn new(user: &str, token: &str, addr: SocketAddr) -> Person {
        Person::at("phone", user, token, addr)
    }

    /// `user` at a new device.
    ///
    /// # Panics
    /// When one of the names is not one.
    pub fn at(device: &str, user: &str, token: &str, addr: SocketAddr) -> Person {
        let user = NameBuf::from(Name::parse_user(user.as_bytes()).expect("a user's name"));
        let device = Device::parse(device.as_bytes()).expect("a device's name");
        let mut config = Config::new(user.clone(), DeviceBuf::from(device), Credential::Token(token.into()));
        // A gateway on the same machine needs no mercy, and tests are impatient.
        config.backoff.first_ms = 20;
        config.backoff.max_ms = 200;
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).expect("the system has random bytes");
        let client =
            Client::new(config, MemoryStore::default(), u64::from_le_bytes(seed)).expect("memory can be written");
        Person {
            user,
            client,
            addr,
            stream: None,
            is_away: false,
            is_reading: true,
            begin: Instant::now(),
            waiting: BTreeMap::new(),
            safe: Vec::new(),
            refused: Vec::new(),
            inbox: Vec::new(),
            ended: None,
            welcome_count: 0,
        }
    }

    /// Who it is.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Sends a message, now or when there is a session.
    ///
    /// # Panics
    /// When `to` is not a name, or the SDK does not take the message.
    pub fn send(&mut self, to: &str, body: &str) {
        let to = Name::parse(to.as_bytes()).expect("a name");
        let now = self.now_us();
        let counter = self.client.send(now, to, 0, SendFlags(0), body.as_bytes()).expect("the outbox has room");
        self.waiting.insert(counter, body.to_owned());
    }

    /// Loses the connection, and does not connect until [`Person::comes_back`].
    pub fn goes_away(&mut self) {
        self.is_away = true;
        self.stream = None;
        let now = self.now_us();
        self.client.on_disconnected(now);
    }

    /// Connects again, perhaps to another place.
    pub fn comes_back(&mut self, addr: SocketAddr) {
        self.is_away = false;
        self.moves_to(addr);
        let now = self.now_us();
        self.client.restart(now);
    }

    /// Where to connect from now on.
    pub fn moves_to(&mut self, addr: SocketAddr) {
        self.addr = addr;
    }

    /// Reads no more from its connection, or reads again.
    pub fn set_reading(&mut self, is_reading: bool) {
        self.is_reading = is_reading;
    }

    /// The program ends and is started again, by somebody who types nothing: only its store is left.
    ///
    /// # Panics
    /// When memory fails.
    pub fn starts_again(&mut self) {
        let config = Config { credential: Credential::None, ..self.client.config().clone() };
        let store = self.client.store().clone();
        self.client = Client::new(config, store, self.begin.elapsed().as_secs()).expect("memory can be read");
        (self.stream, self.ended) = (None, None);
    }

    /// Types a token, for want of a ticket that is taken.
    pub fn types(&mut self, token: &str) {
        self.client.set_credential(Credential::Token(token.into()));
        self.ended = None;
        let now = self.now_us();
        self.client.restart(now);
    }

    /// Has a copy of another's store, and nothing else.
    ///
    /// # Panics
    /// When memory fails.
    pub fn steals_from(&mut self, other: &Person) {
        let config = Config { credential: Credential::None, ..other.client.config().clone() };
        self.client = Client::new(config, other.client.store().clone(), 0).expect("memory can be read");
    }

    /// Signs the device out.
    pub fn logout(&mut self) {
        self.client.logout(false);
    }

    /// Whether it stays away, see [`Person::goes_away`].
    pub fn is_away(&self) -> bool {
        self.is_away
    }

    /// Whether there is a session.
    pub fn is_online(&self) -> bool {
        self.client.is_welcomed()
    }

    /// How often a session began.
    pub fn welcome_count(&self) -> usize {
        self.welcome_count
    }

    /// Of its store.
    ///
    /// # Panics
    /// When memory fails.
    pub fn incarnation(&self) -> Incarnation {
        let state = self.client.store().clone().load();
        let ledger = state.expect("memory can be read").ledger;
        ledger.incarnation.expect("a client has one")
    }

    /// The device's number.
    pub fn device_no(&self) -> Option<DeviceNo> {
        self.client.device_no()
    }

    /// The code with which it ended for good.
    pub fn ended(&self) -> Option<u16> {
        self.ended
    }

    /// How many of its messages are neither safe nor refused.
    pub fn waiting_count(&self) -> usize {
        self.waiting.len()
    }

    /// What is safe, in the order in which that was heard.
    pub fn safe(&self) -> &[(String, SafeBy)] {
        &self.safe
    }

    /// What became safe since this was asked last.
    pub fn take_safe(&mut self) -> Vec<(String, SafeBy)> {
        std::mem::take(&mut self.safe)
    }

    /// What is refused, with the code.
    pub fn refused(&self) -> &[(String, u16)] {
        &self.refused
    }

    /// How many messages came.
    pub fn inbox_count(&self) -> usize {
        self.inbox.len()
    }

    /// What came, in the order of the inbox.
    pub fn inbox(&self) -> Vec<&str> {
        let mut entries: Vec<_> = self.inbox.iter().collect();
        entries.sort_by_key(|entry| entry.id);
        entries.iter().map(|entry| entry.body.as_str()).collect()
    }

    /// What came from `user`, in the order of the inbox.
    pub fn inbox_from(&self, user: &str) -> Vec<&str> {
        let mut entries: Vec<_> = self.inbox.iter().filter(|entry| &*entry.from == user).collect();
        entries.sort_by_key(|entry| entry.id);
        entries.iter().map(|entry| entry.body.as_str()).collect()
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_micros()).expect("a test is short")
    }

    /// Does what can be done without waiting.
    fn step(&mut self) {
        if self.is_away {
            return;
        }
        let now = self.now_us();
        if self.stream.is_none() && self.client.connect_at().is_some_and(|at| at <= now) {
            self.connect();
        }
        self.read();
        if self.client.next_deadline().is_some_and(|at| at <= self.now_us()) {
            self.client.on_tick(self.now_us());
        }
        self.write();
        while let Some(event) = self.client.poll_event() {
            self.on_event(event);
        }
        self.write();
    }

    fn connect(&mut self) {
        self.client.on_connecting();
        let connected = TcpStream::connect_timeout(&self.addr, LIMIT);
        let now = self.now_us();
        match connected {
            Ok(stream) => {
                stream.set_nodelay(true).expect("a socket has this option");
                stream.set_nonblocking(true).expect("a socket has this option");
                self.stream = Some(stream);
                self.client.on_connected(now);
            }
            Err(_) => self.client.on_disconnected(now),
        }
    }

    fn read(&mut self) {
        let mut chunk = [0; 16 * 1024];
        while self.is_reading
            && let Some(stream) = &mut self.stream
        {
            match stream.read(&mut chunk) {
                Ok(0) => self.lose(),
                Ok(len) => {
                    let now = self.now_us();
                    self.client.on_bytes(now, &chunk[..len]);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => self.lose(),
            }
        }
    }

    fn write(&mut self) {
        while let Some(stream) = &mut self.stream
            && !self.client.transmit().is_empty()
        {
            match stream.write(self.client.transmit()) {
                Ok(len) => drop(self.client.transmit().drain(..len)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => self.lose(),
            }
        }
    }

    fn lose(&mut self) {
        self.stream = None;
        let now = self.now_us();
        self.client.on_disconnected(now);
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Welcomed(_) => self.welcome_count += 1,
            Event::Message(message) => self.on_message(&message),
            Event::Moved { from, mid, id } => {
                let entry = self
                    .inbox
                    .iter_mut()
                    .find(|entry| entry.from == from && entry.mid == mid)
                    .expect("what moves came before");
                entry.id = id;
            }
            Event::Accepted { counter, safe_by, .. } => {
                let body = self.waiting.remove(&counter).expect("it was sent, and had no outcome");
                self.safe.push((body, safe_by));
            }
            Event::Refused { counter, code, .. } => {
                let body = self.waiting.remove(&counter).expect("it was sent, and had no outcome");
                self.refused.push((body, code));
            }
            Event::Renumbered { old, new } => {
                let body = self.waiting.remove(&old).expect("it was sent, and had no outcome");
                self.waiting.insert(new, body);
            }
            Event::Disconnect { .. } => self.stream = None,
            Event::Ended { code } => {
                self.ended = Some(code);
                self.stream = None;
            }
            Event::StoreFailed(error) => panic!("memory failed: {error}"),
            _ => {}
        }
    }

    fn on_message(&mut self, message: &Received) {
        self.inbox.push(Entry {
            id: message.id,
            from: NameBuf::from(message.from()),
            mid: message.mid,
            body: String::from_utf8_lossy(message.body()).into_owned(),
        });
    }

    /// When it has something to do by itself.
    fn deadline_us(&self) -> Option<u64> {
        let connect_at = self.client.connect_at().filter(|_| self.stream.is_none());
        [connect_at, self.client.next_deadline()].into_iter().flatten().min()
    }
}

/// Lets all of them do what they can, waiting at most `pause` for something to happen.
///
/// # Panics
/// When one of them does, see [`Person`].
pub fn drive(people: &mut [Person], pause: Duration) {
    let mut wait = pause;
    for person in people.iter_mut() {
        person.step();
    }
    for person in people.iter().filter(|person| !person.is_away) {
        if let Some(at) = person.deadline_us() {
            wait = wait.min(Duration::from_micros(at.saturating_sub(person.now_us())));
        }
    }
    let mut fds = Vec::with_capacity(people.len());
    for person in people.iter_mut() {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, person.is_reading);
        flags.set(PollFlags::OUT, !person.client.transmit().is_empty());
        if let Some(stream) = &person.stream
            && !flags.is_empty()
        {
            fds.push(PollFd::new(stream, flags));
        }
    }
    let timeout = Timespec::try_from(wait).expect("a pause is short");
    poll(&mut fds, Some(&timeout)).expect("sockets can be polled");
}

/// Drives them until `condition` holds.
///
/// # Panics
/// When it does not within [`LIMIT`], with `what`.
pub fn drive_until(what: &str, people: &mut [Person], mut condition: impl FnMut(&mut [Person]) -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !condition(people) {
        assert!(Instant::now() < deadline, "after {LIMIT:?} still not: {what}");
        drive(people, Duration::from_millis(50));
    }
}
