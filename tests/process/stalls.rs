//! Disks that stall: a sync that neither fails nor ends.

use crate::rig::injected::Injected;
use crate::rig::{Cluster, Plan, poll};

/// R21: a leader whose disk stalls hands over and stays alive; the cluster goes on without it, and
/// says why.
#[test]
#[ignore = "needs root: strace stalls the syncs of a running process"]
fn r21_a_leader_whose_disk_stalls_hands_over() {
    let mut cluster = Cluster::up(Plan::small(3).key("disk_stall_ms", 500));
    cluster.ctl(["create", "orders"]).expect(0);
    cluster.wait_ready();
    let old = cluster.leader(0);
    let stalled = Injected::stalled(cluster.node(old).pid());
    // Its followers choose it without the leader's own disk.
    cluster.ctl(["append", "orders", "into the stall"]).expect(0);
    let new = cluster.leader_other_than(0, Some(old));
    assert_ne!(new, old);
    cluster.ctl(["append", "orders", "beside the stall"]).expect(0);
    let log = cluster.node(old).log();
    assert!(log.contains("the disk has made nothing durable for"), "{log}");
    assert_eq!(cluster.node_mut(old).ended(), None, "a stall is no reason to end");
    drop(stalled);
    // Delays end with the tracer: the node catches up.
    poll::until("the stalled sync is logged", || {
        cluster.node(old).log().contains("a write and sync in").then_some(())
    });
    cluster.wait_same_digest(0);
}
