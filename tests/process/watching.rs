//! What a cluster shows those who watch it: who lags, who is missing, how long things take, and
//! what it costs on disk.

use crate::rig::{Cluster, Plan, poll};
use crate::web::{get, sample};
use std::fmt::Write;

fn page(cluster: &Cluster, id: u16, path: &str) -> String {
    get(&cluster.admin(id), path).body
}

/// The sum of a metric's samples whose labels all have these parts.
fn sum(page: &str, metric: &str, parts: &[&str]) -> f64 {
    let samples = page.lines().filter(|line| {
        let named = line.strip_prefix(metric).is_some_and(|rest| rest.starts_with('{'));
        named && parts.iter().all(|part| line.contains(part))
    });
    samples.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

fn lags(page: &str) -> Vec<String> {
    let lag = |line: &&str| line.starts_with("paxosd_peer_lag_slots{");
    page.lines().filter(lag).map(str::to_string).collect()
}

/// R30: only the leader reports who lags, and of peers that answer it: after a load nobody lags,
/// no follower keeps an old word of another one, and a dead node has no lag that would only grow.
#[test]
fn r30_only_the_leader_reports_lag() {
    let mut cluster = Cluster::up(Plan::small(3));
    let lines = (0..300).fold(String::new(), |mut lines, at| {
        writeln!(lines, "entry {at}").unwrap();
        lines
    });
    cluster.ctl_fed(["append", "log", "--create", "--lines"], lines.as_bytes()).expect(0);
    cluster.wait_ready();
    let leader = cluster.leader(0);
    poll::until("the leader reports that nobody lags, and no other node reports lag", || {
        let nobody_lags = cluster.ids().all(|id| {
            let lags = lags(&page(&cluster, id, "/metrics"));
            let nothing = lags.iter().all(|line| line.ends_with(" 0"));
            lags.len() == if id == leader { 2 } else { 0 } && nothing
        });
        nobody_lags.then_some(())
    });
    let peers = |id: u16| {
        let status: serde_json::Value =
            serde_json::from_str(&page(&cluster, id, "/status")).unwrap();
        status["shards"][0]["peers"].as_array().unwrap().clone()
    };
    for id in cluster.ids() {
        let known = peers(id).iter().filter(|peer| peer["lag"].is_number()).count();
        assert_eq!(known, if id == leader { 2 } else { 0 }, "{:?}", peers(id));
    }
    let dead = cluster.follower(0);
    cluster.node_mut(dead).kill();
    poll::until("the dead follower's lag is gone", || {
        let lags = lags(&page(&cluster, leader, "/metrics"));
        let of_dead = format!("peer=\"{dead}\"");
        (lags.len() == 1 && !lags[0].contains(&of_dead)).then_some(())
    });
}

/// A new cluster with one host missing says that it has not formed and whom it waits for: in the log,
/// at `/readyz`, to a writer, to who waits, and in its status; and that it has formed in the end.
#[test]
fn a_cluster_that_has_not_formed_says_whom_it_waits_for() {
    let mut cluster = Cluster::laid_out(Plan::small(3).shards(2));
    cluster.node_mut(1).start();
    cluster.node_mut(2).start();
    let wanted = "has not formed: it waits for node 3;";
    for id in [1, 2] {
        poll::until("the log says whom the cluster waits for", || {
            let log = cluster.node(id).log();
            let said = |line: &str| {
                line.contains("nothing is served yet: shards 0 and 1: ") && line.contains(wanted)
            };
            log.lines().any(said).then_some(())
        });
        let ready = get(&cluster.admin(id), "/readyz");
        assert!(ready.code == 503 && ready.body.contains(wanted), "{ready:?}");
        assert!(!ready.body.contains("no leader is known"), "{ready:?}");
    }
    // A majority runs: what is missing is node 3.
    let start = "next: start node 3;";
    cluster.ctl(["append", "log", "x", "--timeout", "2"]).expect(6).says(wanted).says(start);
    for what in ["--quorum", "--ready"] {
        let ran = cluster.ctl(["wait", what, "--timeout", "2"]).expect(10).says(wanted).says(start);
        ran.says("no leader serves shards 0 and 1").says("nodes 1 and 2 answer, node 3 does not");
        let ran = cluster.ctl(["wait", what, "--timeout", "2", "-o", "json"]).expect(10);
        assert!(ran.out.contains("\"next\":\"start node 3;"), "{}", ran.out);
    }
    let ran = cluster.ctl(["status", "--timeout", "3"]).expect(10).says("not formed");
    let dead = ran.err.find("node 3 at").expect("the dead node is named");
    let waits = ran.err.find("has not formed in shards 0 and 1: it waits for node 3");
    assert!(waits.is_some_and(|waits| dead < waits), "the cause comes first:\n{}", ran.err);
    assert!(!ran.err.contains("no leader"), "that follows from it:\n{}", ran.err);
    cluster.node_mut(3).start();
    cluster.wait_quorum();
    poll::until("the log says that the cluster has formed", || {
        cluster.node(1).log().contains("the cluster has formed").then_some(())
    });
    cluster.wait_ready();
    cluster.ctl(["status"]).expect(0);
}

/// A node that is restarted beside a dead peer says so, once, also where the peer is the one that
/// dials; with the peer back there is nothing to say.
#[test]
fn a_peer_that_does_not_call_is_logged_once() {
    let mut cluster = Cluster::up(Plan::small(3));
    cluster.wait_ready();
    cluster.node_mut(3).kill();
    cluster.node_mut(1).stop();
    let before = cluster.node(1).log().len();
    cluster.node_mut(1).start();
    let lines = |cluster: &Cluster| {
        let log = cluster.node(1).log()[before..].to_string();
        log.lines().filter(|line| line.contains("no link with node 3: it has not called")).count()
    };
    poll::until("node 1 says that node 3 does not call", || (lines(&cluster) > 0).then_some(()));
    poll::until("its status says so too", || {
        page(&cluster, 1, "/status").contains("it has not called this node").then_some(())
    });
    cluster.node_mut(3).start();
    cluster.wait_ready();
    assert_eq!(lines(&cluster), 1, "it was said again");
    poll::until("nothing is wrong with the link any more", || {
        (!page(&cluster, 1, "/status").contains("it has not called")).then_some(())
    });
}

/// Appends and reads are measured from their arrival to their answer, by what became of them.
#[test]
fn requests_are_measured_by_outcome() {
    let cluster = Cluster::up(Plan::small(3));
    cluster.ctl(["create", "log"]).expect(0);
    for at in 0..5 {
        cluster.ctl(["append", "log", &format!("entry {at}")]).expect(0);
    }
    cluster.ctl(["read", "log"]).expect(0);
    cluster.ctl(["append", "nothing", "x"]).expect(3);
    poll::until("each request is counted once", || {
        let pages: String = cluster.ids().map(|id| page(&cluster, id, "/metrics")).collect();
        let count = |operation: &str, outcome: &str| {
            let labels = [format!("\"{operation}\""), format!("\"{outcome}\"")];
            let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
            sum(&pages, "paxosd_request_seconds_count", &labels)
        };
        let took = sum(&pages, "paxosd_request_seconds_sum", &["\"append\"", "\"ok\""]);
        let are_counted = count("append", "ok") == 5.0
            && count("read", "ok") >= 1.0
            && count("append", "not_executed") >= 1.0
            && took > 0.0;
        are_counted.then_some(())
    });
}

/// What docs/SIZING.md says of appends: two blocks or a little more for a lone one, and little more
/// than their bytes for those that come together; and nobody writes while nothing happens.
#[test]
fn appends_cost_what_the_sizing_page_says() {
    let cluster = Cluster::up(Plan::small(1));
    let mut client = cluster.client();
    client.create("log").unwrap();
    let written =
        || sample(&page(&cluster, 1, "/metrics"), "paxosd_synced_bytes_total{shard=\"0\"}");
    let before = written();
    for _ in 0..50 {
        client.append("log", [vec![b'x'; 128]]).unwrap();
    }
    let lone = (written() - before) / 50.0;
    assert!((8_192.0..=25_600.0).contains(&lone), "a lone append took {lone} bytes");
    let before = written();
    for _ in 0..10 {
        client.append("log", vec![vec![b'x'; 32]; 1000]).unwrap();
    }
    let each = (written() - before) / 10_000.0;
    assert!((40.0..=80.0).contains(&each), "an entry among 1000 took {each} bytes");
}
