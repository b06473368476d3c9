//! The rows of some slots, among all. Rows stand by log and first index, and those of a log rise by slot as well: so
//! each log is looked at, but of a long one only those blocks are read that have rows of these slots, and those that
//! lead to them.

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

/// A walk over the rows of a run, which passes over blocks.
struct SlotWalk<'a> {
    run: &'a Run,
    /// Reads on from one block to the next, some ahead.
    onward: BlockReader<'a>,
    /// Reads single blocks: where to go on, and the first one there.
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
        let (mut cursor, mut landed) = (RowCursor::all(self.run), None);
        // What was looked for last, and from which block on: it is not looked for at each row.
        let mut looked_for = None;
        loop {
            let is_landing = landed == Some(cursor.block());
            let reader = if is_landing { &mut self.single } else { &mut self.onward };
            let Some((log, row)) = cursor.next(reader)? else { return Ok(()) };
            if slots.contains(row.slot) {
                visit(log, &row);
                continue;
            }
            let (block, wanted) = (cursor.block(), slots.from(row.slot));
            if looked_for.replace((block, log, wanted)) == Some((block, log, wanted)) {
                continue;
            }
            let to = self.block_of(block, log, wanted)?;
            if to > block {
                cursor = RowCursor::new(to..blocks);
                landed = Some(to);
            }
        }
    }

    /// The block from which on the log's rows of slot `wanted` stand, at or behind one with a row of an earlier slot;
    /// the last one that begins with a row of the log, where nothing more is wanted of it.
    fn block_of(
        &mut self,
        block: usize,
        log: LogId,
        wanted: Option<Slot>,
    ) -> Result<usize, RunError> {
        // Blocks in front of that one begin with rows of the log, or of logs before.
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
