//! Gives peers the values of slots that a checkpoint stands for, as far as they are here.

use crate::journal::{ReadDamage, ReadResult};
use crate::limits::{LEARN_BYTES_MAX, LEARN_SLOTS_MAX};
use crate::shard::checkpoints::Checkpoints;
use crate::shard::journal_reads::JournalRead;
use crate::shard::turn::Turn;
use crate::types::{NodeId, Slot};
use crate::wire::peer::{Message, ValuesChunk, ValuesFetch};
use std::collections::BTreeMap;

/// Answers peers that ask for absent values.
#[derive(Debug, Default)]
pub struct ValuesSource {
    /// Who is served, from what slot on, and how many segments were released before, by the token of the
    /// read.
    served: BTreeMap<u64, (NodeId, Slot, u64)>,
}

impl ValuesSource {
    /// A peer asks.
    pub(in crate::shard) fn serve(
        &mut self,
        turn: &mut Turn<'_>,
        to: NodeId,
        fetch: &ValuesFetch,
        checkpoints: &Checkpoints,
    ) {
        let ValuesFetch { from, upto } = *fetch;
        // Of slots up to there this node knows what it has, and all of it is durable.
        let known = checkpoints.kept().last().map_or(Slot(0), |kept| kept.slot);
        let upto = upto.min(known).min(Slot(from.0.saturating_add(LEARN_SLOTS_MAX - 1)));
        if from == Slot(0) || from > upto || turn.core.replica.is_doubtful() {
            return send(turn, to, ValuesChunk { from, covered: Slot(0), values: Vec::new() });
        }
        if self.served.values().any(|(other, ..)| *other == to) {
            return; // It asks again when nothing comes; one read per peer is enough.
        }
        let core = &mut *turn.core;
        let token = core.journal_reads.token();
        core.journal_reads.begin(token, JournalRead::Values);
        self.served.insert(token, (to, from, core.tally.released_segments));
        let slots = (from.0..=upto.0).map(Slot);
        let job = core.journal.read_slots(token, slots, LEARN_BYTES_MAX);
        turn.run(crate::journal::Job::Read(job));
    }

    /// The journal delivered what it has.
    pub(in crate::shard) fn done(
        &mut self,
        turn: &mut Turn<'_>,
        token: u64,
        results: Vec<(Slot, ReadResult)>,
    ) {
        let Some((to, from, released_before)) = self.served.remove(&token) else { return };
        let is_settled = turn.core.tally.released_segments == released_before;
        let (mut values, mut covered) = (Vec::new(), from.prev());
        for (slot, result) in results {
            match result {
                Ok((ballot, value)) => values.push((slot, ballot, value)),
                // Released: nobody needs it. But this node may miss some itself.
                Err(ReadDamage::NotHeld { .. } | ReadDamage::Released { .. })
                    if is_settled && !turn.core.absent.contains(slot) => {}
                // Damaged, and without a live entry: it is as if it were released.
                Err(_) if turn.core.absent.is_needless(slot) => {}
                // It went while it was read, and may be elsewhere by now.
                Err(ReadDamage::NotHeld { .. } | ReadDamage::Released { .. }) => break,
                Err(damage) => {
                    turn.not_read(slot, &damage);
                    break;
                }
            }
            covered = slot;
        }
        send(turn, to, ValuesChunk { from, covered, values });
    }

    /// Reads of the journal under way for peers.
    pub(in crate::shard) fn len(&self) -> usize {
        self.served.len()
    }
}

fn send(turn: &mut Turn<'_>, to: NodeId, chunk: ValuesChunk) {
    turn.send(to, Message::ValuesChunk(chunk));
}
