//! Chosen values for peers that are behind: from memory, or out of the journal.

use super::journal_reads::JournalRead;
use super::turn::Turn;
use crate::journal::{ReadDamage, ReadResult};
use crate::limits::LEARN_BYTES_MAX;
use crate::types::{Ballot, NodeId, Slot, Value};
use crate::wire::peer::{Learn, Learned, Message};
use std::collections::BTreeMap;

/// Answers peers that ask for chosen values.
#[derive(Debug, Default)]
pub struct CatchUpServer {
    /// Who is served from the journal, and what was asked for, by the token of the read.
    served: BTreeMap<u64, (NodeId, Learn)>,
}

impl CatchUpServer {
    /// Answers a peer's request, from memory if the values are there.
    pub(super) fn serve(&mut self, turn: &mut Turn<'_>, to: NodeId, learn: Learn) {
        let found = turn.core.cache.run(learn.from, learn.upto, LEARN_BYTES_MAX);
        if !found.is_empty() || learn.from > learn.upto {
            return send(turn, to, &learn, found, (None, None));
        }
        if self.served.values().any(|(other, _)| *other == to) {
            return; // It asks again when nothing comes; one read per peer is enough.
        }
        if let Some(ballot) = turn.core.replica.holes().get(&learn.from).copied() {
            return send(turn, to, &learn, Vec::new(), (Some(ballot), None));
        }
        let core = &mut *turn.core;
        let token = core.journal_reads.token();
        let upto = core.cache.gap(learn.from, learn.upto);
        let job = core.journal.read(token, learn.from, upto, LEARN_BYTES_MAX);
        core.journal_reads.begin(token, JournalRead::Serve);
        self.served.insert(token, (to, learn));
        turn.run(job);
    }

    /// The journal delivered values for a peer.
    pub(super) fn done(
        &mut self,
        turn: &mut Turn<'_>,
        token: u64,
        results: Vec<(Slot, ReadResult)>,
    ) {
        let Some((to, learn)) = self.served.remove(&token) else { return };
        let mut values = Vec::new();
        let (mut damaged, mut released) = (None, None);
        for (slot, result) in results {
            match result {
                // What the journal has of an absent slot may be another value than was chosen (C29).
                Ok(_) if turn.core.absent.contains(slot) => {
                    released = Some(turn.core.checkpointed_upto).filter(|_| values.is_empty());
                    break;
                }
                Ok((ballot, value)) => values.push((slot, ballot, value)),
                Err(damage) => {
                    if !matches!(damage, ReadDamage::Released { .. }) {
                        turn.not_read(slot, &damage);
                    }
                    if values.is_empty() {
                        damaged = turn.core.replica.holes().get(&slot).copied();
                        released = Some(turn.core.checkpointed_upto).filter(|upto| slot <= *upto);
                    }
                    break;
                }
            }
        }
        send(turn, to, &learn, values, (damaged, released));
    }

    /// Reads of the journal under way for peers.
    pub(super) fn len(&self) -> usize {
        self.served.len()
    }
}

fn send(
    turn: &mut Turn<'_>,
    to: NodeId,
    learn: &Learn,
    values: Vec<(Slot, Ballot, Value)>,
    (damaged, released): (Option<Ballot>, Option<Slot>),
) {
    let chosen_upto = turn.core.replica.chosen_upto();
    let learned = Learned { from: learn.from, chosen_upto, values, damaged, released };
    turn.send(to, Message::Learned(learned));
}
