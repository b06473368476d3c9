//! The end of a run: fences, filter and footer. Together with the header they are all that memory
//! holds of it.

use crate::index::run::fault::RunFault;
use crate::index::run::filter::LogFilter;
use crate::index::run::layout::{BLOCK, Block, BlockKind, CONTENT_BYTES, put_block};
use crate::types::{Index, LogId};
use xxhash_rust::xxh3::xxh3_64;

const FENCE_BYTES: usize = 16;
/// Fences in a block.
const FENCES: u64 = (CONTENT_BYTES / FENCE_BYTES) as u64;
/// Words of the filter in a block.
const WORDS: u64 = (CONTENT_BYTES / 8) as u64;
const FOOTER_WORDS: usize = 6;

/// Where a block of rows begins: its first row. Fences rise strictly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fence {
    pub log: LogId,
    pub first: Index,
}

/// What the last block says of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunFooter {
    pub rows: u64,
    /// How many logs the rows are of.
    pub logs: u64,
    /// How many blocks the rows take.
    pub blocks: u64,
    /// How many words the filter has.
    pub words: u64,
    /// The checksum of all blocks of fences and filter.
    pub keys: u64,
    /// The checksum of the rows themselves.
    pub content: u64,
}

impl RunFooter {
    /// The block behind those of rows: the first one of fences.
    pub(crate) fn keys_at(&self) -> u64 {
        1 + self.blocks
    }

    /// How many blocks fences and filter take.
    pub(crate) fn key_blocks(&self) -> u64 {
        self.blocks.div_ceil(FENCES) + self.words.div_ceil(WORDS)
    }

    /// Bytes of the file.
    pub(crate) fn file_bytes(&self) -> u64 {
        (self.keys_at() + self.key_blocks() + 1) * BLOCK
    }

    /// Appends the block, which is the last one of the file.
    pub(crate) fn put(&self, out: &mut Vec<u8>, seed: u64) {
        let RunFooter { rows, logs, blocks, words, keys, content } = self;
        let words: [u64; FOOTER_WORDS] = [*rows, *logs, *blocks, *words, *keys, *content];
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let number = self.keys_at() + self.key_blocks();
        let block = Block { content: &bytes, count: 0 };
        put_block(out, seed, number, BlockKind::Footer, block);
    }

    /// Reads the footer of a file of so many bytes, whose lengths must add up to just that.
    pub(crate) fn decode(block: Block<'_>, file_bytes: u64) -> Result<RunFooter, RunFault> {
        let words = words_of(block.content);
        let Ok([rows, logs, blocks, words, keys, content]) =
            <[u64; FOOTER_WORDS]>::try_from(words.collect::<Vec<u64>>())
        else {
            return Err(RunFault::Layout);
        };
        let footer = RunFooter { rows, logs, blocks, words, keys, content };
        // Both numbers are bounded by the file before they are multiplied by anything.
        let bounded = blocks <= file_bytes / BLOCK && words > 0 && words <= file_bytes / 8;
        let fitting = blocks.saturating_mul(CONTENT_BYTES as u64);
        let counts = blocks <= rows && rows <= fitting && logs <= rows;
        if !bounded || !counts || footer.file_bytes() != file_bytes {
            return Err(RunFault::Layout);
        }
        Ok(footer)
    }
}

/// Appends all blocks of fences and filter; `number` is the first one's. Returns their checksum.
pub(crate) fn put_keys(
    out: &mut Vec<u8>,
    seed: u64,
    number: u64,
    fences: &[Fence],
    filter: &LogFilter,
) -> u64 {
    let start = out.len();
    let fences = fences.chunks(FENCES as usize).map(|part| {
        let words = part.iter().flat_map(|fence| [fence.log.0, fence.first.0]);
        (BlockKind::Fences, words.flat_map(u64::to_le_bytes).collect::<Vec<u8>>(), part.len())
    });
    let words = filter.words().chunks(WORDS as usize).map(|part| {
        let bytes = part.iter().flat_map(|word| word.to_le_bytes());
        (BlockKind::Filter, bytes.collect::<Vec<u8>>(), part.len())
    });
    for (number, (kind, content, count)) in (number..).zip(fences.chain(words)) {
        put_block(out, seed, number, kind, Block { content: &content, count: count as u32 });
    }
    xxh3_64(&out[start..])
}

/// Collects fences and filter from their blocks, in the order of the file.
#[derive(Debug)]
pub(crate) struct Keys {
    footer: RunFooter,
    fences: Vec<Fence>,
    words: Vec<u64>,
}

impl Keys {
    pub(crate) fn new(footer: RunFooter) -> Keys {
        // The footer was held against the length of the file: no more is asked for than is there.
        let fences = Vec::with_capacity(footer.blocks as usize);
        Keys { footer, fences, words: Vec::with_capacity(footer.words as usize) }
    }

    /// What the next block must be; nothing when all have been added.
    pub(crate) fn wanted(&self) -> Option<BlockKind> {
        match (self.fences.len() as u64, self.words.len() as u64) {
            (fences, _) if fences < self.footer.blocks => Some(BlockKind::Fences),
            (_, words) if words < self.footer.words => Some(BlockKind::Filter),
            _ => None,
        }
    }

    /// Adds the content of a block of the kind that was wanted.
    pub(crate) fn add(&mut self, kind: BlockKind, block: Block<'_>) -> Result<(), RunFault> {
        let count = u64::from(block.count);
        if kind == BlockKind::Filter {
            let left = self.footer.words - self.words.len() as u64;
            if count != left.min(WORDS) || block.content.len() != block.count as usize * 8 {
                return Err(RunFault::Filter);
            }
            self.words.extend(words_of(block.content));
            return Ok(());
        }
        let left = self.footer.blocks - self.fences.len() as u64;
        if count != left.min(FENCES) || block.content.len() != block.count as usize * FENCE_BYTES {
            return Err(RunFault::Fence);
        }
        for pair in block.content.chunks_exact(FENCE_BYTES) {
            let mut words = words_of(pair);
            let (Some(log), Some(first)) = (words.next(), words.next()) else {
                return Err(RunFault::Fence);
            };
            let fence = Fence { log: LogId(log), first: Index(first) };
            if self.fences.last().is_some_and(|last| *last >= fence) {
                return Err(RunFault::Fence);
            }
            self.fences.push(fence);
        }
        Ok(())
    }

    /// All that was added.
    pub(crate) fn finish(self) -> (Vec<Fence>, LogFilter) {
        (self.fences, LogFilter::of_words(self.words))
    }
}

fn words_of(bytes: &[u8]) -> impl Iterator<Item = u64> {
    let (words, _) = bytes.as_chunks::<8>();
    words.iter().map(|word| u64::from_le_bytes(*word))
}
