//! The features put together: what one of them adds to the machine's commands, outcomes and state
//! is added here, and dispatched here, once for each thing that is done with it.
//!
//! | kinds | feature |
//! | --- | --- |
//! | 1 to 7 | [`logs`](super::logs) |
//! | 8 | [`cuts`](super::cuts) |
//! | 9 | [`levels`](super::levels) |
//! | 10 | [`lost`](super::lost) |
//!
//! Numbers of kinds above 10 are free for what comes later (sessions, locks, members); a
//! number is never used for anything else.

use super::cuts::{self, CutCommand, Cuts};
use super::feature::{CommandPlace, FeatureCommand, HomeShard};
use super::levels::{self, LevelCommand, Levels};
use super::logs::{
    self, LogCommand, LogCommandKind, LogOutcome, Logs, LogsRestore, LogsSurvey, RestoreWanted,
    SlotExtents,
};
use super::lost::{self, LogBounds, LoseCommand, LostEntries, LostOutcome, LostRestore};
use super::snapshot::error::{RecordFault, SnapshotError};
use super::snapshot::record::{SnapshotPiece, SnapshotRecordKind};
use crate::types::{FormatLevel, Index, LogId, Slot};
use crate::wire::codec::{BodyReader, DecodeError};

/// A command of any feature, borrowed from the request or from the value that carries it: nothing is
/// copied while a value is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MachineCommand<'a> {
    /// A command on a log.
    Log(LogCommand<'a>),
    /// A cut of the sequence.
    Cut(CutCommand),
    /// A raise of the format level.
    Level(LevelCommand),
    /// Entries are declared lost.
    Lose(LoseCommand),
}

/// The kind of a command of any feature, as its number in the encoding says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CommandKind {
    /// A command on a log.
    Log(LogCommandKind),
    /// A cut of the sequence.
    Cut,
    /// A raise of the format level.
    Level,
    /// Entries are declared lost.
    Lose,
}

/// What became of one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MachineOutcome {
    /// Of a command on a log.
    Log(LogOutcome),
    /// The slot is a cut.
    Cut,
    /// Of a raise of the format level.
    Level {
        /// The level was lower before.
        raised: bool,
    },
    /// Of a declaration that entries are lost.
    Lost(LostOutcome),
}

impl MachineOutcome {
    /// The outcome of a command on a log, none of another one.
    #[must_use]
    pub fn on_log(&self) -> Option<&LogOutcome> {
        match self {
            MachineOutcome::Log(outcome) => Some(outcome),
            MachineOutcome::Cut | MachineOutcome::Level { .. } | MachineOutcome::Lost(_) => None,
        }
    }
}

/// Bytes of the longest body of any command.
pub(super) const BODY_BYTES_MAX: usize = logs::BODY_BYTES_MAX;

/// How many words a digest takes of the features.
pub(super) const DIGEST_WORDS: usize =
    logs::DIGEST_WORDS + cuts::DIGEST_WORDS + levels::DIGEST_WORDS;

impl<'a> MachineCommand<'a> {
    /// The command, with what all features' commands have in common.
    pub(super) fn of_feature(&self) -> &dyn FeatureCommand {
        match self {
            MachineCommand::Log(command) => command,
            MachineCommand::Cut(command) => command,
            MachineCommand::Level(command) => command,
            MachineCommand::Lose(command) => command,
        }
    }

    /// Decodes a command's body.
    pub(super) fn decode_body(
        kind: CommandKind,
        body: &'a [u8],
    ) -> Result<MachineCommand<'a>, DecodeError> {
        match kind {
            CommandKind::Log(kind) => logs::decode_body(kind, body).map(MachineCommand::Log),
            CommandKind::Cut => cuts::decode_body(body).map(MachineCommand::Cut),
            CommandKind::Level => levels::decode_body(body).map(MachineCommand::Level),
            CommandKind::Lose => lost::decode_body(body).map(MachineCommand::Lose),
        }
    }
}

impl CommandKind {
    /// The kind of this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<CommandKind> {
        match number {
            cuts::CUT_KIND => Some(CommandKind::Cut),
            levels::LEVEL_KIND => Some(CommandKind::Level),
            lost::LOSE_KIND => Some(CommandKind::Lose),
            number => LogCommandKind::from_number(number).map(CommandKind::Log),
        }
    }

    /// The kind's number.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            CommandKind::Log(kind) => kind as u8,
            CommandKind::Cut => cuts::CUT_KIND,
            CommandKind::Level => levels::LEVEL_KIND,
            CommandKind::Lose => lost::LOSE_KIND,
        }
    }
}

/// The state of every feature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FeatureStates {
    pub(super) logs: Logs,
    pub(super) cuts: Cuts,
    pub(super) levels: Levels,
    pub(super) lost: LostEntries,
}

impl FeatureStates {
    /// The states before slot 1.
    pub(super) fn new(home: HomeShard) -> FeatureStates {
        let (cuts, levels) = (Cuts::default(), Levels::default());
        FeatureStates { logs: Logs::new(home), cuts, levels, lost: LostEntries::default() }
    }

    /// Executes one command; where it appends entries, `extents` gets to know where they lie.
    pub(super) fn execute(
        &mut self,
        place: CommandPlace,
        command: &MachineCommand<'_>,
        extents: &mut SlotExtents,
    ) -> MachineOutcome {
        match command {
            MachineCommand::Log(command) => {
                let outcome = self.logs.execute(place, command, extents);
                self.follow(&outcome);
                MachineOutcome::Log(outcome)
            }
            MachineCommand::Cut(CutCommand) => {
                self.cuts.execute(place);
                MachineOutcome::Cut
            }
            MachineCommand::Level(LevelCommand { level }) => {
                MachineOutcome::Level { raised: self.levels.execute(place, *level) }
            }
            MachineCommand::Lose(command) => {
                let bounds = bounds(&self.logs, command.log);
                MachineOutcome::Lost(self.lost.execute(command, bounds))
            }
        }
    }

    /// What a command on a log means for its lost entries: trimmed ones are not lost any more, they are gone.
    fn follow(&mut self, outcome: &LogOutcome) {
        match *outcome {
            LogOutcome::Deleted(log) => self.lost.remove(log),
            LogOutcome::Trimmed { log, first, .. } => self.lost.trim(log, first),
            LogOutcome::Created(_)
            | LogOutcome::Exists(_)
            | LogOutcome::Appended { .. }
            | LogOutcome::ExpectMismatch { .. }
            | LogOutcome::PastEnd { .. }
            | LogOutcome::AttributesSet(_)
            | LogOutcome::Sealed { .. }
            | LogOutcome::UnknownLog
            | LogOutcome::WrongShard
            | LogOutcome::BadName => {}
        }
    }

    /// What the machine's digest covers of each feature.
    pub(super) fn digest_words(&self) -> FeatureWords {
        FeatureWords::new(&self.logs.digest_words(), &self.cuts, &self.levels, &self.lost)
    }

    /// Checks the state of every feature.
    ///
    /// # Panics
    /// When an invariant is broken.
    pub(super) fn check(&self, applied_upto: Slot) {
        self.logs.check();
        self.cuts.check(applied_upto);
        self.levels.check(applied_upto);
        self.lost.check(|log| bounds(&self.logs, log));
    }

    /// Begins a snapshot of every feature. Sections that are a few words are encoded at once; the last
    /// one is encoded in steps.
    pub(super) fn begin_snapshot(&mut self, out: &mut Vec<u8>) {
        self.levels.put_section(out);
        self.cuts.put_section(out);
        if self.levels.level() >= FormatLevel::LOST_ENTRIES {
            self.lost.put_section(out);
        }
        self.logs.begin_snapshot(out);
    }

    /// Encodes what `piece` has room for; true when nothing is left.
    pub(super) fn snapshot_step(&mut self, piece: &mut SnapshotPiece<'_>) -> bool {
        self.logs.snapshot_step(piece)
    }

    /// Ends a snapshot that is under way.
    pub(super) fn drop_snapshot(&mut self) {
        self.logs.drop_snapshot();
    }

    /// Memory that a snapshot under way takes for what was changed since it began.
    pub(super) fn snapshot_overlay_bytes(&self) -> usize {
        self.logs.snapshot_overlay_bytes()
    }
}

/// What the machine's digest covers of the features.
#[derive(Clone, Copy, Debug)]
pub(super) struct FeatureWords {
    /// Of those that every level has, one behind the other.
    pub(super) all: [u64; DIGEST_WORDS],
    /// Of the lost entries, where there are some.
    pub(super) lost: Option<[u64; 2]>,
}

impl FeatureWords {
    fn new(
        of_logs: &[u64; logs::DIGEST_WORDS],
        cuts: &Cuts,
        levels: &Levels,
        lost: &LostEntries,
    ) -> FeatureWords {
        let mut all = [0; DIGEST_WORDS];
        let (first, others) = all.split_at_mut(logs::DIGEST_WORDS);
        let (second, third) = others.split_at_mut(cuts::DIGEST_WORDS);
        first.copy_from_slice(of_logs);
        second.copy_from_slice(&cuts.digest_words());
        third.copy_from_slice(&levels.digest_words());
        FeatureWords { all, lost: lost.digest_words() }
    }
}

/// The states of the features as the sections of a snapshot come: the level, the cuts, the lost entries where the
/// level has them, the logs.
#[derive(Debug, Default)]
pub(super) struct FeatureRestores {
    wanted: RestoreWanted,
    levels: Option<Levels>,
    cuts: Option<Cuts>,
    lost: Option<LostRestore>,
    logs: Option<LogsRestore>,
}

/// The features of a snapshot of which only the digest was wanted.
#[derive(Debug)]
pub(super) struct FeatureSurvey {
    /// What the machine's digest covers of them.
    pub(super) digest_words: FeatureWords,
    /// The first index of each log, by rising id.
    pub(super) first_indexes: Vec<(LogId, Index)>,
}

impl FeatureRestores {
    /// For this of a snapshot.
    pub(super) fn new(wanted: RestoreWanted) -> FeatureRestores {
        FeatureRestores { wanted, ..FeatureRestores::default() }
    }

    /// Takes in the head of a section, of a snapshot of `home` as it was at slot `applied_upto`, for a
    /// program that knows levels up to `known`.
    pub(super) fn section(
        &mut self,
        (home, applied_upto, known): (HomeShard, Slot, FormatLevel),
        (feature, version): (u8, u16),
        head: BodyReader<'_>,
    ) -> Result<(), RecordFault> {
        let has_lost =
            self.levels.is_some_and(|levels| levels.level() >= FormatLevel::LOST_ENTRIES);
        let next = match (&self.levels, &self.cuts, &self.lost, &self.logs) {
            (None, ..) => levels::FEATURE,
            (Some(_), None, ..) => cuts::FEATURE,
            (Some(_), Some(_), None, None) if has_lost => lost::FEATURE,
            (Some(_), Some(_), _, None) => logs::FEATURE,
            (Some(_), Some(_), _, Some(_)) => return Err(RecordFault::Section { feature }),
        };
        if feature != next.number {
            return Err(RecordFault::Section { feature });
        }
        if version != next.version {
            return Err(RecordFault::Version { found: version, known: next.version });
        }
        if next == levels::FEATURE {
            self.levels = Some(levels::restore(applied_upto, known, head)?);
        } else if next == cuts::FEATURE {
            self.cuts = Some(cuts::restore(applied_upto, head)?);
        } else if next == lost::FEATURE {
            self.lost = Some(LostRestore::new(head)?);
        } else {
            self.lost.as_ref().map_or(Ok(()), LostRestore::check_whole)?;
            self.logs = Some(LogsRestore::new(home, self.wanted, head)?);
        }
        Ok(())
    }

    /// Checks that the snapshot has the format of its level: one state has one encoding.
    pub(super) fn check_format(&self, found: u16) -> Result<(), RecordFault> {
        let known = self.levels.map_or(found, |levels| levels.level().versions().state);
        if found == known { Ok(()) } else { Err(RecordFault::Version { found, known }) }
    }

    /// Takes in an item of the section that began last.
    pub(super) fn item(&mut self, item: BodyReader<'_>) -> Result<(), RecordFault> {
        let order = RecordFault::Order { kind: SnapshotRecordKind::Item as u8 };
        match (&mut self.logs, &mut self.lost) {
            (Some(logs), _) => logs.item(item),
            (None, Some(lost)) => lost.item(item),
            (None, None) => Err(order),
        }
    }

    /// Checks that all sections and their items came.
    pub(super) fn check_whole(&self) -> Result<(), RecordFault> {
        let order = RecordFault::Order { kind: SnapshotRecordKind::End as u8 };
        self.logs.as_ref().ok_or(order)?.check_whole()
    }

    /// The states; none where a section is missing.
    pub(super) fn finish(self) -> Option<Result<FeatureStates, SnapshotError>> {
        let (levels, cuts, logs) = (self.levels?, self.cuts?, self.logs?);
        let logs = match logs.finish() {
            Ok(logs) => logs,
            Err(error) => return Some(Err(error)),
        };
        let lost = match self.lost {
            Some(lost) => lost.finish(|log| bounds(&logs, log)),
            None => Ok(LostEntries::default()),
        };
        Some(lost.map(|lost| FeatureStates { logs, cuts, levels, lost }))
    }

    /// What the digest covers of them; none where a section is missing.
    pub(super) fn finish_digest(self) -> Option<Result<FeatureSurvey, SnapshotError>> {
        let (levels, cuts, logs) = (self.levels?, self.cuts?, self.logs?);
        let lost = self.lost.map(LostRestore::finish_unheld).unwrap_or_default();
        let survey = |logs: LogsSurvey| FeatureSurvey {
            digest_words: FeatureWords::new(&logs.digest_words, &cuts, &levels, &lost),
            first_indexes: logs.first_indexes,
        };
        Some(logs.finish_digest().map(survey))
    }
}

/// What the logs say of one of theirs.
fn bounds(logs: &Logs, log: LogId) -> Option<LogBounds> {
    let log = logs.retained(log)?;
    Some(LogBounds { first: log.first, next: log.next, appended_bytes: log.appended_bytes })
}

impl From<LoseCommand> for MachineCommand<'_> {
    fn from(command: LoseCommand) -> Self {
        MachineCommand::Lose(command)
    }
}

impl From<CutCommand> for MachineCommand<'_> {
    fn from(command: CutCommand) -> Self {
        MachineCommand::Cut(command)
    }
}

impl From<LevelCommand> for MachineCommand<'_> {
    fn from(command: LevelCommand) -> Self {
        MachineCommand::Level(command)
    }
}

impl<'a> From<LogCommand<'a>> for MachineCommand<'a> {
    fn from(command: LogCommand<'a>) -> MachineCommand<'a> {
        MachineCommand::Log(command)
    }
}

impl<'a> From<&LogCommand<'a>> for MachineCommand<'a> {
    fn from(command: &LogCommand<'a>) -> MachineCommand<'a> {
        MachineCommand::Log(*command)
    }
}
