//! What a shard remembers of its client connections: requests under way, and chains that failed.

use crate::limits::CONN_REQUESTS_MAX;
use crate::types::ConnId;
use crate::wire::client::LogRef;
use std::collections::{BTreeMap, VecDeque};

/// Failed chains remembered per connection; a client gives up a chain when it learns of its
/// failure, so that few are of interest at any time.
const FAILED_CHAINS_MAX: usize = 64;

/// All connections that have requests under way or failed chains.
#[derive(Debug, Default)]
pub struct Conns {
    conns: BTreeMap<ConnId, Conn>,
}

#[derive(Debug, Default)]
struct Conn {
    requests: usize,
    failed: VecDeque<(LogRef, u32)>,
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
            if entry.failed.len() == FAILED_CHAINS_MAX {
                entry.failed.pop_front();
            }
            entry.failed.push_back((log.clone(), chain));
        }
    }

    /// As [`Conns::fail_chain`], for an append that never became a request of the connection.
    pub(super) fn refuse_chain(&mut self, conn: ConnId, log: &LogRef, chain: u32) {
        self.conns.entry(conn).or_default();
        self.fail_chain(conn, log, chain);
    }

    pub(super) fn has_failed(&self, conn: ConnId, log: &LogRef, chain: u32) -> bool {
        chain != 0
            && self.conns.get(&conn).is_some_and(|entry| {
                entry.failed.iter().any(|(failed, number)| *number == chain && failed == log)
            })
    }
}
