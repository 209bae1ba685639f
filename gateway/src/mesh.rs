//! The mesh: how shards reach each other. Step 5 of the walk.
//!
//! There is a lane for each ordered pair of shards and each class of envelopes: a queue of 64 *batches*, since a queue allocates
//! its slots ahead and single envelopes between 64 shards would take a gigabyte. A turn pushes at most one batch per lane;
//! what finds the lane full stays staged, and goes with the next batch. Nothing blocks and nothing is lost: how much can be
//! staged is bounded by the core, which keeps count of what has no outcome yet. While the log takes nothing, an entry gives its room
//! on the lane back before it has an outcome; the outcomes of such entries come all at once when it takes messages again, and may be more
//! than that bound. Each of them stands for an entry that waited in memory until then and was larger (asserted in the core): what is
//! staged never takes more than what has just become free, and both are bounded by what devices may have in flight.
//!
//! **Wakes.** A shard that has nothing to do sets its flag, then looks once more at everything others may have pushed, then
//! sleeps. Whoever pushes looks at the flag afterwards; the first to take it down wakes. With a full fence on both sides between
//! the write and the look, one of the two sees the other. The same holds where a lane is full: the sender sets `is_starved`, tries once
//! more, and may sleep; the receiver looks at it after it has taken something.
//!
//! Shards wake each other by a message from ring to ring, one more entry of a submission that is made anyway (18 µs of CPU a
//! side, where writing to an eventfd took 39). Other threads write to the eventfd that the sleeper waits on.

use std::os::fd::{OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering, fence};
use std::sync::{Arc, OnceLock};

use crossbeam::queue::{ArrayQueue, SegQueue};
use gateway_core::{ConnId, Envelope, Refusal, ShardIndex};
use tokio::sync::oneshot;
use wire::{Code, DeviceBuf, NameBuf};

use crate::handoff::Handoff;
use crate::secrets::Secrets;
use crate::snapshot::Snapshot;

/// What all shards and the main thread share.
pub(crate) struct Mesh {
    ports: Vec<Port>,
}

/// Where one shard is reached.
struct Port {
    /// The lanes that end here, by sender and class.
    lanes: Vec<[Lane; CLASS_COUNT]>,
    /// Connections whose users live here. As many as there are connections, at most.
    handoffs: SegQueue<Handoff>,
    /// What threads that are no shards have to say. Rare.
    letters: SegQueue<Letter>,
    is_asleep: AtomicBool,
    /// Negative until the shard has its ring.
    ring_number: AtomicI32,
    bell: OnceLock<OwnedFd>,
}

/// One direction of one pair, for one class. Each end has one thread.
struct Lane {
    full: ArrayQueue<Box<Batch>>,
    /// Empty batches on their way back.
    spent: ArrayQueue<Box<Batch>>,
    /// The sender holds something back and waits for room.
    is_starved: AtomicBool,
}

#[derive(Default)]
struct Batch {
    envelopes: Vec<Envelope>,
}

/// What the main thread or a helper thread tells a shard.
///
/// Lost: cannot be. Late: the shard goes on as before. Twice: nothing more happens.
pub(crate) enum Letter {
    /// All shards are ready: take connections from this listener, too.
    Serve {
        /// It listens.
        socket: OwnedFd,
        /// What comes there speaks TLS.
        is_tls: bool,
    },
    /// Other secrets, in the place of those before: for whoever comes from now on.
    Secrets(Arc<Secrets>),
    /// No new work.
    Drain,
    /// Say what the drain waits for: [`crate::shard_loop::Report::Left`].
    TellLeft,
    /// All shards have drained: end.
    Stop,
    /// Somebody wants to know how the shard is: it answers at the end of its turn. Who has stopped waiting gets no answer.
    Report(oneshot::Sender<Box<Snapshot>>),
    /// A disk operation that a helper thread did.
    Disk(storage::DiskDone),
    /// A password was checked, as `Accounts::try_login` asked.
    LoginChecked {
        /// Which connection; it may be gone.
        conn: ConnId,
        /// Who it says it is.
        user: NameBuf,
        /// For the ticket.
        device: DeviceBuf,
        /// When the proof was given, in µs since 1970, or why it is none.
        verdict: Result<u64, Refusal>,
    },
    /// What `Accounts::try_account` asked for is done and durable, or refused and nothing was changed; after a failed commit (500) it
    /// may be either.
    AccountDone {
        /// Which connection; it may be gone.
        conn: ConnId,
        /// The client's number for it.
        request: u32,
        /// For whom a fresh ticket is to be made, and for a proof of which moment; `None` for no ticket.
        result: Result<Option<(NameBuf, DeviceBuf, u64)>, Refusal>,
    },
    /// For a user's home: `gateway_core::Input::Void`.
    Void {
        /// Whose logins.
        user: NameBuf,
        /// Those proven before this are void.
        before_us: u64,
        /// What sessions that end by it are told.
        code: Code,
        /// Devices and messages go, too.
        purge: bool,
        /// The session that stays.
        except: Option<ConnId>,
    },
}

/// A shard's own end of the mesh.
pub(crate) struct MeshEnd {
    mesh: Arc<Mesh>,
    own: u16,
    /// What did not go out yet, by receiver and class.
    staged: Vec<[Vec<Envelope>; CLASS_COUNT]>,
    /// Those of `staged` that hold something; each once.
    stages: Vec<(u16, usize)>,
}

/// What waits on the lanes of one shard, by class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LaneLoad {
    /// Batches that others sent and this shard has not taken: of all lanes that end here.
    pub(crate) batch_count: [u64; CLASS_COUNT],
    /// Envelopes of this shard that found their lane full.
    pub(crate) held_count: [u64; CLASS_COUNT],
}

/// A shard to wake, and the number of its ring.
pub(crate) struct Wake {
    pub(crate) shard: u16,
    pub(crate) ring_number: RawFd,
}

impl Mesh {
    /// For so many shards.
    pub(crate) fn new(shard_count: u16) -> Arc<Mesh> {
        let port = |_| Port {
            lanes: (0..shard_count).map(|_| std::array::from_fn(|_| Lane::new())).collect(),
            handoffs: SegQueue::new(),
            letters: SegQueue::new(),
            is_asleep: AtomicBool::new(false),
            ring_number: AtomicI32::new(-1),
            bell: OnceLock::new(),
        };
        Arc::new(Mesh { ports: (0..shard_count).map(port).collect() })
    }

    /// The end of shard `own`. One for each shard: each end of a lane has one owner.
    pub(crate) fn end(self: &Arc<Mesh>, own: u16) -> MeshEnd {
        MeshEnd {
            mesh: Arc::clone(self),
            own,
            staged: self.ports.iter().map(|_| std::array::from_fn(|_| Vec::new())).collect(),
            stages: Vec::new(),
        }
    }

    /// Tells a shard something, from any thread.
    pub(crate) fn send_letter(&self, shard: u16, letter: Letter) {
        self.port(shard).letters.push(letter);
        self.ring_bell(shard);
    }

    /// Ends the shard's sleep, from any thread. A shard that has no bell yet is not asleep.
    pub(crate) fn ring_bell(&self, shard: u16) {
        if let Some(bell) = self.port(shard).bell.get() {
            // Fails only at a count of 2^64, and then it rings anyway.
            let _ = rustix::io::write(bell, &1u64.to_ne_bytes());
        }
    }

    fn port(&self, shard: u16) -> &Port {
        self.ports.get(usize::from(shard)).expect("the core names shards of the store")
    }
}

impl MeshEnd {
    /// From here on others can wake this shard.
    pub(crate) fn open(&mut self, ring_number: RawFd, bell: OwnedFd) {
        let port = self.mesh.port(self.own);
        port.ring_number.store(ring_number, Ordering::Release);
        if port.bell.set(bell).is_err() {
            unreachable!("each shard opens its end once");
        }
        // A letter that came before had no bell to ring; the shard is awake now and looks at the end of its turn.
    }

    /// Everything shared; for the threads that help this shard.
    pub(crate) fn mesh(&self) -> &Arc<Mesh> {
        &self.mesh
    }

    /// Puts an envelope on the way: it leaves at the end of the turn, or when the lane has room.
    pub(crate) fn stage(&mut self, to: ShardIndex, envelope: Envelope) {
        debug_assert_ne!(to.0, self.own, "a shard does not write to itself");
        let class = envelope.class() as usize;
        let staged = &mut self.staged[usize::from(to.0)][class];
        if staged.is_empty() {
            self.stages.push((to.0, class));
        }
        staged.push(envelope);
    }

    /// Pushes one batch per lane that has something staged. Calls `wake` for each shard that sleeps and got something.
    pub(crate) fn push(&mut self, mut wake: impl FnMut(Wake)) {
        let MeshEnd { mesh, own, staged, stages } = self;
        stages.retain(|(to, class)| {
            let port = mesh.port(*to);
            let lane = &port.lanes[usize::from(*own)][*class];
            let staged = &mut staged[usize::from(*to)][*class];
            if lane.push(staged) {
                port.wake(*to, &mut wake);
                return false;
            }
            lane.is_starved.store(true, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            // It may have been emptied before it was marked, and then nobody looks at the mark.
            let is_held = !lane.push(staged);
            if !is_held {
                port.wake(*to, &mut wake);
            }
            is_held
        });
    }

    /// Takes what others pushed: at most `batch_count_max` batches a lane, each lane in its order, outcomes first, since they free
    /// what the others wait for. Calls `wake` for each shard that waited for room here.
    pub(crate) fn receive(
        &mut self,
        batch_count_max: usize,
        mut wake: impl FnMut(Wake),
        mut take: impl FnMut(ShardIndex, Envelope),
    ) {
        let mesh = Arc::clone(&self.mesh);
        for class in (0..CLASS_COUNT).rev() {
            for (from, lanes) in (0..).zip(&mesh.port(self.own).lanes) {
                let lane = &lanes[class];
                for _ in 0..batch_count_max {
                    let Some(mut batch) = lane.full.pop() else { break };
                    for envelope in batch.envelopes.drain(..) {
                        take(ShardIndex(from), envelope);
                    }
                    if batch.envelopes.capacity() <= KEPT_COUNT_MAX {
                        // Full of empty ones already: this one is freed.
                        let _ = lane.spent.push(batch);
                    }
                    fence(Ordering::SeqCst);
                    if lane.is_starved.load(Ordering::Relaxed) && lane.is_starved.swap(false, Ordering::Relaxed) {
                        mesh.port(from).wake(from, &mut wake);
                    }
                }
            }
        }
    }

    /// Hands a connection to its user's home, perhaps this shard.
    pub(crate) fn hand_off(&mut self, to: ShardIndex, handoff: Handoff, mut wake: impl FnMut(Wake)) {
        let port = self.mesh.port(to.0);
        port.handoffs.push(handoff);
        port.wake(to.0, &mut wake);
    }

    /// The next connection that was handed to this shard.
    pub(crate) fn next_handoff(&mut self) -> Option<Handoff> {
        self.mesh.port(self.own).handoffs.pop()
    }

    /// The next letter.
    pub(crate) fn next_letter(&mut self) -> Option<Letter> {
        self.mesh.port(self.own).letters.pop()
    }

    /// Whether something waits here for this shard, or something staged would find room.
    pub(crate) fn has_work(&self) -> bool {
        let port = self.mesh.port(self.own);
        let has_room = |(to, class): &(u16, usize)| {
            let lane = &self.mesh.port(*to).lanes[usize::from(self.own)][*class];
            !lane.full.is_full()
        };
        !port.handoffs.is_empty()
            || !port.letters.is_empty()
            || port.lanes.iter().flatten().any(|lane| !lane.full.is_empty())
            || self.stages.iter().any(has_room)
    }

    /// What waits. Cost: a look at each lane.
    pub(crate) fn load(&self) -> LaneLoad {
        let mut load = LaneLoad::default();
        for lanes in &self.mesh.port(self.own).lanes {
            for (count, lane) in load.batch_count.iter_mut().zip(lanes) {
                *count += lane.full.len() as u64;
            }
        }
        for staged in &self.staged {
            for (count, envelopes) in load.held_count.iter_mut().zip(staged) {
                *count += envelopes.len() as u64;
            }
        }
        load
    }

    /// Whether something staged found its lane full.
    #[cfg(test)]
    pub(crate) fn holds_back(&self) -> bool {
        !self.stages.is_empty()
    }

    /// From here on, whoever pushes something wakes this shard. False, and nothing has changed, when there is something already.
    pub(crate) fn fall_asleep(&mut self) -> bool {
        let port = self.mesh.port(self.own);
        port.is_asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let may_sleep = !self.has_work();
        if !may_sleep {
            self.wake_up();
        }
        may_sleep
    }

    /// Nobody needs to wake this shard.
    pub(crate) fn wake_up(&mut self) {
        self.mesh.port(self.own).is_asleep.store(false, Ordering::Relaxed);
    }
}

impl Port {
    /// Wakes the shard of this port if it sleeps and nobody else does it. What it is to find was pushed before.
    fn wake(&self, shard: u16, wake: &mut impl FnMut(Wake)) {
        fence(Ordering::SeqCst);
        if self.is_asleep.load(Ordering::Relaxed) && self.is_asleep.swap(false, Ordering::Relaxed) {
            let ring_number = self.ring_number.load(Ordering::Acquire);
            wake(Wake { shard, ring_number });
        }
    }
}

impl Lane {
    fn new() -> Lane {
        Lane {
            full: ArrayQueue::new(BATCH_COUNT),
            spent: ArrayQueue::new(SPENT_COUNT),
            is_starved: AtomicBool::new(false),
        }
    }

    /// Sends all of `staged` as one batch; false, and nothing has changed, when the lane is full.
    fn push(&self, staged: &mut Vec<Envelope>) -> bool {
        if self.full.is_full() {
            return false;
        }
        let mut batch = self.spent.pop().unwrap_or_default();
        std::mem::swap(&mut batch.envelopes, staged);
        if self.full.push(batch).is_err() {
            unreachable!("only this thread pushes, and there was room");
        }
        true
    }
}

/// One for each `gateway_core::LaneClass`.
pub(crate) const CLASS_COUNT: usize = 3;
/// Batches on a lane: what a receiver may be behind, in turns of the sender.
const BATCH_COUNT: usize = 64;
/// Empty batches kept for a lane: a receiver that keeps up gives one back before the next is needed.
const SPENT_COUNT: usize = 8;
/// A batch with room for more is freed after use: a burst must not be remembered for ever.
const KEPT_COUNT_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use gateway_core::envelope::Parcel;
    use wire::Mid;
    use wire::frame::SendFlags;

    use super::*;

    fn numbered(n: u64) -> Envelope {
        let bytes = Box::default();
        let parcel = Parcel { mid: Mid(n), flags: SendFlags::default(), kind: 0, from_len: 0, to_len: 0, bytes };
        Envelope::Ephemeral { parcel }
    }

    fn number(envelope: &Envelope) -> u64 {
        match envelope {
            Envelope::Ephemeral { parcel } => parcel.mid.0,
            other => panic!("{other:?}"),
        }
    }

    fn pair() -> (MeshEnd, MeshEnd) {
        let mesh = Mesh::new(2);
        (mesh.end(0), mesh.end(1))
    }

    fn received(end: &mut MeshEnd, batch_count_max: usize) -> (Vec<u64>, usize) {
        let (mut numbers, mut wakes) = (Vec::new(), 0);
        end.receive(batch_count_max, |_| wakes += 1, |_, envelope| numbers.push(number(&envelope)));
        (numbers, wakes)
    }

    #[test]
    fn a_full_lane_holds_back_and_keeps_the_order() {
        let (mut a, mut b) = pair();
        for n in 0..200 {
            a.stage(ShardIndex(1), numbered(n));
            a.push(|_| panic!("nobody sleeps"));
        }
        assert_eq!(a.stages.len(), 1, "the rest is staged");
        let (mut numbers, _) = received(&mut b, usize::MAX);
        assert_eq!(numbers.len(), BATCH_COUNT);
        a.push(|_| panic!("nobody sleeps"));
        assert_eq!(a.stages.len(), 0, "one batch takes all that was staged");
        numbers.extend(received(&mut b, usize::MAX).0);
        assert!(numbers.iter().copied().eq(0..200));
    }

    #[test]
    fn what_waits_is_counted_at_both_ends() {
        let (mut a, mut b) = pair();
        let class = numbered(0).class() as usize;
        for n in 0..BATCH_COUNT as u64 + 3 {
            a.stage(ShardIndex(1), numbered(n));
            a.push(|_| ());
        }
        assert_eq!((b.load().batch_count[class], b.load().held_count[class]), (BATCH_COUNT as u64, 0));
        assert_eq!((a.load().batch_count[class], a.load().held_count[class]), (0, 3));
        received(&mut b, usize::MAX);
        a.push(|_| ());
        received(&mut b, usize::MAX);
        assert_eq!((a.load(), b.load()), (LaneLoad::default(), LaneLoad::default()));
    }

    #[test]
    fn a_receiver_takes_no_more_than_it_wants() {
        let (mut a, mut b) = pair();
        for n in 0..10 {
            a.stage(ShardIndex(1), numbered(n));
            a.push(|_| ());
        }
        assert_eq!(received(&mut b, 3).0, [0, 1, 2]);
        assert!(b.has_work());
        assert_eq!(received(&mut b, 100).0.len(), 7);
        assert!(!b.has_work());
    }

    #[test]
    fn a_sleeper_is_woken_once_and_only_for_what_came_after() {
        let (mut a, mut b) = pair();
        a.stage(ShardIndex(1), numbered(0));
        a.push(|_| panic!("nobody sleeps"));
        assert!(!b.fall_asleep(), "something came before");
        received(&mut b, 1);
        assert!(b.fall_asleep());
        let mut wakes = Vec::new();
        for n in 1..4 {
            a.stage(ShardIndex(1), numbered(n));
            a.push(|wake| wakes.push(wake.shard));
        }
        assert_eq!(wakes, [1]);
    }

    #[test]
    fn who_sleeps_on_a_full_lane_is_woken_when_there_is_room() {
        let (mut a, mut b) = pair();
        for n in 0..=BATCH_COUNT as u64 {
            a.stage(ShardIndex(1), numbered(n));
            a.push(|_| ());
        }
        assert!(a.fall_asleep(), "it cannot do anything now");
        assert_eq!(received(&mut b, 1), (vec![0], 1));
        assert!(a.has_work());
        assert_eq!(received(&mut b, 1), (vec![1], 0), "once is enough");
    }

    #[test]
    fn a_letter_rings_the_bell() {
        let (_, mut b) = pair();
        let bell = rustix::event::eventfd(0, rustix::event::EventfdFlags::empty()).unwrap();
        b.open(3, bell.try_clone().unwrap());
        assert!(b.fall_asleep());
        b.mesh().send_letter(1, Letter::Drain);
        let mut count = [0; 8];
        rustix::io::read(&bell, &mut count).unwrap();
        assert!(matches!(b.next_letter(), Some(Letter::Drain)));
    }

    /// Two shards on two threads send each other numbers; each sleeps whenever it may and relies on being woken. A lost wake
    /// or a lost batch would leave both asleep.
    #[test]
    fn no_wake_and_no_envelope_is_lost_between_threads() {
        const COUNT: u64 = 20_000;
        let mesh = Mesh::new(2);
        let run = |own: u16| {
            let mut end = mesh.end(own);
            let other = 1 - own;
            move || {
                let bell = rustix::event::eventfd(0, rustix::event::EventfdFlags::empty()).unwrap();
                end.open(0, bell.try_clone().unwrap());
                let give_up = Instant::now() + Duration::from_secs(60);
                let (mut sent, mut expected) = (0, 0);
                while sent < COUNT || expected < COUNT || !end.stages.is_empty() {
                    // Ahead of the other by more than the lanes hold, so that both block each other too.
                    for _ in 0..(sent % 7) {
                        if sent < COUNT && sent < expected + 500 {
                            end.stage(ShardIndex(other), numbered(sent));
                            sent += 1;
                        }
                    }
                    if sent < COUNT && sent % 7 == 0 && sent < expected + 500 {
                        end.stage(ShardIndex(other), numbered(sent));
                        sent += 1;
                    }
                    let mesh = Arc::clone(end.mesh());
                    end.push(|wake| mesh.ring_bell(wake.shard));
                    end.receive(
                        1,
                        |wake| mesh.ring_bell(wake.shard),
                        |_, envelope| {
                            assert_eq!(number(&envelope), expected);
                            expected += 1;
                        },
                    );
                    let is_waiting = sent >= COUNT || sent >= expected + 500;
                    if is_waiting && (sent < COUNT || expected < COUNT) && end.fall_asleep() {
                        let mut fds = [rustix::event::PollFd::new(&bell, rustix::event::PollFlags::IN)];
                        let left = give_up.saturating_duration_since(Instant::now());
                        let left = rustix::event::Timespec::try_from(left).unwrap();
                        assert!(rustix::event::poll(&mut fds, Some(&left)).unwrap() > 0, "shard {own} was never woken");
                        rustix::io::read(&bell, &mut [0; 8]).unwrap();
                        end.wake_up();
                    }
                }
                expected
            }
        };
        let threads = [std::thread::spawn(run(0)), std::thread::spawn(run(1))];
        for thread in threads {
            assert_eq!(thread.join().unwrap(), COUNT);
        }
    }
}
