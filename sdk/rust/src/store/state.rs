//! A client's state, and the meaning of every change of it.

use std::collections::{BTreeMap, VecDeque};

use wire::{Counter, DeviceNo, Id, Incarnation, Name};

use super::{Change, Content};
use crate::event::Received;

/// Everything that outlives the process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// None: the store is new.
    pub incarnation: Option<Incarnation>,
    /// None until a WELCOME of this incarnation.
    pub device_no: Option<DeviceNo>,
    /// The highest counter ever offered in this incarnation.
    pub highest_sent: Counter,
    /// The highest place of a message that is committed here.
    pub last_id: Id,
}

impl State {
    /// Carries out one change. Cost: O(log n) in conversations and unresolved messages, besides copies of content.
    pub fn apply(&mut self, _change: &Change<'_>) {
        unimplemented!()
    }
}

/// A message to be queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queued<'a> {
    /// Its number.
    pub counter: Counter,
    /// Its content.
    pub content: Content<'a>,
}

/// Whose counters, in which conversation: de-duplication happens within one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenKey<'a> {
    /// Who sent it.
    pub from: Name<'a>,
    /// From which device.
    pub device_no: DeviceNo,
    /// In which conversation.
    pub conversation: Name<'a>,
}
