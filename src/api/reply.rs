//! What nodes answer. One struct per reply; `docs/PROTOCOL.md` has every field's place in the frame.

use super::entries::Entries;
use super::error::RequestError;
use super::name::LogName;
use super::status::{ClusterMap, StatusReply};
use crate::types::{Ballot, Index, LogId, ShardId, Slot};

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

/// A node's answer to one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Answers [`super::Create`].
    Created(Created),
    /// Answers [`super::Delete`]: the log is gone.
    Deleted,
    /// Answers [`super::List`].
    Listed(Listed),
    /// Answers [`super::Stat`].
    Stated(LogStat),
    /// Answers [`super::Append`].
    Appended(Appended),
    /// Answers [`super::Read`].
    ReadDone(ReadDone),
    /// Answers [`super::Request::Status`].
    Status(Box<StatusReply>),
    /// Answers [`super::Request::Map`].
    Map(ClusterMap),
    /// Answers [`super::Request::Ping`].
    Pong,
    /// To any request: it was not done, or it is not known whether it was.
    Error(RequestError),
}

/// The log was created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Created {
    /// The new log's identity, which is never used again.
    pub id: LogId,
}

/// One page of a list of logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The logs, ordered by the bytes of their names.
    pub logs: Vec<LogStat>,
    /// There are more behind the last one.
    pub more: bool,
}

/// What is known of one log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogStat {
    /// The name under which it was created.
    pub name: LogName,
    /// Its identity, which is never used again.
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

/// Entries of one log, at consecutive indexes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadDone {
    /// The identity of the log that was read.
    pub id: LogId,
    /// Index of the first entry of this answer: the `from` of the request.
    pub from: Index,
    /// The log's next index; an answer that ends there reached the tail.
    pub next: Index,
    /// The entries; none at the tail.
    pub entries: Entries,
}
