//! What a shard remembers of its client connections: requests under way, and chains that failed.

use super::chains::{Chains, FailedAppend};
use super::events::RequestId;
use crate::api::LogRef;
use crate::types::ConnId;
use std::collections::{BTreeMap, BTreeSet};

/// All connections that have requests under way or failed chains.
#[derive(Debug, Default)]
pub struct Conns {
    conns: BTreeMap<ConnId, Conn>,
    /// Writes that arrived so far, on all connections.
    arrived: u64,
    /// Those that do not take their answers for now.
    paused: BTreeSet<ConnId>,
}

#[derive(Debug, Default)]
struct Conn {
    requests: usize,
    /// Memory that its reads wait for or use.
    read_bytes: usize,
    chains: Chains,
}

impl Conns {
    /// A request arrived.
    pub(super) fn begin(&mut self, conn: ConnId) {
        self.conns.entry(conn).or_default().requests += 1;
    }

    /// The place of a write that arrives now, from 1; it orders the appends of a chain.
    pub(super) fn next_order(&mut self) -> u64 {
        self.arrived += 1;
        self.arrived
    }

    /// Its answer leaves; false when the connection is gone.
    pub(super) fn end(&mut self, conn: ConnId) -> bool {
        let Some(entry) = self.conns.get_mut(&conn) else { return false };
        entry.requests = entry.requests.saturating_sub(1);
        true
    }

    /// The connection has asked for something, and is still there.
    pub(super) fn is_known(&self, conn: ConnId) -> bool {
        self.conns.contains_key(&conn)
    }

    pub(super) fn drop_conn(&mut self, conn: ConnId) {
        self.conns.remove(&conn);
        self.paused.remove(&conn);
    }

    /// A request of some connection has no answer yet.
    pub(super) fn has_requests(&self) -> bool {
        self.conns.values().any(|entry| entry.requests > 0)
    }

    /// One of its reads waits for so much memory, or uses it.
    pub(super) fn add_read_bytes(&mut self, conn: ConnId, bytes: usize) {
        if let Some(entry) = self.conns.get_mut(&conn) {
            entry.read_bytes += bytes;
        }
    }

    /// It no longer does.
    pub(super) fn remove_read_bytes(&mut self, conn: ConnId, bytes: usize) {
        if let Some(entry) = self.conns.get_mut(&conn) {
            entry.read_bytes = entry.read_bytes.saturating_sub(bytes);
        }
    }

    /// Memory that its reads wait for or use.
    pub(super) fn read_bytes(&self, conn: ConnId) -> usize {
        self.conns.get(&conn).map_or(0, |entry| entry.read_bytes)
    }

    /// Whether so many answers wait for the connection to take them that it gets no more.
    pub(super) fn set_paused(&mut self, conn: ConnId, paused: bool) {
        if paused {
            self.paused.insert(conn);
        } else {
            self.paused.remove(&conn);
        }
    }

    pub(super) fn is_paused(&self, conn: ConnId) -> bool {
        self.paused.contains(&conn)
    }

    /// Later appends of this log and chain are refused.
    pub(super) fn fail_chain(
        &mut self,
        conn: ConnId,
        log: &LogRef,
        chain: u32,
        failure: FailedAppend,
    ) {
        if let Some(entry) = self.conns.get_mut(&conn) {
            entry.chains.fail(log, chain, failure);
        }
    }

    /// As [`Conns::fail_chain`], for an append that never became a request of the connection and
    /// that its driver has answered.
    pub(super) fn refuse_chain(&mut self, conn: ConnId, log: &LogRef, chain: u32) {
        let failure = FailedAppend { order: self.next_order(), unanswered: None };
        self.conns.entry(conn).or_default().chains.fail(log, chain, failure);
    }

    /// See [`Chains::has_failed`].
    pub(super) fn has_failed(&self, conn: ConnId, log: &LogRef, chain: u32, order: u64) -> bool {
        self.conns.get(&conn).is_some_and(|entry| entry.chains.has_failed(log, chain, order))
    }

    /// See [`Chains::hold`].
    pub(super) fn hold(&mut self, asked: RequestId, log: &LogRef, chain: u32) -> bool {
        let entry = self.conns.get_mut(&asked.conn);
        entry.is_some_and(|entry| entry.chains.hold(log, chain, asked.correlation))
    }

    /// An answer left: the refusals that waited for it.
    pub(super) fn answered(&mut self, asked: RequestId) -> Vec<u64> {
        let entry = self.conns.get_mut(&asked.conn);
        entry.map(|entry| entry.chains.answered(asked.correlation)).unwrap_or_default()
    }

    /// So many chains have failed that no more can be distinguished.
    pub(super) fn has_too_many_failures(&self, conn: ConnId) -> bool {
        self.conns.get(&conn).is_some_and(|entry| entry.chains.has_too_many_failures())
    }

    /// Of each connection its requests without an answer, the memory that its reads wait for or use,
    /// and how many of the requests are refused once an earlier error has left.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ConnId, usize, usize, usize)> {
        let of = |(conn, entry): (&ConnId, &Conn)| {
            (*conn, entry.requests, entry.read_bytes, entry.chains.held_back())
        };
        self.conns.iter().map(of)
    }
}
