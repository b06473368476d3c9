//! Reading the rows of a run, block by block, through one buffer.

use crate::index::run::fault::{RunError, RunFault, read_run};
use crate::index::run::footer::Fence;
use crate::index::run::layout::{BLOCK, Block, BlockKind, HEAD_BYTES, check_block};
use crate::index::run::opened::Run;
use crate::index::run::rows::{BadRows, Row, RowDecoder, in_order};
use crate::limits::BLOCK_BYTES;
use crate::storage::{BlockCache, Storage};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Reads blocks of rows, some ahead of what is asked for.
pub(crate) struct BlockReader<'a> {
    storage: &'a dyn Storage,
    pub run: &'a Run,
    buf: Vec<u8>,
    /// The blocks that the buffer has now.
    loaded: Range<usize>,
    /// The block that was checked last, with the bytes and the count of its content.
    checked: Option<(usize, usize, u32)>,
    /// Blocks that one read brings, at most.
    ahead: usize,
    /// Blocks that were read before, one at a time.
    cache: Option<&'a BlockCache>,
}

impl<'a> BlockReader<'a> {
    /// A reader that reads so many bytes at a time, one block at least.
    pub(crate) fn new(storage: &'a dyn Storage, run: &'a Run, ahead_bytes: usize) -> Self {
        let ahead = (ahead_bytes / BLOCK_BYTES).max(1);
        let (buf, loaded, checked, cache) = (Vec::new(), 0..0, None, None);
        BlockReader { storage, run, buf, loaded, checked, ahead, cache }
    }

    /// A reader of single blocks, which looks for them in the cache first, and keeps them there.
    pub(crate) fn cached(
        storage: &'a dyn Storage,
        run: &'a Run,
        cache: Option<&'a BlockCache>,
    ) -> Self {
        BlockReader { cache, ..BlockReader::new(storage, run, 0) }
    }

    /// The content of a block of rows that verifies.
    pub(crate) fn block(&mut self, block: usize) -> Result<Block<'_>, RunError> {
        let key = (self.run.seed, block as u64 + 1);
        let mut fresh = None;
        if !self.loaded.contains(&block) {
            match self.cache.and_then(|cache| cache.get(key)) {
                Some(kept) => {
                    self.buf.clear();
                    self.buf.extend_from_slice(&kept[..]);
                    (self.loaded, self.checked) = (block..block + 1, None);
                }
                None => {
                    self.load(block)?;
                    fresh = self.cache;
                }
            }
        }
        let start = (block - self.loaded.start) * BLOCK_BYTES;
        let bytes = &self.buf[start..start + BLOCK_BYTES];
        let (len, count) = match self.checked {
            Some((checked, len, count)) if checked == block => (len, count),
            _ => {
                let found = check_block(bytes, self.run.seed, block as u64 + 1, BlockKind::Rows)
                    .map_err(|fault| self.run.damaged(block, fault))?;
                (found.content.len(), found.count)
            }
        };
        self.checked = Some((block, len, count));
        if let Some((cache, bytes)) = fresh.zip(bytes.first_chunk()) {
            cache.insert(key, Arc::new(*bytes));
        }
        Ok(Block { content: &bytes[HEAD_BYTES..HEAD_BYTES + len], count })
    }

    /// Reads another run from now on, through the same buffer.
    pub(crate) fn turn_to(&mut self, run: &'a Run) {
        if !std::ptr::eq(self.run, run) {
            (self.run, self.loaded, self.checked) = (run, 0..0, None);
        }
    }

    fn load(&mut self, block: usize) -> Result<(), RunError> {
        let count = self.ahead.min(self.run.fences.len() - block);
        // Nothing is believed of a buffer that was filled in part.
        (self.loaded, self.checked) = (0..0, None);
        self.buf.resize(count * BLOCK_BYTES, 0);
        read_run(self.storage, &self.run.name, (block as u64 + 1) * BLOCK, &mut self.buf)?;
        self.run.reads.fetch_add(count as u64, Ordering::Relaxed);
        self.loaded = block..block + count;
        Ok(())
    }
}

/// A place among the rows of a run, which goes on from the start of a block.
#[derive(Debug)]
pub(crate) struct RowCursor {
    /// The block that the last row came from, or that comes next.
    block: usize,
    /// The blocks end here.
    end: usize,
    decoder: Option<RowDecoder>,
    previous: Option<Row>,
}

impl RowCursor {
    /// Through these blocks of rows.
    pub(crate) fn new(blocks: Range<usize>) -> RowCursor {
        RowCursor { block: blocks.start, end: blocks.end, decoder: None, previous: None }
    }

    /// Through all rows of a run.
    pub(crate) fn all(run: &Run) -> RowCursor {
        RowCursor::new(0..run.fences.len())
    }

    /// The block that the last row came from.
    pub(crate) fn block(&self) -> usize {
        self.block
    }

    /// The next row of the reader's run; nothing behind the last one.
    pub(crate) fn next(&mut self, reader: &mut BlockReader<'_>) -> Result<Option<Row>, RunError> {
        let run = reader.run;
        while self.block < self.end {
            let damaged = |fault| run.damaged(self.block, fault);
            let block = reader.block(self.block)?;
            let begins = self.decoder.is_none();
            let (after, upto) = (run.header.after, run.header.upto);
            let decoder =
                self.decoder.get_or_insert_with(|| RowDecoder::new(block.count, after, upto));
            let row = decoder.next(block.content).map_err(|BadRows| damaged(RunFault::Rows))?;
            if begins {
                let fence = row.map(|(log, extent)| Fence { log, first: extent.first });
                if fence != Some(run.fences[self.block]) {
                    return Err(damaged(RunFault::Fence));
                }
            }
            let Some(row) = row else {
                self.decoder = None;
                self.block += 1;
                continue;
            };
            if !in_order(self.previous.as_ref(), &row) {
                return Err(damaged(RunFault::Rows));
            }
            self.previous = Some(row);
            return Ok(Some(row));
        }
        Ok(None)
    }
}
