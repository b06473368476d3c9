//! Why a shard ends its process, in words that say what to do.

use crate::machine::MachineError;
use crate::paxos::{StartRefused, Stop};
use crate::types::{FailureKind, ShardId};
use std::fmt;

/// Why a shard cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fatal {
    /// The replica must not go on.
    Stopped {
        /// The shard that ends the process.
        shard: ShardId,
        /// The reason that the replica gave.
        stop: Stop,
        /// Damaged places found at the start.
        findings: Vec<String>,
    },
    /// What was chosen cannot be applied.
    NotApplied {
        /// The shard that ends the process.
        shard: ShardId,
        /// What is wrong with the value, or with the state.
        error: MachineError,
    },
}

impl Fatal {
    /// What would help.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        match self {
            Fatal::Stopped { stop: Stop::RolledBack(_) | Stop::Unrepairable { .. }, .. } => {
                FailureKind::Data
            }
            Fatal::Stopped { stop: Stop::Contradicted { .. }, .. } | Fatal::NotApplied { .. } => {
                FailureKind::Invariant
            }
        }
    }
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (shard, stop, findings) = match self {
            Fatal::NotApplied { shard, error } => return write!(f, "shard {shard}: {error}"),
            Fatal::Stopped { shard, stop, findings } => (shard, stop, findings),
        };
        match stop {
            Stop::RolledBack(refuted) => {
                write!(f, "shard {shard}: {}", StartRefused::RolledBack(*refuted))
            }
            Stop::Contradicted { slot, peer } => write!(
                f,
                "shard {shard}: node {peer} has another value for slot {slot}, which this node \
                 knows to be chosen: an acknowledged entry is lost on one of them. Keep all data \
                 directories; see docs/OPERATIONS.md, \"Replicas differ\""
            ),
            Stop::Unrepairable { slot } => {
                write!(
                    f,
                    "shard {shard}: slot {slot} is damaged here and no peer has a good copy; keep \
                     the directory; see docs/OPERATIONS.md, \"Data is damaged\""
                )?;
                findings.iter().try_for_each(|finding| write!(f, "\n  {finding}"))
            }
        }
    }
}
