//! What a shard is given at its start.

use super::cut_options::CutOptions;
use crate::api::entries::EntriesLimit;
use crate::paxos;
use crate::types::{ClusterId, NodeId, ShardId};
use std::collections::BTreeMap;

/// What a shard is given at its start.
#[derive(Clone, Debug)]
pub struct ShardOptions {
    /// The number of this shard, below `shards`.
    pub shard: ShardId,
    /// Shards of the cluster.
    pub shards: u16,
    /// The cluster that the node belongs to.
    pub cluster: ClusterId,
    /// The replica's configuration.
    pub paxos: paxos::Config,
    /// Where each member listens for clients, as it advertises it.
    pub addresses: BTreeMap<NodeId, String>,
    /// What one append may hold.
    pub append: EntriesLimit,
    /// A clean stop of the node takes no longer than this.
    pub stop_timeout_ms: u64,
    /// What may lie between two cuts.
    pub cuts: CutOptions,
    /// Of the journal that need not be kept, so many bytes stay for members that were away.
    pub catchup_bytes: u64,
    /// The program's version, for status.
    pub version: String,
}
