//! Gives this node's checkpoint to a peer that installs it.

use crate::checkpoint::install::{InstallJob, ROW_BYTES};
use crate::limits::INSTALL_KEEP_US;
use crate::paxos::Doubt;
use crate::shard::checkpoints::Checkpoints;
use crate::shard::core::Core;
use crate::shard::disk_job::DiskJob;
use crate::shard::turn::Turn;
use crate::types::{InstallPlace, NodeId, Slot};
use crate::wire::peer::{Eligibility, InstallChunk, InstallFetch, Message};
use std::collections::BTreeMap;

/// Answers peers that install a checkpoint.
#[derive(Debug, Default)]
pub struct CheckpointSource {
    /// Who is served from the disk, and what was asked for.
    served: BTreeMap<NodeId, (Slot, InstallPlace)>,
}

impl CheckpointSource {
    /// A peer asks for a part, or for a digest.
    pub(in crate::shard) fn serve(
        &mut self,
        turn: &mut Turn<'_>,
        to: NodeId,
        fetch: &InstallFetch,
        checkpoints: &mut Checkpoints,
    ) {
        let InstallFetch { slot, place } = *fetch;
        let known = checkpoints.kept().iter().any(|kept| kept.slot == slot);
        let Some(place) = place.filter(|_| known && !turn.core.replica.is_doubtful()) else {
            let mut answer = answer(checkpoints, (slot, place), (Vec::new(), false), 0);
            if place.is_none() {
                // The digest alone is asked for: it is known for longer than the checkpoint is kept.
                answer.digest = checkpoints.digest_at(slot).unwrap_or(0);
            }
            if turn.core.replica.is_doubtful() {
                answer.newest = Slot(0); // Nothing to install (C32).
            }
            // In a dispute nobody knows who is right: the digest is an opinion that holds up the other one.
            if turn.core.replica.doubt() == Some(Doubt::Fenced) {
                answer.digest = 0;
            }
            return turn.send(to, Message::InstallChunk(answer));
        };
        // The checkpoint stays until the peer has caught up, and with it the journal behind it.
        checkpoints.keep_for(to, slot, turn.now.after(INSTALL_KEEP_US));
        if self.served.contains_key(&to) {
            return; // It asks again when nothing comes; one read per peer is enough.
        }
        self.served.insert(to, (slot, place));
        let (owner, runs) = (checkpoints.owner(), turn.core.index.runs().clone());
        turn.run(DiskJob::Install(InstallJob::Read { to, owner, slot, place, runs }));
    }

    /// A peer says whether it lacks entries, and the replica still has what it said before on this connection. Where
    /// that ends, the peer has caught up, and needs neither the checkpoint nor the journal behind it.
    pub(in crate::shard) fn hear_eligibility(
        core: &Core,
        from: NodeId,
        eligibility: &Eligibility,
        checkpoints: &mut Checkpoints,
    ) {
        if !eligibility.lacks_entries && core.replica.peer_lacks_entries(from) {
            checkpoints.stop_keeping_for(from);
        }
    }

    /// A part was read for a peer.
    pub(in crate::shard) fn done(
        &mut self,
        turn: &mut Turn<'_>,
        checkpoints: &Checkpoints,
        to: NodeId,
        chunk: Result<(Vec<u8>, bool), String>,
    ) {
        let Some((slot, place)) = self.served.remove(&to) else { return };
        let chunk = chunk.unwrap_or_else(|why| {
            let shard = turn.core.options.shard;
            log::error!(
                "shard {shard}: the checkpoint at slot {slot} is not sent to node {to}: {why}"
            );
            (Vec::new(), false)
        });
        let part_bytes = part_bytes(turn.core, checkpoints, (slot, place));
        let answer = answer(checkpoints, (slot, Some(place)), chunk, part_bytes);
        turn.send(to, Message::InstallChunk(answer));
    }
}

/// About how many bytes a part has: runs may have rows of later slots as well.
fn part_bytes(core: &Core, checkpoints: &Checkpoints, (slot, place): (Slot, InstallPlace)) -> u64 {
    match place {
        InstallPlace::State(_) => {
            let kept = checkpoints.kept().iter().find(|kept| kept.slot == slot);
            kept.map_or(0, |kept| kept.state_bytes)
        }
        InstallPlace::Extents(..) => {
            let runs = core.index.runs().runs().iter().filter(|run| run.after() < slot);
            runs.map(|run| run.rows()).sum::<u64>() * ROW_BYTES as u64
        }
    }
}

fn answer(
    checkpoints: &Checkpoints,
    (slot, place): (Slot, Option<InstallPlace>),
    (bytes, is_last): (Vec<u8>, bool),
    part_bytes: u64,
) -> InstallChunk {
    let kept = checkpoints.kept();
    let digest = kept.iter().find(|kept| kept.slot == slot).map_or(0, |kept| kept.digest);
    let newest = kept.last().map_or(Slot(0), |kept| kept.slot);
    InstallChunk { slot, place, digest, newest, bytes, is_last, part_bytes }
}
