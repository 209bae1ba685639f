//! Stores that end with the process.

use super::{Change, State, Store};
use crate::error::StoreError;

/// Keeps the state in memory: a client that ends can be followed by one that goes on where it stopped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryStore {
    state: State,
}

/// Keeps nothing, and costs nothing: for a client whose store is never loaded again, as in the load generator. (The client
/// holds what it needs while it lives with any store.)
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NoStore;

impl Store for MemoryStore {
    fn load(&mut self) -> Result<State, StoreError> {
        Ok(self.state.clone())
    }

    fn commit(&mut self, change: &Change<'_>) -> Result<(), StoreError> {
        self.state.apply(change);
        Ok(())
    }
}

impl Store for NoStore {
    fn load(&mut self) -> Result<State, StoreError> {
        Ok(State::default())
    }

    fn commit(&mut self, _change: &Change<'_>) -> Result<(), StoreError> {
        Ok(())
    }
}
