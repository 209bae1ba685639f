//! The log from outside: what it asks of a disk and what it tells its owner.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test that meets an error fails")]

mod commit;
mod counters;
mod errors;
mod fixture;
mod owner;
mod reading;
mod reclaim;
mod recovery;
mod start;
mod survey;
