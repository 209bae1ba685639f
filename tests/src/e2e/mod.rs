//! Helpers for tests that run the real programs: start and stop a gateway, speak frames by hand, drive clients of the SDK.
//!
//! Nothing in here sleeps: everything waits for a condition, and panics with what it knows when a deadline passes.

mod account;
mod admin;
mod conn;
mod gateway;
mod pause;
mod person;
mod port;
mod process;
mod stream;
mod token;

pub use account::{Done, LoginEnd, users, users_done, users_refused};
pub use admin::{Admin, Answer, Metrics, read_to_end};
pub use conn::{Conn, Got, HelloSpec, frame_bytes};
pub use gateway::{Gateway, Setup, copy_dir};
pub use pause::{LIMIT, until};
pub use person::{Person, drive, drive_until};
pub use port::quiet_address;
pub use process::{Process, loadgen_bin, shardwire_bin};
pub use token::Keys;
