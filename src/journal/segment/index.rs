//! Where the values lie: per segment, a sorted array of fixed-size entries. No values in memory.

use crate::journal::format::item::{ALIGN_BYTES, RecordHead};
use crate::journal::format::layout::file_name;
use crate::journal::segment::manifest::Manifest;
use crate::types::{Ballot, Lsn, RecordKind, SegmentId, Slot};
use std::collections::{BTreeMap, BTreeSet};

/// The record does not verify; what it should hold is damaged here.
pub(crate) const DAMAGED: u8 = 1;
/// The value is known to be chosen: learned, or accepted in exactly the ballot of a watermark.
pub(crate) const KNOWN: u8 = 2;
/// Never known durable, and does not verify (C11); goes with `DAMAGED`.
pub(crate) const SUSPECT: u8 = 4;

/// Where the record of a slot lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// The segment whose file holds it.
    pub segment: SegmentId,
    /// Offset of the record's header in it.
    pub offset: u64,
    /// Bytes of the value.
    pub bytes: u32,
    /// The record's position in the stream.
    pub lsn: Lsn,
    /// The ballot of the record.
    pub ballot: Ballot,
}

/// One record with a value: 24 bytes.
#[derive(Clone, Copy, Debug)]
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
}

const _: () = assert!(size_of::<IndexEntry>() == 24);

/// One record with a value, as it goes into the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IndexedRecord {
    pub slot: Slot,
    pub location: Location,
    pub flags: u8,
}

impl IndexedRecord {
    /// A record as the index holds it, if it has a value.
    pub(crate) fn of(head: &RecordHead) -> Option<IndexedRecord> {
        let flags = match head.kind {
            RecordKind::Accepted => 0,
            RecordKind::Learned => KNOWN,
            RecordKind::HardState
            | RecordKind::Chosen
            | RecordKind::Trimmed
            | RecordKind::Checkpoint
            | RecordKind::Witnessed => return None,
        };
        let location = Location {
            segment: head.segment,
            offset: head.offset,
            bytes: head.body_bytes,
            lsn: head.lsn,
            ballot: head.ballot,
        };
        Some(IndexedRecord { slot: head.slot, location, flags })
    }
}

/// The entries of one segment, by rising slot; entries of one slot in the order of writing.
/// Self-contained, so that the arrays of full segments can move to disk.
#[derive(Clone, Debug)]
pub(in crate::journal) struct SegmentIndex {
    pub(in crate::journal) first_lsn: Lsn,
    pub(in crate::journal) ballots: Vec<Ballot>,
    pub(in crate::journal) entries: Vec<IndexEntry>,
}

impl SegmentIndex {
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

    fn of_slot(&self, slot: Slot) -> &[IndexEntry] {
        let from = self.entries.partition_point(|entry| entry.slot < slot.0);
        let count = self.entries[from..].iter().take_while(|entry| entry.slot == slot.0).count();
        &self.entries[from..from + count]
    }

    fn spans(&self, slot: Slot) -> bool {
        let first = self.entries.first().is_some_and(|entry| entry.slot <= slot.0);
        first && self.entries.last().is_some_and(|entry| slot.0 <= entry.slot)
    }
}

/// The index of all segments.
#[derive(Clone, Debug)]
pub(crate) struct SlotIndex {
    /// Slots before its first one are not in the index.
    pub(in crate::journal) manifest: Manifest,
    pub(in crate::journal) segments: BTreeMap<SegmentId, SegmentIndex>,
    /// Records whose header is lost and whose descriptor serves: the body's checksum, by place.
    pub(in crate::journal) headless: BTreeMap<(SegmentId, u64), u64>,
    /// Chosen slots of which only a record known to hold the chosen value may be believed: a
    /// record of a higher ballot may be lost.
    pub(in crate::journal) distrusted: BTreeSet<Slot>,
}

impl SlotIndex {
    /// An empty index of a journal that begins here.
    pub(crate) fn new(manifest: Manifest) -> SlotIndex {
        SlotIndex {
            manifest,
            segments: BTreeMap::new(),
            headless: BTreeMap::new(),
            distrusted: BTreeSet::new(),
        }
    }

    /// Adds a record of a segment whose first LSN is `first_lsn`. Slots mostly rise. A record of a
    /// slot that is trimmed is left out: nobody asks for it, and its damage is none.
    pub(crate) fn insert(&mut self, first_lsn: Lsn, found: &IndexedRecord) {
        let IndexedRecord { slot, location, flags } = *found;
        if self.manifest.is_trimmed(slot) {
            return;
        }
        let index = self.segments.entry(location.segment).or_insert_with(|| SegmentIndex {
            first_lsn,
            ballots: Vec::new(),
            entries: Vec::new(),
        });
        let entry = IndexEntry {
            slot: slot.0,
            lsn: (location.lsn.0 - index.first_lsn.0) as u32,
            offset: (location.offset / ALIGN_BYTES as u64) as u32,
            bytes: location.bytes,
            ballot_and_flags: index.ballot_number(location.ballot) | u32::from(flags) << 24,
        };
        let at = index.entries.partition_point(|other| other.slot <= slot.0);
        index.entries.insert(at, entry);
    }

    /// The record at this place has lost its header; its body has this checksum.
    pub(crate) fn insert_headless(&mut self, segment: SegmentId, offset: u64, checksum: u64) {
        self.headless.insert((segment, offset), checksum);
    }

    /// The checksum of the body of a record whose header is lost.
    pub(crate) fn headless(&self, location: &Location) -> Option<u64> {
        self.headless.get(&(location.segment, location.offset)).copied()
    }

    /// The record whose value counts for a slot: one known to hold the chosen value, else the one
    /// of the highest ballot; of several, one that is intact, else the newest.
    ///
    /// Where the slot is chosen, every record of a ballot at or above the one in which it was
    /// chosen holds the chosen value (Paxos Made Simple, P2), so the highest ballot is right.
    pub(crate) fn best(&self, slot: Slot) -> Option<IndexedRecord> {
        let rank = |found: &IndexedRecord| {
            let intact = found.flags & DAMAGED == 0;
            let known = intact && found.flags & KNOWN != 0;
            (known, found.location.ballot, intact, found.location.lsn)
        };
        // Newest first: a slot's records lie close together, in a few segments at most.
        let segments = self.segments.iter().rev().filter(|(_, index)| index.spans(slot));
        let all = segments
            .flat_map(|(id, index)| index.of_slot(slot).iter().map(|e| index.found(*id, e)));
        let best = all.max_by_key(rank)?;
        let doubtful = best.flags & KNOWN == 0 && self.distrusted.contains(&slot);
        Some(IndexedRecord { flags: best.flags | if doubtful { DAMAGED } else { 0 }, ..best })
    }

    /// The highest ballot in which any record holds the slot.
    pub(crate) fn highest_ballot(&self, slot: Slot) -> Option<Ballot> {
        let segments = self.segments.values().filter(|index| index.spans(slot));
        let entries = segments.flat_map(|index| {
            index.of_slot(slot).iter().map(|entry| index.ballots[entry.ballot()])
        });
        entries.max()
    }

    /// Believes of this chosen slot only a record that is known to hold the chosen value.
    pub(crate) fn distrust(&mut self, slot: Slot) {
        self.distrusted.insert(slot);
    }

    /// Every record, segment by segment, by slot in each.
    fn all(&self) -> impl Iterator<Item = IndexedRecord> + '_ {
        self.segments
            .iter()
            .flat_map(|(id, index)| index.entries.iter().map(|entry| index.found(*id, entry)))
    }

    /// The slots known to be chosen, almost in order, some more than once.
    pub(crate) fn known_slots(&self) -> impl Iterator<Item = Slot> + '_ {
        self.all().filter(|found| found.flags & KNOWN != 0).map(|found| found.slot)
    }

    /// The records that do not verify.
    pub(crate) fn damaged(&self) -> Vec<IndexedRecord> {
        self.all().filter(|found| found.flags & DAMAGED != 0).collect()
    }

    /// A segment is full: gives back what its array does not need.
    pub(crate) fn seal(&mut self, segment: SegmentId) {
        if let Some(index) = self.segments.get_mut(&segment) {
            index.entries.shrink_to_fit();
        }
    }

    /// The distinct slots above `slot`, rising.
    pub(crate) fn slots_above(&self, slot: Slot) -> Vec<Slot> {
        let mut slots: Vec<Slot> = Vec::new();
        for index in self.segments.values() {
            let from = index.entries.partition_point(|entry| entry.slot <= slot.0);
            slots.extend(index.entries[from..].iter().map(|entry| Slot(entry.slot)));
        }
        slots.sort_unstable();
        slots.dedup();
        slots
    }

    /// Marks as known to be chosen what `known(slot, ballot)` says so of.
    pub(crate) fn mark_known(&mut self, known: impl Fn(Slot, Ballot) -> bool) {
        for index in self.segments.values_mut() {
            for entry in &mut index.entries {
                if known(Slot(entry.slot), index.ballots[entry.ballot()]) {
                    entry.ballot_and_flags |= u32::from(KNOWN) << 24;
                }
            }
        }
    }

    /// The damage of a slot's best record, if it is damaged.
    pub(crate) fn damaged_place(found: &IndexedRecord) -> Option<(String, u64)> {
        let file = || file_name(found.location.segment).to_string();
        (found.flags & DAMAGED != 0).then(|| (file(), found.location.offset))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::types::NodeId;

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
                let mut index = SlotIndex::new(Manifest::UNTRIMMED);
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
}
