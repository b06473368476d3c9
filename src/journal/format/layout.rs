//! Segment files: names, geometry, and the header block.
//!
//! A segment is one block of header, a data area that grows upward from it in blocks, and a
//! descriptor area that grows downward from the file's end in blocks. They share the free space
//! between them, so that any mix of record sizes fills a segment.

use crate::journal::format::item::{
    ITEM_BYTES, ItemFault, JournalId, MetadataItem, Previous, VERSION, kind,
};
use crate::journal::format::open_error::OpenError;
use crate::limits::{BLOCK_BYTES, SEGMENT_BYTES_MIN};
use crate::types::{Lsn, SegmentId};
use std::sync::Arc;

/// Bytes of a block, as an offset.
pub(crate) const BLOCK: u64 = BLOCK_BYTES as u64;
/// Where a segment's data starts.
pub(crate) const DATA_START: u64 = BLOCK;
/// What an empty batch takes: a block of data and a block of descriptors. So much is kept back in
/// every segment for its seal.
pub(crate) const EMPTY_BATCH_BYTES: u64 = 2 * BLOCK;
/// Suffix of a segment that is not complete yet.
pub(crate) const UNFINISHED: &str = ".new";

// Positions are stored as 32-bit numbers of blocks; the smallest segment holds a few batches.
const _: () = assert!(SEGMENT_BYTES_MIN >= 64 * BLOCK && SEGMENT_BYTES_MIN.is_multiple_of(BLOCK));

/// The file name of a segment.
pub(crate) fn file_name(segment: SegmentId) -> Arc<str> {
    format!("segment-{:020}.wal", segment.0).into()
}

/// The segment of a file name, if it is one.
pub(crate) fn parse_file_name(name: &str) -> Option<SegmentId> {
    let digits = name.strip_prefix("segment-")?.strip_suffix(".wal")?;
    if digits.len() != 20 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().map(SegmentId)
}

/// The header block of a segment of `bytes` bytes.
pub(crate) fn header_block(journal_id: &JournalId, segment: SegmentId, bytes: u64) -> Vec<u8> {
    let item = MetadataItem {
        segment,
        words: [bytes, 0, 0, 0, 0, 0],
        ..MetadataItem::of_kind(kind::SEGMENT)
    };
    let mut block = vec![0; BLOCK_BYTES];
    block[..ITEM_BYTES].copy_from_slice(&item.encode(journal_id));
    block
}

/// What a segment's header block says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SegmentHeader {
    /// It verifies; the file has so many bytes.
    Intact(u64),
    /// It does not verify. Everything in it is known from elsewhere too.
    Damaged,
    /// It claims a newer version, but does not verify: newer, or its version field rotted.
    Newer(u16),
}

/// Reads a header block; a header that verifies and is another's refuses the start.
pub(crate) fn read_header(
    block: &[u8],
    journal_id: &JournalId,
    segment: SegmentId,
) -> Result<SegmentHeader, OpenError> {
    let foreign = |found: String| OpenError::Foreign {
        file: file_name(segment).to_string(),
        found,
        expected: format!("{journal_id} segment {segment}"),
    };
    match MetadataItem::decode_slice(block, journal_id) {
        Ok(item) if item.kind == kind::SEGMENT && item.segment == segment => {
            Ok(SegmentHeader::Intact(item.words[0]))
        }
        Ok(item) => Err(foreign(format!("{journal_id} segment {}", item.segment))),
        Err(ItemFault::Foreign(found)) => Err(foreign(found.to_string())),
        Err(ItemFault::Version { found, intact: true }) if found > VERSION => {
            Err(future_version(segment, found))
        }
        Err(ItemFault::Version { found, .. }) if found > VERSION => Ok(SegmentHeader::Newer(found)),
        Err(ItemFault::Version { .. } | ItemFault::Magic | ItemFault::Checksum) => {
            Ok(SegmentHeader::Damaged)
        }
    }
}

/// The refusal of a segment that a newer program wrote.
pub(crate) fn future_version(segment: SegmentId, found: u16) -> OpenError {
    OpenError::FutureVersion { file: file_name(segment).to_string(), found, known: VERSION }
}

/// The segment that batches are written to.
#[derive(Clone, Debug)]
pub(crate) struct Writing {
    pub segment: SegmentId,
    pub name: Arc<str>,
    /// Where the next batch's data goes.
    pub data: u64,
    /// Where the next batch's descriptors end.
    pub desc: u64,
    /// How the segment before ended; repeated in every batch.
    pub previous: Previous,
}

impl Writing {
    /// An empty segment of `bytes` bytes after one that ended like this.
    pub(crate) fn fresh(segment: SegmentId, bytes: u64, previous: Previous) -> Writing {
        let name = file_name(segment);
        Writing { segment, name, data: DATA_START, desc: bytes, previous }
    }

    /// True when a batch of so many bytes of data and so many descriptors fits, and after it the
    /// segment's seal.
    pub(crate) fn fits(&self, data_bytes: u64, items: u64) -> bool {
        batch_bytes(data_bytes, items) <= self.room()
    }

    /// Bytes that batches may still take, the seal kept back.
    pub(crate) fn room(&self) -> u64 {
        (self.desc - self.data).saturating_sub(EMPTY_BATCH_BYTES)
    }

    /// How this segment ends if nothing is added to it, seen from one that starts at `first_lsn`.
    pub(crate) fn ends(&self, first_lsn: Lsn) -> Previous {
        Previous {
            first_lsn,
            data_end: (self.data / BLOCK) as u32,
            desc_start: (self.desc / BLOCK) as u32,
            unsure: 0,
        }
    }
}

/// Bytes of a batch on disk: data and descriptors each in blocks of their own.
pub(crate) fn batch_bytes(data_bytes: u64, items: u64) -> u64 {
    let descriptors = items * ITEM_BYTES as u64;
    data_bytes.next_multiple_of(BLOCK) + descriptors.next_multiple_of(BLOCK)
}

/// Bytes of a segment that holds a batch of this size and its seal, and no less than `least`.
pub(crate) fn segment_bytes_for(least: u64, data_bytes: u64, items: u64) -> u64 {
    least
        .next_multiple_of(BLOCK)
        .max(DATA_START + batch_bytes(data_bytes, items) + EMPTY_BATCH_BYTES)
}

/// True when all bytes are zero. Compares whole blocks, at the speed of memory.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    static ZEROS: [u8; BLOCK_BYTES] = [0; BLOCK_BYTES];
    bytes.chunks(ZEROS.len()).all(|chunk| chunk == &ZEROS[..chunk.len()])
}
