//! Segments whose places left memory, and how a slot that may stand in them is found.

use crate::journal::segment::indexed_record::{DAMAGED, IndexedRecord, SlotNeed};
use crate::journal::segment::places::{PlaceRow, Places};
use crate::journal::segment::segments_by_slot::SegmentsBySlot;
use crate::limits::SLOT_RECORDS_MAX;
use crate::types::{Released, SegmentId, Slot, SlotRanges};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The places of segments that are not in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spilled {
    /// Slots of which only records that are known to hold the chosen value are believed.
    pub(in crate::journal) known_only: SlotRanges,
    /// Every slot of these segments is at or below this one, and chosen.
    pub(in crate::journal) upto: Slot,
    /// By segment: the file of its places, where there is one that serves.
    files: BTreeMap<SegmentId, Option<Arc<Places>>>,
    /// These segments by their slots, as far as their files of places serve.
    by_slot: SegmentsBySlot,
    /// Segments of which no file of places serves.
    unplaced: BTreeSet<SegmentId>,
    /// Segments in which records are lost, of slots up to this one.
    pub(in crate::journal) losses: BTreeMap<SegmentId, Slot>,
    /// Segments that are gone, as a durable record says.
    pub(in crate::journal) released: Arc<Released>,
}

impl Spilled {
    /// No segment yet; a start begins from this slot.
    pub(in crate::journal) fn behind(upto: Slot) -> Spilled {
        Spilled { upto, ..Spilled::default() }
    }

    /// Of the slots that a peer's checkpoint stands for, only what is known to hold the chosen value is believed:
    /// whatever was accepted here need not have been chosen.
    pub(in crate::journal) fn is_known_only(&self, slot: Slot) -> bool {
        self.known_only.contains(slot)
    }

    /// A segment's places are on disk; `None` where no file of them serves.
    pub(in crate::journal) fn set(&mut self, segment: SegmentId, places: Option<Arc<Places>>) {
        if self.files.contains_key(&segment) {
            self.by_slot.remove(segment); // A start, which sets each once, is spared a look at all ranges.
        }
        if let Some(places) = &places {
            self.lost(segment, places.lost_upto);
            self.by_slot.add(segment, places.slots());
            self.unplaced.remove(&segment);
        } else {
            self.unplaced.insert(segment);
        }
        self.files.insert(segment, places);
    }

    /// By segment: the file of its places, where there is one that serves.
    pub(in crate::journal) fn files(&self) -> &BTreeMap<SegmentId, Option<Arc<Places>>> {
        &self.files
    }

    /// Records of a segment are lost, of slots up to this one; none where it is zero.
    pub(in crate::journal) fn lost(&mut self, segment: SegmentId, upto: Slot) {
        if upto > Slot(0) {
            self.losses.insert(segment, upto);
        }
    }

    /// A segment is gone.
    pub(in crate::journal) fn forget(&mut self, segment: SegmentId) {
        self.files.remove(&segment);
        self.by_slot.remove(segment);
        self.unplaced.remove(&segment);
        self.losses.remove(&segment);
    }

    /// A segment of which no file of places serves.
    pub(in crate::journal) fn unplaced(&self) -> Option<SegmentId> {
        self.unplaced.first().copied()
    }

    pub(in crate::journal) fn unplaced_for(&self, slot: Slot) -> Option<SegmentId> {
        if slot <= self.upto { self.unplaced() } else { None }
    }

    /// What is to be looked up for a slot, of which memory holds these records at best, in those of these
    /// files that may hold it.
    pub(in crate::journal) fn lookup(
        &self,
        slot: Slot,
        files: &[Arc<Places>],
        held: HeldRows,
        need: SlotNeed,
    ) -> SlotLookup {
        let lost = self.losses.iter().rev().find(|(_, upto)| **upto >= slot);
        let released = self.released.ranges.iter().rev().find(|range| range.covers(slot));
        SlotLookup {
            slot,
            held,
            places: files.iter().filter(|places| places.spans(slot)).cloned().collect(),
            unplaced: self.unplaced_for(slot),
            known_only: self.is_known_only(slot),
            // Above, the record that is left is served at its ballot, whatever lies behind (C6).
            lost_in: lost.filter(|_| slot <= self.upto).map(|(segment, _)| *segment),
            released_in: released.map(|range| range.last),
            need,
        }
    }

    /// Files of places that may hold a slot of this range.
    pub(in crate::journal) fn spanning(&self, first: Slot, last: Slot) -> Vec<Arc<Places>> {
        let touching = self.by_slot.touching(first, last);
        touching.iter().filter_map(|segment| self.files.get(segment)?.clone()).collect()
    }

    /// Checks that what is found by slot is what each file says.
    ///
    /// # Panics
    /// When it is not.
    pub(in crate::journal) fn check(&self) {
        for (segment, places) in &self.files {
            let is_unplaced = self.unplaced.contains(segment);
            assert!(
                is_unplaced == places.is_none(),
                "segment {segment} is unplaced: {is_unplaced}"
            );
            for (first, last) in places.iter().flat_map(|places| places.slots().as_slice()) {
                let is_found = self.by_slot.touching(*first, *last).contains(segment);
                assert!(is_found, "slots {first} to {last} are not found in segment {segment}");
            }
        }
        let unknown = self.unplaced.iter().find(|segment| !self.files.contains_key(*segment));
        assert!(unknown.is_none(), "segment {unknown:?} is unplaced, and is gone");
    }

    /// The slot has a row in some file of places.
    pub(in crate::journal) fn has_row_of(&self, slot: Slot) -> bool {
        self.by_slot.contains(slot)
    }
}

/// What memory holds of a slot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HeldRows {
    /// Every record.
    pub rows: Vec<PlaceRow>,
    /// Only a record that is known to hold the chosen value is believed.
    pub distrusted: bool,
}

/// Finds slots without the journal: on a thread that may block.
#[derive(Clone, Debug)]
pub struct SlotFinder {
    /// What memory said of some slots, which rise.
    pub(in crate::journal) known: Vec<SlotLookup>,
    pub(in crate::journal) spilled: Arc<Spilled>,
    /// Memory has nothing to say of other slots below this one …
    pub(in crate::journal) below: Slot,
    /// … but of these.
    pub(in crate::journal) copied: SlotRanges,
}

impl SlotFinder {
    /// Leaves slots from this one on to whoever has the journal.
    #[must_use]
    pub fn below(mut self, slot: Slot) -> SlotFinder {
        self.below = self.below.min(slot);
        self
    }

    /// What is to be looked up for a slot; nothing where only the journal can say it.
    pub(in crate::journal) fn lookup(&self, slot: Slot) -> Option<SlotLookup> {
        if let Ok(at) = self.known.binary_search_by_key(&slot, |lookup| lookup.slot) {
            return Some(self.known[at].clone());
        }
        let files = self.spilled.spanning(slot, slot);
        let is_held = slot >= self.below || self.copied.contains(slot);
        (!is_held).then(|| self.spilled.lookup(slot, &files, HeldRows::default(), SlotNeed::Live))
    }
}

/// A slot to be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SlotLookup {
    pub slot: Slot,
    /// The best records of those that are in memory.
    pub held: HeldRows,
    /// Files in which other records of the slot may stand.
    pub places: Vec<Arc<Places>>,
    /// A segment whose file of places is being made, and which may hold the slot.
    pub unplaced: Option<SegmentId>,
    /// Records of which it is not known that they hold what was chosen say nothing at all.
    pub known_only: bool,
    /// The last segment in which a record of the slot may be lost.
    pub lost_in: Option<SegmentId>,
    /// The last segment that was released, and in which a record of the slot may have stood.
    pub released_in: Option<SegmentId>,
    /// What is asked for. Where that is live entries, the record that counts is still here: a segment goes when no
    /// entry in it is live, or once the live ones were copied.
    pub need: SlotNeed,
}

/// What is found of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FoundSlot {
    /// The record that counts, and the one beside it.
    Record(FoundRows),
    /// No record.
    Nothing,
    /// Its value was released, or may have been.
    Released,
}

/// The record that counts for a slot, and the one to fall back on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FoundRows {
    /// The one that counts.
    pub counts: PlaceRow,
    /// The other kind of record, if there is an intact one: beside a remnant that of the value, and beside a value the
    /// remnant that would count without it. It serves where the first does not: a remnant lacks entries, and any record
    /// may rot.
    pub beside: Option<PlaceRow>,
}

impl SlotLookup {
    /// The slot's value is no larger.
    pub(crate) fn value_bytes_max(&self) -> usize {
        let held = self.held.rows.iter().map(|row| row.record.location.bytes);
        self.places.iter().map(|places| places.value_bytes_max).chain(held).max().unwrap_or(0)
            as usize
    }

    /// The row whose value counts (see [`IndexedRecord::rank`]), of those in memory and these. All slots that left
    /// memory are chosen: where a record behind may be lost, one that may hold another value is not believed (C5).
    /// Where of the value itself nothing is left that serves, and a remnant is, the value was released (C27).
    pub(crate) fn best(&self, rows: impl Iterator<Item = PlaceRow>) -> FoundSlot {
        let rows: Vec<PlaceRow> = rows.chain(self.held.rows.iter().copied()).collect();
        let known_only = self.known_only && self.need != SlotNeed::Anything;
        let counts = |row: &&PlaceRow| !known_only || row.record.is_trusted();
        let rows: Vec<PlaceRow> = rows.iter().filter(counts).copied().collect();
        let found = match self.best_of(&rows, self.need) {
            FoundSlot::Record(found) => found,
            none @ (FoundSlot::Nothing | FoundSlot::Released) => return none,
        };
        let beside = match found.counts.record.is_remnant() {
            true => match self.best_of(&rows, SlotNeed::Whole) {
                FoundSlot::Record(whole) => Some(whole.counts),
                FoundSlot::Nothing | FoundSlot::Released => None,
            },
            false => best_remnant(&rows),
        };
        let beside = beside.filter(|row| row.record.is_intact());
        FoundSlot::Record(FoundRows { beside, ..found })
    }

    /// Every intact record of the slot, the one that counts first; no more than [`SLOT_RECORDS_MAX`].
    pub(crate) fn all(&self, rows: impl Iterator<Item = PlaceRow>) -> Vec<PlaceRow> {
        let rows = rows.chain(self.held.rows.iter().copied());
        let mut rows: Vec<PlaceRow> = rows.filter(|row| row.record.is_intact()).collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.record.rank()));
        rows.truncate(SLOT_RECORDS_MAX);
        rows
    }

    /// Of these rows, of which each may be believed, the one that counts for this need; nothing beside it yet.
    fn best_of(&self, rows: &[PlaceRow], need: SlotNeed) -> FoundSlot {
        let must_be_chosen = need != SlotNeed::Anything;
        let serving = rows.iter().filter(|row| row.record.serves(need));
        let Some(best) = serving.max_by_key(|row| row.record.rank()).copied() else {
            let is_released = self.released_in.is_some() || self.known_only || !rows.is_empty();
            return if is_released { FoundSlot::Released } else { FoundSlot::Nothing };
        };
        let IndexedRecord { location, flags, .. } = best.record;
        let is_chosen = best.record.is_trusted() && best.record.is_intact();
        let is_unchecked = matches!(need, SlotNeed::Whole | SlotNeed::Kept | SlotNeed::Both);
        let went = self.released_in.filter(|_| is_unchecked);
        if !is_chosen && went.is_some_and(|segment| segment > location.segment) {
            // The record that held the chosen value may have stood there.
            return FoundSlot::Released;
        }
        let hidden = self.lost_in.is_some_and(|segment| segment >= location.segment);
        let distrusted = self.held.distrusted;
        let doubtful = must_be_chosen && !best.record.is_trusted() && (distrusted || hidden);
        let flags = flags | if doubtful { DAMAGED } else { 0 };
        if flags & DAMAGED != 0 && best_remnant(rows).is_some() {
            return FoundSlot::Released; // It is not repaired: what is live of it is here.
        }
        let counts = PlaceRow { record: IndexedRecord { flags, ..best.record }, ..best };
        FoundSlot::Record(FoundRows { counts, beside: None })
    }
}

/// The intact remnant that counts before the others.
fn best_remnant(rows: &[PlaceRow]) -> Option<PlaceRow> {
    let left = |row: &&PlaceRow| row.record.is_remnant() && row.record.is_intact();
    rows.iter().filter(left).max_by_key(|row| row.record.rank()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::segment::index::SlotIndex;
    use crate::journal::segment::indexed_record::{KNOWN, Location, REMNANT};
    use crate::journal::segment::start::Baseline;
    use crate::types::{Ballot, Lsn, NodeId};

    const SLOT: Slot = Slot(5);

    fn row(segment: u64, round: u64, flags: u8) -> PlaceRow {
        let location = Location {
            segment: SegmentId(segment),
            offset: 4096 + segment * 512,
            bytes: 100,
            lsn: Lsn(segment * 10),
            ballot: Ballot::new(round, NodeId(1)),
        };
        PlaceRow { record: IndexedRecord { slot: SLOT, location, flags }, headless: None }
    }

    /// What is found of a slot of which records are lost behind some of these: all in memory, then all in files.
    fn found(rows: &[PlaceRow], need: SlotNeed) -> [FoundSlot; 2] {
        let mut index = SlotIndex::new(Baseline::NONE);
        for row in rows {
            index.insert(Lsn(row.record.location.segment.0 * 10), &row.record);
        }
        index.distrust(SLOT);
        let held = HeldRows { rows: Vec::new(), distrusted: true };
        let of_files = index.spilled.lookup(SLOT, &[], held, need);
        [index.lookup(SLOT, need).best([].into_iter()), of_files.best(rows.iter().copied())]
    }

    /// C27, C30: a value that is damaged, or that may not be the chosen one, was released where an intact remnant
    /// stands beside it, whether memory has their places or files have them; where none does, it is damaged.
    #[test]
    fn c27_a_value_in_doubt_beside_a_remnant_was_released() {
        let (remnant, rotten) = (row(3, 1, REMNANT), row(3, 1, REMNANT | DAMAGED));
        for value in [row(1, 1, 0), row(1, 2, 0), row(1, 1, DAMAGED), row(1, 1, KNOWN | DAMAGED)] {
            let both = found(&[value, remnant], SlotNeed::Whole);
            assert_eq!(both, [FoundSlot::Released; 2], "{value:?}");
            for rows in [&[value][..], &[value, rotten]] {
                let [memory, files] = found(rows, SlotNeed::Whole);
                let FoundSlot::Record(of_memory) = memory else { panic!("{value:?}: {memory:?}") };
                assert!(!of_memory.counts.record.is_intact(), "{value:?}: {memory:?}");
                assert_eq!(memory, files, "{value:?}");
            }
            for found in found(&[value, remnant], SlotNeed::Live) {
                let FoundSlot::Record(found) = found else { panic!("{value:?}: {found:?}") };
                assert_eq!((found.counts, found.beside), (remnant, None), "{value:?}");
            }
        }
        let good = row(1, 1, KNOWN);
        for need in [SlotNeed::Whole, SlotNeed::Live] {
            for found in found(&[good, remnant], need) {
                let FoundSlot::Record(found) = found else { panic!("{need:?}: {found:?}") };
                let whole = need == SlotNeed::Whole;
                let expected = if whole { (good, remnant) } else { (remnant, good) };
                assert_eq!((found.counts, found.beside), (expected.0, Some(expected.1)));
            }
        }
    }
}
