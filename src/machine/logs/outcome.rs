//! What becomes of the commands on logs.

use crate::types::{Index, LogId};

/// What became of one command on a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogOutcome {
    /// The log was created.
    Created(LogId),
    /// Nothing was created: this log has the name.
    Exists(LogId),
    /// The log was deleted and its name is free; its id is never used again.
    Deleted(LogId),
    /// Every entry was appended, at consecutive indexes.
    Appended {
        /// The log; a new one if `first` is 0 and the command was
        /// [`LogCommand::AppendCreate`](super::LogCommand::AppendCreate).
        log: LogId,
        /// Index of the first entry.
        first: Index,
        /// How many entries were appended, at least one.
        count: u32,
    },
    /// Nothing was appended: the log's next index is not the one expected.
    ExpectMismatch {
        /// The log; none when it would have had to be created.
        log: Option<LogId>,
        /// The log's next index when the append was applied.
        next: Index,
    },
    /// The log's entries before `first` are trimmed; there was nothing to trim if they were before.
    Trimmed {
        /// The log.
        log: LogId,
        /// The first index that can be read.
        first: Index,
        /// Its next index.
        next: Index,
        /// How many entries this command trimmed.
        entries: u64,
        /// Payload bytes of the whole extents among them, as its leader found them.
        bytes: u64,
    },
    /// Nothing was trimmed: the log has not come to that index.
    PastEnd {
        /// The log.
        log: LogId,
        /// Its next index.
        next: Index,
    },
    /// The attributes are as the change has them.
    AttributesSet(LogId),
    /// Nothing was appended: the log is sealed.
    Sealed {
        /// The log.
        log: LogId,
        /// Its next index, which stays.
        next: Index,
    },
    /// Nothing was done: there is no such log, or no longer.
    UnknownLog,
    /// Nothing was done: the log belongs to another shard (C22).
    WrongShard,
    /// Nothing was done: no log can have that name.
    BadName,
}
