//! How a client and a node meet.

use super::entries::EntriesLimit;
use crate::types::{ClusterId, NodeId, ShardId};

/// The lowest protocol version that this program speaks.
pub const VERSION_MIN: u16 = 1;
/// The highest protocol version that this program speaks.
pub const VERSION_MAX: u16 = 1;

/// A client's first frame on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The lowest version that the client speaks.
    pub version_min: u16,
    /// The highest version that the client speaks.
    pub version_max: u16,
    /// The cluster that the client means; zero for any.
    pub cluster: ClusterId,
    /// The shard that the connection is for; [`super::client::NO_SHARD`] for Status, Map and
    /// Ping only.
    pub shard: ShardId,
    /// Optional features that the client knows; none exists in version 1.
    pub features: u64,
    /// Kind of credential: 0 is none. Others are reserved.
    pub credential_kind: u8,
    /// The credential.
    pub credential: Vec<u8>,
    /// The client program's name and version, for people who read logs.
    pub client: String,
}

/// A node's answer to a greeting that it accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelloReply {
    /// The version that both speak from here on.
    pub version: u16,
    /// The node's cluster.
    pub cluster: ClusterId,
    /// The node.
    pub node: NodeId,
    /// How many shards the cluster has.
    pub shards: u16,
    /// Optional features in force: known to both.
    pub features: u64,
    /// What the node takes.
    pub limits: Limits,
    /// The node program's version, for people.
    pub server: String,
}

/// What a node takes from a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Most bytes of a frame's body.
    pub frame_bytes_max: u32,
    /// Most bytes of one entry.
    pub entry_bytes_max: u32,
    /// Most bytes of one append's entries, prefixes included.
    pub append_bytes_max: u32,
    /// Most entries of one append.
    pub append_entries_max: u32,
    /// Most bytes of entries in one answer to a read, but for a single larger entry.
    pub read_bytes_max: u32,
    /// Most entries in one answer to a read.
    pub read_entries_max: u32,
    /// Most requests of one connection that wait for their answers.
    pub requests_max: u32,
    /// Longest wait of a read, in milliseconds.
    pub read_wait_ms_max: u32,
}

impl Limits {
    /// What one append may hold.
    #[must_use]
    pub fn append(&self) -> EntriesLimit {
        EntriesLimit {
            entries_max: self.append_entries_max,
            entry_bytes_max: self.entry_bytes_max,
            bytes_max: self.append_bytes_max,
        }
    }
}
