//! What becomes of a command that declares entries lost.

use crate::types::{Index, LogId, LostRange};

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LostOutcome {
    /// These entries are lost.
    Declared {
        /// The log.
        log: LogId,
        /// What was asked for, without what was trimmed by then.
        range: LostRange,
    },
    /// Nothing was done: all of them are trimmed by now, or the log has not come to the last of them.
    OutOfRange {
        /// The log.
        log: LogId,
        /// Its first index.
        first: Index,
        /// Its next index.
        next: Index,
    },
    /// Nothing was done: the shard has as many lost ranges as it may.
    TooMany,
    /// Nothing was done: there is no such log, or no longer.
    UnknownLog,
}
