//! A segment's batches, found by their headers alone: where they lie, and what lies between.

use crate::journal::format::item::{BatchHead, ITEM_BYTES, JournalId, MetadataItem, Previous};
use crate::journal::format::layout::{BLOCK, DATA_START};
use crate::journal::format::open_error::OpenError;
use crate::journal::segment::reader::SegmentReader;
use crate::types::Lsn;

/// A batch of which at least one copy of the header verifies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FoundBatch {
    pub head: BatchHead,
    /// The header at the batch's start verifies.
    pub in_data: bool,
    /// Its copy in the descriptor area verifies.
    pub in_descriptors: bool,
}

impl FoundBatch {
    /// Where the batch's data ends, in whole blocks.
    pub(crate) fn data_end(&self) -> u64 {
        self.head.offset + u64::from(self.head.data_bytes).next_multiple_of(BLOCK)
    }

    pub(crate) fn desc_top(&self) -> u64 {
        u64::from(self.head.desc_top) * BLOCK
    }

    /// Items in the descriptor area: the header's copy, the records', the runs of zero sectors.
    pub(crate) fn items(&self) -> u64 {
        1 + u64::from(self.head.records) + u64::from(self.head.zero_items)
    }

    pub(crate) fn desc_start(&self) -> u64 {
        self.desc_top() - (self.items() * ITEM_BYTES as u64).next_multiple_of(BLOCK)
    }

    /// The LSN after the batch's last record.
    pub(crate) fn next_lsn(&self) -> Lsn {
        self.head.first_lsn.plus(u64::from(self.head.records))
    }
}

/// A stretch between two batches in which no header verifies: one damaged batch or several.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScanGap {
    pub data: u64,
    pub desc_top: u64,
    pub desc_start: u64,
    pub first_lsn: Lsn,
    /// The LSN after the last lost one.
    pub next_lsn: Lsn,
}

/// One piece of a scan.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    Batch(FoundBatch),
    Gap(ScanGap),
}

/// How far a scan may reach, if a later segment says how this one ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    pub data_end: u64,
    pub desc_start: u64,
    pub next_lsn: Lsn,
}

impl Limit {
    pub(crate) fn new(previous: &Previous) -> Limit {
        Limit {
            data_end: u64::from(previous.data_end) * BLOCK,
            desc_start: u64::from(previous.desc_start) * BLOCK,
            next_lsn: previous.first_lsn,
        }
    }
}

/// A segment's batches in order, and where they end.
#[derive(Clone, Debug)]
pub(crate) struct BatchScan {
    pub parts: Vec<Part>,
    /// End of the last batch's data.
    pub data: u64,
    /// Start of the last batch's descriptors.
    pub desc: u64,
    pub next_lsn: Lsn,
    pub next_number: u64,
    /// The last durability mark in it.
    pub mark: Lsn,
    /// The last batch is the segment's seal.
    pub sealed: bool,
    /// How the segment before ended, as this one's batches say.
    pub previous: Option<Previous>,
    /// Something that is not zero lies behind the last batch; always false under a limit.
    pub dirty: bool,
}

/// Reads the item at `offset` as the header of a batch of this very segment.
fn header_at(
    reader: &mut SegmentReader<'_>,
    journal_id: &JournalId,
    offset: u64,
) -> Result<Option<FoundBatch>, OpenError> {
    let segment = reader.segment;
    let bytes = reader.bytes;
    let item = MetadataItem::decode_slice(reader.read(offset, ITEM_BYTES)?, journal_id).ok();
    let head = item.as_ref().and_then(BatchHead::from_item);
    let batch = head.map(|head| FoundBatch { head, in_data: false, in_descriptors: false });
    Ok(batch.filter(|batch| {
        let head = &batch.head;
        let spans = batch.items() * ITEM_BYTES as u64 + u64::from(head.data_bytes);
        head.segment == segment
            && head.offset >= DATA_START
            && head.offset.is_multiple_of(BLOCK)
            && batch.desc_top() <= bytes
            && spans <= bytes
            && head.data_bytes as usize >= ITEM_BYTES
            && head.offset.saturating_add(spans) <= batch.desc_top()
            && batch.data_end() <= batch.desc_start()
    }))
}

/// The length of the file, as the header of its first batch says: its descriptors end there.
pub(crate) fn stated_bytes(
    reader: &mut SegmentReader<'_>,
    journal_id: &JournalId,
) -> Result<Option<u64>, OpenError> {
    let segment = reader.segment;
    let item = MetadataItem::decode_slice(reader.read(DATA_START, ITEM_BYTES)?, journal_id).ok();
    let head = item.as_ref().and_then(BatchHead::from_item);
    let first = head.filter(|head| head.segment == segment && head.offset == DATA_START);
    Ok(first.map(|head| u64::from(head.desc_top) * BLOCK))
}

/// The batch that starts at `data` and whose descriptors end at `desc`, by either of its headers.
pub(crate) fn batch_at(
    reader: &mut SegmentReader<'_>,
    journal_id: &JournalId,
    data: u64,
    desc: u64,
) -> Result<Option<FoundBatch>, OpenError> {
    if data + BLOCK > desc.saturating_sub(BLOCK) {
        return Ok(None);
    }
    let fits = |batch: &FoundBatch| batch.head.offset == data && batch.desc_top() == desc;
    let in_data = header_at(reader, journal_id, data)?.filter(fits);
    let in_descriptors = header_at(reader, journal_id, desc - ITEM_BYTES as u64)?.filter(fits);
    Ok(in_data.or(in_descriptors).map(|batch| FoundBatch {
        in_data: in_data.is_some(),
        in_descriptors: in_descriptors.is_some(),
        ..batch
    }))
}

/// The next batch behind `data` and below `desc`, after one or more whose headers are lost.
fn search(
    reader: &mut SegmentReader<'_>,
    journal_id: &JournalId,
    data: u64,
    desc: u64,
    number: u64,
) -> Result<Option<FoundBatch>, OpenError> {
    let mut best: Option<FoundBatch> = None;
    let mut consider = |batch: Option<FoundBatch>, home: bool| {
        if let Some(batch) = batch
            && home
            && batch.head.number >= number
            && batch.head.offset > data
            && batch.desc_top() < desc
            && best.is_none_or(|best| batch.head.offset < best.head.offset)
        {
            best = Some(batch);
        }
    };
    for at in (data + BLOCK..desc).step_by(BLOCK as usize) {
        let batch = header_at(reader, journal_id, at)?;
        consider(batch, batch.is_some_and(|batch| batch.head.offset == at));
    }
    for top in (data + BLOCK..desc).step_by(BLOCK as usize) {
        let batch = header_at(reader, journal_id, top - ITEM_BYTES as u64)?;
        consider(batch, batch.is_some_and(|batch| batch.desc_top() == top));
    }
    match best {
        Some(batch) => batch_at(reader, journal_id, batch.head.offset, batch.desc_top()),
        None => Ok(None),
    }
}

/// Any batch of the segment, the first one if possible; and whether anything lies in it at all.
pub(crate) fn peek(
    reader: &mut SegmentReader<'_>,
    journal_id: &JournalId,
) -> Result<(Option<FoundBatch>, bool), OpenError> {
    let bytes = reader.bytes;
    if let Some(batch) = batch_at(reader, journal_id, DATA_START, bytes)? {
        return Ok((Some(batch), true));
    }
    if reader.first_dirty_block(DATA_START..bytes)?.is_none() {
        return Ok((None, false));
    }
    Ok((search(reader, journal_id, DATA_START, bytes, 0)?, true))
}

/// Walks a segment's batches up to its limit, or to where nothing follows.
pub(crate) fn walk(
    reader: &mut SegmentReader<'_>,
    journal_id: &JournalId,
    first_lsn: Lsn,
    limit: Option<Limit>,
) -> Result<BatchScan, OpenError> {
    let mut scan = BatchScan {
        parts: Vec::new(),
        data: DATA_START,
        desc: reader.bytes,
        next_lsn: first_lsn,
        next_number: 0,
        mark: Lsn(0),
        sealed: false,
        previous: None,
        dirty: false,
    };
    while !scan.sealed && limit.is_none_or(|limit| scan.data < limit.data_end) {
        let (data, desc) = (scan.data, scan.desc);
        let mut batch = batch_at(reader, journal_id, data, desc)?;
        if batch.is_none() && desc > data {
            // A limit promises that something lies here; without one, zeros are the end.
            if limit.is_none() && reader.first_dirty_block(data..desc)?.is_none() {
                break;
            }
            batch = search(reader, journal_id, data, desc, scan.next_number)?;
            batch = batch.filter(|l| limit.is_none_or(|limit| l.data_end() <= limit.data_end));
            scan.dirty = batch.is_none() && limit.is_none();
        }
        let Some(batch) = batch else { break };
        if batch.head.offset > data {
            scan.parts.push(Part::Gap(ScanGap {
                data,
                desc_top: desc,
                desc_start: batch.desc_top(),
                first_lsn: scan.next_lsn,
                next_lsn: batch.head.first_lsn,
            }));
        }
        scan.push(batch);
    }
    if let Some(limit) = limit
        && scan.data < limit.data_end
    {
        scan.parts.push(Part::Gap(ScanGap {
            data: scan.data,
            desc_top: scan.desc,
            desc_start: limit.desc_start,
            first_lsn: scan.next_lsn,
            next_lsn: limit.next_lsn,
        }));
        (scan.data, scan.desc) = (limit.data_end, limit.desc_start);
        scan.next_lsn = scan.next_lsn.max(limit.next_lsn);
    }
    Ok(scan)
}

impl BatchScan {
    fn push(&mut self, batch: FoundBatch) {
        self.parts.push(Part::Batch(batch));
        self.data = batch.data_end();
        self.desc = batch.desc_start();
        self.next_lsn = batch.next_lsn();
        self.next_number = batch.head.number + 1;
        self.mark = self.mark.max(batch.head.mark);
        self.sealed = batch.head.seal;
        self.previous = Some(batch.head.previous);
    }
}
