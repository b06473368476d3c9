//! A stand-in with the signatures of the shard, until the real one is merged: it answers nothing
//! but that it is not ready.

use crate::journal::{Done, Job, Journal, Recovered};
use crate::types::{ConnId, Incarnation, NodeId, ShardId, Slot, Tick};
use crate::wire::client::{LogRef, Reply, ReplyHeader, Request};
use crate::wire::error::{ErrorCode, WireError};
use crate::wire::peer::Message;
use crate::wire::status::ShardLeader;

/// What happens to a shard.
#[derive(Debug)]
pub enum Input {
    /// The end of a burst of inputs; time passes.
    Tick,
    /// A connection to a peer stands.
    PeerUp {
        /// The peer.
        node: NodeId,
        /// Its incarnation.
        incarnation: Incarnation,
    },
    /// The connection to a peer is gone.
    PeerDown {
        /// The peer.
        node: NodeId,
    },
    /// A peer's message.
    Peer {
        /// The peer.
        node: NodeId,
        /// The message.
        message: Message,
    },
    /// A client's connection is gone.
    ClientDown {
        /// Its connection.
        conn: ConnId,
    },
    /// A client's request.
    Client {
        /// Its connection.
        conn: ConnId,
        /// Pairs the answer with the request.
        correlation: u64,
        /// The request.
        request: Request,
    },
    /// An append of this chain was refused by its bytes alone: those behind it fail too.
    ChainFailed {
        /// The connection.
        conn: ConnId,
        /// The log.
        log: LogRef,
        /// The chain.
        chain: u32,
    },
    /// A job's outcome.
    Disk(Done),
    /// Hand leadership over, then stop.
    HandOver,
}

/// What a shard wants done.
#[derive(Debug)]
pub enum Output {
    /// Send to a peer.
    Peer {
        /// The peer.
        node: NodeId,
        /// The message.
        message: Message,
    },
    /// Answer a client.
    Client {
        /// Its connection.
        conn: ConnId,
        /// The request's.
        correlation: u64,
        /// Who answers.
        header: ReplyHeader,
        /// The answer.
        reply: Reply,
    },
    /// Run a job.
    Job(Job),
    /// Handed over: the shard may stop.
    Stopped,
    /// End the process.
    Fatal {
        /// The exit code.
        exit: u8,
        /// Why.
        text: String,
    },
}

/// One shard.
#[derive(Debug)]
pub struct Shard {
    header: ReplyHeader,
    leaders: Vec<ShardLeader>,
}

impl Shard {
    /// A shard as recovered.
    #[must_use]
    pub fn start(
        shard: ShardId,
        _journal: Journal,
        _recovered: Recovered,
        _now: Tick,
        _out: &mut Vec<Output>,
    ) -> Shard {
        Shard { header: ReplyHeader { shard, ..ReplyHeader::NOBODY }, leaders: Vec::new() }
    }

    /// Takes an input in.
    pub fn step(&mut self, _now: Tick, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Client { conn, correlation, request } => {
                let reply = match request {
                    Request::Ping => Reply::Pong,
                    _ => Reply::Error(WireError::new(ErrorCode::NotReady, "a stand-in")),
                };
                out.push(Output::Client { conn, correlation, header: self.header, reply });
            }
            Input::HandOver => out.push(Output::Stopped),
            Input::Tick
            | Input::PeerUp { .. }
            | Input::PeerDown { .. }
            | Input::Peer { .. }
            | Input::ClientDown { .. }
            | Input::ChainFailed { .. }
            | Input::Disk(_) => {}
        }
    }

    /// When it wants its next tick at the latest.
    #[must_use]
    pub fn next_deadline(&self, now: Tick) -> Tick {
        now.after(50_000)
    }

    /// Clients are not to be read from.
    #[must_use]
    pub fn congested(&self) -> bool {
        false
    }

    /// The wall clock.
    pub fn set_wall_ms(&mut self, _wall_ms: u64) {}

    /// What other shards know of their leaders.
    pub fn note_leaders(&mut self, leaders: impl IntoIterator<Item = ShardLeader>) {
        self.leaders = leaders.into_iter().collect();
    }

    /// Slots applied.
    #[must_use]
    pub fn applied_upto(&self) -> Slot {
        self.header.applied_upto
    }

    /// Who leads.
    #[must_use]
    pub fn leader(&self) -> ShardLeader {
        ShardLeader { shard: self.header.shard, epoch: self.header.epoch, node: None }
    }

    /// Whether this incarnation of a node may come in.
    ///
    /// # Errors
    /// The incarnation known; none for no member.
    pub fn admits(&self, _node: NodeId, _as_of: Incarnation) -> Result<(), Option<Incarnation>> {
        Ok(())
    }
}
