//! Faults that can be planted, so that a test can show that it would notice them.

/// One thing done wrong on purpose.
#[cfg(feature = "planted")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Recovery answers from what it found without making it durable first.
    NoSyncInRecovery,
    /// A batch counts as durable when it is written.
    AcknowledgeBeforeSync,
    /// What an earlier generation of a recycled file left is taken for valid.
    NoGenerationCheck,
    /// The first bad batch ends the log, whatever comes behind it.
    TruncateAtFirstBadBatch,
    /// The last batch before a pause is never proven.
    NoAttest,
    /// What a torn write left behind the end stays there.
    NoZeroedTail,
}

/// The planted faults; none in a build that serves.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    #[cfg(feature = "planted")]
    planted: Vec<Fault>,
}

macro_rules! faults {
    ($($ask:ident $fault:ident)*) => {
        impl Faults {$(
            #[cfg(feature = "planted")]
            pub(crate) fn $ask(&self) -> bool {
                self.planted.contains(&Fault::$fault)
            }
            #[cfg(not(feature = "planted"))]
            pub(crate) const fn $ask(&self) -> bool {
                false
            }
        )*}
    };
}
faults! {
    skips_sync_in_recovery NoSyncInRecovery
    acknowledges_before_sync AcknowledgeBeforeSync
    skips_generation_check NoGenerationCheck
    truncates_at_first_bad_batch TruncateAtFirstBadBatch
    skips_attest NoAttest
    skips_zeroing NoZeroedTail
}

#[cfg(feature = "planted")]
impl crate::log::Log {
    /// From now on the log does this wrong. Before `start`, to concern recovery too.
    pub fn plant(&mut self, fault: Fault) {
        self.faults.planted.push(fault);
    }
}
