//! The commands on logs.

use crate::api::entries::EntriesRef;
use crate::api::{AttributeChanges, Retention};
use crate::types::{Index, LogId};

/// A command on a log, borrowed from the request or from the value that carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogCommand<'a> {
    /// Creates a log.
    Create {
        /// The name of the log. Nothing is created where a log of this name exists.
        name: &'a str,
        /// Milliseconds since 1970 on the proposing leader's clock.
        created_ms: u64,
        /// What the log keeps.
        retention: Retention,
    },
    /// Deletes a log with its entries.
    Delete {
        /// The log that goes.
        log: LogId,
    },
    /// Appends entries as one atomic batch.
    Append {
        /// The log that the entries go to.
        log: LogId,
        /// Only if the log's next index is this one.
        expect: Option<Index>,
        /// The entries, at least one.
        entries: EntriesRef<'a>,
    },
    /// Appends entries to the log of this name, which is created if there is none; one atomic
    /// command: where the append is refused, nothing is created either.
    AppendCreate {
        /// The name of the log, which is created under it where there is none.
        name: &'a str,
        /// Milliseconds since 1970 on the proposing leader's clock.
        created_ms: u64,
        /// Only if the log's next index is this one; that of a log to be created is 0.
        expect: Option<Index>,
        /// The entries, at least one.
        entries: EntriesRef<'a>,
    },
    /// Trims entries from a log's beginning: they can be read no longer.
    Trim {
        /// The log.
        log: LogId,
        /// The first index that stays.
        before: Index,
        /// Payload bytes of the entries in whole extents below it, as the leader found them.
        bytes_before: u64,
    },
    /// Trims as a log's retention allows; nothing, where its attributes changed since.
    Retain {
        /// The log.
        log: LogId,
        /// The version of the attributes by which it was computed.
        version: u64,
        /// The first index that stays.
        before: Index,
        /// Payload bytes of the entries in whole extents below it, as the leader found them.
        bytes_before: u64,
    },
    /// Changes a log's attributes.
    SetAttributes {
        /// The log.
        log: LogId,
        /// What changes.
        changes: AttributeChanges,
    },
}

/// Number of each command in its encoding. Never used again for anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum LogCommandKind {
    /// [`LogCommand::Create`].
    Create = 1,
    /// [`LogCommand::Delete`].
    Delete = 2,
    /// [`LogCommand::Append`].
    Append = 3,
    /// [`LogCommand::AppendCreate`].
    AppendCreate = 4,
    /// [`LogCommand::Trim`].
    Trim = 5,
    /// [`LogCommand::Retain`].
    Retain = 6,
    /// [`LogCommand::SetAttributes`].
    SetAttributes = 7,
}

impl LogCommandKind {
    /// Every kind.
    const ALL: [LogCommandKind; 7] = [
        LogCommandKind::Create,
        LogCommandKind::Delete,
        LogCommandKind::Append,
        LogCommandKind::AppendCreate,
        LogCommandKind::Trim,
        LogCommandKind::Retain,
        LogCommandKind::SetAttributes,
    ];

    /// The kind of this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<LogCommandKind> {
        LogCommandKind::ALL.into_iter().find(|kind| *kind as u8 == number)
    }
}

impl<'a> LogCommand<'a> {
    /// The command's kind.
    #[must_use]
    pub fn kind(&self) -> LogCommandKind {
        match self {
            LogCommand::Create { .. } => LogCommandKind::Create,
            LogCommand::Delete { .. } => LogCommandKind::Delete,
            LogCommand::Append { .. } => LogCommandKind::Append,
            LogCommand::AppendCreate { .. } => LogCommandKind::AppendCreate,
            LogCommand::Trim { .. } => LogCommandKind::Trim,
            LogCommand::Retain { .. } => LogCommandKind::Retain,
            LogCommand::SetAttributes { .. } => LogCommandKind::SetAttributes,
        }
    }

    /// The entries that the command appends, none for a command that appends nothing.
    #[must_use]
    pub fn entries(&self) -> Option<EntriesRef<'a>> {
        match *self {
            LogCommand::Create { .. }
            | LogCommand::Delete { .. }
            | LogCommand::Trim { .. }
            | LogCommand::Retain { .. }
            | LogCommand::SetAttributes { .. } => None,
            LogCommand::Append { entries, .. } | LogCommand::AppendCreate { entries, .. } => {
                Some(entries)
            }
        }
    }

    /// The name that the command gives to a log, or finds it by.
    pub(super) fn name(&self) -> Option<&'a str> {
        match *self {
            LogCommand::Create { name, .. } | LogCommand::AppendCreate { name, .. } => Some(name),
            LogCommand::Delete { .. }
            | LogCommand::Append { .. }
            | LogCommand::Trim { .. }
            | LogCommand::Retain { .. }
            | LogCommand::SetAttributes { .. } => None,
        }
    }
}
