//! What clients ask and what nodes answer. One struct per message; `docs/PROTOCOL.md` has every
//! field's place in the frame.

use super::entries::Entries;
use super::error::WireError;
use super::name::LogName;
pub use super::status::{
    ClusterMap, DiskSpace, Member, PeerStatus, Progress, Role, ShardLeader, ShardStatus,
    StatusReply,
};
use crate::types::{Ballot, Index, LogId, ShardId, Slot};

/// A client's request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Create a log.
    Create(Create),
    /// Delete a log.
    Delete(Delete),
    /// List this shard's logs by prefix.
    List(List),
    /// One log's data.
    Stat(Stat),
    /// Append entries as one atomic batch.
    Append(Append),
    /// Read a range of entries.
    Read(Read),
    /// The answering shard's state.
    Status,
    /// Members, shards, leaders.
    Map,
    /// Are you there?
    Ping,
}

/// A log, by the name it has now or by its identity, which is never used again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogRef {
    /// By name.
    Name(LogName),
    /// By identity.
    Id(LogId),
}

impl LogRef {
    /// The shard that holds the log, in a cluster of `shards` shards.
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

/// Creates a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Create {
    /// The name.
    pub name: LogName,
}

/// Deletes a log with its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delete {
    /// The log.
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

/// Asks for one log's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The log.
    pub log: LogRef,
    /// How fresh the answer must be.
    pub consistency: Consistency,
}

/// Appends entries as one atomic batch: all of them, at consecutive indexes, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// The log.
    pub log: LogRef,
    /// Only if the log's next index is this one.
    pub expect: Option<Index>,
    /// 0: independent. Otherwise: once an append of this log and chain on this connection failed,
    /// later ones are refused (`PriorFailed`) without being executed.
    pub chain: u32,
    /// Create the log if its name is not taken; never with a [`LogRef::Id`].
    pub create: bool,
    /// The entries, at least one.
    pub entries: Entries,
}

/// Reads a range of entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// The log.
    pub log: LogRef,
    /// First index wanted.
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

/// Stands in front of every reply: who answered, and how far it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyHeader {
    /// The shard that answered; [`NO_SHARD`] when no shard did.
    pub shard: ShardId,
    /// The leadership that the answering node knows of.
    pub epoch: Ballot,
    /// Slots that the answering node has applied.
    pub applied_upto: Slot,
}

/// In a Hello: any shard, for Status, Map and Ping only. In a reply: no shard answered.
pub const NO_SHARD: ShardId = ShardId(0xFFFF);

impl ReplyHeader {
    /// The header of a reply that no shard gave.
    pub const NOBODY: ReplyHeader =
        ReplyHeader { shard: NO_SHARD, epoch: Ballot::ZERO, applied_upto: Slot(0) };
}

/// A node's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// To [`Create`].
    Created(Created),
    /// To [`Delete`].
    Deleted,
    /// To [`List`].
    Listed(Listed),
    /// To [`Stat`].
    Stated(LogStat),
    /// To [`Append`].
    Appended(Appended),
    /// To [`Read`].
    ReadDone(ReadDone),
    /// To [`Request::Status`].
    Status(Box<StatusReply>),
    /// To [`Request::Map`].
    Map(ClusterMap),
    /// To [`Request::Ping`].
    Pong,
    /// To any request: it was not done, or it is not known whether it was.
    Error(WireError),
}

/// The log exists now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Created {
    /// Its identity.
    pub id: LogId,
}

/// One page of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The logs, ordered by the bytes of their names.
    pub logs: Vec<LogStat>,
    /// There are more behind the last one.
    pub more: bool,
}

/// One log's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogStat {
    /// Its name.
    pub name: LogName,
    /// Its identity.
    pub id: LogId,
    /// The index that the next entry gets: the number of entries ever appended.
    pub next_index: Index,
    /// Bytes of its entries, without prefixes.
    pub bytes: u64,
    /// When it was created: milliseconds since 1970 on the clock of the leader of that time.
    pub created_ms: u64,
}

/// The entries are on stable storage at a quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The log's identity.
    pub id: LogId,
    /// Index of the first entry; the others follow.
    pub first: Index,
    /// How many entries were appended.
    pub count: u32,
}

impl Appended {
    /// The index behind the last of these entries: the log's next one, unless somebody else has
    /// appended since.
    #[must_use]
    pub fn next(&self) -> Index {
        self.first.plus(u64::from(self.count))
    }
}

/// A range of entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadDone {
    /// The log's identity.
    pub id: LogId,
    /// Index of the first entry of this answer: the `from` of the request.
    pub from: Index,
    /// The log's next index; an answer that ends there reached the tail.
    pub next: Index,
    /// The entries; none at the tail.
    pub entries: Entries,
}
