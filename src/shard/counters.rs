//! What a shard has done since its start, and how much it has on its hands: for metrics.

use super::memory::MemoryAccounts;
use crate::storage::BlockCacheStats;

/// What a shard has done since its start. Only rises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Appends acknowledged to clients of this node.
    pub appends: u64,
    /// Entries of these appends.
    pub entries: u64,
    /// Bytes of these entries, without prefixes.
    pub entry_bytes: u64,
    /// Campaigns won here.
    pub elections: u64,
    /// Checkpoints, and merges of runs of the index.
    pub checkpoints: CheckpointTally,
    /// Entries that were trimmed in slots applied here, those of the start included.
    pub trimmed_entries: u64,
    /// Bytes of these entries, without prefixes, as far as whole extents went.
    pub trimmed_bytes: u64,
    /// Segments of the journal that were released.
    pub released_segments: u64,
    /// Checkpoints of peers that were installed, and bytes of such that arrived.
    pub installs: (u64, u64),
    /// Absent values that were fetched from peers.
    pub fetched_values: u64,
    /// Times that a node which had fenced itself came by the state of the others again.
    pub heals: u64,
    /// Trims that this node proposed because of what a log is to keep.
    pub retentions: u64,
    /// Bytes of the values that were applied here.
    pub applied_bytes: u64,
    /// Live values of mostly dead segments that were written down again.
    pub compaction: CompactionTally,
}

/// What was compacted since the start. Only rises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompactionTally {
    /// Segments of which every live value has a copy.
    pub segments: u64,
    /// Values that were copied, as a whole or in part.
    pub values: u64,
    /// Those of them of which only what is live was.
    pub remnants: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What became of the checkpoints since the start. Only rises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckpointTally {
    /// Taken, and noted in the journal.
    pub taken: u64,
    /// Begun and left.
    pub abandoned: u64,
    /// Cuts at which none was begun, because one was under way.
    pub passed_over: u64,
    /// Merges of runs.
    pub merges: u64,
}

/// What the batches of a shard's journal have cost since its start. Only rises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncTally {
    /// How many batches there were.
    pub count: u64,
    /// How long their writes and syncs took together, in microseconds.
    pub took_us: u64,
}

/// How much a shard has on its hands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Slots proposed and not yet chosen; 0 unless it leads.
    pub slots_in_flight: u64,
    /// Bytes of clients' commands that wait to be proposed.
    pub queue_bytes: u64,
    /// Bytes of records that wait for their batch.
    pub journal_bytes: u64,
    /// Reads of the journal under way.
    pub cold_reads: u64,
    /// Reads that wait for memory or for the disk.
    pub waiting_reads: u64,
    /// Bytes of answers that wait to leave, are made, or are read from the journal.
    pub answer_bytes: u64,
    /// A peer's checkpoint is being installed: 1, else 0.
    pub installing: u64,
    /// A segment's live values are being copied: 1, else 0.
    pub compacting: u64,
    /// Slots that are applied, and whose values may be missing here.
    pub absent_slots: u64,
    /// Slots applied behind the newest checkpoint: what a start replays, at least.
    pub slots_behind_checkpoint: u64,
    /// Extents of the index in memory.
    pub extents_in_memory: u64,
    /// Places of records in memory.
    pub places_in_memory: u64,
    /// Bytes of memory of fences, filters and extents of the index.
    pub index_bytes: u64,
    /// Bytes of memory, by account.
    pub memory: MemoryAccounts,
    /// Blocks of the index and of files of places in memory.
    pub block_cache: BlockCacheStats,
    /// Slots that somebody knows to be chosen and this replica does not yet.
    pub catch_up_slots: u64,
    /// Logs that have more than they are to keep.
    pub logs_over_retention: u64,
}
