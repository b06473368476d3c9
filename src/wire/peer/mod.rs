//! What the replicas of one shard say to each other. One struct per message.
//!
//! Messages that bind their sender (prepare, promise, accepted, grant) leave a node only after the
//! record that they imply is durable there; see `paxos::Effect::SendAfter`.

mod codec;
pub mod hello;
mod message;
mod pages;

pub use codec::{PeerKind, read_message, write_message};
pub use message::{
    Accept, Accepted, Announce, Canvass, CanvassAnswer, ChosenUpto, Digest, Eligibility, Fetch,
    FetchOutcome, Fetched, Grant, HandOver, Heartbeat, Learn, Learned, LeaseRefusal, Message, Nack,
    Prepare, Promise, Release, Report, Resend,
};
