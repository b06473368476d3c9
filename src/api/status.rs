//! What a node reports about itself and its cluster.

use crate::types::{Ballot, ClusterId, FormatLevel, NodeId, ShardId, Slot};

/// A node's state, as the shard of the answering thread sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusReply {
    /// The id of the answering node.
    pub node: NodeId,
    /// The cluster that it belongs to.
    pub cluster: ClusterId,
    /// The program's version, as `paxosd --version` shows it.
    pub version: String,
    /// Milliseconds since the node's process started.
    pub uptime_ms: u64,
    /// Space on the file system of its data directory.
    pub disk: DiskSpace,
    /// The state of the shard that answers.
    pub shard: ShardStatus,
}

/// The file system of a node's data directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DiskSpace {
    /// Bytes that the node may still write, as the file system says.
    pub free_bytes: u64,
    /// Bytes in all; 0 where the system does not say.
    pub total_bytes: u64,
    /// Below so many free bytes the node takes no appends: `min_free_bytes`.
    pub min_free_bytes: u64,
}

/// The state of one shard on one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardStatus {
    /// The shard's number.
    pub shard: ShardId,
    /// The part that its replica plays now.
    pub role: Role,
    /// The leader it knows, if any.
    pub leader: Option<NodeId>,
    /// The highest leadership that it knows of.
    pub epoch: Ballot,
    /// The highest ballot that its acceptor has promised.
    pub promised: Ballot,
    /// The journal is durable up to this LSN.
    pub durable_upto: u64,
    /// Slots up to here are known chosen.
    pub chosen_upto: Slot,
    /// Slots up to here are applied.
    pub applied_upto: Slot,
    /// Slots up to here are gone from the disk; 0 for none.
    pub trimmed_upto: Slot,
    /// Digest of the state machine at `applied_upto`; equal on all replicas at equal slots.
    pub digest: u64,
    /// How many logs the shard holds, as far as this node has applied.
    pub logs: u64,
    /// Slots whose value is damaged here and not repaired yet.
    pub damaged_slots: u64,
    /// Files of the write-ahead log.
    pub segments: u64,
    /// Bytes of the write-ahead log on disk.
    pub disk_bytes: u64,
    /// Bytes of those of its files that hold no live entry, and are not gone yet.
    pub dead_bytes: u64,
    /// Free space that none of its files takes, beside `min_free_bytes`: checkpoints need it.
    pub reserve_bytes: u64,
    /// Why its oldest file stays, in words.
    pub kept_for: String,
    /// False while appends are refused for want of disk space.
    pub has_room: bool,
    /// Everything that the node knows to be chosen is applied, and it is in touch with its leader,
    /// or leading with a quorum, within the last lease.
    pub caught_up: bool,
    /// Batches written to the write-ahead log and synced since the process started.
    pub syncs: u64,
    /// How long these took together, in microseconds.
    pub sync_us: u64,
    /// True once every member has met every other one; before that nobody leads.
    pub formed: bool,
    /// The members that a cluster which has not formed waits for, as far as this node knows.
    pub unmet: Vec<NodeId>,
    /// One report for each other member.
    pub peers: Vec<PeerStatus>,
    /// The format level, as far as this node has applied.
    pub level: FormatLevel,
    /// The highest format level that the answering node's program knows.
    pub known_level: FormatLevel,
    /// The checkpoint of a peer that it takes over now.
    pub installing: Option<InstallProgress>,
    /// Applied slots whose values may be missing on its disk, and are fetched from peers.
    pub absent_slots: u64,
    /// Such values that were fetched since the process started.
    pub fetched_values: u64,
}

/// How far a node is that takes over a peer's checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InstallProgress {
    /// The peer that is asked for it.
    pub source: NodeId,
    /// The checkpoint's slot.
    pub slot: Slot,
    /// What is under way.
    pub phase: InstallPhase,
    /// Bytes of that part that have arrived.
    pub bytes: u64,
    /// About how many the part has in all; 0 where that is not known yet.
    pub part_bytes: u64,
}

/// What is under way of an install; the parts arrive in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum InstallPhase {
    /// The state arrives.
    State = 0,
    /// The extents arrive.
    Extents = 1,
    /// The node makes a checkpoint of its own of them.
    Making = 2,
}

impl InstallPhase {
    /// Its name, as `/status` and `paxosctl status` say it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            InstallPhase::State => "state",
            InstallPhase::Extents => "extents",
            InstallPhase::Making => "making",
        }
    }
}

/// The part that a replica plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Role {
    /// It accepts and learns what a leader proposes.
    Follower = 0,
    /// It canvasses or campaigns.
    Candidate = 1,
    /// It won phase 1, and has seen no higher ballot since.
    Leader = 2,
}

/// Another member, as the answering replica sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PeerStatus {
    /// The member's id.
    pub node: NodeId,
    /// True while there is a connection with it on which it was greeted.
    pub connected: bool,
    /// How far it has come; only where the answering node leads and the member answers it.
    pub progress: Option<Progress>,
    /// Why there is no link with it, in words: who refused whom, and for what; or why it cannot be
    /// reached. Empty where nothing is wrong or nothing was tried yet.
    pub trouble: String,
}

/// How far a follower has come, as its leader knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Progress {
    /// The follower's chosen watermark.
    pub chosen_upto: Slot,
    /// Slots by which that is behind the leader's.
    pub lag: u64,
}

/// Members, shards, leaders, as far as the answering node knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterMap {
    /// The cluster's id.
    pub cluster: ClusterId,
    /// How many shards the cluster has: they are numbered from 0.
    pub shards: u16,
    /// All members, by rising id.
    pub members: Vec<Member>,
    /// The leaders, by rising shard; every shard is named.
    pub leaders: Vec<ShardLeader>,
}

/// A member of the cluster, and where clients reach it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    /// The member's id.
    pub node: NodeId,
    /// Where it listens for clients, as it advertises it: `host:port`.
    pub address: String,
}

/// Who leads one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ShardLeader {
    /// The shard's number.
    pub shard: ShardId,
    /// The leadership, or the last one known.
    pub epoch: Ballot,
    /// The leader; none while nobody leads as far as the answering node knows.
    pub node: Option<NodeId>,
}
