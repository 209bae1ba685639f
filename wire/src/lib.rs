//! Frames as they are on a socket: layout, limits, deframing, verification, status and close codes.
//!
//! Step 2 of the walk in `docs/architecture.md`. Everything here is a pure function of its bytes; `docs/protocol.md`
//! is the same text for people who write clients in other languages.

#![deny(unsafe_code)]

pub mod code;
mod control;
mod decode;
pub mod deframer;
mod encode;
pub mod error;
pub mod frame;
pub mod frame_type;
#[allow(
    unsafe_code,
    missing_docs,
    unreachable_pub,
    rust_2018_idioms,
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    clippy::unwrap_used,
    clippy::semicolon_if_nothing_returned,
    reason = "checked in as `cargo xtask gen` writes it"
)]
mod generated;
pub mod id;
pub mod limits;
mod lists;
pub mod name;

pub use code::Code;
pub use decode::decode;
pub use deframer::{Cut, Deframer, cut};
pub use encode::encode;
pub use error::WireError;
pub use frame::Frame;
pub use id::{Counter, DeviceNo, Id, Incarnation, Mid};
pub use name::{Device, DeviceBuf, Name, NameBuf};
