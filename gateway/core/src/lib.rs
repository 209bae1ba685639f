//! What a shard decides, and nothing of how it is done: no clock, socket, file, thread or randomness.
//!
//! Steps 3 to 8 of the walk in `docs/architecture.md`. [`Shard::handle`] takes one [`Input`] and the time, and appends to an
//! ordered list of [`Output`]s. The order of that list is the durability contract: what stands before an acknowledgement in
//! it has happened before the acknowledgement may leave.

#![forbid(unsafe_code)]

mod account;
mod catch_up;
pub mod config;
pub mod counters;
mod dedup;
mod delivery;
mod device;
mod drain;
pub mod envelope;
pub mod event;
pub mod fault;
mod heartbeat;
mod ids;
mod inbox;
mod login;
mod outbox;
mod recovery;
mod registration;
mod router;
mod sending;
mod session;
pub mod shard;
mod sign_out;
mod spill;
mod state_records;
mod user;
mod void;

pub use config::{ShardConfig, UnknownRecipients};
pub use counters::{CodeCounts, Counters, FrameCounts, LoginResult, Logins, Population, Proof};
pub use drain::DrainLeft;
pub use envelope::{Envelope, LaneClass};
pub use event::{
    AccountKind, AccountRequest, ConnId, Credential, Grant, Input, Login, Notice, Now, Output, Outputs, Refusal,
    ShardIndex,
};
#[cfg(feature = "planted")]
pub use fault::Fault;
pub use shard::{Shard, home};
