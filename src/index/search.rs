//! What an extent is looked for by.

use crate::types::{Extent, Index};

/// What one extent of a log is looked for by. All three rise from extent to extent of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    /// The one that holds this index.
    Index(Index),
    /// The last one before which the log has at most so many bytes.
    BytesBefore(u64),
    /// The first one whose stamp is not before this time, in ms since 1970.
    Stamp(u64),
}

impl Search {
    /// The extent in a part of a log's extents, by rising index; the part need not be the whole.
    #[must_use]
    pub fn in_part(self, part: &[Extent]) -> Option<Extent> {
        let found = match self {
            Search::Index(index) => {
                let at = part.partition_point(|extent| extent.end() <= index);
                part.get(at).filter(|extent| extent.first <= index)
            }
            Search::BytesBefore(bytes) => {
                let at = part.partition_point(|extent| extent.bytes_before <= bytes);
                at.checked_sub(1).and_then(|last| part.get(last))
            }
            Search::Stamp(stamp_ms) => {
                part.get(part.partition_point(|extent| extent.stamp_ms < stamp_ms))
            }
        };
        found.copied()
    }
}
