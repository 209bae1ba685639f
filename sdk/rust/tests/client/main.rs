//! The client against a scripted gateway: every frame and every microsecond is the test's.

#![expect(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a test that panics has failed")]

mod account;
mod connection;
mod pair;
mod receiving;
mod sending;
