//! Calls to the peers of a shard's loop: from a name to a connection that greets.

use crate::daemon::clock;
use crate::daemon::event_loop::mailbox::ShardMessage;
use crate::daemon::event_loop::shard_loop::ShardLoop;
use crate::daemon::net::conn::Conn;
use crate::daemon::net::links::TableIndex;
use crate::daemon::net::resolve::{Lookup, LookupStart};
use crate::daemon::net::sockets;
use crate::daemon::net::table::ConnectionRole;
use crate::limits::HANDSHAKE_MS;
use crate::types::{NodeId, Tick};
use crate::wire::peer::hello::write_peer_hello;
use mio::net::TcpStream;
use std::io;
use std::net::SocketAddr;

impl ShardLoop {
    /// Calls the peers whose turn it is, and goes on with the calls that are under way.
    pub(in crate::daemon) fn dial(&mut self) {
        let now = clock::now();
        for node in self.links.due(now) {
            let Some(member) = self.context.config.members.get(&node) else { continue };
            let sender = self.sender.clone();
            let reply = move |answer: Lookup| {
                // A loop that is gone needs no address.
                let _ = sender.send(ShardMessage::Resolved { node, answer });
            };
            match self.resolver.ask(node, &member.peer, now, reply) {
                LookupStart::Now(answer) => self.on_resolved(node, answer),
                LookupStart::Later(known) => self.links.meanwhile(node, known, now),
            }
        }
        while let Some((node, address)) = self.links.attempt(now) {
            self.connect(node, address);
        }
    }

    /// Where a peer is, or why that is not known.
    pub(in crate::daemon) fn on_resolved(&mut self, node: NodeId, answer: Lookup) {
        let now = clock::now();
        match answer {
            Ok(found) => self.links.call(node, found, now),
            Err(reason) => {
                let news = self.links.failed(node, now, &reason);
                self.log_no_link(node, &reason, news);
            }
        }
    }

    fn connect(&mut self, node: NodeId, address: SocketAddr) {
        let now = clock::now();
        let silence = self.context.config.link_silence();
        let connected = TcpStream::connect(address).and_then(|stream| {
            sockets::prepare_peer(&stream, silence)?;
            self.adopt(Conn::new(stream, address), ConnectionRole::Connecting(node))
        });
        match connected {
            Ok(index) => self.expect_within(index, now, silence.as_micros()),
            Err(error) => self.dial_failed(node, address, &format!("{address}: {error}"), now),
        }
    }

    /// A connection has that much time, in microseconds, for the next step of its greeting.
    fn expect_within(&mut self, index: TableIndex, now: Tick, micros: u128) {
        let Some(entry) = self.table.get_mut(index) else { return };
        entry.deadline = Some(now.after(u64::try_from(micros).unwrap_or(u64::MAX)));
        self.watch(index);
    }

    /// Our call may have got through. Returns whether to look again at once.
    pub(in crate::daemon) fn on_connecting(&mut self, index: TableIndex, node: NodeId) -> bool {
        let hello = self.context.peer_hello(node, self.service.id);
        let Some(entry) = self.table.get_mut(index) else { return false };
        let conn = &mut entry.conn;
        if let Ok(Some(error)) | Err(error) = conn.transport.socket().take_error() {
            let reason = format!("{}: {error}", conn.address);
            self.close(index, &reason);
            return false;
        }
        match conn
            .transport
            .socket()
            .peer_addr()
            .and_then(|_| sockets::prepare_nodelay(conn.transport.socket()))
        {
            Ok(()) => {
                write_peer_hello(conn.output.buffer(), &hello);
                entry.role = ConnectionRole::Calling(node);
                let address = conn.address;
                self.mark_dirty(index);
                self.on_through(index, node, address);
                false
            }
            // Still under way: the socket's next event shows the outcome.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => false,
            Err(error) => {
                let reason = format!("{}: {error}", conn.address);
                self.close(index, &reason);
                false
            }
        }
    }

    /// One address of a peer's name answers: attempts on the others end.
    fn on_through(&mut self, index: TableIndex, node: NodeId, address: SocketAddr) {
        let others = self.links.got_through(node, address);
        if !others.is_empty() {
            for other in self.table.indexes().collect::<Vec<TableIndex>>() {
                let gives_up = self.table.get(other).is_some_and(|entry| {
                    matches!(entry.role, ConnectionRole::Connecting(to) if to == node)
                        && others.contains(&entry.conn.address)
                });
                if gives_up {
                    self.close(other, "another address of the peer answered first");
                }
            }
        }
        // The system of a peer that stands still accepts, and dialling it again would help nobody.
        // A stranger that accepts must not keep this node from the peer's other addresses.
        let micros = match self.links.has_more(node) {
            true => self.context.config.link_silence().as_micros(),
            false => u128::from(HANDSHAKE_MS) * 1000,
        };
        self.expect_within(index, clock::now(), micros);
    }

    /// An attempt on one address of a peer came to nothing.
    pub(in crate::daemon) fn dial_failed(
        &mut self,
        node: NodeId,
        address: SocketAddr,
        reason: &str,
        now: Tick,
    ) {
        let news = self.links.attempt_failed(node, address, now, reason);
        let trouble = self.links.trouble(node);
        self.log_no_link(node, &trouble, news);
    }

    fn log_no_link(&mut self, node: NodeId, reason: &str, news: bool) {
        if news {
            log::warn!("shard {}: no link with node {node}: {reason}", self.service.id);
        }
        self.note_trouble(node);
    }
}
