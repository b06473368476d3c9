//! Finding a slot whose places left memory: the rows on disk and what memory still holds of the slot
//! are weighed against each other as if all of them were in memory.

use crate::journal::segment::places::{PlaceRow, Places, PlacesFault, places_name};
use crate::journal::segment::spilled::{FoundRows, FoundSlot, SlotLookup};
use crate::journal::write::read_plan::{Lookups, ReadDamage, ReadPlan};
use crate::storage::{BlockCache, Storage, StorageError};
use crate::types::{SegmentId, Slot};
use std::collections::BTreeSet;

/// Blocks of rows that one read of many slots keeps, so that neighbours are found in the same one.
const CACHE_BYTES: usize = 64 << 10;

/// What a search found.
pub(crate) struct Found {
    pub plan: ReadPlan,
    /// Segments whose files of places do not serve.
    pub unplaced: BTreeSet<SegmentId>,
}

/// Finds the slots, up to where the plan is full. Fails only where the system is short of something.
pub(crate) fn find(storage: &dyn Storage, lookups: &Lookups) -> Result<Found, StorageError> {
    let mut plan = ReadPlan::new(lookups.bytes_max);
    let cache = BlockCache::new(CACHE_BYTES);
    let mut search = PlaceSearch { storage, cache: &cache, failed: BTreeSet::new() };
    for lookup in &lookups.slots {
        let goes_on = match search.rows_in_files(lookup)? {
            Ok(rows) => plan.add_found(lookup, rows),
            Err(why) => plan.miss(lookup.slot, why),
        };
        if !goes_on {
            break;
        }
    }
    Ok(Found { plan, unplaced: search.failed })
}

/// Finds slots in files of places, of which it keeps blocks.
pub(crate) struct PlaceSearch<'a> {
    pub storage: &'a dyn Storage,
    pub cache: &'a BlockCache,
    /// Segments whose files of places do not serve.
    pub failed: BTreeSet<SegmentId>,
}

impl PlaceSearch<'_> {
    /// The row that counts for a slot and the one beside it, none where there is none; or why that cannot be said.
    pub(crate) fn place(
        &mut self,
        lookup: &SlotLookup,
    ) -> Result<Result<Option<FoundRows>, ReadDamage>, StorageError> {
        let slot = lookup.slot;
        Ok(self.rows_in_files(lookup)?.and_then(|rows| match lookup.best(rows.into_iter()) {
            FoundSlot::Record(found) => Ok(Some(found)),
            FoundSlot::Nothing => Ok(None),
            FoundSlot::Released => Err(ReadDamage::Released { slot }),
        }))
    }

    /// All rows of a slot in files of places, those in memory left out; or why that cannot be said.
    pub(crate) fn rows_in_files(
        &mut self,
        lookup: &SlotLookup,
    ) -> Result<Result<Vec<PlaceRow>, ReadDamage>, StorageError> {
        let slot = lookup.slot;
        let mut rows = Vec::new();
        let mut unplaced = lookup.unplaced;
        for places in &lookup.places {
            match self.rows(places, slot)? {
                Ok(some) => rows.extend(some),
                Err(PlacesFault) => {
                    self.failed.insert(places.segment);
                    unplaced = Some(places.segment);
                }
            }
        }
        Ok(match unplaced {
            // A better record may stand where nothing can be seen.
            Some(segment) => {
                Err(ReadDamage::Unplaced { slot, file: places_name(segment).to_string() })
            }
            None => Ok(rows),
        })
    }

    /// The rows of a slot in one file.
    fn rows(
        &self,
        places: &Places,
        slot: Slot,
    ) -> Result<Result<Vec<PlaceRow>, PlacesFault>, StorageError> {
        let mut rows = Vec::new();
        for nth in places.blocks_of(slot) {
            match places.rows((self.storage, self.cache), nth, slot..=slot)? {
                Ok(some) => rows.extend(some),
                Err(fault) => return Ok(Err(fault)),
            }
        }
        Ok(Ok(rows))
    }
}
