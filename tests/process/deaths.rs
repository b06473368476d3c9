//! Nodes that die, in order and out of it, while clients append.

use crate::rig::history::{History, Stopwatch};
use crate::rig::node::files;
use crate::rig::raw::{Raw, append};
use crate::rig::verdict::judge;
use crate::rig::writer::{Load, RunLog, longest_gap};
use crate::rig::{Cluster, Plan, poll};
use rustix::process::Signal;
use std::time::{Duration, Instant};

fn orders() -> RunLog {
    RunLog { number: 0, name: "orders".to_string() }
}

/// Compares what was reported to the load with what every node has.
#[track_caller]
fn check(cluster: &Cluster, history: &History) {
    cluster.wait_ready();
    let outcome = cluster.outcome("orders");
    assert_eq!(judge(history, &[outcome]), Vec::<String>::new());
    cluster.wait_same_digest(0);
}

/// `kill -9` of the leader under load, again and again, loses nothing acknowledged.
#[test]
fn killed_leaders_lose_nothing() {
    let mut cluster = Cluster::up(Plan::small(3));
    let load = Load::start(&cluster, 1, orders(), Stopwatch::start());
    for _ in 0..3 {
        load.wait_more(50);
        let leader = cluster.leader(0);
        cluster.node_mut(leader).kill();
        load.wait_more(50);
        cluster.node_mut(leader).start();
        cluster.wait_ready();
    }
    let history = load.finish();
    check(&cluster, &history);
}

/// A leader that is asked to stop hands over first: it exits 0, appends hardly pause, and none is
/// left unknown.
#[test]
fn a_stopped_leader_hands_over() {
    let mut cluster = Cluster::up(Plan::small(3));
    cluster.wait_ready();
    let load = Load::start(&cluster, 1, orders(), Stopwatch::start());
    load.wait_more(50);
    let leader = cluster.leader(0);
    let status = cluster.node_mut(leader).stop();
    assert_eq!(status.code(), Some(0), "{}", cluster.node(leader).log_tail());
    load.wait_more(50);
    let history = load.finish();
    // Shorter than a lease and an election: nobody had to wait for those.
    let gap = longest_gap(&history);
    assert!(gap < Duration::from_secs(2), "appends paused for {gap:?}");
    assert_eq!(history.outcomes().1, 0, "unknown outcomes after an orderly stop");
    cluster.node_mut(leader).start();
    check(&cluster, &history);
}

/// A leader waits with the hand-over for what is in flight, and for followers that do not answer
/// it waits long; the second SIGTERM ends it at once.
#[test]
fn a_second_signal_stops_at_once() {
    // An election takes long here, and so does the wait of a hand-over.
    let mut cluster = Cluster::up(Plan::small(3).key("lease_ms", 2_000));
    cluster.wait_ready();
    cluster.ctl(["create", "orders"]).expect(0);
    let leader = cluster.leader(0);
    let mut asked = Raw::open(&cluster.endpoint(leader), 0);
    let others: Vec<u16> = cluster.ids().filter(|id| *id != leader).collect();
    others.iter().for_each(|id| cluster.node_mut(*id).pause());
    asked.send(&append("orders", "in flight")).unwrap();
    poll::pass(Duration::from_millis(100));
    let node = cluster.node_mut(leader);
    node.signal(Signal::TERM);
    let ended = node.wait_within(Duration::from_millis(200));
    assert_eq!(ended, None, "an append is in flight, and it should have waited for that");
    let asked_at = Instant::now();
    node.signal(Signal::TERM);
    assert_eq!(node.wait().code(), Some(75), "it stopped before it was done");
    assert!(asked_at.elapsed() < Duration::from_secs(1), "it took {:?}", asked_at.elapsed());
}

/// A follower that was down catches up from its peers, over several segments, and takes part again.
#[test]
fn a_restarted_follower_catches_up() {
    let mut cluster = Cluster::up(Plan::small(3));
    cluster.ctl(["create", "bulk"]).expect(0);
    let behind = cluster.follower(0);
    cluster.node_mut(behind).kill();
    let mut client = cluster.client();
    let entry = vec![b'x'; 8 << 10];
    for _ in 0..60 {
        client.append("bulk", vec![&entry; 7]).unwrap();
    }
    cluster.node_mut(behind).start();
    cluster.wait_ready();
    cluster.wait_same_digest(0);
    // Learned values may be applied before they are on disk.
    poll::until("3.3 MiB are in segments of 1 MiB", || {
        let segments = files(&cluster.node(behind).journal(0), "segment-");
        (segments.len() > 3).then_some(())
    });
    let other = cluster.ids().find(|id| *id != behind && *id != cluster.leader(0)).unwrap();
    cluster.node_mut(other).kill();
    client.append("bulk", ["with the one that caught up"]).unwrap();
}

/// With a majority dead, appends end in 6 or 7 within their timeout, local reads go on, and the
/// cluster heals by itself as soon as a majority lives.
#[test]
fn a_dead_majority_is_reported_and_heals() {
    let mut cluster = Cluster::up(Plan::small(3));
    cluster.ctl(["create", "orders"]).expect(0);
    cluster.ctl(["append", "orders", "before"]).expect(0);
    cluster.wait_ready();
    let alive = cluster.leader(0);
    let dead: Vec<u16> = cluster.ids().filter(|id| *id != alive).collect();
    dead.iter().for_each(|id| cluster.node_mut(*id).kill());
    for _ in 0..2 {
        let begun = Instant::now();
        let ran = cluster.ctl(["append", "orders", "during", "--timeout", "1"]);
        assert!(matches!(ran.code, Some(6 | 7)), "{ran:?}");
        assert!(begun.elapsed() < Duration::from_secs(4), "took {:?}", begun.elapsed());
    }
    cluster.ctl(["read", "orders", "--timeout", "1"]).expect(6);
    let local = cluster.ctl(["read", "orders", "--consistency", "local"]).expect(0);
    assert!(local.out.starts_with("before\n"), "{}", local.out);
    cluster.node_mut(dead[0]).start();
    cluster.wait_quorum();
    cluster.ctl(["append", "orders", "after"]).expect(0);
    let read = cluster.ctl(["read", "orders"]).expect(0);
    assert!(read.out.starts_with("before\n") && read.out.ends_with("after\n"), "{}", read.out);
}

/// All nodes killed at once under load recover what was acknowledged from their disks.
#[test]
fn a_power_cut_for_all_loses_nothing() {
    let mut cluster = Cluster::up(Plan::small(3));
    let load = Load::start(&cluster, 1, orders(), Stopwatch::start());
    load.wait_more(100);
    cluster.ids().for_each(|id| cluster.node_mut(id).signal(Signal::KILL));
    for id in cluster.ids() {
        cluster.node_mut(id).wait();
    }
    cluster.ids().for_each(|id| cluster.node_mut(id).start());
    load.wait_more(50);
    let history = load.finish();
    check(&cluster, &history);
}
