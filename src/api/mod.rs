//! What clients ask and what nodes answer, as values: requests, replies, errors, entries, status.
//!
//! Nothing here knows of bytes on a connection: [`crate::wire`] encodes these values for this protocol, and
//! another listener would encode them in another way.

mod attributes;
pub mod entries;
pub mod error;
mod logs;
mod lost;
pub mod name;
mod operation;
pub mod status;

// All of what is asked and answered, so that another operation needs no line here.
pub use attributes::{AttributeChanges, LogAttributes, Retention};
pub use logs::*;
pub use lost::*;
pub use operation::{NO_SHARD, Reply, ReplyHeader, Request, RequestKind};
pub use status::{
    ClusterMap, DiskSpace, InstallPhase, InstallProgress, Member, PeerStatus, Progress, Role,
    ShardLeader, ShardStatus, StatusReply,
};
