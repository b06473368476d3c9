//! The index of one shard: runs on disk, and the extents behind them in memory.

use super::recent::Recent;
use super::run::opened::Run;
use super::run::set::{RunSet, RunsApart};
use super::search::Search;
use crate::types::{Extent, Index, LogId, Slot};
use std::ops::Range;
use std::sync::Arc;

/// Where the entries of all logs of a shard lie.
#[derive(Clone, Debug, Default)]
pub struct EntryIndex {
    runs: RunSet,
    /// Extents of the newest run, which readers near the tail ask for.
    newest_run: Arc<Recent>,
    /// Extents that are being written as a run, and the last slot that they are of.
    frozen: Option<(Slot, Arc<Recent>)>,
    /// Extents of the slots behind those.
    recent: Recent,
}

/// What memory says of an extent that is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InMemory {
    /// It is this one, or there is none.
    Here(Option<Extent>),
    /// The runs are to be asked. Where they have none, it is this one.
    OnDisk(Option<Extent>),
}

impl EntryIndex {
    /// The index of a shard that starts from these runs, which have the extents of all slots up to some
    /// one.
    #[must_use]
    pub fn over(runs: RunSet) -> EntryIndex {
        EntryIndex { runs, ..EntryIndex::default() }
    }

    /// Takes in what a slot appended.
    ///
    /// # Panics
    /// When it does not follow what was appended before.
    pub fn record(&mut self, extents: &[(LogId, Extent)]) {
        for (log, extent) in extents {
            self.recent.push(*log, *extent);
        }
    }

    /// The log is gone, and nobody asks for its entries.
    pub fn remove(&mut self, log: LogId) {
        self.recent.remove(log);
    }

    /// Entries before `first` are trimmed, and nobody asks for them.
    pub fn trim(&mut self, log: LogId, first: Index) {
        self.recent.trim(log, first);
    }

    /// How many extents are in memory.
    #[must_use]
    pub fn extents_in_memory(&self) -> usize {
        self.in_memory().map(Recent::count).sum()
    }

    /// A log's extents in memory from the one that holds `index` on, by rising index. Where memory does
    /// not go back as far, the first one lies behind it.
    pub fn extents(&self, log: LogId, index: Index) -> impl Iterator<Item = &Extent> {
        self.in_memory().flat_map(move |part| part.from(log, index))
    }

    /// The extent that holds this index, as far as memory has it.
    #[must_use]
    pub fn extent_at(&self, log: LogId, index: Index) -> Option<&Extent> {
        self.extents(log, index).next().filter(|extent| extent.first <= index)
    }

    /// Looks for an extent of a log in memory, and says whether the runs are to be asked.
    #[must_use]
    pub fn find(&self, log: LogId, by: Search) -> InMemory {
        // Parts rise: what is reached in a newer one lies behind all that an older one has.
        let parts: Vec<&[Extent]> = self.in_memory().map(|part| part.of(log)).collect();
        let (mut reached, mut next) = (None, None);
        for part in parts.iter().rev() {
            let at = part.partition_point(|extent| by.reaches(extent));
            next = part.get(at).copied().or(next);
            reached = at.checked_sub(1).map(|last| part[last]);
            if reached.is_some() {
                break;
            }
        }
        let found = by.between(reached, next);
        if reached.is_some() || self.runs.runs().is_empty() {
            InMemory::Here(found)
        } else {
            InMemory::OnDisk(found)
        }
    }

    /// A log's chain value behind the last of its extents that the runs have; nothing where memory has none
    /// behind them.
    #[must_use]
    pub fn chain_behind_runs(&self, log: LogId) -> Option<u64> {
        let frozen = self.frozen.as_ref().map(|(_, frozen)| &**frozen);
        let parts = frozen.into_iter().chain([&self.recent]);
        parts.flat_map(|part| part.of(log)).next().map(|extent| extent.chain)
    }

    /// The runs, for threads that look things up in them.
    #[must_use]
    pub fn runs(&self) -> &RunSet {
        &self.runs
    }

    /// Takes what is in no run out of the way of what comes, to be written as a run of all slots up to
    /// `upto`; none where there is nothing.
    ///
    /// # Panics
    /// When such a run is being written already.
    pub fn freeze(&mut self, upto: Slot) -> Option<Arc<Recent>> {
        let pending = self.frozen.as_ref().map(|(upto, _)| *upto);
        assert!(pending.is_none(), "slots up to {pending:?} are being written, frozen is {upto}");
        if self.recent.count() == 0 {
            return None;
        }
        let frozen = Arc::new(std::mem::take(&mut self.recent));
        self.frozen = Some((upto, Arc::clone(&frozen)));
        Some(frozen)
    }

    /// How many extents came since the last freeze.
    #[must_use]
    pub fn recent_extents(&self) -> usize {
        self.recent.count()
    }

    /// What is to be written as a run.
    #[must_use]
    pub fn frozen(&self) -> Option<Arc<Recent>> {
        self.frozen.as_ref().map(|(_, frozen)| Arc::clone(frozen))
    }

    /// What was frozen is on disk as a run. Returns what leaves memory for it, to be dropped on another thread: that
    /// takes time that grows with its logs.
    ///
    /// # Errors
    /// When the run does not begin where the runs before end.
    ///
    /// # Panics
    /// When nothing is frozen, or something else than what the run has.
    pub fn run_written(&mut self, run: Arc<Run>) -> Result<Arc<Recent>, RunsApart> {
        let upto = self.frozen.as_ref().map(|(upto, _)| *upto);
        assert!(upto == Some(run.upto()), "run {} is of {upto:?}, not {}", run.id(), run.upto());
        self.runs = self.runs.with(run)?;
        let newest = self.frozen.take().map(|(_, frozen)| frozen).unwrap_or_default();
        Ok(std::mem::replace(&mut self.newest_run, newest))
    }

    /// What was frozen could not be written: it goes into the next run, but for logs that are gone, and for
    /// those that were trimmed to an end that lies behind it.
    pub fn thaw(&mut self, next_index: impl Fn(LogId) -> Option<Index>) {
        let Some((_, frozen)) = self.frozen.take() else { return };
        let newer = std::mem::replace(&mut self.recent, Arc::unwrap_or_clone(frozen));
        self.recent.append(newer);
        self.recent.retain(next_index);
    }

    /// One run has what these had, but for what nobody can read any more.
    ///
    /// # Errors
    /// When it is not of the same slots.
    pub fn runs_merged(&mut self, merged: Range<usize>, run: Arc<Run>) -> Result<(), RunsApart> {
        self.runs = self.runs.replaced(merged, run)?;
        Ok(())
    }

    /// Bytes of memory, about.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let runs: usize = self.runs.runs().iter().map(|run| run.memory_bytes()).sum();
        runs + self.in_memory().map(Recent::memory_bytes).sum::<usize>()
    }

    /// Checks the index against the state: what was applied last, and the next index of each log.
    ///
    /// # Panics
    /// When an invariant is broken.
    pub fn check(&self, applied_upto: Slot, next_index: impl Fn(LogId) -> Option<Index>) {
        for part in self.in_memory() {
            part.check(applied_upto);
        }
        for (log, extent) in self.recent.iter() {
            let next = next_index(log);
            assert!(next.is_some(), "log {log} is gone, and the index has {extent:?} of it");
            assert!(Some(extent.end()) <= next, "log {log}: {extent:?} is past its end {next:?}");
        }
    }

    /// The parts in memory, the oldest first.
    fn in_memory(&self) -> impl Iterator<Item = &Recent> {
        let frozen = self.frozen.as_ref().map(|(_, frozen)| &**frozen);
        std::iter::once(&*self.newest_run).chain(frozen).chain([&self.recent])
    }
}
#[cfg(test)]
mod tests {
    use super::*;

    const LOG: LogId = LogId(7);

    /// Entries of ten bytes, `count` in each slot, stamped with ten times the slot.
    fn index_of(slots: u64, count: u32) -> EntryIndex {
        let mut index = EntryIndex::default();
        for slot in 1..=slots {
            index.record(&[(LOG, extent(slot, count))]);
        }
        index
    }

    fn extent(slot: u64, count: u32) -> Extent {
        let first = (slot - 1) * u64::from(count);
        Extent {
            first: Index(first),
            count,
            offset: 28,
            slot: Slot(slot),
            bytes_before: first * 10,
            stamp_ms: slot * 10,
            chain: slot,
        }
    }

    /// Each index is found in the extent that holds it, and none past the end or of another log.
    #[test]
    fn c31_an_extent_is_found_by_each_index_in_it() {
        let index = index_of(5, 3);
        for slot in 1..=5 {
            for nth in 0..3 {
                let at = Index((slot - 1) * 3 + nth);
                assert_eq!(index.extent_at(LOG, at), Some(&extent(slot, 3)), "{at}");
                assert_eq!(
                    index.find(LOG, Search::Index(at)),
                    InMemory::Here(Some(extent(slot, 3))),
                    "{at}"
                );
            }
        }
        assert_eq!(index.extent_at(LOG, Index(15)), None);
        assert_eq!(index.find(LogId(8), Search::Index(Index(0))), InMemory::Here(None));
        assert_eq!(index.extents(LOG, Index(7)).count(), 3);
    }

    /// C28: what lies before the extent that is found may go: what stays has as many bytes, or is as
    /// young, as asked for, and not an extent more.
    #[test]
    fn c28_extents_are_found_by_bytes_and_by_age() {
        let index = index_of(5, 3);
        let all = 150u64;
        let found = |by| match index.find(LOG, by) {
            InMemory::Here(found) => found.map(|extent| extent.slot.0),
            InMemory::OnDisk(_) => panic!("there is no run"),
        };
        let kept = |bytes| found(Search::BytesBefore(all - bytes));
        let kept = [0, 1, 30, 31, 149, 150].map(kept);
        assert_eq!(kept, [Some(5), Some(5), Some(5), Some(4), Some(1), Some(1)]);
        let since = |stamp| found(Search::Stamp(stamp));
        let since = [0, 10, 11, 50, 51].map(since);
        assert_eq!(since, [Some(1), Some(1), Some(2), Some(5), None]);
    }

    /// What is trimmed is forgotten in the end, and nothing else is.
    #[test]
    fn c28_trimmed_extents_are_forgotten() {
        let mut index = index_of(1000, 2);
        for first in 0..=2000 {
            index.trim(LOG, Index(first));
            let live = 1000 - first as usize / 2;
            let kept = index.extents_in_memory();
            assert!(live <= kept && kept <= 2 * live, "{kept} extents are kept of {live}");
            assert_eq!(index.extents(LOG, Index(first)).count(), live, "trimmed to {first}");
            index.check(Slot(1000), |_| Some(Index(2000)));
        }
        index.record(&[(LOG, Extent { first: Index(2000), ..extent(1001, 2) })]);
        assert_eq!(index.extents_in_memory(), 1);
        index.remove(LOG);
        assert_eq!(index.extents_in_memory(), 0);
    }

    /// Extents that do not follow each other are never taken in.
    #[test]
    fn c31_extents_are_dense_and_in_order() {
        let gap = std::panic::catch_unwind(|| index_of(1, 3).record(&[(LOG, extent(3, 3))]));
        assert!(gap.is_err(), "an index is missing");
        let back = Extent { slot: Slot(1), ..extent(2, 3) };
        let back = std::panic::catch_unwind(|| index_of(1, 3).record(&[(LOG, back)]));
        assert!(back.is_err(), "the place does not rise");
    }

    /// What was frozen and is not written goes into the next run; but nothing of a log that is gone, or
    /// that was trimmed to its end meanwhile, whose next entries would not follow.
    #[test]
    fn c31_what_was_frozen_and_not_written_is_not_forgotten() {
        let mut index = index_of(2, 3);
        index.record(&[(LogId(8), extent(1, 3)), (LogId(9), extent(1, 3))]);
        assert!(index.freeze(Slot(2)).is_some());
        index.record(&[(LOG, extent(3, 3)), (LogId(8), extent(2, 3))]);
        index.trim(LogId(8), Index(6));
        let next = |log: LogId| [(LOG, 9), (LogId(8), 6)].into_iter().find(|(l, _)| *l == log);
        let next = |log| next(log).map(|(_, next)| Index(next));
        index.thaw(next);
        index.check(Slot(3), next);
        assert_eq!(index.extents(LOG, Index(0)).count(), 3);
        index.record(&[(LogId(8), extent(3, 3))]);
        assert_eq!(index.extents_in_memory(), 4);
    }
}
