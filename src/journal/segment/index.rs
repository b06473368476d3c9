//! Where the values lie: per segment, a sorted array of fixed-size entries. No values in memory.

use crate::journal::format::item::ALIGN_BYTES;
use crate::journal::format::layout::file_name;
use crate::journal::segment::gathered::GatheredSlots;
use crate::journal::segment::indexed_record::{
    DAMAGED, IndexedRecord, KNOWN, Location, REMNANT, SlotNeed,
};
use crate::journal::segment::places::{PlaceRow, Places};
use crate::journal::segment::spilled::{HeldRows, SlotFinder, SlotLookup, Spilled};
use crate::journal::segment::start::Baseline;
use crate::limits::{PLACE_MEMORY_BYTES, WINDOW_SLOTS};
use crate::types::{Ballot, Lsn, ReleasedRange, SegmentId, Slot, SlotRanges};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Ballots whose watermarks are kept: what is asked of them is about the newest.
const WATERMARKS_MAX: usize = 1024;

/// One record with a value: 24 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::journal) struct IndexEntry {
    pub(in crate::journal) slot: u64,
    /// LSN, from the segment's first one.
    pub(in crate::journal) lsn: u32,
    /// Offset of the record's header, in units of its alignment.
    pub(in crate::journal) offset: u32,
    pub(in crate::journal) bytes: u32,
    /// Flags in the upper 8 bits; below, the ballot's number in the segment's table of them.
    pub(in crate::journal) ballot_and_flags: u32,
}

impl IndexEntry {
    pub(in crate::journal) fn ballot(&self) -> usize {
        (self.ballot_and_flags & 0x00ff_ffff) as usize
    }

    fn flags(&self) -> u8 {
        (self.ballot_and_flags >> 24) as u8
    }

    /// It is what is left of a value, which says nothing of what was accepted or chosen.
    fn is_remnant(&self) -> bool {
        self.flags() & REMNANT != 0
    }
}

const _: () = assert!(size_of::<IndexEntry>() == PLACE_MEMORY_BYTES);

/// The entries of one segment, in two arrays that are each sorted by slot, and within a slot by order of writing.
/// Self-contained, so that the arrays of full segments can move to disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentIndex {
    pub(in crate::journal) first_lsn: Lsn,
    pub(in crate::journal) ballots: Vec<Ballot>,
    pub(in crate::journal) entries: Vec<IndexEntry>,
    /// Entries of slots far below the others: copies of older values. In `entries` each would be inserted near the
    /// front, and move all that follow.
    pub(in crate::journal) copies: Vec<IndexEntry>,
    /// Their slots.
    copied: GatheredSlots,
}

impl SegmentIndex {
    /// No entries yet, of a segment whose first LSN is this one.
    pub(crate) fn new(first_lsn: Lsn) -> SegmentIndex {
        let (ballots, entries, copies) = (Vec::new(), Vec::new(), Vec::new());
        SegmentIndex { first_lsn, ballots, entries, copies, copied: GatheredSlots::default() }
    }

    /// All entries; each array is sorted.
    pub(in crate::journal) fn arrays(&self) -> [&[IndexEntry]; 2] {
        [&self.copies, &self.entries]
    }

    /// How many entries there are.
    pub(in crate::journal) fn len(&self) -> usize {
        self.arrays().map(<[IndexEntry]>::len).iter().sum()
    }

    /// All records, by rising slot.
    pub(crate) fn records(&self, segment: SegmentId) -> impl Iterator<Item = IndexedRecord> + '_ {
        let [mut copies, mut entries] = self.arrays();
        let next = move || {
            let first = match (copies.first(), entries.first()) {
                (Some(copy), Some(entry)) => (copy.slot, copy.lsn) < (entry.slot, entry.lsn),
                (copy, _) => copy.is_some(),
            };
            let from = if first { &mut copies } else { &mut entries };
            from.split_off_first()
        };
        std::iter::from_fn(next).map(move |entry| self.found(segment, entry))
    }

    fn ballot_number(&mut self, ballot: Ballot) -> u32 {
        let known = self.ballots.iter().rposition(|other| *other == ballot);
        let number = known.unwrap_or_else(|| {
            self.ballots.push(ballot);
            self.ballots.len() - 1
        });
        assert!(number < 1 << 24, "a segment of at most 32 GiB has too few records for {number}");
        number as u32
    }

    fn found(&self, segment: SegmentId, entry: &IndexEntry) -> IndexedRecord {
        let location = Location {
            segment,
            offset: u64::from(entry.offset) * ALIGN_BYTES as u64,
            bytes: entry.bytes,
            lsn: self.first_lsn.plus(u64::from(entry.lsn)),
            ballot: self.ballots[entry.ballot()],
        };
        IndexedRecord { slot: Slot(entry.slot), location, flags: entry.flags() }
    }

    fn of_slot(&self, slot: Slot) -> impl Iterator<Item = &IndexEntry> {
        self.arrays().into_iter().flat_map(move |entries| {
            let from = entries.partition_point(|entry| entry.slot < slot.0);
            entries[from..].iter().take_while(move |entry| entry.slot == slot.0)
        })
    }

    /// The distinct slots of values, each array by rising slot, of entries up to `slot`, or of those above it.
    fn slots(&self, slot: Slot, is_above: bool) -> impl Iterator<Item = Slot> {
        self.arrays().into_iter().flat_map(move |entries| {
            let (upto, above) = entries.split_at(entries.partition_point(|e| e.slot <= slot.0));
            let values = if is_above { above } else { upto }.iter().filter(|e| !e.is_remnant());
            values.map(|entry| Slot(entry.slot))
        })
    }

    fn insert(&mut self, entry: IndexEntry) {
        let is_far = |low: u64, high: u64| low.saturating_add(2 * WINDOW_SLOTS) < high;
        let last = self.entries.last().map(|last| last.slot);
        let is_copy = last.is_some_and(|last| is_far(entry.slot, last));
        if last.is_some_and(|last| is_far(last, entry.slot)) {
            // Those so far were copies, with which the segment began.
            self.entries.iter().for_each(|copy| self.copied.add(Slot(copy.slot)));
            self.copies.append(&mut self.entries);
            self.copies.sort_unstable_by_key(|copy| (copy.slot, copy.lsn));
        }
        if is_copy {
            self.copied.add(Slot(entry.slot));
        }
        let entries = if is_copy { &mut self.copies } else { &mut self.entries };
        let at =
            entries.partition_point(|other| (other.slot, other.lsn) <= (entry.slot, entry.lsn));
        entries.insert(at, entry);
    }

    fn mark_known(&mut self, watermarks: &BTreeMap<Ballot, Slot>) {
        let mark = |ballot| watermarks.get(ballot).copied().unwrap_or_default();
        let marks: Vec<Slot> = self.ballots.iter().map(mark).collect();
        for entry in self.entries.iter_mut().chain(&mut self.copies) {
            if Slot(entry.slot) <= marks[entry.ballot()] && !entry.is_remnant() {
                entry.ballot_and_flags |= u32::from(KNOWN) << 24;
            }
        }
    }

    fn spans(&self, slot: Slot) -> bool {
        self.arrays().into_iter().any(|entries| {
            let first = entries.first().is_some_and(|entry| entry.slot <= slot.0);
            first && entries.last().is_some_and(|entry| slot.0 <= entry.slot)
        })
    }
}

/// The index of all segments.
#[derive(Clone, Debug)]
pub(crate) struct SlotIndex {
    /// What the start began with.
    pub(in crate::journal) baseline: Baseline,
    pub(in crate::journal) segments: BTreeMap<SegmentId, Arc<SegmentIndex>>,
    /// Segments whose places left memory; none of them is among `segments`.
    pub(in crate::journal) spilled: Arc<Spilled>,
    /// Records whose header is lost and whose descriptor serves: the body's checksum, by place.
    pub(in crate::journal) headless: BTreeMap<(SegmentId, u64), u64>,
    /// Chosen slots of which only a record known to hold the chosen value may be believed: a
    /// record of a higher ballot may be lost.
    pub(in crate::journal) distrusted: BTreeSet<Slot>,
    /// By ballot, the highest slot up to which what was accepted in it is chosen (C9), as far as durable
    /// records say; of the newest ballots.
    pub(in crate::journal) watermarks: BTreeMap<Ballot, Slot>,
}

impl SlotIndex {
    /// An empty index of a journal that is read from here on.
    pub(crate) fn new(baseline: Baseline) -> SlotIndex {
        SlotIndex {
            baseline,
            segments: BTreeMap::new(),
            spilled: Arc::new(Spilled::behind(baseline.slot)),
            headless: BTreeMap::new(),
            distrusted: BTreeSet::new(),
            watermarks: BTreeMap::new(),
        }
    }

    /// Adds a record of a segment whose first LSN is `first_lsn`. Slots mostly rise.
    pub(crate) fn insert(&mut self, first_lsn: Lsn, found: &IndexedRecord) {
        let IndexedRecord { slot, location, flags } = *found;
        let index = self.segments.entry(location.segment);
        let index = Arc::make_mut(index.or_insert_with(|| Arc::new(SegmentIndex::new(first_lsn))));
        let entry = IndexEntry {
            slot: slot.0,
            lsn: (location.lsn.0 - index.first_lsn.0) as u32,
            offset: (location.offset / ALIGN_BYTES as u64) as u32,
            bytes: location.bytes,
            ballot_and_flags: index.ballot_number(location.ballot) | u32::from(flags) << 24,
        };
        index.insert(entry);
    }

    /// The record at this place has lost its header; its body has this checksum.
    pub(crate) fn insert_headless(&mut self, segment: SegmentId, offset: u64, checksum: u64) {
        self.headless.insert((segment, offset), checksum);
    }

    /// The checksum of the body of a record whose header is lost.
    pub(crate) fn headless(&self, location: &Location) -> Option<u64> {
        self.headless.get(&(location.segment, location.offset)).copied()
    }

    /// The record in memory whose value counts for a slot (see [`IndexedRecord::rank`]); never a remnant.
    pub(crate) fn best(&self, slot: Slot) -> Option<IndexedRecord> {
        self.best_of(slot, |record| !record.is_remnant())
    }

    /// The record in memory that counts for a slot, be it a remnant.
    pub(crate) fn best_kept(&self, slot: Slot) -> Option<IndexedRecord> {
        self.best_of(slot, |_| true)
    }

    /// Of the records in memory that serve the one that counts. What [`SlotLookup::best`] adds to this are the files of
    /// places, and what they say of losses and of what was released.
    fn best_of(
        &self,
        slot: Slot,
        serves: impl Fn(&IndexedRecord) -> bool,
    ) -> Option<IndexedRecord> {
        let known_only = self.spilled.is_known_only(slot);
        let all = self.records_of(slot).filter(|record| !known_only || record.is_trusted());
        let best = all.filter(serves).max_by_key(IndexedRecord::rank)?;
        let doubtful = !best.is_trusted() && self.distrusted.contains(&slot);
        Some(IndexedRecord { flags: best.flags | if doubtful { DAMAGED } else { 0 }, ..best })
    }

    /// Every record of a slot that is in memory.
    fn records_of(&self, slot: Slot) -> impl Iterator<Item = IndexedRecord> + '_ {
        // Newest first: a slot's records lie close together, in a few segments at most.
        let segments = self.segments.iter().rev().filter(move |(_, index)| index.spans(slot));
        segments
            .flat_map(move |(id, index)| index.of_slot(slot).map(|entry| index.found(*id, entry)))
    }

    /// The highest ballot in which any record holds the slot's value.
    pub(crate) fn highest_ballot(&self, slot: Slot) -> Option<Ballot> {
        let segments = self.segments.values().filter(|index| index.spans(slot));
        let entries = segments
            .flat_map(|index| index.of_slot(slot).map(move |entry| (index, entry)))
            .filter(|(_, entry)| !entry.is_remnant())
            .map(|(index, entry)| index.ballots[entry.ballot()]);
        entries.max()
    }

    /// Believes of this chosen slot only a record that is known to hold the chosen value.
    pub(crate) fn distrust(&mut self, slot: Slot) {
        self.distrusted.insert(slot);
    }

    /// Every record, segment by segment, by slot in each.
    fn all(&self) -> impl Iterator<Item = IndexedRecord> + '_ {
        self.segments.iter().flat_map(|(id, index)| index.records(*id))
    }

    /// The slots known to be chosen, and whose values are here, almost in order, some more than once.
    pub(crate) fn known_slots(&self) -> impl Iterator<Item = Slot> + '_ {
        let known = |found: &IndexedRecord| found.flags & KNOWN != 0 && !found.is_remnant();
        self.all().filter(known).map(|found| found.slot)
    }

    /// The records that do not verify.
    pub(crate) fn damaged(&self) -> Vec<IndexedRecord> {
        self.all().filter(|found| found.flags & DAMAGED != 0).collect()
    }

    /// A segment is full: gives back what its array does not need.
    pub(crate) fn seal(&mut self, segment: SegmentId) {
        if let Some(index) = self.segments.get_mut(&segment) {
            let index = Arc::make_mut(index);
            index.entries.shrink_to_fit();
            index.copies.shrink_to_fit();
        }
    }

    /// The distinct slots of values up to `slot`, rising.
    pub(crate) fn slots_upto(&self, slot: Slot) -> BTreeSet<Slot> {
        self.segments.values().flat_map(|index| index.slots(slot, false)).collect()
    }

    /// The distinct slots of values above `slot`, rising.
    pub(crate) fn slots_above(&self, slot: Slot) -> Vec<Slot> {
        let segments = self.segments.values();
        let mut slots: Vec<Slot> = segments.flat_map(|index| index.slots(slot, true)).collect();
        slots.sort_unstable();
        slots.dedup();
        slots
    }

    /// A durable record says that what was accepted in this ballot is chosen up to this slot (C9).
    pub(crate) fn raise_watermark(&mut self, ballot: Ballot, slot: Slot) {
        let mark = self.watermarks.entry(ballot).or_default();
        *mark = slot.max(*mark);
        if self.watermarks.len() > WATERMARKS_MAX {
            self.watermarks.pop_first();
        }
    }

    /// Marks the records that the watermarks of their ballots cover as known to be chosen (C9).
    pub(crate) fn mark_known(&mut self) {
        for index in self.segments.values_mut() {
            Arc::make_mut(index).mark_known(&self.watermarks);
        }
    }

    /// The same for one segment.
    pub(crate) fn mark_known_in(&mut self, segment: SegmentId) {
        if let Some(index) = self.segments.get_mut(&segment) {
            Arc::make_mut(index).mark_known(&self.watermarks);
        }
    }

    /// The damage of a slot's best record, if it is damaged.
    pub(crate) fn damaged_place(found: &IndexedRecord) -> Option<(String, u64)> {
        let file = || file_name(found.location.segment).to_string();
        (found.flags & DAMAGED != 0).then(|| (file(), found.location.offset))
    }
}

impl SlotIndex {
    /// What is to be looked up for these slots, which rise; nothing where memory knows all of them.
    pub(in crate::journal) fn lookups(
        &self,
        slots: &[Slot],
        need: SlotNeed,
    ) -> Option<Vec<SlotLookup>> {
        let (first, last) = (*slots.first()?, *slots.last()?);
        let files = self.spilled.spanning(first, last);
        let ranges = &self.spilled.released.ranges;
        let within = |range: &ReleasedRange| range.slots.0 <= last && first <= range.slots.1;
        let gone = ranges.iter().any(within);
        if files.is_empty() && !gone && self.spilled.unplaced_for(first).is_none() {
            return None;
        }
        Some(self.lookups_in(&files, slots, need))
    }

    fn lookups_in(&self, files: &[Arc<Places>], slots: &[Slot], need: SlotNeed) -> Vec<SlotLookup> {
        let lookup = |slot: &Slot| self.spilled.lookup(*slot, files, self.held(*slot), need);
        slots.iter().map(lookup).collect()
    }

    /// What is to be looked up for a slot where memory alone knows it.
    pub(in crate::journal) fn lookup(&self, slot: Slot, need: SlotNeed) -> SlotLookup {
        self.spilled.lookup(slot, &[], self.held(slot), need)
    }

    /// What memory holds of a slot.
    fn held(&self, slot: Slot) -> HeldRows {
        let row =
            |record: IndexedRecord| PlaceRow { record, headless: self.headless(&record.location) };
        let rows = self.records_of(slot).map(row).collect();
        HeldRows { rows, distrusted: self.distrusted.contains(&slot) }
    }

    /// What finds these slots, which rise, and all those of which no record is in memory, for a thread
    /// that may block.
    pub(in crate::journal) fn finder(&self, slots: &[Slot]) -> SlotFinder {
        let span = slots.first().zip(slots.last());
        let files = span.map(|(first, last)| self.spilled.spanning(*first, *last));
        SlotFinder {
            known: self.lookups_in(&files.unwrap_or_default(), slots, SlotNeed::Live),
            spilled: Arc::clone(&self.spilled),
            below: self.spilled_below(),
            copied: self.copied(),
        }
    }

    /// Ranges that have all slots of which copies are in memory.
    fn copied(&self) -> SlotRanges {
        let copied = self.segments.values().flat_map(|index| index.copied.as_slice());
        SlotRanges::new(copied.copied())
    }

    /// Of slots below this one no record but copies is in memory, and none of them is distrusted: whoever has
    /// the files of places finds them.
    fn spilled_below(&self) -> Slot {
        let first = |index: &Arc<SegmentIndex>| index.entries.first().map(|entry| Slot(entry.slot));
        let held = self.segments.values().filter_map(first);
        held.chain(self.distrusted.first().copied()).min().unwrap_or(Slot(u64::MAX))
    }

    /// The slot may stand in a segment whose places left memory, or was released.
    pub(in crate::journal) fn is_spilled(&self, slot: Slot) -> bool {
        self.spilled.unplaced_for(slot).is_some()
            || self.spilled.has_row_of(slot)
            || self.spilled.released.covers(slot)
    }

    /// A durable record in this ballot or a higher one holds the slot, or it is one of those whose
    /// places left memory, or that were released: they were applied before a checkpoint that is durable.
    pub(in crate::journal) fn is_durable_in(&self, slot: Slot, ballot: Ballot) -> bool {
        let best = self.best(slot).filter(|best| SlotIndex::damaged_place(best).is_none());
        best.is_some_and(|best| best.location.ballot >= ballot) || self.is_spilled(slot)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::types::{NodeId, Random};

    fn found(slot: u64, round: u64, segment: u64, lsn: u64, flags: u8) -> IndexedRecord {
        let location = Location {
            segment: SegmentId(segment),
            offset: 4096 + lsn * 8,
            bytes: 10,
            lsn: Lsn(lsn),
            ballot: Ballot::new(round, NodeId(1)),
        };
        IndexedRecord { slot: Slot(slot), location, flags }
    }

    /// The record that counts for a slot: known to be chosen, then the highest ballot, then
    /// intact, then the newest; across segments, and whatever the order of insertion.
    #[test]
    fn c09_the_best_record_of_a_slot_is_the_one_that_holds_the_chosen_value() {
        let rising = [
            found(5, 1, 1, 10, 0),
            found(5, 2, 1, 11, DAMAGED),
            found(5, 2, 2, 20, 0),
            found(5, 2, 3, 30, 0),
            found(5, 3, 3, 31, DAMAGED),
            found(5, 1, 2, 21, KNOWN),
        ];
        for upto in 1..=rising.len() {
            for backwards in [false, true] {
                let mut index = SlotIndex::new(Baseline::NONE);
                let mut some: Vec<_> = rising[..upto].to_vec();
                if backwards {
                    some.reverse();
                }
                for found in some {
                    let first = Lsn(found.location.segment.0 * 10);
                    index.insert(first, &found);
                    index.insert(first, &self::found(4, 1, found.location.segment.0, 50, 0));
                }
                assert_eq!(index.best(Slot(5)), Some(rising[upto - 1]), "{upto} {backwards}");
                assert_eq!(index.best(Slot(6)), None);
            }
        }
    }

    /// C30: copies of old values among new ones change nothing of what is found, nor in which order.
    #[test]
    fn c30_copies_stand_with_the_others() {
        for seed in 0..50 {
            let mut random = Random::new(seed);
            let mut index = SlotIndex::new(Baseline::NONE);
            let (mut all, mut next) = (Vec::new(), 5_000);
            for lsn in 10..200 {
                next += random.below(40);
                let slot = if random.below(4) == 0 { 1 + random.below(300) } else { next };
                all.push(found(slot, 1 + random.below(3), 1, lsn, random.below(3) as u8));
                index.insert(Lsn(10), all.last().unwrap());
            }
            let segment = &index.segments[&SegmentId(1)];
            assert!(segment.copies.len() > 10 && segment.entries.len() > 100, "seed {seed}");
            assert_eq!(segment.len(), all.len());
            let mut sorted = all.clone();
            sorted.sort_by_key(|record| (record.slot, record.location.lsn));
            let records: Vec<_> = segment.records(SegmentId(1)).collect();
            assert_eq!(records, sorted, "seed {seed}");
            let slots: BTreeSet<Slot> = all.iter().map(|record| record.slot).collect();
            for slot in &slots {
                let of_slot = all.iter().filter(|record| record.slot == *slot);
                let best = of_slot.max_by_key(|record| record.rank()).copied();
                assert_eq!(index.best(*slot), best, "seed {seed}: {slot}");
            }
            let (low, high): (BTreeSet<Slot>, BTreeSet<Slot>) =
                slots.iter().partition(|slot| slot.0 <= 5_500);
            assert_eq!(index.slots_upto(Slot(5_500)), low, "seed {seed}");
            let above = index.slots_above(Slot(5_500));
            assert!(above.iter().eq(&high), "seed {seed}: {above:?}");
            let (below, copied) = (index.spilled_below(), index.copied());
            let may_be_held = |slot: &Slot| *slot >= below || copied.contains(*slot);
            assert!(slots.iter().all(may_be_held), "seed {seed}: below {below}, {copied:?}");
            assert!(!copied.contains(Slot(4_999)) && below > Slot(4_000), "seed {seed}");
        }
    }
}
