//! Why a shard ends its process, in words that say what to do.

use super::Output;
use super::core::Shard;
use crate::paxos::{StartRefused, Stop};
use crate::types::FailureKind;

impl Shard {
    /// The replica must not go on.
    pub(super) fn stop(&mut self, stop: &Stop, out: &mut Vec<Output>) {
        let shard = self.options.shard;
        let mut text = match stop {
            Stop::RolledBack(refuted) => {
                format!("shard {shard}: {}", StartRefused::RolledBack(*refuted))
            }
            Stop::Contradicted { slot, peer } => format!(
                "shard {shard}: node {peer} has another value for slot {slot}, which this node \
                 knows to be chosen: an acknowledged entry is lost on one of them. Keep all data \
                 directories; see docs/OPERATIONS.md, \"Replicas differ\""
            ),
            Stop::Unrepairable { slot } => format!(
                "shard {shard}: slot {slot} is damaged here and no peer has a good copy; keep the \
                 directory; see docs/OPERATIONS.md, \"Data is damaged\""
            ),
        };
        let damaged = matches!(stop, Stop::Unrepairable { .. });
        for finding in self.findings.iter().filter(|_| damaged) {
            text.push_str("\n  ");
            text.push_str(finding);
        }
        let kind = match stop {
            Stop::Contradicted { .. } => FailureKind::Invariant,
            Stop::RolledBack(_) | Stop::Unrepairable { .. } => FailureKind::Data,
        };
        self.fail(kind, text, out);
    }

    pub(super) fn fail(&mut self, kind: FailureKind, text: String, out: &mut Vec<Output>) {
        self.failed = true;
        out.push(Output::Fatal { kind, text });
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed
    }
}
