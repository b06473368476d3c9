//! What clients and operators are answered while replicas' states differ (R23).

use crate::paxos::{Doubt, Replica};

/// With whom a replica differs, and what follows; empty when it differs from nobody.
pub fn doubt_text(replica: &Replica) -> String {
    let differing = replica.digests().differing();
    let nodes: Vec<String> =
        differing.map(|(node, slot)| format!("node {node} (slot {slot})")).collect();
    let nodes = nodes.join(", ");
    let see = "see docs/OPERATIONS.md, \"Replicas differ\"";
    match replica.doubt() {
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
