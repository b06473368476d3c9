//! What the replicas of one shard say to each other. One struct per message.
//!
//! Messages that bind their sender (prepare, promise, accepted, grant) leave a node only after the
//! record that they imply is durable there; see `paxos::Effect::SendAfter`.

mod chosen;
mod codec;
pub mod hello;
mod install;
mod loss;
mod message;
mod pages;

pub use codec::{PeerKind, read_message, write_message};
pub use install::{InstallChunk, InstallFetch, ValuesChunk, ValuesFetch};
pub use loss::{LossAnswer, LossAsk, LossVerdict};
pub use message::{
    Accept, Accepted, Announce, Canvass, CanvassAnswer, ChosenUpto, Digest, Eligibility, Fetch,
    FetchOutcome, Fetched, Grant, HandOver, Heartbeat, Learn, Learned, LeaseRefusal, Message, Nack,
    Prepare, Promise, Release, Report, Resend,
};
