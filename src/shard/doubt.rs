//! What clients and operators are answered while replicas' states differ (R23).

use crate::paxos::{Doubt, Replica};
use crate::types::Slot;

/// What a node that fenced itself does about it (C32).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Healing {
    /// Nothing yet, or it has not fenced itself.
    #[default]
    No,
    /// It goes back to its own checkpoint at this slot, and applies again what is chosen behind it.
    Replays(Slot),
    /// It installs the checkpoint of a peer.
    Installs,
    /// Nothing has helped.
    Failed,
}

/// With whom a replica differs, and what follows; empty when it differs from nobody.
pub fn doubt_text(replica: &Replica, (healing, takes_appends): (Healing, bool)) -> String {
    let differing = replica.digests().differing();
    let nodes: Vec<String> =
        differing.map(|(node, slot)| format!("node {node} (slot {slot})")).collect();
    let nodes = nodes.join(", ");
    let see = "see docs/OPERATIONS.md, \"Replicas differ\"";
    match replica.doubt() {
        None => String::new(),
        Some(Doubt::Fenced) => {
            let does = match healing {
                Healing::No => "it votes and serves no more".to_string(),
                Healing::Replays(slot) => format!(
                    "it votes and serves no more until it has applied again what is chosen behind its \
                     checkpoint at slot {slot}"
                ),
                Healing::Installs => {
                    "it votes and serves no more until it has installed the checkpoint \
                                      of a peer"
                        .to_string()
                }
                Healing::Failed => {
                    "its own checkpoint and that of a peer did not help: it stays out until \
                                    somebody acts"
                        .to_string()
                }
            };
            let whom = if nodes.is_empty() { String::new() } else { format!(" ({nodes})") };
            format!("a majority of the members differs from this node's state{whom}: {does}; {see}")
        }
        Some(Doubt::Disputed) => format!(
            "the state here differs from {nodes}, and no majority agrees with either: nothing \
             is served from it{}; {see}",
            if takes_appends { ", but appends without conditions are taken" } else { "" }
        ),
        Some(Doubt::Others) => format!(
            "the state of {nodes} differs from that of the majority, which this node shares; \
             {see}"
        ),
    }
}
