//! Reading one segment for the places of its records alone.

use crate::journal::format::item::JournalId;
use crate::journal::format::layout::file_name;
use crate::journal::format::open_error::OpenError;
use crate::journal::segment::batch_scan::{self, FoundBatch, Limit, Part};
use crate::journal::segment::index::{SegmentIndex, SlotIndex};
use crate::journal::segment::indexed_record::{DAMAGED, IndexedRecord};
use crate::journal::segment::reader::SegmentReader;
use crate::journal::segment::records::{Seen, check_batch, check_gap};
use crate::journal::segment::start::Baseline;
use crate::storage::Storage;
use crate::types::{Lsn, RecordKind, SegmentId, Slot};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What was found in a segment.
pub(crate) struct Rescanned {
    pub index: Arc<SegmentIndex>,
    /// By offset: the checksum of the body of a record whose header is lost.
    pub headless: BTreeMap<u64, u64>,
    /// Records of it are lost.
    pub lost: bool,
}

/// Reads a segment behind which others were begun. Where it ends the next one says, as at a start.
pub(crate) fn rescan(
    storage: &dyn Storage,
    journal_id: &JournalId,
    segment: SegmentId,
    segment_bytes: u64,
) -> Result<Rescanned, OpenError> {
    let previous = any_batch(storage, journal_id, segment.next())?.map(|any| any.head.previous);
    let limit = previous.as_ref().map(Limit::new);
    let mut reader = SegmentReader::new(storage, segment, segment_bytes);
    let any = batch_scan::peek(&mut reader, journal_id)?.0;
    let first_lsn = any.map(|any| any.head.previous.first_lsn);
    // Without any batch nothing says which records there were.
    let Some(first_lsn) = first_lsn else {
        let index = Arc::new(SegmentIndex::new(Lsn(0)));
        return Ok(Rescanned { index, headless: BTreeMap::new(), lost: true });
    };
    let mut found = Adding::new(first_lsn);
    let scan = batch_scan::walk(&mut reader, journal_id, first_lsn, limit)?;
    for part in &scan.parts {
        let (checked, first, next) = match part {
            Part::Batch(batch) => {
                let checked = check_batch(&mut reader, journal_id, batch)?;
                (checked, batch.head.first_lsn, batch.next_lsn())
            }
            Part::Gap(gap) => {
                (check_gap(&mut reader, journal_id, gap)?, gap.first_lsn, gap.next_lsn)
            }
        };
        found.expect(first);
        checked.records.iter().for_each(|seen| found.add(seen));
        found.expect(next);
    }
    // Where neither a seal nor the next segment says how this one ends, there may have been more.
    found.lost |= limit.map_or(!scan.sealed, |limit| found.expected < limit.next_lsn);
    Ok(found.finish(segment))
}

/// The records of a segment, added up by rising LSN.
struct Adding {
    first_lsn: Lsn,
    expected: Lsn,
    lost: bool,
    index: SlotIndex,
}

impl Adding {
    fn new(first_lsn: Lsn) -> Adding {
        let index = SlotIndex::new(Baseline::NONE);
        Adding { first_lsn, expected: first_lsn, lost: false, index }
    }

    fn expect(&mut self, next: Lsn) {
        self.lost |= self.expected < next;
        self.expected = self.expected.max(next);
    }

    fn add(&mut self, seen: &Seen) {
        let head = &seen.head;
        self.expect(head.lsn);
        self.expected = head.lsn.next();
        let watermark = match head.kind {
            RecordKind::Accepted => head.chosen_upto,
            RecordKind::Chosen => head.slot,
            RecordKind::HardState
            | RecordKind::Learned
            | RecordKind::Remnant
            | RecordKind::Released
            | RecordKind::Checkpoint
            | RecordKind::Witnessed => Slot(0),
        };
        self.index.raise_watermark(head.ballot, watermark);
        let Some(mut found) = IndexedRecord::of(head) else { return };
        found.flags |= if seen.intact { 0 } else { DAMAGED };
        self.index.insert(self.first_lsn, &found);
        if seen.headless {
            self.index.insert_headless(head.segment, head.offset, head.body_checksum);
        }
    }

    fn finish(mut self, segment: SegmentId) -> Rescanned {
        self.index.mark_known();
        let headless = self.index.headless.iter().map(|((_, at), sum)| (*at, *sum)).collect();
        let index = self.index.segments.remove(&segment);
        let index = index.unwrap_or_else(|| Arc::new(SegmentIndex::new(self.first_lsn)));
        Rescanned { index, headless, lost: self.lost }
    }
}

fn any_batch(
    storage: &dyn Storage,
    journal_id: &JournalId,
    segment: SegmentId,
) -> Result<Option<FoundBatch>, OpenError> {
    let name = file_name(segment);
    let Ok(bytes) = storage.len(&name) else { return Ok(None) };
    let mut reader = SegmentReader::new(storage, segment, bytes);
    Ok(batch_scan::peek(&mut reader, journal_id)?.0)
}
