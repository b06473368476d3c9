//! Another state takes the place of this node's: that of a peer's checkpoint (C29), or of a checkpoint of its own (C32).
//! All parts that went by the one before are given the new one in the same step.

use super::core::Core;
use super::cuts::SinceCut;
use super::install::ReceiverStep;
use super::router::Router;
use super::turn::Turn;
use crate::checkpoint::Kept;
use crate::checkpoint::install::Built;
use crate::index::RunSet;
use crate::paxos::Doubt;
use crate::types::Slot;

impl Router {
    /// A peer's checkpoint is taken over, as far as can be now.
    pub(super) fn go_on_installing(&mut self, turn: &mut Turn<'_>) {
        let was_fenced = turn.core.replica.doubt() == Some(Doubt::Fenced);
        let is_distrusted = was_fenced || self.receiver.is_healing();
        if is_distrusted && (!self.is_settled(turn.core) || self.healer.is_busy()) {
            return;
        }
        let step = self.receiver.go_on(turn, &mut self.checkpoints);
        let ReceiverStep::Installed(slot, built, same) = step else { return };
        turn.core.before_install(turn.now);
        self.drain_effects(turn);
        let Built { machine, run, state_bytes, journal, live_from } = *built;
        let (digest, of_it) = (machine.digest(), vec![run.id()]);
        let kept = Kept { slot, digest, runs: of_it, state_bytes, journal };
        let runs = RunSet::new(vec![run]).expect("one run follows no other");
        let held_upto = turn.core.machine.applied_upto();
        let before = turn.core.index.runs().clone();
        let dropped = self.checkpoints.installed(turn.now, &before, (kept, &runs), is_distrusted);
        turn.core.install(turn.now, slot, machine, runs);
        self.compaction.leave();
        self.holdings.leave();
        for name in turn.core.spans.installed(slot) {
            self.checkpoints.discard(name);
        }
        turn.core.absent.add(held_upto.next(), slot);
        if is_distrusted {
            turn.core.absent.distrust(live_from, slot);
            self.requests.reads.outdate();
        }
        if was_fenced {
            self.healer.installed(turn, slot, dropped);
        }
        if !is_distrusted {
            turn.core.shares_checkpoint(turn.now, slot, &same);
        }
        turn.core.checkpointed(slot);
        self.since_cut = SinceCut::default();
        self.requests.installed(turn, slot);
        log::info!("shard {}: installed the checkpoint at slot {slot}", turn.core.options.shard);
        self.drain_effects(turn);
    }

    /// A node that fenced itself heals, as far as it can be done now.
    pub(super) fn go_on_healing(&mut self, turn: &mut Turn<'_>) {
        let is_settled = self.is_settled(turn.core);
        let Router { healer, checkpoints, receiver, .. } = self;
        let Some((slot, restored)) = healer.go_on(turn, checkpoints, (receiver, is_settled)) else {
            return;
        };
        let (machine, runs) = *restored;
        let (before, upto) = (turn.core.index.runs().clone(), runs.upto().unwrap_or(Slot(0)));
        turn.core.rebuild(turn.now, slot, machine, runs);
        self.checkpoints.rebuilt(slot, &before, turn.core.index.runs());
        for name in turn.core.spans.installed(upto) {
            self.checkpoints.discard(name);
        }
        self.requests.reads.outdate();
        self.holdings.leave();
        self.since_cut = SinceCut::default();
        self.requests.installed(turn, slot);
        self.drain_effects(turn);
    }

    /// No job is under way that goes by an index which is about to be replaced.
    fn is_settled(&self, core: &Core) -> bool {
        self.release.is_idle() && core.absent.is_idle()
    }
}
