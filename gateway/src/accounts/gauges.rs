//! How busy the accounts are, for whoever watches from another thread.

use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers that the accounts' thread writes at the end of a turn.
#[derive(Debug, Default)]
pub(crate) struct Gauges {
    waiting: AtomicU64,
    hashing: AtomicU64,
}

impl Gauges {
    /// So many wait for a hash now, and so many hashes are being computed or about to be.
    pub(crate) fn set(&self, waiting: usize, hashing: usize) {
        self.waiting.store(waiting as u64, Ordering::Relaxed);
        self.hashing.store(hashing as u64, Ordering::Relaxed);
    }

    /// Logins and requests that wait for a hash.
    pub(crate) fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Those whose hash is being computed.
    pub(crate) fn hashing(&self) -> u64 {
        self.hashing.load(Ordering::Relaxed)
    }
}
