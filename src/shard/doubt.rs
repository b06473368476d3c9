//! What clients and operators hear while replicas' states differ (RULES R23).

use super::Output;
use super::core::Shard;
use super::writes::Waiter;
use crate::api::error::{ErrorCode, RequestError};
use crate::paxos::Doubt;

impl Shard {
    /// A command was chosen and applied to a state that others do not share: what it came to there
    /// is nothing to rely on.
    pub(super) fn doubt_write(&mut self, waiter: Waiter, out: &mut Vec<Output>) {
        let error = RequestError::new(ErrorCode::LeadershipLost, self.doubt_text());
        self.void_waiter(waiter, error, out);
    }

    /// With whom this replica differs, and what follows; empty when it differs from nobody.
    #[must_use]
    pub fn doubt_text(&self) -> String {
        let differing = self.replica.digests().differing();
        let nodes: Vec<String> =
            differing.map(|(node, slot)| format!("node {node} (slot {slot})")).collect();
        let nodes = nodes.join(", ");
        let see = "see docs/OPERATIONS.md, \"Replicas differ\"";
        match self.replica.doubt() {
            None => String::new(),
            Some(Doubt::Fenced) => format!(
                "a majority of the members differs from this node's state ({nodes}): it votes and \
                 serves no more; {see}"
            ),
            Some(Doubt::Disputed) => format!(
                "the state here differs from {nodes}, and no majority agrees with either: nothing \
                 is served from it; {see}"
            ),
            Some(Doubt::Others) => format!(
                "the state of {nodes} differs from that of the majority, which this node shares; \
                 {see}"
            ),
        }
    }
}
