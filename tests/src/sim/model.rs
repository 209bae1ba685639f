//! What `docs/delivery.md` promises, kept naively: per message what its sender was told, per installation what its user was shown.
//!
//! The model sees the applications (what they send, are told and are shown) and the border of the shards' cores (the frames
//! that go in and out: `wiretap`). It knows nothing of how the gateway keeps its promises. The first broken one is kept
//! in [`Model::violation`]; what can only be judged when everything has come to rest is judged by `verdict`.

use std::collections::{BTreeMap, BTreeSet};

use wire::frame::SafeBy;
use wire::{Counter, DeviceBuf, DeviceNo, Id, Incarnation, Mid, Name, NameBuf};

use super::content::Key;
use super::net::LinkId;
use super::screen::Screen;
use super::tally::Tally;

/// When something happened: in which run of the gateway, and at which step of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// Up by one each time the gateway starts.
    pub epoch: u32,
    /// Up by one with everything the world does.
    pub step: u64,
}

/// What the gateway was told to do, as far as it bears on promises.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Whether messages for names without a device are refused.
    pub refuses_strangers: bool,
    /// Entries an inbox may hold.
    pub inbox_count_max: u32,
}

/// What the sender's application was told of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Nothing yet.
    Pending,
    /// It is safe.
    Accepted {
        /// How.
        by: SafeBy,
        /// Its place in the sender's own inbox.
        self_id: Id,
    },
    /// It is refused.
    Refused {
        /// Why.
        code: u16,
        /// Whether that is the whole truth.
        is_known: bool,
    },
    /// Something, but the program ended before the application heard it.
    Unheard,
}

/// A message that an application sent.
#[derive(Debug)]
pub struct Message {
    /// Which.
    pub key: Key,
    /// The sending user.
    pub from: usize,
    /// The user it is for.
    pub to: usize,
    /// Bytes of its body.
    pub len: usize,
    /// Whether nothing is promised of it.
    pub is_ephemeral: bool,
    /// When a core was first handed its SEND.
    pub offered: Option<Moment>,
    /// When the core first acknowledged it: from here on it must not be lost.
    pub promised: Option<Moment>,
    /// What the sender heard.
    pub told: Told,
    /// In which run it was last delivered, to anybody, with an id.
    pub delivered_in: Option<u32>,
    /// In which run it was last refused.
    pub refused_in: Option<u32>,
    /// Devices whose confirmation a core was handed.
    pub confirmed_by: BTreeSet<usize>,
    /// At which step the first device of the recipient confirmed it.
    pub confirmed_at: Option<u64>,
    /// The mid of its last SEND.
    pub mid: Option<Mid>,
    /// It was offered under two mids, because its device was removed in between: it may arrive twice.
    pub has_two_names: bool,
    /// Its sender's client has committed the outcome.
    pub is_resolved: bool,
    /// Its sender knew of no outcome when the gateway crashed: it may take a later place.
    pub was_open_in_crash: bool,
    /// A SEND of it was handed in and not answered.
    pub is_open: bool,
    /// Users whose account was deleted since it was offered: nothing of it is owed to whoever has the name now.
    pub erased_for: BTreeSet<usize>,
    /// Those of them that must not get it, unless it is sent again.
    pub gone_for: BTreeSet<usize>,
}

/// One life of a client's store.
#[derive(Debug)]
pub struct Install {
    /// Whose.
    pub user: usize,
    /// The device it calls itself.
    pub device: String,
    /// Its store is gone, or it will not come back: nothing is owed to it.
    pub is_gone: bool,
    /// It is not there for now.
    pub is_away: bool,
    /// What its user sees.
    pub screen: Screen,
}

/// A (device, incarnation) that the gateway has heard of.
#[derive(Debug)]
pub struct Device {
    /// Whose store it is.
    pub install: u16,
    /// Whose device.
    pub user: usize,
    /// Its name.
    pub name: DeviceBuf,
    /// Which life of it.
    pub incarnation: Incarnation,
    /// Told in WELCOME.
    pub device_no: Option<DeviceNo>,
    /// At which step the connection that was first answered by WELCOME came home: it counts from then on, if not before.
    pub registered_at: Option<u64>,
    /// Signed out for good, or replaced by another incarnation: from here on it may count or not.
    pub is_leaving: bool,
    /// Its messages by counter.
    pub sent: BTreeMap<Counter, Key>,
    /// What others had confirmed when it registered, and in which run: it gets nothing of that.
    pub start: (u32, Id),
    /// Delivered to it and not confirmed.
    pub unconfirmed: BTreeMap<Id, Key>,
}

/// The model.
#[derive(Debug)]
pub struct Model {
    /// Now.
    pub now: Moment,
    pub(super) rules: Rules,
    pub(super) names: Vec<NameBuf>,
    /// Every message, by key.
    pub messages: BTreeMap<Key, Message>,
    pub(super) installs: Vec<Install>,
    pub(super) devices: Vec<Device>,
    pub(super) sessions: BTreeMap<LinkId, super::wiretap::Session>,
    pub(super) logins: super::logins::Logins,
    /// What the wall clock says.
    pub(super) wall_us: u64,
    /// The last moment that was given to a proof.
    pub(super) last_us: u64,
    /// Which message has which place in whose inbox, ever.
    pub(super) places: BTreeMap<(usize, Id), Key>,
    /// The last new place that was seen of an inbox, and in which run.
    pub(super) given_in: BTreeMap<usize, (u32, Id)>,
    /// The step at which the present run began.
    pub(super) started_at: u64,
    /// Where a message was first put in an inbox, and in which run.
    pub(super) single: BTreeMap<(usize, Key), (u32, Id)>,
    /// The highest place that a device of a user confirmed, and in which run.
    pub(super) confirmed_in: BTreeMap<usize, (u32, Id)>,
    pub(super) mids: BTreeMap<(usize, Mid), Key>,
    /// The last boot number that each user was told, and in which run.
    pub(super) boots: BTreeMap<usize, (u32, u64)>,
    /// No disk was full or failed in this run of the gateway: nothing may be blamed on one.
    pub are_disks_good: bool,
    /// The first broken promise.
    pub violation: Option<String>,
    /// How often what happened.
    pub tally: Tally,
}

impl Model {
    /// A world of these names. Some may never log in.
    pub fn new(rules: Rules, names: Vec<NameBuf>) -> Model {
        Model {
            now: Moment { epoch: 0, step: 0 },
            rules,
            names,
            messages: BTreeMap::new(),
            installs: Vec::new(),
            devices: Vec::new(),
            sessions: BTreeMap::new(),
            logins: super::logins::Logins::default(),
            wall_us: 0,
            last_us: 0,
            places: BTreeMap::new(),
            given_in: BTreeMap::new(),
            started_at: 0,
            single: BTreeMap::new(),
            confirmed_in: BTreeMap::new(),
            mids: BTreeMap::new(),
            boots: BTreeMap::new(),
            are_disks_good: true,
            violation: None,
            tally: Tally::default(),
        }
    }

    /// A store is born.
    pub fn install(&mut self, user: usize, device: &str) -> u16 {
        let install =
            Install { user, device: device.to_owned(), is_gone: false, is_away: false, screen: Screen::default() };
        self.installs.push(install);
        u16::try_from(self.installs.len() - 1).expect("few installs")
    }

    /// A store is lost, or its device never comes back.
    pub fn forget_install(&mut self, install: u16) {
        self.installs[usize::from(install)].is_gone = true;
    }

    /// A client stays away, or is back: what is owed to it, or to be told it, may wait or not.
    pub fn set_away(&mut self, install: u16, is_away: bool) {
        self.installs[usize::from(install)].is_away = is_away;
    }

    /// Whether a client stays away.
    pub fn is_away(&self, install: u16) -> bool {
        self.installs[usize::from(install)].is_away
    }

    /// What the user of an installation sees.
    pub fn shown(&self, install: u16) -> BTreeSet<Key> {
        self.installs[usize::from(install)].screen.iter().map(|(_, key)| key).collect()
    }

    /// An application sends.
    pub fn on_send(&mut self, key: Key, to: usize, len: usize, is_ephemeral: bool) {
        let from = self.installs[usize::from(key.install)].user;
        let message = Message {
            key,
            from,
            to,
            len,
            is_ephemeral,
            offered: None,
            promised: None,
            told: Told::Pending,
            delivered_in: None,
            refused_in: None,
            confirmed_by: BTreeSet::new(),
            confirmed_at: None,
            mid: None,
            has_two_names: false,
            is_resolved: false,
            was_open_in_crash: false,
            is_open: false,
            erased_for: BTreeSet::new(),
            gone_for: BTreeSet::new(),
        };
        self.messages.insert(key, message);
        self.tally.count(if is_ephemeral { "sent ephemeral" } else { "sent" });
    }

    /// A client has committed the outcome of a message: it will not offer it again.
    pub fn on_resolved(&mut self, key: Key) {
        let is_again = std::mem::replace(&mut self.messages.get_mut(&key).expect("sent before").is_resolved, true);
        self.check(!is_again, || format!("{key} was resolved twice"));
    }

    /// An application is told what became of a message.
    pub fn on_told(&mut self, key: Key, told: Told) {
        let message = self.messages.get_mut(&key).expect("sent before");
        let before = std::mem::replace(&mut message.told, told);
        let (promised, refused_in, offered) = (message.promised, message.refused_in, message.offered);
        let was_delivered = message.delivered_in.is_some();
        self.check(before == Told::Pending, || format!("{key}: the application was told {before:?} and then {told:?}"));
        match told {
            Told::Pending => unreachable!("nobody is told nothing"),
            Told::Unheard => self.tally.count("told, and not heard"),
            Told::Accepted { by, .. } => {
                self.tally.count(match by {
                    SafeBy::Received => "told received",
                    SafeBy::Stored => "told stored",
                    SafeBy::Duplicate => "told duplicate",
                });
                self.check(promised.is_some(), || format!("{key}: told accepted, but no SEND_ACK was written"));
            }
            Told::Refused { code, is_known } => {
                self.tally.count(if is_known { "told refused" } else { "told refused, not known" });
                self.check(refused_in.is_some(), || format!("{key}: told refused, but no SEND_NACK was written"));
                self.check(!(is_known && was_delivered), || {
                    format!("{key}: told a known refusal {code}, and it had been delivered")
                });
                let earlier = offered.zip(refused_in).is_some_and(|(offered, refused)| offered.epoch < refused);
                self.check(!(is_known && earlier), || {
                    format!("{key}: a refusal {code} counts as known, though it was offered to an earlier run")
                });
            }
        }
    }

    /// A user is shown a message, for good: it and the cursor are committed.
    pub fn on_shown(&mut self, install: u16, from: Name<'_>, to: Name<'_>, mid: Mid, id: Id, body: &[u8]) {
        let Some(key) = self.identify(body) else {
            return self.fail(format!("install {install} was shown a message that nobody sent, {mid} of {from}"));
        };
        let message = &self.messages[&key];
        let (own, sender) = (self.installs[usize::from(install)].user, message.from);
        let right_names = from == self.names[sender].as_name() && to == self.names[message.to].as_name();
        let for_me = message.to == own || sender == own;
        let (told, len, is_ephemeral) = (message.told, message.len, message.is_ephemeral);
        let has_two_names = message.has_two_names;
        self.check(right_names && for_me, || format!("install {install} was shown {key} as from {from} to {to}"));
        self.check(len == body.len(), || format!("{key}: {len} bytes were sent, {} shown", body.len()));
        // A device that was removed and is back is another device, with the same user before it.
        let is_back = self.devices.iter().any(|device| device.install == install && device.is_leaving);
        self.check(key.install != install || is_back, || format!("{key} was shown to the device that sent it"));
        self.check(is_ephemeral == (id == Id::NONE), || format!("{key} was shown with id {id}"));
        self.check(has_two_names || !matches!(told, Told::Refused { is_known: true, .. }), || {
            format!("{key} was shown to install {install} after its sender heard that it is refused")
        });
        let screen = &mut self.installs[usize::from(install)].screen;
        let shown = screen.show(key, id);
        if let Err(error) = shown.or_else(|error| if has_two_names { Ok(()) } else { Err(error) }) {
            self.fail(format!("install {install}: {error}"));
        }
        self.tally.count(match (is_ephemeral, sender == own) {
            (true, _) => "shown ephemeral",
            (false, true) => "shown self-copy",
            (false, false) => "shown",
        });
    }

    /// Whether a message may come twice, because its sender had to name it anew.
    pub fn may_double(&self, key: Key) -> bool {
        self.messages.get(&key).is_some_and(|message| message.has_two_names)
    }

    /// A message that was shown has another place.
    pub fn on_moved(&mut self, install: u16, from: Name<'_>, mid: Mid, id: Id) {
        self.tally.count("moved");
        let key = self.user(from).and_then(|user| self.mids.get(&(user, mid)).copied());
        let Some(key) = key else {
            return self.fail(format!("install {install}: moved {mid} of {from}, which nobody sent"));
        };
        let moved = self.installs[usize::from(install)].screen.move_to(key, id);
        let has_two_names = self.messages[&key].has_two_names;
        if let Err(error) = moved.or_else(|error| if has_two_names { Ok(()) } else { Err(error) }) {
            self.fail(format!("install {install}: {error}"));
        }
    }

    /// The message that a body belongs to.
    pub(super) fn identify(&self, body: &[u8]) -> Option<Key> {
        Key::of(body).filter(|key| self.messages.contains_key(key))
    }

    /// The user of that name.
    pub(super) fn user(&self, name: Name<'_>) -> Option<usize> {
        self.names.iter().position(|known| known.as_name() == name)
    }

    /// Keeps the first broken promise.
    pub fn fail(&mut self, text: String) {
        self.violation.get_or_insert(text);
    }

    pub(super) fn check(&mut self, holds: bool, text: impl FnOnce() -> String) {
        if !holds {
            self.fail(text());
        }
    }
}
