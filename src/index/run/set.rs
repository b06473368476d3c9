//! All runs of a shard at one moment, and what is looked up in them.

use crate::index::run::fault::RunError;
use crate::index::run::lookup::RunLookup;
use crate::index::run::opened::Run;
use crate::index::search::Search;
use crate::storage::{BlockCache, Storage};
use crate::types::{Extent, Index, LogId, RunId, Slot};
use std::ops::Range;
use std::sync::Arc;

/// The runs of a shard from the oldest to the newest; each begins at the slot where the one before
/// ends. Cheap to clone; a clone keeps what it has while others change.
#[derive(Clone, Debug, Default)]
pub struct RunSet {
    runs: Arc<[Arc<Run>]>,
    /// Blocks that lookups have read.
    cache: Option<Arc<BlockCache>>,
}

/// Two runs between which slots are missing, or which share some.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("run {older} has slots up to {upto}, and run {newer} behind it those above {after}")]
pub struct RunsApart {
    /// The older run.
    pub older: RunId,
    /// Its last slot.
    pub upto: Slot,
    /// The newer one.
    pub newer: RunId,
    /// The slot that it begins behind.
    pub after: Slot,
}

impl RunSet {
    /// A set of these runs, the oldest first.
    ///
    /// # Errors
    /// When a run does not begin where the one before ends.
    pub fn new(runs: Vec<Arc<Run>>) -> Result<RunSet, RunsApart> {
        for pair in runs.windows(2) {
            let (older, newer) = (&pair[0], &pair[1]);
            if older.upto() != newer.after() {
                let (upto, after) = (older.upto(), newer.after());
                return Err(RunsApart { older: older.id(), upto, newer: newer.id(), after });
            }
        }
        Ok(RunSet { runs: runs.into(), cache: None })
    }

    /// The runs, the oldest first.
    #[must_use]
    pub fn runs(&self) -> &[Arc<Run>] {
        &self.runs
    }

    /// The last slot of the newest run; nothing when there is none.
    #[must_use]
    pub fn upto(&self) -> Option<Slot> {
        self.runs.last().map(|run| run.upto())
    }

    /// The same set with one more run behind all others.
    ///
    /// # Errors
    /// When it does not begin where they end.
    pub fn with(&self, run: Arc<Run>) -> Result<RunSet, RunsApart> {
        let runs = RunSet::new(self.runs.iter().cloned().chain([run]).collect())?;
        Ok(RunSet { cache: self.cache.clone(), ..runs })
    }

    /// The same set with one run in place of these, of which it was merged.
    ///
    /// # Errors
    /// When it does not have the same slots as they have together.
    ///
    /// # Panics
    /// When there are no such runs.
    pub fn replaced(&self, merged: Range<usize>, run: Arc<Run>) -> Result<RunSet, RunsApart> {
        let mut runs = self.runs.to_vec();
        runs.splice(merged, [run]);
        Ok(RunSet { cache: self.cache.clone(), ..RunSet::new(runs)? })
    }

    /// The same set; lookups keep the blocks that they read in this cache.
    #[must_use]
    pub fn cached(self, cache: Arc<BlockCache>) -> RunSet {
        RunSet { cache: Some(cache), ..self }
    }

    /// Blocks of rows that were read of these runs so far.
    #[must_use]
    pub fn blocks_read(&self) -> u64 {
        self.runs.iter().map(|run| run.blocks_read()).sum()
    }

    /// Rows of a log in rising order, so many at most, from the one that holds `from` on. Where none
    /// does, from the next one on.
    ///
    /// # Errors
    /// When a run is damaged where it had to be read, or the system is short of something.
    pub fn extents_from(
        &self,
        storage: &dyn Storage,
        log: LogId,
        from: Index,
        max_rows: usize,
    ) -> Result<Vec<Extent>, RunError> {
        let Some(newest) = self.runs.last() else { return Ok(Vec::new()) };
        let mut lookup = RunLookup::new(storage, newest, self.cache.as_deref());
        let mut rows = Vec::new();
        for run in &self.runs[self.start_of(&mut lookup, log, from)?..] {
            if rows.len() >= max_rows {
                break;
            }
            lookup.turn_to(run);
            lookup.visit(log, Search::Index(from), |row| {
                if row.end() > from {
                    rows.push(*row);
                }
                rows.len() < max_rows
            })?;
        }
        Ok(rows)
    }

    /// The newest run with a row of the log that begins at or before `from`; no earlier one has
    /// anything that a reader from there wants. The newest runs are asked first: most readers are
    /// near a log's end.
    fn start_of<'a>(
        &'a self,
        lookup: &mut RunLookup<'a>,
        log: LogId,
        from: Index,
    ) -> Result<usize, RunError> {
        for (at, run) in self.runs.iter().enumerate().rev() {
            lookup.turn_to(run);
            if lookup.reaches(log, from)? {
                return Ok(at);
            }
        }
        Ok(0)
    }

    /// The row of a log that a search is for, if there is one.
    ///
    /// # Errors
    /// When a run is damaged where it had to be read, or the system is short of something.
    pub fn search(
        &self,
        storage: &dyn Storage,
        log: LogId,
        by: Search,
    ) -> Result<Option<Extent>, RunError> {
        let Some(newest) = self.runs.last() else { return Ok(None) };
        let mut lookup = RunLookup::new(storage, newest, self.cache.as_deref());
        let (mut reached, mut next) = (None, None);
        for run in self.runs.iter().rev() {
            lookup.turn_to(run);
            let found = lookup.find(log, by)?;
            // What a newer run has of the log lies behind what an older one has.
            next = found.next.or(next);
            reached = found.reached;
            if reached.is_some() {
                break;
            }
        }
        Ok(by.between(reached, next))
    }
}
