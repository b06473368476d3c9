//! How much a run writes to the disk of every node, guessed before it begins: nothing that is
//! appended is freed again (docs/SIZING.md).

use super::super::units::bytes;
use super::args::{Bench, BenchOperation, Load};
use super::logs::BenchLog;
use super::tally::Work;
use crate::client::ClusterStatus;
use crate::limits::BLOCK_BYTES;
use std::time::Duration;

/// An item of the journal: the header of a batch or of a record.
const ITEM_BYTES: f64 = 128.0;
/// What the journal and the command add to an append of one entry, its item apart.
const APPEND_BYTES: f64 = 64.0;
/// A sync takes this long where no node has made one yet.
const SYNC: Duration = Duration::from_millis(1);
/// No shard does more appends a second than this.
const RATE_MAX: f64 = 100_000.0;
/// A run is warned of that writes more than one part in so many of the free space.
const PART: u64 = 10;

/// The warning, where one is due.
#[must_use]
pub fn warning(status: &ClusterStatus, bench: &Bench, logs: &[BenchLog]) -> Option<String> {
    let written = written(status, bench, logs);
    let nodes = status.nodes.iter().filter_map(|report| {
        let disk = report.state.as_ref().ok()?.disk;
        let free = disk.free_bytes.saturating_sub(disk.min_free_bytes);
        (disk.total_bytes > 0).then_some((free, report.member.node))
    });
    let (free, node) = nodes.min()?;
    if written < free / PART {
        return None;
    }
    let (about, has) = (bytes(written), bytes(free));
    let then = match written < free {
        true => "",
        false => "; appends are refused once its disk is full",
    };
    Some(format!(
        "warning: this run may write about {about} to each node, and node {node} has {has} left{then}; \
         they stay until the logs are trimmed or deleted; fewer --seconds or a lower --rate write less"
    ))
}

/// What is said after a run that appended something: that it stays, and about how much disk it took on
/// each node. `before` is the state of the cluster before the run.
#[must_use]
pub fn left(before: Option<&ClusterStatus>, after: Option<&ClusterStatus>, work: Work) -> String {
    let together = match (before.and_then(syncs), after.and_then(syncs)) {
        (Some(before), Some(after)) if after > before => {
            (work.entries as f64 / (after - before) as f64).max(1.0)
        }
        // Nothing is known of their company: as much as if they had filled their blocks.
        _ => f64::from(u16::MAX),
    };
    let size = work.bytes as f64 / work.entries.max(1) as f64;
    let about = bytes((work.entries as f64 * each(together, size)) as u64);
    format!(
        "what this run appended stays: about {about} on the disk of each node, until the logs are trimmed \
         or deleted"
    )
}

/// Syncs of all shards, each of which ended a batch, on the node that made most of them.
fn syncs(status: &ClusterStatus) -> Option<u64> {
    let nodes = status.nodes.iter().filter_map(|report| report.state.as_ref().ok());
    nodes.map(|node| node.shards.iter().map(|shard| shard.syncs).sum()).max()
}

/// Bytes that every node writes.
fn written(status: &ClusterStatus, bench: &Bench, logs: &[BenchLog]) -> u64 {
    match &bench.operation {
        BenchOperation::Append(append) => appended(status, &append.load) as u64,
        BenchOperation::Read(read) => {
            let missing = logs.iter().map(|log| read.fill.saturating_sub(log.entries));
            let entry = u64::from(read.load.size) + APPEND_BYTES as u64;
            missing.sum::<u64>().saturating_mul(entry)
        }
    }
}

/// The bytes of a run of appends: as many as are under way go into one batch of their shard.
fn appended(status: &ClusterStatus, load: &Load) -> f64 {
    let shards = f64::from(status.shards.max(1));
    let sync = sync(status).as_secs_f64();
    let under_way = f64::from(load.connections) * f64::from(load.window);
    let at_most = (under_way / sync).min(RATE_MAX * shards);
    let rate = load.rate.map_or(at_most, |rate| rate.min(at_most));
    let together = (rate * sync / shards).max(1.0);
    rate * (load.warmup + load.seconds).as_secs_f64() * each(together, f64::from(load.size))
}

/// Bytes of one append where so many share a batch.
fn each(together: f64, size: f64) -> f64 {
    let blocks = |bytes: f64| (bytes / BLOCK_BYTES as f64).ceil() * BLOCK_BYTES as f64;
    let data = blocks(2.0 * ITEM_BYTES + together * (size + APPEND_BYTES));
    let descriptors = blocks(2.0 * ITEM_BYTES);
    (data + descriptors) / together
}

/// How long a sync takes in the mean, on the fastest of the nodes that answer.
fn sync(status: &ClusterStatus) -> Duration {
    let nodes = status.nodes.iter().filter_map(|report| report.state.as_ref().ok());
    let means = nodes.filter_map(|node| {
        let (syncs, us) = node
            .shards
            .iter()
            .fold((0, 0), |sum, shard| (sum.0 + shard.syncs, sum.1 + shard.sync_us));
        us.checked_div(syncs)
    });
    means.min().map_or(SYNC, |us| Duration::from_micros(us.max(50)))
}

#[cfg(test)]
mod tests {
    use super::super::super::health::tests::healthy;
    use super::*;
    use crate::ctl::Cli;
    use clap::Parser;

    fn bench(line: &str) -> Bench {
        let cli = Cli::try_parse_from(["paxosctl", "bench"].into_iter().chain(line.split(' ')));
        match cli.expect("a command line of the manual").command {
            crate::ctl::Command::Bench(bench) => bench,
            other => panic!("bench was asked for, not {other:?}"),
        }
    }

    fn warned(free_bytes: u64, line: &str) -> Option<String> {
        let mut status = healthy();
        let node = status.nodes[1].state.as_mut().expect("it answers");
        (node.disk.free_bytes, node.disk.min_free_bytes) = (free_bytes, 0);
        warning(&status, &bench(line), &[])
    }

    /// A lone append takes two blocks, and company makes it cheap, as docs/SIZING.md measured.
    #[test]
    fn company_makes_appends_cheap() {
        assert_eq!(each(1.0, 1.0), 8192.0);
        let (window_8, window_64) = (each(4.0, 128.0), each(32.0, 128.0));
        assert!((1900.0..2200.0).contains(&window_8), "{window_8}");
        assert!((350.0..700.0).contains(&window_64), "{window_64}");
    }

    /// A run that may write a large part of what is free is warned of, with the node that has least;
    /// one that may fill it says what happens then; a small one says nothing.
    #[test]
    fn a_large_run_is_warned_of() {
        // 100 a second for 11 s, each alone: 9 MB.
        let line = "append --rate 100 --seconds 10 --warmup 1";
        assert_eq!(warned(100 << 20, line), None);
        let text = warned(50 << 20, line).expect("a fifth of what is free");
        assert!(text.contains("about 8.6 MiB") && text.contains("node 2 has 50.0 MiB"), "{text}");
        assert!(!text.contains("refused"), "{text}");
        let text = warned(5 << 20, line).expect("more than is free");
        assert!(text.contains("refused once its disk is full"), "{text}");
        assert!(warned(1 << 30, "append --seconds 600").is_some(), "a closed loop is guessed too");
        assert_eq!(warned(1 << 40, "append --seconds 10"), None);
        assert_eq!(warned(1 << 20, "read"), None, "full logs are not filled");
    }

    /// What a run took is said from the batches that it made: lone appends take two blocks each, and
    /// company makes them cheap.
    #[test]
    fn what_a_run_took_follows_from_its_batches() {
        let work = Work { entries: 1000, bytes: 128_000 };
        let said = |batches: u64| {
            let (before, mut after) = (healthy(), healthy());
            after.nodes[0].state.as_mut().expect("it answers").shards[0].syncs += batches;
            left(Some(&before), Some(&after), work)
        };
        assert!(said(1000).starts_with("what this run appended stays: about 7.8 MiB on the disk"));
        assert!(said(31).contains("about 372.0 KiB on the disk of each node"), "{}", said(31));
        for unknown in [left(None, None, work), said(0)] {
            assert!(unknown.contains("about 187.6 KiB"), "{unknown}");
        }
    }

    /// Logs that are filled before they are read count, those that are full do not.
    #[test]
    fn filling_counts() {
        let log = |entries| BenchLog {
            name: "bench-0".to_string(),
            shard: crate::types::ShardId(0),
            entries,
        };
        let bench = bench("read --fill 1000000");
        let warned = |entries| {
            let mut status = healthy();
            let node = status.nodes[0].state.as_mut().expect("it answers");
            node.disk.free_bytes = 1 << 30;
            warning(&status, &bench, &[log(entries)])
        };
        assert!(warned(0).is_some() && warned(1_000_000).is_none());
    }
}
