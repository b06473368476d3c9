//! Requests about lost entries, each with its answer.

use super::logs::{Consistency, LogRef};
use crate::types::{Index, LogId, LostRange};

/// Declares entries lost. The leader asks every member first, and refuses where one has any of them, or may have,
/// or does not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclareLost {
    /// The log.
    pub log: LogRef,
    /// The first entry; not before the log's first index.
    pub from: Index,
    /// The index behind the last one; at most the log's next index.
    pub before: Index,
}

/// The entries are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeclaredLost {
    /// The log's identity.
    pub id: LogId,
    /// The entries that were declared; fewer than asked for where some were trimmed meanwhile.
    pub range: LostRange,
}

/// Asks which entries of a log are lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListLost {
    /// The log.
    pub log: LogRef,
    /// How fresh the answer must be.
    pub consistency: Consistency,
}

/// The lost entries of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedLost {
    /// The log's identity.
    pub id: LogId,
    /// The ranges, by rising index; between two of them some entry is not lost.
    pub ranges: Vec<LostRange>,
}
