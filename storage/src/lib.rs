//! The segmented log of one shard: what is kept for devices that are away, and the little state that must outlive a crash.
//!
//! Step 7b of the walk in `docs/architecture.md`. Nothing here opens a file or asks the time: operations go out as
//! [`DiskOp`]s, completions come back as [`DiskDone`]s, and the byte layout is in `docs/storage.md`.

#![forbid(unsafe_code)]

pub mod disk;
pub mod event;
pub mod log;
pub mod record;

pub use disk::{DiskData, DiskDone, DiskError, DiskOp, DiskOpKind, File, Generation, OpId};
pub use event::{AppendError, LogEvent, LogState, Place};
pub use log::{Log, LogConfig};
pub use record::{InboxNo, Lsn, Message, Record, StoreId, StoredMessage};
