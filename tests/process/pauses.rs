//! Nodes that are frozen for a while: what they knew is old when they go on.

use crate::rig::history::{History, Stopwatch};
use crate::rig::raw::{Raw, append, read};
use crate::rig::verdict::judge;
use crate::rig::writer::{Load, RunLog, Writer};
use crate::rig::{Cluster, Plan, poll};
use paxosd::api::Reply;
use std::time::{Duration, Instant};

/// R21: a leader that was frozen while another took over answers no linearizable read from what it
/// knew, not even one that lay in its socket when it went on.
#[test]
fn r21_a_frozen_leader_serves_nothing_stale() {
    let mut cluster = Cluster::up(Plan::small(3));
    cluster.ctl(["create", "orders"]).expect(0);
    for round in 0..4 {
        cluster.wait_ready();
        let old = cluster.leader(0);
        let mut asked = Raw::open(&cluster.endpoint(old), 0);
        asked.send(&read("orders", 0, 0)).unwrap();
        assert!(matches!(asked.answer(), Reply::ReadDone(_)), "the leader reads");
        let others = cluster.ids().filter(|id| *id != old);
        let mut others: Vec<Raw> = others.map(|id| Raw::open(&cluster.endpoint(id), 0)).collect();
        cluster.node_mut(old).pause();
        // As soon as there is another leader: the old one must not have noticed anything by itself.
        let appended = poll::until("another leader takes an append", || {
            others.iter_mut().find_map(|other| {
                other.send(&append("orders", "behind its back")).unwrap();
                match other.answer() {
                    Reply::Appended(appended) => Some(appended),
                    _ => None,
                }
            })
        });
        // Acknowledged before the read begins, so the read must show it, or be refused.
        asked.send(&read("orders", appended.first.0, 0)).unwrap();
        cluster.node_mut(old).resume();
        match asked.answer() {
            Reply::Error(_) => {}
            Reply::ReadDone(read) => {
                assert!(read.next > appended.first, "round {round}: a stale read: {read:?}");
            }
            other => panic!("no answer to a read: {other:?}"),
        }
    }
}

/// A follower frozen past many elections' time comes back without disturbing the leader, and
/// catches up.
#[test]
fn a_frozen_follower_does_not_disturb() {
    let mut cluster = Cluster::up(Plan::small(3));
    cluster.ctl(["create", "orders"]).expect(0);
    cluster.wait_ready();
    let leader = cluster.leader(0);
    let frozen = cluster.follower(0);
    let epoch = |cluster: &Cluster| {
        let states = cluster.shard_states(0);
        states.iter().find(|(id, _)| *id == leader).map(|(_, state)| state.epoch)
    };
    let before = epoch(&cluster).unwrap();
    cluster.node_mut(frozen).pause();
    for index in 0..20 {
        cluster.ctl(["append", "orders", &index.to_string()]).expect(0);
    }
    poll::pass(Duration::from_secs(2));
    cluster.node_mut(frozen).resume();
    cluster.wait_ready();
    assert_eq!(epoch(&cluster), Some(before), "an election that nothing called for");
    cluster.wait_same_digest(0);
}

/// A leader and a follower that stood still for 30 seconds come back: a read that waited in the
/// leader's socket shows what was acknowledged meanwhile or is refused, nobody is elected because of
/// them, appends go on without a failure, and both catch up.
#[test]
fn r21_half_a_minute_of_standstill_does_no_harm() {
    let mut cluster = Cluster::up(Plan::small(5));
    cluster.wait_ready();
    let log = RunLog { number: 0, name: "orders".to_string() };
    let mut history = History::default();
    let watch = Stopwatch::start();
    let load = Load::start(&cluster, 0, log.clone(), watch);
    load.wait_more(20);
    let old = cluster.leader(0);
    let follower = cluster.follower(0);
    let mut asked = Raw::open(&cluster.endpoint(old), 0);
    asked.send(&read("orders", 0, 1)).unwrap();
    assert!(matches!(asked.answer(), Reply::ReadDone(_)), "the leader reads");
    cluster.node_mut(follower).pause();
    cluster.node_mut(old).pause();
    let new = cluster.leader_other_than(0, Some(old));
    load.wait_more(20);
    history.add(load.finish());
    poll::pass(Duration::from_secs(30));
    let epoch = |cluster: &Cluster| {
        let states = cluster.shard_states(0);
        states.iter().find(|(id, _)| *id == new).map(|(_, state)| state.epoch)
    };
    let before = epoch(&cluster).unwrap();
    let mut writer = Writer::new(1, watch, cluster.patient()).unwrap();
    let last = writer.append(&log, 1, None).unwrap();
    asked.send(&read("orders", last.first.0, 0)).unwrap();
    let load = Load::start(&cluster, 2, log.clone(), watch);
    cluster.node_mut(old).resume();
    cluster.node_mut(follower).resume();
    match asked.answer() {
        Reply::Error(_) => {}
        Reply::ReadDone(read) => assert!(read.next > last.first, "a stale read: {read:?}"),
        other => panic!("no answer to a read: {other:?}"),
    }
    load.wait_more(200);
    cluster.wait_ready();
    assert_eq!(epoch(&cluster), Some(before), "an election that nothing called for");
    history.add(load.finish());
    history.add(writer.history);
    let refused = history.outcomes().2;
    assert_eq!(refused, 0, "a pause is no reason to refuse anything");
    cluster.wait_same_digest(0);
    let faults = judge(&history, &[cluster.outcome("orders")]);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Two of three nodes are frozen: the third is asked in time, whatever the order, and what it has
/// can be read; no command takes longer than it was given.
#[test]
fn frozen_nodes_leave_time_for_the_others() {
    let mut cluster = Cluster::up(Plan::small(3));
    cluster.ctl(["create", "orders"]).expect(0);
    cluster.ctl(["append", "orders", "three apples"]).expect(0);
    cluster.wait_ready();
    let frozen: Vec<u16> = cluster.ids().filter(|id| *id != cluster.follower(0)).collect();
    frozen.iter().for_each(|id| cluster.node_mut(*id).pause());
    for (words, code) in [
        (&["status"][..], 10),
        (&["read", "orders", "--consistency", "local"], 0),
        (&["top", "--once", "--interval", "0.1"], 0),
        (&["wait", "--quorum"], 10),
        (&["append", "orders", "a pear"], 6),
    ] {
        let started = Instant::now();
        let ran = cluster.ctl([words, &["--timeout", "1.5"]].concat()).expect(code);
        let took = started.elapsed();
        let allowed = if words[0] == "top" { 5000 } else { 2500 };
        assert!(took < Duration::from_millis(allowed), "{words:?} took {took:?}");
        if words[0] == "status" {
            assert_eq!(ran.out.matches("DEAD").count(), 2, "{}", ran.out);
        }
    }
    frozen.iter().for_each(|id| cluster.node_mut(*id).resume());
    cluster.wait_ready();
}

/// A node that was stopped by a signal says so, and does not blame its disk for it.
#[test]
fn a_pause_is_no_stall_of_the_disk() {
    // A leader that stands still for less than its lease still leads when it goes on.
    let mut cluster = Cluster::up(Plan::small(3).key("disk_stall_ms", 400).key("lease_ms", 3_000));
    cluster.wait_ready();
    let log = RunLog { number: 0, name: "orders".to_string() };
    let load = Load::start(&cluster, 0, log, Stopwatch::start());
    for _ in 0..3 {
        load.wait_more(20);
        let leader = cluster.leader(0);
        cluster.node_mut(leader).pause();
        poll::pass(Duration::from_millis(1500));
        cluster.node_mut(leader).resume();
        poll::until("the pause is logged", || {
            cluster.node(leader).log().contains("this process did not run for").then_some(())
        });
        cluster.wait_ready();
    }
    load.finish();
    for id in cluster.ids() {
        let log = cluster.node(id).log();
        assert!(!log.contains("the disk has made nothing durable"), "node {id}: {log}");
    }
}
