//! Requests about logs, each with its answer.

use super::attributes::{AttributeChanges, LogAttributes, Retention};
use super::entries::Entries;
use super::name::LogName;
use crate::types::{Index, LogId, ShardId};

/// A log, by the name it has now or by its identity, which is never used again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogRef {
    /// The log that has this name when the request takes effect.
    Name(LogName),
    /// The log of this identity, and no other.
    Id(LogId),
}

impl LogRef {
    /// Returns the shard that holds the log, in a cluster of `shards` shards.
    ///
    /// # Panics
    /// When `shards` is zero.
    #[must_use]
    pub fn shard(&self, shards: u16) -> ShardId {
        match self {
            LogRef::Name(name) => ShardId::of_name(name, shards),
            LogRef::Id(id) => id.shard(),
        }
    }
}

/// How fresh an answer must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Consistency {
    /// Holds everything that was acknowledged before the request was sent; leader only.
    #[default]
    Linearizable = 0,
    /// What the answering node has applied; any node.
    Local = 1,
}

/// Creates a log; an error where the name is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Create {
    /// The new log's name.
    pub name: LogName,
    /// What it keeps, from its first entry on.
    pub retention: Retention,
}

/// The log was created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Created {
    /// The new log's identity, which is never used again.
    pub id: LogId,
}

/// Deletes a log with its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delete {
    /// The log to delete.
    pub log: LogRef,
}

/// Lists the logs of the connection's shard, ordered by the bytes of their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Only names that start with this; empty for all.
    pub prefix: String,
    /// Only names behind this one; empty for all.
    pub after: String,
    /// Most logs to answer; 0 for as many as the node allows.
    pub limit: u32,
    /// How fresh the answer must be.
    pub consistency: Consistency,
}

/// One page of a list of logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The logs, ordered by the bytes of their names.
    pub logs: Vec<LogStat>,
    /// There are more behind the last one.
    pub more: bool,
}

/// Asks for one log's data, but not for its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The log that is asked for.
    pub log: LogRef,
    /// How fresh the answer must be.
    pub consistency: Consistency,
}

/// What is known of one log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogStat {
    /// The name under which it was created.
    pub name: LogName,
    /// Its identity, which is never used again.
    pub id: LogId,
    /// The first index that can be read; entries before it are trimmed.
    pub first_index: Index,
    /// The index that the next entry gets: the number of entries ever appended.
    pub next_index: Index,
    /// Bytes of its entries, without prefixes. Trimmed entries count until all that were appended in
    /// the same slot are trimmed.
    pub bytes: u64,
    /// When it was created: milliseconds since 1970 on the clock of the leader of that time.
    pub created_ms: u64,
    /// What it keeps, and whether it takes more entries.
    pub attributes: LogAttributes,
}

/// Trims entries from a log's beginning: they can be read no longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trim {
    /// The log to trim.
    pub log: LogRef,
    /// The first index that stays, at most the log's next index.
    pub before: Index,
}

/// The entries before an index are trimmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trimmed {
    /// The log's identity.
    pub id: LogId,
    /// The first index that can be read. Higher than asked for, where more was trimmed before.
    pub first: Index,
    /// The log's next index.
    pub next: Index,
}

/// Changes a log's attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAttributes {
    /// The log to change.
    pub log: LogRef,
    /// What changes.
    pub changes: AttributeChanges,
}

/// Appends entries as one atomic batch: all of them, at consecutive indexes, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// The log to append to.
    pub log: LogRef,
    /// Only if the log's next index is this one.
    pub expect: Option<Index>,
    /// 0: independent. Otherwise: once an append of this log and chain on this connection failed,
    /// later ones are refused (`PriorFailed`) without being executed.
    pub chain: u32,
    /// Create the log if its name is not taken; never with a [`LogRef::Id`].
    pub create: bool,
    /// The entries, at least one, within the cluster's limits.
    pub entries: Entries,
}

/// The entries are on stable storage at a quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The identity of the log that holds the entries.
    pub id: LogId,
    /// Index of the first entry; the others follow.
    pub first: Index,
    /// How many entries this append had; at least one.
    pub count: u32,
}

impl Appended {
    /// Returns the index behind the last of these entries: the log's next one, unless somebody else
    /// has appended since.
    #[must_use]
    pub fn next(&self) -> Index {
        self.first.plus(u64::from(self.count))
    }
}

/// Reads a range of entries from `from` on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// The log to read.
    pub log: LogRef,
    /// The first index wanted; one behind the tail is waited for, or answered with nothing.
    pub from: Index,
    /// Most entries to answer; 0 for as many as the node allows.
    pub max_entries: u32,
    /// Most bytes of encoded entries to answer; 0 for as many as the node allows. One entry is
    /// answered even when it alone is larger.
    pub max_bytes: u32,
    /// How long to wait for an entry at `from` when there is none yet.
    pub wait_ms: u32,
    /// How fresh the answer must be.
    pub consistency: Consistency,
}

/// Entries of one log, at consecutive indexes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadDone {
    /// The identity of the log that was read.
    pub id: LogId,
    /// Index of the first entry of this answer: the `from` of the request.
    pub from: Index,
    /// The first index of the log that can be read.
    pub first: Index,
    /// The log's next index; an answer that ends there reached the tail.
    pub next: Index,
    /// The entries; none at the tail.
    pub entries: Entries,
}
