//! One span as memory holds it: its header and its footer. Rows are read block by block.

use crate::index::run::fault::{RunError, RunFault, read_failed, read_run};
use crate::index::run::layout::{BLOCK, BlockKind, check_block};
use crate::index::span::layout::{SpanFooter, SpanSpec, parse_span_file_name, span_file_name};
use crate::index::span::rows::{SpanChecksum, SpanRow, decode_rows};
use crate::limits::BLOCK_BYTES;
use crate::storage::Storage;
use crate::types::{FileOwner, LogId, Slot};

/// A span that is on disk as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    name: String,
    spec: SpanSpec,
    /// Part of the checksum of every block.
    seed: u64,
    footer: SpanFooter,
}

impl Span {
    /// Reads a span's header and footer, and checks them. No row is read.
    ///
    /// # Errors
    /// When the file is not that span of that owner, as it was written; or when the system is short of
    /// something, which says nothing about the span.
    pub fn open(storage: &dyn Storage, name: &str, owner: &FileOwner) -> Result<Span, RunError> {
        let damaged = |offset, fault| RunError::damaged(name, offset, fault);
        let upto = parse_span_file_name(name).ok_or_else(|| damaged(0, RunFault::Name))?;
        let bytes = storage.len(name).map_err(|error| read_failed(name, 0, error))?;
        if bytes < 2 * BLOCK || !bytes.is_multiple_of(BLOCK) {
            return Err(damaged(0, RunFault::Length(bytes)));
        }
        let mut block = [0; BLOCK_BYTES];
        read_run(storage, name, 0, &mut block)?;
        let (spec, seed) = SpanSpec::decode(&block).map_err(|fault| damaged(0, fault))?;
        if spec.owner != *owner {
            return Err(damaged(0, RunFault::Foreign(spec.owner.to_string())));
        }
        if spec.upto != upto {
            return Err(damaged(0, RunFault::Other));
        }
        let last = bytes - BLOCK;
        read_run(storage, name, last, &mut block)?;
        let footer = check_block(&block, seed, last / BLOCK, BlockKind::Footer)
            .and_then(|block| SpanFooter::decode(block, &spec, bytes))
            .map_err(|fault| damaged(last, fault))?;
        Ok(Span::assembled(spec, seed, footer))
    }

    /// A span of which all parts are known.
    pub(crate) fn assembled(spec: SpanSpec, seed: u64, footer: SpanFooter) -> Span {
        Span { name: span_file_name(spec.upto), spec, seed, footer }
    }

    /// The file's name in the shard's directory.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is of.
    #[must_use]
    pub fn spec(&self) -> &SpanSpec {
        &self.spec
    }

    /// The lowest and the highest slot that has an entry in it; nothing where none has.
    #[must_use]
    pub fn slots(&self) -> Option<(Slot, Slot)> {
        (self.footer.rows > 0).then_some(self.footer.slots)
    }

    /// How many blocks of rows it has.
    #[must_use]
    pub fn blocks(&self) -> u64 {
        self.footer.blocks
    }

    /// How many logs it has entries of.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.footer.rows
    }

    /// How many entries it has.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.footer.entries
    }

    /// Bytes of the file.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        self.footer.file_bytes()
    }

    /// The rows of one block, by rising log; all logs of blocks before are lower. `before` is the last
    /// one of those, if it is known.
    ///
    /// # Errors
    /// When the block is damaged, or the system is short of something.
    ///
    /// # Panics
    /// When there is no such block.
    pub fn read_block(
        &self,
        storage: &dyn Storage,
        block: u64,
        before: Option<LogId>,
    ) -> Result<Vec<SpanRow>, RunError> {
        let blocks = self.blocks();
        assert!(block < blocks, "block {block} of {blocks}");
        let (number, mut bytes) = (block + 1, [0; BLOCK_BYTES]);
        let damaged = |fault| RunError::damaged(&self.name, number * BLOCK, fault);
        read_run(storage, &self.name, number * BLOCK, &mut bytes)?;
        let found = check_block(&bytes, self.seed, number, BlockKind::Rows).map_err(damaged)?;
        let rows = decode_rows(found.content, found.count);
        let rows = rows.filter(|rows| rows.first().is_some_and(|row| Some(row.log) > before));
        rows.ok_or_else(|| damaged(RunFault::Rows))
    }

    /// Reads the whole file as the medium has it, and compares it with this span.
    ///
    /// # Errors
    /// What differs, and where; or that the system is short of something.
    pub fn verify(&self, storage: &dyn Storage) -> Result<(), RunError> {
        let found = Span::open(storage, &self.name, &self.spec.owner)?;
        if found != *self {
            return Err(RunError::damaged(&self.name, 0, RunFault::Other));
        }
        let (mut rows, mut entries, mut before) = (0u64, 0u64, None);
        let mut content = SpanChecksum::default();
        for block in 0..self.blocks() {
            for row in self.read_block(storage, block, before)? {
                content.add(&row);
                rows += 1;
                entries = entries.saturating_add(row.entries);
                before = Some(row.log);
            }
        }
        let damaged = |fault| Err(RunError::damaged(&self.name, self.file_bytes() - BLOCK, fault));
        if (rows, entries) != (self.footer.rows, self.footer.entries) {
            return damaged(RunFault::Counts);
        }
        if content.sum() != self.footer.content {
            return damaged(RunFault::Content);
        }
        Ok(())
    }

    /// What [`verify`](Span::verify) does, past the page cache: for a span that was just written.
    pub(crate) fn read_back(&self, storage: &dyn Storage) -> Result<(), RunError> {
        storage.forget(&self.name).map_err(|error| read_failed(&self.name, 0, error))?;
        self.verify(storage)
    }
}
