//! Which files of checkpoints stay: those of the newest ones, of such that a peer installs, and of what is written. All
//! others go, once nobody reads them any more (C25).

use super::{Checkpoints, UnderWay};
use crate::checkpoint::{CheckpointJob, Kept, checkpoint_file_name};
use crate::index::{RunSet, run_file_name};
use crate::limits::{CHECKPOINTS_KEPT, INSTALL_KEEP_SHORT_US, INSTALL_KEEP_US};
use crate::types::{NodeId, RunId, Slot, Tick};
use std::sync::Arc;

impl Checkpoints {
    /// A peer installs the checkpoint at this slot: it is kept until then, or until the peer has caught up.
    pub(in crate::shard) fn keep_for(&mut self, peer: NodeId, slot: Slot, until: Tick) {
        self.kept_for.insert(peer, (slot, until));
    }

    /// The peer has caught up: no checkpoint is kept for it any more.
    pub(in crate::shard) fn stop_keeping_for(&mut self, peer: NodeId) {
        self.kept_for.remove(&peer);
    }

    /// A file of this name is written again: it is not removed any more.
    pub(super) fn keep(&mut self, name: &str) {
        self.unused.retain(|unused| unused != name);
        self.doubted.retain(|doubted| doubted != name);
    }

    /// A file of this name is about to be written by somebody else. False while one of that name is
    /// being removed: then it is too early.
    pub(in crate::shard) fn hand_over(&mut self, name: &str) -> bool {
        if let Some(UnderWay::Removing(names)) = &self.under_way
            && names.iter().any(|other| other == name)
        {
            return false;
        }
        self.keep(name);
        true
    }

    /// Nothing needs the file of this name any more.
    pub(in crate::shard) fn discard(&mut self, name: String) {
        self.unused.push(name);
    }

    /// Checkpoints go that are neither among the newest ones nor installed by a peer, and with them the runs
    /// that only they name.
    pub(super) fn drop_surplus(&mut self, now: Tick, current: &RunSet) {
        self.kept_for.retain(|_, (_, until)| now < *until);
        let surplus = self.kept.len().saturating_sub(CHECKPOINTS_KEPT);
        let mut gone: Vec<Kept> = self.kept.drain(..surplus).collect();
        let is_wanted = |kept: &Kept| self.kept_for.values().any(|(slot, _)| *slot == kept.slot);
        self.kept.splice(0..0, gone.extract_if(.., |kept| is_wanted(kept)));
        for gone in gone {
            self.unused.push(checkpoint_file_name(gone.slot));
            let current = current.runs();
            let is_used = |run: &RunId| {
                self.kept.iter().any(|kept| kept.runs.contains(run))
                    || current.iter().any(|other| other.id() == *run)
            };
            let unused = gone.runs.iter().filter(|run| !is_used(run));
            self.unused.extend(unused.map(|run| run_file_name(*run)));
        }
    }

    /// What peers install stays no longer than it may; less long where the disk is short of space, for it keeps
    /// the journal behind it (C29).
    pub(in crate::shard) fn let_go(&mut self, now: Tick, is_short: bool, current: &RunSet) {
        if self.kept.len() <= CHECKPOINTS_KEPT {
            return;
        }
        let early_us = if is_short { INSTALL_KEEP_US - INSTALL_KEEP_SHORT_US } else { 0 };
        self.kept_for.retain(|_, (_, until)| now.after(early_us) < *until);
        self.drop_surplus(now, current);
    }

    pub(super) fn next_removal(&mut self) -> Option<(UnderWay, CheckpointJob)> {
        let merged = &self.merged;
        let is_read = |name: &String| {
            merged.iter().any(|run| run.name() == name && Arc::strong_count(run) > 1)
        };
        let (later, names): (Vec<String>, Vec<String>) =
            std::mem::take(&mut self.unused).into_iter().partition(is_read);
        self.unused = later;
        self.merged.retain(|run| !names.contains(&run.name().to_string()));
        let job = CheckpointJob::Remove { names: names.clone() };
        (!names.is_empty()).then_some((UnderWay::Removing(names), job))
    }
}
