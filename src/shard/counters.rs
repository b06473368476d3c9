//! What a shard has done since its start, and how much it has on its hands: for metrics.

use super::core::Shard;

/// What a shard has done since its start. Only rises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Appends acknowledged to clients of this node.
    pub appends: u64,
    /// Their entries.
    pub entries: u64,
    /// Bytes of these entries, without prefixes.
    pub entry_bytes: u64,
    /// Campaigns won here.
    pub elections: u64,
}

/// What the batches of a shard's journal have cost since its start. Only rises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncTally {
    /// How many there were.
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
    /// Slots that somebody knows to be chosen and this replica does not yet.
    pub catch_up_slots: u64,
}

impl Shard {
    /// What was done since the start.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// How much there is to do.
    #[must_use]
    pub fn backlog(&self) -> Backlog {
        Backlog {
            slots_in_flight: self.replica.open_slots(),
            queue_bytes: self.writes.queued_bytes() as u64,
            journal_bytes: self.journal.pending_bytes() as u64,
            cold_reads: self.cold.len() as u64,
            waiting_reads: self.reads.lines.len() as u64,
            answer_bytes: self.budget.in_use() as u64,
            catch_up_slots: self.replica.behind(),
        }
    }
}
