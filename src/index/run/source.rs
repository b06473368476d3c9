//! A run whose rows are taken one after the other, together with those of other runs.

use crate::index::run::cursor::{BlockReader, RowCursor};
use crate::index::run::fault::{RunError, RunFault};
use crate::index::run::opened::Run;
use crate::index::run::rows::Row;
use crate::limits::RUN_AHEAD_BYTES;
use crate::storage::Storage;
use crate::types::LogId;

/// A run, and its next row.
pub(crate) struct Source<'a> {
    reader: BlockReader<'a>,
    cursor: RowCursor,
    pub next: Option<Row>,
}

impl<'a> Source<'a> {
    /// In front of the run's first row.
    pub(crate) fn new(storage: &'a dyn Storage, run: &'a Run) -> Result<Source<'a>, RunError> {
        let reader = BlockReader::new(storage, run, RUN_AHEAD_BYTES);
        let mut source = Source { reader, cursor: RowCursor::all(run), next: None };
        source.advance()?;
        Ok(source)
    }

    /// The log of the next row.
    pub(crate) fn log(&self) -> Option<LogId> {
        self.next.map(|(log, _)| log)
    }

    pub(crate) fn advance(&mut self) -> Result<(), RunError> {
        self.next = self.cursor.next(&mut self.reader)?;
        Ok(())
    }

    /// Damage of the block that the last row came from.
    pub(crate) fn damaged(&self, fault: RunFault) -> RunError {
        self.reader.run.damaged(self.cursor.block(), fault)
    }
}
