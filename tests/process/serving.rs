//! Clusters at work: appending, reading, following, and reporting how they are.

use crate::dev::Dev;
use crate::rig::history::{History, Stopwatch};
use crate::rig::verdict::judge;
use crate::rig::writer::{Load, RunLog};
use crate::rig::{Cluster, Plan};
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

/// A cluster of three takes entries on two shards, gives them back from every node in order, and
/// all nodes end with the same state.
#[test]
fn three_nodes_append_and_read() {
    let cluster = Cluster::up(Plan::small(3).shards(2));
    let mut client = cluster.client();
    let watch = Stopwatch::start();
    let mut loads = Vec::new();
    for number in 0..4 {
        let log = RunLog { number, name: format!("log-{number}") };
        loads.push(Load::start(&cluster, u16::try_from(number).unwrap(), log, watch));
    }
    loads.iter().for_each(|load| load.wait_more(100));
    let mut history = History::default();
    loads.into_iter().for_each(|load| history.add(load.finish()));
    let (acknowledged, unknown, refused) = history.outcomes();
    assert!(acknowledged >= 400 && unknown == 0 && refused == 0, "{:?}", history.outcomes());
    cluster.wait_ready();
    let logs: Vec<_> = (0..4).map(|number| cluster.outcome(&format!("log-{number}"))).collect();
    assert_eq!(judge(&history, &logs), Vec::<String>::new());
    (0..2).for_each(|shard| cluster.wait_same_digest(shard));
    let shards: Vec<u16> =
        client.list("log-").unwrap().iter().map(|log| log.id.shard().0).collect();
    assert!(shards.contains(&0) && shards.contains(&1), "both shards have logs: {shards:?}");
}

/// Five nodes with prepare quorums of four and accept quorums of two go on when two live, elect
/// only when four live, and lose nothing.
#[test]
fn five_nodes_with_small_accept_quorums() {
    let plan = Plan::small(5).key("quorum_prepare", 4).key("quorum_accept", 2);
    let mut cluster = Cluster::up(plan);
    cluster.ctl(["create", "log"]).expect(0);
    cluster.wait_ready();
    let leader = cluster.leader(0);
    let followers: Vec<u16> = cluster.ids().filter(|id| *id != leader).collect();
    for id in &followers[..3] {
        cluster.node_mut(*id).kill();
    }
    for index in 0..5 {
        let ran = cluster.ctl(["append", "log", &format!("with two of five, {index}")]).expect(0);
        assert_eq!(ran.out.trim(), index.to_string());
    }
    cluster.node_mut(leader).kill();
    cluster.ctl(["append", "log", "nobody leads", "--timeout", "1"]).expect(6);
    for id in &followers[..3] {
        cluster.node_mut(*id).start();
    }
    cluster.wait_quorum();
    let read = cluster.ctl(["read", "log"]).expect(0);
    assert_eq!(read.out.lines().count(), 5, "{}", read.out);
    cluster.ctl(["append", "log", "with four of five"]).expect(0);
    cluster.node_mut(leader).start();
    cluster.wait_ready();
    cluster.wait_same_digest(0);
}

/// `paxosd dev` initialises a node by itself, says where it listens, keeps what it was given over a
/// kill, and stops in order.
#[test]
fn dev_works_alone() {
    let folder = tempfile::TempDir::new().unwrap();
    let data = folder.path().join("data");
    let dev = Dev::start(&data);
    dev.ctl(&["create", "diary"]);
    assert_eq!(dev.ctl(&["append", "diary", "dear diary"]), "0\n");
    dev.kill();
    let dev = Dev::start(&data);
    assert_eq!(dev.ctl(&["read", "diary"]), "dear diary\n");
    assert_eq!(dev.ctl(&["append", "diary", "I died"]), "1\n");
    assert_eq!(dev.stop(), Some(0));
}

/// C28: to follow a log ends with its last entry once it is sealed: nothing can come any more.
#[test]
fn c28_following_ends_where_a_log_is_sealed() {
    let cluster = Cluster::up(Plan::small(1));
    cluster.ctl(["append", "done", "--create", "one"]).expect(0);
    cluster.ctl(["append", "done", "two"]).expect(0);
    cluster.ctl(["seal", "done"]).expect(0);
    for consistency in ["linearizable", "local"] {
        let line = ["read", "done", "--follow", "--from", "0", "--consistency", consistency];
        let ran = cluster.ctl(line).expect(0).says("done is sealed at index 2: nothing follows");
        assert_eq!(ran.out, "one\ntwo\n");
    }
}

/// `read --follow` prints what is there, then every further entry as it comes, and goes on after
/// the leader died.
#[test]
fn follow_outlives_the_leader() {
    let mut cluster = Cluster::up(Plan::small(3));
    cluster.ctl(["create", "news"]).expect(0);
    cluster.ctl(["append", "news", "old"]).expect(0);
    let mut command = cluster.ctl_command();
    command.args(["read", "news", "--follow"]).stdout(Stdio::piped());
    let mut follower = Ended(command.spawn().unwrap());
    let mut lines = BufReader::new(follower.0.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "old");
    cluster.ctl(["append", "news", "new"]).expect(0);
    assert_eq!(lines.next().unwrap().unwrap(), "new");
    let leader = cluster.leader(0);
    cluster.node_mut(leader).kill();
    cluster.ctl(["append", "news", "after the leader died", "--timeout", "30"]).expect(0);
    assert_eq!(lines.next().unwrap().unwrap(), "after the leader died");
}

/// `status` shows a dead node as such and exits 10; all well again, it exits 0.
#[test]
fn status_shows_a_dead_node() {
    let mut cluster = Cluster::up(Plan::small(3));
    cluster.wait_ready();
    cluster.ctl(["status"]).expect(0);
    let dead = cluster.follower(0);
    cluster.node_mut(dead).kill();
    cluster.ctl(["status"]).expect(10).says("DEAD");
    cluster.ctl(["wait", "--ready", "--timeout", "0.5"]).expect(10);
    cluster.ctl(["wait", "--quorum", "--timeout", "30"]).expect(0);
    cluster.node_mut(dead).start();
    cluster.wait_ready();
    cluster.ctl(["status"]).expect(0);
}

/// A program that ends when the test lets go of it.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ended_at_worst = self.0.kill();
        let _ended_now = self.0.wait();
    }
}
