//! The operations under way, and what each is for.

use std::collections::BTreeMap;

use crate::disk::{DiskOp, DiskOpKind, File, Generation, OpId};

/// What to do when an operation is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A step of recovery.
    Recovery,
    /// A superblock.
    Super,
    /// A batch, a seal or a header: what `Writer::flight` says.
    Flight,
    /// A spare becomes this segment.
    Begin(Generation),
    /// A spare is made.
    Create(File),
    /// The oldest segment becomes this spare, or goes.
    Recycle(Generation, Option<File>),
    /// A file is removed; nobody waits.
    Remove,
    /// For the read with this token.
    Read(u64),
}

/// Gives operations their names and remembers what they are for.
#[derive(Debug, Default)]
pub(crate) struct Ops {
    next: u64,
    under_way: BTreeMap<OpId, Purpose>,
}

impl Ops {
    pub(crate) fn ask(&mut self, purpose: Purpose, kind: DiskOpKind, ops: &mut Vec<DiskOp>) {
        let id = OpId(self.next);
        self.next += 1;
        self.under_way.insert(id, purpose);
        ops.push(DiskOp { id, kind });
    }

    /// Forgets a completed operation.
    ///
    /// # Panics
    /// When it was never asked for, or completes a second time.
    pub(crate) fn done(&mut self, id: OpId) -> Purpose {
        self.under_way.remove(&id).expect("each operation is reported once")
    }

    /// How many under way are for a purpose.
    pub(crate) fn count(&self, is_such: impl Fn(&Purpose) -> bool) -> usize {
        self.under_way.values().filter(|purpose| is_such(purpose)).count()
    }
}
