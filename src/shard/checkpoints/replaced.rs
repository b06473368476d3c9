//! What becomes of a node's checkpoints when the state of another one takes the place of its own (C29, C32).

use super::Checkpoints;
use crate::checkpoint::install::part_file_names;
use crate::checkpoint::{Kept, checkpoint_file_name};
use crate::index::{Run, RunSet, run_file_name};
use crate::shard::core::Core;
use crate::types::{RunId, Slot, Tick};

impl Checkpoints {
    /// A peer's checkpoint is to take the place of the state: nothing new is begun. True once nothing is under
    /// way any more.
    pub(in crate::shard) fn hold(&mut self, core: &mut Core) -> bool {
        if !self.is_held {
            self.is_held = true;
            self.abandon(core, "that of a peer takes its place");
        }
        self.under_way.is_none()
    }

    /// No checkpoint is about to take the place of the state any more.
    pub(in crate::shard) fn release_hold(&mut self) {
        self.is_held = false;
    }

    /// What a peer's checkpoint was to bring is here already.
    pub(in crate::shard) fn not_needed(&mut self, slot: Slot, run: RunId) {
        self.is_held = false;
        self.drop_run(run);
        if self.kept.iter().all(|kept| kept.slot != slot) {
            self.unused.push(checkpoint_file_name(slot));
        }
        self.unused.extend(part_file_names(slot));
    }

    /// A checkpoint that was installed counts, and its run takes the place of all others.
    /// Where the state before is not believed, neither are those that were taken of it: the names of their
    /// files are returned.
    pub(in crate::shard) fn installed(
        &mut self,
        now: Tick,
        before: &RunSet,
        (kept, runs): (Kept, &RunSet),
        is_distrusted: bool,
    ) -> Vec<String> {
        assert!(self.is_held && self.under_way.is_none(), "a step of a checkpoint is under way");
        let gone = if is_distrusted { self.drop_above(Slot(0)) } else { Vec::new() };
        self.cut_digests.note(kept.slot, kept.digest);
        let gone: Vec<String> =
            gone.into_iter().filter(|name| *name != checkpoint_file_name(kept.slot)).collect();
        self.keep(&checkpoint_file_name(kept.slot));
        self.unused.extend(gone.iter().cloned());
        self.is_held = false;
        self.may_merge = true;
        let is_named = |run: &RunId| self.kept.iter().any(|kept| kept.runs.contains(run));
        let unnamed = before.runs().iter().filter(|run| !is_named(&run.id()));
        self.unused.extend(unnamed.map(|run| run.name().to_string()));
        self.merged.extend(before.runs().iter().cloned());
        self.unused.append(&mut self.doubted);
        self.unused.extend(part_file_names(kept.slot));
        self.kept.push(kept);
        self.drop_surplus(now, runs);
        gone
    }

    /// The state is that of the checkpoint at this slot once more, and its runs are those of the index: what
    /// was taken since goes.
    pub(in crate::shard) fn rebuilt(&mut self, slot: Slot, before: &RunSet, runs: &RunSet) {
        assert!(self.is_held && self.under_way.is_none(), "a step of a checkpoint is under way");
        (self.is_held, self.may_merge) = (false, true);
        let gone = self.drop_above(slot);
        self.unused.extend(gone);
        let is_named = |run: &RunId| self.kept.iter().any(|kept| kept.runs.contains(run));
        let is_used =
            |run: &Run| is_named(&run.id()) || runs.runs().iter().any(|r| r.id() == run.id());
        let unused = before.runs().iter().filter(|run| !is_used(run));
        self.unused.extend(unused.map(|run| run.name().to_string()));
        self.merged.extend(before.runs().iter().cloned());
    }

    /// Those above this slot count no more, and the runs that only they name go. Returns the names of their
    /// files.
    fn drop_above(&mut self, slot: Slot) -> Vec<String> {
        self.cut_digests.forget_above(slot);
        let gone: Vec<Kept> = self.kept.extract_if(.., |kept| kept.slot > slot).collect();
        let is_named = |run: &RunId| self.kept.iter().any(|kept| kept.runs.contains(run));
        let runs = gone.iter().flat_map(|gone| &gone.runs).filter(|run| !is_named(run));
        self.unused.extend(runs.map(|run| run_file_name(*run)));
        gone.iter().map(|gone| checkpoint_file_name(gone.slot)).collect()
    }
}
