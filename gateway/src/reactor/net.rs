//! The connections of a reactor, and what may be done to them while a turn hands out what came.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway_core::ConnId;
use rustix::event::PollFlags;

use super::Event;
use super::accept::Acceptor;
use super::buffers::{Pool, Queue};
use super::conn::{Conn, DescriptorBudget, Detached, Socket, Stage};
use super::read;
use super::ring::{Completion, Op, Ring, Tag};
use super::slab::Slab;

/// A reactor's connections. A name that is not known any more is no mistake here: nothing happens then.
pub(crate) struct Net {
    pub(super) ring: Ring,
    pub(super) conns: Slab<Conn>,
    pub(super) pool: Pool,
    /// Those that may have something to read or to parse; each once.
    pub(super) listed: VecDeque<ConnId>,
    /// Those that have something to send and are not blocked; each once.
    pub(super) dirty: VecDeque<ConnId>,
    /// Those whose entries in the ring are over and that leave or end.
    settled: Vec<ConnId>,
    /// When those that close are cut off, in the order of time.
    cut_offs: VecDeque<(Instant, ConnId)>,
    acceptor: Acceptor,
    /// Who was accepted and when, in that order; those who logged in or left are taken out when they are first.
    guests: VecDeque<(Instant, ConnId)>,
    budget: Arc<DescriptorBudget>,
    /// Somebody is to be woken.
    pub(super) has_wakes: bool,
    /// The limit on payloads for connections that are accepted.
    payload_len_max: u32,
}

impl Net {
    pub(super) fn new(ring: Ring, budget: Arc<DescriptorBudget>, payload_len_max: u32) -> Net {
        Net {
            ring,
            conns: Slab::new(),
            pool: Pool::default(),
            listed: VecDeque::new(),
            dirty: VecDeque::new(),
            settled: Vec::new(),
            cut_offs: VecDeque::new(),
            acceptor: Acceptor::new(Arc::clone(&budget)),
            guests: VecDeque::new(),
            budget,
            has_wakes: false,
            payload_len_max,
        }
    }

    /// Takes connections from this listener.
    pub(crate) fn start_accepting(&mut self, listener: OwnedFd) {
        self.acceptor.start(listener, &mut self.ring);
    }

    /// Takes no further connections, for good.
    pub(crate) fn stop_accepting(&mut self) {
        self.acceptor.stop(&mut self.ring);
    }

    /// Appends to what is sent at the end of the turn.
    pub(crate) fn write(&mut self, id: ConnId, bytes: &[u8]) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        if conn.stage == Stage::Open {
            conn.unsent.push(bytes, &mut self.pool);
            if !conn.is_blocked && !conn.is_dirty {
                conn.is_dirty = true;
                self.dirty.push_back(id);
            }
        }
    }

    /// Hands out no further frames, not even those that were read already.
    pub(crate) fn pause(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(id) {
            conn.is_paused = true;
        }
    }

    /// Goes on where [`Net::pause`] stopped, with what was read first.
    pub(crate) fn resume(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(id)
            && conn.is_paused
        {
            conn.is_paused = false;
            self.list(id);
        }
    }

    /// Reads and parses no more, for good: its bytes make no sense.
    pub(crate) fn mark_broken(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(id) {
            conn.is_broken = true;
            conn.unread.clear(&mut self.pool);
        }
    }

    /// Ends the connection once what was written is sent and the peer has taken it, or soon in any case.
    pub(crate) fn close(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        if conn.stage != Stage::Open {
            return;
        }
        conn.stage = Stage::Closing;
        conn.unread.clear(&mut self.pool);
        self.cut_offs.push_back((Instant::now() + LINGER, id));
        if !conn.is_blocked && !conn.is_dirty {
            conn.is_dirty = true;
            self.dirty.push_back(id);
        }
    }

    /// Takes the connection out of this reactor: [`Event::Released`] gives it once nothing of the ring names it any more. False
    /// when there is no such connection, or it is ending.
    pub(crate) fn release(&mut self, id: ConnId) -> bool {
        match self.conns.get_mut(id) {
            Some(conn) if conn.stage == Stage::Open => conn.stage = Stage::Leaving,
            _ => return false,
        }
        self.forget_polls(id);
        true
    }

    /// Takes in a connection that another reactor released. It is paused; what came with it is sent, and read after
    /// [`Net::resume`].
    pub(crate) fn adopt(&mut self, detached: Detached, payload_len_max: u32) -> ConnId {
        let Detached { mut socket, unread, unsent } = detached;
        socket.welcome();
        let mut conn = Conn::new(socket, payload_len_max);
        conn.unread = Queue::of(unread);
        conn.unsent = Queue::of(unsent);
        conn.is_paused = true;
        // What came between the two polls was told to the first.
        conn.may_read = true;
        conn.is_dirty = !conn.unsent.is_empty();
        let is_dirty = conn.is_dirty;
        let id = self.insert(conn);
        if is_dirty {
            self.dirty.push_back(id);
        }
        id
    }

    /// Wakes shard `shard`, whose ring has this number, before the turn sends, or else with the next look at the ring.
    pub(crate) fn wake(&mut self, number: RawFd, shard: u32) {
        self.has_wakes = true;
        self.ring.wake(number, shard);
    }

    /// The number under which other rings wake this one.
    pub(crate) fn ring_number(&self) -> RawFd {
        self.ring.number()
    }

    /// Whether frames of this connection are still wanted, now or later.
    pub(crate) fn is_open(&self, id: ConnId) -> bool {
        self.conns.get(id).is_some_and(|conn| conn.stage == Stage::Open)
    }

    /// Whether its peer has said its last, read or not.
    pub(crate) fn is_ending(&self, id: ConnId) -> bool {
        self.conns.get(id).is_some_and(|conn| conn.is_ending)
    }

    /// Connections that are not over yet.
    pub(crate) fn count(&self) -> usize {
        self.conns.count()
    }

    /// Puts a connection on the list of those to be read, once.
    pub(super) fn list(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(id)
            && !conn.is_listed
        {
            conn.is_listed = true;
            self.listed.push_back(id);
        }
    }

    /// Ends a connection now, whatever waits.
    pub(super) fn drop_conn(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(id)
            && conn.stage != Stage::Gone
        {
            conn.stage = Stage::Gone;
            conn.unread.clear(&mut self.pool);
            conn.unsent.clear(&mut self.pool);
            self.forget_polls(id);
        }
    }

    /// Asks to be told when a blocked connection takes bytes again.
    pub(super) fn poll_writable(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(id)
            && !conn.is_write_polled
        {
            conn.is_write_polled = true;
            self.ring.poll_writable(conn.socket.as_fd(), tag(Op::Writable, id));
        }
    }

    /// Whether another turn has something to do.
    pub(super) fn has_work(&mut self) -> bool {
        !self.listed.is_empty() || !self.dirty.is_empty() || !self.settled.is_empty() || self.ring.has_work()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let cut_off = self.cut_offs.front().map(|(at, _)| *at);
        cut_off.into_iter().chain(self.acceptor.deadline()).min()
    }

    pub(super) fn on_time(&mut self, now: Instant) {
        self.acceptor.on_time(now, &mut self.ring);
        while let Some((_, id)) = self.cut_offs.pop_front_if(|(at, _)| *at <= now) {
            self.drop_conn(id);
        }
    }

    /// When guests have taken their share of descriptors: ends those of them that have said nothing for a while.
    pub(super) fn dismiss_guests(&mut self, now: Instant, on: &mut impl FnMut(&mut Net, Event<'_>)) {
        if !self.budget.is_full_of_guests() {
            return;
        }
        let mut kept = VecDeque::new();
        while let Some((came, id)) = self.guests.pop_front_if(|(came, _)| *came + GUEST_PATIENCE <= now) {
            if !self.is_guest(id) {
                continue;
            }
            if self.conns.get(id).is_some_and(|conn| conn.is_paused) {
                // It waits for us.
                kept.push_back((came, id));
            } else {
                read::close(self, id, on);
            }
        }
        kept.append(&mut self.guests);
        self.guests = kept;
    }

    /// Brings what has happened and notes it. Says how many completions there were.
    pub(super) fn reap(&mut self, on: &mut impl FnMut(&mut Net, Event<'_>)) -> io::Result<usize> {
        if !self.ring.has_work() {
            return Ok(0);
        }
        self.ring.enter()?;
        self.has_wakes = false;
        let mut count = 0;
        while let Some(completion) = self.ring.next() {
            count += 1;
            self.on_completion(completion, on);
        }
        Ok(count)
    }

    /// Hands out those that leave and frees the places of those that ended.
    pub(super) fn settle(&mut self, on: &mut impl FnMut(&mut Net, Event<'_>)) {
        while let Some(id) = self.settled.pop() {
            let Some(conn) = self.conns.remove(id) else { continue };
            if conn.stage == Stage::Leaving {
                let detached = Box::new(Detached {
                    socket: conn.socket,
                    unread: conn.unread.into_buffer(),
                    unsent: conn.unsent.into_buffer(),
                });
                on(self, Event::Released { conn: id, detached });
            }
        }
    }

    fn on_completion(&mut self, completion: Completion, on: &mut impl FnMut(&mut Net, Event<'_>)) {
        let Tag { op, generation, index } = completion.tag;
        let id = ConnId { index, generation };
        match op {
            Op::Readable => self.on_readable(id, completion, on),
            Op::Writable => self.on_writable(id),
            Op::Accept => {
                if let Some(socket) = self.acceptor.on_completion(completion, &mut self.ring) {
                    self.on_accepted(socket, on);
                }
            }
            Op::WakeFailed => on(self, Event::WakeFailed { shard: index }),
            Op::Woken | Op::Ignored => {}
        }
    }

    fn on_accepted(&mut self, socket: Socket, on: &mut impl FnMut(&mut Net, Event<'_>)) {
        let conn = self.insert(Conn::new(socket, self.payload_len_max));
        self.forget_guests();
        self.guests.push_back((Instant::now(), conn));
        on(self, Event::Opened { conn });
    }

    fn is_guest(&self, id: ConnId) -> bool {
        self.conns.get(id).is_some_and(|conn| conn.stage == Stage::Open && conn.socket.is_guest())
    }

    /// Those who are first and no guests any more.
    fn forget_guests(&mut self) {
        while let Some((_, id)) = self.guests.front()
            && !self.is_guest(*id)
        {
            self.guests.pop_front();
        }
    }

    fn on_readable(&mut self, id: ConnId, completion: Completion, on: &mut impl FnMut(&mut Net, Event<'_>)) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        conn.is_polled = completion.has_more;
        conn.may_read = true;
        conn.is_ending |= completion.result < 0 || completion.result & ENDING != 0;
        match conn.stage {
            // Nobody reads it now, and nobody would find that there is no peer any more; or it cannot be polled at all.
            Stage::Open if completion.result < 0 || conn.is_paused && completion.result & ENDED != 0 => {
                read::close(self, id, on);
            }
            Stage::Open | Stage::Closing | Stage::Lingering => {
                if !conn.is_polled {
                    // The kernel ends a multishot poll when it could not tell; what it did not tell is found by reading.
                    self.poll_readable(id);
                }
                self.list(id);
            }
            Stage::Leaving | Stage::Gone => self.settle_if_unnamed(id),
        }
    }

    fn on_writable(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        conn.is_write_polled = false;
        match conn.stage {
            Stage::Open | Stage::Closing | Stage::Lingering => {
                if !conn.is_dirty {
                    conn.is_dirty = true;
                    self.dirty.push_back(id);
                }
            }
            Stage::Leaving | Stage::Gone => self.settle_if_unnamed(id),
        }
    }

    fn insert(&mut self, conn: Conn) -> ConnId {
        let id = self.conns.insert(conn);
        self.poll_readable(id);
        id
    }

    fn poll_readable(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(id) {
            conn.is_polled = true;
            self.ring.poll_readable(conn.socket.as_fd(), tag(Op::Readable, id));
        }
    }

    /// Cancels what the ring has of a connection.
    fn forget_polls(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get(id) else { return };
        let (is_polled, is_write_polled) = (conn.is_polled, conn.is_write_polled);
        if is_polled {
            self.ring.cancel(tag(Op::Readable, id));
        }
        if is_write_polled {
            self.ring.cancel(tag(Op::Writable, id));
        }
        self.settle_if_unnamed(id);
    }

    fn settle_if_unnamed(&mut self, id: ConnId) {
        if self.conns.get(id).is_some_and(|conn| !conn.is_named()) {
            self.settled.push(id);
        }
    }
}

fn tag(op: Op, id: ConnId) -> Tag {
    Tag { op, generation: id.generation, index: id.index }
}

/// How long a connection that closes may take to send its last bytes and to have them taken.
const LINGER: Duration = Duration::from_secs(2);
/// What a connection has to say who it is when others wait for its place.
pub(super) const GUEST_PATIENCE: Duration = Duration::from_secs(2);
/// Poll bits of a connection that is over in both directions.
const ENDED: i32 = (PollFlags::HUP.bits() | PollFlags::ERR.bits()) as i32;
/// Poll bits after which the socket is read to its end.
const ENDING: i32 = (PollFlags::RDHUP.bits() | PollFlags::HUP.bits() | PollFlags::ERR.bits()) as i32;
