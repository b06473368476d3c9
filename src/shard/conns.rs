//! What a shard remembers of its client connections: requests under way, and chains that failed.

use crate::limits::CONN_REQUESTS_MAX;
use crate::types::ConnId;
use crate::wire::client::LogRef;
use std::collections::{BTreeMap, BTreeSet};

/// Failed chains remembered per connection: each may have requests under way behind the one that
/// failed, and these must be refused. A connection with more takes no chains at all any more.
const FAILED_CHAINS_MAX: usize = CONN_REQUESTS_MAX;

/// All connections that have requests under way or failed chains.
#[derive(Debug, Default)]
pub struct Conns {
    conns: BTreeMap<ConnId, Conn>,
}

#[derive(Debug, Default)]
struct Conn {
    requests: usize,
    failed: BTreeSet<(u32, LogRef)>,
}

impl Conns {
    /// A request arrived.
    pub(super) fn begin(&mut self, conn: ConnId) {
        self.conns.entry(conn).or_default().requests += 1;
    }

    /// Its answer leaves; false when the connection is gone.
    pub(super) fn end(&mut self, conn: ConnId) -> bool {
        let Some(entry) = self.conns.get_mut(&conn) else { return false };
        entry.requests = entry.requests.saturating_sub(1);
        true
    }

    pub(super) fn drop_conn(&mut self, conn: ConnId) {
        self.conns.remove(&conn);
    }

    /// A request of some connection has no answer yet.
    pub(super) fn has_requests(&self) -> bool {
        self.conns.values().any(|entry| entry.requests > 0)
    }

    /// True while the connection has as many requests under way as it may.
    pub(super) fn is_busy(&self, conn: ConnId) -> bool {
        self.conns.get(&conn).is_some_and(|entry| entry.requests >= CONN_REQUESTS_MAX)
    }

    /// Later appends of this log and chain are refused.
    pub(super) fn fail_chain(&mut self, conn: ConnId, log: &LogRef, chain: u32) {
        if chain == 0 || self.has_failed(conn, log, chain) {
            return;
        }
        if let Some(entry) = self.conns.get_mut(&conn) {
            entry.failed.insert((chain, log.clone()));
        }
    }

    /// As [`Conns::fail_chain`], for an append that never became a request of the connection.
    pub(super) fn refuse_chain(&mut self, conn: ConnId, log: &LogRef, chain: u32) {
        self.conns.entry(conn).or_default();
        self.fail_chain(conn, log, chain);
    }

    pub(super) fn has_failed(&self, conn: ConnId, log: &LogRef, chain: u32) -> bool {
        let Some(Conn { failed, .. }) = self.conns.get(&conn) else { return false };
        chain != 0
            && !failed.is_empty()
            && (failed.len() >= FAILED_CHAINS_MAX || failed.contains(&(chain, log.clone())))
    }

    /// So many chains have failed that no more can be told apart.
    pub(super) fn is_worn_out(&self, conn: ConnId) -> bool {
        self.conns.get(&conn).is_some_and(|entry| entry.failed.len() >= FAILED_CHAINS_MAX)
    }
}
