//! Nodes that stop in order, one after the other, as an upgrade does it.

use crate::rig::history::{History, Stopwatch};
use crate::rig::writer::{Load, RunLog, longest_gap};
use crate::rig::{Cluster, Plan, poll};
use rustix::process::Signal;
use std::time::Duration;

/// C15, C17: a leader that stops a moment after a peer was restarted is succeeded at once. The lease
/// is long, so that a wait for what the peer granted before its restart would show.
#[test]
fn c17_a_stop_soon_after_a_restart_waits_for_no_lease() {
    let mut cluster = Cluster::up(Plan::small(3).key("lease_ms", 20_000).key("heartbeat_ms", 60));
    cluster.ctl(["create", "orders"]).expect(0);
    cluster.wait_ready();
    let log = RunLog { number: 0, name: "orders".to_string() };
    let mut history = History::default();
    for round in 0..2 {
        let (leader, follower) = (cluster.leader(0), cluster.follower(0));
        let load = Load::start(&cluster, round, log.clone(), Stopwatch::start());
        load.wait_more(10);
        assert_eq!(cluster.node_mut(follower).stop().code(), Some(0));
        cluster.node_mut(follower).start();
        cluster.wait_ready();
        assert_eq!(cluster.node_mut(leader).stop().code(), Some(0));
        load.wait_more(10);
        let part = load.finish();
        let gap = longest_gap(&part);
        assert!(gap < Duration::from_secs(10), "round {round}: {gap:?} without an append");
        history.add(part);
        cluster.node_mut(leader).start();
        cluster.wait_ready();
    }
    assert_eq!(history.outcomes().1, 0, "unknown outcomes after orderly stops");
    cluster.wait_same_digest(0);
}

/// C18: of two nodes that stop at once, the one that leads hands over to the third, and the other
/// takes no leadership on its way out.
#[test]
fn c18_two_that_stop_at_once_hand_over_to_the_third() {
    let mut cluster = Cluster::up(Plan::small(3));
    cluster.ctl(["create", "orders"]).expect(0);
    cluster.wait_ready();
    let leader = cluster.leader(0);
    let follower = cluster.follower(0);
    let third = cluster.ids().find(|id| *id != leader && *id != follower).unwrap();
    let before = |cluster: &Cluster| cluster.node(follower).log().matches(": leads in").count();
    let led = before(&cluster);
    cluster.node(follower).signal(Signal::TERM);
    cluster.node(leader).signal(Signal::TERM);
    assert_eq!(cluster.node_mut(leader).wait().code(), Some(0));
    assert_eq!(cluster.node_mut(follower).wait().code(), Some(0));
    assert_eq!(before(&cluster), led, "a node that stops took leadership");
    let log = cluster.node(follower).log();
    assert!(log.contains("stopping: handing over leadership; a second signal"), "{log}");
    let said = format!("node {follower} is stopping, and takes no leadership any more");
    poll::until("the third node logs it", || {
        cluster.node(third).log().contains(&said).then_some(())
    });
}
