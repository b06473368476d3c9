//! What leaves a shard's loop: answers, and the turns of the sockets that take them. Peers come
//! first, so that heartbeats and votes never wait for answers; clients share what one turn gives.

use crate::api::{Reply, ReplyHeader};
use crate::daemon::clock;
use crate::daemon::event_loop::shard_loop::ShardLoop;
use crate::daemon::net::asked::{Became, described};
use crate::daemon::net::links::TableIndex;
use crate::daemon::net::outgoing::Flushed;
use crate::daemon::net::table::ConnectionRole;
use crate::daemon::node::context::count;
use crate::limits::{CONN_OUTPUT_BYTES_CEILING, TURN_OUTPUT_BYTES_MAX, WRITE_TURN_BYTES};
use crate::types::{ConnId, Tick};
use crate::wire::client::write_reply;
use std::time::Duration;

impl ShardLoop {
    /// Puts a connection among those whose output is to be offered to their sockets.
    pub(in crate::daemon) fn mark_dirty(&mut self, index: TableIndex) {
        let Some(entry) = self.table.get_mut(index) else { return };
        if std::mem::replace(&mut entry.dirty, true) {
            return;
        }
        match entry.role {
            ConnectionRole::Client(_) | ConnectionRole::Lingering => {
                self.dirty_clients.push_back(index)
            }
            ConnectionRole::Peer(_)
            | ConnectionRole::Connecting(_)
            | ConnectionRole::Calling(_) => self.dirty_peers.push(index),
        }
    }

    /// Answers a client.
    pub(in crate::daemon) fn send_client(
        &mut self,
        conn: ConnId,
        correlation: u64,
        header: &ReplyHeader,
        reply: &Reply,
    ) {
        let Some(index) = self.table.find(conn) else { return };
        let Some(entry) = self.table.get_mut(index) else { return };
        let ConnectionRole::Client(side) = &mut entry.role else { return };
        let asked = side.answered(correlation);
        self.service.served.note(reply);
        if let Some((since, asked)) = asked {
            let (now, shard, address) = (clock::now(), self.service.id, entry.conn.address);
            let took_us = now.since(since);
            let requests = &self.context.board.shard(shard).requests;
            requests.record(asked, Became::of(reply), Duration::from_micros(took_us));
            let what =
                || format!("shard {shard}: {} of {address} (slow_request_ms)", described(asked));
            if let Some(line) = self.slow_requests.note(now, took_us, what) {
                log::warn!("{line}");
            }
        }
        write_reply(entry.conn.output.buffer(), correlation, header, reply);
        if entry.conn.output.len() > CONN_OUTPUT_BYTES_CEILING {
            count(&self.context.board.counters.client.overflowed);
            return self.close(index, "the client does not read its answers");
        }
        self.mark_dirty(index);
    }

    /// Offers output to the sockets: that of peers as a whole, then that of clients, to each its
    /// share in turn, as far as this turn of the loop goes. What is left comes first next time.
    pub(in crate::daemon) fn flush_dirty(&mut self) {
        let now = clock::now();
        for index in std::mem::take(&mut self.dirty_peers) {
            self.flush(index, usize::MAX, now);
        }
        while self.given < TURN_OUTPUT_BYTES_MAX
            && let Some(index) = self.dirty_clients.pop_front()
        {
            self.flush(index, WRITE_TURN_BYTES, now);
        }
    }

    /// Offers output to one socket.
    fn flush(&mut self, index: TableIndex, most: usize, now: Tick) {
        let Some(entry) = self.table.get_mut(index) else { return };
        entry.dirty = false;
        let is_peer = match entry.role {
            // Not connected yet: nothing can be written.
            ConnectionRole::Connecting(_) => return,
            ConnectionRole::Peer(_) | ConnectionRole::Calling(_) => true,
            ConnectionRole::Client(_) | ConnectionRole::Lingering => false,
        };
        let before = entry.conn.output.taken();
        let flushed = entry.conn.flush_share(most);
        entry.conn.note_output(now);
        if !is_peer {
            self.given += (entry.conn.output.taken() - before) as usize;
        }
        match flushed {
            Ok(Flushed::All) => {
                if matches!(entry.role, ConnectionRole::Lingering) {
                    entry.conn.finish_writing();
                }
                self.account(index);
            }
            Ok(Flushed::Full) => {
                self.account(index);
                self.watch(index);
            }
            Ok(Flushed::Share) => {
                self.account(index);
                self.watch(index);
                self.mark_dirty(index);
            }
            Err(error) => self.close(index, &format!("cannot be written to: {error}")),
        }
    }

    /// Output was not offered to its sockets yet: the loop must not sleep.
    pub(in crate::daemon) fn can_write(&self) -> bool {
        !self.dirty_peers.is_empty() || !self.dirty_clients.is_empty()
    }
}
