//! What is checked of an outcome at the moment it is written.

use wire::frame::{SafeBy, SendAck};
use wire::{Code, Counter, Id};

use super::content::Key;
use super::model::Model;

impl Model {
    pub(super) fn on_send_ack(&mut self, device: usize, ack: SendAck) {
        let user = self.devices[device].user;
        let Some(key) = self.devices[device].sent.get(&ack.counter).copied() else {
            return self.fail(format!("SEND_ACK for counter {}, which was not sent", ack.counter));
        };
        let now = self.now;
        let message = self.messages.get_mut(&key).expect("sent");
        let (to, offered, refused_in) = (message.to, message.offered.expect("sent"), message.refused_in);
        let is_first = message.promised.is_none();
        message.is_open = false;
        message.promised.get_or_insert(now);
        let is_renumbered = self.devices[device].is_leaving;
        let contradicts = refused_in == Some(now.epoch) && !is_renumbered;
        self.check(!contradicts, || format!("{key} was refused and then acknowledged in one run"));
        if ack.safe_by == SafeBy::Received && is_first {
            self.check_received(key, device);
        }
        let others = self.devices.iter().enumerate().any(|(index, other)| {
            let was_there = other.registered_at.is_some_and(|step| step < offered.step);
            index != device && other.user == user && was_there && !other.is_leaving
        });
        let needs_copy = others && to != user && offered.epoch == now.epoch && ack.safe_by != SafeBy::Duplicate;
        self.check(!needs_copy || ack.self_id != Id::NONE, || format!("{key} was acknowledged without a self-copy"));
        if ack.self_id != Id::NONE {
            self.occupy(user, ack.self_id, key);
        }
        let is_stranger = self.rules.refuses_strangers && !self.devices.iter().any(|device| device.user == to);
        self.check(!is_stranger, || format!("{key} is for a stranger and was acknowledged"));
        self.tally.count("acknowledged");
    }

    /// `received` says that every registered device, and at least one, has confirmed it.
    fn check_received(&mut self, key: Key, sender: usize) {
        let message = &self.messages[&key];
        let offered = message.offered.expect("sent").step;
        let missing = self.devices.iter().enumerate().find(|(index, device)| {
            let must = device.user == message.to && !device.is_leaving && *index != sender;
            must && device.registered_at.is_some_and(|step| step < offered) && !message.confirmed_by.contains(index)
        });
        let nobody = message.confirmed_by.is_empty() && message.to != message.from;
        if let Some((_, device)) = missing {
            let name = &device.name;
            self.fail(format!("{key} was acknowledged as received, and device {name} had not confirmed it"));
        } else if nobody {
            self.fail(format!("{key} was acknowledged as received, and no device had confirmed it"));
        }
    }

    pub(super) fn on_send_nack(&mut self, device: usize, counter: Counter, code: u16) {
        let Some(key) = self.devices[device].sent.get(&counter).copied() else {
            return self.fail(format!("SEND_NACK for counter {counter}, which was not sent"));
        };
        let epoch = self.now.epoch;
        let message = self.messages.get_mut(&key).expect("sent");
        message.is_open = false;
        let is_repeated = message.refused_in.replace(epoch) == Some(epoch);
        // What an earlier run stored may be delivered, confirmed and forgotten before its retry comes.
        let is_new = message.offered.is_some_and(|offered| offered.epoch == epoch);
        let was_delivered = message.delivered_in == Some(epoch) && (is_new || message.confirmed_by.is_empty());
        let was_promised = message.promised.is_some_and(|moment| moment.epoch == epoch);
        let (to, offered) = (message.to, message.offered.expect("sent").step);
        let is_erased = message.erased_for.contains(&to) && !is_new;
        // Who left and comes back has a new number, and with it a new name for each message it has heard nothing of.
        // And of what an earlier run stored for an account that was deleted since, nothing is known either.
        let is_renumbered = self.devices[device].is_leaving || is_erased;
        self.check(!was_delivered || is_renumbered, || format!("{key} was delivered and then refused in the same run"));
        self.check(!was_promised || is_renumbered, || {
            format!("{key} was acknowledged and then refused in the same run")
        });
        if is_repeated {
            return;
        }
        let was_known =
            self.devices.iter().any(|device| device.user == to && device.registered_at.is_some_and(|at| at < offered));
        let was_deleted = self.logins.purged.contains(&to);
        // The copy for the sender's other devices needs room too.
        let sender = self.devices[device].user;
        let in_inbox = [to, sender]
            .map(|user| self.messages.values().filter(|other| other.to == user || other.from == user).count());
        let is_full = in_inbox.into_iter().any(|count| count > self.rules.inbox_count_max as usize);
        let fits = match Code::from_number(code) {
            Some(Code::UnknownRecipient) => self.rules.refuses_strangers && (!was_known || was_deleted),
            Some(Code::InboxFull) => is_full,
            Some(Code::StorageFull) => !self.are_disks_good,
            _ => false,
        };
        self.check(fits, || format!("{key} was refused with {code} without a reason"));
        self.tally.count(match Code::from_number(code) {
            Some(Code::UnknownRecipient) => "refused: unknown recipient",
            Some(Code::InboxFull) => "refused: inbox full",
            _ => "refused: storage full",
        });
    }
}
