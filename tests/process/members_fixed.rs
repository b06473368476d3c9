//! Members and quorums that are edited in the configuration files: what the votes rest on is in the
//! hard state, and another set refuses the start before an acknowledged entry can be lost (R26, R28).

use crate::rig::ctl::{Ran, paxosctl};
use crate::rig::{Cluster, Plan};
use std::fs;
use std::time::Duration;

/// Time in which a node that must not start says so and ends; generous, for a loaded machine.
const ENDS: Duration = Duration::from_secs(60);

/// The node's configuration, changed by a function of its text.
fn edit(cluster: &Cluster, id: u16, change: impl Fn(String) -> String) {
    let file = cluster.node(id).config();
    fs::write(&file, change(fs::read_to_string(&file).unwrap())).unwrap();
}

/// The configuration without the members behind the first `kept` of them.
fn members(text: &str, kept: usize) -> String {
    text.split("[[member]]").take(kept + 1).collect::<Vec<_>>().join("[[member]]")
}

/// `paxosctl`, with these nodes as its endpoints.
fn ask(cluster: &Cluster, nodes: &[u16], arguments: &[&str]) -> Ran {
    let endpoints: Vec<String> = nodes.iter().map(|id| cluster.endpoint(*id)).collect();
    paxosctl([&["--endpoints", &endpoints.join(",")], arguments].concat())
}

/// Starts a node that must end with 65, and say both sets.
#[track_caller]
fn refuses(cluster: &mut Cluster, id: u16, kept: &str, given: &str) {
    cluster.node_mut(id).start();
    let ended = cluster.node_mut(id).wait_within(ENDS).expect("the node ends");
    let log = cluster.node(id).log();
    assert_eq!(ended.code(), Some(65), "{log}");
    assert!(log.contains(&format!("rest on {kept}")), "{log}");
    assert!(log.contains(&format!("now says {given}")), "{log}");
}

/// R28: one node alone acknowledged, as quorums of 3 and 1 allow; then all files say 2 and 2, and the
/// two that have nothing start first. They do not start, and nothing is given out again.
#[test]
fn r28_edited_quorums_refuse_the_start() {
    let quorums = |prepare: u16, accept: u16| {
        Plan::small(3).key("quorum_prepare", prepare).key("quorum_accept", accept)
    };
    let mut cluster = Cluster::up(quorums(3, 1));
    cluster.ctl(["create", "orders"]).expect(0);
    cluster.wait_ready();
    let leader = cluster.leader(0);
    let others: Vec<u16> = cluster.ids().filter(|id| *id != leader).collect();
    others.iter().for_each(|id| cluster.node_mut(*id).kill());
    for entry in ["one", "two", "three"] {
        ask(&cluster, &[leader], &["append", "orders", entry]).expect(0);
    }
    cluster.node_mut(leader).kill();
    let swap = |text: String| {
        text.replace("quorum_prepare = 3", "quorum_prepare = 2")
            .replace("quorum_accept = 1", "quorum_accept = 2")
    };
    cluster.ids().for_each(|id| edit(&cluster, id, swap));
    for id in others {
        let (kept, given) =
            ("quorum_prepare 3, quorum_accept 1", "quorum_prepare 2, quorum_accept 2");
        refuses(
            &mut cluster,
            id,
            &format!("members 1 2 3, {kept}"),
            &format!("members 1 2 3, {given}"),
        );
    }
    let back = |text: String| {
        text.replace("quorum_prepare = 2", "quorum_prepare = 3")
            .replace("quorum_accept = 2", "quorum_accept = 1")
    };
    cluster.ids().for_each(|id| edit(&cluster, id, back));
    cluster.start_all();
    assert_eq!(cluster.ctl(["read", "orders"]).expect(0).out, "one\ntwo\nthree\n");
}

/// R26: nodes 1 and 2 acknowledged; then members 4 and 5 are added to all files, and 3, 4 and 5 start.
/// Node 3 does not, and the new ones, which cannot have met 1 and 2, vote for nobody.
#[test]
fn r26_added_members_refuse_the_start() {
    let mut cluster = Cluster::laid_out(Plan::small(5));
    let five: Vec<String> =
        cluster.ids().map(|id| fs::read_to_string(cluster.node(id).config()).unwrap()).collect();
    (1..=3).for_each(|id| edit(&cluster, id, |text| members(&text, 3)));
    (1..=3).for_each(|id| cluster.node_mut(id).start());
    ask(&cluster, &[1, 2, 3], &["wait", "--ready", "--timeout", "60"]).expect(0);
    ask(&cluster, &[1, 2, 3], &["create", "orders"]).expect(0);
    cluster.node_mut(3).kill();
    ask(&cluster, &[1, 2], &["append", "orders", "kept"]).expect(0);
    cluster.node_mut(1).kill();
    cluster.node_mut(2).kill();
    (1..=5).for_each(|id| edit(&cluster, id, |_| five[usize::from(id) - 1].clone()));
    refuses(&mut cluster, 3, "members 1 2 3,", "members 1 2 3 4 5,");
    cluster.node_mut(4).start();
    cluster.node_mut(5).start();
    ask(&cluster, &[4, 5], &["append", "orders", "lost", "--timeout", "3"]).expect(6);
    cluster.node_mut(4).kill();
    cluster.node_mut(5).kill();
    (1..=3).for_each(|id| edit(&cluster, id, |text| members(&text, 3)));
    (1..=3).for_each(|id| cluster.node_mut(id).start());
    let read = ask(&cluster, &[1, 2, 3], &["read", "orders", "--timeout", "60"]);
    assert_eq!(read.expect(0).out, "kept\n");
}

/// R26: a member whose file is cut down to itself would be a cluster of its own, beside the other two.
#[test]
fn r26_a_member_does_not_become_a_cluster_of_its_own() {
    let mut cluster = Cluster::up(Plan::small(3));
    cluster.wait_ready();
    cluster.node_mut(1).kill();
    edit(&cluster, 1, |text| members(&text, 1));
    refuses(&mut cluster, 1, "members 1 2 3,", "members 1,");
}
