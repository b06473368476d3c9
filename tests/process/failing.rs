//! R01: disks that fail a sync. The node ends at once, the cluster goes on, and the node's next life
//! looks at the disk itself and not at what the system remembers of it.

use crate::rig::history::{History, Stopwatch};
use crate::rig::injected::Injected;
use crate::rig::verdict::judge;
use crate::rig::writer::{Load, RunLog};
use crate::rig::{Cluster, Plan, poll};
use std::collections::BTreeMap;
use std::fs;

/// A leader and a follower whose disks fail under load end with 74, naming file and error number;
/// appends go on, and when both are started again nothing acknowledged is missing anywhere.
#[test]
#[ignore = "needs root: strace fails the syncs of a running process"]
fn r01_a_failed_sync_ends_the_node_and_nothing_is_lost() {
    let mut cluster = Cluster::up(Plan::small(3));
    cluster.wait_ready();
    let log = RunLog { number: 0, name: "orders".to_string() };
    let watch = Stopwatch::start();
    let mut history = History::default();
    for round in 0..4 {
        cluster.wait_ready();
        let leads = round % 2 == 0;
        let victim = if leads { cluster.leader(0) } else { cluster.follower(0) };
        let load = Load::start(&cluster, round, log.clone(), watch);
        load.wait_more(50);
        let failing = Injected::failing(cluster.node(victim).pid(), 10 + u32::from(round));
        let status = cluster.node_mut(victim).wait();
        assert_eq!(status.code(), Some(74), "{}", cluster.node(victim).log_tail());
        drop(failing);
        let said = cluster.node(victim).log();
        let last = said.lines().last().unwrap_or_default();
        for part in ["disk failure in", "shard-000", "errno 5", "(exit 74)"] {
            assert!(last.contains(part), "the last words say nothing of {part:?}: {last}");
        }
        // An election may fall among the syncs: then a file of the hard state is the one that fails.
        let names_file = ["segment-", "hard-state"].iter().any(|file| last.contains(file));
        assert!(names_file, "the last words name no file: {last}");
        load.wait_more(50);
        history.add(load.finish());
        cluster.node_mut(victim).start();
    }
    cluster.wait_ready();
    cluster.wait_same_digest(0);
    let faults = judge(&history, &[cluster.outcome("orders")]);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The start after a failure syncs each file of the journal and has the system forget its pages
/// before it reads the first byte of it.
#[test]
#[ignore = "needs root: strace watches a node that starts"]
fn r01_a_restart_reads_around_the_page_cache() {
    let mut cluster = Cluster::up(Plan::small(3));
    cluster.ctl(["append", "orders", "an entry", "--create"]).expect(0);
    cluster.node_mut(3).kill();
    let trace = cluster.folder().join("trace");
    let calls = "trace=fdatasync,fadvise64,pread64";
    let strace = ["strace", "-D", "-f", "-y", "-qq", "-e", calls, "-o", trace.to_str().unwrap()];
    cluster.node_mut(3).start_under(&strace);
    cluster.wait_ready();
    assert_eq!(cluster.node_mut(3).stop().code(), Some(0));
    let mut order: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let text = poll::until("the trace is complete", || {
        let text = fs::read_to_string(&trace).ok()?;
        text.contains("segment-").then_some(text)
    });
    for line in text.lines() {
        let Some(file) = line.split("/shard-000/").nth(1).and_then(|rest| rest.split('>').next())
        else {
            continue;
        };
        let calls = ["fdatasync(", "fadvise64(", "pread64("];
        order
            .entry(file.to_string())
            .or_default()
            .extend(calls.iter().filter(|call| line.contains(**call)));
    }
    assert!(order.keys().any(|file| file.starts_with("segment-")), "{text}");
    for (file, calls) in order {
        let read = calls.iter().position(|call| *call == "pread64(");
        let before = &calls[..read.unwrap_or(calls.len())];
        // Files that this life prepared are written and never read.
        if read.is_some() {
            assert_eq!(before, ["fdatasync(", "fadvise64("], "{file}: {calls:?}");
        }
    }
}
