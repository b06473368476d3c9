//! How often cuts are taken.

use crate::limits::{CUT_BYTES, CUT_EXTENTS, CUT_EXTENTS_MAX, CUT_GAP_US, CUT_IDLE_US, CUT_SLOTS};

/// What may lie between two cuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CutOptions {
    /// Bytes of values.
    pub bytes: u64,
    /// Slots.
    pub slots: u64,
    /// Extents, which take memory until they are in a run.
    pub extents: u64,
    /// Where anything was applied since the last one, a cut is due after this, in microseconds.
    pub idle_us: u64,
    /// At least so much time lies between two cuts, in microseconds.
    pub gap_us: u64,
}

impl CutOptions {
    /// Most extents between two cuts of a state of so many logs. They grow with the state, so that a large one is not
    /// written for a few of them, but take no more memory than it does.
    pub(in crate::shard) fn extents_max(&self, logs: usize) -> u64 {
        self.extents.max((logs as u64 / 2).min(CUT_EXTENTS_MAX))
    }
}

impl Default for CutOptions {
    fn default() -> CutOptions {
        CutOptions {
            bytes: CUT_BYTES,
            slots: CUT_SLOTS,
            extents: CUT_EXTENTS,
            idle_us: CUT_IDLE_US,
            gap_us: CUT_GAP_US,
        }
    }
}
