//! Errors that travel: each has a number, a name, an outcome, a retry hint and a text.

use crate::types::{Index, LogId, LostRange, NodeId, ShardId};
use std::fmt;
use thiserror::Error;

/// Why a request was not done, or why nobody knows whether it was.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{code}: {text} ({outcome})")]
pub struct RequestError {
    /// The error's number and name; the other fields are what it says of this request.
    pub code: ErrorCode,
    /// Whether the request took effect: this decides what may be sent again.
    pub outcome: Outcome,
    /// What the client does next; the node sets it.
    pub retry: Retry,
    /// How long to wait before that, in milliseconds.
    pub retry_after_ms: u32,
    /// What programs need to know of this error.
    pub detail: Detail,
    /// What people need to know of this error.
    pub text: String,
}

/// Whether a request took effect, as far as the node can know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Outcome {
    /// It did not and will not.
    NotExecuted = 0,
    /// It took effect.
    Executed = 1,
    /// It may have, or may still.
    Unknown = 2,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Outcome::NotExecuted => "not executed",
            Outcome::Executed => "executed",
            Outcome::Unknown => "outcome unknown",
        })
    }
}

/// What a client does next. Whether a request may be sent again is the outcome's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Retry {
    /// The same request fails again until somebody changes something.
    No = 0,
    /// The same node may do it after a pause.
    Here = 1,
    /// Another node may do it: the one named in the detail, or any.
    Elsewhere = 2,
}

/// What programs need to know of an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Detail {
    /// The code says all there is.
    None,
    /// [`ErrorCode::NotLeader`]: who leads, if anybody is known to.
    Leader(Option<Leader>),
    /// [`ErrorCode::ExpectMismatch`], [`ErrorCode::Sealed`], [`ErrorCode::PastEnd`]: the log and its
    /// actual next index.
    Next {
        /// The log's identity.
        log: LogId,
        /// The index that its next entry gets.
        next: Index,
    },
    /// [`ErrorCode::Trimmed`]: the log and the first index that can be read.
    First {
        /// The log's identity.
        log: LogId,
        /// The first index that can be read.
        first: Index,
    },
    /// [`ErrorCode::Lost`]: the log and the lost entries.
    Lost {
        /// The log's identity.
        log: LogId,
        /// The lost entries.
        range: LostRange,
    },
    /// [`ErrorCode::LogExists`]: the log that has the name.
    Log(LogId),
    /// [`ErrorCode::WrongShard`]: the shard that the log lives in.
    Shard(ShardId),
    /// [`ErrorCode::TooLarge`]: the limit that was passed.
    Limit(u64),
    /// [`ErrorCode::VersionMismatch`]: the versions that the answering node speaks.
    Versions {
        /// The lowest version it speaks.
        min: u16,
        /// The highest version it speaks.
        max: u16,
    },
    /// [`ErrorCode::NoQuorum`]: the cluster has not formed. The members that the node has not met;
    /// none where they are about to meet.
    Unformed(Vec<NodeId>),
}

/// The node that leads a shard, as the answering node knows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Leader {
    /// The leader's id.
    pub node: NodeId,
    /// Where the leader listens for clients, as `host:port`.
    pub address: String,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $number:literal $name:ident $outcome:ident $retry:ident $ms:literal;)*) => {
        /// An error's number and name. Numbers are never used again for anything else.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ErrorCode {
            $($(#[$doc])* $name,)*
            /// A number that this version does not know: go by outcome and retry hint.
            Unrecognised(u16),
        }

        impl ErrorCode {
            /// Every code that this version knows.
            pub const ALL: &'static [ErrorCode] = &[$(ErrorCode::$name,)*];

            /// Returns the number that stands for the code on the wire.
            #[must_use]
            pub fn number(self) -> u16 {
                match self {
                    $(ErrorCode::$name => $number,)*
                    ErrorCode::Unrecognised(number) => number,
                }
            }

            /// Returns the code that a number stands for.
            #[must_use]
            pub fn from_number(number: u16) -> ErrorCode {
                match number {
                    $($number => ErrorCode::$name,)*
                    number => ErrorCode::Unrecognised(number),
                }
            }

            /// Returns the name, as the table of `docs/PROTOCOL.md` has it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(ErrorCode::$name => stringify!($name),)*
                    ErrorCode::Unrecognised(_) => "Unrecognised",
                }
            }

            /// Returns the outcome, retry hint and pause that the code has unless a reply says
            /// otherwise.
            #[must_use]
            pub fn defaults(self) -> (Outcome, Retry, u32) {
                match self {
                    $(ErrorCode::$name => (Outcome::$outcome, Retry::$retry, $ms),)*
                    ErrorCode::Unrecognised(_) => (Outcome::Unknown, Retry::No, 0),
                }
            }
        }
    };
}

codes! {
    /// This node does not lead the shard; the detail says who does.
    1 NotLeader NotExecuted Elsewhere 0;
    /// Nobody is known to lead the shard, or its leader reaches no quorum.
    2 NoQuorum NotExecuted Elsewhere 20;
    /// The node leads, or follows, but has not caught up enough to serve yet.
    3 NotReady NotExecuted Here 50;
    /// A bound of this node is reached; it goes on when its queue is shorter.
    4 Overloaded NotExecuted Here 20;
    /// The disk has no space for appends; they resume by themselves.
    5 DiskFull NotExecuted Here 1000;
    /// The node is stopping and takes no more requests.
    6 ShuttingDown NotExecuted Elsewhere 0;
    /// Leadership was lost while the request was under way.
    7 LeadershipLost Unknown No 0;
    /// The entries are damaged on this node; others hold them.
    8 Damaged NotExecuted Elsewhere 0;
    /// The node has as many connections as it takes.
    9 TooManyConnections NotExecuted Elsewhere 1000;
    /// The log lives in another shard than the connection's.
    20 WrongShard NotExecuted No 0;
    /// No log has this name or id.
    21 UnknownLog NotExecuted No 0;
    /// A log of this name exists; the detail has its id.
    22 LogExists NotExecuted No 0;
    /// The log's next index is not the expected one.
    23 ExpectMismatch NotExecuted No 0;
    /// An earlier append of the same log and chain on this connection failed.
    24 PriorFailed NotExecuted No 0;
    /// An entry, an append or a frame is over its limit.
    25 TooLarge NotExecuted No 0;
    /// The name breaks the rules for names.
    26 BadName NotExecuted No 0;
    /// An entry does not fit its checksum.
    27 BadChecksum NotExecuted No 0;
    /// The message cannot be read, or contradicts itself.
    28 BadRequest NotExecuted No 0;
    /// The node does not know this kind of request, option or flag.
    29 Unsupported NotExecuted No 0;
    /// Reserved: the credential does not allow it.
    30 Denied NotExecuted No 0;
    /// The entries were trimmed; the detail has the first index that can be read.
    31 Trimmed NotExecuted No 0;
    /// The log is sealed: it takes no more entries.
    32 Sealed NotExecuted No 0;
    /// The log has not come to the index up to which it is to be trimmed.
    33 PastEnd NotExecuted No 0;
    /// The entries were declared lost: no member has them any more. The detail has the range.
    34 Lost NotExecuted No 0;
    /// A member has entries that are to be declared lost, or may have; or the log has no such entries.
    35 NotLost NotExecuted No 0;
    /// Client and node have no protocol version in common.
    40 VersionMismatch NotExecuted No 0;
    /// The node belongs to another cluster than the one asked for.
    41 WrongCluster NotExecuted No 0;
    /// This port is for peers, or for clients, and the other one called.
    42 WrongPort NotExecuted No 0;
    /// The node failed in a way that it did not foresee.
    60 Internal Unknown No 0;
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ErrorCode::Unrecognised(number) => write!(f, "error {number}"),
            known => f.write_str(known.name()),
        }
    }
}

impl RequestError {
    /// Makes an error with its code's own outcome and retry hint.
    #[must_use]
    pub fn new(code: ErrorCode, text: impl Into<String>) -> RequestError {
        let (outcome, retry, retry_after_ms) = code.defaults();
        RequestError {
            code,
            outcome,
            retry,
            retry_after_ms,
            detail: Detail::None,
            text: text.into(),
        }
    }

    /// Returns the same error with this detail.
    #[must_use]
    pub fn with_detail(mut self, detail: Detail) -> RequestError {
        self.detail = detail;
        self
    }

    /// This node does not lead; `leader` does, if anybody is known to.
    #[must_use]
    pub fn not_leader(leader: Option<Leader>) -> RequestError {
        let text = match &leader {
            Some(leader) => format!("node {} at {} leads the shard", leader.node, leader.address),
            None => "this node does not lead the shard and knows of no leader".to_string(),
        };
        RequestError::new(ErrorCode::NotLeader, text).with_detail(Detail::Leader(leader))
    }

    /// The log's next index is not the expected one.
    #[must_use]
    pub fn expect_mismatch(log: LogId, expected: Index, next: Index) -> RequestError {
        let text = format!("expected next index {expected}, but it is {next}");
        RequestError::new(ErrorCode::ExpectMismatch, text).with_detail(Detail::Next { log, next })
    }

    /// The entry at `from` was trimmed.
    #[must_use]
    pub fn trimmed(log: LogId, from: Index, first: Index) -> RequestError {
        let text = format!("entry {from} was trimmed; the first that can be read is {first}");
        RequestError::new(ErrorCode::Trimmed, text).with_detail(Detail::First { log, first })
    }

    /// The entry asked for is one of those that were declared lost.
    #[must_use]
    pub fn lost(log: LogId, range: LostRange) -> RequestError {
        let text = format!(
            "{range} were declared lost: no member has them any more; read on from {}",
            range.before
        );
        RequestError::new(ErrorCode::Lost, text).with_detail(Detail::Lost { log, range })
    }

    /// The log is sealed.
    #[must_use]
    pub fn sealed(log: LogId, next: Index) -> RequestError {
        let text = format!("the log is sealed at index {next}: it takes no more entries");
        RequestError::new(ErrorCode::Sealed, text).with_detail(Detail::Next { log, next })
    }

    /// The log has not come to the index up to which it is to be trimmed.
    #[must_use]
    pub fn past_end(log: LogId, next: Index) -> RequestError {
        let text = format!("the log's next index is {next}: nothing behind it can be trimmed");
        RequestError::new(ErrorCode::PastEnd, text).with_detail(Detail::Next { log, next })
    }

    /// The name is taken by `log`.
    #[must_use]
    pub fn log_exists(log: LogId) -> RequestError {
        let text = format!("the name belongs to log {log}");
        RequestError::new(ErrorCode::LogExists, text).with_detail(Detail::Log(log))
    }

    /// The log lives in `shard`, the connection is for another one.
    #[must_use]
    pub fn wrong_shard(shard: ShardId) -> RequestError {
        let text = format!("the log lives in shard {shard}");
        RequestError::new(ErrorCode::WrongShard, text).with_detail(Detail::Shard(shard))
    }
}
