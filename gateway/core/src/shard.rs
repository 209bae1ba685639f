//! The dispatcher: one input in, the outputs it causes out.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use crate::config::ShardConfig;
use crate::counters::Counters;
use crate::event::{Input, Now, Outputs, ShardIndex};

/// One shard: the users whose home it is, their sessions, inboxes and log.
#[derive(Debug)]
pub struct Shard {}

impl Shard {
    /// A shard that has not read its log.
    pub fn new(_config: ShardConfig) -> Shard {
        unimplemented!()
    }

    /// Begins recovery; [`Output::Ready`](crate::Output::Ready) ends it.
    pub fn start(&mut self, _now: Now, _out: &mut Outputs) {
        unimplemented!()
    }

    /// Takes one input and appends what it causes.
    pub fn handle(&mut self, _now: Now, _input: Input<'_>, _out: &mut Outputs) {
        unimplemented!()
    }

    /// When [`Input::Tick`] is due next, on the clock of [`Now::mono_us`].
    pub fn next_deadline(&self) -> Option<u64> {
        unimplemented!()
    }

    /// What was counted so far.
    pub fn counters(&self) -> Counters {
        unimplemented!()
    }
}

/// The home shard of a user or group: SipHash-1-3 of the name under the store's key, modulo the number of shards.
pub fn home(key: &[u8; 16], shard_count: u16, name: &str) -> ShardIndex {
    let mut hasher = SipHasher13::new_with_key(key);
    hasher.write(name.as_bytes());
    let shard = hasher.finish() % u64::from(shard_count);
    ShardIndex(u16::try_from(shard).expect("a remainder of a u16"))
}
