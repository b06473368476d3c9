//! What an extent is looked for by.

use crate::types::{Extent, Index, Slot};

/// What one extent of a log is looked for by. A log's extents rise in each of these respects, so that
/// some are *reached* and all behind them are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    /// The one that holds this index.
    Index(Index),
    /// The last one before which the log has at most so many payload bytes.
    BytesBefore(u64),
    /// The first one whose stamp is not before this time, in ms since 1970.
    Stamp(u64),
    /// The first one of this slot or a later one.
    Slot(Slot),
}

impl Search {
    /// An extent is on the side of the smaller ones.
    pub(crate) fn reaches(self, extent: &Extent) -> bool {
        match self {
            Search::Index(index) => extent.first <= index,
            Search::BytesBefore(bytes) => extent.bytes_before <= bytes,
            Search::Stamp(stamp_ms) => extent.stamp_ms < stamp_ms,
            Search::Slot(slot) => extent.slot < slot,
        }
    }

    /// The extent that is looked for, given the last one that is reached and the one behind it.
    pub(crate) fn between(self, reached: Option<Extent>, next: Option<Extent>) -> Option<Extent> {
        match self {
            Search::Index(index) => reached.filter(|extent| index < extent.end()),
            Search::BytesBefore(_) => reached,
            Search::Stamp(_) | Search::Slot(_) => next,
        }
    }
}
