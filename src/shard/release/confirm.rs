//! A second opinion of a checkpoint, without which nothing is released by it (C25).
//!
//! Heartbeats say what the state of others is now. A node that catches up comes to that slot late, and the digest of
//! none in between: its disk would fill meanwhile with what it learns, however much of it is dead. So it asks.

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

/// A peer answered. What it says counts where it is the same; that the states differ is for their present ones to show
/// (C32).
pub(super) fn hear(turn: &mut Turn<'_>, from: NodeId, chunk: &InstallChunk, kept: &[Kept]) {
    let is_same = |kept: &Kept| kept.slot == chunk.slot && kept.digest == chunk.digest;
    if chunk.place.is_none() && kept.iter().any(is_same) && !turn.core.replica.is_doubtful() {
        turn.core.replica.confirms_checkpoint(chunk.slot, from);
    }
}
