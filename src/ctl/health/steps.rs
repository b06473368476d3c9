//! What can be done about what is wrong with a cluster.

use super::Problem;
use crate::client::{DiskSpace, start_unmet};

impl Problem {
    /// What to do about it first.
    #[must_use]
    pub fn step(&self) -> String {
        match self {
            Problem::Diverged { .. } => {
                "keep all data directories, and see docs/OPERATIONS.md, \"Replicas differ\"".into()
            }
            Problem::Damaged { node, .. } => {
                format!("look in the log of node {node}: its peers mend what they can")
            }
            Problem::Dead { node, .. } => {
                format!("start node {node}; if it runs, look at its log and at the network")
            }
            Problem::NoLink { node, .. } => format!("look in the log of node {node}"),
            Problem::NoRoom { node, disk, .. } => {
                let what = if disk.lacks_bytes() { "space" } else { "inodes or quota" };
                format!("make {what} free on node {node}; appends resume by themselves")
            }
            Problem::Unformed { unmet, .. } if unmet.is_empty() => "give it more time".into(),
            Problem::Unformed { unmet, .. } => start_unmet(unmet),
            Problem::NoLeader(_) => "see that a majority of the nodes runs and is connected".into(),
            Problem::Outside(node, _) | Problem::Astray(node, _) => {
                format!("look in the log of node {node}")
            }
            Problem::Behind { .. } => "give it more time (--timeout)".into(),
        }
    }
}

impl DiskSpace {
    /// Bytes are what it lacks, if it lacks anything: there is less than a segment above what is kept.
    pub(super) fn lacks_bytes(&self) -> bool {
        let kept = self.min_free_bytes.saturating_add(crate::limits::SEGMENT_BYTES_MAX);
        self.total_bytes == 0 || self.free_bytes < kept
    }
}
