//! A stand-in with the signatures of the shard, until the real one is merged: it answers nothing
//! but that it is not ready.

use crate::config::Config;
use crate::journal::{Done, Job, Journal, Recovered};
use crate::types::{ConnId, Incarnation, NodeId, ShardId, Tick};
use crate::wire::client::{LogRef, Reply, ReplyHeader, Request};
use crate::wire::error::{ErrorCode, WireError};
use crate::wire::peer::Message;
use crate::wire::peer_hello::PeerRefusal;
use crate::wire::status::{Role, ShardStatus};

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
    /// A client connected.
    ClientUp {
        /// Its connection.
        conn: ConnId,
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
    now: Tick,
}

impl Shard {
    /// A shard as recovered.
    #[must_use]
    pub fn new(
        _config: &Config,
        shard: ShardId,
        _incarnation: Incarnation,
        _journal: Journal,
        _recovered: Recovered,
        now: Tick,
        _seed: u64,
    ) -> Shard {
        Shard { header: ReplyHeader { shard, ..ReplyHeader::NOBODY }, now }
    }

    /// Takes an input in.
    pub fn step(&mut self, now: Tick, input: Input, out: &mut Vec<Output>) {
        self.now = now;
        match input {
            Input::Client { conn, correlation, .. } => {
                let error = WireError::new(ErrorCode::NotReady, "a stand-in");
                let (header, reply) = (self.header, Reply::Error(error));
                out.push(Output::Client { conn, correlation, header, reply });
            }
            Input::HandOver => out.push(Output::Stopped),
            Input::Tick
            | Input::PeerUp { .. }
            | Input::PeerDown { .. }
            | Input::Peer { .. }
            | Input::ClientUp { .. }
            | Input::ClientDown { .. }
            | Input::ChainFailed { .. }
            | Input::Disk(_) => {}
        }
    }

    /// When it wants its next tick at the latest.
    #[must_use]
    pub fn next_deadline(&self) -> Tick {
        self.now.after(50_000)
    }

    /// Clients are not to be read from.
    #[must_use]
    pub fn congested(&self) -> bool {
        false
    }

    /// Its state.
    #[must_use]
    pub fn status(&self) -> ShardStatus {
        ShardStatus {
            shard: self.header.shard,
            role: Role::Follower,
            leader: None,
            epoch: self.header.epoch,
            promised: self.header.epoch,
            durable_upto: 0,
            chosen_upto: self.header.applied_upto,
            applied_upto: self.header.applied_upto,
            trimmed_upto: self.header.applied_upto,
            digest: 0,
            logs: 0,
            damaged_slots: 0,
            segments: 0,
            disk_bytes: 0,
            has_room: true,
            peers: Vec::new(),
        }
    }

    /// Whether this incarnation of a node may come in.
    ///
    /// # Errors
    /// The refusal.
    pub fn peer_hello(
        &mut self,
        _node: NodeId,
        _incarnation: Incarnation,
    ) -> Result<(), PeerRefusal> {
        Ok(())
    }
}
