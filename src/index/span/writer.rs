//! Writing a span: aside, synced, renamed, and the directory synced (R07).

use crate::index::run::fault::RunError;
use crate::index::run::layout::{BLOCK, Block, BlockKind, put_block};
use crate::index::span::gather::SpanPart;
use crate::index::span::layout::{SpanFooter, SpanSpec, span_file_name, unfinished_span_name};
use crate::index::span::opened::Span;
use crate::index::span::rows::{SpanBlock, SpanChecksum};
use crate::limits::{RUN_CHUNK_BYTES, RUN_SYNC_BYTES};
use crate::storage::{Storage, StorageError, StorageOp, complete_file};
use crate::types::{FormatLevel, LogId, Slot, Trouble};
use std::io;

/// Writes a span of these parts, which rise by log, at this format level, and reads it back past the page
/// cache. A span of that name is replaced; a crash leaves the one or the other.
///
/// # Errors
/// When a part could not be had, or what is read back is not what was written, or the file system fails.
///
/// # Panics
/// When a part is out of order, or of slots that are not the span's.
pub fn write_span(
    storage: &dyn Storage,
    (spec, level): (&SpanSpec, FormatLevel),
    parts: &mut dyn Iterator<Item = Result<SpanPart, RunError>>,
) -> Result<Span, RunError> {
    let mut writer = SpanWriter::create(storage, spec, level)?;
    for part in parts {
        writer.push(&part?)?;
    }
    let span = writer.finish()?;
    span.read_back(storage)?;
    Ok(span)
}

struct SpanWriter<'a> {
    storage: &'a dyn Storage,
    spec: SpanSpec,
    seed: u64,
    /// The name until it is complete.
    aside: String,
    /// Whole blocks that are not yet written.
    out: Vec<u8>,
    /// Bytes of the file so far.
    written: u64,
    synced: u64,
    block: SpanBlock,
    last: LogId,
    footer: SpanFooter,
    content: SpanChecksum,
}

impl<'a> SpanWriter<'a> {
    fn create(
        storage: &'a dyn Storage,
        spec: &SpanSpec,
        level: FormatLevel,
    ) -> Result<SpanWriter<'a>, StorageError> {
        let aside = unfinished_span_name(spec.upto);
        match storage.remove(&aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StorageError::at(StorageOp::Remove, &aside, 0)(error));
            }
            Ok(()) | Err(_) => {}
        }
        storage.create_empty(&aside).map_err(StorageError::at(StorageOp::Create, &aside, 0))?;
        let (out, seed) = spec.encode(level);
        let slots = (Slot(0), Slot(0));
        Ok(SpanWriter {
            storage,
            spec: *spec,
            seed,
            aside,
            out,
            written: 0,
            synced: 0,
            block: SpanBlock::default(),
            last: LogId(0),
            footer: SpanFooter { rows: 0, blocks: 0, entries: 0, slots, content: 0 },
            content: SpanChecksum::default(),
        })
    }

    fn push(&mut self, part: &SpanPart) -> Result<(), StorageError> {
        let SpanPart { row, slots: (lowest, highest) } = *part;
        let SpanSpec { after, upto, .. } = self.spec;
        assert!(self.last < row.log, "a row of log {} behind log {}", row.log, self.last);
        assert!(
            after < lowest && lowest <= highest && highest <= upto,
            "entries of slots {lowest} to {highest} in a span above {after} up to {upto}"
        );
        if !self.block.push(&row) {
            self.end_block()?;
            assert!(self.block.push(&row), "a row larger than a block: {row:?}");
        }
        let slots = match self.footer.rows {
            0 => (lowest, highest),
            _ => (self.footer.slots.0.min(lowest), self.footer.slots.1.max(highest)),
        };
        self.footer.slots = slots;
        self.footer.rows += 1;
        self.footer.entries += row.entries;
        self.content.add(&row);
        self.last = row.log;
        Ok(())
    }

    fn finish(mut self) -> Result<Span, StorageError> {
        if self.block.content().1 > 0 {
            self.end_block()?;
        }
        self.footer.content = self.content.sum();
        self.footer.put(&mut self.out, self.seed);
        self.write()?;
        let bytes = self.footer.file_bytes();
        assert_eq!(self.written, bytes, "wrote {} bytes of a span of {bytes}", self.written);
        complete_file(self.storage, &self.aside, &span_file_name(self.spec.upto))?;
        Ok(Span::assembled(self.spec, self.seed, self.footer))
    }

    fn end_block(&mut self) -> Result<(), StorageError> {
        let (content, count) = self.block.content();
        let number = (self.written + self.out.len() as u64) / BLOCK;
        let block = Block { content, count };
        put_block(&mut self.out, self.seed, number, BlockKind::Rows, block);
        self.block.clear();
        self.footer.blocks += 1;
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
        if self.written - self.synced >= RUN_SYNC_BYTES {
            let at = StorageError::at(StorageOp::Sync, &self.aside, 0);
            self.storage.sync(&self.aside).map_err(at)?;
            self.synced = self.written;
        }
        Ok(())
    }
}
