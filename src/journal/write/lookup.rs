//! Finding a slot whose places left memory: the rows on disk and what memory still holds of the slot
//! are weighed against each other as if all of them were in memory.

use crate::journal::segment::places::{PlaceRow, Places, PlacesFault, places_name};
use crate::journal::segment::spilled::FoundSlot;
use crate::journal::write::read_plan::{Lookups, ReadDamage, ReadPlan};
use crate::storage::{Storage, StorageError};
use crate::types::{SegmentId, Slot};
use std::collections::{BTreeMap, BTreeSet};

/// Blocks of rows that one read keeps, so that neighbours are found in the same one.
const BLOCKS_KEPT: usize = 16;

/// What a search found.
pub(crate) struct Found {
    pub plan: ReadPlan,
    /// Segments whose files of places do not serve.
    pub unplaced: BTreeSet<SegmentId>,
}

/// Finds the slots, up to where the plan is full. Fails only where the system is short of something.
pub(crate) fn find(storage: &dyn Storage, lookups: &Lookups) -> Result<Found, StorageError> {
    let mut found = Found { plan: ReadPlan::new(lookups.bytes_max), unplaced: BTreeSet::new() };
    let mut blocks = Blocks::default();
    for lookup in &lookups.slots {
        let slot = lookup.slot;
        let mut rows = Vec::new();
        let mut unplaced = lookup.unplaced;
        for places in &lookup.places {
            match blocks.rows(storage, places, slot)? {
                Ok(some) => rows.extend(some),
                Err(PlacesFault) => {
                    found.unplaced.insert(places.segment);
                    unplaced = Some(places.segment);
                }
            }
        }
        let goes_on = match unplaced {
            // A better record may stand where nothing can be seen.
            Some(segment) => {
                let file = places_name(segment).to_string();
                found.plan.miss(slot, ReadDamage::Unplaced { slot, file })
            }
            None => match lookup.best(rows.into_iter()) {
                FoundSlot::Record(row) => found.plan.add(slot, Some(row)),
                FoundSlot::Nothing => found.plan.add(slot, None),
                FoundSlot::Released => found.plan.miss(slot, ReadDamage::Released { slot }),
            },
        };
        if !goes_on {
            break;
        }
    }
    Ok(found)
}

/// Blocks that were read.
#[derive(Default)]
struct Blocks(BTreeMap<(SegmentId, u64), Vec<PlaceRow>>);

impl Blocks {
    /// The rows of a slot in one file.
    fn rows(
        &mut self,
        storage: &dyn Storage,
        places: &Places,
        slot: Slot,
    ) -> Result<Result<Vec<PlaceRow>, PlacesFault>, StorageError> {
        let mut rows = Vec::new();
        for nth in places.blocks_of(slot) {
            let key = (places.segment, nth);
            if !self.0.contains_key(&key) {
                let block = match places.block(storage, nth)? {
                    Ok(block) => block,
                    Err(fault) => return Ok(Err(fault)),
                };
                if self.0.len() >= BLOCKS_KEPT {
                    // Slots rise: the first ones are not asked for again.
                    self.0.pop_first();
                }
                self.0.insert(key, block);
            }
            let block = self.0.get(&key).into_iter().flatten();
            rows.extend(block.filter(|row| row.record.slot == slot));
        }
        Ok(Ok(rows))
    }
}
