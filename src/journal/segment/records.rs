//! A batch's records, each from its header or its descriptor, whichever verifies; and the evidence
//! that a batch was never completely written.

use crate::journal::format::hard_state_body;
use crate::journal::format::item::{
    ITEM_BYTES, JournalId, MetadataItem, RecordHead, body_checksum, kind, record_span, zero_runs,
};
use crate::journal::format::layout::is_zero;
use crate::journal::format::open_error::OpenError;
use crate::journal::format::released;
use crate::journal::format::witnessed;
use crate::journal::segment::batch_scan::{FoundBatch, ScanGap};
use crate::journal::segment::reader::SegmentReader;
use crate::limits::SECTOR_BYTES;
use crate::types::{HardState, Lsn, NodeId, RecordKind, Released, Witness};
use std::collections::BTreeMap;

/// One record whose identity verifies.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub head: RecordHead,
    /// The body verifies.
    pub intact: bool,
    /// The header in the data area does not verify; the descriptor serves.
    pub headless: bool,
    /// The content of a hard-state record.
    pub hard: Option<HardState>,
    /// The content of a record of what was witnessed.
    pub witnessed: Option<Vec<(NodeId, Witness)>>,
    /// The digest that a record of a checkpoint names.
    pub digest: Option<u64>,
    /// The content of a record of what was released.
    pub released: Option<Released>,
}

/// What was found of a batch.
#[derive(Clone, Debug, Default)]
pub(crate) struct CheckedBatch {
    /// By rising LSN; an LSN that is not among them is lost.
    pub records: Vec<Seen>,
    /// Every header and every descriptor verify, and every body.
    pub complete: bool,
}

impl CheckedBatch {
    /// Every record is there, whole, by at least one copy of its header.
    pub(crate) fn is_whole(&self, records: u32) -> bool {
        self.records.len() == records as usize && self.records.iter().all(|seen| seen.intact)
    }
}

/// Where records of one stretch may lie.
struct Stretch {
    /// From the end of the batch's header.
    data: u64,
    data_end: u64,
    first_lsn: Lsn,
    next_lsn: Lsn,
}

impl Stretch {
    /// Decodes a record's header that claims to be of this LSN and to lie in this stretch.
    fn record(
        &self,
        reader: &SegmentReader<'_>,
        item: &MetadataItem,
        lsn: Lsn,
    ) -> Option<RecordHead> {
        let head = RecordHead::from_item(item)?;
        let fits = head.lsn == lsn
            && head.segment == reader.segment
            && head.offset >= self.data
            && head.offset.saturating_add(head.span()) <= self.data_end;
        fits.then_some(head)
    }
}

fn item_at(
    reader: &mut SegmentReader<'_>,
    journal_id: &JournalId,
    at: u64,
) -> Result<Option<MetadataItem>, OpenError> {
    Ok(MetadataItem::decode_slice(reader.read(at, ITEM_BYTES)?, journal_id).ok())
}

/// Looks at every record of a batch.
pub(crate) fn check_batch(
    reader: &mut SegmentReader<'_>,
    journal_id: &JournalId,
    batch: &FoundBatch,
) -> Result<CheckedBatch, OpenError> {
    let stretch = Stretch {
        data: batch.head.offset + ITEM_BYTES as u64,
        data_end: batch.head.offset + u64::from(batch.head.data_bytes),
        first_lsn: batch.head.first_lsn,
        next_lsn: batch.next_lsn(),
    };
    let mut descriptors = BTreeMap::new();
    for ordinal in 0..u64::from(batch.head.records) {
        let at = batch.desc_top() - (2 + ordinal) * ITEM_BYTES as u64;
        if let Some(item) = item_at(reader, journal_id, at)? {
            descriptors.insert(stretch.first_lsn.plus(ordinal), item);
        }
    }
    let mut checked = check(reader, journal_id, &stretch, &descriptors)?;
    let zero_items = zero_run_items(reader, journal_id, batch)?.is_some();
    checked.complete &= batch.in_data && batch.in_descriptors && zero_items;
    Ok(checked)
}

/// Looks for what can be saved where the headers of one or more batches are lost: records that
/// still have a descriptor, and those that follow each other from the start.
pub(crate) fn check_gap(
    reader: &mut SegmentReader<'_>,
    journal_id: &JournalId,
    gap: &ScanGap,
) -> Result<CheckedBatch, OpenError> {
    let stretch = Stretch {
        data: gap.data + ITEM_BYTES as u64,
        data_end: gap.desc_start,
        first_lsn: gap.first_lsn,
        next_lsn: gap.next_lsn,
    };
    let mut descriptors = BTreeMap::new();
    for at in (gap.desc_start..gap.desc_top).step_by(ITEM_BYTES) {
        let item = item_at(reader, journal_id, at)?;
        if let Some(item) = item.filter(|item| RecordHead::from_item(item).is_some())
            && (stretch.first_lsn..stretch.next_lsn).contains(&item.lsn)
        {
            descriptors.insert(item.lsn, item);
        }
    }
    let mut checked = check(reader, journal_id, &stretch, &descriptors)?;
    checked.complete = false;
    Ok(checked)
}

fn check(
    reader: &mut SegmentReader<'_>,
    journal_id: &JournalId,
    stretch: &Stretch,
    descriptors: &BTreeMap<Lsn, MetadataItem>,
) -> Result<CheckedBatch, OpenError> {
    let mut checked = CheckedBatch { records: Vec::new(), complete: true };
    // Where the next header lies, as long as that is known.
    let mut home = Some(stretch.data);
    let mut lsn = stretch.first_lsn;
    while lsn < stretch.next_lsn {
        let descriptor = descriptors.get(&lsn).and_then(|d| stretch.record(reader, d, lsn));
        let at = descriptor.map(|head| head.offset).or(home);
        let header = match at.filter(|at| at + ITEM_BYTES as u64 <= stretch.data_end) {
            Some(at) => item_at(reader, journal_id, at)?
                .and_then(|item| stretch.record(reader, &item, lsn))
                .filter(|head| head.offset == at),
            None => None,
        };
        let Some(head) = descriptor.or(header) else {
            checked.complete = false;
            home = None;
            // Nothing more can be found before the next descriptor.
            let next = descriptors.range(lsn.next()..).next().map(|(lsn, _)| *lsn);
            lsn = next.unwrap_or(stretch.next_lsn);
            continue;
        };
        let body = reader.read(head.offset + ITEM_BYTES as u64, head.body_bytes as usize)?;
        let intact = body_checksum(body, lsn) == head.body_checksum;
        let hard = match head.kind {
            RecordKind::HardState if intact => hard_state_body::decode_body(body),
            RecordKind::HardState
            | RecordKind::Accepted
            | RecordKind::Learned
            | RecordKind::Remnant
            | RecordKind::Chosen
            | RecordKind::Released
            | RecordKind::Checkpoint
            | RecordKind::Witnessed => None,
        };
        let is_table = intact && head.kind == RecordKind::Witnessed;
        let witnessed = if is_table { witnessed::decode_body(body) } else { None };
        let is_release = intact && head.kind == RecordKind::Released;
        let released = if is_release { released::decode_body(&head, body) } else { None };
        let is_checkpoint = intact && head.kind == RecordKind::Checkpoint;
        let digest = body.try_into().ok().filter(|_| is_checkpoint).map(u64::from_le_bytes);
        let headless = header.is_none();
        checked.complete &= intact && !headless && descriptor.is_some() && descriptor == header;
        checked.records.push(Seen { head, intact, headless, hard, witnessed, digest, released });
        home = Some(head.offset + record_span(head.body_bytes as usize) as u64);
        lsn = lsn.next();
    }
    Ok(checked)
}

/// The runs of sectors that the batch leaves zero; nothing when an item of them does not verify.
fn zero_run_items(
    reader: &mut SegmentReader<'_>,
    journal_id: &JournalId,
    batch: &FoundBatch,
) -> Result<Option<Vec<(u32, u32)>>, OpenError> {
    let mut runs = Vec::new();
    for ordinal in 0..batch.head.zero_items {
        let before = 2 + u64::from(batch.head.records) + u64::from(ordinal);
        let at = batch.desc_top() - before * ITEM_BYTES as u64;
        match item_at(reader, journal_id, at)? {
            Some(item)
                if item.kind == kind::ZERO_RUNS
                    && (item.lsn, item.offset) == (batch.head.first_lsn, batch.head.offset)
                    && (item.segment, item.count) == (batch.head.segment, ordinal) =>
            {
                runs.extend(zero_runs(&item));
            }
            Some(_) | None => return Ok(None),
        }
    }
    Ok(Some(runs))
}

/// C11: a sector of the batch still shows its pre-image. Segments are zero ahead of the write
/// position, and the batch itself names the sectors that it leaves zero.
pub(crate) fn shows_pre_image(
    reader: &mut SegmentReader<'_>,
    journal_id: &JournalId,
    batch: &FoundBatch,
) -> Result<bool, OpenError> {
    let sector_bytes = SECTOR_BYTES as u64;
    let lowest = batch.desc_top() - batch.items() * ITEM_BYTES as u64;
    for at in (lowest - lowest % sector_bytes..batch.desc_top()).step_by(SECTOR_BYTES) {
        if is_zero(reader.read(at, SECTOR_BYTES)?) {
            return Ok(true);
        }
    }
    // Without the list, a zero sector of the data may have been written as zero.
    let Some(runs) = zero_run_items(reader, journal_id, batch)? else { return Ok(false) };
    let sectors = u64::from(batch.head.data_bytes).div_ceil(sector_bytes);
    let mut runs = runs.into_iter().peekable();
    for sector in 0..sectors {
        while runs.next_if(|(first, n)| u64::from(*first) + u64::from(*n) <= sector).is_some() {}
        let written_zero = runs.peek().is_some_and(|(first, _)| u64::from(*first) <= sector);
        let at = batch.head.offset + sector * sector_bytes;
        if !written_zero && is_zero(reader.read(at, SECTOR_BYTES)?) {
            return Ok(true);
        }
    }
    Ok(false)
}
