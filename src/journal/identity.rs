//! Who a data directory belongs to.

use crate::types::{ClusterId, Incarnation, NodeId};

/// What a data directory is: written once by `init`, compared with every file found in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The cluster.
    pub cluster: ClusterId,
    /// The member that owns the directory.
    pub node: NodeId,
    /// Drawn at random when the directory was initialised.
    pub incarnation: Incarnation,
    /// How many shards the cluster has, one sub-directory each.
    pub shards: u16,
}
