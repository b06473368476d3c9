//! Reads of the journal: for peers that are behind, for applying, for old entries.

use super::Output;
use super::cold_reads::ColdRead;
use super::core::Shard;
use crate::journal::{ReadJobDone, ReadResult};
use crate::limits::LEARN_BYTES_MAX;
use crate::types::{Ballot, NodeId, Slot, Tick};
use crate::wire::peer::{Learn, Learned, Message};

/// What a read of the journal is for.
#[derive(Debug)]
pub enum JournalRead {
    /// Applying.
    Replay,
    /// A peer's request for chosen values.
    Serve {
        /// The peer.
        to: NodeId,
        /// Its request.
        learn: Learn,
    },
    /// A client's read.
    Read(Box<ColdRead>),
}

impl Shard {
    /// Answers a peer's request for chosen values, from memory if they are there.
    pub(super) fn serve(&mut self, _now: Tick, to: NodeId, learn: Learn, out: &mut Vec<Output>) {
        let found = self.cache.run(learn.from, learn.upto, LEARN_BYTES_MAX);
        if !found.is_empty() || learn.from > learn.upto {
            return self.send_learned(to, &learn, found, None, out);
        }
        let busy = |cold: &JournalRead| matches!(cold, JournalRead::Serve { to: other, .. } if *other == to);
        if self.cold.values().any(busy) {
            return; // It asks again when nothing comes; one read per peer is enough.
        }
        if let Some(ballot) = self.replica.holes().get(&learn.from).copied() {
            return self.send_learned(to, &learn, Vec::new(), Some(ballot), out);
        }
        let token = self.token();
        let upto = self.cache.gap(learn.from, learn.upto);
        let job = self.journal.read(token, learn.from, upto, LEARN_BYTES_MAX);
        self.cold.insert(token, JournalRead::Serve { to, learn });
        out.push(Output::Job(job));
    }

    fn send_learned(
        &mut self,
        node: NodeId,
        learn: &Learn,
        values: Vec<(Slot, Ballot, crate::types::Value)>,
        damaged: Option<Ballot>,
        out: &mut Vec<Output>,
    ) {
        let chosen_upto = self.replica.chosen_upto();
        let learned = Learned { from: learn.from, chosen_upto, values, damaged };
        out.push(Output::Peer { node, message: Message::Learned(learned) });
    }

    /// A read of the journal came back.
    pub(super) fn cold_done(&mut self, now: Tick, done: ReadJobDone, out: &mut Vec<Output>) {
        match self.cold.remove(&done.token) {
            Some(JournalRead::Replay) => self.replayed(now, done.values, out),
            Some(JournalRead::Serve { to, learn }) => {
                self.served(now, to, &learn, done.values, out)
            }
            Some(JournalRead::Read(task)) => self.cold_read_done(now, *task, done.values, out),
            None => {}
        }
    }

    fn served(
        &mut self,
        now: Tick,
        to: NodeId,
        learn: &Learn,
        results: Vec<(Slot, ReadResult)>,
        out: &mut Vec<Output>,
    ) {
        let mut values = Vec::new();
        let mut damaged = None;
        for (slot, result) in results {
            match result {
                Ok((ballot, value)) => values.push((slot, ballot, value)),
                Err(damage) => {
                    self.lost(now, slot, &damage.to_string());
                    if values.is_empty() {
                        damaged = self.replica.holes().get(&slot).copied();
                    }
                    break;
                }
            }
        }
        self.send_learned(to, learn, values, damaged, out);
    }

    /// A chosen value cannot be read here any more: say so, and fetch it from a peer.
    pub(super) fn lost(&mut self, now: Tick, slot: Slot, why: &str) {
        log::error!("shard {}: {why}; fetching it from a peer", self.options.shard);
        let ballot = self.journal.locate(slot).map_or(Ballot::ZERO, |location| location.ballot);
        self.report_lost(now, slot, ballot);
    }
}
