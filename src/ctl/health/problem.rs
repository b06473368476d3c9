//! One thing that is wrong with a cluster: how it is said, and whether it passes by itself.

use super::super::units::bytes;
use crate::client::DiskSpace;
use crate::types::{Count, NodeId, Nodes, Shards};
use std::fmt;

/// One thing that is wrong, with every shard in which it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// Two nodes applied the same slots and came to another state: one of them is wrong (R23).
    Diverged {
        /// One of them.
        a: NodeId,
        /// The other one.
        b: NodeId,
        /// The shards in which it is so.
        shards: Shards,
    },
    /// Values are damaged on the node.
    Damaged {
        /// The node whose disk is damaged.
        node: NodeId,
        /// The shards in which it is so.
        shards: Shards,
        /// How many slots in all.
        slots: u64,
    },
    /// A node does not answer.
    Dead {
        /// The node that does not answer.
        node: NodeId,
        /// The address at which it was asked.
        address: String,
    },
    /// Nodes that answer have no link with each other, or one refuses the other.
    NoLink {
        /// The node that has most of these links.
        node: NodeId,
        /// The nodes at the other ends of these links, without repetition.
        peers: Vec<NodeId>,
        /// The shards in which it is so.
        shards: Shards,
        /// Why, and which node says so.
        said: Option<(NodeId, String)>,
    },
    /// The node refuses appends for want of disk space.
    NoRoom {
        /// The node whose disk is full.
        node: NodeId,
        /// The shards in which it is so.
        shards: Shards,
        /// The space on its disk, and what it keeps free.
        disk: DiskSpace,
    },
    /// A new cluster waits for members that its other members have not met.
    Unformed {
        /// The shards in which it is so.
        shards: Shards,
        /// Whom it waits for.
        unmet: Vec<NodeId>,
    },
    /// No node that answers leads these shards.
    NoLeader(Shards),
    /// The node knows no leader while others have one: its peers may refuse it.
    Outside(NodeId, Shards),
    /// The node follows another leader than the shard's.
    Astray(NodeId, Shards),
    /// The node is behind.
    Behind {
        /// The node that is behind.
        node: NodeId,
        /// The shards in which it is so.
        shards: Shards,
        /// By how many slots in all.
        slots: u64,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Diverged { a, b, shards } => {
                write!(f, "nodes {a} and {b} applied the same slots of {shards} and differ")
            }
            Problem::Damaged { node, shards, slots } => {
                write!(f, "node {node} holds {} of {shards}", Count(*slots, "damaged slot"))
            }
            Problem::Dead { node, address } => {
                write!(f, "node {node} at {address} does not answer")
            }
            Problem::NoLink { node, peers, shards, said } => {
                write!(f, "node {node} has no link with {} in {shards}", Nodes(peers))?;
                match said {
                    Some((by, why)) if by == node => write!(f, "; it says: {why}"),
                    Some((by, why)) => write!(f, "; node {by} says: {why}"),
                    None => Ok(()),
                }
            }
            Problem::NoRoom { node, shards, disk } => {
                write!(f, "node {node} has no disk space for {shards}")?;
                if disk.total_bytes == 0 {
                    return Ok(());
                }
                let (free, least) = (bytes(disk.free_bytes), bytes(disk.min_free_bytes));
                write!(f, ": {free} are free")?;
                if !disk.lacks_bytes() {
                    return write!(f, "; inodes (df -i) or a quota (quota -v) must have run out");
                }
                if disk.free_bytes < disk.min_free_bytes {
                    return write!(f, ", and min_free_bytes keeps {least}");
                }
                // What is kept for checkpoints, and the segment itself, come on top.
                write!(f, ", too few for a segment beside the {least} of min_free_bytes")
            }
            Problem::Unformed { shards, unmet } if unmet.is_empty() => {
                write!(f, "the cluster has not formed in {shards}: its members are about to meet")
            }
            Problem::Unformed { shards, unmet } => {
                let whom = Nodes(unmet);
                write!(
                    f,
                    "the cluster has not formed in {shards}: it waits for {whom}; a new cluster \
                     serves once all its members have met each other"
                )
            }
            Problem::NoLeader(shards) if shards.len() == 1 => write!(f, "{shards} has no leader"),
            Problem::NoLeader(shards) => write!(f, "{shards} have no leader"),
            Problem::Outside(node, shards) => write!(
                f,
                "node {node} knows no leader of {shards} while others do: look in its log whether \
                 its peers refuse it"
            ),
            Problem::Astray(node, shards) => {
                write!(f, "node {node} does not follow the leader of {shards}")
            }
            Problem::Behind { node, shards, slots } => {
                write!(f, "node {node} is {} behind in {shards}", Count(*slots, "slot"))
            }
        }
    }
}

impl Problem {
    /// True for what passes by itself while a cluster works: `status` shows it without alarm,
    /// `wait --ready` waits for it.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Problem::Astray(..) | Problem::Behind { .. } => true,
            Problem::Dead { .. }
            | Problem::NoLeader(_)
            | Problem::Unformed { .. }
            | Problem::Outside(..)
            | Problem::NoLink { .. }
            | Problem::NoRoom { .. }
            | Problem::Diverged { .. }
            | Problem::Damaged { .. } => false,
        }
    }

    /// True for what an election, or a node that is just starting, brings with it, and takes away
    /// again within a second or two.
    #[must_use]
    pub fn may_be_an_election(&self) -> bool {
        match self {
            Problem::NoLeader(_)
            | Problem::Outside(..)
            | Problem::NoLink { .. }
            | Problem::Unformed { .. } => true,
            Problem::Astray(..)
            | Problem::Behind { .. }
            | Problem::Dead { .. }
            | Problem::NoRoom { .. }
            | Problem::Diverged { .. }
            | Problem::Damaged { .. } => false,
        }
    }
}
