//! The border to the disk: what the log asks for and what it is told.
//!
//! The performer may run operations side by side and finish them in any order; the log never has two writes to one file
//! under way. It must report each operation exactly once, and must never repeat a sync that failed.

use std::fmt;

/// Names an operation until its completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub u64);

/// The number of a segment: up by one for each segment ever begun, never reused, so that what an earlier use of a
/// recycled file left behind is told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Generation(pub u32);

/// A file of one shard's directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum File {
    /// The two alternating superblocks: `super`, 8 KiB.
    Super,
    /// A segment in use, open or sealed: `segment-GENERATION`, generation as eight hexadecimal digits.
    Segment(Generation),
    /// A segment made ahead, zero-written or recycled: `spare-N`, N as eight hexadecimal digits.
    Spare(u32),
}

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            File::Super => f.write_str("super"),
            File::Segment(generation) => write!(f, "segment-{:08x}", generation.0),
            File::Spare(number) => write!(f, "spare-{number:08x}"),
        }
    }
}

/// One thing to do, and its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskOp {
    /// Comes back in [`DiskDone`].
    pub id: OpId,
    /// What to do.
    pub kind: DiskOpKind,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiskOpKind {
    /// Every file of the shard's directory with its length: answered with [`DiskData::Files`].
    List,
    /// Bytes of a file, answered with [`DiskData::Bytes`]; fewer than `len` only where the file ends.
    Read {
        /// Which file.
        file: File,
        /// From here, in bytes.
        offset: u64,
        /// At most so many bytes.
        len: u32,
    },
    /// All of `bytes` at `offset`; with `sync`, durable (`fdatasync`) before it is done, with everything written to that file before.
    Write {
        /// Which file; it exists and is long enough.
        file: File,
        /// Where.
        offset: u64,
        /// What.
        bytes: Vec<u8>,
        /// Whether to sync.
        sync: bool,
    },
    /// Everything written to the file before is durable when it is done.
    Sync {
        /// Which file.
        file: File,
    },
    /// A new file of `len` zero bytes that were really written; file and directory are durable when it is done.
    /// A file of that name that a crash left is replaced.
    Create {
        /// Its name.
        file: File,
        /// Its length in bytes.
        len: u64,
    },
    /// Another name for a file; the directory is durable when it is done.
    Rename {
        /// The name until now.
        from: File,
        /// The name from now on; no file has it.
        to: File,
    },
    /// The file is gone; the directory is durable when it is done.
    Remove {
        /// Which file.
        file: File,
    },
}

/// A completion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskDone {
    /// The operation it completes.
    pub id: OpId,
    /// How it went.
    pub result: Result<DiskData, DiskError>,
}

/// What an operation gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiskData {
    /// Done, nothing to tell.
    Done,
    /// For [`DiskOpKind::List`].
    Files(Vec<(File, u64)>),
    /// For [`DiskOpKind::Read`].
    Bytes(Vec<u8>),
}

/// Why an operation failed. What a failed write left on the disk is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DiskError {
    /// No space, or a quota.
    #[error("no space left on the device")]
    NoSpace,
    /// No such file.
    #[error("no such file")]
    NotFound,
    /// Anything else, by errno.
    #[error("input/output error (os error {0})")]
    Io(i32),
}
