//! What clients ask and what nodes answer, as values: requests, replies, errors, entries, status.
//!
//! Nothing here knows of bytes on a connection: [`crate::wire`] encodes these values for this protocol, and
//! another listener would encode them in another way.

pub mod entries;
pub mod error;
pub mod name;
mod reply;
mod request;
pub mod status;

pub use reply::{Appended, Created, Listed, LogStat, NO_SHARD, ReadDone, Reply, ReplyHeader};
pub use request::{Append, Consistency, Create, Delete, List, LogRef, Read, Request, Stat};
pub use status::{
    ClusterMap, DiskSpace, Member, PeerStatus, Progress, Role, ShardLeader, ShardStatus,
    StatusReply,
};
