//! What a shard counts. Plain numbers of one owner; the shell publishes copies.

/// Totals since start unless said otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Sessions now.
    pub sessions: u64,
    /// SENDs taken for the first time, ephemeral ones not counted.
    pub accepted: u64,
    /// Ephemeral SENDs taken.
    pub ephemeral: u64,
    /// SENDs that were retries of something pending or decided.
    pub retries: u64,
    /// SEND_ACKs given.
    pub acknowledged: u64,
    /// SEND_NACKs given.
    pub refused: u64,
    /// DELIVERs written.
    pub delivered: u64,
    /// Message records given to the log.
    pub spilled: u64,
    /// Sessions closed by the shard.
    pub closed: u64,
}
