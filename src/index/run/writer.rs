//! Writing a run: aside, synced, renamed, and the directory synced (R07).

use crate::index::run::filter::LogFilter;
use crate::index::run::footer::{Fence, RunFooter, put_keys};
use crate::index::run::layout::{
    BLOCK, Block, BlockKind, RunHeader, put_block, run_file_name, unfinished_name,
};
use crate::index::run::opened::Run;
use crate::index::run::rows::{ContentChecksum, Row, RowBlock, in_order};
use crate::limits::{BLOCK_BYTES, RUN_CHUNK_BYTES, RUN_SYNC_BYTES};
use crate::storage::{Storage, StorageError, StorageOp, complete_file};
use crate::types::{Extent, FileOwner, FormatLevel, LogId, RunId, Slot, Trouble};
use std::io;

/// What a run is to be.
#[derive(Clone, Copy, Debug)]
pub struct RunSpec {
    /// Whose it is.
    pub owner: FileOwner,
    /// Its number: a new one, or that of a run that is to be replaced.
    pub run: RunId,
    /// All its rows are of slots above this one …
    pub after: Slot,
    /// … up to this one.
    pub upto: Slot,
    /// How many logs it will have rows of, at most. With more it is still right, but slower.
    pub logs_max: u64,
    /// The format level at which it is written.
    pub level: FormatLevel,
}

/// Writes one run. A crash before [`finish`](RunWriter::finish) has ended leaves a file that
/// [`is_unfinished_run`](crate::index::is_unfinished_run), or the whole run.
pub struct RunWriter<'a> {
    storage: &'a dyn Storage,
    header: RunHeader,
    seed: u64,
    /// The name until it is complete.
    aside: String,
    /// Whole blocks that are not yet written.
    out: Vec<u8>,
    /// Bytes of the file so far.
    written: u64,
    synced: u64,
    block: RowBlock,
    last: Option<Row>,
    rows: u64,
    logs: u64,
    content: ContentChecksum,
    fences: Vec<Fence>,
    filter: LogFilter,
}

impl<'a> RunWriter<'a> {
    /// Begins the file. What an earlier attempt left behind goes first.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn create(storage: &'a dyn Storage, spec: &RunSpec) -> Result<RunWriter<'a>, StorageError> {
        let RunSpec { owner, run, after, upto, logs_max, level } = *spec;
        assert!(after <= upto, "a run of slots above {after} up to {upto}");
        let aside = unfinished_name(run);
        match storage.remove(&aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StorageError::at(StorageOp::Remove, &aside, 0)(error));
            }
            Ok(()) | Err(_) => {}
        }
        storage.create_empty(&aside).map_err(StorageError::at(StorageOp::Create, &aside, 0))?;
        let header = RunHeader { owner, run, after, upto };
        let (out, seed) = header.encode(level);
        Ok(RunWriter {
            storage,
            header,
            seed,
            aside,
            out,
            written: 0,
            synced: 0,
            block: RowBlock::new(after),
            last: None,
            rows: 0,
            logs: 0,
            content: ContentChecksum::default(),
            fences: Vec::new(),
            filter: LogFilter::for_logs(logs_max),
        })
    }

    /// Adds a row. Rows come in rising order of log and first index, and what one log has rises in
    /// all respects.
    ///
    /// # Errors
    /// Whatever the file system says.
    ///
    /// # Panics
    /// When the row is out of order, or its slot is not one of the run.
    pub fn push(&mut self, log: LogId, extent: &Extent) -> Result<(), StorageError> {
        let row = (log, *extent);
        let RunHeader { after, upto, .. } = self.header;
        assert!(log.0 > 0 && extent.count > 0, "log {log} with {} entries", extent.count);
        assert!(in_order(self.last.as_ref(), &row), "{row:?} behind {:?}", self.last);
        assert!(
            after < extent.slot && extent.slot <= upto,
            "slot {} in a run above {after} up to {upto}",
            extent.slot
        );
        if self.last.is_none_or(|(last, _)| last != log) {
            self.filter.insert(log);
            self.logs += 1;
        }
        if !self.block.push(&row) {
            self.end_block()?;
            assert!(self.block.push(&row), "a row larger than a block: {row:?}");
        }
        if self.block.content().1 == 1 {
            self.fences.push(Fence { log, first: extent.first });
        }
        self.content.add(&row);
        self.rows += 1;
        self.last = Some(row);
        Ok(())
    }

    /// Ends the file, makes it durable, and gives it its name.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn finish(mut self) -> Result<Run, StorageError> {
        if self.block.content().1 > 0 {
            self.end_block()?;
        }
        let mut footer = RunFooter {
            rows: self.rows,
            logs: self.logs,
            blocks: self.fences.len() as u64,
            words: self.filter.words().len() as u64,
            keys: 0,
            content: self.content.sum(),
        };
        let mut keys = Vec::new();
        footer.keys = put_keys(&mut keys, self.seed, footer.keys_at(), &self.fences, &self.filter);
        footer.put(&mut keys, self.seed);
        for block in keys.chunks(BLOCK_BYTES) {
            self.out.extend_from_slice(block);
            self.write_full()?;
        }
        self.write()?;
        let bytes = footer.file_bytes();
        assert_eq!(self.written, bytes, "wrote {} bytes of a run of {bytes}", self.written);
        complete_file(self.storage, &self.aside, &run_file_name(self.header.run))?;
        Ok(Run::assembled(self.header, self.seed, footer, self.fences, self.filter))
    }

    fn end_block(&mut self) -> Result<(), StorageError> {
        let (content, count) = self.block.content();
        let number = (self.written + self.out.len() as u64) / BLOCK;
        let block = Block { content, count };
        put_block(&mut self.out, self.seed, number, BlockKind::Rows, block);
        self.block.clear();
        self.write_full()
    }

    /// Writes what is there when it is as much as one write takes.
    fn write_full(&mut self) -> Result<(), StorageError> {
        if self.out.len() >= RUN_CHUNK_BYTES { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), StorageError> {
        if let Err(error) = self.storage.extend(&self.aside, &self.out) {
            // Best effort: the space is needed, and the next attempt would remove it as well.
            if Trouble::is_no_space(&error) {
                drop(self.storage.remove(&self.aside));
            }
            return Err(StorageError::at(StorageOp::Write, &self.aside, self.written)(error));
        }
        self.written += self.out.len() as u64;
        self.out.clear();
        if self.written - self.synced >= RUN_SYNC_BYTES { self.sync() } else { Ok(()) }
    }

    fn sync(&mut self) -> Result<(), StorageError> {
        let at = StorageError::at(StorageOp::Sync, &self.aside, 0);
        self.storage.sync(&self.aside).map_err(at)?;
        self.synced = self.written;
        Ok(())
    }
}
