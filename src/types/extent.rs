//! Where a log's entries lie, as a fact of the sequence: the same on all nodes.

use super::{Index, Slot};

/// A run of one log's entries that the commands of one slot appended.
///
/// Appends to one log in one slot share an extent, whatever lies between them for other logs. A reader
/// finds the second and later commands by walking on from the first, and taking every append to that
/// log until the extent's entries are used up. That is only right when all of them took effect: after
/// an append that was refused the next one begins an extent of its own.
///
/// Where the slot's value lies on a disk is the journal's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Extent {
    /// Index of the first entry.
    pub first: Index,
    /// How many entries; at least one.
    pub count: u32,
    /// Where in the slot's value the first append begins, in bytes.
    pub offset: u32,
    /// The slot whose value holds the entries.
    pub slot: Slot,
    /// Payload bytes of all entries of the log before the first one, trimmed ones too.
    pub bytes_before: u64,
    /// The stamp of the slot's value: ms since 1970.
    pub stamp_ms: u64,
    /// The running hash of all entries of the log before the first one (the log's chain value).
    pub chain: u64,
}

impl Extent {
    /// The index right after the last entry.
    #[must_use]
    pub fn end(&self) -> Index {
        self.first.plus(u64::from(self.count))
    }
}
