//! What a log must have kept: a naive memory of everything that was appended and what became of it.

use std::collections::BTreeMap;

use storage::{Lsn, StoredMessage};
use wire::Id;

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Taken, and nothing heard yet.
    Queued,
    /// Reported durable.
    Durable,
    /// Refused: the owner appends it again before anything newer.
    Refused,
    /// Refused, and no longer wanted.
    Withdrawn,
}

/// An entry of an inbox.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) id: Id,
    pub(crate) body: Vec<u8>,
    pub(crate) lsn: Lsn,
    pub(crate) fate: Fate,
}

/// An inbox: entries in ascending order of id, and what is released.
#[derive(Debug, Clone, Default)]
pub(crate) struct Inbox {
    pub(crate) entries: Vec<Entry>,
    pub(crate) floor: Id,
}

/// What a device is, by its last record: its incarnation, or purged.
pub(crate) type Version = Option<u64>;

/// The records of one device, oldest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    pub(crate) records: Vec<(Lsn, Version, Fate)>,
    pub(crate) cursors: Vec<(Lsn, Id, Fate)>,
}

/// Everything.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) inboxes: Vec<Inbox>,
    pub(crate) states: BTreeMap<(usize, u16), State>,
    /// Refused numbers, and whether something later is durable: then they can never come back.
    pub(crate) refused: BTreeMap<Lsn, bool>,
    pub(crate) last_durable: Lsn,
    pub(crate) last_given: Id,
    pub(crate) boot: u64,
}

/// What a recovery told, gathered until it is over.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) inboxes: BTreeMap<usize, Vec<(StoredMessage, Lsn)>>,
    pub(crate) states: BTreeMap<(usize, u16), (Lsn, Version)>,
    pub(crate) cursors: BTreeMap<(usize, u16), (Lsn, Id)>,
    pub(crate) lost: Vec<(Lsn, Lsn)>,
    pub(crate) last_lsn: Lsn,
}

impl Found {
    fn is_lost(&self, lsn: Lsn) -> bool {
        self.lost.iter().any(|(first, end)| (*first..*end).contains(&lsn))
    }
}

/// A check, and what went wrong if it fails.
macro_rules! ensure {
    ($condition:expr, $($what:tt)*) => {
        if !$condition {
            return Err(format!($($what)*));
        }
    };
}
pub(crate) use ensure;

impl Inbox {
    /// Whether the log must keep something of it.
    pub(crate) fn is_kept(&self) -> bool {
        let is_kept = |entry: &Entry| match entry.fate {
            Fate::Queued => true,
            Fate::Durable => entry.id > self.floor,
            Fate::Refused | Fate::Withdrawn => false,
        };
        self.entries.iter().any(is_kept)
    }
}

impl Model {
    /// Everything up to here is durable, or was refused before.
    pub(crate) fn on_durable(&mut self, up_to: Lsn) -> Result<(), String> {
        ensure!(up_to > self.last_durable, "durable up to {up_to:?} after {:?}", self.last_durable);
        self.last_durable = up_to;
        for entry in self.inboxes.iter_mut().flat_map(|inbox| &mut inbox.entries) {
            settle(&mut entry.fate, entry.lsn, up_to);
        }
        for state in self.states.values_mut() {
            state.records.iter_mut().for_each(|(lsn, _, fate)| settle(fate, *lsn, up_to));
            state.cursors.iter_mut().for_each(|(lsn, _, fate)| settle(fate, *lsn, up_to));
        }
        for (lsn, is_final) in &mut self.refused {
            *is_final |= *lsn < up_to;
        }
        Ok(())
    }

    pub(crate) fn on_refused(&mut self, first: Lsn, last: Lsn) -> Result<(), String> {
        ensure!(
            first <= last && first > self.last_durable,
            "refused {first:?} to {last:?}, durable {:?}",
            self.last_durable
        );
        let range = first..=last;
        for inbox in &mut self.inboxes {
            for entry in inbox.entries.iter_mut().filter(|entry| range.contains(&entry.lsn)) {
                ensure!(entry.fate == Fate::Queued, "{entry:?} refused");
                entry.fate = if entry.id <= inbox.floor { Fate::Withdrawn } else { Fate::Refused };
            }
        }
        for state in self.states.values_mut() {
            let records = state.records.iter_mut().map(|(lsn, _, fate)| (lsn, fate));
            for (lsn, fate) in records.chain(state.cursors.iter_mut().map(|(lsn, _, fate)| (lsn, fate))) {
                if range.contains(lsn) {
                    *fate = Fate::Refused;
                }
            }
        }
        self.refused.extend((first.0..=last.0).map(|lsn| (Lsn(lsn), false)));
        Ok(())
    }

    /// The owner lets go of everything below this number, and has written again what it wants to keep.
    pub(crate) fn forget_below(&mut self, below: Lsn) {
        for state in self.states.values_mut() {
            state.records.retain(|(lsn, ..)| *lsn >= below);
            state.cursors.retain(|(lsn, ..)| *lsn >= below);
        }
    }

    /// The oldest entry of an inbox that must be appended again.
    pub(crate) fn refused_entry(&mut self, inbox: usize) -> Option<&mut Entry> {
        self.inboxes[inbox].entries.iter_mut().find(|entry| entry.fate == Fate::Refused)
    }

    /// Compares with what a recovery found, and goes on from there.
    pub(crate) fn on_recovered(&mut self, found: &Found) -> Result<(), String> {
        for number in 0..self.inboxes.len() {
            self.check_inbox(number, found)?;
        }
        self.check_states(found)?;
        self.refused.clear();
        self.last_durable = found.last_lsn;
        Ok(())
    }

    fn check_inbox(&mut self, number: usize, found: &Found) -> Result<(), String> {
        let nothing = Vec::new();
        let messages = found.inboxes.get(&number).unwrap_or(&nothing);
        let inbox = &mut self.inboxes[number];
        ensure!(messages.is_sorted_by(|a, b| a.0.id < b.0.id), "inbox {number} is found out of order");
        for (message, lsn) in messages {
            let entry = inbox.entries.iter_mut().find(|entry| entry.id == message.id);
            let Some(entry) = entry else {
                return Err(format!("inbox {number}: {} ({lsn:?}) was never appended", message.id));
            };
            let names_len = usize::from(message.from_len) + usize::from(message.to_len);
            ensure!(message.bytes[names_len..] == entry.body, "inbox {number}: {} has another body", message.id);
            ensure!(self.refused.get(lsn) != Some(&true), "inbox {number}: {} was refused", message.id);
            ensure!(entry.fate != Fate::Durable || entry.lsn == *lsn, "{} is durable as {:?}", message.id, entry.lsn);
            entry.lsn = *lsn;
        }
        let is_found = |id: Id| messages.iter().any(|(message, _)| message.id == id);
        for entry in &inbox.entries {
            let may_miss = entry.fate != Fate::Durable || entry.id <= inbox.floor || found.is_lost(entry.lsn);
            ensure!(may_miss || is_found(entry.id), "inbox {number}: {} ({:?}) is lost", entry.id, entry.lsn);
        }
        inbox.entries.retain(|entry| is_found(entry.id));
        inbox.entries.iter_mut().for_each(|entry| entry.fate = Fate::Durable);
        Ok(())
    }

    fn check_states(&mut self, found: &Found) -> Result<(), String> {
        for (key, state) in &mut self.states {
            let known = found.states.get(key).copied();
            let version = known.map(|(_, version)| version);
            let durable = state.records.iter().rposition(|(_, _, fate)| *fate == Fate::Durable);
            let possible = &state.records[durable.unwrap_or(0)..];
            let is_known = match version {
                Some(version) => possible.iter().any(|(_, known, _)| *known == version),
                None => durable.is_none() || possible.iter().any(|(lsn, ..)| found.is_lost(*lsn)),
            };
            let was_lost = state.records.iter().any(|(lsn, ..)| found.is_lost(*lsn));
            ensure!(is_known || was_lost, "device {key:?} is found as {version:?}, was {:?}", state.records);
            state.records = known.map(|(lsn, version)| (lsn, version, Fate::Durable)).into_iter().collect();

            let (lsn, cursor) = found.cursors.get(key).copied().unwrap_or_default();
            let durable = state.cursors.iter().filter(|(lsn, _, fate)| *fate == Fate::Durable && !found.is_lost(*lsn));
            let least = durable.map(|(_, id, _)| *id).max().unwrap_or_default();
            let most = state.cursors.iter().map(|(_, id, _)| *id).max().unwrap_or_default();
            ensure!((least..=most).contains(&cursor), "cursor of {key:?} is {cursor}, not from {least} to {most}");
            state.cursors = vec![(lsn, cursor, Fate::Durable)];
        }
        let stranger = found.states.keys().chain(found.cursors.keys()).find(|key| !self.states.contains_key(*key));
        ensure!(stranger.is_none(), "device {stranger:?} was never appended");
        Ok(())
    }
}

fn settle(fate: &mut Fate, lsn: Lsn, up_to: Lsn) {
    if *fate == Fate::Queued && lsn <= up_to {
        *fate = Fate::Durable;
    }
}
