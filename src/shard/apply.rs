//! Applying what is chosen, in order, as soon as its value is at hand (R18).

use super::checkpoints::Checkpoints;
use super::core::Core;
use super::cuts::SinceCut;
use super::fatal::Fatal;
use super::journal_reads::JournalRead;
use super::requests::Requests;
use super::turn::Turn;
use crate::journal::{ReadDamage, ReadResult};
use crate::limits::{CACHE_BYTES_MAX, LEARN_SLOTS_MAX};
use crate::machine::{LogOutcome, LostOutcome, MachineOutcome};
use crate::paxos;
use crate::types::{Ballot, Slot, Value};
use crate::wire::peer::Digest;

/// Bytes that one read of the journal brings for applying, at a start or behind a repair.
const REPLAY_BYTES: usize = CACHE_BYTES_MAX / 8;

/// The parts of a shard that follow what is applied.
#[derive(Debug)]
pub struct ApplyHooks<'a> {
    /// Those who wait for a command.
    pub(super) requests: &'a mut Requests,
    /// What was applied since the last cut.
    pub(super) since_cut: &'a mut SinceCut,
    /// Checkpoints begin at cuts.
    pub(super) checkpoints: &'a mut Checkpoints,
}

/// Applies what is chosen.
#[derive(Debug, Default)]
pub struct Applier {
    /// A read of the journal for applying is under way.
    replaying: bool,
}

impl Applier {
    /// Applies every chosen slot whose value is here. What is only in the journal, because this
    /// node was just started or was far behind, is read from there, chunk by chunk.
    pub(super) fn apply_ready(&mut self, turn: &mut Turn<'_>, hooks: &mut ApplyHooks<'_>) {
        self.apply_cached(turn, hooks);
        let slot = turn.core.machine.applied_upto().next();
        if slot <= turn.core.replica.chosen_upto() && !self.replaying && !turn.core.failed {
            self.replay(turn, slot);
        }
    }

    /// Applies the chosen slots whose values are in memory.
    pub(super) fn apply_cached(&self, turn: &mut Turn<'_>, hooks: &mut ApplyHooks<'_>) {
        if self.replaying {
            return;
        }
        loop {
            let slot = turn.core.machine.applied_upto().next();
            if slot > turn.core.replica.chosen_upto() {
                return;
            }
            let Some((ballot, value)) = turn.core.cache.get(slot).cloned() else { return };
            if !apply(turn, hooks, slot, ballot, &value) {
                return;
            }
        }
    }

    fn replay(&mut self, turn: &mut Turn<'_>, from: Slot) {
        let core = &mut *turn.core;
        if core.replica.holes().contains_key(&from) {
            return; // Damaged here: it is being fetched from a peer.
        }
        let last = from.plus(LEARN_SLOTS_MAX * 8).min(core.replica.chosen_upto());
        let hole = core.replica.holes().range(from..).next().map(|hole| hole.0.prev());
        let upto = core.cache.gap(from, hole.map_or(last, |before| before.min(last)));
        let token = core.journal_reads.token();
        self.replaying = true;
        core.journal_reads.begin(token, JournalRead::Replay);
        let job = core.journal.read(token, from, upto, REPLAY_BYTES);
        turn.run(job);
    }

    /// Values came back for applying.
    pub(super) fn replayed(
        &mut self,
        turn: &mut Turn<'_>,
        hooks: &mut ApplyHooks<'_>,
        values: Vec<(Slot, ReadResult)>,
    ) {
        self.replaying = false;
        for (slot, result) in values {
            match result {
                Ok((ballot, value)) if slot == turn.core.machine.applied_upto().next() => {
                    if !apply(turn, hooks, slot, ballot, &value) {
                        return;
                    }
                }
                Ok(_) => {}
                // What is not applied yet is not released: if it is gone, it is lost.
                Err(gone @ ReadDamage::Released { .. }) => {
                    return turn.lost(slot, gone.ballot(), &gone.to_string());
                }
                Err(damage) => return turn.not_read(slot, &damage),
            }
        }
    }

    /// A read of the journal for applying is under way.
    pub(super) fn is_replaying(&self) -> bool {
        self.replaying
    }
}

/// Applies one slot and answers whoever waits for it; false when the node must end.
fn apply(
    turn: &mut Turn<'_>,
    hooks: &mut ApplyHooks<'_>,
    slot: Slot,
    ballot: Ballot,
    value: &Value,
) -> bool {
    let live_before = turn.core.machine.logs().live_bytes();
    let applied = match turn.core.machine.apply(slot, value) {
        Ok(applied) => applied,
        Err(error) => {
            turn.fail(Fatal::NotApplied { shard: turn.core.options.shard, error });
            return false;
        }
    };
    turn.core.index.record(&applied.extents);
    turn.core.tally.applied_bytes += value.len() as u64;
    let (mut is_cut, mut trimmed_bytes) = (false, 0);
    for outcome in &applied.outcomes {
        match outcome {
            MachineOutcome::Log(LogOutcome::Deleted(log)) => turn.core.index.remove(*log),
            MachineOutcome::Log(LogOutcome::Trimmed { log, first, entries, bytes, .. }) => {
                turn.core.index.trim(*log, *first);
                turn.core.tally.trimmed_entries += entries;
                turn.core.tally.trimmed_bytes += bytes;
                trimmed_bytes += bytes;
            }
            MachineOutcome::Log(_) => {}
            MachineOutcome::Cut => is_cut = true,
            MachineOutcome::Level { raised: true } => log_level(turn.core),
            MachineOutcome::Level { raised: false } => {}
            MachineOutcome::Lost(outcome) => lose(turn.core, outcome),
        }
    }
    let digest = Digest { slot, state: turn.core.machine.digest() };
    turn.feed(paxos::Input::Applied(digest));
    let ApplyHooks { requests, since_cut, checkpoints } = hooks;
    let freed =
        live_before.saturating_sub(turn.core.machine.logs().live_bytes()).max(trimmed_bytes);
    let size = (value.len(), applied.extents.len(), freed);
    since_cut.applied(turn.now, size, is_cut);
    if is_cut {
        checkpoints.cut(turn.now, turn.core);
    }
    requests.applied(turn, (slot, ballot, value), &applied.outcomes);
    true
}

/// Nothing waits for entries that are lost, and whoever runs the cluster should know of them (C32b).
fn lose(core: &mut Core, outcome: &LostOutcome) {
    let LostOutcome::Declared { log, range } = outcome else { return };
    core.absent.look_again();
    let name = core.machine.logs().name(*log).map_or("", |name| name.as_str());
    log::warn!(
        "shard {}: {range} of log {name:?} (id {log}) are declared lost for good, by an operator",
        core.options.shard
    );
}

/// What is written from here on may be of the new level: whoever runs the cluster should know.
fn log_level(core: &Core) {
    let (shard, levels) = (core.options.shard, core.machine.levels());
    log::info!(
        "shard {shard}: the format level is {} from slot {} on: every member knows it",
        levels.level(),
        levels.since()
    );
}
