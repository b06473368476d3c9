//! The digest of a machine's state, kept up to date in constant time per change.
//!
//! Replicas that applied the same slots compare digests (R23). Each log has a 64-bit hash of all
//! that the state knows of it, and of the bytes of its entries; the digest is made of their sum and
//! of the machine's counters. A sum does not depend on the order in which the logs came to be what
//! they are, and taking a log out or changing it is a subtraction. The hash is XXH3 over fixed-size
//! little-endian fields, so that nodes of different kinds agree.
//!
//! The sum is no defence against someone who chooses entries to make states collide; it is there
//! to find faults of memory, disk and code.

use crate::types::{Ballot, Index, LogId, ShardId, Slot};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// What the digest covers of one log.
#[derive(Clone, Copy, Debug)]
pub struct LogFacts {
    /// The log.
    pub id: LogId,
    /// Hash of its name, see [`name_hash`].
    pub name: u64,
    /// Its next index.
    pub next: Index,
    /// Payload bytes of its entries.
    pub bytes: u64,
    /// When it was created.
    pub created_ms: u64,
    /// Its entries' bytes, see [`content_hash`].
    pub content: u64,
}

impl LogFacts {
    /// The log's share of the digest.
    #[must_use]
    pub fn hash(&self) -> u64 {
        let words = [self.id.0, self.name, self.next.0, self.bytes, self.created_ms, self.content];
        hash_words(&words)
    }
}

/// The hash of a log's name.
#[must_use]
pub fn name_hash(name: &str) -> u64 {
    xxh3_64(name.as_bytes())
}

/// The hash of a log's entries up to and with `entry`, given the hash of those `before`; 0 for none.
/// It depends on the entries and their order, not on how they were grouped into appends.
#[must_use]
pub fn content_hash(before: u64, entry: &[u8]) -> u64 {
    xxh3_64_with_seed(entry, before)
}

/// The sum over all logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LogSum {
    sum: u64,
    count: u64,
}

impl LogSum {
    /// Takes a log in.
    pub fn add(&mut self, hash: u64) {
        self.sum = self.sum.wrapping_add(hash);
        self.count += 1;
    }

    /// Takes a log out, whose hash was added before.
    pub fn remove(&mut self, hash: u64) {
        assert!(self.count > 0, "a log is taken out of an empty digest");
        self.sum = self.sum.wrapping_sub(hash);
        self.count -= 1;
    }

    /// Replaces a log's hash.
    pub fn replace(&mut self, before: u64, after: u64) {
        self.sum = self.sum.wrapping_sub(before).wrapping_add(after);
    }

    /// The digest: the logs, and what the machine knows beside them.
    #[must_use]
    pub fn digest(
        &self,
        shard: ShardId,
        shards: u16,
        applied_upto: Slot,
        run: Option<Ballot>,
        created: u64,
    ) -> u64 {
        let cluster = u64::from(shard.0) << 16 | u64::from(shards);
        let node = run.map_or(u64::MAX, |run| u64::from(run.node.0));
        let round = run.map_or(0, |run| run.round);
        hash_words(&[cluster, applied_upto.0, round, node, created, self.count, self.sum])
    }
}

/// XXH3 over words in little-endian order.
fn hash_words<const N: usize>(words: &[u64; N]) -> u64 {
    let mut bytes = [[0u8; 8]; N];
    for (to, word) in bytes.iter_mut().zip(words) {
        *to = word.to_le_bytes();
    }
    xxh3_64(bytes.as_flattened())
}
