//! The connections of a reactor, and what may be done to them while a turn hands out what came.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway_core::ConnId;
use rustix::event::PollFlags;
use rustls::ServerConfig;
use wire::WireError;

use super::Event;
use super::accept::Acceptor;
use super::buffers::{Pool, Queue};
use super::conn::{Conn, DescriptorBudget, Detached, Socket, Stage};
use super::counters::NetCounters;
use super::read;
use super::ring::{Completion, Op, Ring, Tag};
use super::slab::Slab;
use super::tls::{SCRATCH_LEN, Tls};
use super::watch::{Look, Watch, look};

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
    /// By what they accept: plain, TLS.
    acceptors: [Acceptor; 2],
    /// For the next connection that comes to the TLS listener.
    tls_config: Option<Arc<ServerConfig>>,
    /// What is sent is encrypted into this. Empty before the first TLS configuration.
    pub(super) scratch: Box<[u8]>,
    /// Those whose handshake waits for the next turn, oldest first; each once, and not on the list meanwhile.
    pub(super) deferred: VecDeque<ConnId>,
    /// What this turn may still spend on handshakes.
    pub(super) handshake_time_left: Duration,
    pub(super) handshake_time_per_turn: Duration,
    watch: Watch,
    /// Who was accepted and when, in that order; those who logged in or left are taken out when they are first.
    guests: VecDeque<(Instant, ConnId)>,
    budget: Arc<DescriptorBudget>,
    pub(super) counters: NetCounters,
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
            acceptors: [PLAIN, TLS].map(|index| Acceptor::new(index, Arc::clone(&budget))),
            tls_config: None,
            scratch: Box::default(),
            deferred: VecDeque::new(),
            handshake_time_left: Duration::ZERO,
            handshake_time_per_turn: HANDSHAKE_TIME_PER_TURN,
            watch: Watch::default(),
            guests: VecDeque::new(),
            budget,
            counters: NetCounters::default(),
            has_wakes: false,
            payload_len_max,
        }
    }

    /// Takes connections from this listener; one of each kind. Those that come to a TLS listener before [`Net::set_tls`] are
    /// closed.
    pub(crate) fn start_accepting(&mut self, listener: OwnedFd, is_tls: bool) {
        let [plain, tls] = &mut self.acceptors;
        let acceptor = if is_tls { tls } else { plain };
        acceptor.start(listener, &mut self.ring);
    }

    /// Takes no further connections, for good.
    pub(crate) fn stop_accepting(&mut self) {
        for acceptor in &mut self.acceptors {
            acceptor.stop(&mut self.ring);
        }
    }

    /// What TLS connections begin with from now on; those that are there keep what they began with.
    pub(crate) fn set_tls(&mut self, config: Arc<ServerConfig>) {
        if self.scratch.is_empty() {
            self.scratch = vec![0; SCRATCH_LEN].into_boxed_slice();
        }
        self.tls_config = Some(config);
    }

    /// The other end; `None` when it is gone. Costs a system call.
    pub(crate) fn peer(&self, id: ConnId) -> Option<Peer> {
        let conn = self.conns.get(id)?;
        Some(Peer { address: conn.socket.peer_address()?, is_tls: conn.tls.is_some() })
    }

    /// Appends to what is sent at the end of the turn.
    pub(crate) fn write(&mut self, id: ConnId, bytes: &[u8]) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        if conn.stage == Stage::Open {
            conn.unsent.push(bytes, &mut self.pool);
            self.counters.outbox_len += bytes.len() as u64;
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
        let Detached { mut socket, tls, unread, unsent } = detached;
        socket.welcome();
        if tls.is_some() && self.scratch.is_empty() {
            self.scratch = vec![0; SCRATCH_LEN].into_boxed_slice();
        }
        let mut conn = Conn::new(socket, tls, payload_len_max);
        conn.unread = Queue::of(unread);
        conn.unsent = Queue::of(unsent);
        conn.is_paused = true;
        // What came between the two polls was told to the first.
        conn.may_read = true;
        conn.is_dirty = conn.left() > 0;
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
        let is_over = |conn: &Conn| conn.tls.as_ref().is_some_and(|tls| tls.is_over());
        self.conns.get(id).is_some_and(|conn| conn.is_ending || is_over(conn))
    }

    /// What was counted so far.
    pub(crate) fn counters(&self) -> NetCounters {
        let sum = |of: fn(&Acceptor) -> u64| self.acceptors.iter().map(of).sum();
        NetCounters { accepted: sum(Acceptor::accepted), accept_failures: sum(Acceptor::failures), ..self.counters }
    }

    /// What is counted along the way is what there is.
    #[cfg(test)]
    pub(super) fn check_counters(&self) {
        let (mut plain_count, mut tls_count, mut outbox_len) = (0, 0, 0);
        for conn in self.conns.values() {
            *(if conn.tls.is_some() { &mut tls_count } else { &mut plain_count }) += 1;
            outbox_len += conn.outbox_len() as u64;
        }
        let NetCounters { plain_count: plain, tls_count: tls, outbox_len: outbox, .. } = self.counters;
        assert_eq!((plain, tls, outbox), (plain_count, tls_count, outbox_len));
    }

    fn count_of(&mut self, conn: &Conn) -> &mut u64 {
        if conn.tls.is_some() { &mut self.counters.tls_count } else { &mut self.counters.plain_count }
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
            let before = conn.outbox_len();
            conn.unread.clear(&mut self.pool);
            conn.unsent.clear(&mut self.pool);
            self.counters.note_outbox(before, conn.outbox_len());
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
        let waits = |list: &VecDeque<ConnId>| !list.is_empty();
        waits(&self.listed)
            || waits(&self.dirty)
            || waits(&self.deferred)
            || !self.settled.is_empty()
            || self.ring.has_work()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let cut_off = self.cut_offs.front().map(|(at, _)| *at);
        let accept = self.acceptors.iter().filter_map(Acceptor::deadline);
        cut_off.into_iter().chain(accept).chain(self.watch.deadline()).min()
    }

    pub(super) fn on_time(&mut self, now: Instant) {
        for acceptor in &mut self.acceptors {
            acceptor.on_time(now, &mut self.ring);
        }
        while let Some((_, id)) = self.cut_offs.pop_front_if(|(at, _)| *at <= now) {
            self.drop_conn(id);
        }
    }

    /// Has a connection that is in mid-frame looked at from time to time.
    pub(super) fn watch(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(id)
            && !conn.is_watched
            && conn.stage == Stage::Open
            && conn.is_in_mid_frame()
        {
            conn.is_watched = true;
            conn.stale_looks = 0;
            self.watch.add(Instant::now(), id);
        }
    }

    /// Gives up those that do not finish what they began to say.
    pub(super) fn look_after_slow_ones(&mut self, now: Instant, on: &mut impl FnMut(&mut Net, Event<'_>)) {
        while let Some(id) = self.watch.pop_due(now) {
            let Some(conn) = self.conns.get_mut(id).filter(|conn| conn.stage == Stage::Open) else { continue };
            let is_read = !conn.is_paused && !conn.is_listed;
            let is_in_mid_frame = conn.is_in_mid_frame();
            match look(&mut conn.stale_looks, is_in_mid_frame, is_read) {
                Look::Well => conn.is_watched = false,
                Look::Again => self.watch.add(now, id),
                Look::Stale => {
                    self.mark_broken(id);
                    on(self, Event::Broken { conn: id, error: WireError::TooSlow });
                }
            }
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
            if self.conns.get(id).is_some_and(|conn| conn.is_paused || conn.is_listed) {
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
            self.counters.note_outbox(conn.outbox_len(), 0);
            *self.count_of(&conn) -= 1;
            if conn.stage == Stage::Leaving {
                let detached = Box::new(Detached {
                    socket: conn.socket,
                    tls: conn.tls,
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
                let [plain, tls] = &mut self.acceptors;
                let acceptor = if index == TLS { tls } else { plain };
                if let Some(socket) = acceptor.on_completion(completion, &mut self.ring) {
                    self.on_accepted(socket, index == TLS, on);
                }
            }
            Op::WakeFailed => on(self, Event::WakeFailed { shard: index }),
            Op::Woken | Op::Ignored => {}
        }
    }

    /// Its time to say HELLO runs from here: the handshake is part of it.
    fn on_accepted(&mut self, socket: Socket, is_tls: bool, on: &mut impl FnMut(&mut Net, Event<'_>)) {
        let tls = self.tls_config.as_ref().filter(|_| is_tls).and_then(|config| Tls::new(Arc::clone(config)));
        if is_tls && tls.is_none() {
            return;
        }
        let conn = self.insert(Conn::new(socket, tls, self.payload_len_max));
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
        self.counters.note_outbox(0, conn.outbox_len());
        *self.count_of(&conn) += 1;
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

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer {
    /// As the kernel has it.
    pub(crate) address: SocketAddr,
    /// Whether what it says is encrypted on its way.
    pub(crate) is_tls: bool,
}

/// Which acceptor.
const PLAIN: u32 = 0;
const TLS: u32 = 1;

fn tag(op: Op, id: ConnId) -> Tag {
    Tag { op, generation: id.generation, index: id.index }
}

/// What a turn spends on handshakes at most, but for the last one: some 15 of them. What that adds to the latency of those who are
/// in is bounded, and handshakes keep a share of a shard that is busy.
const HANDSHAKE_TIME_PER_TURN: Duration = Duration::from_millis(2);
/// How long a connection that closes may take to send its last bytes and to have them taken.
const LINGER: Duration = Duration::from_secs(2);
/// What a connection has to say who it is when others wait for its place.
pub(super) const GUEST_PATIENCE: Duration = Duration::from_secs(2);
/// Poll bits of a connection that is over in both directions.
const ENDED: i32 = (PollFlags::HUP.bits() | PollFlags::ERR.bits()) as i32;
/// Poll bits after which the socket is read to its end.
const ENDING: i32 = (PollFlags::RDHUP.bits() | PollFlags::HUP.bits() | PollFlags::ERR.bits()) as i32;
