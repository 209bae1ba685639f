//! A client: the SDK as it is, an application that sends and reads, and a person who does to it what people do.

use std::collections::{BTreeMap, BTreeSet};

use shardwire_sdk::{Backoff, Client, Config, Credential, Event};
use wire::frame::{Credit, SendFlags};
use wire::{Code, Counter, Device, Id, Name, NameBuf};

use super::accounts::Standing;
use super::content::{BODY_LEN_MIN, Key};
use super::model::{Model, Told};
use super::net::{End, LinkId, Reading, piece_len};
use super::shell::Around;
use super::store::{Entry, SimStore};
use super::trace::trace;
use super::world::{DRAIN_SLOT_LEN_MS, DRAIN_SLOT_START_MS};

/// How a client is set up.
#[derive(Debug, Clone)]
pub struct Habits {
    /// What may be delivered and unconfirmed.
    pub credit: Credit,
    /// How long acknowledgements wait, in milliseconds.
    pub ack_delay_ms: u64,
    /// Bytes in flight on its links, each way.
    pub link_capacity: usize,
    /// Break the rule that dropped duplicates are acknowledged.
    pub drops_silently: bool,
}

/// A client of one device.
#[derive(Debug)]
pub struct SimClient {
    /// Which life of its store this is.
    pub install: u16,
    /// Whose device.
    pub user: usize,
    /// Which of those who had this name one after the other.
    pub generation: u32,
    name: NameBuf,
    device: String,
    habits: Habits,
    store: SimStore,
    /// None: the program is not running.
    sdk: Option<Client<SimStore>>,
    link: Option<LinkId>,
    /// The application's own book: which message has which number.
    book: BTreeMap<Counter, Key>,
    seq: u32,
    /// Messages that the application has dealt with.
    dealt: BTreeSet<Key>,
    /// Those of them that the store does not know as read: the last one, and what came after the store failed. They come
    /// again if the program ends now.
    dealing: BTreeSet<Key>,
    /// The program was ended in between.
    may_repeat: BTreeSet<Key>,
    /// Outcomes that are committed and that the application was not told of yet.
    untold: BTreeSet<Counter>,
    /// When the SDK was told to go by what it read, and when it will come back.
    parted: Option<(u64, u64)>,
    /// The application was idle, and events may wait for it.
    has_left_events: bool,
    /// The socket took less than there was.
    is_blocked: bool,
    /// Until then it reads nothing from its link.
    pub deaf_until_us: u64,
    /// Until then its application asks for no events.
    pub idle_until_us: u64,
    /// The SDK will not connect again by itself, and this is why.
    pub ended: Option<u16>,
    /// Signed out with `forget`, or deleted: its user does not come back.
    pub is_leaving: bool,
    /// Its user deletes the account.
    is_deleting: bool,
}

impl SimClient {
    /// A client with an empty store; its program is not running.
    pub fn new(install: u16, user: usize, name: NameBuf, device: String, generation: u32, habits: Habits) -> SimClient {
        SimClient {
            install,
            user,
            generation,
            name,
            device,
            habits,
            store: SimStore::default(),
            sdk: None,
            link: None,
            book: BTreeMap::new(),
            seq: 0,
            dealt: BTreeSet::new(),
            dealing: BTreeSet::new(),
            may_repeat: BTreeSet::new(),
            untold: BTreeSet::new(),
            parted: None,
            has_left_events: false,
            is_blocked: false,
            deaf_until_us: 0,
            idle_until_us: 0,
            ended: None,
            is_leaving: false,
            is_deleting: false,
        }
    }

    /// The device's name.
    pub fn device(&self) -> &str {
        &self.device
    }

    /// Whether its program runs.
    pub fn is_running(&self) -> bool {
        self.sdk.is_some()
    }

    /// Whether it has a connection, as far as it knows.
    pub fn link(&self) -> Option<LinkId> {
        self.link
    }

    /// Whether it has a session.
    pub fn is_welcomed(&self) -> bool {
        self.sdk.as_ref().is_some_and(Client::is_welcomed)
    }

    /// Starts the program on its store.
    pub fn start(&mut self, around: &mut Around<'_>) {
        let device = Device::parse(self.device.as_bytes()).expect("a device's name");
        // Sometimes nobody is there to type a password, and the ticket must do.
        let credential = if around.rng.chance(1, 3) { Credential::None } else { self.credential(around) };
        let mut config = Config::new(self.name.clone(), device.into(), credential);
        config.credit = self.habits.credit;
        config.ack_delay_ms = self.habits.ack_delay_ms;
        config.backoff = Backoff { first_ms: 20, max_ms: 1_000 };
        let Ok(mut sdk) = Client::new(config, self.store.clone(), around.rng.next_u64()) else {
            return around.model.tally.count("store failed");
        };
        if self.habits.drops_silently {
            sdk.plant(shardwire_sdk::Fault::DropDuplicateSilently);
        }
        self.sdk = Some(sdk);
        self.ended = None;
        around.model.tally.count("program started");
    }

    /// The program ends, as when it is killed.
    pub fn stop(&mut self, around: &mut Around<'_>) {
        if self.sdk.take().is_some() {
            self.hang_up(around);
            self.read_journal(around);
            self.may_repeat.append(&mut self.dealing);
            for counter in std::mem::take(&mut self.untold) {
                // The program ended between the outcome and its telling.
                self.on_told(counter, Told::Unheard, around);
            }
        }
    }

    /// Connects again although the SDK had given up: its person types what the gateway wants.
    pub fn come_back(&mut self, around: &mut Around<'_>) {
        let credential = self.credential(around);
        let account = around.accounts.of(self.user);
        let is_free = !account.has_tokens && matches!(account.standing, Standing::Free | Standing::Purging);
        let Some(sdk) = &mut self.sdk else { return };
        self.ended = None;
        if is_free {
            let password = around.accounts.new_password();
            if sdk.register(&password).is_ok() {
                around.model.tally.count("registers");
            }
        } else {
            sdk.set_credential(credential);
        }
        sdk.restart(around.clock.mono_us());
        self.after(around);
    }

    fn credential(&self, around: &Around<'_>) -> Credential {
        if around.accounts.of(self.user).has_tokens {
            Credential::Token("good".into())
        } else {
            Credential::Password(around.accounts.password(self.user).into())
        }
    }

    /// Its person gives the account another password, and has it wrong at times.
    pub fn change_password(&mut self, around: &mut Around<'_>) {
        let (mut old, new) = (around.accounts.password(self.user), around.accounts.new_password());
        if around.rng.chance(1, 8) {
            old.push('?');
        }
        let now = around.clock.mono_us();
        if let Some(sdk) = &mut self.sdk
            && sdk.change_password(now, &old, &new).is_ok()
        {
            around.model.tally.count("changes password");
        }
        self.after(around);
    }

    /// Its person deletes the account.
    pub fn delete_account(&mut self, around: &mut Around<'_>) {
        let (now, password) = (around.clock.mono_us(), around.accounts.password(self.user));
        if let Some(sdk) = &mut self.sdk
            && sdk.delete_account(now, &password).is_ok()
        {
            self.is_deleting = true;
            around.model.tally.count("deletes account");
        }
        self.after(around);
    }

    /// Whether [`SimClient::turn`] would do something now.
    pub fn has_work(&self, around: &Around<'_>) -> bool {
        let now = around.clock.mono_us();
        if self.sdk.is_none() {
            return false;
        }
        let hears =
            self.link.is_some_and(|link| around.net.is_readable(link, End::Client)) && self.deaf_until_us <= now;
        hears || self.next_deadline().is_some_and(|at| at <= now) || (self.is_blocked && self.can_write(around))
    }

    fn can_write(&self, around: &Around<'_>) -> bool {
        self.link.is_some_and(|link| around.net.has_room(link, End::Gateway))
    }

    /// When it wants a turn next, whatever comes.
    pub fn next_deadline(&self) -> Option<u64> {
        let sdk = self.sdk.as_ref()?;
        let wakes = [self.deaf_until_us, self.idle_until_us].into_iter().filter(|at| *at > 0);
        [sdk.connect_at(), sdk.next_deadline()].into_iter().flatten().chain(wakes).min()
    }

    /// Lets it read a piece, act on the time, write, and deal with events.
    pub fn turn(&mut self, around: &mut Around<'_>) {
        let now = around.clock.mono_us();
        for until in [&mut self.deaf_until_us, &mut self.idle_until_us] {
            if *until <= now {
                *until = 0;
            }
        }
        let Some(sdk) = &mut self.sdk else { return };
        if sdk.connect_at().is_some_and(|at| at <= now) {
            self.connect(around);
        }
        self.hear(around);
        let Some(sdk) = &mut self.sdk else { return };
        if sdk.next_deadline().is_some_and(|at| at <= now) {
            sdk.on_tick(now);
        }
        self.after(around);
    }

    /// Sends a message of `len` bytes.
    pub fn send(&mut self, to: usize, name: Name<'_>, len: usize, is_ephemeral: bool, around: &mut Around<'_>) {
        // Whoever deletes the account is done with it; and what is sent behind the deletion has a new number, while an idle application
        // still waits to be told of old ones.
        let Some(sdk) = self.sdk.as_mut().filter(|_| !self.is_deleting) else { return };
        self.seq += 1;
        let key = Key { install: self.install, seq: self.seq };
        let body = key.body(len.max(BODY_LEN_MIN));
        let now = around.clock.mono_us();
        let is_taken = if is_ephemeral {
            sdk.send_ephemeral(name, 0, SendFlags::default(), &body).is_ok()
        } else {
            let counter = sdk.send(now, name, 0, SendFlags::default(), &body).ok();
            counter.map(|counter| self.book.insert(counter, key)).is_some()
        };
        if is_taken {
            trace!(around.trace, "install {} sends {key} to {name}, {} bytes", self.install, body.len());
            around.model.on_send(key, to, body.len(), is_ephemeral);
        }
        self.after(around);
    }

    /// A message that the user has and that the application was never handed, or the reverse.
    pub fn undealt(&self, model: &Model) -> Option<String> {
        let shown = model.shown(self.install);
        let odd = shown
            .iter()
            .find(|key| !self.dealt.contains(key))
            .or_else(|| self.dealt.iter().find(|key| !shown.contains(key)));
        odd.filter(|_| !model.is_away(self.install))
            .map(|key| format!("install {}: {key} was either committed or handed over, not both", self.install))
    }

    /// Signs out.
    pub fn log_out(&mut self, forget: bool, around: &mut Around<'_>) {
        if let Some(sdk) = &mut self.sdk {
            trace!(around.trace, "install {} logs out, forget {forget}", self.install);
            sdk.logout(forget);
            self.is_leaving |= forget;
            self.after(around);
        }
    }

    /// Its store fails at the next commit.
    pub fn fail_store(&mut self) {
        self.store.fail_next();
    }

    /// Closes the connection in good order, as when the network is changed.
    pub fn hang_up(&mut self, around: &mut Around<'_>) {
        if let Some(link) = self.link.take() {
            around.net.close(link, End::Client);
            if let Some(sdk) = &mut self.sdk {
                sdk.on_disconnected(around.clock.mono_us());
            }
        }
    }

    fn connect(&mut self, around: &mut Around<'_>) {
        let now = around.clock.mono_us();
        let sdk = self.sdk.as_mut().expect("it wants to connect");
        sdk.on_connecting();
        self.parted = None;
        if !around.mesh.is_open {
            return sdk.on_disconnected(now);
        }
        let link = around.net.open(self.habits.link_capacity);
        around.mesh.connect(link, self.install);
        trace!(around.trace, "install {} connects as {link}", self.install);
        sdk.on_connected(now);
        self.link = Some(link);
    }

    fn hear(&mut self, around: &mut Around<'_>) {
        let now = around.clock.mono_us();
        let (Some(link), Some(sdk)) = (self.link.filter(|_| self.deaf_until_us == 0), &mut self.sdk) else { return };
        match around.net.read(link, End::Client, piece_len(around.rng)) {
            Reading::Bytes(bytes) => {
                sdk.on_bytes(now, &bytes);
                // Behind events that an idle application left, it is not known which end of a connection an event tells of.
                let parted = sdk.connect_at().map(|at| (now, at)).filter(|_| !self.has_left_events);
                self.parted = self.parted.or(parted);
            }
            Reading::Nothing => {}
            Reading::Over => {
                self.link = None;
                sdk.on_disconnected(now);
            }
        }
    }

    /// What follows from any call of the SDK: events, bytes to write, commits.
    fn after(&mut self, around: &mut Around<'_>) {
        self.read_journal(around);
        self.has_left_events = self.idle_until_us != 0;
        while self.idle_until_us == 0 {
            let Some(event) = self.sdk.as_mut().and_then(Client::poll_event) else { break };
            if !self.store.has_failed() {
                self.dealing.clear();
            }
            self.on_event(event, around);
            self.read_journal(around);
        }
        if let (Some(link), Some(sdk)) = (self.link, &mut self.sdk) {
            let taken = around.net.write(link, End::Gateway, sdk.transmit());
            sdk.transmit().drain(..taken);
            self.is_blocked = !sdk.transmit().is_empty();
        }
    }

    fn read_journal(&mut self, around: &mut Around<'_>) {
        for entry in self.store.take_journal() {
            match entry {
                Entry::Shown(message) => {
                    trace!(
                        around.trace,
                        "install {} is shown {:?} at {}",
                        self.install,
                        Key::of(message.body()),
                        message.id
                    );
                    let (from, to) = (message.from(), message.to());
                    around.model.on_shown(self.install, from, to, message.mid, message.id, message.body());
                }
                Entry::Moved { from, mid, id } => {
                    trace!(around.trace, "install {} moves {mid} of {from} to {id}", self.install);
                    around.model.on_moved(self.install, from.as_name(), mid, id);
                }
                Entry::Resolved(counter) => {
                    self.untold.insert(counter);
                    if let Some(key) = self.book.get(&counter) {
                        around.model.on_resolved(*key);
                    }
                }
            }
        }
    }

    fn on_event(&mut self, event: Event, around: &mut Around<'_>) {
        match event {
            Event::Message(message) if message.id == Id::NONE => {
                let (from, to) = (message.from(), message.to());
                around.model.on_shown(self.install, from, to, message.mid, message.id, message.body());
            }
            Event::Message(message) => {
                let Some(key) = Key::of(message.body()) else { return };
                let is_new = self.dealt.insert(key);
                if !is_new && !self.may_repeat.remove(&key) && !around.model.may_double(key) {
                    around.model.fail(format!("install {} was handed {key} twice", self.install));
                }
                self.dealing.insert(key);
            }
            Event::Accepted { counter, safe_by, self_id } => {
                self.on_told(counter, Told::Accepted { by: safe_by, self_id }, around);
            }
            Event::Refused { counter, code, known: is_known } => {
                self.on_told(counter, Told::Refused { code, is_known }, around);
            }
            Event::Disconnect { code } => {
                let wait_us = self.parted.take().map(|(told_us, at_us)| at_us - told_us);
                if let Some(wait_us) = wait_us.filter(|_| code == Some(Code::Draining.number())) {
                    let slot_us =
                        [DRAIN_SLOT_START_MS, DRAIN_SLOT_START_MS + DRAIN_SLOT_LEN_MS].map(|ms| u64::from(ms) * 1_000);
                    if !(slot_us[0]..=slot_us[1]).contains(&wait_us) {
                        around.model.fail(format!("install {} comes back {wait_us} µs after a drain", self.install));
                    }
                }
                if let Some(link) = self.link.take() {
                    around.net.close(link, End::Client);
                }
            }
            Event::Ended { .. } if self.is_leaving => {
                // Removed from its user: what it has now is a new device, and its person does not want one.
                around.model.forget_install(self.install);
                self.stop(around);
            }
            Event::Ended { code } => {
                trace!(around.trace, "install {} ends with {:?}", self.install, Code::from_number(code));
                self.ended = Some(code);
            }
            Event::StoreFailed(_) => {
                around.model.tally.count("store failed");
                self.stop(around);
            }
            Event::Gap { first, last, .. } => around.model.fail(format!("a gap from {first} to {last} was announced")),
            Event::Error { code, text, .. } => around.model.fail(format!("error {code} to an honest client: {text}")),
            Event::AccountDone { .. } if self.is_deleting => self.is_leaving = true,
            Event::AccountFailed { .. } => self.is_deleting = false,
            Event::Renumbered { .. } if self.is_leaving || self.is_deleting => {}
            Event::Renumbered { .. } => around.model.fail("an honest client was renumbered".to_owned()),
            Event::Welcomed(_) | Event::Moved { .. } => {}
            _ => {}
        }
    }

    fn on_told(&mut self, counter: Counter, told: Told, around: &mut Around<'_>) {
        let Some(key) = self.book.get(&counter).copied() else {
            return around
                .model
                .fail(format!("install {} was told of counter {counter}, which it never sent", self.install));
        };
        self.untold.remove(&counter);
        trace!(around.trace, "install {} hears of {key}: {told:?}", self.install);
        around.model.on_told(key, told);
    }
}
