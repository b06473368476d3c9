//! Why bytes are not a snapshot that this node can take in.

use crate::types::{FormatLevel, LogId, ShardId};
use crate::wire::codec::DecodeError;
use thiserror::Error;

/// Why no machine can be made of a snapshot's bytes.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SnapshotError {
    /// A record is not what it should be.
    #[error("the record at byte {offset} of the snapshot: {fault}")]
    Record {
        /// Where the record begins, in bytes from the snapshot's start.
        offset: u64,
        /// What is wrong with it.
        fault: RecordFault,
    },
    /// The last record is missing.
    #[error("the snapshot ends early, at byte {bytes}")]
    Incomplete {
        /// Where it ends.
        bytes: u64,
    },
    /// Two logs have the same id.
    #[error("the snapshot holds log {log} twice")]
    Duplicate {
        /// The id.
        log: LogId,
    },
    /// Entries are lost that no log has.
    #[error("the snapshot says that entries of log {log} are lost which it does not have")]
    StrayLoss {
        /// The log's id.
        log: LogId,
    },
    /// The state that was decoded is not the one that was encoded.
    #[error("the state has the digest {found:016x}, the snapshot says {stated:016x}")]
    Digest {
        /// The digest that the snapshot ends with.
        stated: u64,
        /// The digest of what was decoded.
        found: u64,
    },
}

/// What is wrong with one record of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RecordFault {
    /// The record has no bytes, or more than any record has.
    #[error("it has {bytes} bytes, at most {max}")]
    Length {
        /// The length found.
        bytes: usize,
        /// The longest that a record may be.
        max: usize,
    },
    /// The first record does not begin as a snapshot does.
    #[error("no snapshot begins with {}", found.escape_ascii())]
    Magic {
        /// What it begins with.
        found: [u8; 8],
    },
    /// The snapshot, or one of its sections, was made by a newer version of this program.
    #[error("it has format {found}, this node knows {known}: it needs an upgrade")]
    Version {
        /// The format found.
        found: u16,
        /// The newest that this node knows.
        known: u16,
    },
    /// The state has a format level that this program does not know.
    #[error("it has format level {found}, this node knows {known}: it needs an upgrade")]
    Level {
        /// The level of the state.
        found: FormatLevel,
        /// The highest that this node knows.
        known: FormatLevel,
    },
    /// The snapshot is one of another shard, or of a cluster with another number of shards.
    #[error("it is of shard {shard} of {shards}")]
    WrongShard {
        /// The shard.
        shard: ShardId,
        /// How many shards the cluster has.
        shards: u16,
    },
    /// A record of this kind has no place here.
    #[error("a record of kind {kind} has no place here")]
    Order {
        /// The number of the kind.
        kind: u8,
    },
    /// The section of this feature has no place here.
    #[error("the section of feature {feature} has no place here")]
    Section {
        /// The feature's number.
        feature: u8,
    },
    /// The section before has another number of items than it says.
    #[error("the section before says that it holds {stated} items, but holds {found}")]
    Count {
        /// The number in its head.
        stated: u64,
        /// The number found.
        found: u64,
    },
    /// Names do not rise.
    #[error("its name does not come after the one before it")]
    NameOrder,
    /// A log of this name belongs to another shard (C22).
    #[error("a log of this name belongs to shard {owner}")]
    WrongOwner {
        /// The shard.
        owner: ShardId,
    },
    /// The bytes end too early, too late, or hold what the format does not allow.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
}
