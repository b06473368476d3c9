//! The rows of slots, found in the runs of the index: for a thread that may block.

use crate::index::{RunDamage, RunError, RunSet};
use crate::storage::{Storage, StorageError};
use crate::types::{Extent, Index, LogId, Slot, SlotRanges};

/// A row of the index, found by its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotRow {
    /// The slot.
    pub slot: Slot,
    /// The log.
    pub log: LogId,
    /// Its first entry.
    pub first: Index,
    /// The index behind its last entry.
    pub end: Index,
}

/// The rows of these slots, or the damage of a run.
pub(super) fn rows_of(
    storage: &dyn Storage,
    runs: &RunSet,
    slots: &SlotRanges,
) -> Result<Result<Vec<SlotRow>, RunDamage>, StorageError> {
    let mut found = Vec::new();
    let mut take = |log, extent: &Extent| {
        let (slot, first, end) = (extent.slot, extent.first, extent.end());
        found.push(SlotRow { slot, log, first, end });
    };
    match runs.rows_of_slots(storage, slots, &mut take) {
        Ok(()) => Ok(Ok(found)),
        Err(RunError::Damaged(damage)) => Ok(Err(damage)),
        Err(RunError::Storage(error)) => Err(error),
    }
}
