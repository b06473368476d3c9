//! The features put together: what one of them adds to the machine's commands, outcomes and state
//! is added here, and dispatched here, once for each thing that is done with it.
//!
//! | kinds | feature |
//! | --- | --- |
//! | 1 to 7 | [`logs`](super::logs) |
//!
//! Numbers of kinds above 7 are free for what comes later (sessions, locks, members); a
//! number is never used for anything else.

use super::feature::{CommandPlace, FeatureCommand, HomeShard};
use super::logs::{self, LogCommand, LogCommandKind, LogOutcome, Logs, SlotExtents};
use crate::wire::codec::DecodeError;

/// A command of any feature, borrowed from the request or from the value that carries it: nothing is
/// copied while a value is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MachineCommand<'a> {
    /// A command on a log.
    Log(LogCommand<'a>),
}

/// The kind of a command of any feature, as its number in the encoding says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CommandKind {
    /// A command on a log.
    Log(LogCommandKind),
}

/// What became of one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MachineOutcome {
    /// Of a command on a log.
    Log(LogOutcome),
}

/// Bytes of the longest body of any command.
pub(super) const BODY_BYTES_MAX: usize = logs::BODY_BYTES_MAX;

/// How many words a digest takes of the features.
pub(super) const DIGEST_WORDS: usize = logs::DIGEST_WORDS;

impl<'a> MachineCommand<'a> {
    /// The command, with what all features' commands have in common.
    pub(super) fn of_feature(&self) -> &dyn FeatureCommand {
        match self {
            MachineCommand::Log(command) => command,
        }
    }

    /// Decodes a command's body.
    pub(super) fn decode_body(
        kind: CommandKind,
        body: &'a [u8],
    ) -> Result<MachineCommand<'a>, DecodeError> {
        match kind {
            CommandKind::Log(kind) => logs::decode_body(kind, body).map(MachineCommand::Log),
        }
    }
}

impl CommandKind {
    /// The kind of this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<CommandKind> {
        LogCommandKind::from_number(number).map(CommandKind::Log)
    }

    /// The kind's number.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            CommandKind::Log(kind) => kind as u8,
        }
    }
}

/// The state of every feature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FeatureStates {
    pub(super) logs: Logs,
}

impl FeatureStates {
    /// The states before slot 1.
    pub(super) fn new(home: HomeShard) -> FeatureStates {
        FeatureStates { logs: Logs::new(home) }
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
                MachineOutcome::Log(self.logs.execute(place, command, extents))
            }
        }
    }

    /// What the machine's digest covers of each feature, one behind the other.
    pub(super) fn digest_words(&self) -> [u64; DIGEST_WORDS] {
        self.logs.digest_words()
    }

    /// Checks the state of every feature.
    ///
    /// # Panics
    /// When an invariant is broken.
    pub(super) fn check(&self) {
        self.logs.check();
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
