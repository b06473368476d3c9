//! The rows of some slots, among all rows of a run. Rows are sorted by log and first index, not by slot, so that every
//! log is looked at. But within a log they rise by slot as well: of a long one only those blocks are read that have
//! rows of these slots, and those that a search for them reads.

use crate::index::run::cursor::{BlockReader, RowCursor};
use crate::index::run::fault::RunError;
use crate::index::run::opened::Run;
use crate::index::run::set::RunSet;
use crate::limits::RUN_AHEAD_BYTES;
use crate::storage::Storage;
use crate::types::{Extent, LogId, Slot, SlotRanges};

impl RunSet {
    /// Calls `visit` for each row of these slots: run by run, and in each in rising order of log and first index.
    ///
    /// # Errors
    /// When a run is damaged where it had to be read, or the system is short of something.
    pub fn rows_of_slots(
        &self,
        storage: &dyn Storage,
        slots: &SlotRanges,
        visit: &mut dyn FnMut(LogId, &Extent),
    ) -> Result<(), RunError> {
        for run in self.runs() {
            if slots.touches(run.after().next(), run.upto()) {
                SlotWalk::new(storage, run).visit(slots, visit)?;
            }
        }
        Ok(())
    }
}

/// A walk over the rows of a run that skips blocks without a row of the slots.
struct SlotWalk<'a> {
    run: &'a Run,
    /// Reads one block after the other, some ahead.
    onward: BlockReader<'a>,
    /// Reads single blocks: those that a search looks at, and the first one behind a skip.
    single: BlockReader<'a>,
}

impl<'a> SlotWalk<'a> {
    fn new(storage: &'a dyn Storage, run: &'a Run) -> SlotWalk<'a> {
        let onward = BlockReader::new(storage, run, RUN_AHEAD_BYTES);
        SlotWalk { run, onward, single: BlockReader::new(storage, run, 0) }
    }

    fn visit(
        &mut self,
        slots: &SlotRanges,
        visit: &mut dyn FnMut(LogId, &Extent),
    ) -> Result<(), RunError> {
        let blocks = self.run.fences.len();
        let (mut cursor, mut skipped_to) = (RowCursor::all(self.run), None);
        // The last search: it is not made again for each row of a block.
        let mut searched = None;
        loop {
            let is_behind_skip = skipped_to == Some(cursor.block());
            let reader = if is_behind_skip { &mut self.single } else { &mut self.onward };
            let Some((log, row)) = cursor.next(reader)? else { return Ok(()) };
            if slots.contains(row.slot) {
                visit(log, &row);
                continue;
            }
            let (block, wanted) = (cursor.block(), slots.first_at_or_above(row.slot));
            if searched.replace((block, log, wanted)) == Some((block, log, wanted)) {
                continue;
            }
            let to = self.search(block, log, wanted)?;
            if to > block {
                cursor = RowCursor::new(to..blocks);
                skipped_to = Some(to);
            }
        }
    }

    /// The block to go on at, at or behind `block`, which has a row of the log in front of slot `wanted`: the last one
    /// that begins in front of that slot, found by a galloping search. Where nothing more is wanted of the log, the
    /// last one that begins with a row of it, for the next log may begin in it.
    fn search(
        &mut self,
        block: usize,
        log: LogId,
        wanted: Option<Slot>,
    ) -> Result<usize, RunError> {
        // All blocks in front of this one begin with a row of the log, or of a log before it.
        let end = self.run.fences.partition_point(|fence| fence.log <= log).max(block + 1);
        let Some(wanted) = wanted else { return Ok(end - 1) };
        let (mut low, mut step) = (block, 1);
        while low + step < end && self.begins_before(low + step, wanted)? {
            low += step;
            step *= 2;
        }
        let mut high = end.min(low + step);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.begins_before(middle, wanted)? {
                low = middle;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// The first row of a block is of a slot before this one.
    fn begins_before(&mut self, block: usize, slot: Slot) -> Result<bool, RunError> {
        let first = RowCursor::new(block..block + 1).next(&mut self.single)?;
        Ok(first.is_some_and(|(_, row)| row.slot < slot))
    }
}
