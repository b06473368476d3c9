//! What is left of the slots above the chosen prefix.

use crate::journal::format::item::JournalId;
use crate::journal::recover::conclude::Replayed;
use crate::journal::segment::indexed_record::{DAMAGED, SUSPECT};
use crate::journal::segment::places::PlaceRow;
use crate::journal::write::execute::read_one;
use crate::journal::write::read_plan::Wanted;
use crate::storage::{Storage, StorageError};
use crate::types::{Ballot, Content, RecordLeft, Slot, Value};
use std::collections::BTreeMap;

/// The value of each slot, with the highest ballot that it was accepted in.
type OpenSlots = BTreeMap<Slot, (Ballot, Value)>;

/// Reads the values accepted above the chosen prefix, and says what is left of each slot.
///
/// # Errors
/// When a file cannot be read; a value that does not verify is no error.
pub(crate) fn read_open(
    storage: &dyn Storage,
    journal_id: &JournalId,
    replayed: &Replayed,
) -> Result<(OpenSlots, BTreeMap<Slot, RecordLeft>), StorageError> {
    let (mut open, mut left) = (OpenSlots::new(), BTreeMap::new());
    let index = &replayed.replay.index;
    for slot in index.slots_above(replayed.chosen_upto) {
        let best = index.best(slot).expect("the slot was taken from the index");
        let location = best.location;
        let row = PlaceRow { record: best, headless: index.headless(&location) };
        let wanted = Wanted::whole(&row);
        let damaged = best.flags & DAMAGED != 0;
        let value = if damaged { None } else { read_one(storage, journal_id, &wanted)?.ok() };
        let content = match (&value, best.flags & SUSPECT != 0) {
            (Some(_), _) => Content::Intact,
            (None, true) => Content::Suspect,
            (None, false) => Content::Damaged,
        };
        left.insert(slot, RecordLeft { lsn: location.lsn, ballot: location.ballot, content });
        if let Some((ballot, value)) = value {
            // What was learned holds in every ballot above the one that it was chosen in, too, and
            // may have been accepted and acknowledged in one (C3).
            let ballot = index.highest_ballot(slot).unwrap_or(ballot).max(ballot);
            open.insert(slot, (ballot, value));
        }
    }
    Ok((open, left))
}
