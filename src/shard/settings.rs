//! What a driver hands to its shard besides inputs: settings, and what only the driver can know.

use super::core::Shard;
use super::counters::SyncTally;
use crate::api::ShardLeader;

impl Shard {
    /// The wall clock, for the creation times of logs. Set by the driver from time to time.
    pub fn set_wall_ms(&mut self, wall_ms: u64) {
        self.wall_ms = wall_ms;
    }

    /// Bounds the chosen values kept in memory; [`CACHE_BYTES_MAX`](crate::limits::CACHE_BYTES_MAX)
    /// unless set otherwise.
    pub fn set_cache_bytes(&mut self, bytes_max: usize) {
        self.cache_bytes_max = bytes_max;
    }

    /// Free space that the journal leaves alone from now on; looked at when it next wants a segment,
    /// and within a second where it waits for space.
    pub fn set_min_free_bytes(&mut self, bytes: u64) {
        self.journal.set_min_free_bytes(bytes);
    }

    /// What other shards of this node know of their leaders, for the cluster map.
    pub fn note_leaders(&mut self, leaders: impl IntoIterator<Item = ShardLeader>) {
        self.leaders = leaders.into_iter().map(|leader| (leader.shard, leader)).collect();
    }

    /// What the batches of this shard's journal have cost so far, for its status: only the driver
    /// has a clock to measure it with.
    pub fn note_syncs(&mut self, syncs: SyncTally) {
        self.syncs = syncs;
    }
}
