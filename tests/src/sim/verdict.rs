//! What must be true when everything has come to rest: everybody is back, the disks work, nothing is on its way.

use wire::Id;

use super::content::Key;
use super::model::{Device, Message, Model, Told};

impl Model {
    /// The first thing that is still owed, while time goes on: that nothing is owed is liveness.
    pub fn owed(&self) -> Option<String> {
        self.messages.values().filter(|message| !message.is_ephemeral).find_map(|message| {
            let sender = &self.installs[usize::from(message.key.install)];
            if message.told == Told::Pending && !sender.is_gone && !sender.is_away {
                return Some(format!("{} was neither accepted nor refused", message.key));
            }
            message.promised?;
            let device = self.devices.iter().find(|device| {
                self.is_owed(device, message)
                    && self.installs[usize::from(device.install)].screen.place(message.key).is_none()
            })?;
            Some(format!(
                "{} is safe, and device {} of {} has not got it",
                message.key, device.name, self.names[device.user]
            ))
        })
    }

    /// Whether a device must be shown a message that is safe.
    ///
    /// A device starts at the highest cursor that any device of the user confirmed. So what nobody had confirmed by the time
    /// it was registered lies above its start. A self-copy is owed to devices that were there when the message was sent.
    fn is_owed(&self, device: &Device, message: &Message) -> bool {
        let Some(registered_at) = device.registered_at else { return false };
        let is_sender = device.install == message.key.install;
        let install = &self.installs[usize::from(device.install)];
        let exists = !device.is_leaving && !install.is_gone && !install.is_away;
        let was_there = message.offered.is_some_and(|offered| registered_at < offered.step);
        let lies_above = message.confirmed_at.is_none_or(|step| registered_at < step);
        exists
            && !is_sender
            && !message.erased_for.contains(&device.user)
            && if device.user == message.to && message.from != message.to {
                lies_above
            } else {
                device.user == message.from && was_there && !message.has_two_names
            }
    }

    /// Judges order and places, once nothing is owed.
    pub fn judge(&mut self) {
        let verdict = self.wrong_place().or_else(|| self.wrong_order()).or_else(|| self.wrong_self_id());
        if let Some(text) = verdict {
            self.fail(text);
        }
    }

    /// All devices of an inbox agree on the place of a message whose sender knows that it is safe. (One whose sender went away
    /// without knowing may have reached some devices only, and may have been sent again.)
    fn wrong_place(&self) -> Option<String> {
        self.messages.values().filter(|message| is_told_accepted(message)).find_map(|message| {
            [message.to, message.from].into_iter().find_map(|user| {
                let mut places = self.living(user).filter_map(|install| {
                    let place = self.installs[install].screen.place(message.key)?;
                    Some((install, place))
                });
                let (first, place) = places.next()?;
                let (other, different) = places.find(|(_, other)| *other != place)?;
                let key = message.key;
                Some(format!("{key} is at {place} on install {first} and at {different} on install {other}"))
            })
        })
    }

    /// First in, first out, for each (sender device, conversation).
    fn wrong_order(&self) -> Option<String> {
        self.installs.iter().enumerate().filter(|(_, install)| !install.is_gone).find_map(|(number, install)| {
            let mut highest = std::collections::BTreeMap::<(u16, usize), Key>::new();
            install.screen.iter().find_map(|(_, key)| {
                let message = &self.messages[&key];
                if !is_told_accepted(message) {
                    return None;
                }
                // Going up by place, the numbers of each conversation must go up too.
                let last = highest.entry((key.install, message.to)).or_insert(key);
                let is_behind = last.seq > key.seq;
                let later = std::mem::replace(last, key.max(*last));
                // Its sender had not been told that it is safe when the gateway crashed: it may take a later place.
                (is_behind && !message.was_open_in_crash)
                    .then(|| format!("{key} stands behind {later} on install {number}"))
            })
        })
    }

    /// The place of the self-copy that the sender was told is where his other devices have it.
    fn wrong_self_id(&self) -> Option<String> {
        self.messages.values().filter(|message| is_told_accepted(message)).find_map(|message| {
            let Told::Accepted { self_id, .. } = message.told else { return None };
            let elsewhere = self.living(message.from).find_map(|install| {
                let place = self.installs[install].screen.place(message.key)?;
                (place != self_id).then_some((install, place))
            });
            let (install, place) = elsewhere.filter(|_| self_id != Id::NONE)?;
            let key = message.key;
            Some(format!("the sender of {key} was told its place is {self_id}, it is at {place} on install {install}"))
        })
    }

    fn living(&self, user: usize) -> impl Iterator<Item = usize> {
        self.installs
            .iter()
            .enumerate()
            .filter(move |(_, install)| install.user == user && !install.is_gone && !install.is_away)
            .map(|(number, _)| number)
    }
}

/// What must be in one place: its sender knows that it is safe, under the only name it ever had.
fn is_told_accepted(message: &Message) -> bool {
    matches!(message.told, Told::Accepted { .. }) && !message.has_two_names
}
