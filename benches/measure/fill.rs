//! Fills logs with entries.

use crate::generator::{Generator, Load, ManyLogs};
use crate::rig::Cluster;
use paxosd::api::entries::Entries;
use paxosd::types::ShardId;
use std::time::Instant;

/// Connections that fill, and the window of each.
const CONNECTIONS: usize = 32;
const WINDOW: usize = 16;

/// What logs are filled with.
#[derive(Clone, Debug)]
pub struct Filling {
    /// The logs; each gets as many entries as the others.
    pub logs: ManyLogs,
    /// Entries in all.
    pub entries: u64,
    /// Entries of each append.
    pub batch: u64,
    /// Bytes of an entry.
    pub size: usize,
}

impl Filling {
    /// Logs of one prefix.
    pub fn of(prefix: &str, (logs, entries, batch): (u64, u64, u64), size: usize) -> Filling {
        let logs = ManyLogs { prefix: prefix.to_string(), count: logs };
        Filling { logs, entries, batch: batch.max(1), size }
    }

    /// Appends all of it to a cluster of one shard; returns entries a second.
    pub fn append_to(&self, cluster: &Cluster) -> f64 {
        let entry = vec![7; self.size];
        let batch = self.batch.min(self.entries.max(1));
        let slices = (0..batch).map(|_| &entry);
        let entries = Entries::from_slices(slices).expect("entries of a size that fits");
        let endpoint = cluster.endpoint(cluster.leader(0));
        let load = Load::spread(&endpoint, ShardId(0), self.logs.clone(), &entries);
        let begun = Instant::now();
        let mut generator =
            Generator::connect(&[load], CONNECTIONS, WINDOW).expect("the leader takes connections");
        let appends = self.entries.div_ceil(batch);
        generator.send(appends).expect("the leader takes all that is appended");
        (appends * batch) as f64 / begun.elapsed().as_secs_f64()
    }
}
