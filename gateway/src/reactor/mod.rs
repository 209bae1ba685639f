//! The reactor: all client sockets of a shard on one ring, in turns.
//!
//! A turn first drains, then flushes: it takes what has come until the last look brought little, hands every frame out, and only
//! then sends, once per connection. What a turn gathered leaves in one `send`: frames per send is what decides the cost of a
//! message, not the interface.
//!
//! - An idle connection is a multishot poll in the ring and a record here; it holds no buffer.
//! - Reading is `recv` into one shared buffer that stays in the cache, so not to read is all that backpressure needs.
//! - Under TLS the same holds: one read, then decrypted into a second shared buffer; one send of what was encrypted into a third.
//! - Sending is `send` too. Through the ring it would need a buffer that is kept until its completion, a cancellation before each
//!   close, and one more completion per message, to save the entry into the kernel: under a tenth of what the kernel's TCP costs.
//!
//! The reactor knows frames by their length only and needs no runtime: call [`Reactor::turn`] while it says there is more, else
//! wait until [`Reactor::wait_fd`] is readable.

mod accept;
mod buffers;
mod conn;
mod counters;
mod net;
mod read;
#[expect(unsafe_code, reason = "puts entries on the ring; each block has its proof")]
pub(crate) mod ring;
mod slab;
#[cfg(test)]
mod tests;
pub(crate) mod tls;
mod trouble;
mod watch;
mod write;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use gateway_core::ConnId;
use wire::WireError;

pub(crate) use accept::listen;
use buffers::Shared;
pub(crate) use conn::{DescriptorBudget, Detached};
pub(crate) use counters::NetCounters;
pub(crate) use net::{Net, Peer};
use ring::Ring;

/// The sockets of one shard.
pub(crate) struct Reactor {
    net: Net,
    /// Everything is read into this.
    shared: Shared,
}

/// What happened. Those about a connection come only while it is open: none after [`Net::close`], [`Net::release`] (but
/// `Released`) or [`Event::Closed`].
pub(crate) enum Event<'a> {
    /// It was accepted, and is being read.
    Opened {
        /// The new connection.
        conn: ConnId,
    },
    /// A whole frame.
    Frame {
        /// Where it came.
        conn: ConnId,
        /// The type byte.
        frame_type: u8,
        /// What follows the header.
        payload: &'a [u8],
    },
    /// Bytes that are no frame, or one that is too long or does not come whole. No more is read.
    Broken {
        /// Where they came.
        conn: ConnId,
        /// What is wrong.
        error: WireError,
    },
    /// Bytes came and completed no frame.
    Heard {
        /// From whom.
        conn: ConnId,
    },
    /// The socket took less than was written.
    Blocked {
        /// Which.
        conn: ConnId,
    },
    /// A blocked socket took more; at `left` 0 it is not blocked any more.
    Sent {
        /// Which.
        conn: ConnId,
        /// Bytes still waiting, in the form in which they wait: under TLS up to 64 KiB of them are encrypted, and 22 bytes longer
        /// for each 16 KiB.
        left: usize,
    },
    /// The peer or the network ended it.
    Closed {
        /// Which.
        conn: ConnId,
    },
    /// What [`Net::release`] asked for.
    Released {
        /// Which it was.
        conn: ConnId,
        /// The connection, for [`Net::adopt`] of another shard.
        detached: Box<Detached>,
    },
    /// [`Net::wake`] failed for this shard.
    WakeFailed {
        /// Which.
        shard: u32,
    },
    /// Everything that came was handed out; what is written now leaves with this turn.
    TurnEnd,
}

impl Reactor {
    /// A reactor for the calling thread, and for it alone.
    ///
    /// # Errors
    /// When the system gives no ring: see [`ring::explain`].
    pub(crate) fn new(budget: Arc<DescriptorBudget>, payload_len_max: u32) -> io::Result<Reactor> {
        Ok(Reactor { net: Net::new(Ring::new()?, budget, payload_len_max), shared: Shared::new() })
    }

    /// One turn: reads and hands out what came, then sends what was written. `budget` bounds the work: a read that brings little
    /// costs 1, one that brings much up to some thousand; only the last one may cost more than is left. Never waits. Says whether
    /// another turn may find something.
    ///
    /// # Errors
    /// Only when the ring is unusable.
    pub(crate) fn turn(&mut self, budget: usize, on: &mut impl FnMut(&mut Net, Event<'_>)) -> io::Result<bool> {
        let net = &mut self.net;
        net.ring.disarm();
        let now = Instant::now();
        net.on_time(now);
        net.look_after_slow_ones(now, on);
        net.dismiss_guests(now, on);
        let mut work_left = budget;
        let mut was_busy = read::visit_deferred(net, &mut self.shared, &mut work_left, on);
        loop {
            let brought = net.reap(on)?;
            let listed = net.listed.len();
            was_busy |= brought > 0 || listed > 0;
            read::visit_listed(net, &mut self.shared, &mut work_left, on);
            if listed < DRAIN_COUNT_MIN || work_left == 0 {
                break;
            }
        }
        on(net, Event::TurnEnd);
        if std::mem::take(&mut net.has_wakes) {
            // Who is woken, and whom nobody else wakes any more, must not wait for a thousand sends.
            net.ring.enter()?;
        }
        was_busy |= write::flush(net, on);
        net.settle(on);
        #[cfg(test)]
        net.check_counters();
        if was_busy {
            net.counters.turn.record(u64::try_from(now.elapsed().as_micros()).unwrap_or(u64::MAX));
        }
        Ok(was_busy || net.has_work())
    }

    /// Where to wait after a turn that found nothing: readable (8 bytes, to be read) once something came. `None` when something
    /// came already. The wait ends at [`Reactor::deadline`] in any case.
    pub(crate) fn wait_fd(&mut self) -> Option<BorrowedFd<'_>> {
        if self.net.has_work() || !self.net.ring.arm() {
            return None;
        }
        Some(self.net.ring.eventfd())
    }

    /// A second number for the descriptor of [`Reactor::wait_fd`]: any thread may write to it and end the wait.
    pub(crate) fn bell(&self) -> io::Result<OwnedFd> {
        self.net.ring.eventfd().as_fd().try_clone_to_owned()
    }

    /// When a turn is due even if nothing comes.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.net.deadline()
    }

    /// For what is done between turns.
    pub(crate) fn net(&mut self) -> &mut Net {
        &mut self.net
    }
}

/// Look again before sending when a look brought so many: with fewer there is little to gather.
const DRAIN_COUNT_MIN: usize = 16;
