//! What the user of one device sees: messages in the order of their ids.

use std::collections::{BTreeMap, BTreeSet};

use wire::Id;

use super::content::Key;

/// One device's messages.
#[derive(Debug, Clone, Default)]
pub struct Screen {
    ids: BTreeMap<Key, Id>,
    order: BTreeMap<Id, Key>,
    ephemeral: BTreeSet<Key>,
}

impl Screen {
    /// A message appears.
    ///
    /// # Errors
    /// What is wrong with that: it is there already, or its place is taken.
    pub fn show(&mut self, key: Key, id: Id) -> Result<(), String> {
        if id == Id::NONE {
            let is_new = self.ephemeral.insert(key);
            return if is_new { Ok(()) } else { Err(format!("{key} (ephemeral) was shown twice")) };
        }
        if let Some(before) = self.ids.get(&key) {
            return Err(format!("{key} was shown twice, at {before} and at {id}"));
        }
        self.ids.insert(key, id);
        self.take_place(key, id)
    }

    /// A message moves.
    ///
    /// # Errors
    /// What is wrong with that: it is not there, the new place is not a later one, or is taken.
    pub fn move_to(&mut self, key: Key, id: Id) -> Result<(), String> {
        let Some(before) = self.place(key) else {
            return Err(format!("{key} was moved to {id}, but never shown"));
        };
        if before >= id {
            return Err(format!("{key} was moved from {before} to {id}, which is not later"));
        }
        self.ids.insert(key, id);
        self.order.remove(&before);
        self.take_place(key, id)
    }

    /// Where a message is.
    pub fn place(&self, key: Key) -> Option<Id> {
        self.ids.get(&key).copied()
    }

    /// The messages, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Id, Key)> {
        self.order.iter().map(|(id, key)| (*id, *key))
    }

    fn take_place(&mut self, key: Key, id: Id) -> Result<(), String> {
        match self.order.insert(id, key) {
            None => Ok(()),
            Some(other) => Err(format!("{key} and {other} have the same id {id}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Key = Key { install: 1, seq: 1 };
    const TWO: Key = Key { install: 1, seq: 2 };

    #[test]
    fn a_second_showing_is_an_error() {
        let mut screen = Screen::default();
        assert!(screen.show(ONE, Id(5)).is_ok());
        assert!(screen.show(ONE, Id(6)).is_err());
    }

    #[test]
    fn messages_move_later_and_into_free_places_only() {
        let mut screen = Screen::default();
        assert!(screen.move_to(ONE, Id(4)).is_err());
        let mut screen = Screen::default();
        assert!(screen.show(ONE, Id(5)).is_ok() && screen.show(TWO, Id(6)).is_ok());
        assert!(screen.clone().move_to(ONE, Id(6)).is_err());
        assert!(screen.clone().move_to(TWO, Id(5)).is_err());
        assert!(screen.move_to(ONE, Id(7)).is_ok());
        assert_eq!(screen.iter().map(|(_, key)| key).collect::<Vec<_>>(), [TWO, ONE]);
    }
}
