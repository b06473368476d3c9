//! What is to be read of which files, and what comes of it.

use crate::journal::format::item::ITEM_BYTES;
use crate::journal::format::layout::file_name;
use crate::journal::segment::index::SlotIndex;
use crate::journal::segment::indexed_record::{IndexedRecord, Location, SlotNeed};
use crate::journal::segment::places::PlaceRow;
use crate::journal::segment::spilled::{FoundRows, FoundSlot, SlotLookup};
use crate::limits::{READ_EXTENT_BYTES_MAX, READ_SPAN_BYTES_MAX};
use crate::types::{Ballot, Slot, Value};
use std::sync::Arc;

/// Records so close together are read in one go: reading a gap costs less than another read.
const COALESCE_GAP_BYTES: u64 = 64 << 10;

/// One contiguous read of one file, and the records wanted in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileRange {
    pub file: Arc<str>,
    pub offset: u64,
    pub bytes: usize,
    pub wanted: Vec<Wanted>,
}

/// One record wanted, or a part of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub slot: Slot,
    pub location: Location,
    /// The body's checksum where the record's own header is lost.
    pub headless: Option<u64>,
    /// It is the record of a remnant.
    pub is_remnant: bool,
    /// Of the body so many bytes from this one on, which nothing here verifies.
    pub part: Option<(u32, u32)>,
    /// Where it does not verify, the slot's value counts as released, not as damaged: a remnant has its live entries.
    pub released_if_damaged: bool,
}

impl Wanted {
    /// The whole record.
    pub(crate) fn whole(row: &PlaceRow) -> Wanted {
        let PlaceRow { record, headless } = *row;
        let IndexedRecord { slot, location, .. } = record;
        let (is_remnant, part, released_if_damaged) = (record.is_remnant(), None, false);
        Wanted { slot, location, headless, is_remnant, part, released_if_damaged }
    }

    /// Where in the file it begins, and how many bytes of it are read.
    pub(crate) fn span(&self) -> (u64, usize) {
        let Location { offset, bytes, .. } = self.location;
        match self.part {
            None => (offset, ITEM_BYTES + bytes as usize),
            Some((from, bytes)) => (offset + ITEM_BYTES as u64 + u64::from(from), bytes as usize),
        }
    }
}

/// What a read found for one slot.
pub type ReadResult = Result<(Ballot, Value), ReadDamage>;

/// What is to be read of which files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReadPlan {
    pub ranges: Vec<FileRange>,
    /// Slots that need no look at the disk to fail.
    pub missing: Vec<(Slot, ReadDamage)>,
    bytes: usize,
    span: usize,
    bytes_max: usize,
}

impl ReadPlan {
    /// Nothing yet, for values of so many bytes.
    pub(crate) fn new(bytes_max: usize) -> ReadPlan {
        ReadPlan { bytes_max, ..ReadPlan::default() }
    }

    fn is_empty(&self) -> bool {
        self.ranges.is_empty() && self.missing.is_empty()
    }

    /// The plan is full, and takes no value of so many bytes. The first one always fits.
    fn is_full(&self, bytes: usize) -> bool {
        let over = self.bytes + bytes > self.bytes_max || self.span >= READ_SPAN_BYTES_MAX;
        over && !self.is_empty()
    }

    /// Adds what a lookup asks for of its slot, of which files of places have these rows, in rising order of slots.
    /// False: the plan is full.
    pub(crate) fn add_found(&mut self, lookup: &SlotLookup, rows: Vec<PlaceRow>) -> bool {
        let (slot, need) = (lookup.slot, lookup.need);
        if need == SlotNeed::Anything {
            let all = lookup.all(rows.iter().copied());
            if !all.is_empty() {
                return self.add_all(&all);
            }
        }
        match lookup.best(rows.into_iter()) {
            FoundSlot::Record(FoundRows { counts, beside: Some(beside) })
                if need == SlotNeed::Both && counts.record.is_intact() =>
            {
                self.add_all(&[counts, beside])
            }
            FoundSlot::Record(found) => self.add(slot, found, need),
            FoundSlot::Nothing => self.miss(slot, ReadDamage::NotHeld { slot }),
            FoundSlot::Released => self.miss(slot, ReadDamage::Released { slot }),
        }
    }

    /// Adds the record that counts for this need. False: the plan is full.
    fn add(&mut self, slot: Slot, found: FoundRows, need: SlotNeed) -> bool {
        let FoundRows { counts: row, beside } = found;
        let record = row.record;
        if self.is_full(record.location.bytes as usize) {
            return false;
        }
        self.bytes += record.location.bytes as usize;
        if let Some((file, offset)) = SlotIndex::damaged_place(&record) {
            let ballot = Ballot::ZERO; // As for a hole of a start, which has it from recovery.
            self.missing.push((slot, ReadDamage::Damaged { slot, ballot, file, offset }));
        } else {
            // Damage that nobody knows of yet shows when it is read.
            let released_if_damaged = need == SlotNeed::Whole && beside.is_some();
            self.span += self.plan(Wanted { released_if_damaged, ..Wanted::whole(&row) });
        }
        true
    }

    /// Adds all of these records of one slot, or none of them. False: the plan is full.
    fn add_all(&mut self, rows: &[PlaceRow]) -> bool {
        let bytes = rows.iter().map(|row| row.record.location.bytes as usize).sum();
        let full = self.is_full(bytes);
        if !full {
            self.bytes += bytes;
            for row in rows {
                self.span += self.plan(Wanted::whole(row));
            }
        }
        !full
    }

    /// Adds a slot that fails. False: the plan is full.
    pub(crate) fn miss(&mut self, slot: Slot, why: ReadDamage) -> bool {
        let full = self.is_full(0);
        if !full {
            self.missing.push((slot, why));
        }
        !full
    }

    /// Adds a record to the last extent of a read where it lies close behind it. Returns by how
    /// many bytes the read grows.
    pub(crate) fn plan(&mut self, wanted: Wanted) -> usize {
        let (offset, bytes) = wanted.span();
        let file: Arc<str> = file_name(wanted.location.segment);
        if let Some(last) = self.ranges.last_mut()
            && last.file == file
            && offset >= last.offset
            && offset <= last.offset + last.bytes as u64 + COALESCE_GAP_BYTES
        {
            let end = (offset - last.offset) as usize + bytes;
            if end <= READ_EXTENT_BYTES_MAX {
                let grown = end.saturating_sub(last.bytes);
                last.bytes += grown;
                last.wanted.push(wanted);
                return grown;
            }
        }
        self.ranges.push(FileRange { file, offset, bytes, wanted: vec![wanted] });
        bytes
    }
}

/// Slots to be found, in rising order, as far as so many bytes of values go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lookups {
    pub slots: Vec<SlotLookup>,
    pub bytes_max: usize,
}

impl Lookups {
    /// The bytes of the values are no more.
    pub(crate) fn value_bytes(&self) -> usize {
        let mut slots = self.slots.iter().map(SlotLookup::value_bytes_max);
        let first = slots.next().unwrap_or_default();
        first.max((first + slots.sum::<usize>()).min(self.bytes_max))
    }
}

/// Why a value could not be read. Not fatal: the slot is damaged here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadDamage {
    /// No durable record of the slot is held here.
    #[error("slot {slot} is not held here")]
    NotHeld {
        /// The slot that was asked for.
        slot: Slot,
    },
    /// The record is known to be damaged since recovery.
    #[error("the record of slot {slot} is damaged: {file} at offset {offset}")]
    Damaged {
        /// The slot that was asked for.
        slot: Slot,
        /// The ballot of the record that counts; zero where that is not known to be the chosen one.
        ballot: Ballot,
        /// The segment's file, by its name in the shard's directory.
        file: String,
        /// Offset of the record's header in the file, in bytes.
        offset: u64,
    },
    /// Where the slot lies is not known for now: a file of places does not serve, and is made anew.
    /// Nothing is lost; the same read works a little later.
    #[error("slot {slot} cannot be read for now: {file} is being made")]
    Unplaced {
        /// The slot that was asked for.
        slot: Slot,
        /// The file of places, by its name in the shard's directory.
        file: String,
    },
    /// The slot's value was released (C26): it is no damage, and is not repaired.
    #[error("slot {slot} was released here")]
    Released {
        /// The slot that was asked for.
        slot: Slot,
    },
    /// The medium failed to deliver the record.
    #[error("the record of slot {slot} cannot be read: {file} at offset {offset}: {error}")]
    Unreadable {
        /// The slot that was asked for.
        slot: Slot,
        /// The ballot of the record that counts; zero where that is not known to be the chosen one.
        ballot: Ballot,
        /// The segment's file, by its name in the shard's directory.
        file: String,
        /// Offset of the record's header in the file, in bytes.
        offset: u64,
        /// What the system said.
        error: String,
    },
}

impl ReadDamage {
    /// The segment's file that was read in vain, or is known to be damaged.
    pub(crate) fn file(&self) -> Option<&str> {
        match self {
            ReadDamage::Damaged { file, .. } | ReadDamage::Unreadable { file, .. } => Some(file),
            ReadDamage::NotHeld { .. }
            | ReadDamage::Unplaced { .. }
            | ReadDamage::Released { .. } => None,
        }
    }

    /// The ballot of the record that was lost: a copy of it, or of a higher one, makes it good.
    #[must_use]
    pub fn ballot(&self) -> Ballot {
        match self {
            ReadDamage::NotHeld { .. }
            | ReadDamage::Unplaced { .. }
            | ReadDamage::Released { .. } => Ballot::ZERO,
            ReadDamage::Damaged { ballot, .. } | ReadDamage::Unreadable { ballot, .. } => *ballot,
        }
    }
}
