//! The shard's own ring, and the only place that puts entries on it.
//!
//! No entry made here points into memory of ours: sockets are polled, accepted and told apart by number, while bytes move by
//! plain `recv` and `send`. So nothing must be kept alive until a completion, and the two `unsafe` blocks are short.
//!
//! The ring defers its work (`DEFER_TASKRUN`): completions appear only inside [`Ring::enter`], which costs a system call, and
//! [`Ring::has_work`] reads from shared memory whether one would find anything. While the owner is awake the eventfd is silenced.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{Ordering, fence};

use io_uring::squeue::{Entry, Flags};
use io_uring::{IoUring, cqueue, opcode, types};
use rustix::event::{EventfdFlags, PollFlags, eventfd};

/// A ring, and the eventfd that it rings while its owner sleeps.
pub(crate) struct Ring {
    ring: IoUring,
    /// What found no room in the submission queue, oldest first.
    waiting: VecDeque<Entry>,
    eventfd: OwnedFd,
}

/// What an entry was for. Comes back in its completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tag {
    /// Which kind.
    pub(crate) op: Op,
    /// The use of the place `index`, below 2^28.
    pub(crate) generation: u32,
    /// Of a connection, or what `op` says.
    pub(crate) index: u32,
}

/// Kinds of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Op {
    /// Nobody asks how it went.
    Ignored = 0,
    /// Multishot: a connection may be read.
    Readable = 1,
    /// Once: a connection may be written.
    Writable = 2,
    /// Multishot: a connection came.
    Accept = 3,
    /// Another shard's ring woke this one.
    Woken = 4,
    /// Shard `index` could not be woken.
    WakeFailed = 5,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Completion {
    /// Of which entry.
    pub(crate) tag: Tag,
    /// As the operation gives it, or a negated errno.
    pub(crate) result: i32,
    /// Whether the entry will complete again.
    pub(crate) has_more: bool,
}

/// Generations wrap at this bound: what is left of 64 bits beside kind and index.
pub(crate) const GENERATION_BOUND: u32 = 1 << 28;

impl Ring {
    /// A ring for the calling thread, and for it alone.
    ///
    /// # Errors
    /// As the system says: see [`explain`].
    pub(crate) fn new() -> io::Result<Ring> {
        let mut cq_entries = CQ_ENTRIES_MAX;
        let ring = loop {
            match build(cq_entries) {
                // Old kernels count the queues against RLIMIT_MEMLOCK.
                Err(error) if error.raw_os_error() == Some(ENOMEM) && cq_entries > SQ_ENTRIES * 2 => cq_entries /= 2,
                other => break other?,
            }
        };
        // Blocking: with O_NONBLOCK a read through another ring would fail at once instead of waiting.
        let eventfd = eventfd(0, EventfdFlags::CLOEXEC)?;
        ring.submitter().register_eventfd(eventfd.as_raw_fd())?;
        let mut ring = Ring { ring, waiting: VecDeque::new(), eventfd };
        ring.disarm();
        Ok(ring)
    }

    /// The number under which other rings of this process reach this one.
    pub(crate) fn number(&self) -> RawFd {
        self.ring.as_raw_fd()
    }

    /// Readable when something came while it was armed, or when another thread wrote to it.
    pub(crate) fn eventfd(&self) -> BorrowedFd<'_> {
        self.eventfd.as_fd()
    }

    /// Asks to be told, again and again, when `socket` gets something to read or is closed by its peer. Edge-like: what is
    /// left unread is not told again.
    pub(crate) fn poll_readable(&mut self, socket: BorrowedFd<'_>, tag: Tag) {
        let events = PollFlags::IN | PollFlags::RDHUP;
        let entry = opcode::PollAdd::new(types::Fd(socket.as_raw_fd()), events.bits().into()).multi(true);
        self.push(entry.build(), tag);
    }

    /// Asks to be told once when `socket` takes bytes again.
    pub(crate) fn poll_writable(&mut self, socket: BorrowedFd<'_>, tag: Tag) {
        let events = PollFlags::OUT.bits().into();
        let entry = opcode::PollAdd::new(types::Fd(socket.as_raw_fd()), events);
        self.push(entry.build(), tag);
    }

    /// Takes every connection that comes; [`Completion::accepted`] gives each.
    pub(crate) fn accept(&mut self, listener: BorrowedFd<'_>, tag: Tag) {
        let entry = opcode::AcceptMulti::new(types::Fd(listener.as_raw_fd())).flags(SOCK_CLOEXEC);
        self.push(entry.build(), tag);
    }

    /// Ends an entry. Its last completion still comes, and only then is it over.
    pub(crate) fn cancel(&mut self, tag: Tag) {
        let entry = opcode::AsyncCancel::new(tag.encode()).build().flags(Flags::SKIP_SUCCESS);
        self.push(entry, Tag::of(Op::Ignored, 0));
    }

    /// Wakes the shard `shard`, whose ring has this number. [`Op::WakeFailed`] comes if that could not be done.
    pub(crate) fn wake(&mut self, number: RawFd, shard: u32) {
        let woken = Tag::of(Op::Woken, 0).encode();
        let entry = opcode::MsgRingData::new(types::Fd(number), 0, woken, None).build();
        self.push(entry.flags(Flags::SKIP_SUCCESS), Tag::of(Op::WakeFailed, shard));
    }

    /// Whether [`Ring::enter`] has anything to submit or to bring. Costs no system call.
    pub(crate) fn has_work(&mut self) -> bool {
        let sq = self.ring.submission();
        let (to_submit, to_bring) = (!sq.is_empty(), sq.taskrun() || sq.cq_overflow());
        drop(sq);
        to_submit || to_bring || !self.waiting.is_empty() || !self.ring.completion().is_empty()
    }

    /// Submits what was pushed and brings what has happened, without waiting.
    ///
    /// # Errors
    /// Only those that say the ring is unusable.
    pub(crate) fn enter(&mut self) -> io::Result<()> {
        let mut sq = self.ring.submission();
        while let Some(entry) = self.waiting.front() {
            if !push(&mut sq, entry) {
                break;
            }
            self.waiting.pop_front();
        }
        drop(sq);
        // Sets GETEVENTS only when the ring says that work is pending; without it nothing deferred would be brought.
        match self.ring.submit() {
            Ok(_) => Ok(()),
            // What was not taken stays queued; what blocks it (a signal, a full completion queue) is gone next time.
            Err(error) if matches!(error.raw_os_error(), Some(EINTR | EAGAIN | EBUSY)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The oldest completion that was brought.
    pub(crate) fn next(&mut self) -> Option<Completion> {
        let entry = self.ring.completion().next()?;
        Some(Completion {
            tag: Tag::decode(entry.user_data()),
            result: entry.result(),
            has_more: cqueue::more(entry.flags()),
        })
    }

    /// From here on the eventfd rings. False, and nothing has changed, when something came before: do not sleep then.
    pub(crate) fn arm(&mut self) -> bool {
        self.ring.completion().enable_eventfd();
        // The kernel first flags the work, then looks whether to ring; we first let it ring, then look at the flag.
        fence(Ordering::SeqCst);
        let may_sleep = !self.has_work();
        if !may_sleep {
            self.disarm();
        }
        may_sleep
    }

    /// Silences the eventfd.
    pub(crate) fn disarm(&mut self) {
        self.ring.completion().disable_eventfd();
    }

    fn push(&mut self, entry: Entry, tag: Tag) {
        let entry = entry.user_data(tag.encode());
        if !self.waiting.is_empty() || !push(&mut self.ring.submission(), &entry) {
            self.waiting.push_back(entry);
        }
    }
}

impl Completion {
    /// The connection of an [`Op::Accept`], or the errno of why there is none. Call it once for each completion: two owners of
    /// one number would close each other's file.
    pub(crate) fn accepted(self) -> Result<OwnedFd, i32> {
        assert!(self.tag.op == Op::Accept, "only an accept brings a descriptor");
        if self.result < 0 {
            return Err(-self.result);
        }
        // SAFETY: an accept completed with a non-negative number, so it is a descriptor that the kernel opened for us; the
        // completion was taken off the queue, which hands out each once, and nobody else knows the number yet.
        Ok(unsafe { OwnedFd::from_raw_fd(self.result) })
    }
}

impl Tag {
    /// A tag that is about no connection.
    pub(crate) fn of(op: Op, index: u32) -> Tag {
        Tag { op, generation: 0, index }
    }

    fn encode(self) -> u64 {
        debug_assert!(self.generation < GENERATION_BOUND);
        (self.op as u64) << 60 | u64::from(self.generation) << 32 | u64::from(self.index)
    }

    fn decode(bits: u64) -> Tag {
        let op = match bits >> 60 {
            1 => Op::Readable,
            2 => Op::Writable,
            3 => Op::Accept,
            4 => Op::Woken,
            5 => Op::WakeFailed,
            _ => Op::Ignored,
        };
        let [_, _, _, _, bytes @ ..] = bits.to_be_bytes();
        let generation = (bits >> 32) & u64::from(GENERATION_BOUND - 1);
        Tag { op, generation: u32::try_from(generation).expect("masked to 28 bits"), index: u32::from_be_bytes(bytes) }
    }
}

/// Why there is no ring, and what helps.
pub(crate) fn explain(error: &io::Error) -> String {
    let cause = match error.raw_os_error() {
        Some(ENOSYS) => {
            "this kernel, or the sandbox it runs programs in, has no io_uring: shardwire needs Linux 6.1 or later; in a container, \
             allow io_uring_setup, io_uring_enter and io_uring_register in its seccomp profile"
        }
        Some(EPERM | EACCES) => {
            "io_uring is forbidden here: set sysctl kernel.io_uring_disabled=0; in a container, allow io_uring_setup, \
             io_uring_enter and io_uring_register in its seccomp profile (docker run --security-opt seccomp=FILE)"
        }
        Some(EINVAL) => "this kernel's io_uring is too old: shardwire needs Linux 6.1 or later",
        Some(ENOMEM) => "the kernel has no memory for a ring: raise the limit on locked memory (ulimit -l)",
        Some(EMFILE) => "no descriptor is left: raise the limit on open files (ulimit -n)",
        _ => "the kernel gives no ring",
    };
    format!("cannot use io_uring: {cause} ({error})")
}

fn build(cq_entries: u32) -> io::Result<IoUring> {
    IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_taskrun_flag()
        .setup_submit_all()
        .setup_cqsize(cq_entries)
        .build(SQ_ENTRIES)
}

fn push(sq: &mut io_uring::SubmissionQueue<'_>, entry: &Entry) -> bool {
    // SAFETY: `push` asks that what an entry points to stays valid until its completion. Every entry comes from the methods of
    // `Ring` above, and none of them holds a pointer: polls, accepts without an address, cancels and messages are numbers only.
    // A descriptor that was closed too early makes the operation fail, or act on another socket, but touches no memory.
    unsafe { sq.push(entry) }.is_ok()
}

/// One enter submits at most so many; more wait in memory of ours.
const SQ_ENTRIES: u32 = 1024;
/// Room for what thousands of sockets say at once; beyond it the kernel keeps a list, at more cost.
const CQ_ENTRIES_MAX: u32 = 16 * 1024;

const SOCK_CLOEXEC: i32 = 0o2_000_000;
const EPERM: i32 = 1;
const EINTR: i32 = 4;
const EAGAIN: i32 = 11;
const ENOMEM: i32 = 12;
const EACCES: i32 = 13;
const EBUSY: i32 = 16;
const EINVAL: i32 = 22;
const EMFILE: i32 = 24;
const ENOSYS: i32 = 38;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_survives_the_way_through_the_kernel() {
        for op in [Op::Ignored, Op::Readable, Op::Writable, Op::Accept, Op::Woken, Op::WakeFailed] {
            for (generation, index) in [(0, 0), (1, u32::MAX), (GENERATION_BOUND - 1, 7)] {
                let tag = Tag { op, generation, index };
                assert_eq!(Tag::decode(tag.encode()), tag);
            }
        }
    }

    #[test]
    fn more_entries_than_the_queue_holds_wait_and_are_all_submitted() {
        let mut ring = Ring::new().unwrap();
        let (a, b) = std::os::unix::net::UnixStream::pair().unwrap();
        let count = SQ_ENTRIES * 2 + 10;
        for index in 0..count {
            ring.poll_readable(a.as_fd(), Tag::of(Op::Readable, index));
        }
        while ring.has_work() {
            ring.enter().unwrap();
        }
        rustix::io::write(&b, b"x").unwrap();
        let mut seen = vec![false; count as usize];
        while ring.has_work() {
            ring.enter().unwrap();
            while let Some(completion) = ring.next() {
                seen[completion.tag.index as usize] = completion.has_more;
            }
        }
        assert!(seen.iter().all(|seen| *seen));
    }

    #[test]
    fn what_came_before_arming_forbids_sleep_and_what_comes_after_rings() {
        let mut ring = Ring::new().unwrap();
        let (a, b) = std::os::unix::net::UnixStream::pair().unwrap();
        ring.poll_readable(a.as_fd(), Tag::of(Op::Readable, 1));
        ring.enter().unwrap();
        rustix::io::write(&b, b"x").unwrap();
        assert!(!ring.arm(), "something came before");
        ring.enter().unwrap();
        assert_eq!(ring.next().unwrap().tag.op, Op::Readable);
        assert!(ring.arm());
        rustix::io::write(&b, b"x").unwrap();
        let mut count = [0; 8];
        rustix::io::read(ring.eventfd(), &mut count).unwrap();
        assert_eq!(u64::from_ne_bytes(count), 1);
    }

    #[test]
    fn a_ring_wakes_another_and_says_when_it_cannot() {
        let mut waker = Ring::new().unwrap();
        let mut sleeper = Ring::new().unwrap();
        assert!(sleeper.arm());
        waker.wake(sleeper.number(), 7);
        waker.wake(waker.eventfd().as_raw_fd(), 8);
        waker.enter().unwrap();
        let mut count = [0; 8];
        rustix::io::read(sleeper.eventfd(), &mut count).unwrap();
        sleeper.enter().unwrap();
        assert_eq!(sleeper.next().unwrap().tag.op, Op::Woken);
        let failed = waker.next().unwrap();
        assert_eq!(failed.tag, Tag::of(Op::WakeFailed, 8));
        assert_eq!(waker.next(), None);
    }

    #[test]
    fn the_reason_for_no_ring_names_what_helps() {
        for (errno, help) in [(ENOSYS, "seccomp"), (EPERM, "kernel.io_uring_disabled"), (EINVAL, "6.1")] {
            let text = explain(&io::Error::from_raw_os_error(errno));
            assert!(text.contains(help), "{text}");
        }
    }
}
