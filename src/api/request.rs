//! What clients ask. One struct per request; `docs/PROTOCOL.md` has every field's place in the frame.

use super::entries::Entries;
use super::name::LogName;
use crate::types::{Index, LogId, ShardId};

/// What a client asks of one shard of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Creates a log.
    Create(Create),
    /// Deletes a log with its entries.
    Delete(Delete),
    /// Lists this shard's logs by prefix.
    List(List),
    /// Asks for one log's data.
    Stat(Stat),
    /// Appends entries as one atomic batch.
    Append(Append),
    /// Reads a range of entries.
    Read(Read),
    /// Asks for the state of the node and of the shard that answers.
    Status,
    /// Asks for the members, the number of shards and the leaders.
    Map,
    /// Asks for an answer and nothing else: a sign of life.
    Ping,
}

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

/// Asks for one log's data, but not for its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The log that is asked for.
    pub log: LogRef,
    /// How fresh the answer must be.
    pub consistency: Consistency,
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
