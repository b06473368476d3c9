//! The blocking client library: `std::net`, every wait with a deadline. It starts threads only
//! where it would else have to wait for one thing after the other, or without end: to ask all nodes
//! for their state at once, and to resolve names.
//!
//! A [`Client`] finds the cluster through any node, keeps one connection per shard it uses, follows
//! leaders, and tries again only what is safe: what certainly was not executed, and what changes
//! nothing. Every failure says by its [`Outcome`] whether it took effect. An append whose outcome
//! is unknown is never sent again behind the caller's back; [`Client::settle`] finds out about one
//! that named the index it expected.
//!
//! [`Appender`], [`Reader`] and [`Follow`] come out of a client and stand on their own: each has a
//! connection of its own, so that the client goes on meanwhile, and may go to another thread.
//!
//! Protocol and sockets are apart: `session`, `routes`, `retry_policy`, `window` hold the logic and
//! touch no socket; `link` is the only place that does.

mod api;
mod core;
mod deadline;
mod dial;
mod error;
mod error_hints;
mod follow;
mod foreign;
mod fork;
mod last_entry;
mod leaderless;
mod link;
mod lost;
mod options;
mod pipeline;
mod reader;
mod resolve;
mod retry;
mod retry_policy;
mod routes;
mod session;
mod settle;
mod status;
mod waiting;
mod window;
#[cfg(test)]
mod window_tests;

pub use self::api::{AppendOptions, ReadOptions};
pub use self::core::Client;
pub use self::error::{
    Cause, ClientError, Elsewhere, Failure, Invalid, Operation, ProtocolError, Stage,
};
#[doc(hidden)]
pub use self::error_hints::start_unmet;
pub use self::follow::{Follow, FollowOptions, Followed, OnGap};
pub use self::last_entry::LastEntry;
pub use self::lost::{Gap, GapReason};
pub use self::options::{ClientOptions, ToLog};
pub use self::pipeline::{Appender, AppenderOptions, Completed};
pub use self::reader::{FinishedRead, Reader, ReaderOptions};
pub use self::settle::Settlement;
pub use self::status::{ClusterStatus, NodeReport, NodeStatus};
pub use self::waiting::{OnWait, RetryWait};
pub use crate::api::entries::{Entries, Entry};
pub use crate::api::error::{ErrorCode, Outcome, RequestError};
pub use crate::api::name::{LogName, NameError};
pub use crate::api::{
    Appended, AttributeChanges, ClusterMap, Consistency, DeclaredLost, DiskSpace, InstallPhase,
    InstallProgress, LogAttributes, LogRef, LogStat, Member, PeerStatus, Progress, ReadDone,
    Retention, Role, ShardLeader, ShardStatus, Trimmed,
};
pub use crate::types::{ClusterId, Index, LogId, LostRange, NodeId, ShardId};
