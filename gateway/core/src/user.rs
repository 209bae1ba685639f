//! The users whose home this shard is.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hasher};

use siphasher::sip::SipHasher13;
use storage::{InboxNo, Lsn};
use wire::{Device as DeviceName, DeviceNo, Id, Mid, Name, NameBuf};

use crate::device::Device;
use crate::envelope::{Parcel, UserRef};
use crate::inbox::Window;

/// A user and everything about him that lives in memory.
#[derive(Debug)]
pub(crate) struct User {
    pub(crate) name: NameBuf,
    /// Registered devices, in the order of their numbers.
    pub(crate) devices: Vec<Device>,
    /// The highest number ever given to a device.
    pub(crate) highest: DeviceNo,
    /// The record that says `highest` when no device's record does.
    pub(crate) highest_record: Option<Lsn>,
    /// The last id given in this inbox, as far as known.
    pub(crate) head: Id,
    /// The highest cursor any device ever had, or what was deleted: where a new device starts.
    pub(crate) confirmed: Id,
    /// Logins proven before this are void; `u64::MAX`: all of them.
    pub(crate) valid_from_us: u64,
    /// Tickets of proofs given before this are void for devices that come from now on: when a device was removed last.
    pub(crate) removed_us: u64,
    /// The account was deleted and no device has come since: a stranger again.
    pub(crate) is_deleted: bool,
    /// The account is being deleted: nobody logs in until that is durable.
    pub(crate) is_erasing: bool,
    pub(crate) window: Window,
    /// Entries of earlier runs, by identity.
    pub(crate) found: Option<Box<Found>>,
    /// Whether the user stands in the queue of those whose window wants the log, and up to which entry.
    pub(crate) spill_up_to: Id,
    pub(crate) is_spill_queued: bool,
    /// Whether the window's confirm timer runs.
    pub(crate) is_timer_set: bool,
}

impl User {
    fn new(name: NameBuf) -> User {
        User {
            name,
            devices: Vec::new(),
            highest: DeviceNo(0),
            highest_record: None,
            head: Id::NONE,
            confirmed: Id::NONE,
            valid_from_us: 0,
            removed_us: 0,
            is_deleted: false,
            is_erasing: false,
            window: Window::default(),
            found: None,
            spill_up_to: Id::NONE,
            is_spill_queued: false,
            is_timer_set: false,
        }
    }

    /// The device of that number.
    pub(crate) fn device(&mut self, no: DeviceNo) -> Option<&mut Device> {
        self.devices.iter_mut().find(|device| device.no == no)
    }

    /// The newest device of that name; an older one may still wait for its retirement to be durable.
    pub(crate) fn device_named(&mut self, name: DeviceName<'_>) -> Option<&mut Device> {
        self.devices.iter_mut().rev().find(|device| device.name.as_device() == name)
    }

    /// Up to here nobody wants the inbox's entries: the lowest cursor, or where the next device would start.
    pub(crate) fn floor(&self) -> Id {
        self.devices.iter().map(|device| device.cursor).min().unwrap_or(self.confirmed)
    }

    /// Up to here no crash brings the inbox's entries back.
    pub(crate) fn durable_floor(&self) -> Option<Id> {
        self.devices.iter().map(|device| device.durable_cursor).min()
    }

    /// A cursor of a device is durable: messages below, which only it kept known, can be forgotten.
    pub(crate) fn on_cursor_durable(&mut self, device_no: DeviceNo, id: Id) {
        if let Some(device) = self.device(device_no) {
            device.durable_cursor = device.durable_cursor.max(id);
        }
        self.release_found();
    }

    /// Forgets the messages of earlier runs that no crash brings back.
    pub(crate) fn release_found(&mut self) {
        if let (Some(floor), Some(found)) = (self.durable_floor(), &mut self.found)
            && !found.release(floor)
        {
            self.found = None;
        }
    }
}

/// All users of a shard: a dense slab and an index by name. A user once known stays known.
#[derive(Debug)]
pub(crate) struct Users {
    list: Vec<User>,
    by_name: HashMap<NameBuf, UserRef, KeyedState>,
    key: [u8; 16],
}

impl Users {
    pub(crate) fn new(key: [u8; 16]) -> Users {
        Users { list: Vec::new(), by_name: HashMap::with_hasher(KeyedState(key)), key }
    }

    /// The user of that name, if known.
    pub(crate) fn find(&self, name: Name<'_>) -> Option<UserRef> {
        self.by_name.get(name.as_str()).copied()
    }

    /// The user of that name, made if need be.
    pub(crate) fn intern(&mut self, name: Name<'_>) -> UserRef {
        if let Some(user) = self.find(name) {
            return user;
        }
        let user = UserRef(u32::try_from(self.list.len()).expect("fewer than 4 billion users a shard"));
        self.list.push(User::new(name.into()));
        self.by_name.insert(name.into(), user);
        user
    }

    /// How many are known.
    pub(crate) fn count(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn get(&self, user: UserRef) -> &User {
        &self.list[user.0 as usize]
    }

    pub(crate) fn get_mut(&mut self, user: UserRef) -> &mut User {
        &mut self.list[user.0 as usize]
    }

    /// Every user, in the order in which they became known.
    pub(crate) fn refs(&self) -> impl Iterator<Item = UserRef> + use<> {
        (0..u32::try_from(self.list.len()).expect("as in intern")).map(UserRef)
    }

    /// A message's identity, short.
    pub(crate) fn identity(&self, parcel: &Parcel) -> Identity {
        self.identity_of(parcel.from(), parcel.mid)
    }

    pub(crate) fn identity_of(&self, from: Name<'_>, mid: Mid) -> Identity {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        hasher.write(from.as_str().as_bytes());
        Identity { from: hasher.finish(), mid }
    }

    /// How the log numbers the inbox of a user.
    pub(crate) fn inbox(user: UserRef) -> InboxNo {
        InboxNo(user.0)
    }

    /// An empty map of identities, keyed as this store is.
    pub(crate) fn new_found(&self) -> Found {
        Found { order: VecDeque::new(), by_identity: HashMap::with_hasher(KeyedState(self.key)) }
    }
}

/// `(from, mid)`, the sender's name hashed under the store's key: strangers cannot choose names that collide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    from: u64,
    mid: Mid,
}

/// Which messages an earlier run left in an inbox: a retry of one must not be stored twice.
#[derive(Debug)]
pub(crate) struct Found {
    order: VecDeque<(Id, Identity)>,
    by_identity: HashMap<Identity, Id, KeyedState>,
}

impl Found {
    pub(crate) fn insert(&mut self, id: Id, identity: Identity) {
        self.order.push_back((id, identity));
        self.by_identity.insert(identity, id);
    }

    pub(crate) fn id_of(&self, identity: Identity) -> Option<Id> {
        self.by_identity.get(&identity).copied()
    }

    /// Forgets entries up to and with `floor`. Says whether any remain.
    pub(crate) fn release(&mut self, floor: Id) -> bool {
        while let Some((id, identity)) = self.order.pop_front_if(|(id, _)| *id <= floor) {
            // A message may have been found twice: its later place stays known.
            if self.id_of(identity) == Some(id) {
                self.by_identity.remove(&identity);
            }
        }
        !self.order.is_empty()
    }
}

/// Hashes under the store's secret key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyedState([u8; 16]);

impl BuildHasher for KeyedState {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_key(&self.0)
    }
}
