//! The Rust client of Shardwire: log in, send until it is safe, receive once and in order, come back after a disconnection.
//!
//! [`Client`] is the whole client as a state machine: no clock, socket, thread or randomness of its own. A transport hands it
//! bytes and the time and carries away what it wants written. What must outlive the process
//! goes through a [`Store`]. The same client runs in the chat, in the load generator and, with simulated time and network, in
//! the project's simulation.
//!
//! Promises and their limits are in `docs/delivery.md`, the frames in `docs/protocol.md`.

#![forbid(unsafe_code)]

mod account;
pub mod adapter;
mod backoff;
mod client;
mod config;
mod dedup;
mod endpoint;
mod error;
mod event;
mod heartbeat;
mod inbox;
mod login;
mod outbox;
mod sending;
mod session;
pub mod store;
pub mod tls;

pub use client::Client;
#[cfg(feature = "planted")]
pub use client::Fault;
pub use config::{Backoff, Config, Credential};
pub use endpoint::Endpoint;
pub use error::{AccountError, SendError, StoreError};
pub use event::{Event, Received, Welcomed};
pub use store::{Change, FileStore, MemoryStore, NoStore, State, Store};
