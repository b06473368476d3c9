//! What a shard keeps in memory, account by account: sums that are kept as things come and go, or counts of
//! things of one size, so that reading them costs nothing that grows with logs or entries.

/// What a shard keeps in memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryAccounts {
    /// Names and facts of logs.
    pub logs: u64,
    /// Fences and filters of the index's runs, and extents that no run has yet.
    pub index: u64,
    /// Places of values in the journal, and fences of the files that hold the others.
    pub places: u64,
    /// What is known of the spans that the release of segments goes by.
    pub spans: u64,
    /// Records that wait for their batch, and facts of segments.
    pub journal: u64,
    /// Commands of clients that wait to be proposed.
    pub queue: u64,
    /// Answers that are made, read from the disk, or wait to leave.
    pub answers: u64,
    /// Chosen values for reads at the tail and for peers.
    pub cache: u64,
    /// Blocks of the index and of files of places.
    pub blocks: u64,
}

impl MemoryAccounts {
    /// Each account by its name in metrics.
    #[must_use]
    pub fn named(&self) -> [(&'static str, u64); 9] {
        [
            ("logs", self.logs),
            ("index", self.index),
            ("places", self.places),
            ("spans", self.spans),
            ("journal", self.journal),
            ("queue", self.queue),
            ("answers", self.answers),
            ("cache", self.cache),
            ("blocks", self.blocks),
        ]
    }
}
