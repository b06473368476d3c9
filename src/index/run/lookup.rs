//! Finding a log's rows in one run: by binary search over blocks, so that the cost grows with neither
//! the length of the log nor the number of others.

use crate::index::run::cursor::{BlockReader, RowCursor};
use crate::index::run::fault::RunError;
use crate::index::run::opened::Run;
use crate::index::search::Search;
use crate::storage::{BlockCache, Storage};
use crate::types::{Extent, Index, LogId};

/// The two rows of one log, in one run, between which a search ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Boundary {
    /// The last row that is reached.
    pub reached: Option<Extent>,
    /// The first row that is not.
    pub next: Option<Extent>,
}

/// Looks things up, in one run at a time, through one buffer of one block.
pub(crate) struct RunLookup<'a> {
    reader: BlockReader<'a>,
}

impl<'a> RunLookup<'a> {
    pub(crate) fn new(
        storage: &'a dyn Storage,
        run: &'a Run,
        cache: Option<&'a BlockCache>,
    ) -> RunLookup<'a> {
        RunLookup { reader: BlockReader::cached(storage, run, cache) }
    }

    /// Looks things up in this run from now on.
    pub(crate) fn turn_to(&mut self, run: &'a Run) {
        self.reader.turn_to(run);
    }

    /// The rows of a log between which the search ends; neither where the run has no row of it.
    pub(crate) fn find(&mut self, log: LogId, search: Search) -> Result<Boundary, RunError> {
        let mut found = Boundary::default();
        self.visit(log, search, |row| {
            if search.reaches(row) {
                found.reached = Some(*row);
            } else {
                found.next = Some(*row);
            }
            found.next.is_none()
        })?;
        Ok(found)
    }

    /// The run has a row of a log that begins at or before an index. Mostly its fences say so.
    pub(crate) fn reaches(&mut self, log: LogId, index: Index) -> Result<bool, RunError> {
        let fences = &self.reader.run.fences;
        let before = fences.partition_point(|fence| (fence.log, fence.first) <= (log, index));
        match before.checked_sub(1).map(|last| fences[last].log) {
            None => Ok(false),
            Some(last) if last == log => Ok(true),
            // Its first rows may stand at the end of a block that begins with another log.
            Some(_) => Ok(self.find(log, Search::Index(index))?.reached.is_some()),
        }
    }

    /// Calls `visit` for rows of a log, from the last one that is reached on, or one that stands in the
    /// same block before it; until it returns false, or the log has no more.
    pub(crate) fn visit(
        &mut self,
        log: LogId,
        search: Search,
        mut visit: impl FnMut(&Extent) -> bool,
    ) -> Result<(), RunError> {
        let run = self.reader.run;
        if !run.may_have(log) {
            return Ok(());
        }
        let fences = &run.fences;
        // Blocks that begin with a row of this log; the one in front of them may end with some.
        let begin = fences.partition_point(|fence| fence.log < log);
        let end = fences.partition_point(|fence| fence.log <= log);
        let (mut low, mut high) = (begin, end);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.reaches_block(middle, search)? {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let mut cursor = RowCursor::new(low.saturating_sub(1)..end);
        while let Some((of, row)) = cursor.next(&mut self.reader)? {
            if of > log || (of == log && !visit(&row)) {
                break;
            }
        }
        Ok(())
    }

    /// Whether the search reaches the first row of a block, which is one of the log.
    fn reaches_block(&mut self, block: usize, search: Search) -> Result<bool, RunError> {
        if let Search::Index(index) = search {
            return Ok(self.reader.run.fences[block].first <= index);
        }
        let first = RowCursor::new(block..block + 1).next(&mut self.reader)?;
        Ok(first.is_some_and(|(_, row)| search.reaches(&row)))
    }
}
