//! What the votes of a shard's members rest on, and what its members must share for them.

use super::{ConfigurationNumber, NodeId};
use std::collections::BTreeSet;
use std::fmt;

/// The members of a cluster, its quorums and its window. A vote counts only among members that
/// share all of it, so each of them keeps it in its hard state from before its first vote on
/// (Flexible Paxos, section 4; rules R06, R26, R28).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Configuration {
    /// Which configuration of the cluster this is.
    pub number: ConfigurationNumber,
    /// The ids of all members, this node's own included.
    pub members: BTreeSet<NodeId>,
    /// The prepare quorum: so many members must promise before a candidate leads (phase 1).
    pub prepare: u16,
    /// The accept quorum: so many members must have accepted a value before it is chosen (phase 2).
    pub accept: u16,
    /// Most slots proposed beyond the contiguous chosen prefix (α).
    pub window_slots: u64,
}

impl fmt::Display for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members: Vec<String> = self.members.iter().map(NodeId::to_string).collect();
        if self.number != ConfigurationNumber::FORMATION {
            write!(f, "configuration {}: ", self.number)?;
        }
        write!(
            f,
            "members {}, quorum_prepare {}, quorum_accept {}, window_slots {}",
            members.join(" "),
            self.prepare,
            self.accept,
            self.window_slots
        )
    }
}
