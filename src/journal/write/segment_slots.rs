//! Which slots a full segment has values of: what a walk over them goes by (C30).

use crate::journal::segment::places::{Places, PlacesFault};
use crate::journal::write::journal::Journal;
use crate::limits::BLOCK_BYTES;
use crate::storage::{BlockCache, Storage, StorageError};
use crate::types::{SegmentId, Slot, SlotRanges};
use std::sync::Arc;

/// The slots of a full segment, as its file of places has them.
#[derive(Clone, Debug)]
pub struct SegmentSlots(Arc<Places>);

/// Some of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedSlots {
    /// By rising number, each once.
    pub slots: Vec<Slot>,
    /// Where the list goes on; nothing where it has come to its end.
    pub next: Option<Slot>,
}

impl Journal {
    /// The slots of a segment; nothing where no file of places says what they are.
    #[must_use]
    pub fn segment_slots(&self, segment: SegmentId) -> Option<SegmentSlots> {
        let places = self.index.spilled.files().get(&segment)?.as_ref()?;
        Some(SegmentSlots(Arc::clone(places)))
    }
}

impl SegmentSlots {
    /// The segment.
    #[must_use]
    pub fn segment(&self) -> SegmentId {
        self.0.segment
    }

    /// Ranges that have every slot of the segment.
    #[must_use]
    pub fn ranges(&self) -> &SlotRanges {
        self.0.slots()
    }

    /// Those of these slots, from `from` on, of which the segment has a record; `most` of them at most, one at
    /// least. Nothing where the file of places does not serve. Reads it: for a thread that may block.
    ///
    /// # Errors
    /// Only where the system is short of something.
    pub fn list(
        &self,
        storage: &dyn Storage,
        among: &SlotRanges,
        from: Slot,
        most: usize,
    ) -> Result<Option<ListedSlots>, StorageError> {
        let SegmentSlots(places) = self;
        // Neighbouring ranges may share a block.
        let cache = BlockCache::new(4 * BLOCK_BYTES);
        let mut slots: Vec<Slot> = Vec::new();
        for (first, last) in among.as_slice().iter().filter(|(_, last)| *last >= from) {
            let first = from.max(*first);
            for nth in places.blocks_of(first).start..places.blocks_of(*last).end {
                let rows = match places.rows((storage, &cache), nth, first..=*last)? {
                    Ok(rows) => rows,
                    Err(PlacesFault) => return Ok(None),
                };
                for slot in rows.iter().map(|row| row.record.slot) {
                    if slots.last() == Some(&slot) {
                        continue;
                    }
                    if slots.len() >= most.max(1) {
                        return Ok(Some(ListedSlots { slots, next: Some(slot) }));
                    }
                    slots.push(slot);
                }
            }
        }
        Ok(Some(ListedSlots { slots, next: None }))
    }
}
