//! The wire as a peer sees it: layout, golden vectors, refusals, hostile and random bytes, peers of another version, and whether
//! `docs/protocol.md` still says the same.

#![deny(unsafe_code)]

mod deframing;
mod document;
mod future;
mod golden;
mod hostile;
mod json;
mod layout;
mod names;
mod random;
mod refusals;
mod samples;
mod table;

use wire::{Frame, WireError, limits::HEADER_LEN};

/// Header and payload.
fn encoded(frame: &Frame<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    wire::encode(frame, &mut bytes);
    bytes
}

/// What follows the header.
fn payload(frame: &Frame<'_>) -> Vec<u8> {
    encoded(frame).split_off(HEADER_LEN)
}

/// The error of a payload that must be refused.
#[track_caller]
fn refused(frame_type: u8, payload: &[u8]) -> WireError {
    wire::decode(frame_type, payload).expect_err("this payload must be refused")
}

/// A small generator of numbers that look random: splitmix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// `0 <= result < end`.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).expect("fits")).expect("below a usize")
    }

    /// Mostly small numbers, sometimes any, so that edges are met.
    fn number(&mut self) -> u64 {
        let bits = self.below(65);
        if bits == 0 { 0 } else { self.next() >> (64 - bits) }
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next().to_le_bytes()[0]).collect()
    }
}
