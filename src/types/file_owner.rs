//! Whose a file of a shard's directory is.

use super::{ClusterId, Incarnation, NodeId, ShardId};
use std::fmt;

/// Whose a file of a shard's directory is: one that names another owner was put there by mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileOwner {
    /// The cluster.
    pub cluster: ClusterId,
    /// The node on whose disk it lies.
    pub node: NodeId,
    /// That of the node's data directory.
    pub incarnation: Incarnation,
    /// The shard that it is of.
    pub shard: ShardId,
}

impl FileOwner {
    /// Bytes of its encoding.
    pub const BYTES: usize = 28;

    /// Its encoding: cluster 16 bytes, incarnation 8, node 2, shard 2, little-endian.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; FileOwner::BYTES] {
        let mut bytes = [0; FileOwner::BYTES];
        bytes[..16].copy_from_slice(&self.cluster.0.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.incarnation.0.to_le_bytes());
        bytes[24..26].copy_from_slice(&self.node.0.to_le_bytes());
        bytes[26..].copy_from_slice(&self.shard.0.to_le_bytes());
        bytes
    }
}

impl fmt::Display for FileOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FileOwner { cluster, node, incarnation, shard } = self;
        write!(f, "cluster {cluster} node {node} incarnation {:016x} shard {shard}", incarnation.0)
    }
}
