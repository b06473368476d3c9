//! What the main thread makes of the first bytes of a connection.

use crate::api::error::{ErrorCode, RequestError};
use crate::api::{NO_SHARD, Reply, ReplyHeader};
use crate::daemon::event_loop::mailbox::{NewClient, NewPeer, ShardMessage};
use crate::daemon::net::admission::Permit;
use crate::daemon::net::conn::Conn;
use crate::daemon::net::port::Port;
use crate::daemon::node::context::{NodeContext, count};
use crate::types::ShardId;
use crate::wire::client::hello::read_hello;
use crate::wire::client::write_reply;
use crate::wire::frame::{Frame, FrameError};
use crate::wire::kind::GreetingKind;
use crate::wire::peer::hello::{
    PeerHello, PeerHelloReply, read_peer_hello, write_peer_hello_reply,
};
use std::sync::atomic::AtomicU64;

/// A connection that may come in.
#[derive(Debug)]
pub enum Admitted {
    /// A client.
    Client {
        /// The shard that serves it.
        shard: ShardId,
        /// The number of its Hello, which the answer carries.
        correlation: u64,
        /// The protocol version that both speak.
        version: u16,
        /// It greeted no shard.
        node_level: bool,
        /// Counts it among the clients connected for as long as this lives.
        permit: Permit,
    },
    /// A peer.
    Peer {
        /// What it sent first, which fits this node.
        hello: PeerHello,
        /// The version that both speak.
        version: u16,
    },
}

impl Admitted {
    /// The message that hands the connection over, and to which shard.
    #[must_use]
    pub fn into_message(self, conn: Conn) -> (ShardId, ShardMessage) {
        match self {
            Admitted::Client { shard, correlation, version, node_level, permit } => {
                let client = NewClient { conn, correlation, version, node_level, permit };
                (shard, ShardMessage::Client(Box::new(client)))
            }
            Admitted::Peer { hello, version } => {
                (hello.shard, ShardMessage::Peer(Box::new(NewPeer { conn, hello, version })))
            }
        }
    }
}

/// What becomes of a connection.
#[derive(Debug)]
pub enum GreetingOutcome {
    /// The greeting has not arrived as a whole.
    Wait,
    /// It comes in. What followed the greeting stands in `conn.unread`.
    Admit(Admitted),
    /// It does not, for this reason, which is counted; the answer stands in `conn.output`.
    Refuse(String),
}

/// Takes bytes of a connection that has not greeted yet.
pub fn greet(conn: &mut Conn, port: Port, bytes: &[u8], context: &NodeContext) -> GreetingOutcome {
    let mut rest = bytes;
    let output = conn.output.buffer();
    let verdict = match conn.frames.next(&mut rest) {
        Ok(None) => return GreetingOutcome::Wait,
        Ok(Some(frame)) => match port {
            Port::Client => greet_client(&frame, conn.address.ip(), context, output),
            Port::Peer => greet_peer(&frame, context, output),
        },
        Err(error) => garbage(&error, port, context, output),
    };
    if let GreetingOutcome::Admit(_) = verdict {
        // Nobody reads what a refused one sent: it is not kept either.
        conn.unread = rest.to_vec();
    }
    verdict
}

fn greet_client(
    frame: &Frame<'_>,
    address: std::net::IpAddr,
    context: &NodeContext,
    output: &mut Vec<u8>,
) -> GreetingOutcome {
    let counters = &context.board.counters.client;
    let mut refuse = |counter: &AtomicU64, error: RequestError| {
        count(counter);
        let text = error.to_string();
        write_reply(output, frame.correlation, &ReplyHeader::NOBODY, &Reply::Error(error));
        GreetingOutcome::Refuse(text)
    };
    let hello = match read_hello(frame) {
        Ok(hello) => hello,
        Err(refusal) => {
            // Who takes this port for the other one is understood.
            let understood = refusal.error.code == ErrorCode::WrongPort;
            let counter = if understood { &counters.refused } else { &counters.garbage };
            return refuse(counter, refusal.error);
        }
    };
    let version = match hello.check(context.config.cluster, context.config.shards) {
        Ok(version) => version,
        Err(error) => return refuse(&counters.refused, error),
    };
    let permit = match context.admission.admit(address) {
        Ok(permit) => permit,
        Err(full) => {
            let error = RequestError::new(ErrorCode::TooManyConnections, full.to_string());
            return refuse(&counters.turned_away, error);
        }
    };
    let node_level = hello.shard == NO_SHARD;
    let shard = if node_level { ShardId(0) } else { hello.shard };
    let correlation = frame.correlation;
    GreetingOutcome::Admit(Admitted::Client { shard, correlation, version, node_level, permit })
}

fn greet_peer(frame: &Frame<'_>, context: &NodeContext, output: &mut Vec<u8>) -> GreetingOutcome {
    let counters = &context.board.counters.peer;
    let hello = match read_peer_hello(frame) {
        Ok(hello) => hello,
        Err(error) => {
            if frame.kind == GreetingKind::Hello.number() {
                count(&counters.refused);
                let text = "this port is for peers; clients have a port of their own";
                let reply = Reply::Error(RequestError::new(ErrorCode::WrongPort, text));
                write_reply(output, frame.correlation, &ReplyHeader::NOBODY, &reply);
            } else {
                count(&counters.garbage);
            }
            return GreetingOutcome::Refuse(error.to_string());
        }
    };
    match hello.check(&context.host) {
        Ok(version) => GreetingOutcome::Admit(Admitted::Peer { hello, version }),
        Err(refusal) => {
            count(&counters.refused);
            let text = refusal.to_string();
            write_peer_hello_reply(output, &PeerHelloReply::Refused(refusal));
            GreetingOutcome::Refuse(text)
        }
    }
}

/// Bytes that are no frame: a client gets an error, a peer does not.
fn garbage(
    error: &FrameError,
    port: Port,
    context: &NodeContext,
    output: &mut Vec<u8>,
) -> GreetingOutcome {
    count(&context.board.counters.of(port).garbage);
    if port == Port::Client {
        let reply = Reply::Error(RequestError::from(error));
        write_reply(output, 0, &ReplyHeader::NOBODY, &reply);
    }
    GreetingOutcome::Refuse(error.to_string())
}
