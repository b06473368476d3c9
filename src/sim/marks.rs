//! Which branches a run took. What no seed of many reaches, nothing checks: then the run of them fails.

use crate::api::Reply;
use crate::api::error::{ErrorCode, Retry};
use crate::checkpoint::install::{InstallDone, InstallJob};
use crate::checkpoint::{
    CheckpointDone, CheckpointJob, SpanDone, SpanJob, Start, parse_checkpoint_file_name,
};
use crate::journal::Job;
use crate::machine::is_remnant;
use crate::shard::{DiskDone, DiskJob, DiskJobError, Shard};
use crate::wire::peer::{InstallChunk, Learned, Message, ValuesChunk};
use std::collections::BTreeMap;

/// So many seeds must reach every mark.
pub(super) const SEEDS: u64 = 2_000;

/// Declares marks, each with what it says happened.
macro_rules! marks {
    ($($mark:ident = $text:literal,)*) => {
        /// Something that must happen in a run of many seeds.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(super) enum Mark { $(#[doc = $text] $mark,)* }

        impl Mark {
            const ALL: &[Mark] = &[$(Mark::$mark,)*];

            fn text(self) -> &'static str {
                match self { $(Mark::$mark => $text,)* }
            }
        }
    };
}

marks! {
    CutRun = "a crash while a run and its span are written",
    CutBegin = "a crash while a checkpoint's file is begun",
    CutPiece = "a crash while a piece of a checkpoint is written",
    CutComplete = "a crash while a checkpoint gets its name",
    CutMerge = "a crash while runs are merged",
    CutDrop = "a crash while files of old checkpoints are removed",
    CutSpan = "a crash while a span is made anew",
    CutPlaces = "a crash while a segment's places are written",
    CutRelease = "a crash while released segments are removed",
    CutPrepare = "a crash while a segment is prepared",
    CutLook = "a crash while what arrived of a checkpoint is looked at",
    CutAppend = "a crash while a part of a peer's checkpoint is written",
    CutBuild = "a crash while a peer's checkpoint is made one of this node",
    CutCompaction = "a crash while live values of a segment are copied",
    StartWithout = "a start reads the whole journal",
    StartNewest = "a start begins from the newest checkpoint",
    StartOlder = "a start passes over a damaged checkpoint",
    StartReleased = "a start finds segments released",
    StartInstalled = "a start finds slots that a peer's checkpoint stands for",
    StartAbsent = "a start finds that values are absent",
    Merged = "runs were merged",
    SpanMade = "a span was made anew",
    Compacted = "the live values of a segment were copied",
    CopiedPart = "only what is live of a value was copied",
    Released = "released segments were removed",
    NotTaken = "a checkpoint was not taken",
    Installed = "a peer's checkpoint was made one of this node",
    NotInstalled = "a step of an install failed",
    Fetched = "a value that was absent was found, here or at a peer",
    Unwanted = "a value that was fetched was of no use any more",
    RowsFound = "rows were looked for, of slots that peers answered for or could not give",
    ColdRead = "entries were read from the journal",
    SaidReleased = "a peer was told that a value is released",
    GivenPart = "what is left of a value was given to a peer for an absent one",
    ChunkDenied = "a peer was told that a checkpoint is gone",
    ValuesDenied = "a peer was told that values are not here",
    SaidTrimmed = "a client was told that its entry is trimmed",
    SaidAbsent = "a client was told that its entry is not here",
    SaidLost = "a client was told that its entry is lost",
    DeclaredLost = "entries were declared lost",
    NotLost = "a declaration was refused, for a node may have the entries",
}

/// Crashes during jobs that are so seldom done that chance alone does not meet them.
pub(super) const RARE: &[Mark] = &[
    Mark::CutBegin,
    Mark::CutPiece,
    Mark::CutComplete,
    Mark::CutMerge,
    Mark::CutDrop,
    Mark::CutSpan,
    Mark::CutPlaces,
    Mark::CutRelease,
    Mark::CutLook,
    Mark::CutAppend,
    Mark::CutBuild,
];

/// How often each mark was reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks(BTreeMap<Mark, u64>);

impl Marks {
    fn add(&mut self, mark: Mark) {
        *self.0.entry(mark).or_default() += 1;
    }

    /// Adds those of another run.
    pub(super) fn add_all(&mut self, others: &Marks) {
        for (mark, count) in &others.0 {
            *self.0.entry(*mark).or_default() += count;
        }
    }

    /// The marks that were never reached, by what they say.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        let missing = Mark::ALL.iter().filter(|mark| !self.0.contains_key(mark));
        missing.map(|mark| mark.text()).collect()
    }

    /// Every mark, with how often it was reached.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let count = |mark: &Mark| self.0.get(mark).copied().unwrap_or(0);
        Mark::ALL.iter().map(move |mark| (mark.text(), count(mark)))
    }

    /// A process read its disk back.
    pub(super) fn started(&mut self, start: &Start) {
        let Start { restored, recovered, .. } = start;
        let is_checkpoint = |name: &String| parse_checkpoint_file_name(name).is_some();
        let is_older = restored.from.is_some() && restored.doubted.iter().any(is_checkpoint);
        let found = [
            (Mark::StartWithout, restored.from.is_none() && recovered.stats.records > 0),
            (Mark::StartNewest, restored.from.is_some()),
            (Mark::StartOlder, is_older),
            (Mark::StartReleased, recovered.released.segments() > 0),
            (Mark::StartInstalled, restored.installed.count() > 0),
            (Mark::StartAbsent, restored.absent.count() > 0),
        ];
        found.into_iter().filter(|(_, is)| *is).for_each(|(mark, _)| self.add(mark));
    }

    /// A process ends in the middle of what it does.
    pub(super) fn cut_off(&mut self, shard: &Shard) {
        if shard.backlog().compacting > 0 {
            self.add(Mark::CutCompaction);
        }
    }

    /// A process ends, or a run does.
    pub(super) fn ended(&mut self, shard: &Shard) {
        if shard.tally().compaction.segments > 0 {
            self.add(Mark::Compacted);
        }
        if shard.tally().compaction.remnants > 0 {
            self.add(Mark::CopiedPart);
        }
    }

    /// A job was under way when its process ended; this came of as much of it as was done.
    pub(super) fn cut_short(
        &mut self,
        mark: Option<Mark>,
        outcome: &Result<DiskDone, DiskJobError>,
    ) {
        if let (Some(mark), Err(_)) = (mark, outcome) {
            self.add(mark);
        }
    }

    /// A job is done.
    pub(super) fn done(&mut self, done: &DiskDone) {
        match done {
            DiskDone::Checkpoint(CheckpointDone::Abandoned(_)) => self.add(Mark::NotTaken),
            DiskDone::Checkpoint(CheckpointDone::Run(_)) => self.add(Mark::Merged),
            DiskDone::Span(SpanDone::Made(_)) => self.add(Mark::SpanMade),
            DiskDone::Journal(crate::journal::Done::Remove(_)) => self.add(Mark::Released),
            DiskDone::Install(InstallDone::Built(_)) => self.add(Mark::Installed),
            DiskDone::Install(InstallDone::Failed { .. }) => self.add(Mark::NotInstalled),
            DiskDone::Install(InstallDone::Rows(Ok(_))) => self.add(Mark::RowsFound),
            DiskDone::Install(InstallDone::Verified(verified)) => {
                let mark = if verified.values.is_empty() { Mark::Unwanted } else { Mark::Fetched };
                self.add(mark);
            }
            DiskDone::ColdRead(_) => self.add(Mark::ColdRead),
            DiskDone::Journal(_)
            | DiskDone::Lookup(_)
            | DiskDone::Compaction(_)
            | DiskDone::Loss(_)
            | DiskDone::Dropped
            | DiskDone::Checkpoint(
                CheckpointDone::Step | CheckpointDone::Frozen(..) | CheckpointDone::IndexDamaged(_),
            )
            | DiskDone::Span(SpanDone::Rows(_) | SpanDone::Damaged(_) | SpanDone::Abandoned(_))
            | DiskDone::Install(
                InstallDone::Read { .. }
                | InstallDone::Looked(_)
                | InstallDone::Appended(..)
                | InstallDone::Rows(Err(_))
                | InstallDone::Heal(_),
            ) => {}
        }
    }

    /// A node sends a message.
    pub(super) fn sent(&mut self, message: &Message) {
        match message {
            Message::Learned(Learned { released: Some(_), .. }) => self.add(Mark::SaidReleased),
            Message::InstallChunk(InstallChunk { digest: 0, .. }) => self.add(Mark::ChunkDenied),
            Message::ValuesChunk(ValuesChunk { from, covered, .. }) if covered < from => {
                self.add(Mark::ValuesDenied);
            }
            Message::ValuesChunk(ValuesChunk { values, .. })
                if values.iter().any(|(_, _, value)| is_remnant(value)) =>
            {
                self.add(Mark::GivenPart);
            }
            _ => {}
        }
    }

    /// A node answers a client.
    pub(super) fn answered(&mut self, reply: &Reply) {
        if matches!(reply, Reply::DeclaredLost(_)) {
            self.add(Mark::DeclaredLost);
        }
        let Reply::Error(error) = reply else { return };
        if error.code == ErrorCode::Lost {
            self.add(Mark::SaidLost);
        } else if error.code == ErrorCode::NotLost {
            self.add(Mark::NotLost);
        } else if error.code == ErrorCode::Trimmed {
            self.add(Mark::SaidTrimmed);
        } else if error.code == ErrorCode::NotReady && error.retry == Retry::Elsewhere {
            self.add(Mark::SaidAbsent);
        }
    }
}

/// The mark of a crash during a job, of those that write.
pub(super) fn cut_mark(job: &DiskJob) -> Option<Mark> {
    match job {
        DiskJob::Checkpoint(job) => match job {
            CheckpointJob::Run { .. } => Some(Mark::CutRun),
            CheckpointJob::Begin { .. } => Some(Mark::CutBegin),
            CheckpointJob::Piece { .. } => Some(Mark::CutPiece),
            CheckpointJob::Complete { .. } => Some(Mark::CutComplete),
            CheckpointJob::Merge { .. } => Some(Mark::CutMerge),
            CheckpointJob::Remove { .. } => Some(Mark::CutDrop),
            CheckpointJob::ReadBack { .. } => None,
        },
        DiskJob::Span(SpanJob::Make { .. }) => Some(Mark::CutSpan),
        DiskJob::Journal(Job::Places(_)) => Some(Mark::CutPlaces),
        DiskJob::Journal(Job::Remove(_)) => Some(Mark::CutRelease),
        DiskJob::Journal(Job::Prepare(_)) => Some(Mark::CutPrepare),
        DiskJob::Install(job) => match job {
            InstallJob::Look { .. } => Some(Mark::CutLook),
            InstallJob::Append { .. } => Some(Mark::CutAppend),
            InstallJob::Build(_) => Some(Mark::CutBuild),
            InstallJob::Read { .. }
            | InstallJob::Verify(_)
            | InstallJob::Rows { .. }
            | InstallJob::Heal(_) => None,
        },
        DiskJob::Span(SpanJob::Read { .. })
        | DiskJob::Journal(Job::Batch(_) | Job::Read(_))
        | DiskJob::Lookup(_)
        | DiskJob::Compaction(_)
        | DiskJob::Loss(_)
        | DiskJob::Drop(_)
        | DiskJob::ColdRead(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A mark that nothing reached is named, and one that was is not.
    #[test]
    fn a_mark_that_nothing_reached_is_named() {
        let mut marks = Marks::default();
        let all = Mark::ALL.len();
        assert_eq!(marks.missing().len(), all);
        marks.add(Mark::Merged);
        let missing = marks.missing();
        assert_eq!(missing.len(), all - 1);
        assert!(!missing.contains(&"runs were merged"), "{missing:?}");
        let mut total = Marks::default();
        total.add_all(&marks);
        total.add_all(&marks);
        assert!(total.counts().any(|count| count == ("runs were merged", 2)));
    }
}
