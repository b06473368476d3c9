//! Where a log's entries lie: extents from an index to a command of a slot's value.
//!
//! An extent says that `count` entries from `first` on were appended by the commands of one slot,
//! the first of which begins `offset` bytes into the slot's value. Appends to one log in one slot
//! share an extent, whatever lies between them for other logs, so that a batch of a thousand small
//! appends costs each log 32 bytes. Where a slot's value lies on disk is the journal's business.
//!
//! A reader finds the second and later commands of an extent by walking on from the first and
//! taking every append to that log until the extent's entries are used up
//! ([`ReadCursor`](crate::machine::ReadCursor)). That is only right when all of them took effect,
//! hence [`LogExtents::interrupt`]: after an append that was refused the next one starts an extent of
//! its own.
//!
//! # Memory
//! Extents grow with the number of appends. They are kept in chunks of [`CHUNK_EXTENTS`]: all but
//! the newest are sealed, that is never changed again, and sorted by slot as well as by index. That
//! is the seam for moving them to disk: when the journal seals a segment, the chunks whose slots
//! lie in it are written beside it and replaced here by their first index and their place;
//! [`LogExtents::from`] is the only function by which readers find them.

use crate::types::{Index, Slot};
use std::collections::VecDeque;

/// Extents of one sealed chunk: 12 KiB, so that growing never copies a long log's whole index.
pub const CHUNK_EXTENTS: usize = 512;

/// A run of one log's entries in one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LogExtent {
    /// Index of the first entry.
    pub first: Index,
    /// The slot whose value holds the entries.
    pub slot: Slot,
    /// Where in the slot's value the first append begins, in bytes.
    pub offset: u32,
    /// How many entries; at least one.
    pub count: u32,
    /// Payload bytes of the entries: of one slot's value, so they fit.
    pub bytes: u32,
}

// Memory per append is a promise: see the module's text.
const _: () = assert!(size_of::<LogExtent>() == 32);

impl LogExtent {
    /// The index right after the last entry.
    #[must_use]
    pub fn end(&self) -> Index {
        self.first.plus(u64::from(self.count))
    }
}

/// The extents of one log's entries that are not trimmed, by rising index and rising slot. The first one
/// may begin with entries that are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LogExtents {
    /// Full chunks, never changed again. Each holds [`CHUNK_EXTENTS`] extents.
    sealed: VecDeque<Box<[LogExtent]>>,
    /// So many extents of the first full chunk are trimmed; always fewer than it has.
    trimmed: usize,
    /// The newest extents, at most [`CHUNK_EXTENTS`].
    open: Vec<LogExtent>,
    /// The index right after the last entry, trimmed or not.
    end: Index,
    /// No append to this log was refused since the last extent began.
    joinable: bool,
}

impl LogExtents {
    /// Notes that `count` entries from `first` on, of `bytes` payload bytes, were appended by the command
    /// at `offset` of `slot`'s value.
    ///
    /// # Panics
    /// When the entries do not follow the last ones, or the slot or the offset moves backwards.
    pub fn record(&mut self, (first, count): (Index, u32), bytes: u32, slot: Slot, offset: u32) {
        assert!(self.end == first, "extents must be dense: end={} first={first}", self.end);
        assert!(count > 0, "an extent without entries: slot={slot} offset={offset}");
        if let Some(last) = self.open.last_mut() {
            assert!(last.slot <= slot, "slots must rise: last={} slot={slot}", last.slot);
            if last.slot == slot {
                assert!(last.offset < offset, "offsets must rise: {} then {offset}", last.offset);
                let sums = (last.count.checked_add(count), last.bytes.checked_add(bytes));
                if let (true, (Some(count), Some(bytes))) = (self.joinable, sums) {
                    (last.count, last.bytes) = (count, bytes);
                    self.end = last.end();
                    return;
                }
            }
        } else {
            self.open.reserve_exact(1); // Most logs of a cluster with many are short.
        }
        if self.open.len() == CHUNK_EXTENTS {
            self.sealed.push_back(std::mem::take(&mut self.open).into_boxed_slice());
        }
        let extent = LogExtent { first, slot, offset, count, bytes };
        self.end = extent.end();
        self.open.push(extent);
        self.joinable = true;
    }

    /// Forgets the extents that lie whole before `first`, and returns how many bytes they had. The work
    /// grows with the number of chunks that go.
    pub fn trim(&mut self, first: Index) -> u64 {
        let sum = |extents: &[LogExtent]| -> u64 {
            extents.iter().map(|extent| u64::from(extent.bytes)).sum()
        };
        let mut bytes = 0;
        while let Some(chunk) = self.sealed.front() {
            let keep = chunk.partition_point(|extent| extent.end() <= first);
            if keep > self.trimmed {
                bytes += sum(&chunk[self.trimmed..keep]);
                self.trimmed = keep;
            }
            if keep < chunk.len() {
                return bytes;
            }
            self.sealed.pop_front();
            self.trimmed = 0;
        }
        let keep = self.open.partition_point(|extent| extent.end() <= first);
        bytes += sum(&self.open[..keep]);
        self.open.drain(..keep);
        bytes
    }

    /// The first index that may stay, so that the entries from it on have `bytes` bytes at least, where
    /// the log has so many: what lies before it may go.
    #[must_use]
    pub fn keeps_bytes(&self, bytes: u64, live: u64) -> Index {
        let mut left = live;
        for extent in self.from(Index(0)) {
            left = left.saturating_sub(u64::from(extent.bytes));
            if left < bytes {
                return extent.first;
            }
        }
        self.end
    }

    /// Notes that an append to this log was refused: the next one must not share an extent with
    /// those before it.
    pub fn interrupt(&mut self) {
        self.joinable = false;
    }

    /// The extents from the one that holds `index` on, by rising index. None when `index` is past
    /// the end.
    pub fn from(&self, index: Index) -> impl Iterator<Item = &LogExtent> {
        let chunk = self.sealed.partition_point(|chunk| {
            chunk.last().expect("a sealed chunk is full, so it has a last extent").end() <= index
        });
        let trimmed = if chunk == 0 && !self.sealed.is_empty() { self.trimmed } else { 0 };
        self.sealed
            .range(chunk..)
            .map(|chunk| &**chunk)
            .chain(std::iter::once(self.open.as_slice()))
            .enumerate()
            .flat_map(move |(nth, extents)| {
                // Only the first chunk can begin below `index`; the others lie above it whole.
                let below = |e: &LogExtent| e.end() <= index;
                let skip = if nth == 0 { extents.partition_point(below).max(trimmed) } else { 0 };
                &extents[skip..]
            })
    }

    /// The index right after the last entry, trimmed or not.
    #[must_use]
    pub fn end(&self) -> Index {
        self.end
    }
}
