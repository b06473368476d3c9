//! The hash that digests of the state are made of.
//!
//! Replicas that applied the same slots compare digests (R23). A digest covers the machine's own
//! counters, and a few words of each feature, which the feature keeps up to date in constant time per
//! change. The hash is XXH3 over fixed-size little-endian fields, so that nodes of different kinds
//! agree.
//!
//! It is no defence against someone who chooses entries to make states collide; it is there to find
//! faults of memory, disk and code.

use xxhash_rust::xxh3::xxh3_64;

/// XXH3 over words in little-endian order.
pub(super) fn hash_words<const N: usize>(words: &[u64; N]) -> u64 {
    let mut bytes = [[0u8; 8]; N];
    for (to, word) in bytes.iter_mut().zip(words) {
        *to = word.to_le_bytes();
    }
    xxh3_64(bytes.as_flattened())
}
