//! Appends within a value: which command is one to a log, which entries it has, and what may be wrong there.

use super::assembly::{CommandKind, MachineCommand};
use super::command::{CommandError, RawCommand};
use super::logs;
use crate::api::entries::EntriesRef;
use crate::api::name::LogName;
use crate::types::{Index, LogId, Slot};
use thiserror::Error;

/// What is wrong with a value that should hold an entry.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EntryDamage {
    /// The value is another slot's.
    #[error("the value is that of slot {found}")]
    Slot {
        /// The slot it belongs to.
        found: Slot,
    },
    /// The bytes are not commands.
    #[error(transparent)]
    Value(#[from] CommandError),
    /// The command where the extent begins does not append to this log.
    #[error("the command at byte {offset} does not append to this log")]
    OtherLog {
        /// Where the command begins.
        offset: u32,
    },
    /// The value's appends to this log do not hold the entries that the extent says.
    #[error("the value's appends to this log end at index {found}, not at {expected}")]
    Extent {
        /// The index after the last entry found.
        found: Index,
        /// The index after the last entry of the extent.
        expected: Index,
    },
    /// The entry does not fit its checksum.
    #[error("the entry has CRC-32C {computed:#010x}, but says {stated:#010x}")]
    Checksum {
        /// The checksum in front of it.
        stated: u32,
        /// The checksum of its bytes.
        computed: u32,
    },
}

/// True for an append to the log of this id and name.
pub(super) fn is_append_to(raw: &RawCommand<'_>, log: LogId, name: &LogName) -> bool {
    match raw.kind {
        CommandKind::Log(kind) => logs::appends_to(kind, raw.body, log, name),
        CommandKind::Cut | CommandKind::Level | CommandKind::Lose => false,
    }
}

/// The entries of an append; nothing of another command.
pub(super) fn entries_of<'a>(raw: &RawCommand<'a>) -> Result<Option<EntriesRef<'a>>, CommandError> {
    Ok(match raw.decode()? {
        MachineCommand::Log(command) => command.entries(),
        MachineCommand::Cut(_) | MachineCommand::Level(_) | MachineCommand::Lose(_) => None,
    })
}
