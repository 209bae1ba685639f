//! The segmented log of one shard: what is kept for devices that are away, and the little state that must outlive a crash.
//!
//! Step 7b of the walk in `docs/architecture.md`. Nothing here opens a file or asks the time: operations go out as
//! [`DiskOp`]s, completions come back as [`DiskDone`]s, and the byte layout is in `docs/storage.md`.

#![forbid(unsafe_code)]

mod batch;
mod chain;
mod codec;
mod commit;
mod counters;
pub mod disk;
pub mod event;
mod fault;
mod finding;
mod histogram;
mod index;
mod layout;
pub mod log;
mod mend;
mod ops;
mod queue;
mod reader;
mod reclaim;
pub mod record;
mod recovery;
mod replay;
mod reservation;
mod rotate;
mod salvage;
mod scan;
mod segment;
mod segments;
mod superblock;
mod survey;
mod trail;
mod watch;
mod writer;

pub use counters::{LogCounters, LogStatus};
pub use disk::{DiskData, DiskDone, DiskError, DiskOp, DiskOpKind, File, Generation, OpId};
pub use event::{AppendError, LogEvent, LogState, Place};
#[cfg(feature = "planted")]
pub use fault::Fault;
pub use finding::{Finding, FindingKind};
pub use histogram::Histogram;
pub use log::{Log, LogConfig};
pub use record::{InboxNo, Lsn, Message, Record, StoreId, StoredMessage};
pub use survey::{
    BatchCounts, BatchSight, Cause, Conclusion, Detail, FINDING_COUNT_MAX, FieldValue, RecordCounts, RecordSight,
    SegmentRole, SegmentView, Sight, SuperblockView, Survey, SurveyConfig, SurveyReport,
};
