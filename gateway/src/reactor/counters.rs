//! What a reactor counts. Plain numbers of one owner; copies are published.

use storage::Histogram;

/// Totals since start unless said otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct NetCounters {
    /// Connections now, plain, those that are ending included.
    pub(crate) plain_count: u64,
    /// Connections now, under TLS, those that are ending included.
    pub(crate) tls_count: u64,
    /// Bytes that wait to be sent now, of all connections.
    pub(crate) outbox_len: u64,
    /// Connections taken.
    pub(crate) accepted: u64,
    /// Connections that could not be taken, or were closed at once because there were as many as there may be.
    pub(crate) accept_failures: u64,
    /// How long turns took that found something to do.
    pub(crate) turn: Histogram,
}

impl NetCounters {
    /// What waits on one connection has changed.
    pub(super) fn note_outbox(&mut self, before: usize, after: usize) {
        self.outbox_len = self.outbox_len + after as u64 - before as u64;
    }
}
