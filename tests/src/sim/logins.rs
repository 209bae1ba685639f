//! Who may be in: the model's part about logins, sign-outs, and accounts that are changed, shut and deleted.

use std::collections::{BTreeMap, BTreeSet};

use gateway_core::Login;
use wire::{Code, DeviceBuf, NameBuf};

use super::accounts::{Void, look_into};
use super::content::Key;
use super::model::Model;
use super::net::LinkId;

/// What is known of logins. Moments are those that proofs are given, which go up.
#[derive(Debug, Default)]
pub(super) struct Logins {
    /// Logins proven before this are void, as the user's home was told.
    void_before: BTreeMap<usize, u64>,
    /// Tickets proven before this are void: the device has signed out, and was told that it has.
    dead_before: BTreeMap<(usize, DeviceBuf), u64>,
    /// Up to this moment something happened that may make logins void.
    trouble: BTreeMap<usize, u64>,
    /// And on one device.
    device_trouble: BTreeMap<(usize, DeviceBuf), u64>,
    /// Connections that must not be welcomed.
    refused: BTreeSet<LinkId>,
    /// Every ticket that was told.
    tickets: BTreeSet<Box<[u8]>>,
    /// Accounts that are being deleted.
    pub(super) purging: BTreeSet<usize>,
    /// Accounts that were deleted, ever.
    pub(super) purged: BTreeSet<usize>,
    /// The clock was set back: what it said then may lie in the future.
    pub(super) is_clock_bad: bool,
}

impl Model {
    /// A moment was given to a proof.
    pub fn set_moment(&mut self, wall_us: u64, last_us: u64) {
        (self.wall_us, self.last_us) = (wall_us, last_us);
    }

    /// Whether a login must be refused whatever else is the case.
    pub(super) fn must_refuse(&self, user: usize, login: &Login) -> bool {
        let is_void = self.logins.void_before.get(&user).is_some_and(|before_us| login.grant.proven_us < *before_us);
        is_void || login.grant.by_ticket && self.is_dead(user, &login.device, login.grant.proven_us)
    }

    fn is_dead(&self, user: usize, device: &DeviceBuf, proven_us: u64) -> bool {
        self.logins.dead_before.get(&(user, device.clone())).is_some_and(|before_us| proven_us < *before_us)
    }

    pub(super) fn refuse(&mut self, link: LinkId) {
        self.logins.refused.insert(link);
        self.tally.count("void login");
    }

    pub(super) fn is_refused(&self, link: LinkId) -> bool {
        self.logins.refused.contains(&link)
    }

    /// Tickets that are void for good, for somebody who kept them to try.
    pub fn old_tickets(&self) -> Vec<(NameBuf, DeviceBuf, Box<[u8]>)> {
        let old = self.logins.tickets.iter().filter_map(|ticket| {
            let (user, device, proven_us) = look_into(ticket)?;
            let user = self.names.iter().position(|name| **name == *user)?;
            let device: DeviceBuf = wire::Device::parse(device.as_bytes()).ok()?.into();
            let before_us = self.logins.void_before.get(&user).copied().filter(|before_us| *before_us < u64::MAX);
            let is_old = self.is_dead(user, &device, proven_us) || before_us.is_some_and(|before| proven_us < before);
            is_old.then(|| (self.names[user].clone(), device, ticket.clone()))
        });
        old.collect()
    }

    /// A client was told a ticket.
    pub(super) fn on_ticket(&mut self, ticket: &[u8]) {
        if !ticket.is_empty() {
            self.logins.tickets.insert(ticket.into());
        }
    }

    /// Something happened that may make the logins of a user void, on one device or on all.
    pub(super) fn on_trouble(&mut self, user: usize, device: Option<DeviceBuf>) {
        let last_us = self.last_us;
        match device {
            Some(device) => self.logins.device_trouble.insert((user, device), last_us),
            None => self.logins.trouble.insert(user, last_us),
        };
    }

    /// An account was changed; its home will hear of it.
    pub fn on_account_changed(&mut self, user: usize) {
        self.on_trouble(user, None);
    }

    /// A ticket is refused: something must have made it void.
    pub(super) fn check_refusal(&mut self, user: usize, device: &DeviceBuf, proven_us: u64) {
        let device_trouble = self.logins.device_trouble.get(&(user, device.clone())).copied().unwrap_or(0);
        let trouble = self.logins.trouble.get(&user).copied().unwrap_or(0).max(device_trouble);
        let has_cause = proven_us <= trouble || self.logins.is_clock_bad;
        let name = self.names[user].clone();
        self.check(has_cause, || format!("{name}/{device} is refused, and nothing made its login void"));
    }

    /// GOAWAY 301 was written: from here on no crash brings the device's tickets back.
    pub(super) fn on_signed_out(&mut self, user: usize, device: DeviceBuf, moment_us: u64) {
        let dead = self.logins.dead_before.entry((user, device)).or_default();
        *dead = moment_us.max(*dead);
    }

    /// The user's home is told that logins are void.
    pub fn on_void(&mut self, void: &Void) {
        let Void { user, before_us, purge, .. } = *void;
        self.logins.void_before.insert(user, before_us);
        if !purge {
            return;
        }
        self.logins.purging.insert(user);
        for device in self.devices.iter_mut().filter(|device| device.user == user) {
            device.is_leaving = true;
        }
        for message in self.messages.values_mut().filter(|message| message.to == user || message.from == user) {
            message.erased_for.insert(user);
            // On its way once more, it may arrive after the deletion.
            if message.promised.is_some() && !message.is_open {
                message.gone_for.insert(user);
            }
        }
        self.tally.count("account purged");
    }

    /// The home has closed whoever must not be in any more, or it never will.
    pub fn after_void(&mut self, void: &Void, open: &[(LinkId, bool)]) {
        for (link, is_except) in open {
            let Some(session) = self.sessions.get_mut(link) else { continue };
            let device = &self.devices[session.device];
            if device.user != void.user {
                continue;
            }
            if *is_except {
                session.proven_us = session.proven_us.max(void.before_us);
            } else if session.proven_us < void.before_us && !session.is_over && session.logout_us.is_none() {
                let name = device.name.clone();
                return self.fail(format!("a session of {}/{name} goes on, and its login is void", void.name));
            }
        }
    }

    /// Nothing is left of a deleted account.
    pub fn on_purged(&mut self, user: usize) {
        self.check_purging(user);
        self.logins.purging.remove(&user);
        self.logins.purged.insert(user);
        for message in self.messages.values_mut().filter(|message| message.to == user || message.from == user) {
            if message.offered.is_some() {
                message.erased_for.insert(user);
            }
        }
        self.tally.count("name free again");
    }

    fn check_purging(&mut self, user: usize) {
        let is_purging = self.logins.purging.contains(&user);
        self.check(is_purging, || format!("user {user} was purged, and nobody asked for it"));
    }

    /// A message is delivered: is it one that its receiver must not see?
    pub(super) fn check_not_erased(&mut self, device: usize, key: Key) {
        let to = &self.devices[device];
        let leaks = self.messages[&key].gone_for.contains(&to.user) && !to.is_leaving;
        let name = self.devices[device].name.clone();
        self.check(!leaks, || format!("{key} was of a deleted account, and {name} of its successor got it"));
    }

    /// The gateway died, and what it was told.
    pub(super) fn forget_logins(&mut self) {
        self.logins.void_before.clear();
        self.logins.refused.clear();
        self.logins.purging.clear();
    }

    /// Whether a complaint is one that logins cause.
    pub(super) fn is_about_login(code: Code) -> bool {
        matches!(code, Code::BadCredential | Code::CredentialExpired | Code::AccountDisabled | Code::Revoked)
    }
}
