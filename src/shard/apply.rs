//! Applying what is chosen, in order, as soon as its value is at hand (RULES R18).

use super::Output;
use super::core::Shard;
use super::serve::JournalRead;
use crate::journal::ReadResult;
use crate::limits::{CACHE_BYTES_MAX, LEARN_SLOTS_MAX};
use crate::machine::{LogOutcome, MachineOutcome};
use crate::paxos;
use crate::types::{Ballot, FailureKind, Slot, Tick, Value};
use crate::wire::peer::Digest;

/// Bytes that one read of the journal brings for applying, at a start or behind a repair.
const REPLAY_BYTES: usize = CACHE_BYTES_MAX / 8;

impl Shard {
    /// Applies every chosen slot whose value is here. What is only in the journal, because this
    /// node was just started or was far behind, is read from there, chunk by chunk.
    pub(super) fn apply_ready(&mut self, now: Tick, out: &mut Vec<Output>) {
        self.apply_cached(now, out);
        let slot = self.machine.applied_upto().next();
        if slot <= self.replica.chosen_upto() && !self.replaying && !self.has_failed() {
            self.replay(slot, out);
        }
    }

    /// Applies the chosen slots whose values are in memory.
    pub(super) fn apply_cached(&mut self, now: Tick, out: &mut Vec<Output>) {
        while !self.replaying {
            let slot = self.machine.applied_upto().next();
            if slot > self.replica.chosen_upto() {
                return;
            }
            let Some((ballot, value)) = self.cache.get(slot).cloned() else { return };
            if !self.apply(now, slot, ballot, &value, out) {
                return;
            }
        }
    }

    fn replay(&mut self, from: Slot, out: &mut Vec<Output>) {
        if self.replica.holes().contains_key(&from) {
            return; // Damaged here: it is being fetched from a peer.
        }
        let last = from.plus(LEARN_SLOTS_MAX * 8).min(self.replica.chosen_upto());
        let hole = self.replica.holes().range(from..).next().map(|hole| hole.0.prev());
        let upto = self.cache.gap(from, hole.map_or(last, |before| before.min(last)));
        let token = self.token();
        self.replaying = true;
        self.cold.insert(token, JournalRead::Replay);
        out.push(Output::Job(self.journal.read(token, from, upto, REPLAY_BYTES)));
    }

    /// Values came back for applying.
    pub(super) fn replayed(
        &mut self,
        now: Tick,
        values: Vec<(Slot, ReadResult)>,
        out: &mut Vec<Output>,
    ) {
        self.replaying = false;
        for (slot, result) in values {
            match result {
                Ok((ballot, value)) if slot == self.machine.applied_upto().next() => {
                    if !self.apply(now, slot, ballot, &value, out) {
                        return;
                    }
                }
                Ok(_) => {}
                Err(damage) => return self.lost(now, slot, &damage.to_string()),
            }
        }
    }

    /// Applies one slot and answers whoever waits for it; false when the node must end.
    fn apply(
        &mut self,
        now: Tick,
        slot: Slot,
        ballot: Ballot,
        value: &Value,
        out: &mut Vec<Output>,
    ) -> bool {
        let outcomes = match self.machine.apply(slot, value) {
            Ok(outcomes) => outcomes,
            Err(error) => {
                self.fail(
                    FailureKind::Invariant,
                    format!("shard {}: {error}", self.options.shard),
                    out,
                );
                return false;
            }
        };
        let digest = Digest { slot, state: self.machine.digest() };
        self.feed(now, paxos::Input::Applied(digest));
        self.answer_writes(slot, ballot, &outcomes, out);
        self.answer_fates(slot, value, &outcomes, out);
        for MachineOutcome::Log(outcome) in &outcomes {
            match outcome {
                LogOutcome::Appended { log, .. } | LogOutcome::Deleted(log) => {
                    self.wake_reads(now, *log, out);
                }
                LogOutcome::Created(_)
                | LogOutcome::Exists(_)
                | LogOutcome::ExpectMismatch { .. }
                | LogOutcome::UnknownLog
                | LogOutcome::WrongShard
                | LogOutcome::BadName => {}
            }
        }
        true
    }
}
