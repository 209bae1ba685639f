//! What the benches share: fixtures, a performer without a disk, and how long a bench takes.
//!
//! Each bench guards a decision, which it names in its first lines together with the figure that should worry us.
//! `cargo bench -p bench` runs all of them in about a minute, `cargo bench -p bench --bench append` one; criterion compares with
//! the run before and keeps its figures under `target/criterion`. Figures are worth something only against others of the same
//! machine and the same hour: measure both sides of a change, alternately, and put before and after into the commit.

#![forbid(unsafe_code)]

pub mod disk;
pub mod two_people;

use std::time::Duration;

use criterion::Criterion;
use wire::frame::{Send, SendFlags};
use wire::{Counter, DeviceNo, Frame, Mid, Name};

/// A configuration that settles within a few seconds a bench.
pub fn quick(criterion: Criterion) -> Criterion {
    criterion.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2))
}

/// A checked name.
///
/// # Panics
/// When `text` is not one.
pub fn name(text: &str) -> Name<'_> {
    Name::parse(text.as_bytes()).expect("a bench gives good names")
}

/// SEND number `counter` of the user's device 1, with `span` earlier ones in flight.
pub fn send_frame<'a>(counter: u64, span: u8, to: &'a str, body: &'a [u8]) -> Frame<'a> {
    Frame::Send(Send {
        mid: Mid::new(DeviceNo(1), Counter(counter)),
        span,
        flags: SendFlags::default(),
        kind: 0,
        to: name(to),
        body,
    })
}
