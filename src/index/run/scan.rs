//! Going through the rows of several runs in the order of log and index, from any place on.

use crate::index::run::cursor::{BlockReader, RowCursor};
use crate::index::run::fault::RunError;
use crate::index::run::opened::Run;
use crate::index::run::rows::Row;
use crate::index::run::set::RunSet;
use crate::limits::RUN_AHEAD_BYTES;
use crate::storage::Storage;
use crate::types::{Extent, Index, LogId, Slot};

/// One of the runs, and its next row.
struct Source<'a> {
    reader: BlockReader<'a>,
    cursor: RowCursor,
    next: Option<Row>,
}

impl<'a> Source<'a> {
    /// The rows of a run from a place on.
    fn from(
        storage: &'a dyn Storage,
        run: &'a Run,
        from: (LogId, Index),
    ) -> Result<Source<'a>, RunError> {
        let behind = run.fences.partition_point(|fence| (fence.log, fence.first) <= from);
        let cursor = RowCursor::new(behind.saturating_sub(1)..run.fences.len());
        let reader = BlockReader::new(storage, run, RUN_AHEAD_BYTES);
        let mut source = Source { reader, cursor, next: None };
        source.advance()?;
        while source.next.is_some_and(|(log, extent)| (log, extent.first) < from) {
            source.advance()?;
        }
        Ok(source)
    }

    fn advance(&mut self) -> Result<(), RunError> {
        self.next = self.cursor.next(&mut self.reader)?;
        Ok(())
    }
}

impl RunSet {
    /// Calls `visit` for the rows of slots up to `upto`, in rising order of log and first index, from the
    /// first one at or behind `from` on; until it returns false, or there are no more.
    ///
    /// # Errors
    /// When a run is damaged where it had to be read, or the system is short of something.
    pub fn rows_from(
        &self,
        storage: &dyn Storage,
        from: (LogId, Index),
        upto: Slot,
        visit: &mut dyn FnMut(LogId, &Extent) -> bool,
    ) -> Result<(), RunError> {
        let runs = self.runs().iter().filter(|run| run.after() < upto);
        let sources = runs.map(|run| Source::from(storage, run, from));
        let mut sources = sources.collect::<Result<Vec<_>, _>>()?;
        // What an older run has of a log lies before what a newer one has.
        let log_of = |source: &Source<'_>| source.next.map(|(log, _)| log);
        while let Some(log) = sources.iter().filter_map(log_of).min() {
            for source in &mut sources {
                while let Some((_, extent)) = source.next.filter(|(of, _)| *of == log) {
                    if extent.slot <= upto && !visit(log, &extent) {
                        return Ok(());
                    }
                    source.advance()?;
                }
            }
        }
        Ok(())
    }
}
