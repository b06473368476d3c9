//! The connections of a shard's loop: reading, counting, closing. What leaves is in `writing`.

use crate::api::Reply;
use crate::api::error::RequestError;
use crate::daemon::clock;
use crate::daemon::event_loop::mailbox::NewClient;
use crate::daemon::event_loop::service::{Flow, Service};
use crate::daemon::event_loop::shard_loop::ShardLoop;
use crate::daemon::net::conn::{Arrived, Conn, Taken};
use crate::daemon::net::links::TableIndex;
use crate::daemon::net::sockets;
use crate::daemon::net::table::{ClientSide, ConnectionRole, TableEntry, token};
use crate::daemon::node::context::count;
use crate::daemon::watch::status_board::PortCounters;
use crate::limits::{
    CONN_OUTPUT_BYTES_MAX, LINGER_MS, READ_TURN_BYTES, SHARD_INPUT_BYTES_MAX, TURN_REQUESTS_MAX,
};
use crate::shard::Input;
use crate::types::{ConnId, Tick};
use crate::wire::client::hello::write_hello_reply;
use mio::Interest;
use std::io;
use std::net::SocketAddr;

impl ShardLoop {
    /// Takes a connection into the loop: registered, in the table, to be read from.
    pub(in crate::daemon) fn adopt(
        &mut self,
        mut conn: Conn,
        role: ConnectionRole,
    ) -> io::Result<TableIndex> {
        conn.readable = true;
        let index = self.table.insert(conn, role);
        let entry = self.table.get_mut(index).expect("inserted right above");
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registered =
            self.poll.registry().register(&mut entry.conn.transport, token(index), interest);
        match registered {
            Ok(()) => {
                self.mark_ready(index);
                Ok(index)
            }
            Err(error) => {
                self.table.remove(index);
                Err(error)
            }
        }
    }

    /// A client comes in from the main thread.
    pub(in crate::daemon) fn welcome_client(&mut self, client: NewClient) {
        let NewClient { mut conn, correlation, version, node_level, permit } = client;
        let (header, welcome) = (self.service.header(), self.context.welcome(version));
        conn.greeted();
        if let Err(error) = sockets::prepare_client(conn.transport.socket()) {
            log::debug!("a client's connection has no bound of unsent bytes: {error}");
        }
        write_hello_reply(conn.output.buffer(), correlation, &header, &welcome);
        let side = ClientSide::new(Some(permit), node_level);
        match self.adopt(conn, ConnectionRole::Client(side)) {
            Ok(index) => {
                self.mark_dirty(index);
            }
            Err(error) => log::warn!("a client's connection cannot be polled: {error}"),
        }
    }

    /// The system says that something may be done with a socket.
    pub(in crate::daemon) fn on_event(&mut self, index: TableIndex, hung_up: bool, writable: bool) {
        let Some(entry) = self.table.get_mut(index) else { return };
        entry.conn.readable = true;
        entry.conn.hung_up |= hung_up;
        let has_output = !entry.conn.output.is_empty();
        self.mark_ready(index);
        if writable && has_output {
            self.mark_dirty(index);
        }
    }

    fn mark_ready(&mut self, index: TableIndex) {
        let Some(entry) = self.table.get_mut(index) else { return };
        if !std::mem::replace(&mut entry.ready, true) {
            match entry.role {
                ConnectionRole::Client(_) => self.ready_clients.push(index),
                ConnectionRole::Peer(_)
                | ConnectionRole::Connecting(_)
                | ConnectionRole::Calling(_)
                | ConnectionRole::Lingering => {
                    self.ready_others.push(index);
                }
            }
        }
    }

    /// Something can be read right now, so that the loop must not sleep.
    pub(in crate::daemon) fn can_read(&self) -> bool {
        if !self.ready_others.is_empty() {
            return true;
        }
        let open = |index: &TableIndex| match self.table.get(*index) {
            Some(TableEntry { id, role: ConnectionRole::Client(side), conn, .. }) => {
                let tight = self.is_tight() && !conn.output.is_empty();
                !tight && !side.is_full(conn.output.len() + self.service.shard.read_bytes_of(*id))
            }
            Some(_) | None => true,
        };
        !self.clients_paused() && self.ready_clients.iter().any(open)
    }

    /// Reads from every connection but those of clients that may have something, each up to its
    /// share of the turn.
    pub(in crate::daemon) fn read_others(&mut self) {
        for index in std::mem::take(&mut self.ready_others) {
            let again = self.read_other(index);
            self.read_again(index, again);
        }
    }

    /// Reads from every client that may have something, each up to its share of the turn.
    pub(in crate::daemon) fn read_clients(&mut self) {
        self.service.asked = 0;
        let clients = std::mem::take(&mut self.ready_clients);
        for index in clients {
            // Looked at for each: the shard may be full after the one before.
            let again = self.clients_paused() || self.read_client(index);
            self.read_again(index, again);
        }
    }

    fn read_again(&mut self, index: TableIndex, again: bool) {
        let Some(entry) = self.table.get_mut(index) else { return };
        entry.ready = false;
        if again {
            self.mark_ready(index);
        }
        self.watch(index);
        self.account(index);
    }

    /// True when there may be more to read.
    fn read_client(&mut self, index: TableIndex) -> bool {
        let mut budget = READ_TURN_BYTES;
        loop {
            let tight = self.is_tight();
            let Some(entry) = self.table.get_mut(index) else { return false };
            let TableEntry { id, conn, role: ConnectionRole::Client(side), .. } = entry else {
                return true;
            };
            let more = conn.readable || !conn.unread.is_empty();
            let owes = tight && !conn.output.is_empty();
            if !more || budget == 0 || owes || is_paused(&self.service, *id, conn, side) {
                return more;
            }
            let mut kept = Vec::new();
            let bytes = match conn.next_bytes(&mut self.scratch, &mut kept) {
                Ok(Arrived::Bytes(bytes)) => bytes,
                Ok(Arrived::Nothing) => return false,
                Ok(Arrived::Closed) | Err(_) => {
                    self.note_truncated_frame(index);
                    self.close(index, "closed by the client");
                    return false;
                }
            };
            budget = budget.saturating_sub(bytes.len());
            let now = clock::now();
            let read = client_frames(&mut self.service, now, *id, conn, side, bytes);
            let address = conn.address;
            if !conn.output.is_empty() {
                self.mark_dirty(index);
            }
            if let Err(reason) = read {
                if let Some(suppressed) = self.closings.note(now) {
                    log::warn!("connection from {address} closed: {reason}{suppressed}");
                }
                count(&self.context.board.counters.client.garbage);
                self.linger(index, &reason);
                return true;
            }
        }
    }

    /// Reads from a connection that is no client's.
    fn read_other(&mut self, index: TableIndex) -> bool {
        let Some(entry) = self.table.get_mut(index) else { return false };
        match entry.role {
            ConnectionRole::Client(_) => true,
            ConnectionRole::Peer(node) => self.read_peer(index, node),
            ConnectionRole::Connecting(node) => self.on_connecting(index, node),
            ConnectionRole::Calling(node) => self.read_welcome(index, node),
            ConnectionRole::Lingering => self.read_lingering(index),
        }
    }

    /// Throws away what a refused connection sends, so that closing it does not take the answer
    /// away from the other side.
    fn read_lingering(&mut self, index: TableIndex) -> bool {
        let Some(entry) = self.table.get_mut(index) else { return false };
        entry.conn.unread = Vec::new();
        if !entry.conn.readable {
            return false;
        }
        match entry.conn.take(&mut self.scratch) {
            Ok(Taken::Bytes(_)) => entry.conn.readable,
            Ok(Taken::Nothing) => false,
            Ok(Taken::Closed) | Err(_) => {
                // Who says no more may still listen; an error means that nobody does.
                let _ = entry.conn.flush();
                self.close(index, "closed after a refusal");
                false
            }
        }
    }

    /// Counts a connection's bytes anew, and closes one that takes the thread past its bound.
    pub(in crate::daemon) fn account(&mut self, index: TableIndex) {
        let Some(entry) = self.table.get_mut(index) else { return };
        let (held, before) = (entry.conn.held_bytes(), entry.counted_in);
        self.input_bytes = self.input_bytes + held - before;
        entry.counted_in = held;
        let (out, output_full) = match entry.role {
            ConnectionRole::Client(_) => {
                let output_full = entry.conn.output.len() >= CONN_OUTPUT_BYTES_MAX;
                (entry.conn.output.held_bytes(), output_full)
            }
            ConnectionRole::Lingering => (entry.conn.output.held_bytes(), false),
            ConnectionRole::Peer(_)
            | ConnectionRole::Connecting(_)
            | ConnectionRole::Calling(_) => (0, false),
        };
        self.output_bytes = self.output_bytes + out - entry.counted_out;
        entry.counted_out = out;
        if output_full != entry.output_full {
            entry.output_full = output_full;
            self.service.shard.set_paused(entry.id, output_full);
        }
        if held > before && self.input_bytes > SHARD_INPUT_BYTES_MAX {
            count(&self.counters_of(index).overflowed);
            self.close(index, "too many bytes of incomplete frames are held already");
        }
    }

    /// The other side closed: counts it where a frame was under way.
    pub(in crate::daemon) fn note_truncated_frame(&self, index: TableIndex) {
        if self.table.get(index).is_some_and(|entry| entry.conn.held_bytes() > 0) {
            count(&self.counters_of(index).cut_short);
        }
    }

    /// The counters of the port that a connection belongs to.
    pub(in crate::daemon) fn counters_of(&self, index: TableIndex) -> &PortCounters {
        let counters = &self.context.board.counters;
        match self.table.get(index).map(|entry| &entry.role) {
            Some(
                ConnectionRole::Peer(_)
                | ConnectionRole::Connecting(_)
                | ConnectionRole::Calling(_),
            ) => &counters.peer,
            Some(ConnectionRole::Client(_) | ConnectionRole::Lingering) | None => &counters.client,
        }
    }

    /// Refuses to go on with a connection: the other side may still read why, and then it is gone.
    pub(in crate::daemon) fn linger(&mut self, index: TableIndex, reason: &str) {
        let now = clock::now();
        let Some(entry) = self.table.get_mut(index) else { return };
        let role = std::mem::replace(&mut entry.role, ConnectionRole::Lingering);
        entry.deadline = Some(now.after(LINGER_MS * 1000));
        let (id, address) = (entry.id, entry.conn.address);
        self.deadlines.insert((now.after(LINGER_MS * 1000), id));
        self.leave(id, index, role, address, reason, now);
        self.mark_dirty(index);
    }

    /// Closes a connection.
    pub(in crate::daemon) fn close(&mut self, index: TableIndex, reason: &str) {
        let Some(entry) = self.table.remove(index) else { return };
        self.input_bytes -= entry.counted_in;
        self.output_bytes -= entry.counted_out;
        // Its place may be another connection's soon, which must not find itself listed twice.
        if entry.ready {
            self.ready_clients.retain(|listed| *listed != index);
            self.ready_others.retain(|listed| *listed != index);
        }
        if entry.dirty {
            self.dirty_peers.retain(|listed| *listed != index);
            self.dirty_clients.retain(|listed| *listed != index);
        }
        log::debug!("connection {} closed: {reason}", entry.conn.address);
        let address = entry.conn.address;
        self.leave(entry.id, index, entry.role, address, reason, clock::now());
    }

    /// What follows for the shard when a connection stops being what it was.
    fn leave(
        &mut self,
        conn: ConnId,
        index: TableIndex,
        role: ConnectionRole,
        address: SocketAddr,
        reason: &str,
        now: Tick,
    ) {
        match role {
            ConnectionRole::Client(_) => self.service.step(now, Input::ClientDown { conn }),
            ConnectionRole::Peer(node) => self.lost_peer(node, index, reason, now),
            ConnectionRole::Connecting(node) | ConnectionRole::Calling(node) => {
                self.dial_failed(node, address, reason, now);
            }
            ConnectionRole::Lingering => {}
        }
    }

    /// Puts a connection's deadline among those that are looked at.
    pub(in crate::daemon) fn watch(&mut self, index: TableIndex) {
        let Some(entry) = self.table.get_mut(index) else { return };
        if entry.watched {
            return;
        }
        let Some(deadline) = deadline_of(entry) else { return };
        entry.watched = true;
        self.deadlines.insert((deadline, entry.id));
    }

    /// Closes what is too slow (R39).
    pub(in crate::daemon) fn expire(&mut self, now: Tick) {
        while let Some((at, id)) = self.deadlines.first().copied() {
            if at > now {
                return;
            }
            self.deadlines.pop_first();
            let Some(index) = self.table.find(id) else { continue };
            let Some(entry) = self.table.get_mut(index) else { continue };
            entry.watched = false;
            match deadline_of(entry) {
                Some(deadline) if deadline <= now => {
                    let reason = match entry.role {
                        ConnectionRole::Connecting(_) | ConnectionRole::Calling(_) => {
                            format!("{}: no answer in time", entry.conn.address)
                        }
                        ConnectionRole::Client(_)
                        | ConnectionRole::Peer(_)
                        | ConnectionRole::Lingering => "too slow".to_string(),
                    };
                    // Who was called and is not there is no connection that is too slow.
                    if !matches!(
                        entry.role,
                        ConnectionRole::Lingering | ConnectionRole::Connecting(_)
                    ) {
                        count(&self.counters_of(index).too_slow);
                    }
                    self.close(index, &reason);
                }
                Some(_) => self.watch(index),
                None => {}
            }
        }
    }
}

fn deadline_of(entry: &TableEntry) -> Option<Tick> {
    match entry.deadline {
        Some(deadline) => Some(deadline),
        // Peers have a bound in bytes instead: a node that stands still for a while keeps its links.
        None if matches!(entry.role, ConnectionRole::Client(_)) => entry.conn.deadline(),
        None => entry.conn.frame_deadline(),
    }
}

/// This client is not read from for now.
fn is_paused(service: &Service, id: ConnId, conn: &Conn, side: &ClientSide) -> bool {
    side.is_full(conn.output.len() + service.shard.read_bytes_of(id))
        || service.asked >= TURN_REQUESTS_MAX
        || service.shard.turn_is_full()
        || service.shard.congested()
}

/// Takes the frames of `bytes` in, until the client is paused; what is left waits in `unread`.
fn client_frames(
    service: &mut Service,
    now: Tick,
    id: ConnId,
    conn: &mut Conn,
    side: &mut ClientSide,
    bytes: &[u8],
) -> Result<(), String> {
    let mut rest = bytes;
    let mut progress = false;
    while !is_paused(service, id, conn, side) {
        match conn.frames.next(&mut rest) {
            Ok(Some(frame)) => {
                progress = true;
                match service.client_frame(now, id, side, &frame, &mut conn.output) {
                    Flow::GoOn => {}
                    Flow::Close(reason) => return Err(reason),
                }
            }
            Ok(None) => break,
            Err(error) => {
                let reply = Reply::Error(RequestError::from(&error));
                service.answer(&mut conn.output, 0, reply);
                return Err(error.to_string());
            }
        }
    }
    conn.unread = rest.to_vec();
    conn.note_frame(now, progress);
    Ok(())
}
