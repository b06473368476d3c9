//! Making one run of several: their rows in order, without those that nobody can read any more.

use crate::index::run::fault::{RunError, RunFault};
use crate::index::run::opened::Run;
use crate::index::run::rows::in_order;
use crate::index::run::source::Source;
use crate::index::run::writer::{RunSpec, RunWriter};
use crate::storage::Storage;
use crate::types::{FileOwner, FormatLevel, Index, LogId, RunId};
use std::sync::Arc;

/// Writes one run that has the rows of these, which lie on each other, the oldest first: of this number, and
/// at this format level.
///
/// `live` gives each log that exists with its first index, in rising order of logs. It must have been
/// drawn up at or behind the last slot of the newest run: then a log that it lacks was deleted. Rows of
/// such logs are left out, and rows of which every entry lies below its log's first index.
///
/// The memory that is taken does not depend on the number of rows, but for the keys of the run that is
/// written. Nothing is changed before the new run is complete; a merge that was interrupted is made
/// again from the start.
///
/// # Errors
/// When an input is damaged, or the file system fails.
///
/// # Panics
/// When there is no input, or inputs do not lie on each other, or `live` is not in order.
pub fn merge(
    storage: &dyn Storage,
    owner: &FileOwner,
    inputs: &[Arc<Run>],
    (run, level): (RunId, FormatLevel),
    live: &mut dyn Iterator<Item = (LogId, Index)>,
) -> Result<Run, RunError> {
    let (Some(oldest), Some(newest)) = (inputs.first(), inputs.last()) else {
        panic!("a merge of no runs into run {run}");
    };
    for pair in inputs.windows(2) {
        let (upto, after) = (pair[0].upto(), pair[1].after());
        assert_eq!(upto, after, "a run up to slot {upto} below one above slot {after}");
    }
    let logs_max = inputs.iter().map(|input| input.logs()).fold(0, u64::saturating_add);
    let (owner, after, upto) = (*owner, oldest.after(), newest.upto());
    let spec = RunSpec { owner, run, after, upto, logs_max, level };
    let mut out = RunWriter::create(storage, &spec)?;
    let mut sources = Vec::new();
    for input in inputs {
        sources.push(Source::new(storage, input)?);
    }
    let mut live = LiveLogs { live, last: None };
    while let Some(log) = sources.iter().filter_map(Source::log).min() {
        let first = live.first_index(log);
        merge_log(&mut sources, log, first, &mut out)?;
    }
    Ok(out.finish()?)
}

/// Takes all rows of a log, the oldest run's first, and writes those that can still be read: none
/// where the log has no first index.
fn merge_log(
    sources: &mut [Source<'_>],
    log: LogId,
    first: Option<Index>,
    out: &mut RunWriter<'_>,
) -> Result<(), RunError> {
    let mut previous = None;
    for source in sources {
        while let Some(row) = source.next.filter(|(of, _)| *of == log) {
            // Each run was in order; that they are so together is not known before.
            if !in_order(previous.as_ref(), &row) {
                return Err(source.damaged(RunFault::Rows));
            }
            previous = Some(row);
            let (_, extent) = row;
            if first.is_some_and(|first| first < extent.end()) {
                out.push(log, &extent)?;
            }
            source.advance()?;
        }
    }
    Ok(())
}

/// The logs that exist, gone through once.
struct LiveLogs<'a> {
    live: &'a mut dyn Iterator<Item = (LogId, Index)>,
    last: Option<(LogId, Index)>,
}

impl LiveLogs<'_> {
    /// The first index of a log; nothing when it does not exist. Logs are asked for in rising order.
    fn first_index(&mut self, log: LogId) -> Option<Index> {
        while self.last.is_none_or(|(last, _)| last < log) {
            let next = self.live.next()?;
            if let Some((last, _)) = self.last {
                assert!(last < next.0, "log {} among those that exist behind {last}", next.0);
            }
            self.last = Some(next);
        }
        self.last.filter(|(last, _)| *last == log).map(|(_, first)| first)
    }
}
