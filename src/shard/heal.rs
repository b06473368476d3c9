//! A node that fenced itself comes by the state of the others again (C32).
//!
//! It goes back to the newest checkpoint of its own that a majority is known to have agreed with, and
//! applies what is chosen behind it once more: what was wrong may have been memory. Where the state differs
//! again, or there is no such checkpoint, it installs one of a peer, and believes nothing of its own index.
//! Each is tried once, and that is written down first: where nothing helps, the node stays fenced.
//! A damaged index is replaced by an install as well, without a note (C31).

use super::checkpoints::Checkpoints;
use super::core::Core;
use super::disk_job::DiskJob;
use super::doubt::Healing;
use super::install::Receiver;
use super::turn::Turn;
use crate::checkpoint::install::{HealDone, HealStep, InstallJob};
use crate::checkpoint::{HealNote, HealStage};
use crate::index::RunSet;
use crate::limits::{HEAL_INSTALLS_MAX, INSTALL_RETRY_US};
use crate::machine::Machine;
use crate::paxos::Doubt;
use crate::types::{FileOwner, Slot, Tick};

/// Heals this node's state.
#[derive(Debug)]
pub struct Healer {
    owner: FileOwner,
    /// What the disk says was tried.
    tried: Option<HealNote>,
    phase: Phase,
    /// A step of file work is under way.
    is_busy: bool,
    /// The disk had no space: no sooner is anything begun.
    rest_until: Tick,
    /// How often the replica had fenced itself when the present attempt began.
    fences: u64,
    /// A checkpoint above this slot with which a majority agrees shows that nothing has to be tried any more.
    forget_behind: Slot,
    healed: u64,
}

/// How far it is.
#[derive(Debug)]
enum Phase {
    /// The state is not known to be wrong.
    Sound,
    /// This is to be written down, once these files are gone, and then done.
    Note(HealNote, Vec<String>),
    /// A checkpoint of this node's own is to be read back, or is being read.
    Restore(Slot),
    /// It was read.
    Restored(Slot, Box<(Machine, RunSet)>),
    /// The state was rebuilt, and is to be compared with that of others.
    Judge,
    /// A peer's checkpoint is to take effect.
    Install,
    /// Nothing has helped.
    Failed,
}

impl Healer {
    /// What a start found.
    pub(super) fn start(owner: FileOwner, tried: Option<HealNote>, core: &Core) -> Healer {
        let (phase, forget_behind) = (Phase::Sound, core.replica.chosen_upto());
        let (is_busy, rest_until) = (false, Tick::default());
        Healer { owner, tried, phase, is_busy, rest_until, fences: 0, forget_behind, healed: 0 }
    }

    /// A start from the checkpoint at this slot would be one from a state that is not that of the others, or may be:
    /// it was taken behind the one that was gone back to, perhaps before the state was rebuilt.
    pub(super) fn is_fenced(tried: Option<HealNote>, from: Option<Slot>) -> bool {
        tried.is_some_and(|note| match note.stage {
            HealStage::Install => true,
            HealStage::Replay => from.is_some_and(|from| from > note.slot),
            HealStage::Installed => false,
        })
    }

    /// How often the node came by the state of the others again since the start.
    pub(super) fn healed(&self) -> u64 {
        self.healed
    }

    /// Does what can be done next. Returns the checkpoint that was read back when it is to replace the state: only
    /// once no job is under way that goes by the old index.
    pub(super) fn go_on(
        &mut self,
        turn: &mut Turn<'_>,
        checkpoints: &mut Checkpoints,
        (receiver, is_settled): (&mut Receiver, bool),
    ) -> Option<(Slot, Box<(Machine, RunSet)>)> {
        if self.is_busy || turn.core.failed || turn.now < self.rest_until {
            return None;
        }
        if let Phase::Note(note, remove) = &self.phase {
            // One of the same name may have been taken since, of the state that is right.
            let remove = remove.iter().filter(|name| !checkpoints.has(name)).cloned();
            let (note, remove) = (*note, remove.collect());
            self.write(turn, note, remove);
            return None;
        }
        if turn.core.replica.doubt() != Some(Doubt::Fenced) {
            self.mend_index(turn, receiver);
            self.note_sound(turn, checkpoints);
            return None;
        }
        match &self.phase {
            Phase::Sound => self.try_next(turn, checkpoints),
            Phase::Judge if turn.core.replica.fences() > self.fences => {
                self.try_next(turn, checkpoints);
            }
            Phase::Install => receiver.heal(),
            // A peer's checkpoint that is about to take effect goes first.
            Phase::Restored(..)
                if is_settled && !receiver.is_making() && checkpoints.hold(turn.core) =>
            {
                if let Phase::Restored(slot, restored) =
                    std::mem::replace(&mut self.phase, Phase::Judge)
                {
                    return Some((slot, restored));
                }
            }
            Phase::Restored(..)
            | Phase::Judge
            | Phase::Note(..)
            | Phase::Restore(_)
            | Phase::Failed => {}
        }
        None
    }

    /// A damaged run makes the index incomplete, though the state is right: a peer's checkpoint replaces both. The
    /// node votes on meanwhile (C31).
    fn mend_index(&mut self, turn: &Turn<'_>, receiver: &mut Receiver) {
        if !turn.core.is_index_damaged {
            return receiver.end_heal();
        }
        if !receiver.is_healing() {
            let shard = turn.core.options.shard;
            log::warn!(
                "shard {shard}: the index is damaged: a peer's checkpoint is to take its place"
            );
        }
        receiver.heal();
    }

    /// The replica is not fenced: ends what was tried, and has the note removed once a majority shares a newer
    /// checkpoint.
    fn note_sound(&mut self, turn: &mut Turn<'_>, checkpoints: &Checkpoints) {
        let core = &mut *turn.core;
        if !matches!(self.phase, Phase::Sound) {
            self.phase = Phase::Sound;
            core.healing = Healing::No;
            self.healed += 1;
            self.forget_behind = core.replica.chosen_upto();
            let shard = core.options.shard;
            log::warn!(
                "shard {shard}: the state is that of the others again: this node votes and serves"
            );
        }
        let agreed = self.forget_behind.next()..=core.replica.agreed_upto();
        if self.tried.is_some() && checkpoints.kept().iter().any(|kept| agreed.contains(&kept.slot))
        {
            self.run(turn, HealStep::Forget);
        }
    }

    /// Begins the next attempt.
    fn try_next(&mut self, turn: &mut Turn<'_>, checkpoints: &Checkpoints) {
        let core = &mut *turn.core;
        let shard = core.options.shard;
        self.fences = core.replica.fences();
        let installs = self.tried.map_or(0, |note| note.installs);
        let note = match (self.tried.map(|note| note.stage), agreed_checkpoint(core, checkpoints)) {
            (None, Some(slot)) => {
                log::warn!(
                    "shard {shard}: goes back to the checkpoint at slot {slot}, which the others agreed with"
                );
                core.healing = Healing::Replays(slot);
                HealNote { stage: HealStage::Replay, installs, slot }
            }
            (Some(HealStage::Installed), _) => return self.give_up(core),
            (Some(HealStage::Install), _) if installs >= HEAL_INSTALLS_MAX => {
                return self.give_up(core);
            }
            (None, None) | (Some(HealStage::Replay | HealStage::Install), _) => {
                log::warn!(
                    "shard {shard}: has a peer's checkpoint take the place of its state and index"
                );
                core.healing = Healing::Installs;
                HealNote { stage: HealStage::Install, installs: installs + 1, slot: Slot(0) }
            }
        };
        self.write(turn, note, Vec::new());
    }

    fn give_up(&mut self, core: &mut Core) {
        let shard = core.options.shard;
        core.healing = Healing::Failed;
        self.phase = Phase::Failed;
        log::error!(
            "shard {shard}: the state differs from that of the others after all that could be tried: this \
             node stays fenced; see docs/OPERATIONS.md, \"Replicas differ\""
        );
    }

    fn write(&mut self, turn: &mut Turn<'_>, note: HealNote, remove: Vec<String>) {
        self.phase = Phase::Note(note, remove.clone());
        let owner = self.owner;
        self.run(turn, HealStep::Note { owner, note, remove });
    }

    fn run(&mut self, turn: &mut Turn<'_>, step: HealStep) {
        self.is_busy = true;
        turn.run(DiskJob::Install(InstallJob::Heal(step)));
    }

    /// A step of file work is done.
    pub(super) fn done(&mut self, turn: &mut Turn<'_>, checkpoints: &Checkpoints, done: HealDone) {
        self.is_busy = false;
        match (std::mem::replace(&mut self.phase, Phase::Judge), done) {
            (Phase::Note(note, _), HealDone::Noted) => {
                self.tried = Some(note);
                match note.stage {
                    HealStage::Replay => self.restore(turn, checkpoints, note.slot),
                    HealStage::Install => self.phase = Phase::Install,
                    HealStage::Installed => {}
                }
            }
            (Phase::Restore(slot), HealDone::Restored(restored)) => {
                self.phase = Phase::Restored(slot, restored);
            }
            (Phase::Restore(slot), HealDone::NotRestored(why)) => {
                let shard = turn.core.options.shard;
                log::warn!("shard {shard}: the checkpoint at slot {slot} is no good: {why}");
                self.try_next(turn, checkpoints);
            }
            (phase, HealDone::Forgotten) => (self.phase, self.tried) = (phase, None),
            (phase, HealDone::NoSpace) => {
                self.phase = phase;
                self.rest_until = turn.now.after(INSTALL_RETRY_US);
            }
            (phase, HealDone::Noted | HealDone::Restored(_) | HealDone::NotRestored(_)) => {
                self.phase = phase;
            }
        }
    }

    fn restore(&mut self, turn: &mut Turn<'_>, checkpoints: &Checkpoints, slot: Slot) {
        let (shard, shards) = (turn.core.options.shard, turn.core.options.shards);
        if slot == Slot(0) {
            let restored = Box::new((Machine::new(shard, shards), RunSet::default()));
            self.phase = Phase::Restored(slot, restored);
            return;
        }
        let Some(kept) = checkpoints.kept().iter().find(|kept| kept.slot == slot) else {
            return self.try_next(turn, checkpoints);
        };
        let (owner, digest, known) = (self.owner, kept.digest, turn.core.options.paxos.known_level);
        self.phase = Phase::Restore(slot);
        self.run(turn, HealStep::Restore { owner, shards, known, slot, digest });
    }

    /// A peer's checkpoint has taken the place of the state of a node that was fenced. The checkpoints of
    /// these names are of the state before.
    pub(super) fn installed(&mut self, turn: &mut Turn<'_>, slot: Slot, before: Vec<String>) {
        let installs = self.tried.map_or(0, |note| note.installs);
        self.write(turn, HealNote { stage: HealStage::Installed, installs, slot }, before);
    }

    /// When it is to be looked at again.
    pub(super) fn next_deadline(&self, now: Tick) -> Option<Tick> {
        Some(self.rest_until).filter(|until| *until > now)
    }

    /// A step of file work is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.is_busy
    }
}

/// The slot of the newest checkpoint of this node's own that a majority agreed with, and behind which all can
/// be applied again. Before there are any, the state before slot 1 is one.
fn agreed_checkpoint(core: &Core, checkpoints: &Checkpoints) -> Option<Slot> {
    // What a peer's checkpoint stood for cannot be applied again.
    let installed_upto = core.installed.last().map_or(Slot(0), |(_, last)| last);
    let agreed = installed_upto..=core.replica.agreed_upto();
    let found = checkpoints.kept().iter().rev().find(|kept| agreed.contains(&kept.slot));
    let is_whole = core.journal.released_upto() == Slot(0) && installed_upto == Slot(0);
    let is_first = is_whole && checkpoints.kept().is_empty();
    found.map(|kept| kept.slot).or_else(|| is_first.then_some(Slot(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// C32: where the process ends after the state was rebuilt, and before the checkpoints of the wrong one are
    /// gone, a start from one of them is that of a fenced node; one from what it went back to is not.
    #[test]
    fn c32_a_checkpoint_behind_the_one_gone_back_to_is_not_believed() {
        let note = |stage| Some(HealNote { stage, installs: 0, slot: Slot(39) });
        let is_fenced = |tried, from: u64| Healer::is_fenced(tried, Some(Slot(from)));
        assert!(is_fenced(note(HealStage::Replay), 42));
        assert!(!is_fenced(note(HealStage::Replay), 39));
        assert!(!Healer::is_fenced(note(HealStage::Replay), None));
        assert!(is_fenced(note(HealStage::Install), 39));
        assert!(!is_fenced(note(HealStage::Installed), 42));
        assert!(!is_fenced(None, 42));
    }
}
