//! One client's socket: what waits to be parsed, what waits to be sent, and how it ends.
//!
//! ```text
//! Open ──close──► Closing ──outbox sent──► Lingering ──peer closed, or deadline──► Gone
//!   │  ──release──► Leaving ──polls are over──► handed out
//!   └──peer closed, error──────────────────────────────────────────────────────► Gone ──polls are over──► place is free
//! ```
//! A place is used again only after the last completion of every entry that names it.

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::net::getpeername;

use super::buffers::Queue;
use super::tls::Tls;

/// A connection as the reactor sees it. About 100 bytes, and nothing on the heap while it is idle but the TLS session, if it has
/// one.
pub(crate) struct Conn {
    pub(crate) socket: Socket,
    /// The session that encrypts it.
    pub(crate) tls: Option<Box<Tls>>,
    pub(crate) stage: Stage,
    /// How often the watch has found the same beginning of a frame.
    pub(crate) stale_looks: u8,
    /// The watch looks at it from time to time.
    pub(crate) is_watched: bool,
    /// The limit in force for the payload of a frame.
    pub(crate) payload_len_max: u32,
    /// Bytes read, decrypted and not parsed: the beginning of a frame, or what came after a pause.
    pub(crate) unread: Queue,
    /// Bytes written and not sent; under TLS those that are not encrypted yet.
    pub(crate) unsent: Queue,
    /// No frames are handed out.
    pub(crate) is_paused: bool,
    /// Nothing is read or parsed any more: its bytes were refused.
    pub(crate) is_broken: bool,
    /// The socket may have something to read.
    pub(crate) may_read: bool,
    /// The peer has shut down its side, or the connection failed: read on to the end, even after a short read.
    pub(crate) is_ending: bool,
    /// On the list of those to be read.
    pub(crate) is_listed: bool,
    /// On the list of those to be sent.
    pub(crate) is_dirty: bool,
    /// The socket took less than it was given; a poll for room is under way or about to be.
    pub(crate) is_blocked: bool,
    /// The multishot poll is under way.
    pub(crate) is_polled: bool,
    /// The poll for room is under way.
    pub(crate) is_write_polled: bool,
}

/// Where a connection is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Frames pass.
    Open,
    /// It will be handed out; what it has read stays with it.
    Leaving,
    /// What was written is sent, then it ends.
    Closing,
    /// Our side is shut down; what still comes is thrown away, so that the peer gets our last bytes and no reset.
    Lingering,
    /// It waits for its last completions.
    Gone,
}

impl Conn {
    /// A fresh connection: open, nothing waiting, not polled yet.
    pub(crate) fn new(socket: Socket, tls: Option<Box<Tls>>, payload_len_max: u32) -> Conn {
        Conn {
            socket,
            tls,
            stage: Stage::Open,
            stale_looks: 0,
            is_watched: false,
            payload_len_max,
            unread: Queue::default(),
            unsent: Queue::default(),
            is_paused: false,
            is_broken: false,
            may_read: false,
            is_ending: false,
            is_listed: false,
            is_dirty: false,
            is_blocked: false,
            is_polled: false,
            is_write_polled: false,
        }
    }

    /// Whether frames may be handed out.
    pub(crate) fn takes_frames(&self) -> bool {
        self.stage == Stage::Open && !self.is_paused && !self.is_broken
    }

    /// Whether bytes that came and were not handed out are still wanted.
    pub(crate) fn keeps_bytes(&self) -> bool {
        matches!(self.stage, Stage::Open | Stage::Leaving) && !self.is_broken
    }

    /// Whether its TLS handshake is not over.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    /// Whether its peer has begun a frame, or a TLS record, that has not come whole.
    pub(crate) fn is_in_mid_frame(&self) -> bool {
        !self.unread.is_empty() || self.tls.as_ref().is_some_and(|tls| tls.is_in_mid_record())
    }

    /// Bytes that wait to be sent, in the form in which they wait: encrypted or not yet. What waits for the end of the handshake
    /// does not count.
    pub(crate) fn left(&self) -> usize {
        match &self.tls {
            None => self.unsent.len(),
            Some(tls) if tls.is_handshaking() => tls.sealed.len(),
            Some(tls) => tls.sealed.len() + self.unsent.len(),
        }
    }

    /// Bytes that wait to be sent, and what waits for the end of the handshake.
    pub(crate) fn outbox_len(&self) -> usize {
        self.unsent.len() + self.tls.as_ref().map_or(0, |tls| tls.sealed.len())
    }

    /// Whether entries of the ring still name it.
    pub(crate) fn is_named(&self) -> bool {
        self.is_polled || self.is_write_polled
    }
}

/// A connection on its way from one shard to another, with everything that was read and not handed out, and everything that
/// was written and not sent. The TLS session takes along what it has of both in encrypted form.
pub(crate) struct Detached {
    pub(crate) socket: Socket,
    pub(crate) tls: Option<Box<Tls>>,
    pub(crate) unread: Vec<u8>,
    pub(crate) unsent: Vec<u8>,
}

/// A client's socket; counted among the descriptors that connections may take.
pub(crate) struct Socket {
    descriptor: OwnedFd,
    budget: Arc<DescriptorBudget>,
    /// Nobody has logged in on it yet.
    is_guest: bool,
}

impl Socket {
    /// Counts `descriptor`; `None` closes it, because connections have taken all they may.
    pub(crate) fn admit(descriptor: OwnedFd, budget: &Arc<DescriptorBudget>) -> Option<Socket> {
        let socket = Socket { descriptor, budget: Arc::clone(budget), is_guest: true };
        budget.guests.fetch_add(1, Ordering::Relaxed);
        (budget.used.fetch_add(1, Ordering::Relaxed) < budget.count_max).then_some(socket)
    }

    /// Somebody has logged in on it.
    pub(crate) fn welcome(&mut self) {
        if std::mem::take(&mut self.is_guest) {
            self.budget.guests.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Whether nobody has logged in on it.
    pub(crate) fn is_guest(&self) -> bool {
        self.is_guest
    }

    /// The other end's address; `None` when it is gone.
    pub(crate) fn peer_address(&self) -> Option<SocketAddr> {
        SocketAddr::try_from(getpeername(&self.descriptor).ok()??).ok()
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.welcome();
        self.budget.used.fetch_sub(1, Ordering::Relaxed);
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// How many descriptors connections may take, of all shards together. What is left of the process's limit is for the log, the
/// listeners and the rings: a crowd of clients must not keep the log from opening a segment. And a crowd of connections on which
/// nobody has logged in, *guests*, must not keep the users out: they may take a quarter.
#[derive(Debug)]
pub(crate) struct DescriptorBudget {
    used: AtomicUsize,
    /// `guests <= used`.
    guests: AtomicUsize,
    count_max: usize,
}

impl DescriptorBudget {
    /// For at most `count_max` connections.
    pub(crate) fn new(count_max: usize) -> Arc<DescriptorBudget> {
        Arc::new(DescriptorBudget { used: AtomicUsize::new(0), guests: AtomicUsize::new(0), count_max })
    }

    /// Connections on which nobody has logged in.
    pub(crate) fn guest_count(&self) -> usize {
        self.guests.load(Ordering::Relaxed)
    }

    /// How many connections there may be; `usize::MAX`: as many as there is memory for.
    pub(crate) fn count_max(&self) -> usize {
        self.count_max
    }

    /// Whether no further connection may come.
    pub(crate) fn is_spent(&self) -> bool {
        self.used.load(Ordering::Relaxed) >= self.count_max || self.is_full_of_guests()
    }

    /// Whether those on which nobody has logged in have taken their share.
    pub(crate) fn is_full_of_guests(&self) -> bool {
        self.guests.load(Ordering::Relaxed) >= (self.count_max / 4).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_is_a_small_record() {
        assert!(size_of::<Conn>() <= 112, "{} bytes", size_of::<Conn>());
    }
}
