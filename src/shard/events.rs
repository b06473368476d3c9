//! What happens to a shard, and what it asks its driver to do.

use super::disk_job::{DiskDone, DiskJob};
use super::fatal::Fatal;
use crate::api::{LogRef, Reply, ReplyHeader, Request};
use crate::types::{ConnId, Incarnation, NodeId};
use crate::wire::peer::Message;

/// What happens to a shard.
#[derive(Clone, Debug)]
pub enum Input {
    /// Time has passed, or a burst of inputs is over.
    Tick,
    /// A connection to a peer is open, greeted and admitted.
    PeerUp {
        /// The member at the other end, as it greeted.
        node: NodeId,
        /// The incarnation that it greeted with.
        incarnation: Incarnation,
    },
    /// The connection to a peer is gone.
    PeerDown {
        /// The member at the other end.
        node: NodeId,
    },
    /// A message of a peer.
    Peer {
        /// The member at the other end: its sender, or whom it is for.
        node: NodeId,
        /// One decoded message, within the bounds of the protocol.
        message: Message,
    },
    /// A client's request.
    Client {
        /// The connection on which it came.
        conn: ConnId,
        /// Its number, echoed in the reply.
        correlation: u64,
        /// What is asked, decoded and within the bounds of the protocol.
        request: Request,
    },
    /// An append was refused by its bytes alone, before it became a request: later ones of its log
    /// and chain on this connection are refused too.
    ChainFailed {
        /// The connection on which the append came.
        conn: ConnId,
        /// The log that the append named, by name or by id.
        log: LogRef,
        /// The chain, not 0.
        chain: u32,
    },
    /// A client's connection is gone.
    ClientDown {
        /// The connection that is gone.
        conn: ConnId,
    },
    /// A job is done.
    Disk(DiskDone),
    /// The node stops: hand leadership over, if it is held here, take none and no more writes, and
    /// answer what is under way.
    HandOver,
    /// The process did not run until now, or not to speak of.
    Resumed,
}

/// What a shard asks its driver to do, in order.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send to a peer; drop it when there is no connection.
    Peer {
        /// The member at the other end: its sender, or whom it is for.
        node: NodeId,
        /// One decoded message, within the bounds of the protocol.
        message: Message,
    },
    /// Answer a client; drop it when the connection is gone.
    Client {
        /// The connection on which the request came.
        conn: ConnId,
        /// The number of the request that is answered.
        correlation: u64,
        /// Stands in front of every reply.
        header: ReplyHeader,
        /// What the client asked for, or why not.
        reply: Reply,
    },
    /// Run a job on a thread that may block.
    Job(DiskJob),
    /// The hand-over asked for is finished: this shard leads nothing, another does where there is one
    /// to do so, and what was in flight is answered.
    Stopped,
    /// The process must end.
    Fatal(Fatal),
}

/// A request of a client: its connection, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId {
    /// The connection on which the request came.
    pub conn: ConnId,
    /// Echoed in the reply.
    pub correlation: u64,
}
