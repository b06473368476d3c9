//! Reads of the journal under way, whatever they are for: their bound counts them all.

use crate::journal::{ReadDamage, ReadResult};
use crate::limits::COLD_READS_MAX;
use crate::types::Slot;
use std::collections::BTreeMap;

/// What a read of the journal is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalRead {
    /// Applying.
    Replay,
    /// A peer's request for chosen values.
    Serve,
    /// A peer's request for values that a checkpoint stands for there.
    Values,
    /// What is absent may be in this node's own journal.
    Absent,
    /// A client's read, or the lookup of where its entries lie.
    Client,
    /// The lookup of what a trim lets go.
    Trim,
    /// The lookup of what a log's retention lets go.
    Retention,
    /// A compaction.
    Compaction,
    /// Whether this node has values whose entries are to be declared lost.
    Loss,
}

/// The reads under way, by token.
#[derive(Debug, Default)]
pub struct JournalReads {
    /// The token that was given out last.
    last: u64,
    under_way: BTreeMap<u64, JournalRead>,
}

impl JournalReads {
    /// A token for a read that may begin.
    pub(super) fn token(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// A read has begun.
    pub(super) fn begin(&mut self, token: u64, read: JournalRead) {
        assert!(token <= self.last, "token {token} was never given out, the last is {}", self.last);
        let before = self.under_way.insert(token, read);
        assert!(before.is_none(), "token {token} is taken by {before:?}");
    }

    /// A read came back: what it was for.
    pub(super) fn finish(&mut self, token: u64) -> Option<JournalRead> {
        self.under_way.remove(&token)
    }

    /// How many are under way.
    pub(super) fn len(&self) -> usize {
        self.under_way.len()
    }

    /// One more client's read may begin.
    pub(super) fn has_free(&self) -> bool {
        self.len() < COLD_READS_MAX
    }

    /// How many of a purpose are under way.
    pub(super) fn count(&self, purpose: JournalRead) -> usize {
        self.under_way.values().filter(|read| **read == purpose).count()
    }
}

/// The disk failed to read one of these: the bytes may be whole, and come the next time.
pub(in crate::shard) fn any_unreadable(records: &[(Slot, ReadResult)]) -> bool {
    records.iter().any(|(_, found)| matches!(found, Err(ReadDamage::Unreadable { .. })))
}
