//! Blocks of files that never change, kept in memory by what verifies them.
//!
//! A block is kept under the seed that its checksum was computed with, and its place: what is found there
//! is a block that verified for that seed and place, whatever became of its file since. So nothing has to be
//! taken out when a file goes, or is made anew. What a block says of records is believed no more than
//! when it comes from the disk.

use crate::limits::BLOCK_BYTES;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// One block.
pub type CachedBlock = Arc<[u8; BLOCK_BYTES]>;

/// What a block is kept under: the seed of its checksum, and its number.
pub(crate) type BlockKey = (u64, u64);

/// Bytes that a block takes beside its own: its key twice, and the nodes that hold it.
const BESIDE_BYTES: usize = 96;

/// Blocks that were read and verified, up to a number; one that was not asked for since the last round
/// makes room.
pub struct BlockCache {
    blocks: Mutex<Blocks>,
    hits: AtomicU64,
    misses: AtomicU64,
}

#[derive(Default)]
struct Blocks {
    places: BTreeMap<BlockKey, usize>,
    ring: Vec<Kept>,
    hand: usize,
    most: usize,
}

struct Kept {
    key: BlockKey,
    block: CachedBlock,
    asked: bool,
}

/// What a cache has, and how often that was enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockCacheStats {
    /// Bytes of memory.
    pub bytes: u64,
    /// Blocks that were found in it.
    pub hits: u64,
    /// Blocks that were not.
    pub misses: u64,
}

impl BlockCache {
    /// An empty cache that takes no more than so many bytes.
    #[must_use]
    pub fn new(bytes_max: usize) -> BlockCache {
        let most = bytes_max / (BLOCK_BYTES + BESIDE_BYTES);
        let blocks = Mutex::new(Blocks { most, ..Blocks::default() });
        BlockCache { blocks, hits: AtomicU64::new(0), misses: AtomicU64::new(0) }
    }

    /// A block that verified under this key.
    pub(crate) fn get(&self, key: BlockKey) -> Option<CachedBlock> {
        let mut blocks = self.blocks.lock();
        let found = blocks.places.get(&key).copied();
        let found = found.map(|at| {
            let kept = &mut blocks.ring[at];
            kept.asked = true;
            Arc::clone(&kept.block)
        });
        drop(blocks);
        let count = if found.is_some() { &self.hits } else { &self.misses };
        count.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// Keeps a block that verifies under this key.
    pub(crate) fn insert(&self, key: BlockKey, block: CachedBlock) {
        self.blocks.lock().insert(key, block);
    }

    /// What it has now.
    #[must_use]
    pub fn stats(&self) -> BlockCacheStats {
        let count = self.blocks.lock().ring.len();
        BlockCacheStats {
            bytes: (count * (BLOCK_BYTES + BESIDE_BYTES)) as u64,
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
        }
    }
}

impl Blocks {
    fn insert(&mut self, key: BlockKey, block: CachedBlock) {
        // Another thread may have read the same one meanwhile.
        if self.most == 0 || self.places.contains_key(&key) {
            return;
        }
        let kept = Kept { key, block, asked: false };
        if self.ring.len() < self.most {
            self.places.insert(key, self.ring.len());
            self.ring.push(kept);
            return;
        }
        while std::mem::take(&mut self.ring[self.hand].asked) {
            self.hand = (self.hand + 1) % self.ring.len();
        }
        let gone = std::mem::replace(&mut self.ring[self.hand], kept);
        self.places.remove(&gone.key);
        self.places.insert(key, self.hand);
        self.hand = (self.hand + 1) % self.ring.len();
    }
}

impl fmt::Debug for BlockCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BlockCache").field(&self.stats()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(fill: u8) -> CachedBlock {
        Arc::new([fill; BLOCK_BYTES])
    }

    /// However many blocks come, no more are kept than there are bytes for, and those that are asked for
    /// again and again stay.
    #[test]
    fn r37_a_cache_keeps_no_more_than_it_may() {
        let bytes_max = 10 * (BLOCK_BYTES + BESIDE_BYTES);
        let cache = BlockCache::new(bytes_max);
        cache.insert((7, 0), block(1));
        for nth in 1..500 {
            assert!(cache.get((7, 0)).is_some_and(|kept| kept[0] == 1), "{nth}");
            cache.insert((7, nth), block(2));
            assert!(cache.stats().bytes <= bytes_max as u64, "{cache:?}");
        }
        assert!(cache.get((7, 499)).is_some_and(|kept| kept[0] == 2));
        assert!(cache.get((7, 3)).is_none());
        assert!(cache.get((8, 499)).is_none(), "of another file");
        let blocks = cache.blocks.lock();
        assert_eq!((blocks.ring.len(), blocks.places.len()), (10, 10));
    }

    /// A cache without memory keeps nothing.
    #[test]
    fn a_cache_of_no_bytes_is_none() {
        let cache = BlockCache::new(100);
        cache.insert((7, 0), block(1));
        assert!(cache.get((7, 0)).is_none());
    }
}
