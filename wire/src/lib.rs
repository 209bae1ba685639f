//! Frames as they are on a socket: layout, limits, deframing, verification, status and close codes.
//!
//! Step 2 of the walk in `docs/architecture.md`. Everything here is a pure function of its bytes; `docs/protocol.md`
//! is the same text for people who write clients in other languages.

pub mod code;
pub mod frame;
pub mod id;
pub mod limits;
pub mod name;

pub use code::Code;
pub use frame::Frame;
pub use id::{Counter, DeviceNo, Id, Incarnation, Mid};
pub use name::{Device, DeviceBuf, Name, NameBuf};
