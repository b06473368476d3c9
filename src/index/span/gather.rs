//! What a span is made of: extents in memory, or runs where its file was lost.

use crate::index::recent::Recent;
use crate::index::run::fault::RunError;
use crate::index::run::opened::Run;
use crate::index::run::source::Source;
use crate::index::span::layout::SpanSpec;
use crate::index::span::rows::SpanRow;
use crate::storage::Storage;
use crate::types::{Extent, LogId, Slot};
use std::sync::Arc;

/// A row of a span, and the slots of its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanPart {
    /// The row.
    pub row: SpanRow,
    /// The lowest slot of its entries, and the highest one.
    pub slots: (Slot, Slot),
}

impl SpanPart {
    /// What an extent adds to what is there of its log.
    fn with(part: Option<SpanPart>, log: LogId, extent: &Extent) -> SpanPart {
        let count = u64::from(extent.count);
        let (entries, lowest) =
            part.map_or((0, extent.slot), |part| (part.row.entries, part.slots.0));
        let (last, entries) = (extent.first.plus(count - 1), entries + count);
        SpanPart { row: SpanRow { log, last, entries }, slots: (lowest, extent.slot) }
    }
}

impl Recent {
    /// The parts of the span of these extents, by rising log.
    pub fn span_parts(&self) -> impl Iterator<Item = Result<SpanPart, RunError>> {
        let of_log = |log, extents: &[Extent]| {
            extents.iter().fold(None, |part, extent| Some(SpanPart::with(part, log, extent)))
        };
        self.by_log().filter_map(move |(log, extents)| of_log(log, extents)).map(Ok)
    }
}

/// The parts of a span, from the rows that runs still have of its slots: what they lack is dead.
pub struct PartsOfRuns<'a> {
    sources: Vec<Source<'a>>,
    spec: SpanSpec,
}

impl<'a> PartsOfRuns<'a> {
    /// From those of these runs that may have such rows, the oldest first.
    ///
    /// # Errors
    /// When a run is damaged, or the system is short of something.
    pub fn open(
        storage: &'a dyn Storage,
        runs: &'a [Arc<Run>],
        spec: &SpanSpec,
    ) -> Result<PartsOfRuns<'a>, RunError> {
        let overlaps = |run: &&Arc<Run>| spec.after < run.upto() && run.after() < spec.upto;
        let sources = runs.iter().filter(overlaps).map(|run| Source::new(storage, run));
        Ok(PartsOfRuns { sources: sources.collect::<Result<_, _>>()?, spec: *spec })
    }

    fn next_part(&mut self) -> Result<Option<SpanPart>, RunError> {
        while let Some(log) = self.sources.iter().filter_map(Source::log).min() {
            let mut part = None;
            for source in &mut self.sources {
                while let Some((_, extent)) = source.next.filter(|(of, _)| *of == log) {
                    if self.spec.after < extent.slot && extent.slot <= self.spec.upto {
                        part = Some(SpanPart::with(part, log, &extent));
                    }
                    source.advance()?;
                }
            }
            if part.is_some() {
                return Ok(part);
            }
        }
        Ok(None)
    }
}

impl Iterator for PartsOfRuns<'_> {
    type Item = Result<SpanPart, RunError>;

    fn next(&mut self) -> Option<Result<SpanPart, RunError>> {
        self.next_part().transpose()
    }
}
