//! What lies between the shards: lanes, connections on their way to their home, and the listener that all shards share.

use std::collections::VecDeque;

use gateway_core::{Envelope, LaneClass, Login, ShardConfig, ShardIndex};

use super::net::LinkId;
use super::rng::Rng;

/// A connection that logged in, between two shards.
#[derive(Debug)]
pub struct Moving {
    /// The connection.
    pub link: LinkId,
    /// Read and not handed in.
    pub unread: Vec<u8>,
    /// To be written.
    pub outbox: VecDeque<u8>,
    /// What HELLO said.
    pub login: Box<Login>,
}

/// The classes of lanes, in order.
const CLASSES: [LaneClass; 3] = [LaneClass::FirstHop, LaneClass::FanOut, LaneClass::Outcome];

/// All of it.
#[derive(Debug)]
pub struct Mesh {
    shard_count: usize,
    /// By receiver, sender and class.
    lanes: Vec<VecDeque<Envelope>>,
    /// By receiver.
    moving: Vec<Vec<Moving>>,
    backlog: VecDeque<LinkId>,
    /// Whose link it is, by link.
    owners: Vec<u16>,
    /// Whether the listener is.
    pub is_open: bool,
}

impl Mesh {
    /// Between so many shards.
    pub fn new(shard_count: usize) -> Mesh {
        Mesh {
            shard_count,
            lanes: (0..shard_count * shard_count * CLASSES.len()).map(|_| VecDeque::new()).collect(),
            moving: (0..shard_count).map(|_| Vec::new()).collect(),
            backlog: VecDeque::new(),
            owners: Vec::new(),
            is_open: false,
        }
    }

    /// A client connects.
    pub fn connect(&mut self, link: LinkId, install: u16) {
        debug_assert_eq!(self.owners.len(), link.0 as usize, "every link connects once");
        self.owners.push(install);
        self.backlog.push_back(link);
    }

    /// Whose link it is.
    pub fn owner(&self, link: LinkId) -> u16 {
        self.owners[link.0 as usize]
    }

    /// Whether somebody waits to be accepted.
    pub fn has_backlog(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// The next one.
    pub fn accept(&mut self) -> Option<LinkId> {
        self.backlog.pop_front()
    }

    /// Puts a connection on its way.
    pub fn hand_off(&mut self, to: ShardIndex, moving: Moving) {
        self.moving[usize::from(to.0)].push(moving);
    }

    /// Whether a connection is on its way to this shard.
    pub fn has_moving(&self, to: ShardIndex) -> bool {
        !self.moving[usize::from(to.0)].is_empty()
    }

    /// One of them, any: they come over different lanes.
    pub fn take_moving(&mut self, to: ShardIndex, rng: &mut Rng) -> Option<Moving> {
        let moving = &mut self.moving[usize::from(to.0)];
        (!moving.is_empty()).then(|| moving.swap_remove(rng.index(moving.len())))
    }

    /// Puts an envelope into its lane.
    ///
    /// # Errors
    /// The rule that is broken: it is for its sender, for nobody, or the lane holds more than is allowed.
    pub fn forward(
        &mut self,
        from: ShardIndex,
        to: ShardIndex,
        envelope: Envelope,
        config: &ShardConfig,
    ) -> Result<(), String> {
        if from == to || usize::from(to.0) >= self.shard_count {
            return Err(format!("shard {} forwards to {}", from.0, to.0));
        }
        // One outcome a message gives its room back. The others are few: one that says accepted, and a late one of each message
        // that waits in its recipient's window, bounded there, for a disk that takes nothing.
        let takes_room = |envelope: &&Envelope| !matches!(envelope, Envelope::Outcome { room: None, .. });
        let at = self.at(from, to, envelope.class());
        let place_count = config.lane_count_max as usize + usize::from(envelope.class() == LaneClass::Outcome);
        self.lanes[at].push_back(envelope);
        if self.lanes[at].iter().filter(takes_room).count() > place_count {
            return Err(format!("the lane from {} to {} holds {}", from.0, to.0, self.lanes[at].len()));
        }
        Ok(())
    }

    /// The lanes to this shard that hold something.
    pub fn waiting(&self, to: ShardIndex) -> impl Iterator<Item = (ShardIndex, LaneClass)> {
        (0..self.shard_count).flat_map(move |from| {
            let from = ShardIndex(u16::try_from(from).expect("few shards"));
            CLASSES
                .into_iter()
                .filter(move |class| !self.lanes[self.at(from, to, *class)].is_empty())
                .map(move |class| (from, class))
        })
    }

    /// The next envelope of a lane.
    pub fn take(&mut self, from: ShardIndex, to: ShardIndex, class: LaneClass) -> Option<Envelope> {
        let at = self.at(from, to, class);
        self.lanes[at].pop_front()
    }

    /// Everything between the shards is gone; the links that were are the caller's to cut.
    pub fn crash(&mut self) -> Vec<LinkId> {
        self.lanes.iter_mut().for_each(VecDeque::clear);
        let moving = self.moving.iter_mut().flat_map(|moving| moving.drain(..).map(|moving| moving.link));
        moving.chain(self.backlog.drain(..)).collect()
    }

    fn at(&self, from: ShardIndex, to: ShardIndex, class: LaneClass) -> usize {
        (usize::from(to.0) * self.shard_count + usize::from(from.0)) * CLASSES.len() + class as usize
    }
}
