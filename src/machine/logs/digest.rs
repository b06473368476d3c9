//! What the machine's digest covers of the logs.
//!
//! Each log has a 64-bit hash of all that the state has of it, and of the bytes of its entries; the
//! digest is made of their sum. A sum does not depend on the order in which the logs came to be what
//! they are, and taking a log out or changing it is a subtraction.

use crate::api::LogAttributes;
use crate::api::entries::EntriesRef;
use crate::machine::digest::hash_words;
use crate::types::{Index, LogId};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Words of the logs in the machine's digest: how many were created, how many there are, their sum.
pub(in crate::machine) const DIGEST_WORDS: usize = 3;

/// What the digest covers of one log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LogFacts {
    /// The log.
    pub(super) id: LogId,
    /// Hash of its name, see [`name_hash`].
    pub(super) name: u64,
    /// The first index that is not trimmed.
    pub(super) first: Index,
    /// Its next index.
    pub(super) next: Index,
    /// Payload bytes of its entries, trimmed ones too.
    pub(super) appended_bytes: u64,
    /// Payload bytes of what is trimmed, in whole extents.
    pub(super) trimmed_bytes: u64,
    /// When it was created.
    pub(super) created_ms: u64,
    /// Its entries' bytes, trimmed ones too, see [`content_hash`].
    pub(super) content: u64,
    /// Its attributes.
    pub(super) attributes: LogAttributes,
}

impl LogFacts {
    /// The log's share of the digest.
    pub(super) fn hash(&self) -> u64 {
        let LogAttributes { version, retention, sealed } = self.attributes;
        hash_words(&[
            self.id.0,
            self.name,
            self.first.0,
            self.next.0,
            self.appended_bytes,
            self.trimmed_bytes,
            self.created_ms,
            self.content,
            version,
            retention.bytes,
            retention.entries,
            retention.age_ms,
            u64::from(sealed),
        ])
    }
}

/// The hash of a log's name.
pub(super) fn name_hash(name: &str) -> u64 {
    xxh3_64(name.as_bytes())
}

/// The hash of a log's entries up to and with `entry`, given the hash of those `before`; 0 for none.
/// It depends on the entries and their order, not on how they were grouped into appends.
pub(in crate::machine) fn content_hash(before: u64, entry: &[u8]) -> u64 {
    xxh3_64_with_seed(entry, before)
}

/// A log's chain value behind these entries, given the one in front of them.
pub(in crate::machine) fn chain_over(before: u64, entries: EntriesRef<'_>) -> u64 {
    entries.iter().fold(before, |chain, entry| content_hash(chain, entry.data))
}

/// What sums over all logs have of one: the hash of its facts, and the payload bytes of its live entries, which
/// are no part of the digest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LogShare {
    pub(super) hash: u64,
    pub(super) live_bytes: u64,
}

/// The sums over all logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct LogSum {
    sum: u64,
    count: u64,
    live_bytes: u64,
}

impl LogSum {
    /// Takes a log in.
    pub(super) fn add(&mut self, share: LogShare) {
        self.sum = self.sum.wrapping_add(share.hash);
        self.count += 1;
        self.live_bytes += share.live_bytes;
    }

    /// Takes a log out, whose share was added before.
    pub(super) fn remove(&mut self, share: LogShare) {
        let hash = share.hash;
        assert!(self.count > 0, "a log is taken out of an empty digest: hash={hash:#x}");
        self.sum = self.sum.wrapping_sub(hash);
        self.count -= 1;
        self.live_bytes -= share.live_bytes;
    }

    /// Replaces a log's share.
    pub(super) fn replace(&mut self, before: LogShare, after: LogShare) {
        self.remove(before);
        self.add(after);
    }

    /// Payload bytes of all live entries.
    pub(super) fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    /// The words of the digest, with the number of logs ever created.
    pub(super) fn words(&self, created: u64) -> [u64; DIGEST_WORDS] {
        [created, self.count, self.sum]
    }
}
