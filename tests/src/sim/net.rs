//! The network between clients and the gateway: links that carry bytes in order, in any pieces, and may die at any byte.
//!
//! It knows nothing of frames. Which bytes move when is decided by whoever calls; what a dead link still delivers is
//! decided when it dies.

use std::collections::VecDeque;
use std::fmt;

use super::rng::Rng;

/// A link, for as long as the world lasts: never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u32);

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "link {}", self.0)
    }
}

/// Which end of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The client's.
    Client = 0,
    /// The gateway's.
    Gateway = 1,
}

/// What reading gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// Bytes, at least one.
    Bytes(Vec<u8>),
    /// Nothing now.
    Nothing,
    /// Nothing ever again.
    Over,
}

/// One direction.
#[derive(Debug, Default)]
struct Pipe {
    bytes: VecDeque<u8>,
    /// How much fits; a write beyond it is cut short.
    capacity: usize,
    /// What is written now is lost.
    is_deaf: bool,
    /// After the bytes comes the end, and the reader is told.
    ends: bool,
}

/// Every link there ever was.
#[derive(Debug, Default)]
pub struct Net {
    /// To the client, to the gateway.
    links: Vec<[Pipe; 2]>,
}

impl Net {
    /// A new link whose directions hold so many bytes in flight.
    pub fn open(&mut self, capacity: usize) -> LinkId {
        let id = LinkId(u32::try_from(self.links.len()).expect("fewer than 4 billion links"));
        self.links.push([0, 1].map(|_| Pipe { capacity, ..Pipe::default() }));
        id
    }

    /// Changes what fits in the direction to `reader`.
    pub fn set_capacity(&mut self, link: LinkId, reader: End, capacity: usize) {
        self.pipe(link, reader).capacity = capacity;
    }

    /// Bytes on the way to `reader`.
    pub fn in_flight_len(&self, link: LinkId, reader: End) -> usize {
        self.links[link.0 as usize][reader as usize].bytes.len()
    }

    /// Whether `reader` would get something from [`Net::read`].
    pub fn is_readable(&self, link: LinkId, reader: End) -> bool {
        let pipe = &self.links[link.0 as usize][reader as usize];
        !pipe.bytes.is_empty() || pipe.ends
    }

    /// Whether the other end is gone, and `reader` could know it.
    pub fn has_ended(&self, link: LinkId, reader: End) -> bool {
        self.links[link.0 as usize][reader as usize].ends
    }

    /// Whether a write towards `reader` would get rid of something.
    pub fn has_room(&self, link: LinkId, reader: End) -> bool {
        let pipe = &self.links[link.0 as usize][reader as usize];
        pipe.is_deaf || pipe.bytes.len() < pipe.capacity
    }

    /// Writes towards `reader` what fits, and says how much that was.
    pub fn write(&mut self, link: LinkId, reader: End, bytes: &[u8]) -> usize {
        let pipe = self.pipe(link, reader);
        if pipe.is_deaf {
            return bytes.len();
        }
        let room = pipe.capacity.saturating_sub(pipe.bytes.len());
        let taken = bytes.len().min(room);
        pipe.bytes.extend(&bytes[..taken]);
        taken
    }

    /// Reads at most `len_max` bytes at `reader`'s end.
    pub fn read(&mut self, link: LinkId, reader: End, len_max: usize) -> Reading {
        let pipe = self.pipe(link, reader);
        if pipe.bytes.is_empty() {
            return if pipe.ends { Reading::Over } else { Reading::Nothing };
        }
        let len = pipe.bytes.len().min(len_max.max(1));
        Reading::Bytes(pipe.bytes.drain(..len).collect())
    }

    /// `closer` closes its end in good order: the other reads what is in flight and then the end; what the other writes is lost.
    pub fn close(&mut self, link: LinkId, closer: End) {
        let (theirs, ours) = match closer {
            End::Client => (End::Gateway, End::Client),
            End::Gateway => (End::Client, End::Gateway),
        };
        let out = self.pipe(link, theirs);
        (out.is_deaf, out.ends) = (true, true);
        let own = self.pipe(link, ours);
        own.is_deaf = true;
        own.bytes.clear();
    }

    /// The link dies. `reader` still gets the first `kept` bytes in flight to it, and hears of the end if `hears`; if
    /// not, silence is all it has to go by.
    pub fn cut(&mut self, link: LinkId, reader: End, kept: usize, hears: bool) {
        let pipe = self.pipe(link, reader);
        pipe.bytes.truncate(kept);
        pipe.is_deaf = true;
        pipe.ends |= hears;
    }

    fn pipe(&mut self, link: LinkId, reader: End) -> &mut Pipe {
        &mut self.links[link.0 as usize][reader as usize]
    }
}

/// How much one read brings: often a few bytes, so that frames come in pieces.
pub fn piece_len(rng: &mut Rng) -> usize {
    match rng.below(4) {
        0 => 1 + rng.index(8),
        1 => 1 + rng.index(64),
        _ => 64 << 10,
    }
}

/// The gateway's end dies: the client gets a part of what was in flight and then the end.
pub fn reset(link: LinkId, net: &mut Net, rng: &mut Rng) {
    net.cut(link, End::Gateway, 0, true);
    let kept = rng.index(net.in_flight_len(link, End::Client) + 1);
    net.cut(link, End::Client, kept, true);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_link_delivers_a_prefix_and_then_the_end() {
        let mut net = Net::default();
        let link = net.open(8);
        assert_eq!(net.write(link, End::Gateway, b"0123456789"), 8, "no more fits");
        net.cut(link, End::Gateway, 3, true);
        assert_eq!(net.write(link, End::Gateway, b"ab"), 2, "lost without a word");
        assert_eq!(net.read(link, End::Gateway, 2), Reading::Bytes(b"01".to_vec()));
        assert_eq!(net.read(link, End::Gateway, 2), Reading::Bytes(b"2".to_vec()));
        assert_eq!(net.read(link, End::Gateway, 2), Reading::Over);
    }

    #[test]
    fn a_silent_cut_tells_nothing() {
        let mut net = Net::default();
        let link = net.open(8);
        net.cut(link, End::Client, 0, false);
        assert_eq!(net.read(link, End::Client, 9), Reading::Nothing);
    }

    #[test]
    fn a_close_lets_the_other_end_read_to_the_end() {
        let mut net = Net::default();
        let link = net.open(8);
        net.write(link, End::Gateway, b"bye");
        net.write(link, End::Client, b"lost");
        net.close(link, End::Client);
        assert_eq!(net.read(link, End::Gateway, 9), Reading::Bytes(b"bye".to_vec()));
        assert_eq!(net.read(link, End::Gateway, 9), Reading::Over);
        assert_eq!(net.write(link, End::Client, b"more"), 4);
        assert!(!net.is_readable(link, End::Client));
    }
}
