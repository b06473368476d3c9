//! One run as memory holds it: its header, its footer, its fences and its filter.

use crate::index::run::fault::{RunError, RunFault, read_failed, read_run};
use crate::index::run::filter::LogFilter;
use crate::index::run::footer::{Fence, Keys, RunFooter};
use crate::index::run::layout::{
    BLOCK, Block, BlockKind, RunHeader, check_block, parse_run_file_name, run_file_name,
};
use crate::limits::{BLOCK_BYTES, RUN_CHUNK_BYTES};
use crate::storage::Storage;
use crate::types::{FileOwner, LogId, RunId, Slot};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use xxhash_rust::xxh3::Xxh3;

/// No file is longer; what is counted in bytes below this can be added up and doubled.
const FILE_BYTES_MAX: u64 = 1 << 62;

/// A run that is on disk as a whole. It is never changed; its rows are read when they are asked for.
pub struct Run {
    pub(crate) name: String,
    pub(crate) header: RunHeader,
    /// Part of the checksum of every block.
    pub(crate) seed: u64,
    pub(crate) footer: RunFooter,
    /// One for each block of rows.
    pub(crate) fences: Vec<Fence>,
    pub(crate) filter: LogFilter,
    /// Blocks of rows that were read so far.
    pub(crate) reads: AtomicU64,
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (header, footer) = (&self.header, &self.footer);
        f.debug_struct("Run")
            .field("header", header)
            .field("footer", footer)
            .finish_non_exhaustive()
    }
}

impl Run {
    /// Reads a run's header, footer, fences and filter, and checks them. No row is read.
    ///
    /// # Errors
    /// When the file is not that run of that owner, as it was written; or when the system is short of
    /// something, which says nothing about the run.
    pub fn open(storage: &dyn Storage, name: &str, owner: &FileOwner) -> Result<Run, RunError> {
        let damaged = |offset, fault| RunError::damaged(name, offset, fault);
        let id = parse_run_file_name(name).ok_or_else(|| damaged(0, RunFault::Name))?;
        let bytes = file_bytes(storage, name)?;
        let mut block = [0; BLOCK_BYTES];
        read_run(storage, name, 0, &mut block)?;
        let (header, seed) = RunHeader::decode(&block).map_err(|fault| damaged(0, fault))?;
        if header.owner != *owner {
            return Err(damaged(0, RunFault::Foreign(header.owner.to_string())));
        }
        if header.run != id {
            return Err(damaged(0, RunFault::Other));
        }
        let last = bytes - BLOCK;
        read_run(storage, name, last, &mut block)?;
        let footer = check_block(&block, seed, last / BLOCK, BlockKind::Footer)
            .and_then(|block| RunFooter::decode(block, bytes))
            .map_err(|fault| damaged(last, fault))?;
        let (fences, filter) = read_keys(storage, name, seed, footer)?;
        Ok(Run::assembled(header, seed, footer, fences, filter))
    }

    /// A run of which all parts are known.
    pub(crate) fn assembled(
        header: RunHeader,
        seed: u64,
        footer: RunFooter,
        fences: Vec<Fence>,
        filter: LogFilter,
    ) -> Run {
        let (name, reads) = (run_file_name(header.run), AtomicU64::new(0));
        Run { name, header, seed, footer, fences, filter, reads }
    }

    /// The run's number.
    #[must_use]
    pub fn id(&self) -> RunId {
        self.header.run
    }

    /// The file's name in the shard's directory.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All rows are of slots above this one.
    #[must_use]
    pub fn after(&self) -> Slot {
        self.header.after
    }

    /// All rows are of slots up to this one.
    #[must_use]
    pub fn upto(&self) -> Slot {
        self.header.upto
    }

    /// How many rows it has.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.footer.rows
    }

    /// How many logs it has rows of.
    #[must_use]
    pub fn logs(&self) -> u64 {
        self.footer.logs
    }

    /// The checksum of its rows: the same on all nodes that have the same rows.
    #[must_use]
    pub fn content(&self) -> u64 {
        self.footer.content
    }

    /// Bytes of the file.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        self.footer.file_bytes()
    }

    /// Bytes of memory that it takes while it is open.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<Run>()
            + self.name.len()
            + self.fences.len() * size_of::<Fence>()
            + size_of_val(self.filter.words())
    }

    /// Blocks of rows that were read of it so far.
    #[must_use]
    pub fn blocks_read(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// False when it has no row of the log.
    pub(crate) fn may_have(&self, log: LogId) -> bool {
        self.filter.may_have(log)
    }

    /// Damage of a block of rows, by its place among them.
    pub(crate) fn damaged(&self, block: usize, fault: RunFault) -> RunError {
        RunError::damaged(&self.name, (block as u64 + 1) * BLOCK, fault)
    }
}

/// The length of the file, which must be that of some run.
fn file_bytes(storage: &dyn Storage, name: &str) -> Result<u64, RunError> {
    let bytes = storage.len(name).map_err(|error| read_failed(name, 0, error))?;
    // The shortest has a header, a block of the filter, and a footer.
    if bytes < 3 * BLOCK || !bytes.is_multiple_of(BLOCK) || bytes > FILE_BYTES_MAX {
        return Err(RunError::damaged(name, 0, RunFault::Length(bytes)));
    }
    Ok(bytes)
}

/// Reads fences and filter; each block is checked, and then all of them together.
fn read_keys(
    storage: &dyn Storage,
    name: &str,
    seed: u64,
    footer: RunFooter,
) -> Result<(Vec<Fence>, LogFilter), RunError> {
    let (start, blocks) = (footer.keys_at(), footer.key_blocks());
    let mut keys = Keys::new(footer);
    let mut checksum = Xxh3::new();
    let chunk = (RUN_CHUNK_BYTES as u64 / BLOCK).min(blocks);
    let mut buf = vec![0; (chunk * BLOCK) as usize];
    for first in (start..start + blocks).step_by(chunk as usize) {
        let count = chunk.min(start + blocks - first);
        let part = &mut buf[..(count * BLOCK) as usize];
        read_run(storage, name, first * BLOCK, part)?;
        checksum.update(part);
        for (number, bytes) in (first..).zip(part.chunks_exact(BLOCK_BYTES)) {
            let damaged = |fault| RunError::damaged(name, number * BLOCK, fault);
            let kind = keys.wanted().ok_or_else(|| damaged(RunFault::Layout))?;
            check_block(bytes, seed, number, kind)
                .and_then(|block: Block<'_>| keys.add(kind, block))
                .map_err(damaged)?;
        }
    }
    if checksum.digest() != footer.keys || keys.wanted().is_some() {
        return Err(RunError::damaged(name, start * BLOCK, RunFault::Checksum));
    }
    Ok(keys.finish())
}
