//! Rows of a span as bytes: one block's content.

use crate::index::run::layout::CONTENT_BYTES;
use crate::index::run::varint::{VARINT_BYTES_MAX, put_varint, take_varint};
use crate::types::{Index, LogId};
use xxhash_rust::xxh3::Xxh3;

/// Most bytes of one row: three numbers.
const ROW_BYTES_MAX: usize = 3 * VARINT_BYTES_MAX;

// A block takes one row at least, whatever its numbers are.
const _: () = assert!(ROW_BYTES_MAX <= CONTENT_BYTES);

/// What a span has of one log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanRow {
    /// The log.
    pub log: LogId,
    /// The highest index of its entries in the span.
    pub last: Index,
    /// How many of its entries are in the span, at least one.
    pub entries: u64,
}

impl SpanRow {
    /// The row, if it can be one: logs are counted from 1, and a row has as many entries as there may
    /// be up to its last one.
    fn checked(log: u64, last: u64, entries: u64) -> Option<SpanRow> {
        let fitting = entries > 0 && last < u64::MAX && entries <= last + 1;
        (log > 0 && fitting).then_some(SpanRow { log: LogId(log), last: Index(last), entries })
    }
}

/// A block's content in the making. Rows rise by log.
#[derive(Debug, Default)]
pub(crate) struct SpanBlock {
    content: Vec<u8>,
    count: u32,
    last: u64,
    /// One row, until it is known to fit.
    row: Vec<u8>,
}

impl SpanBlock {
    /// Adds a row of a higher log than the one before; false, and nothing is added, when there is no
    /// space for it.
    pub(crate) fn push(&mut self, row: &SpanRow) -> bool {
        self.row.clear();
        put_varint(&mut self.row, row.log.0 - self.last);
        put_varint(&mut self.row, row.last.0);
        put_varint(&mut self.row, row.entries);
        if self.content.len() + self.row.len() > CONTENT_BYTES {
            return false;
        }
        self.content.extend_from_slice(&self.row);
        self.count += 1;
        self.last = row.log.0;
        true
    }

    /// The content, and how many rows it has.
    pub(crate) fn content(&self) -> (&[u8], u32) {
        (&self.content, self.count)
    }

    /// Starts the next block, which is read without those before.
    pub(crate) fn clear(&mut self) {
        self.content.clear();
        (self.count, self.last) = (0, 0);
    }
}

/// The rows of a block's content; nothing where they do not decode, or are not in order.
pub(crate) fn decode_rows(mut content: &[u8], count: u32) -> Option<Vec<SpanRow>> {
    // Each row has three bytes or more: no more is asked for than the block can have.
    let most = content.len() / 3;
    let mut rows = Vec::with_capacity(most.min(count as usize));
    let mut last = 0u64;
    for _ in 0..count {
        let step = take_varint(&mut content)?;
        let log = last.checked_add(step).filter(|log| *log > last)?;
        let (last_index, entries) = (take_varint(&mut content)?, take_varint(&mut content)?);
        rows.push(SpanRow::checked(log, last_index, entries)?);
        last = log;
    }
    content.is_empty().then_some(rows)
}

/// A checksum of rows alone, however they lie in blocks.
#[derive(Clone, Default)]
pub(crate) struct SpanChecksum(Xxh3);

impl SpanChecksum {
    /// Adds a row: three numbers of eight bytes.
    pub(crate) fn add(&mut self, row: &SpanRow) {
        for word in [row.log.0, row.last.0, row.entries] {
            self.0.update(&word.to_le_bytes());
        }
    }

    pub(crate) fn sum(&self) -> u64 {
        self.0.digest()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows() -> impl Strategy<Value = Vec<SpanRow>> {
        let step = prop_oneof![1u64..4, any::<u64>()];
        let row = (step, any::<u64>(), prop_oneof![1u64..200, any::<u64>()]);
        prop::collection::vec(row, 1..1_000).prop_map(|steps| {
            let mut log = 0u64;
            let mut rows = Vec::new();
            for (step, last, entries) in steps {
                let Some(next) = log.checked_add(step.max(1)) else { break };
                log = next;
                rows.extend(SpanRow::checked(log, last, entries));
            }
            rows
        })
    }

    proptest! {
        /// Rows come back as they were, as many as fit a block.
        #[test]
        fn rows_come_back(rows in rows()) {
            let mut block = SpanBlock::default();
            let fitting = rows.iter().take_while(|row| block.push(row)).count();
            let (content, count) = block.content();
            prop_assert_eq!(count as usize, fitting);
            prop_assert!(fitting == rows.len() || content.len() + ROW_BYTES_MAX > CONTENT_BYTES);
            prop_assert_eq!(decode_rows(content, count), Some(rows[..fitting].to_vec()));
            prop_assert_eq!(decode_rows(content, count + 1), None);
            prop_assert!(count == 0 || decode_rows(content, count - 1).is_none());
        }

        /// Any bytes at all either decode to rows in order, or are refused; nothing panics, and no
        /// count makes room for more than the bytes can hold.
        #[test]
        fn c26_any_bytes_are_rows_in_order_or_none(content in prop::collection::vec(
            prop_oneof![0u8..4, any::<u8>()], 0..400), count in prop_oneof![0u32..40, any::<u32>()]) {
            if let Some(rows) = decode_rows(&content, count) {
                prop_assert!(rows.windows(2).all(|pair| pair[0].log < pair[1].log));
            }
        }
    }

    /// A row of one among many logs takes few bytes.
    #[test]
    fn rows_are_small() {
        let mut block = SpanBlock::default();
        let row = |log: u64| SpanRow { log: LogId(1 << 40 | log), last: Index(5_000), entries: 3 };
        let fitting = (1..).take_while(|log| block.push(&row(*log))).count();
        assert!(fitting > 1_000, "{fitting} rows in a block");
    }
}
