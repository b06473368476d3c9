//! The admin port: pages for those who watch a node, on its main thread. Nothing can be changed
//! there, and no caller can make the node wait: heads, times, connections and bytes are bounded
//! (R37, R39).

mod connection;
mod http;
mod pages;

use super::clock;
use crate::daemon::net::conn::Conn;
use crate::daemon::net::sockets;
use crate::daemon::node::context::NodeContext;
use crate::daemon::watch::status_board::count;
use crate::limits::{
    ACCEPTS_PER_TURN, ADMIN_CONNECTIONS_MAX, ADMIN_HEAD_BYTES_MAX, ADMIN_OUTPUT_BYTES_MAX,
};
use crate::types::Tick;
use connection::{AdminConnection, AdminHost, ConnectionOutcome};
use http::{HttpRequest, HttpStatus, Response};
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use pages::AdminPages;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// The admin port's listeners and connections have the tokens from here.
const FIRST_TOKEN: usize = 1 << 12;
/// Its connections have the tokens from here, up to [`END_TOKEN`].
const FIRST_VISIT: usize = FIRST_TOKEN + (1 << 10);
/// Tokens from here are not the admin port's.
const END_TOKEN: usize = 1 << 16;
/// Pause after the system refused to accept, in microseconds.
const ACCEPT_PAUSE_US: u64 = 100_000;

// Every connection has a token.
const _: () = assert!(FIRST_VISIT + ADMIN_CONNECTIONS_MAX <= END_TOKEN);

/// The token belongs to the admin port.
#[must_use]
pub fn owns(token: Token) -> bool {
    (FIRST_TOKEN..END_TOKEN).contains(&token.0)
}

/// The admin port of a node.
#[derive(Debug)]
pub struct Admin {
    listeners: Vec<TcpListener>,
    /// Connections may wait to be accepted.
    ready: bool,
    /// Not before then: the system had no descriptor left.
    accept_after: Tick,
    connections: BTreeMap<usize, AdminConnection>,
    /// Visits that have more to do.
    again: Vec<usize>,
    scratch: Vec<u8>,
    responder: Responder,
}

/// What answers requests.
#[derive(Debug)]
struct Responder {
    context: Arc<NodeContext>,
    pages: AdminPages,
    /// Visits now.
    connections: usize,
    /// Bytes that wait to leave for all of them.
    output_bytes: usize,
}

impl AdminHost for Responder {
    fn answer(&mut self, request: &HttpRequest) -> Response {
        if self.output_bytes >= ADMIN_OUTPUT_BYTES_MAX {
            count(&self.context.board.counters.admin.overflowed);
            let text = "too many answers wait to be read by others; ask again later";
            return Response::text(HttpStatus::Unavailable, text);
        }
        // Read for each: the request arrived before.
        let now = clock::now();
        let answer = self.pages.answer(&request.path, &self.context, self.connections, now);
        self.output_bytes += answer.body.len();
        answer
    }

    fn cut_short(&mut self) {
        count(&self.context.board.counters.admin.cut_short);
    }

    fn refused(&mut self, status: HttpStatus, reason: &str) {
        let counters = &self.context.board.counters.admin;
        count(match status {
            HttpStatus::Timeout => &counters.too_slow,
            HttpStatus::BadRequest | HttpStatus::HeadTooLarge | HttpStatus::VersionNotSupported => {
                &counters.garbage
            }
            HttpStatus::MethodNotAllowed
            | HttpStatus::ContentTooLarge
            | HttpStatus::NotFound
            | HttpStatus::Unavailable
            | HttpStatus::Ok => &counters.refused,
        });
        log::debug!("admin connection refused with {}: {reason}", status.code());
    }
}

impl Admin {
    /// The port of these listeners; none of them turns it off.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn new(
        mut listeners: Vec<TcpListener>,
        registry: &Registry,
        context: Arc<NodeContext>,
    ) -> io::Result<Admin> {
        for (at, listener) in listeners.iter_mut().enumerate() {
            assert!(FIRST_TOKEN + at < FIRST_VISIT, "more listeners than tokens: {at}");
            registry.register(listener, Token(FIRST_TOKEN + at), Interest::READABLE)?;
        }
        let responder =
            Responder { context, pages: AdminPages::default(), connections: 0, output_bytes: 0 };
        Ok(Admin {
            listeners,
            ready: true,
            accept_after: Tick(0),
            connections: BTreeMap::new(),
            again: Vec::new(),
            scratch: vec![0; ADMIN_HEAD_BYTES_MAX],
            responder,
        })
    }

    /// The system says that something may be done with a socket of this port.
    pub fn on_event(&mut self, token: Token, hung_up: bool) {
        if token.0 < FIRST_VISIT {
            self.ready = true;
        } else if let Some(connection) = self.connections.get_mut(&token.0) {
            connection.conn.readable = true;
            connection.conn.hung_up |= hung_up;
            self.again.push(token.0);
        }
    }

    /// When to turn again though nothing happens.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Tick> {
        if !self.again.is_empty() {
            return Some(Tick(0));
        }
        let accept = (self.ready && !self.listeners.is_empty()).then_some(self.accept_after);
        let connections = self.connections.values().map(|connection| connection.deadline).min();
        accept.into_iter().chain(connections).min()
    }

    /// Accepts, answers, and closes what is too slow.
    pub fn turn(&mut self, now: Tick, registry: &Registry) {
        self.accept(now, registry);
        let mut again = std::mem::take(&mut self.again);
        again.sort_unstable();
        again.dedup();
        for token in again {
            self.step(token, now);
        }
        self.expire(now);
    }

    fn accept(&mut self, now: Tick, registry: &Registry) {
        if !self.ready || self.accept_after > now {
            return;
        }
        let mut accepted = 0;
        for at in 0..self.listeners.len() {
            loop {
                if accepted == ACCEPTS_PER_TURN {
                    return; // Still ready: the rest comes in the next turn.
                }
                match self.listeners[at].accept() {
                    Ok((stream, address)) => {
                        accepted += 1;
                        self.welcome(stream, address, now, registry);
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => {
                        self.accept_after = now.after(ACCEPT_PAUSE_US);
                        return log::debug!("no admin connection can be accepted: {error}");
                    }
                }
            }
        }
        self.ready = false;
    }

    fn welcome(&mut self, stream: TcpStream, address: SocketAddr, now: Tick, registry: &Registry) {
        if self.connections.len() >= self.responder.context.descriptors.admin_max {
            self.make_room(now);
        }
        let free = (FIRST_VISIT..END_TOKEN).find(|token| !self.connections.contains_key(token));
        let Some(token) = free else { return };
        let mut conn = Conn::new(stream, address);
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registered = sockets::prepare(conn.transport.socket())
            .and_then(|()| registry.register(&mut conn.transport, Token(token), interest));
        match registered {
            Ok(()) => {
                self.connections.insert(token, AdminConnection::new(conn, now));
            }
            Err(error) => log::debug!("admin connection from {address} is of no use: {error}"),
        }
    }

    /// Who was idle for longest makes room, so that idlers cannot keep probes out. What it has asked
    /// for is answered first: in a crowd, a probe may be pushed out before its turn to be read.
    fn make_room(&mut self, now: Tick) {
        let idlest = self.connections.iter().min_by_key(|(_, connection)| connection.idle_since);
        let Some(token) = idlest.map(|(token, _)| *token) else { return };
        if let Some(connection) = self.connections.get_mut(&token) {
            connection.conn.readable = true;
            connection.step(now, &mut self.scratch, &mut self.responder);
        }
        self.connections.remove(&token);
        count(&self.responder.context.board.counters.admin.turned_away);
    }

    fn step(&mut self, token: usize, now: Tick) {
        self.count_output();
        let Some(connection) = self.connections.get_mut(&token) else { return };
        match connection.step(now, &mut self.scratch, &mut self.responder) {
            ConnectionOutcome::Wait => {}
            ConnectionOutcome::Again => self.again.push(token),
            ConnectionOutcome::Over => {
                self.connections.remove(&token);
            }
        }
    }

    fn count_output(&mut self) {
        self.responder.connections = self.connections.len();
        self.responder.output_bytes =
            self.connections.values().map(|connection| connection.conn.output.len()).sum();
    }

    fn expire(&mut self, now: Tick) {
        let Admin { connections, responder, .. } = self;
        connections
            .retain(|_, connection| connection.deadline > now || connection.expire(now, responder));
    }
}
