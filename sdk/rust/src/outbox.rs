//! Messages that wait to be accepted or refused, in the order of their counters.

use std::collections::VecDeque;

use wire::frame::SendFlags;
use wire::{Counter, Name};

use crate::store::Queued;

/// The messages that are neither accepted nor refused, ascending by counter. Counters may have holes where messages were
/// resolved out of turn.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outbox {
    waiting: VecDeque<Waiting>,
    /// Sum of [`Waiting::kept_len`].
    len: usize,
}

/// One message, content in one allocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its number.
    pub counter: Counter,
    /// The gateway's boot in which it was first offered, 0 while it was not. Once offered under another mid it is
    /// [`Waiting::OFFERED_BEFORE`].
    pub boot: u64,
    /// As in SEND.
    pub flags: SendFlags,
    /// As in SEND.
    pub kind: u8,
    to_len: u8,
    /// to, body.
    bytes: Box<[u8]>,
}

impl Waiting {
    /// No boot has this number.
    pub const OFFERED_BEFORE: u64 = u64::MAX;
    /// What a message costs in memory besides its name and body, rounded up.
    pub const OVERHEAD: usize = 64;

    /// A message first offered in `boot`, 0 if it never was. One allocation.
    pub fn new(queued: &Queued<'_>, boot: u64) -> Waiting {
        let to = queued.to.as_str();
        let mut bytes = Vec::with_capacity(to.len() + queued.body.len());
        bytes.extend_from_slice(to.as_bytes());
        bytes.extend_from_slice(queued.body);
        Waiting {
            counter: queued.counter,
            boot,
            flags: queued.flags,
            kind: queued.kind,
            to_len: u8::try_from(to.len()).expect("a name has at most 64 bytes"),
            bytes: bytes.into_boxed_slice(),
        }
    }

    /// Whom it is for.
    pub fn to(&self) -> Name<'_> {
        let bytes = self.bytes.get(..self.to_len.into()).unwrap_or_default();
        Name::parse(bytes).expect("it was a Name when it was put in")
    }

    /// The content.
    pub fn body(&self) -> &[u8] {
        self.bytes.get(self.to_len.into()..).expect("to_len <= bytes.len()")
    }

    /// As it was queued.
    pub fn queued(&self) -> Queued<'_> {
        Queued { counter: self.counter, to: self.to(), kind: self.kind, flags: self.flags, body: self.body() }
    }

    /// What it counts for in [`Config::outbox_len_max`](crate::Config::outbox_len_max), in bytes.
    pub fn kept_len(&self) -> usize {
        self.bytes.len() + Waiting::OVERHEAD
    }
}

impl Outbox {
    /// How many messages wait.
    pub fn count(&self) -> usize {
        self.waiting.len()
    }

    /// What they count for in [`Config::outbox_len_max`](crate::Config::outbox_len_max), in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The lowest unresolved.
    pub fn first(&self) -> Option<&Waiting> {
        self.waiting.front()
    }

    /// The last queued.
    pub fn last(&self) -> Option<&Waiting> {
        self.waiting.back()
    }

    /// All, ascending.
    pub fn iter(&self) -> impl Iterator<Item = &Waiting> {
        self.waiting.iter()
    }

    /// That one, if it waits. O(log n).
    pub fn get(&self, counter: Counter) -> Option<&Waiting> {
        let index = self.index(counter)?;
        self.waiting.get(index)
    }

    /// Those with a counter above `after` and up to `through`, ascending.
    pub fn between(&self, after: Counter, through: Counter) -> impl Iterator<Item = &Waiting> {
        let start = self.index_above(after);
        let end = self.index_above(through).max(start);
        self.waiting.range(start..end)
    }

    /// Adds one with a counter above all that wait; one that is not above them is ignored.
    pub fn push(&mut self, waiting: Waiting) {
        if self.last().is_none_or(|last| last.counter < waiting.counter) {
            self.len += waiting.kept_len();
            self.waiting.push_back(waiting);
        }
    }

    /// Takes one out, if it is there.
    pub(crate) fn resolve(&mut self, counter: Counter) -> Option<Waiting> {
        let index = self.index(counter)?;
        let waiting = self.waiting.remove(index)?;
        self.len -= waiting.kept_len();
        Some(waiting)
    }

    /// Notes the boot for those up to `through` that were never offered.
    pub(crate) fn offered(&mut self, through: Counter, boot: u64) {
        let end = self.index_above(through);
        let fresh = self.waiting.range_mut(..end).rev();
        for waiting in fresh.take_while(|waiting| waiting.boot == 0) {
            waiting.boot = boot;
        }
    }

    /// Numbers all from 1 on, for a new incarnation.
    pub(crate) fn renumber(&mut self) {
        let mut counter = Counter(0);
        for waiting in &mut self.waiting {
            counter = counter.next();
            waiting.counter = counter;
        }
        self.rename();
    }

    /// What was offered so far was so under another mid.
    pub(crate) fn rename(&mut self) {
        for waiting in &mut self.waiting {
            if waiting.boot != 0 {
                waiting.boot = Waiting::OFFERED_BEFORE;
            }
        }
    }

    fn index(&self, counter: Counter) -> Option<usize> {
        self.waiting.binary_search_by_key(&counter, |waiting| waiting.counter).ok()
    }

    fn index_above(&self, counter: Counter) -> usize {
        self.waiting.partition_point(|waiting| waiting.counter <= counter)
    }
}
