//! Segments whose places left memory, and how a slot that may stand in them is found.

use crate::journal::segment::indexed_record::{DAMAGED, IndexedRecord, SlotNeed};
use crate::journal::segment::places::{PlaceRow, Places};
use crate::types::{Released, SegmentId, Slot, SlotRanges};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The places of segments that are not in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spilled {
    /// Slots of which only records that are known to hold the chosen value are believed.
    pub(in crate::journal) known_only: SlotRanges,
    /// Every slot of these segments is at or below this one, and chosen.
    pub(in crate::journal) upto: Slot,
    /// By segment: the file of its places, where there is one that serves.
    pub(in crate::journal) files: BTreeMap<SegmentId, Option<Arc<Places>>>,
    /// Segments in which records are lost, of slots up to this one.
    pub(in crate::journal) losses: BTreeMap<SegmentId, Slot>,
    /// Segments that are gone, as a durable record says.
    pub(in crate::journal) released: Arc<Released>,
}

impl Spilled {
    /// Of the slots that a peer's checkpoint stands for, only what is known to hold the chosen value is believed:
    /// whatever was accepted here need not have been chosen.
    pub(in crate::journal) fn is_known_only(&self, slot: Slot) -> bool {
        self.known_only.contains(slot)
    }

    /// A segment's places are on disk; `None` where no file of them serves.
    pub(in crate::journal) fn set(&mut self, segment: SegmentId, places: Option<Arc<Places>>) {
        if let Some(places) = &places {
            self.lost(segment, places.lost_upto);
        }
        self.files.insert(segment, places);
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
        self.losses.remove(&segment);
    }

    /// A segment of which no file of places serves.
    pub(in crate::journal) fn unplaced(&self) -> Option<SegmentId> {
        self.files.iter().find(|(_, places)| places.is_none()).map(|(segment, _)| *segment)
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
        let within = |places: &&Arc<Places>| places.slots().touches(first, last);
        self.files.values().flatten().filter(within).cloned().collect()
    }
}

/// What memory holds of a slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct HeldRows {
    /// The best record of a whole value.
    pub whole: Option<PlaceRow>,
    /// The best record, be it a remnant.
    pub kept: Option<PlaceRow>,
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
    /// The record that counts.
    Record(PlaceRow),
    /// No record.
    Nothing,
    /// Its value was released, or may have been.
    Released,
}

impl SlotLookup {
    /// The slot's value is no larger.
    pub(crate) fn value_bytes_max(&self) -> usize {
        let held = self.held.whole.iter().chain(&self.held.kept);
        let held = held.map(|row| row.record.location.bytes);
        self.places.iter().map(|places| places.value_bytes_max).chain(held).max().unwrap_or(0)
            as usize
    }

    /// The row whose value counts (see [`IndexedRecord::rank`]). All slots that left memory are chosen:
    /// where a record behind may be lost, one that may hold another value is not believed (C5). Where of the value
    /// itself nothing is left that serves, and a remnant is, the value was released (C27).
    pub(crate) fn best(&self, rows: impl Iterator<Item = PlaceRow>) -> FoundSlot {
        let must_be_chosen = self.need != SlotNeed::Anything;
        let known_only = self.known_only && must_be_chosen;
        let counts = |row: &PlaceRow| !known_only || row.record.is_trusted();
        let HeldRows { whole, kept, distrusted } = self.held;
        let rows: Vec<PlaceRow> = rows.chain(whole).chain(kept).filter(counts).collect();
        let is_left = |row: &PlaceRow| row.record.is_remnant() && row.record.flags & DAMAGED == 0;
        let has_remnant = rows.iter().any(is_left);
        let serving = rows.iter().filter(|row| row.record.serves(self.need));
        let Some(best) = serving.max_by_key(|row| row.record.rank()).copied() else {
            let is_released = self.released_in.is_some() || self.known_only || !rows.is_empty();
            return if is_released { FoundSlot::Released } else { FoundSlot::Nothing };
        };
        let IndexedRecord { location, flags, .. } = best.record;
        if flags & DAMAGED != 0 && has_remnant {
            return FoundSlot::Released; // It is not repaired: what is live of it is here.
        }
        let is_chosen = best.record.is_trusted() && flags & DAMAGED == 0;
        let is_unchecked = matches!(self.need, SlotNeed::Whole | SlotNeed::Kept);
        let went = self.released_in.filter(|_| is_unchecked);
        if !is_chosen && went.is_some_and(|segment| segment > location.segment) {
            // The record that held the chosen value may have stood there.
            return FoundSlot::Released;
        }
        let hidden = self.lost_in.is_some_and(|segment| segment >= location.segment);
        let doubtful = must_be_chosen && !best.record.is_trusted() && (distrusted || hidden);
        let flags = flags | if doubtful { DAMAGED } else { 0 };
        FoundSlot::Record(PlaceRow { record: IndexedRecord { flags, ..best.record }, ..best })
    }
}
