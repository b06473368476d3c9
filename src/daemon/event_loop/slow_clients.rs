//! Answers that clients do not take (R39): each client has a deadline, and all of them together may
//! not keep the shard from the others.

use crate::daemon::event_loop::shard_loop::ShardLoop;
use crate::daemon::net::links::TableIndex;
use crate::daemon::net::table::{ConnectionRole, TableEntry};
use crate::daemon::node::context::count;
use crate::limits::{
    SHARD_ANSWER_BYTES_MAX, SHARD_OUTPUT_BYTES_MAX, SHARD_OUTPUT_BYTES_TIGHT, UNREAD_FULL_MS,
    UNREAD_TIGHT_MS,
};
use crate::types::Tick;

/// Once so little waits to be taken, nobody is closed for the others' sake.
const ROOMY_BYTES: usize = SHARD_ANSWER_BYTES_MAX / 2;

impl ShardLoop {
    /// So much waits to be taken that who owes is given no more, while the others are served.
    pub(in crate::daemon) fn is_tight(&self) -> bool {
        self.output_bytes >= SHARD_OUTPUT_BYTES_TIGHT
    }

    /// Others need the memory that holds what is not taken: for requests, or for answers to reads.
    fn is_wanted(&self) -> bool {
        self.is_tight() || self.service.shard.wants_memory()
    }

    /// How long a client may take nothing now; as long as its own deadline where nobody wants the
    /// room.
    fn patience_ms(&self) -> Option<u64> {
        match self.output_bytes {
            SHARD_OUTPUT_BYTES_MAX.. => Some(UNREAD_FULL_MS),
            _ => self.is_wanted().then_some(UNREAD_TIGHT_MS),
        }
    }

    /// When to look again at who takes nothing.
    pub(in crate::daemon) fn next_relief(&self) -> Option<Tick> {
        self.is_wanted().then_some(self.relief_at)
    }

    /// Closes clients that take nothing, who owe most first, until there is room for the others.
    pub(in crate::daemon) fn evict_slow_clients(&mut self, now: Tick) {
        let Some(patience_ms) = self.patience_ms().filter(|_| now >= self.relief_at) else {
            return;
        };
        self.relief_at = now.after(UNREAD_FULL_MS * 1000);
        let stands_still = |index: TableIndex| match self.table.get(index) {
            Some(TableEntry { role: ConnectionRole::Client(_), conn, .. }) => {
                let still_us = conn.stands_still_since().map_or(0, |since| now.since(since));
                (still_us >= patience_ms * 1000).then(|| (conn.output.len(), index))
            }
            Some(_) | None => None,
        };
        let mut still: Vec<(usize, TableIndex)> =
            self.table.indexes().filter_map(stands_still).collect();
        still.sort_unstable_by(|a, b| b.cmp(a));
        for (bytes, index) in still {
            if self.output_bytes <= ROOMY_BYTES {
                break;
            }
            let Some(address) = self.table.get(index).map(|entry| entry.conn.address) else {
                break;
            };
            count(&self.context.board.counters.client.overflowed);
            let shard = self.service.id;
            if let Some(suppressed) = self.closings.note(now) {
                log::warn!(
                    "connection from {address} closed: it takes none of the {bytes} bytes that wait \
                     for it, and shard {shard} has no more room for answers{suppressed}"
                );
            }
            self.close(index, "its answers are not taken");
        }
    }
}
