//! What a shard is told when it is made.

use storage::StoreId;

use crate::event::ShardIndex;

/// What happens to a message for a name that no device ever registered under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownRecipients {
    /// It is stored until somebody of that name comes: right where the operator's backend says who exists.
    Store,
    /// It is refused.
    Refuse,
}

/// A shard's configuration. Everything in it is the same for all shards of a gateway but `shard`.
#[derive(Debug, Clone)]
pub struct ShardConfig {
    /// Which shard this is.
    pub shard: ShardIndex,
    /// Of how many; fixed when the store was made.
    pub shard_count: u16,
    /// The store's key for hashing names, secret, so that names cannot be chosen to land on one shard.
    pub key: [u8; 16],
    /// Which store.
    pub store: StoreId,
    /// Bytes of a log segment.
    pub segment_len: u32,
    /// How far ahead of the clock ids are reserved, in microseconds: how far ids, which are times, may jump ahead after a kill. The
    /// reservation is written twice in that time.
    pub reserve_us: u64,
    /// The heartbeat interval told in WELCOME, in seconds.
    pub heartbeat_s: u32,
    /// The longest payload taken from a client, in bytes.
    pub payload_len_max: u32,
    /// The rule for strangers.
    pub unknown_recipients: UnknownRecipients,
    /// Entries an inbox may hold, window and log together.
    pub inbox_count_max: u32,
    /// How long an entry may stay unconfirmed before it goes to the log, in milliseconds.
    pub confirm_timeout_ms: u32,
    /// Messages on the way to one other shard without an outcome.
    pub lane_count_max: u32,
    /// And their bytes.
    pub lane_len_max: u32,
    /// How long after a drain the first of the drained sessions come back, in milliseconds.
    pub drain_slot_start_ms: u32,
    /// Over how long their return is spread, in milliseconds.
    pub drain_slot_len_ms: u32,
}

impl ShardConfig {
    /// The defaults for shard `shard` of `shard_count`.
    pub fn new(shard: u16, shard_count: u16, store: StoreId, key: [u8; 16]) -> ShardConfig {
        ShardConfig {
            shard: ShardIndex(shard),
            shard_count,
            key,
            store,
            segment_len: 64 << 20,
            reserve_us: 20_000_000,
            heartbeat_s: 60,
            payload_len_max: 64 << 10,
            unknown_recipients: UnknownRecipients::Store,
            inbox_count_max: 1_000_000,
            confirm_timeout_ms: 250,
            lane_count_max: (65_536 / u32::from(shard_count)).max(1024),
            lane_len_max: ((64 << 20) / u32::from(shard_count)).max(1 << 20),
            drain_slot_start_ms: 2_000,
            drain_slot_len_ms: 10_000,
        }
    }
}
