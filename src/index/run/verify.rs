//! Reading all of a run, and holding every part of it against the others.

use crate::index::run::cursor::{BlockReader, RowCursor};
use crate::index::run::fault::{RunError, RunFault, read_failed};
use crate::index::run::layout::BLOCK;
use crate::index::run::opened::Run;
use crate::index::run::rows::ContentChecksum;
use crate::limits::RUN_CHUNK_BYTES;
use crate::storage::Storage;
use crate::types::{FileOwner, LogId};

impl Run {
    /// Reads the whole file as the medium has it, and compares it with this run, which was written or
    /// opened before: header, footer, fences and filter must be the same, and all rows in order, of
    /// the run's slots, and those that were written.
    ///
    /// # Errors
    /// What differs, and where; or that the system is short of something.
    pub fn verify(&self, storage: &dyn Storage, owner: &FileOwner) -> Result<(), RunError> {
        let found = Run::open(storage, &self.name, owner)?;
        let same = found.header == self.header
            && found.footer == self.footer
            && found.fences == self.fences
            && found.filter == self.filter;
        if !same {
            return Err(RunError::damaged(&self.name, 0, RunFault::Other));
        }
        found.verify_rows(storage)
    }

    /// What [`verify`](Run::verify) does, past the page cache: for a run that was just written.
    ///
    /// # Errors
    /// As for [`verify`](Run::verify).
    pub fn read_back(&self, storage: &dyn Storage, owner: &FileOwner) -> Result<(), RunError> {
        storage.forget(&self.name).map_err(|error| read_failed(&self.name, 0, error))?;
        self.verify(storage, owner)
    }

    fn verify_rows(&self, storage: &dyn Storage) -> Result<(), RunError> {
        let mut reader = BlockReader::new(storage, self, RUN_CHUNK_BYTES);
        let mut cursor = RowCursor::all(self);
        let mut content = ContentChecksum::default();
        let (mut rows, mut logs, mut last) = (0, 0, LogId(0));
        while let Some(row) = cursor.next(&mut reader)? {
            content.add(&row);
            rows += 1;
            if row.0 != last {
                (logs, last) = (logs + 1, row.0);
                if !self.may_have(last) {
                    return Err(self.damaged(cursor.block(), RunFault::Filter));
                }
            }
        }
        let damaged = |fault| RunError::damaged(&self.name, self.file_bytes() - BLOCK, fault);
        if (rows, logs) != (self.footer.rows, self.footer.logs) {
            return Err(damaged(RunFault::Counts));
        }
        if content.sum() != self.footer.content {
            return Err(damaged(RunFault::Content));
        }
        Ok(())
    }
}
