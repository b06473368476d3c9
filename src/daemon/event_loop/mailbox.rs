//! What other threads send to a shard's thread.

use crate::daemon::net::admission::Permit;
use crate::daemon::net::conn::Conn;
use crate::daemon::net::resolve::Lookup;
use crate::daemon::waker::LoopWaker;
use crate::types::NodeId;
use crate::wire::peer::hello::PeerHello;
use crossbeam::channel::{Receiver, Sender, bounded};

/// Messages that may wait for one shard.
const MESSAGES_MAX: usize = 1024;
/// Places kept free for messages that must not be lost.
const RESERVED: usize = 64;

/// One message.
#[derive(Debug)]
pub enum ShardMessage {
    /// A client whose Hello was accepted.
    Client(Box<NewClient>),
    /// A peer whose greeting fits this node, as far as the main thread knows.
    Peer(Box<NewPeer>),
    /// Where a peer is.
    Resolved {
        /// The member whose name was looked up.
        node: NodeId,
        /// Its addresses, or why they are not known.
        answer: Lookup,
    },
    /// Hand leadership over and stop.
    HandOver,
}

/// A client that comes in.
#[derive(Debug)]
pub struct NewClient {
    /// Its connection, with what it sent behind its Hello.
    pub conn: Conn,
    /// The number of its Hello, which the answer carries.
    pub correlation: u64,
    /// The protocol version that both speak.
    pub version: u16,
    /// It greeted no shard.
    pub node_level: bool,
    /// Counts it among the clients connected for as long as this lives.
    pub permit: Permit,
}

/// A peer that comes in.
#[derive(Debug)]
pub struct NewPeer {
    /// Its connection.
    pub conn: Conn,
    /// What it sent first, which fits this node.
    pub hello: PeerHello,
    /// The version that both speak.
    pub version: u16,
}

/// The way to a shard's thread.
#[derive(Clone, Debug)]
pub struct ShardSender {
    messages: Sender<ShardMessage>,
    waker: LoopWaker,
}

impl ShardSender {
    /// A way to the loop of `waker`, and its other end.
    #[must_use]
    pub fn new(waker: LoopWaker) -> (ShardSender, Receiver<ShardMessage>) {
        let (messages, receiver) = bounded(MESSAGES_MAX);
        (ShardSender { messages, waker }, receiver)
    }

    /// Sends a message. False when too many wait: the sender of a connection closes it.
    #[must_use]
    pub fn send(&self, message: ShardMessage) -> bool {
        let must_arrive = match &message {
            ShardMessage::Client(_) | ShardMessage::Peer(_) => false,
            ShardMessage::Resolved { .. } | ShardMessage::HandOver => true,
        };
        if !must_arrive && self.messages.len() + RESERVED >= MESSAGES_MAX {
            return false;
        }
        let sent = self.messages.try_send(message).is_ok();
        self.waker.ring();
        sent
    }
}
