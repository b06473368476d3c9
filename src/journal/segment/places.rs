//! The places of one segment's records, in a file of their own: `places-….idx`. Rows sorted by slot in
//! checksummed blocks; only the first slot of each block stays in memory.

use crate::journal::format::item::{ITEM_BYTES, JournalId, MetadataItem, kind};
use crate::journal::format::layout::BLOCK;
use crate::journal::segment::gathered::GatheredSlots;
use crate::journal::segment::indexed_record::{IndexedRecord, Location};
use crate::limits::{BLOCK_BYTES, PLACES_RANGES_MAX};
use crate::storage::{BlockCache, CachedBlock, Storage, StorageError, read_some};
use crate::types::{Ballot, Lsn, NodeId, SegmentId, Slot, SlotRanges};
use std::ops::RangeInclusive;
use std::sync::Arc;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

const ROW_BYTES: usize = 48;
/// Rows in a block; its checksum stands behind them.
const BLOCK_ROWS: usize = (BLOCK_BYTES - 8) / ROW_BYTES;
const CHECKSUM_AT: usize = BLOCK_BYTES - 8;
/// Bytes of a range of slots.
const RANGE_BYTES: usize = 16;
/// Of the flags of a row: the record's own header is lost, and the row has its body's checksum.
const HEADLESS: u8 = 1 << 7;

/// The name of a segment's file of places.
pub(in crate::journal) fn places_name(segment: SegmentId) -> Arc<str> {
    format!("places-{:020}.idx", segment.0).into()
}

/// The segment of a file name, if it is one of places.
pub(in crate::journal) fn parse_places_name(name: &str) -> Option<SegmentId> {
    let digits = name.strip_prefix("places-")?.strip_suffix(".idx")?;
    let all = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    all.then(|| digits.parse().ok().map(SegmentId)).flatten()
}

/// One row: a record with a value, and the checksum of its body where its header is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PlaceRow {
    pub record: IndexedRecord,
    pub headless: Option<u64>,
}

impl PlaceRow {
    fn encode(&self, out: &mut Vec<u8>) {
        let IndexedRecord { slot, location, flags } = self.record;
        let numbers = [
            slot.0,
            location.lsn.0,
            location.offset,
            location.ballot.round,
            self.headless.unwrap_or(0),
        ];
        numbers.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
        out.extend_from_slice(&location.bytes.to_le_bytes());
        out.extend_from_slice(&location.ballot.node.0.to_le_bytes());
        out.push(flags | if self.headless.is_some() { HEADLESS } else { 0 });
        out.push(0);
    }

    /// The slot of an encoded row.
    fn slot(bytes: &[u8]) -> Slot {
        Slot(number(bytes, 0, 8))
    }

    fn decode(bytes: &[u8], segment: SegmentId) -> PlaceRow {
        let number = |at: usize, len: usize| number(bytes, at, len);
        let flags = bytes[46];
        let location = Location {
            segment,
            offset: number(16, 8),
            bytes: number(40, 4) as u32,
            lsn: Lsn(number(8, 8)),
            ballot: Ballot::new(number(24, 8), NodeId(number(44, 2) as u16)),
        };
        let record = IndexedRecord { slot: Slot(number(0, 8)), location, flags: flags & !HEADLESS };
        PlaceRow { record, headless: (flags & HEADLESS != 0).then(|| number(32, 8)) }
    }
}

fn number(bytes: &[u8], at: usize, len: usize) -> u64 {
    bytes[at..at + len].iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// What stays in memory of a file of places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Places {
    pub segment: SegmentId,
    /// Bytes of the segment's file.
    pub segment_bytes: u64,
    /// The highest slot that a lost record of the segment may have had; zero where none is lost.
    pub lost_upto: Slot,
    /// No value is larger.
    pub value_bytes_max: u32,
    rows: u32,
    /// Every row is of one of these slots.
    slots: SlotRanges,
    /// Of each block the slot of its first row.
    fences: Vec<u64>,
    /// The checksum of the file's header: seeds those of its blocks.
    seed: u64,
}

/// Why a file of places does not serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PlacesFault;

/// What a file of places is made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlacesOf {
    pub segment: SegmentId,
    pub segment_bytes: u64,
    pub first_lsn: Lsn,
    pub lost_upto: Slot,
}

impl Places {
    /// Bytes of memory that it takes.
    pub(crate) fn memory_bytes(&self) -> usize {
        size_of::<Places>() + self.fences.len() * size_of::<u64>()
    }

    /// Lays out a file for these rows, which are sorted by slot: what stays in memory, and the bytes
    /// of the file's front.
    pub(crate) fn lay_out(
        journal_id: &JournalId,
        of: &PlacesOf,
        rows: impl Iterator<Item = PlaceRow>,
    ) -> (Places, Vec<u8>) {
        let mut places = Places {
            segment: of.segment,
            segment_bytes: of.segment_bytes,
            lost_upto: of.lost_upto,
            value_bytes_max: 0,
            rows: 0,
            slots: SlotRanges::default(),
            fences: Vec::new(),
            seed: 0,
        };
        let mut slots = GatheredSlots::default();
        for row in rows {
            let IndexedRecord { slot, location, .. } = row.record;
            if (places.rows as usize).is_multiple_of(BLOCK_ROWS) {
                places.fences.push(slot.0);
            }
            slots.add(slot);
            places.rows += 1;
            places.value_bytes_max = places.value_bytes_max.max(location.bytes);
        }
        places.slots = slots.finish();
        let ranges = places.slots.as_slice();
        let numbers = ranges.iter().flat_map(|(first, last)| [first.0, last.0]);
        let numbers = places.fences.iter().copied().chain(numbers);
        let lists: Vec<u8> = numbers.flat_map(u64::to_le_bytes).collect();
        let item = MetadataItem {
            bytes: places.rows,
            count: places.value_bytes_max,
            segment: of.segment,
            offset: of.segment_bytes,
            lsn: of.first_lsn,
            words: [ranges.len() as u64, of.lost_upto.0, xxh3_64(&lists), 0, 0, 0],
            ..MetadataItem::of_kind(kind::PLACES)
        };
        let mut front = item.encode(journal_id).to_vec();
        places.seed = seed(&front);
        front.extend_from_slice(&lists);
        front.resize(front.len().next_multiple_of(BLOCK_BYTES), 0);
        (places, front)
    }

    /// Adds a block of rows to `out`, the `nth` of the file. Takes as many rows as it holds.
    pub(crate) fn encode_block(
        &self,
        nth: u64,
        rows: &mut impl Iterator<Item = PlaceRow>,
        out: &mut Vec<u8>,
    ) {
        let at = out.len();
        rows.take(BLOCK_ROWS).for_each(|row| row.encode(out));
        out.resize(at + CHECKSUM_AT, 0);
        let checksum = xxh3_64_with_seed(&out[at..], self.seed.wrapping_add(nth));
        out.extend_from_slice(&checksum.to_le_bytes());
    }

    /// How many blocks of rows the file has.
    pub(crate) fn blocks(&self) -> u64 {
        self.fences.len() as u64
    }

    fn front_bytes(&self) -> u64 {
        lists_end(self.fences.len(), self.slots.as_slice().len()).next_multiple_of(BLOCK_BYTES)
            as u64
    }

    /// Some row may be of this slot.
    pub(crate) fn spans(&self, slot: Slot) -> bool {
        self.slots.contains(slot)
    }

    /// Every row is of one of these slots.
    pub(crate) fn slots(&self) -> &SlotRanges {
        &self.slots
    }

    /// Reads the front of a segment's file of places: one small read, a second one where the fences
    /// of a large segment go on behind it.
    ///
    /// # Errors
    /// Only where the system is short of something.
    pub(crate) fn open(
        storage: &dyn Storage,
        journal_id: &JournalId,
        segment: SegmentId,
    ) -> Result<Result<Places, PlacesFault>, StorageError> {
        let name = places_name(segment);
        let Ok(len) = storage.len(&name) else { return Ok(Err(PlacesFault)) };
        let mut front = vec![0; BLOCK_BYTES];
        if len < BLOCK || read_some(storage, &name, 0, &mut front)?.is_err() {
            return Ok(Err(PlacesFault));
        }
        let item = match MetadataItem::decode_slice(&front, journal_id) {
            Ok(item) if item.kind == kind::PLACES && item.segment == segment => item,
            Ok(_) | Err(_) => return Ok(Err(PlacesFault)),
        };
        let blocks = (item.bytes as usize).div_ceil(BLOCK_ROWS);
        let [ranges, lost_upto, checksum, ..] = item.words;
        if ranges > PLACES_RANGES_MAX as u64 {
            return Ok(Err(PlacesFault));
        }
        let (fences_end, end) = (lists_end(blocks, 0), lists_end(blocks, ranges as usize));
        // The length is held against what the header says before anything is made for it.
        let front_bytes = end.next_multiple_of(BLOCK_BYTES);
        if len != (front_bytes + blocks * BLOCK_BYTES) as u64 {
            return Ok(Err(PlacesFault));
        }
        if front_bytes > BLOCK_BYTES {
            front.resize(front_bytes, 0);
            if read_some(storage, &name, BLOCK, &mut front[BLOCK_BYTES..])?.is_err() {
                return Ok(Err(PlacesFault));
            }
        }
        if xxh3_64(&front[ITEM_BYTES..end]) != checksum {
            return Ok(Err(PlacesFault));
        }
        let slot = |bytes: &[u8], at: usize| Slot(number(bytes, at, 8));
        let ranges = front[fences_end..end].chunks_exact(RANGE_BYTES);
        Ok(Ok(Places {
            segment,
            segment_bytes: item.offset,
            lost_upto: Slot(lost_upto),
            value_bytes_max: item.count,
            rows: item.bytes,
            slots: SlotRanges::new(ranges.map(|range| (slot(range, 0), slot(range, 8)))),
            fences: front[ITEM_BYTES..fences_end]
                .chunks_exact(8)
                .map(|b| number(b, 0, 8))
                .collect(),
            seed: seed(&front),
        }))
    }

    /// Reads the rows of one block.
    ///
    /// # Errors
    /// Only where the system is short of something.
    pub(crate) fn block(
        &self,
        storage: &dyn Storage,
        nth: u64,
    ) -> Result<Result<Vec<PlaceRow>, PlacesFault>, StorageError> {
        let block = self.read_block(storage, nth)?;
        Ok(block.and_then(|block| self.decode(&block, nth, Slot(0)..=Slot(u64::MAX))))
    }

    /// Reads one block, which verifies.
    fn read_block(
        &self,
        storage: &dyn Storage,
        nth: u64,
    ) -> Result<Result<CachedBlock, PlacesFault>, StorageError> {
        let mut block = [0; BLOCK_BYTES];
        let at = self.front_bytes() + nth * BLOCK;
        if read_some(storage, &places_name(self.segment), at, &mut block)?.is_err() {
            return Ok(Err(PlacesFault));
        }
        let (rows, checksum) = block.split_at(CHECKSUM_AT);
        let seed = self.seed.wrapping_add(nth);
        if checksum != xxh3_64_with_seed(rows, seed).to_le_bytes() {
            return Ok(Err(PlacesFault));
        }
        Ok(Ok(Arc::new(block)))
    }

    /// The rows of a block that are of a slot of this range. Blocks that were read before are in the
    /// cache.
    ///
    /// # Errors
    /// Only where the system is short of something.
    pub(crate) fn rows(
        &self,
        (storage, cache): (&dyn Storage, &BlockCache),
        nth: u64,
        slots: RangeInclusive<Slot>,
    ) -> Result<Result<Vec<PlaceRow>, PlacesFault>, StorageError> {
        let key = (self.seed, nth);
        let block = match cache.get(key) {
            Some(block) => block,
            None => match self.read_block(storage, nth)? {
                Ok(block) => {
                    cache.insert(key, Arc::clone(&block));
                    block
                }
                Err(fault) => return Ok(Err(fault)),
            },
        };
        Ok(self.decode(&block, nth, slots))
    }

    fn decode(
        &self,
        block: &[u8; BLOCK_BYTES],
        nth: u64,
        slots: RangeInclusive<Slot>,
    ) -> Result<Vec<PlaceRow>, PlacesFault> {
        let count = (self.rows as usize - nth as usize * BLOCK_ROWS).min(BLOCK_ROWS);
        let rows = block.chunks_exact(ROW_BYTES).take(count);
        let wanted = rows.filter(|row| slots.contains(&PlaceRow::slot(row)));
        let rows: Vec<_> = wanted.map(|row| PlaceRow::decode(row, self.segment)).collect();
        // What a read will make space for lies in the segment.
        let lies_inside = |row: &PlaceRow| {
            let Location { offset, bytes, .. } = row.record.location;
            let end = offset.checked_add(ITEM_BYTES as u64 + u64::from(bytes));
            end.is_some_and(|end| end <= self.segment_bytes)
        };
        if rows.iter().all(lies_inside) { Ok(rows) } else { Err(PlacesFault) }
    }

    /// The blocks in which rows of a slot may lie.
    pub(crate) fn blocks_of(&self, slot: Slot) -> std::ops::Range<u64> {
        // Rows of the slot may begin in the block before the first one that begins with it.
        let from = self.fences.partition_point(|fence| *fence < slot.0).saturating_sub(1);
        let upto = self.fences.partition_point(|fence| *fence <= slot.0);
        from as u64..upto as u64
    }
}

/// Where the lists of so many blocks' fences and so many ranges end.
fn lists_end(blocks: usize, ranges: usize) -> usize {
    ITEM_BYTES + 8 * blocks + RANGE_BYTES * ranges
}

fn seed(front: &[u8]) -> u64 {
    let checksum = &front[ITEM_BYTES - 8..ITEM_BYTES];
    checksum.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::storage::MemStorage;

    const ID: JournalId = JournalId { cluster: 7, incarnation: 99, node: 2, shard: 1 };
    const OF: PlacesOf = PlacesOf {
        segment: SegmentId(3),
        segment_bytes: 1 << 24,
        first_lsn: Lsn(50),
        lost_upto: Slot(9),
    };

    fn row(nth: u64) -> PlaceRow {
        let location = Location {
            segment: OF.segment,
            offset: 4096 + 128 * nth,
            bytes: nth as u32,
            lsn: Lsn(50 + nth),
            ballot: Ballot::new(0x0102, NodeId(5)),
        };
        // The first two are copies, far before the others.
        let slot = Slot(if nth < 2 { 3 } else { 10 + nth / 3 });
        let record = IndexedRecord { slot, location, flags: 2 };
        PlaceRow { record, headless: nth.is_multiple_of(7).then_some(nth) }
    }

    fn file(rows: u64) -> (MemStorage, Places, Vec<u8>) {
        let (places, mut bytes) = Places::lay_out(&ID, &OF, (0..rows).map(row));
        let mut left = (0..rows).map(row);
        (0..places.blocks()).for_each(|nth| places.encode_block(nth, &mut left, &mut bytes));
        let storage = MemStorage::new();
        let name = places_name(OF.segment);
        storage.create_empty(&name).unwrap();
        storage.extend(&name, &bytes).unwrap();
        storage.sync(&name).unwrap();
        (storage, places, bytes)
    }

    /// C31: a file reads back as it was laid out, whatever its size, and each slot is found in the
    /// blocks named for it.
    #[test]
    fn c31_places_read_back_as_written() {
        for rows in [0, 1, 84, 85, 86, 300, 60_000] {
            let (storage, places, bytes) = file(rows);
            assert_eq!(Places::open(&storage, &ID, OF.segment).unwrap(), Ok(places.clone()));
            assert_eq!(bytes.len() as u64, places.front_bytes() + BLOCK * places.blocks());
            for nth in (0..rows).step_by(1 + rows as usize / 50) {
                let slot = row(nth).record.slot;
                assert!(places.spans(slot) && !places.spans(Slot(5)));
                let blocks = places.blocks_of(slot);
                assert!(blocks.end - blocks.start <= 2, "{blocks:?}");
                let found = blocks.flat_map(|nth| places.block(&storage, nth).unwrap().unwrap());
                let found: Vec<_> = found.filter(|row| row.record.slot == slot).collect();
                assert!(found.contains(&row(nth)), "row {nth} of {rows}");
            }
        }
    }

    /// C31: each field stands where `docs/JOURNAL.md` says.
    #[test]
    fn c31_the_layout_of_places_is_fixed() {
        let (_, _, bytes) = file(86);
        let number = |at: usize, len: usize| {
            bytes[at..at + len].iter().rev().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte))
        };
        assert_eq!(bytes.len(), 3 * 4096);
        let front =
            [(6, 1, 36), (8, 4, 86), (12, 4, 85), (48, 8, 3), (56, 8, 1 << 24), (64, 8, 50)];
        let words = [(72, 8, 2), (80, 8, 9), (88, 8, xxh3_64(&bytes[128..176])), (96, 8, 0)];
        let fences = [(128, 8, 3), (136, 8, 10 + 85 / 3)];
        let ranges = [(144, 8, 3), (152, 8, 3), (160, 8, 10), (168, 8, 10 + 85 / 3)];
        let at = 4096 + 7 * 48;
        let row = [(0, 8, 12), (8, 8, 57), (16, 8, 4096 + 7 * 128), (24, 8, 0x0102), (32, 8, 7)];
        let rest = [(40, 4, 7), (44, 2, 5), (46, 1, 0x82), (47, 1, 0)];
        let row = row.iter().chain(&rest).map(|(from, len, found)| (at + from, *len, *found));
        for (at, len, expected) in
            front.into_iter().chain(words).chain(fences).chain(ranges).chain(row)
        {
            assert_eq!(number(at, len), expected, "{len} bytes at {at}");
        }
        let second = xxh3_64_with_seed(&bytes[8192..12_280], number(120, 8) + 1);
        assert_eq!(number(12_280, 8), second);
    }

    /// C31: any bit that flips anywhere in the file is noticed by whoever reads there.
    #[test]
    fn c31_places_notice_every_flip() {
        let (storage, places, bytes) = file(100);
        let used = 128 + 8 * places.blocks() + 16 * 2;
        for at in (0..bytes.len() as u64).step_by(3) {
            storage.rot(&places_name(OF.segment), at..at + 1, |byte| byte[0] ^= 16);
            let opened = Places::open(&storage, &ID, OF.segment).unwrap();
            let block = |nth| places.block(&storage, nth).unwrap();
            let good = opened.is_ok() && block(0).is_ok() && block(1).is_ok();
            assert_eq!(good, (used..4096).contains(&at), "byte {at}");
            storage.rot(&places_name(OF.segment), at..at + 1, |byte| byte[0] ^= 16);
        }
        let other = JournalId { shard: 2, ..ID };
        assert_eq!(Places::open(&storage, &other, OF.segment).unwrap(), Err(PlacesFault));
    }
}
