//! What is under way to each shard, so that a lane can always hold it.

use std::collections::VecDeque;

use crate::event::{ConnId, ShardIndex};

/// One entry per shard, this one included: local messages are bounded as well.
#[derive(Debug)]
pub(crate) struct Router {
    peers: Vec<Peer>,
    count_max: u32,
    len_max: u32,
}

#[derive(Debug, Default)]
struct Peer {
    /// Messages without an outcome; `count <= count_max`.
    count: u32,
    /// Their bytes; above `len_max` by less than one message.
    len: u64,
    /// Sessions whose next message found no room, in the order in which they came.
    stalled: VecDeque<ConnId>,
    /// Ephemeral messages taken from this peer in this turn, and their bytes.
    taken: (u32, u32),
}

impl Router {
    pub(crate) fn new(shard_count: u16, count_max: u32, len_max: u32) -> Router {
        let peers = (0..shard_count).map(|_| Peer::default()).collect();
        Router { peers, count_max, len_max }
    }

    /// Takes room for one more message to `to`, if there is any.
    pub(crate) fn admit(&mut self, to: ShardIndex, len: u32) -> bool {
        let (count_max, len_max) = (self.count_max, u64::from(self.len_max));
        let peer = self.peer(to);
        let fits = peer.count < count_max && peer.len < len_max;
        if fits {
            peer.count += 1;
            peer.len += u64::from(len);
        }
        fits
    }

    /// Outcomes came: their room is free again.
    pub(crate) fn on_outcome(&mut self, from: ShardIndex, count: u32, len: u32) {
        let peer = self.peer(from);
        peer.count = peer.count.checked_sub(count).expect("one outcome a message");
        peer.len = peer.len.checked_sub(u64::from(len)).expect("an outcome names its message's length");
    }

    /// A session waits for room.
    pub(crate) fn stall(&mut self, to: ShardIndex, conn: ConnId) {
        self.peer(to).stalled.push_back(conn);
    }

    /// The session that may go on, while there is room.
    pub(crate) fn pop_stalled(&mut self, to: ShardIndex) -> Option<ConnId> {
        let (count_max, len_max) = (self.count_max, u64::from(self.len_max));
        let peer = self.peer(to);
        if peer.count < count_max && peer.len < len_max { peer.stalled.pop_front() } else { None }
    }

    /// An ephemeral message left the lane.
    pub(crate) fn on_ephemeral(&mut self, from: ShardIndex, len: u32) {
        let taken = &mut self.peer(from).taken;
        *taken = (taken.0 + 1, taken.1.saturating_add(len));
    }

    /// What to report to each peer as taken since the last call.
    pub(crate) fn drain_taken(&mut self) -> impl Iterator<Item = (ShardIndex, u32, u32)> {
        self.peers.iter_mut().zip(0..).filter(|(peer, _)| peer.taken.0 > 0).map(|(peer, index)| {
            let (count, len) = std::mem::take(&mut peer.taken);
            (ShardIndex(index), count, len)
        })
    }

    /// Messages without an outcome, and sessions that wait for room.
    pub(crate) fn load(&self) -> (u64, u64) {
        self.peers
            .iter()
            .fold((0, 0), |(count, stalled), peer| (count + u64::from(peer.count), stalled + peer.stalled.len() as u64))
    }

    /// Whether everything sent has its outcome.
    pub(crate) fn is_idle(&self) -> bool {
        self.peers.iter().all(|peer| peer.count == 0)
    }

    fn peer(&mut self, shard: ShardIndex) -> &mut Peer {
        &mut self.peers[usize::from(shard.0)]
    }
}
