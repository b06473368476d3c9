//! Looking at the cluster, again and again, on a thread of its own: a node that does not answer
//! must not hold up the screen.

use super::super::health;
use crate::client::{Client, ClientError, ClusterStatus};
use crate::types::{LogId, ShardId};
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Shards with more logs than this are not asked for each of them: their entries are not counted.
const LOGS_MAX: u64 = 2000;

/// How far a log is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SampleExtent {
    /// Entries ever appended.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The cluster at one moment.
#[derive(Debug)]
pub struct Sample {
    /// When it was looked at, since the first look.
    pub at: Duration,
    /// What the nodes reported.
    pub status: ClusterStatus,
    /// Each log of the shards that could be asked.
    pub logs: BTreeMap<ShardId, BTreeMap<LogId, SampleExtent>>,
}

/// Looks once, for no longer than the client's timeout.
pub fn look(client: &mut Client, start: Instant) -> Result<Sample, ClientError> {
    client.end_all_within(Instant::now(), client.timeout());
    let status = client.status()?;
    let at = start.elapsed();
    let mut logs = BTreeMap::new();
    for shard in (0..status.shards).map(ShardId) {
        let Some((_, leads)) = health::leader(&status, shard) else { continue };
        if leads.logs > LOGS_MAX {
            continue;
        }
        // A leader that is lost just now is no news: the next look shows it.
        if let Ok(found) = client.list_shard(shard, "") {
            let extents = found
                .into_iter()
                .map(|log| (log.id, SampleExtent { entries: log.next_index.0, bytes: log.bytes }));
            logs.insert(shard, extents.collect());
        }
    }
    Ok(Sample { at, status, logs })
}

/// Looks every `interval` until nobody listens any more; the first time at once.
pub fn watch(mut client: Client, interval: Duration) -> Receiver<Result<Sample, ClientError>> {
    let (news, listener) = channel();
    // Nobody waits for the thread: it ends with the process, or when the listener is gone.
    let _detached = thread::spawn(move || {
        let start = Instant::now();
        while news.send(look(&mut client, start)).is_ok() {
            thread::sleep(interval);
        }
    });
    listener
}
