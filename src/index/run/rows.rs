//! Rows as bytes: one block's content, in the form in which neighbours cost little.

use crate::index::run::layout::CONTENT_BYTES;
use crate::index::run::varint::{VARINT_BYTES_MAX, put_varint, take_varint, unzigzag, zigzag};
use crate::types::{Extent, Index, LogId, Slot};
use xxhash_rust::xxh3::Xxh3;

/// A log and one of its extents.
pub(crate) type Row = (LogId, Extent);

/// Most bytes of one row: seven numbers and the chain value.
const ROW_BYTES_MAX: usize = 7 * VARINT_BYTES_MAX + CHAIN_BYTES;
/// The chain value is as good as random, so it is stored as it is.
const CHAIN_BYTES: usize = 8;
/// In front of the rows stands the log of the first one.
const LOG_BYTES: usize = 8;

// A block takes one row at least, whatever its numbers are.
const _: () = assert!(LOG_BYTES + ROW_BYTES_MAX <= CONTENT_BYTES);

/// True when a row may stand right behind another: rows rise by log and first index, and what one log
/// has rises in all respects.
pub(crate) fn in_order(previous: Option<&Row>, (log, next): &Row) -> bool {
    let Some((previous_log, previous)) = previous else { return true };
    if previous_log != log {
        return previous_log < log;
    }
    previous.end() <= next.first
        && (previous.slot, previous.offset) < (next.slot, next.offset)
        && previous.bytes_before <= next.bytes_before
        && previous.stamp_ms <= next.stamp_ms
}

/// What a row is the difference to.
#[derive(Clone, Copy, Debug)]
struct Base {
    log: LogId,
    end: u64,
    slot: u64,
    bytes_before: u64,
    stamp_ms: u64,
}

impl Base {
    /// In front of a log's first row in a block. The stamp goes on: neighbours are of one time.
    fn of_log(log: LogId, after: Slot, stamp_ms: u64) -> Base {
        Base { log, end: 0, slot: after.0, bytes_before: 0, stamp_ms }
    }

    fn behind(&(log, extent): &Row) -> Base {
        Base {
            log,
            end: extent.end().0,
            slot: extent.slot.0,
            bytes_before: extent.bytes_before,
            stamp_ms: extent.stamp_ms,
        }
    }
}

/// A block's content in the making.
#[derive(Debug)]
pub(crate) struct RowBlock {
    content: Vec<u8>,
    count: u32,
    base: Option<Base>,
    /// Slots of rows are above this one.
    after: Slot,
    /// One row, until it is known to fit.
    row: Vec<u8>,
}

impl RowBlock {
    pub(crate) fn new(after: Slot) -> RowBlock {
        let content = Vec::with_capacity(CONTENT_BYTES);
        RowBlock { content, count: 0, base: None, after, row: Vec::with_capacity(ROW_BYTES_MAX) }
    }

    /// Adds a row that is in order behind the one before; false, and nothing is added, when there is
    /// no space for it.
    pub(crate) fn push(&mut self, row: &Row) -> bool {
        let (log, extent) = row;
        let base = self.base.unwrap_or(Base::of_log(*log, self.after, 0));
        self.row.clear();
        let base = self.encode_start(base, *log, extent);
        put_varint(&mut self.row, u64::from(extent.count));
        put_varint(&mut self.row, u64::from(extent.offset));
        put_varint(&mut self.row, extent.slot.0 - base.slot);
        put_varint(&mut self.row, extent.bytes_before - base.bytes_before);
        put_varint(&mut self.row, zigzag(extent.stamp_ms.wrapping_sub(base.stamp_ms)));
        self.row.extend_from_slice(&extent.chain.to_le_bytes());
        if self.content.is_empty() {
            self.content.extend_from_slice(&log.0.to_le_bytes());
        }
        if self.content.len() + self.row.len() > CONTENT_BYTES {
            return false;
        }
        self.content.extend_from_slice(&self.row);
        self.count += 1;
        self.base = Some(Base::behind(row));
        true
    }

    /// The log and the first index, both as far as they differ from what is expected: 0 for the next
    /// index of the same log.
    fn encode_start(&mut self, base: Base, log: LogId, extent: &Extent) -> Base {
        if base.log == log {
            let gap = extent.first.0 - base.end;
            put_varint(&mut self.row, u64::from(gap > 0));
            if gap > 0 {
                put_varint(&mut self.row, gap);
            }
            return base;
        }
        put_varint(&mut self.row, 1 + (log.0 - base.log.0));
        put_varint(&mut self.row, extent.first.0);
        Base::of_log(log, self.after, base.stamp_ms)
    }

    /// The content, and how many rows it has.
    pub(crate) fn content(&self) -> (&[u8], u32) {
        (&self.content, self.count)
    }

    /// Starts the next block.
    pub(crate) fn clear(&mut self) {
        self.content.clear();
        self.count = 0;
        self.base = None;
    }
}

/// Takes the rows out of one block's content, one at a time. The content is handed to each call, so
/// that whoever reads blocks can keep both.
#[derive(Clone, Debug)]
pub(crate) struct RowDecoder {
    /// Where in the content the next row is.
    at: usize,
    /// Rows that are left.
    left: u32,
    base: Option<Base>,
    previous: Option<Row>,
    after: Slot,
    upto: Slot,
}

/// The rows do not decode, or contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadRows;

impl RowDecoder {
    /// For a block of so many rows, of a run of slots above `after` up to `upto`.
    pub(crate) fn new(count: u32, after: Slot, upto: Slot) -> RowDecoder {
        RowDecoder { at: 0, left: count, base: None, previous: None, after, upto }
    }

    /// The next row of the content; nothing when the last one was taken, and all bytes with it.
    pub(crate) fn next(&mut self, content: &[u8]) -> Result<Option<Row>, BadRows> {
        let mut bytes = content.get(self.at..).ok_or(BadRows)?;
        if self.left == 0 {
            return if bytes.is_empty() { Ok(None) } else { Err(BadRows) };
        }
        let base = match self.base {
            Some(base) => base,
            None => {
                let (log, rest) = bytes.split_first_chunk::<LOG_BYTES>().ok_or(BadRows)?;
                bytes = rest;
                Base::of_log(LogId(u64::from_le_bytes(*log)), self.after, 0)
            }
        };
        let row = self.decode(base, &mut bytes).ok_or(BadRows)?;
        // Logs are counted from 1.
        if row.0.0 == 0 || !in_order(self.previous.as_ref(), &row) {
            return Err(BadRows);
        }
        self.at = content.len() - bytes.len();
        self.left -= 1;
        self.base = Some(Base::behind(&row));
        self.previous = Some(row);
        Ok(Some(row))
    }

    fn decode(&self, base: Base, bytes: &mut &[u8]) -> Option<Row> {
        let (base, first) = match take_varint(bytes)? {
            0 => (base, base.end),
            1 => (base, base.end.checked_add(take_varint(bytes)?)?),
            further => {
                let log = LogId(base.log.0.checked_add(further - 1)?);
                (Base::of_log(log, self.after, base.stamp_ms), take_varint(bytes)?)
            }
        };
        let count = u32::try_from(take_varint(bytes)?).ok().filter(|count| *count > 0)?;
        first.checked_add(u64::from(count))?;
        let offset = u32::try_from(take_varint(bytes)?).ok()?;
        let slot = Slot(base.slot.checked_add(take_varint(bytes)?)?);
        if slot <= self.after || slot > self.upto {
            return None;
        }
        let bytes_before = base.bytes_before.checked_add(take_varint(bytes)?)?;
        let stamp_ms = base.stamp_ms.wrapping_add(unzigzag(take_varint(bytes)?));
        let (chain, rest) = bytes.split_first_chunk::<CHAIN_BYTES>()?;
        *bytes = rest;
        let (first, chain) = (Index(first), u64::from_le_bytes(*chain));
        Some((base.log, Extent { first, count, offset, slot, bytes_before, stamp_ms, chain }))
    }
}

/// A checksum of rows alone: equal on all nodes that have the same rows, however they lie in blocks.
#[derive(Clone, Default)]
pub(crate) struct ContentChecksum(Xxh3);

impl ContentChecksum {
    /// Adds a row: 56 bytes, each field as it is.
    pub(crate) fn add(&mut self, (log, extent): &Row) {
        let Extent { first, count, offset, slot, bytes_before, stamp_ms, chain } = extent;
        let places = u64::from(*count) | u64::from(*offset) << 32;
        let words = [log.0, first.0, places, slot.0, *bytes_before, *stamp_ms, *chain];
        let mut bytes = [0; 56];
        for (word, out) in words.iter().zip(bytes.chunks_exact_mut(8)) {
            out.copy_from_slice(&word.to_le_bytes());
        }
        self.0.update(&bytes);
    }

    pub(crate) fn sum(&self) -> u64 {
        self.0.digest()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    const AFTER: Slot = Slot(50);

    fn decoded(content: &[u8], count: u32) -> Result<Vec<Row>, BadRows> {
        let mut decoder = RowDecoder::new(count, AFTER, Slot(u64::MAX));
        let mut rows = Vec::new();
        while let Some(row) = decoder.next(content)? {
            rows.push(row);
        }
        Ok(rows)
    }

    /// Rows of a few logs with steps of any size, small ones and the largest alike.
    fn rows() -> impl Strategy<Value = Vec<Row>> {
        let step = prop_oneof![Just(0u64), 1u64..200, any::<u64>()];
        let steps = (step.clone(), step.clone(), step.clone(), step, any::<(u64, u32)>());
        let row = (steps, prop_oneof![Just(1u32), 1u32..40, any::<u32>()], any::<bool>());
        prop::collection::vec(row, 1..150).prop_map(|steps| {
            let mut rows: Vec<Row> = Vec::new();
            for (((a, b, c, d, (chain, offset)), count, other), _) in steps.into_iter().zip(0..) {
                let (log, before) = match rows.last() {
                    Some((log, before)) if !other => (*log, Some(*before)),
                    Some((log, _)) => (LogId(log.0.saturating_add(a | 1)), None),
                    None => (LogId(a | 1), None),
                };
                let slot = before.map_or(AFTER, |e| e.slot).plus(b | 1);
                let extent = Extent {
                    first: before.map_or(Index(0), |e| e.end()).plus(c),
                    count: count.max(1),
                    offset,
                    slot,
                    bytes_before: before.map_or(0, |e| e.bytes_before).saturating_add(d),
                    stamp_ms: before.map_or(d, |e| e.stamp_ms.saturating_add(a)),
                    chain,
                };
                let ends = extent.first.0.checked_add(u64::from(extent.count)).is_some();
                if ends && in_order(rows.last(), &(log, extent)) {
                    rows.push((log, extent));
                }
            }
            rows
        })
    }

    proptest! {
        /// Rows come back as they were, as many as fit a block.
        #[test]
        fn rows_come_back(rows in rows()) {
            let mut block = RowBlock::new(AFTER);
            let fitting = rows.iter().take_while(|row| block.push(row)).count();
            let (content, count) = block.content();
            prop_assert_eq!(count as usize, fitting);
            prop_assert!(fitting == rows.len() || content.len() + ROW_BYTES_MAX > CONTENT_BYTES);
            prop_assert_eq!(decoded(content, count).unwrap(), &rows[..fitting]);
            prop_assert_eq!(decoded(content, count + 1), Err(BadRows));
            prop_assert_eq!(decoded(content, count - 1), Err(BadRows));
        }

        /// Any bytes at all either decode to rows in order, or are refused; nothing panics.
        #[test]
        fn c31_any_bytes_are_rows_in_order_or_none(content in prop::collection::vec(
            prop_oneof![0u8..4, any::<u8>()], 0..400), count in 0u32..40) {
            if let Ok(rows) = decoded(&content, count) {
                for pair in rows.windows(2) {
                    prop_assert!(in_order(Some(&pair[0]), &pair[1]));
                }
            }
        }
    }

    /// A typical row of a busy log takes some twenty bytes, eight of which are the chain value.
    #[test]
    fn rows_are_small() {
        let mut block = RowBlock::new(AFTER);
        let row = |number: u64| {
            let extent = Extent {
                first: Index(5_000_000 + 16 * number),
                count: 16,
                offset: 300_000,
                slot: Slot(60 + 40 * number),
                bytes_before: 1600 * number,
                stamp_ms: 1_700_000_000_000 + 20 * number,
                chain: number.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            };
            (LogId(9), extent)
        };
        let rows = (0..).take_while(|number| block.push(&row(*number))).count();
        assert!(rows >= 225, "{rows} rows in a block");
    }
}
