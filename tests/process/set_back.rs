//! A disk is set back to an earlier copy of itself while all nodes are down (C13, R13).

use crate::rig::{Cluster, Plan};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Time in which a node that must not go on ends; generous, for a loaded machine.
const ENDS: Duration = Duration::from_secs(60);

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// R13: entries are acknowledged by nodes 1 and 2; then node 2's data is what it was before, and nodes 2
/// and 3 start without node 1. Node 3 has seen a later life of node 2, and has it on its disk: node 2
/// ends, and ends again whenever a supervisor starts it; no index is given out twice.
#[test]
fn r13_a_disk_that_was_set_back_stays_out() {
    let mut cluster = Cluster::up(Plan::small(3));
    cluster.ctl(["create", "orders"]).expect(0);
    cluster.ctl(["append", "orders", "before"]).expect(0);
    cluster.wait_ready();
    assert!(cluster.node_mut(2).stop().success());
    let aside = cluster.folder().join("aside");
    copy(&cluster.node(2).data(), &aside);
    cluster.node_mut(2).start();
    cluster.wait_ready();
    assert!(cluster.node_mut(3).stop().success());
    for entry in ["old-1", "old-2"] {
        cluster.ctl(["append", "orders", entry]).expect(0);
    }
    cluster.node_mut(1).kill();
    cluster.node_mut(2).kill();

    let data = cluster.node(2).data();
    fs::remove_dir_all(&data).unwrap();
    copy(&aside, &data);
    cluster.node_mut(3).start();
    for _ in 0..3 {
        cluster.node_mut(2).start();
        let ended = cluster.node_mut(2).wait_within(ENDS).expect("the node ends");
        let log = cluster.node(2).log();
        assert_eq!(ended.code(), Some(65), "{log}");
        assert!(log.contains("this disk is older than what it acknowledged: node 3 saw"), "{log}");
    }
    // What node 1 acknowledged is where it was, and the next entry comes behind it.
    cluster.node_mut(1).start();
    cluster.ctl(["append", "orders", "new", "--timeout", "60"]).expect(0).says("3");
    assert_eq!(cluster.ctl(["read", "orders"]).expect(0).out, "before\nold-1\nold-2\nnew\n");
}
