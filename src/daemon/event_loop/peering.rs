//! The peers of a shard's loop: greetings and messages.

use crate::daemon::clock;
use crate::daemon::event_loop::mailbox::NewPeer;
use crate::daemon::event_loop::shard_loop::ShardLoop;
use crate::daemon::net::conn::{Arrived, Taken};
use crate::daemon::net::links::TableIndex;
use crate::daemon::net::sockets;
use crate::daemon::net::table::{ConnectionRole, TableEntry};
use crate::daemon::node::context::count;
use crate::limits::{PEER_OUTPUT_BYTES_MAX, READ_TURN_BYTES};
use crate::shard::Input;
use crate::types::{Incarnation, NodeId, Tick};
use crate::wire::client::hello::common_version;
use crate::wire::frame::Frame;
use crate::wire::kind::GreetingKind;
use crate::wire::peer::Message;
use crate::wire::peer::hello::{
    PEER_VERSION_MAX, PEER_VERSION_MIN, PeerHelloReply, PeerRefusal, PeerRefusalCode,
    read_peer_hello_reply, write_peer_hello_reply,
};
use crate::wire::peer::{read_message, write_message};
use log::Level;
use std::net::SocketAddr;

/// Why a peer's connection cannot go on.
enum Broken {
    /// The peer, which called, does not take us after all.
    Refused(String),
    /// Its bytes make no sense.
    Garbage(String),
}

impl Broken {
    /// A reply to a greeting, long after the greeting: only a refusal makes sense there.
    fn by_reply(frame: &Frame<'_>) -> Broken {
        match read_peer_hello_reply(frame) {
            Ok(PeerHelloReply::Refused(refusal)) => Broken::Refused(refusal.to_string()),
            Ok(PeerHelloReply::Accepted(_)) => Broken::Garbage("a second welcome".to_string()),
            Err(error) => Broken::Garbage(error.to_string()),
        }
    }
}

impl ShardLoop {
    /// Waits for the answer to our greeting.
    pub(in crate::daemon) fn read_welcome(&mut self, index: TableIndex, node: NodeId) -> bool {
        let Some(entry) = self.table.get_mut(index) else { return false };
        let conn = &mut entry.conn;
        let bytes = match conn.take(&mut self.scratch) {
            Ok(Taken::Bytes(bytes)) => bytes,
            Ok(Taken::Nothing) => return false,
            Ok(Taken::Closed) => {
                let reason = format!("{}: closed by the peer before its welcome", conn.address);
                self.close(index, &reason);
                return false;
            }
            Err(error) => {
                let reason = format!("{}: {error}", conn.address);
                self.close(index, &reason);
                return false;
            }
        };
        let mut rest = &self.scratch[..bytes];
        let reply = match conn.frames.next(&mut rest) {
            Ok(None) => return conn.readable,
            Ok(Some(frame)) => read_peer_hello_reply(&frame).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        // Messages may follow the welcome right away.
        conn.unread = rest.to_vec();
        let address = conn.address;
        match reply.and_then(|reply| self.judge_welcome(node, reply)) {
            Ok(incarnation) => match self.admits(node, incarnation, address) {
                Ok(()) => self.peer_stands(index, node, incarnation),
                Err(refusal) => self.refuse_called(index, refusal),
            },
            Err(reason) => {
                let Some(entry) = self.table.get_mut(index) else { return false };
                let reason = format!("{}: {reason}", entry.conn.address);
                count(&self.context.board.counters.peer.refused);
                if self.links.refused(node, clock::now(), &reason) {
                    log::error!("shard {}: no link with node {node}: {reason}", self.service.id);
                }
                self.note_trouble(node);
                self.close(index, &reason);
            }
        }
        true
    }

    /// We called, and do not take who answered: it is sent the reason, for its log.
    fn refuse_called(&mut self, index: TableIndex, refusal: PeerRefusal) {
        let Some(entry) = self.table.get_mut(index) else { return };
        let reason = format!("{}: refused by us: {refusal}", entry.conn.address);
        let reply = PeerHelloReply::Refused(refusal);
        write_peer_hello_reply(entry.conn.output.buffer(), &reply);
        count(&self.context.board.counters.peer.refused);
        self.linger(index, &reason);
    }

    fn judge_welcome(
        &mut self,
        node: NodeId,
        reply: PeerHelloReply,
    ) -> Result<Incarnation, String> {
        let welcome = match reply {
            PeerHelloReply::Accepted(welcome) => welcome,
            PeerHelloReply::Refused(refusal) => return Err(format!("refused us: {refusal}")),
        };
        if welcome.node != node {
            return Err(format!("answers as node {}, not as node {node}", welcome.node));
        }
        let ours = (PEER_VERSION_MIN, PEER_VERSION_MAX);
        if common_version(ours, (welcome.version, welcome.version)).is_none() {
            return Err(format!("chose version {}, which we do not speak", welcome.version));
        }
        Ok(welcome.incarnation)
    }

    /// Whether a node of this incarnation may take part as the member: one whose disk was wiped may
    /// not, for it has forgotten what it promised (C13, R27).
    fn admits(
        &self,
        node: NodeId,
        incarnation: Incarnation,
        address: SocketAddr,
    ) -> Result<(), PeerRefusal> {
        let own = self.context.config.node;
        match self.service.shard.admits(node, incarnation) {
            Ok(()) => Ok(()),
            Err(Some(known)) => {
                let other = self.links.index(node).and_then(|index| self.table.get(index));
                let text = match other.map(|entry| entry.conn.address.ip()) {
                    // The one that is known runs: nothing was wiped.
                    Some(linked) => format!(
                        "two nodes call themselves node {node}, and each member needs a node_id of its \
                         own: one is linked from {linked} with incarnation {:016x}, this one is at {} \
                         with incarnation {:016x}; correct the configuration of the wrong one (or, if \
                         node {node} was wiped or replaced just now, restore its data directory)",
                        known.0,
                        address.ip(),
                        incarnation.0
                    ),
                    None => format!(
                        "node {own} knows node {node} by incarnation {:016x}, this one is {:016x}: \
                         its data directory was wiped or replaced, and with it what it promised, or \
                         two nodes have the same node_id; correct the node_id, or restore the \
                         directory, or leave the node stopped",
                        known.0, incarnation.0
                    ),
                };
                Err(PeerRefusal::new(PeerRefusalCode::Incarnation, text))
            }
            Err(None) => {
                let text = format!("node {node} is not another member, as node {own} knows");
                Err(PeerRefusal::new(PeerRefusalCode::NotAMember, text))
            }
        }
    }

    /// A peer comes in from the main thread.
    pub(in crate::daemon) fn welcome_peer(&mut self, caller: NewPeer) {
        let NewPeer { conn, hello, version } = caller;
        let judged = self.admits(hello.node, hello.incarnation, conn.address);
        if let Err(error) =
            sockets::prepare_peer(conn.transport.socket(), self.context.config.link_silence())
        {
            log::debug!("a peer's connection has no silence bound: {error}");
        }
        let index = match self.adopt(conn, ConnectionRole::Lingering) {
            Ok(index) => index,
            Err(error) => return log::warn!("a peer's connection cannot be polled: {error}"),
        };
        let Some(entry) = self.table.get_mut(index) else { return };
        let output = entry.conn.output.buffer();
        match judged {
            Ok(()) => {
                let welcome = self.context.peer_welcome(version);
                write_peer_hello_reply(output, &PeerHelloReply::Accepted(welcome));
                self.mark_dirty(index);
                self.peer_stands(index, hello.node, hello.incarnation);
            }
            Err(refusal) => {
                let reason = format!("node {} refused: {refusal}", hello.node);
                write_peer_hello_reply(output, &PeerHelloReply::Refused(refusal));
                count(&self.context.board.counters.peer.refused);
                if self.links.refused(hello.node, clock::now(), &reason) {
                    log::warn!("shard {}: {reason}", self.service.id);
                }
                self.note_trouble(hello.node);
                self.linger(index, &reason);
            }
        }
    }

    /// Both sides greeted: the connection leads to the peer from here on.
    fn peer_stands(&mut self, index: TableIndex, node: NodeId, incarnation: Incarnation) {
        let Some(entry) = self.table.get_mut(index) else { return };
        entry.conn.greeted();
        entry.role = ConnectionRole::Peer(node);
        entry.deadline = None;
        let address = entry.conn.address;
        let now = clock::now();
        if let Some(replaced) = self.links.up(node, index) {
            // No longer the link: its end is reported here, in order, and not when it is closed.
            self.service.step(now, Input::PeerDown { node });
            self.close(replaced, "replaced by a newer connection");
        }
        self.note_trouble(node);
        let level = if self.links.is_refused(node) { Level::Debug } else { Level::Info };
        log::log!(level, "shard {}: linked with node {node} at {address}", self.service.id);
        self.service.step(now, Input::PeerUp { node, incarnation });
    }

    /// Reads a peer's messages. True when there may be more.
    pub(in crate::daemon) fn read_peer(&mut self, index: TableIndex, node: NodeId) -> bool {
        let mut budget = READ_TURN_BYTES;
        loop {
            let Some(TableEntry { conn, .. }) = self.table.get_mut(index) else { return false };
            let more = conn.readable || !conn.unread.is_empty();
            if !more || budget == 0 {
                return more;
            }
            let mut kept = Vec::new();
            let bytes = match conn.next_bytes(&mut self.scratch, &mut kept) {
                Ok(Arrived::Bytes(bytes)) => bytes,
                Ok(Arrived::Nothing) => return false,
                Ok(Arrived::Closed) => {
                    self.note_truncated_frame(index);
                    self.close(index, "closed by the peer");
                    return false;
                }
                Err(error) => {
                    self.close(index, &error.to_string());
                    return false;
                }
            };
            budget = budget.saturating_sub(bytes.len());
            let now = clock::now();
            let mut rest = bytes;
            let mut progress = false;
            let read = loop {
                match conn.frames.next(&mut rest) {
                    Ok(Some(frame)) if frame.kind == GreetingKind::PeerHelloReply.number() => {
                        break Err(Broken::by_reply(&frame));
                    }
                    Ok(Some(frame)) => match read_message(&frame) {
                        Ok(message) => {
                            progress = true;
                            self.service.step(now, Input::Peer { node, message });
                        }
                        Err(error) => break Err(Broken::Garbage(error.to_string())),
                    },
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(Broken::Garbage(error.to_string())),
                }
            };
            conn.note_frame(now, progress);
            if progress {
                let refused = self.links.is_refused(node);
                self.links.heard(node);
                if refused {
                    self.note_trouble(node);
                }
            }
            if let Err(broken) = read {
                self.break_link(index, node, &broken);
                return false;
            }
        }
    }

    /// A peer's connection cannot go on.
    fn break_link(&mut self, index: TableIndex, node: NodeId, broken: &Broken) {
        match broken {
            Broken::Refused(reason) => {
                count(&self.context.board.counters.peer.refused);
                if self.links.refused(node, clock::now(), reason) {
                    log::error!(
                        "shard {}: node {node} refuses this node: {reason}",
                        self.service.id
                    );
                }
                self.note_trouble(node);
                self.close(index, reason);
            }
            Broken::Garbage(reason) => {
                count(&self.context.board.counters.peer.garbage);
                log::warn!("node {node} sent what makes no sense: {reason}");
                self.close(index, reason);
            }
        }
    }

    /// Sends a message to a peer, if a connection leads there: what is lost is repaired by the
    /// protocol.
    pub(in crate::daemon) fn send_peer(&mut self, node: NodeId, message: &Message) {
        let Some(index) = self.links.index(node) else { return };
        let Some(entry) = self.table.get_mut(index) else { return };
        write_message(entry.conn.output.buffer(), message);
        let bytes = entry.conn.output.len();
        if bytes > PEER_OUTPUT_BYTES_MAX {
            count(&self.context.board.counters.peer.overflowed);
            return self.close(index, &format!("{bytes} bytes wait to leave"));
        }
        self.mark_dirty(index);
    }

    pub(in crate::daemon) fn lost_peer(
        &mut self,
        node: NodeId,
        index: TableIndex,
        reason: &str,
        now: Tick,
    ) {
        if self.links.down(node, index, now) {
            let level = if self.links.is_refused(node) { Level::Debug } else { Level::Warn };
            log::log!(level, "shard {}: link with node {node} lost: {reason}", self.service.id);
            self.service.step(now, Input::PeerDown { node });
            self.note_trouble(node);
        }
    }

    /// For status: what is wrong with the link, in words.
    pub(in crate::daemon) fn note_trouble(&mut self, node: NodeId) {
        if !self.context.config.members.contains_key(&node) {
            return; // A stranger: there is nothing to show it with.
        }
        self.service.shard.note_trouble(node, self.links.trouble(node));
        self.service.shard.note_refusal(node, self.links.is_refused(node));
    }
}
