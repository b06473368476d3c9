//! How a journal ends: torn, suspect and whole are distinguished (C11).
//!
//! One batch is in flight at a time, so only the last one can be incomplete without damage. It is
//! cut if it shows a pre-image; else what of it does not verify is suspect. Whatever lies before
//! it was durable before it was written, and is damaged where it does not verify.

use crate::journal::format::item::{ITEM_BYTES, JournalId};
use crate::journal::format::layout::{BLOCK, is_zero};
use crate::journal::format::open_error::OpenError;
use crate::journal::segment::batch_scan::{BatchScan, FoundBatch, Part};
use crate::journal::segment::reader::SegmentReader;
use crate::journal::segment::records::{check_batch, shows_pre_image};
use crate::limits::SECTOR_BYTES;
use crate::types::Lsn;

/// How the last segment in use ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Behind its last batch all is zero: batches can be added.
    Clean,
    /// Its last batch is its seal.
    Sealed,
    /// The last batch is cut.
    Torn(Torn),
    /// What does not verify from `from` on is suspect. The segment's batches end here.
    Suspect { from: Lsn, next_lsn: Lsn, data_end: u64, desc_start: u64 },
}

/// A cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Torn {
    pub first_lsn: Lsn,
    /// Where a header of the batch survived.
    pub records: Option<u64>,
    pub bytes: u64,
    /// What is kept of the segment ends here.
    pub data_end: u64,
    pub desc_start: u64,
}

/// Judges the end of a scan that had no limit.
pub(crate) fn judge(
    reader: &mut SegmentReader<'_>,
    journal_id: &JournalId,
    scan: &BatchScan,
) -> Result<Ending, OpenError> {
    if scan.dirty {
        return judge_headless(reader, scan);
    }
    if scan.sealed {
        return Ok(Ending::Sealed);
    }
    let Some(Part::Batch(last)) = scan.parts.last() else { return Ok(Ending::Clean) };
    let whole = check_batch(reader, journal_id, last)?.is_whole(last.head.records);
    if whole {
        Ok(Ending::Clean)
    } else if shows_pre_image(reader, journal_id, last)? {
        Ok(Ending::Torn(cut_before(last)))
    } else {
        Ok(Ending::Suspect {
            from: last.head.first_lsn,
            next_lsn: last.next_lsn(),
            data_end: scan.data,
            desc_start: scan.desc,
        })
    }
}

fn cut_before(last: &FoundBatch) -> Torn {
    Torn {
        first_lsn: last.head.first_lsn,
        records: Some(u64::from(last.head.records)),
        bytes: last.data_end() - last.head.offset + last.desc_top() - last.desc_start(),
        data_end: last.head.offset,
        desc_start: last.desc_top(),
    }
}

/// Something lies behind the last batch, and neither header of it verifies. Both are the first
/// thing in their area, and never zero when written.
fn judge_headless(reader: &mut SegmentReader<'_>, scan: &BatchScan) -> Result<Ending, OpenError> {
    let (data, desc) = (scan.data, scan.desc);
    let header = is_zero(reader.read(data, SECTOR_BYTES)?);
    let copy = is_zero(reader.read(desc - SECTOR_BYTES as u64, SECTOR_BYTES)?);
    let mut bytes = 0;
    for at in (data..desc).step_by(BLOCK as usize) {
        bytes += if is_zero(reader.read(at, BLOCK as usize)?) { 0 } else { BLOCK };
    }
    if header || copy {
        return Ok(Ending::Torn(Torn {
            first_lsn: scan.next_lsn,
            records: None,
            bytes,
            data_end: data,
            desc_start: desc,
        }));
    }
    // It may have held as many records as there is space for, with a header and a descriptor each; none
    // of their LSNs is used again.
    let records = bytes / (2 * ITEM_BYTES as u64);
    Ok(Ending::Suspect {
        from: scan.next_lsn,
        next_lsn: scan.next_lsn.plus(records),
        data_end: desc,
        desc_start: desc,
    })
}
