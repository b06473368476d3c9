//! Log lines of what the replica found wrong, here or with a peer.

use crate::paxos::Note;

/// Logs it, for whoever runs the cluster.
pub(super) fn log_note(note: &Note) {
    match note {
        Note::OtherConfiguration { node, theirs, own } => {
            log::error!("node {node} has another configuration: {theirs}; this node has {own}");
        }
        Note::OtherIncarnation { node } => {
            log::error!("node {node} knows this node by another incarnation");
        }
        Note::Refuted { node, seen } => log::error!(
            "node {node} lacks records that it acknowledged ({seen}): its votes do not count"
        ),
        Note::CutWasDamage { witness, seen } => log::error!(
            "node {witness} saw {seen} acknowledged, which this node had cut off as torn: it is \
             damage, and is settled with the other nodes"
        ),
        Note::StateDiffers { node, slot, theirs, own } => log::error!(
            "the state of node {node} after slot {slot} differs from this node's: {theirs:#018x} \
             there, {own:#018x} here; see docs/OPERATIONS.md, \"Replicas differ\""
        ),
        Note::Fenced => log::error!(
            "a majority of the members differs from this node's state: it votes, leads and \
             serves no more until its state is theirs again"
        ),
    }
}
