//! Asks other nodes to confirm a checkpoint: nothing is released by it before one has had the same state (C26).
//!
//! Heartbeats name the digest of the sender's present state alone. A node that catches up has not come to that slot
//! yet, and its checkpoints lie below: it could confirm none of them by heartbeats, and its disk would fill with what
//! it learns, though most of that may be dead. So it asks for digests at the slots of its checkpoints.

use crate::checkpoint::Kept;
use crate::shard::turn::Turn;
use crate::types::{NodeId, Slot};
use crate::wire::peer::{InstallChunk, InstallFetch, Message};

/// Asks the others what their state was at the slot of a checkpoint.
pub(super) fn ask(turn: &mut Turn<'_>, slot: Slot) {
    let me = turn.core.options.paxos.me;
    let peers = turn.core.options.paxos.members.iter().copied().filter(|node| *node != me);
    for node in peers.collect::<Vec<_>>() {
        if turn.core.replica.may_hear(node) {
            turn.send(node, Message::InstallFetch(InstallFetch { slot, place: None }));
        }
    }
}

/// Takes in a peer's answer, which counts only where the digest is the same. Another digest is no reason to doubt this
/// node's state: that is decided by comparisons of present states (C32).
pub(super) fn hear(turn: &mut Turn<'_>, from: NodeId, chunk: &InstallChunk, kept: &[Kept]) {
    let is_same = |kept: &Kept| kept.slot == chunk.slot && kept.digest == chunk.digest;
    if chunk.place.is_none() && kept.iter().any(is_same) && !turn.core.replica.is_doubtful() {
        turn.core.replica.confirms_checkpoint(chunk.slot, from);
    }
}
