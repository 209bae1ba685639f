//! A client's store, and the application's tables beside it: a message and the cursor are committed together.

use std::cell::RefCell;
use std::rc::Rc;

use shardwire_sdk::{Change, MemoryStore, Received, State, Store, StoreError};
use wire::{Counter, Id, Mid, NameBuf};

/// What the application has read off the commits.
#[derive(Debug, Clone)]
pub enum Entry {
    /// A message is the user's for good.
    Shown(Received),
    /// And has a later place.
    Moved {
        /// Who sent it.
        from: NameBuf,
        /// The sender's name for it.
        mid: Mid,
        /// Where it is now.
        id: Id,
    },
    /// A message of this client's has its outcome.
    Resolved(Counter),
}

#[derive(Debug, Default)]
struct Inside {
    memory: MemoryStore,
    journal: Vec<Entry>,
    fails_next: bool,
    has_failed: bool,
}

/// A store that outlives the client: clones are the same store.
#[derive(Debug, Clone, Default)]
pub struct SimStore(Rc<RefCell<Inside>>);

impl SimStore {
    /// Takes what was committed since it was last asked.
    pub fn take_journal(&self) -> Vec<Entry> {
        std::mem::take(&mut self.0.borrow_mut().journal)
    }

    /// The next commit fails and has no effect.
    pub fn fail_next(&self) {
        self.0.borrow_mut().fails_next = true;
    }

    /// Whether a commit has failed since the last program began.
    pub fn has_failed(&self) -> bool {
        self.0.borrow().has_failed
    }
}

impl Store for SimStore {
    fn load(&mut self) -> Result<State, StoreError> {
        let inside = &mut *self.0.borrow_mut();
        inside.has_failed = false;
        inside.memory.load()
    }

    fn commit(&mut self, change: &Change<'_>) -> Result<(), StoreError> {
        let inside = &mut *self.0.borrow_mut();
        if std::mem::take(&mut inside.fails_next) {
            inside.has_failed = true;
            return Err(StoreError::Other("the simulation says no".to_owned()));
        }
        inside.memory.commit(change)?;
        match change {
            Change::Received { message, .. } => inside.journal.push(Entry::Shown((*message).clone())),
            Change::Moved { from, mid, id } => {
                inside.journal.push(Entry::Moved { from: (*from).into(), mid: *mid, id: *id });
            }
            Change::Resolved(counter) => inside.journal.push(Entry::Resolved(*counter)),
            _ => {}
        }
        Ok(())
    }
}
