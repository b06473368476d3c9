//! How two nodes meet: the caller greets, the called one accepts or says why not.

use crate::types::{ClusterId, Incarnation, NodeId, ShardId};

/// The lowest version of the peer protocol that this program speaks.
pub const PEER_VERSION_MIN: u16 = 1;
/// The highest version of the peer protocol that this program speaks.
pub const PEER_VERSION_MAX: u16 = 1;

/// The first frame of the node that opened the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerHello {
    /// The lowest version that the caller speaks.
    pub version_min: u16,
    /// The highest version that the caller speaks.
    pub version_max: u16,
    /// The caller's cluster.
    pub cluster: ClusterId,
    /// The caller.
    pub node: NodeId,
    /// The node that the caller means to reach.
    pub target: NodeId,
    /// The caller's incarnation.
    pub incarnation: Incarnation,
    /// The shard that the connection is for.
    pub shard: ShardId,
    /// Optional features that the caller knows; none exists in version 1.
    pub features: u64,
    /// What all nodes must share (R38).
    pub shared: SharedLimits,
}

/// What all nodes of a cluster must share (R38).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SharedLimits {
    /// Most bytes of one entry.
    pub entry_bytes_max: u32,
    /// Most bytes of one append's entries, prefixes included.
    pub append_bytes_max: u32,
    /// Most bytes of one slot's value.
    pub value_bytes_max: u32,
    /// Shards of the cluster.
    pub shards: u16,
    /// Promises that a campaign needs (q1).
    pub prepare_quorum: u16,
    /// Accepteds that make a value chosen (q2).
    pub accept_quorum: u16,
    /// Digest of the members' ids ([`members_digest`]).
    pub members: u64,
}

/// The answer to a [`PeerHello`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerHelloReply {
    /// Come in.
    Accepted(PeerWelcome),
    /// Stay out.
    Refused(PeerRefusal),
}

/// The called node's side of an accepted greeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerWelcome {
    /// The version that both speak from here on.
    pub version: u16,
    /// The called node.
    pub node: NodeId,
    /// Its incarnation.
    pub incarnation: Incarnation,
    /// Optional features in force: known to both.
    pub features: u64,
}

/// Why a peer is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct PeerRefusal {
    /// The reason.
    pub code: PeerRefusalCode,
    /// The reason for people: names both values and what to do.
    pub text: String,
}

/// The reason why a peer is refused. Numbers are never used again for anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum PeerRefusalCode {
    /// No common version.
    Version = 1,
    /// Another cluster.
    Cluster = 2,
    /// The caller is no member.
    NotAMember = 3,
    /// The called node is not the one meant.
    WrongTarget = 4,
    /// The caller has another incarnation than the one known: its disk was wiped or replaced.
    Incarnation = 5,
    /// What all nodes must share differs.
    Limits = 6,
    /// There is no such shard.
    Shard = 7,
    /// The called node cannot take connections now; later it may.
    NotNow = 8,
}

/// A digest of the members' ids, equal for equal sets.
#[must_use]
pub fn members_digest(members: impl IntoIterator<Item = NodeId>) -> u64 {
    let members: std::collections::BTreeSet<NodeId> = members.into_iter().collect();
    let bytes: Vec<u8> = members.iter().flat_map(|node| node.0.to_le_bytes()).collect();
    xxhash_rust::xxh3::xxh3_64(&bytes)
}
