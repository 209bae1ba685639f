//! The model's ear at the border of the cores: every frame handed in, every frame written.
//!
//! What a core writes counts as told from that moment on, whether it arrives or not: a crash may come right behind it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use gateway_core::Login;
use wire::frame::{Credit, Deliver, GoAway, Welcome};
use wire::{Code, Counter, Frame, Id, Mid};

use super::content::Key;
use super::model::{Device, Model};
use super::net::LinkId;
use super::world::{DRAIN_SLOT_LEN_MS, DRAIN_SLOT_START_MS};

/// A session, as the border shows it.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) device: usize,
    /// At which step it came home.
    adopted_at: u64,
    credit: Credit,
    /// The client's own last id at HELLO, then the highest delivered.
    delivered: Id,
    /// Delivered above the last DELIVER_ACK that was handed in, with lengths of names and bodies.
    outstanding: VecDeque<(Id, usize)>,
    /// The last counter that was handed in.
    counter: Counter,
    is_welcomed: bool,
    /// GOAWAY was written.
    pub(super) is_over: bool,
    /// When its login was proven, and whether by a ticket.
    pub(super) proven_us: u64,
    by_ticket: bool,
    /// LOGOUT was handed in: tickets from before this are void once it is answered.
    pub(super) logout_us: Option<u64>,
}

impl Model {
    /// A home shard is handed a connection that logged in.
    pub fn on_adopt(&mut self, link: LinkId, install: u16, login: &Login) {
        let user = self.user(login.user.as_name()).expect("the world's own users");
        if self.must_refuse(user, login) {
            return self.refuse(link);
        }
        let known = self.devices.iter().any(|device| {
            device.user == user && device.name == login.device && device.incarnation == login.incarnation
        });
        if !known {
            self.on_trouble(user, Some(login.device.clone()));
        }
        let device = self.device(install, user, login);
        for (index, other) in self.devices.iter_mut().enumerate() {
            if index != device && other.user == user && other.name == login.device {
                other.is_leaving = true;
            }
        }
        let session = Session {
            device,
            adopted_at: self.now.step,
            credit: login.credit,
            delivered: login.last_id,
            outstanding: VecDeque::new(),
            counter: Counter(0),
            is_welcomed: false,
            is_over: false,
            proven_us: login.grant.proven_us,
            by_ticket: login.grant.by_ticket,
            logout_us: None,
        };
        self.sessions.insert(link, session);
        self.tally.count("adopted");
    }

    fn device(&mut self, install: u16, user: usize, login: &Login) -> usize {
        let known = self.devices.iter().position(|device| {
            device.user == user && device.name == login.device && device.incarnation == login.incarnation
        });
        let confirmed = self.confirmed_in.get(&user).filter(|(epoch, _)| *epoch == self.now.epoch);
        let start = (self.now.epoch, confirmed.map_or(Id::NONE, |(_, id)| *id));
        known.unwrap_or_else(|| {
            self.devices.push(Device {
                install,
                user,
                name: login.device.clone(),
                incarnation: login.incarnation,
                device_no: None,
                registered_at: None,
                is_leaving: false,
                sent: BTreeMap::new(),
                unconfirmed: BTreeMap::new(),
                start,
            });
            self.devices.len() - 1
        })
    }

    /// A core is handed a frame of a client.
    pub fn on_frame_in(&mut self, link: LinkId, frame: &Frame<'_>) {
        let Some(session) = self.sessions.get_mut(&link) else { return };
        let device = session.device;
        match frame {
            Frame::Send(send) => {
                let Some(key) = self.identify(send.body) else {
                    return self.fail("a SEND of nobody's body".to_owned());
                };
                let now = self.now;
                let message = self.messages.get_mut(&key).expect("identified");
                message.offered.get_or_insert(now);
                message.is_open = true;
                message.gone_for.clear();
                if !message.is_ephemeral {
                    self.on_offered(link, device, key, send.mid, send.span);
                }
            }
            Frame::DeliverAck(ack) => {
                let delivered = session.delivered;
                while session.outstanding.front().is_some_and(|(id, _)| *id <= ack.id) {
                    session.outstanding.pop_front();
                }
                self.check(ack.id <= delivered, || format!("DELIVER_ACK {} where {delivered} was delivered", ack.id));
                self.confirm(device, ack.id);
            }
            Frame::Credit(credit) => session.credit = *credit,
            Frame::Logout(logout) => self.on_logout(link, device, logout.forget),
            _ => {}
        }
    }

    fn on_logout(&mut self, link: LinkId, device: usize, forget: bool) {
        let session = self.sessions.get_mut(&link).expect("it signs out");
        // What the clock says when it is set back does not make a later proof an old one.
        session.logout_us = Some(self.wall_us.max(session.proven_us + 1).min(self.last_us + 1));
        let Device { user, name, is_leaving, .. } = &mut self.devices[device];
        *is_leaving |= forget;
        // Of a device that is removed, its successor's tickets hear too.
        let (user, name) = (*user, name.clone());
        self.on_trouble(user, (!forget).then_some(name));
    }

    fn on_offered(&mut self, link: LinkId, device: usize, key: Key, mid: Mid, span: u8) {
        let counter = mid.counter();
        let session = self.sessions.get_mut(&link).expect("it sent");
        let before = std::mem::replace(&mut session.counter, counter);
        let highest = self.devices[device].sent.last_key_value().map_or(Counter(0), |(highest, _)| *highest);
        let in_order = counter > before && counter <= highest.next();
        self.check(in_order, || format!("{key}: counter {counter} was sent after {before}"));
        let other = self.devices[device].sent.insert(counter, key).filter(|other| *other != key);
        self.check(other.is_none(), || format!("{mid} names both {key} and {}", other.unwrap_or(key)));
        let device_no = self.devices[device].device_no;
        self.check(device_no == Some(mid.device_no()), || format!("{key}: {mid} was sent by device {device_no:?}"));
        self.check(u64::from(span) < wire::limits::IN_FLIGHT_MAX, || format!("{key}: span {span}"));
        let user = self.devices[device].user;
        self.mids.insert((user, mid), key);
        let message = self.messages.get_mut(&key).expect("offered");
        let before = message.mid.replace(mid);
        if before.is_some_and(|before| before != mid) {
            // A refusal, or a delivery, was of the mid before.
            message.has_two_names = true;
            (message.refused_in, message.delivered_in) = (None, None);
        }
    }

    /// A core writes a frame to a client.
    pub fn on_frame_out(&mut self, link: LinkId, frame: &Frame<'_>) {
        if let Frame::AccountDone(done) = frame {
            self.tally.count(if done.code == 0 { "account done" } else { "account refused" });
            return self.on_ticket(done.ticket);
        }
        let is_refused = self.is_refused(link) && !matches!(frame, Frame::GoAway(_));
        self.check(!is_refused, || format!("a login that is void, or an old ticket, was taken: {frame:?}"));
        if let Some(session) = self.sessions.get_mut(&link) {
            let was_over = std::mem::replace(&mut session.is_over, matches!(frame, Frame::GoAway(_)));
            self.check(!was_over, || format!("{frame:?} was written behind GOAWAY"));
        }
        if let Frame::GoAway(goaway) = frame {
            self.check_slot(goaway);
            self.on_goaway(link, goaway.code);
        }
        if let Frame::Error(wire::frame::ErrorInfo { code, text, .. })
        | Frame::GoAway(wire::frame::GoAway { code, text, .. }) = frame
        {
            return self.on_complaint(*code, text);
        }
        let Some(session) = self.sessions.get_mut(&link) else {
            return self.fail(format!("{frame:?} was written before login"));
        };
        let (device, adopted_at, is_first) = (session.device, session.adopted_at, !session.is_welcomed);
        let last_id = session.delivered;
        session.is_welcomed = true;
        self.check(is_first == matches!(frame, Frame::Welcome(_)), || {
            format!("not WELCOME, but {frame:?} comes first")
        });
        match frame {
            Frame::Welcome(welcome) => {
                self.confirm(device, last_id);
                self.on_welcome(device, adopted_at, welcome);
            }
            Frame::Deliver(deliver) => self.on_deliver(link, device, deliver),
            Frame::SendAck(acks) => acks.iter().for_each(|ack| self.on_send_ack(device, ack)),
            Frame::SendNack(nack) => self.on_send_nack(device, nack.counter, nack.code),
            Frame::Gap(gap) => self.fail(format!("{gap:?}, and nothing was trimmed or damaged")),
            Frame::Pong(_) => {}
            _ => self.fail(format!("{frame:?} is nothing a gateway says")),
        }
    }

    /// Who is drained comes back within the time for it.
    fn check_slot(&mut self, goaway: &GoAway<'_>) {
        let GoAway { code, slot_start_ms: start, slot_len_ms: len, .. } = *goaway;
        if code == Code::Draining.number() {
            let end = DRAIN_SLOT_START_MS + DRAIN_SLOT_LEN_MS;
            self.check(start >= DRAIN_SLOT_START_MS && len > 0 && start + len <= end, || {
                format!("{start} and {len} ms to come back in, outside of the time for it")
            });
            self.tally.count(if len < DRAIN_SLOT_LEN_MS { "part of a slot" } else { "whole slot" });
        }
    }

    fn on_goaway(&mut self, link: LinkId, code: u16) {
        let Some(Session { device, proven_us, by_ticket, logout_us, .. }) = self.sessions.get(&link) else { return };
        let (proven_us, by_ticket, logout_us) = (*proven_us, *by_ticket, *logout_us);
        let Device { user, name, .. } = &self.devices[*device];
        let (user, name) = (*user, name.clone());
        match (Code::from_number(code), logout_us) {
            (Some(Code::LoggedOut), Some(moment_us)) => self.on_signed_out(user, name, moment_us),
            (Some(Code::CredentialExpired), _) if by_ticket => self.check_refusal(user, &name, proven_us),
            _ => {}
        }
    }

    /// An honest client gives no offence: what ends its sessions is the network, the operator or another session.
    fn on_complaint(&mut self, code: u16, text: &str) {
        let of_disks = [Code::StorageFull, Code::Internal].map(Code::number);
        let has_cause = of_disks.contains(&code) && !self.are_disks_good;
        const HARMLESS: [Code; 8] = [
            Code::HelloTimeout,
            Code::HeartbeatTimeout,
            Code::SlowReader,
            Code::Replaced,
            Code::LoggedOut,
            Code::Draining,
            Code::Busy,
            Code::NewIncarnation,
        ];
        let code = Code::from_number(code);
        let has_cause = has_cause || code.is_some_and(Model::is_about_login);
        self.check(has_cause || code.is_some_and(|code| HARMLESS.contains(&code)), || {
            format!("{code:?} to an honest client: {text}")
        });
        self.tally.count(match code {
            Some(Code::Replaced) => "replaced",
            Some(Code::LoggedOut) => "logged out",
            Some(Code::Draining) => "told of drain",
            Some(Code::SlowReader) => "slow reader closed",
            Some(Code::HeartbeatTimeout) => "heartbeat timed out",
            Some(Code::NewIncarnation) => "told to take a new incarnation",
            Some(Code::CredentialExpired) => "login void",
            Some(Code::BadCredential) => "bad credential",
            Some(Code::AccountDisabled) => "account disabled",
            Some(Code::Revoked) => "device revoked",
            _ => "other complaint",
        });
    }

    fn on_welcome(&mut self, device: usize, adopted_at: u64, welcome: &Welcome<'_>) {
        let (number, user, epoch) = (welcome.device_no, self.devices[device].user, self.now.epoch);
        let is_leaving = self.devices[device].is_leaving;
        let own = *self.devices[device].device_no.get_or_insert(number);
        // A device that was removed and is back has another number.
        if is_leaving {
            self.devices[device].device_no = Some(number);
        }
        self.check(own == number || is_leaving, || {
            format!("device_no {number} was told to a device that was told {own} before")
        });
        let taken = self
            .devices
            .iter()
            .enumerate()
            .any(|(index, other)| index != device && other.user == user && other.device_no == Some(number));
        let name = self.names[user].clone();
        self.check(!taken, || format!("device_no {number} of {name} was given twice"));
        if let Some((earlier, boot)) = self.boots.insert(user, (epoch, welcome.boot)) {
            let fits = if earlier == epoch { welcome.boot == boot } else { welcome.boot > boot };
            self.check(fits, || format!("boot {} after boot {boot}", welcome.boot));
        }
        let given = self.places.range((user, Id::NONE)..=(user, Id(u64::MAX))).next_back().map(|((_, id), _)| *id);
        let is_of_this_run = given.is_some_and(|id| self.given_in.get(&user) == Some(&(epoch, id)));
        let head = welcome.head;
        self.check(!is_of_this_run || given.is_none_or(|id| head >= id), || {
            format!("WELCOME tells head {head}, and {given:?} was given in the same run")
        });
        let device = &mut self.devices[device];
        if device.registered_at.is_none() && device.start.0 != epoch {
            // It may have been registered in an earlier run, which ended before that could be told.
            device.start.1 = Id::NONE;
        }
        device.registered_at.get_or_insert(adopted_at);
        self.on_ticket(welcome.ticket);
        self.tally.count("welcomed");
    }

    fn on_deliver(&mut self, link: LinkId, device: usize, deliver: &Deliver<'_>) {
        let Some(key) = self.identify(deliver.body) else {
            return self.fail(format!("DELIVER {} of a body that nobody sent", deliver.id));
        };
        let (epoch, id) = (self.now.epoch, deliver.id);
        let message = self.messages.get_mut(&key).expect("identified");
        let (from, refused_in, offered) =
            (message.from, message.refused_in, message.offered.expect("it came from somewhere"));
        let known = self.mids.get(&(from, deliver.mid)).copied();
        if id == Id::NONE {
            return self.tally.count("delivered ephemeral");
        }
        // A self-copy that an earlier run stored says nothing of what this run does with the message.
        let is_of_this_run = message.to == self.devices[device].user || offered.epoch == epoch;
        let is_of_this_run = is_of_this_run && message.mid == Some(deliver.mid);
        if is_of_this_run {
            message.delivered_in = Some(epoch);
        }
        self.check(known == Some(key), || format!("DELIVER of {key} as {}, which is {known:?}", deliver.mid));
        self.check(refused_in != Some(epoch) || !is_of_this_run, || {
            format!("{key} was refused, and then delivered in the same run")
        });
        let user = self.devices[device].user;
        self.check_not_erased(device, key);
        self.occupy(user, id, key);
        self.check_single(user, id, key);
        let start = self.devices[device].start.1;
        self.check(id > start, || format!("{key} was delivered at {id} to a device that starts behind {start}"));
        let own_no = self.devices[device].device_no;
        let is_own = from == self.devices[device].user && own_no == Some(deliver.mid.device_no());
        self.check(!is_own, || format!("{key} was delivered to the device that sent it"));
        self.devices[device].unconfirmed.insert(id, key);
        let session = self.sessions.get_mut(&link).expect("it is written to");
        let before = std::mem::replace(&mut session.delivered, id);
        session
            .outstanding
            .push_back((id, deliver.from.as_str().len() + deliver.to.as_str().len() + deliver.body.len()));
        let (count, credit) = (session.outstanding.len(), session.credit);
        let len: usize = session.outstanding.iter().map(|(_, len)| len).sum();
        self.check(id > before, || format!("{key} was delivered at {id}, after {before}"));
        let within = count == 1 || (count <= credit.entries as usize && len <= credit.bytes as usize);
        self.check(within, || format!("{count} entries of {len} bytes are unconfirmed, the credit is {credit:?}"));
        self.tally.count("delivered");
    }

    /// An id belongs to one entry of an inbox, for ever.
    pub(super) fn occupy(&mut self, user: usize, id: Id, key: Key) {
        let other = *self.places.entry((user, id)).or_insert_with(|| {
            self.given_in.insert(user, (self.now.epoch, id));
            key
        });
        let name = self.names[user].clone();
        self.check(other == key, || format!("id {id} of {name} was given to {other} and to {key}"));
    }

    /// What this run was offered first has one place in an inbox, however often it is offered: its sender's home remembers. What
    /// an earlier run stored is known too, until every device that it is for has confirmed it: one that came later may start
    /// behind it.
    fn check_single(&mut self, user: usize, id: Id, key: Key) {
        let epoch = self.now.epoch;
        let message = &self.messages[&key];
        let (given_in, first) = *self.single.entry((user, key)).or_insert((epoch, id));
        if given_in != epoch {
            self.single.insert((user, key), (epoch, id));
            return;
        }
        let is_new = message.offered.is_some_and(|offered| offered.epoch == epoch);
        let is_wanted = message.to == user
            && self.devices.iter().enumerate().any(|(index, device)| {
                let offered = message.offered.map_or(0, |offered| offered.step).min(self.started_at);
                let was_there = device.registered_at.is_some_and(|step| step < offered) && !device.is_leaving;
                device.user == user
                    && was_there
                    && device.sent.values().all(|sent| *sent != key)
                    && !message.confirmed_by.contains(&index)
            });
        let is_single =
            first == id || message.erased_for.contains(&user) || message.has_two_names || !(is_new || is_wanted);
        self.check(is_single, || format!("{key} got place {first} and then {id} in one run"));
    }

    /// A core was handed this confirmation.
    fn confirm(&mut self, device: usize, id: Id) {
        let Device { unconfirmed, user, .. } = &mut self.devices[device];
        let user = *user;
        while let Some((first, key)) = unconfirmed.first_key_value().map(|(first, key)| (*first, *key)) {
            if first > id {
                break;
            }
            unconfirmed.pop_first();
            let confirmed = self.confirmed_in.entry(user).or_insert((self.now.epoch, Id::NONE));
            *confirmed = (self.now.epoch, if confirmed.0 == self.now.epoch { confirmed.1.max(first) } else { first });
            let message = self.messages.get_mut(&key).expect("delivered");
            if message.to == user {
                message.confirmed_by.insert(device);
                message.confirmed_at.get_or_insert(self.now.step);
            }
        }
    }

    /// All shards died, and what only memory held is gone.
    pub fn on_crash(&mut self) {
        self.sessions.clear();
        self.forget_logins();
        for message in self.messages.values_mut() {
            message.was_open_in_crash |= message.offered.is_some() && !message.is_resolved;
        }
        self.tally.count("crash");
    }

    /// The gateway starts.
    pub fn on_start(&mut self, are_disks_good: bool) {
        self.now.epoch += 1;
        self.started_at = self.now.step;
        self.are_disks_good = are_disks_good;
    }

    /// Every shard said that it is drained: nothing is unsafe that was accepted, and what was delivered had been.
    pub fn on_drained(&mut self) {
        let now = self.now;
        let leaving: BTreeSet<u16> =
            self.devices.iter().filter(|device| device.is_leaving).map(|device| device.install).collect();
        for message in self.messages.values_mut().filter(|message| message.delivered_in == Some(now.epoch)) {
            // Of a device that was removed nothing is remembered, and nobody waits for its self-copies.
            let is_of_this_run = message.offered.is_some_and(|offered| offered.epoch == now.epoch);
            if is_of_this_run && !leaving.contains(&message.key.install) {
                message.promised.get_or_insert(now);
            }
        }
        self.tally.count("drained");
    }
}
