//! Reads of values, or of parts of them, by a thread that may block: it finds them and reads them in one
//! go, into memory that it has already.

use crate::journal::format::item::JournalId;
use crate::journal::segment::index::SlotIndex;
use crate::journal::segment::places::PlaceRow;
use crate::journal::segment::spilled::SlotFinder;
use crate::journal::write::execute::read_ranges;
use crate::journal::write::journal::Journal;
use crate::journal::write::lookup::PlaceSearch;
use crate::journal::write::read_plan::{ReadDamage, ReadPlan, Wanted};
use crate::storage::{BlockCache, Storage, StorageError};
use crate::types::{Ballot, SegmentId, Slot};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

/// What a thread needs to read values by itself.
#[derive(Clone, Debug)]
pub struct PieceSource {
    journal_id: JournalId,
    finder: SlotFinder,
    /// Blocks of files of places that were read before.
    cache: Arc<BlockCache>,
}

/// Finds slots and reads their values.
pub struct PieceReader<'a> {
    source: &'a PieceSource,
    search: PlaceSearch<'a>,
}

/// Where a slot lies.
#[derive(Clone, Debug)]
pub enum SlotPlace {
    /// In this record.
    At(RecordPlace),
    /// It cannot be read.
    Damaged(ReadDamage),
    /// Only the journal itself can say it.
    Beyond,
}

/// The record that holds a slot's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordPlace(PlaceRow);

/// What is read of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordPiece {
    /// The record.
    pub place: RecordPlace,
    /// So many bytes of its value; nothing verifies them. None for the whole value, which is verified.
    pub part: Option<Range<u32>>,
}

impl Journal {
    /// What reads these slots, which rise, and all others of which only files say where they lie, below
    /// `end`.
    #[must_use]
    pub fn piece_source(&self, slots: &[Slot], end: Slot, cache: Arc<BlockCache>) -> PieceSource {
        let finder = self.index.finder(slots).below(end);
        PieceSource { journal_id: self.journal_id, finder, cache }
    }
}

impl RecordPlace {
    /// Bytes of the value, or of what is left of it.
    #[must_use]
    pub fn value_bytes(&self) -> u32 {
        self.0.record.location.bytes
    }

    /// It is what is left of the value: a part of it is not found by offsets of the value.
    #[must_use]
    pub fn is_remnant(&self) -> bool {
        self.0.record.is_remnant()
    }

    /// The segment in which it lies.
    #[must_use]
    pub fn segment(&self) -> SegmentId {
        self.0.record.location.segment
    }

    /// The ballot in which it was written down.
    #[must_use]
    pub fn ballot(&self) -> Ballot {
        self.0.record.location.ballot
    }
}

impl<'a> PieceReader<'a> {
    /// A reader that has read nothing yet.
    #[must_use]
    pub fn new(storage: &'a dyn Storage, source: &'a PieceSource) -> PieceReader<'a> {
        let search = PlaceSearch { storage, cache: &source.cache, failed: BTreeSet::new() };
        PieceReader { source, search }
    }

    /// Finds the record that holds the value of a slot.
    ///
    /// # Errors
    /// Only where the system is short of something.
    pub fn find(&mut self, slot: Slot) -> Result<SlotPlace, StorageError> {
        let Some(lookup) = self.source.finder.lookup(slot) else { return Ok(SlotPlace::Beyond) };
        let row = match self.search.place(&lookup)? {
            Ok(Some(found)) => found.counts,
            Ok(None) => return Ok(SlotPlace::Damaged(ReadDamage::NotHeld { slot })),
            Err(why) => return Ok(SlotPlace::Damaged(why)),
        };
        Ok(match SlotIndex::damaged_place(&row.record) {
            None => SlotPlace::At(RecordPlace(row)),
            Some((file, offset)) => {
                let ballot = Ballot::ZERO; // As for a hole of a start, which has it from recovery.
                SlotPlace::Damaged(ReadDamage::Damaged { slot, ballot, file, offset })
            }
        })
    }

    /// Finds the record to fall back on where the one that counts for a slot does not serve, if there is an intact one:
    /// beside a remnant the value, beside a value the remnant.
    ///
    /// # Errors
    /// Only where the system is short of something.
    pub fn beside(&mut self, slot: Slot) -> Result<Option<RecordPlace>, StorageError> {
        let Some(lookup) = self.source.finder.lookup(slot) else { return Ok(None) };
        let found = self.search.place(&lookup)?;
        Ok(found.ok().flatten().and_then(|found| found.beside).map(RecordPlace))
    }

    /// Finds an intact record of a slot in this segment, other than this one; of several the one that would count. It
    /// need not hold what was chosen.
    ///
    /// # Errors
    /// Only where the system is short of something.
    pub fn other_record(
        &mut self,
        slot: Slot,
        segment: SegmentId,
        than: RecordPlace,
    ) -> Result<Option<RecordPlace>, StorageError> {
        let Some(lookup) = self.source.finder.lookup(slot) else { return Ok(None) };
        let rows = self.search.rows_in_files(&lookup)?.unwrap_or_default();
        let mut all = lookup.all(rows.into_iter()).into_iter().map(RecordPlace);
        Ok(all.find(|place| place.segment() == segment && *place != than))
    }

    /// Reads pieces, neighbours in one read of a file, and hands each to `visit` in turn: the value, or
    /// the part of it. Returns how many bytes of files that took.
    ///
    /// # Errors
    /// Only where the system is short of something.
    pub fn read(
        &self,
        pieces: &[RecordPiece],
        mut visit: impl FnMut(Result<&[u8], ReadDamage>),
    ) -> Result<usize, StorageError> {
        let plan = plan(pieces);
        let bytes = plan.ranges.iter().map(|range| range.bytes).sum();
        let journal_id = &self.source.journal_id;
        read_ranges(self.search.storage, journal_id, &plan.ranges, &mut |_, found| visit(found))?;
        Ok(bytes)
    }

    /// These pieces will be read soon.
    pub fn will_need(&self, pieces: &[RecordPiece]) {
        for range in plan(pieces).ranges {
            self.search.storage.will_need(&range.file, range.offset, range.bytes as u64);
        }
    }

    /// Segments whose files of places did not serve, for [`Journal::places_failed`].
    #[must_use]
    pub fn finish(self) -> Vec<SegmentId> {
        self.search.failed.into_iter().collect()
    }
}

fn plan(pieces: &[RecordPiece]) -> ReadPlan {
    let mut plan = ReadPlan::new(usize::MAX);
    for RecordPiece { place, part } in pieces {
        let part = part.as_ref().map(|part| (part.start, part.end - part.start));
        plan.plan(Wanted { part, ..Wanted::whole(&place.0) });
    }
    plan
}
