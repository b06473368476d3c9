//! `paxosctl` against live nodes: what it prints, and every exit code it ends with.

use crate::rig::{Cluster, Plan};

/// Results and refusals, each with its exit code.
#[test]
fn exit_codes_say_what_happened() {
    let cluster = Cluster::up(Plan::small(3).shards(2));
    cluster.ctl(["create", "orders"]).expect(0);
    cluster.ctl(["create", "orders"]).expect(5).says("orders");
    cluster.ctl(["append", "nothing", "x"]).expect(3).says("nothing");
    cluster.ctl(["read", "nothing"]).expect(3);
    cluster.ctl(["stat", "nothing"]).expect(3);
    cluster.ctl(["delete", "nothing"]).expect(3);
    assert_eq!(cluster.ctl(["append", "orders", "first"]).expect(0).out, "0\n");
    assert_eq!(cluster.ctl(["append", "orders", "second", "--expect", "1"]).expect(0).out, "1\n");
    cluster.ctl(["append", "orders", "third", "--expect", "1"]).expect(4).says("2");
    assert_eq!(cluster.ctl(["append", "made", "x", "--create"]).expect(0).out, "0\n");
    cluster.ctl(["append", "orders", &"x".repeat(40_000)]).expect(1).says("32768");
    cluster.ctl(["create", "bad\nname"]).expect(2);
    cluster.ctl(["fly"]).expect(2);
    cluster.ctl(["append", "orders", "x", "--expect", "soon"]).expect(2);
    let nobody = cluster.endpoint(15);
    cluster.ctl(["list", "--endpoints", &nobody, "--timeout", "0.5"]).expect(6).says(&nobody);
    cluster.ctl(["delete", "orders"]).expect(0);
    cluster.ctl(["read", "orders"]).expect(3);
}

/// Lines go in and come out in order, as text and as JSON; ranges are ranges.
#[test]
fn lines_come_out_as_they_went_in() {
    let cluster = Cluster::up(Plan::small(3));
    cluster.ctl(["create", "poem"]).expect(0);
    let lines: String = (0..500).map(|line| format!("line {line}\n")).collect();
    let ran = cluster.ctl_fed(["append", "poem", "--lines"], lines.as_bytes()).expect(0);
    let indexes: String = (0..500).map(|index| format!("{index}\n")).collect();
    assert_eq!(ran.out, indexes);
    assert_eq!(cluster.ctl(["read", "poem"]).expect(0).out, lines);
    let some = cluster.ctl(["read", "poem", "--from", "498", "--count", "1"]).expect(0);
    assert_eq!(some.out, "line 498\n");
    let json = cluster.ctl(["read", "poem", "--from", "499", "-o", "jsonl"]).expect(0);
    assert_eq!(json.out.trim(), r#"{"index":499,"data":"line 499"}"#);
    cluster.ctl(["read", "poem", "--from", "500"]).expect(0);
    assert_eq!(cluster.ctl_fed(["append", "poem"], b"\xFF\x00").expect(0).out, "500\n");
    let json = cluster.ctl(["read", "poem", "--from", "500", "-o", "jsonl"]).expect(0);
    assert!(json.out.contains("/wA="), "base64 where it is not UTF-8: {}", json.out);
    // As JSON they can be copied, whatever they hold.
    cluster.ctl_fed(["append", "poem"], b"two\nlines\n").expect(0);
    cluster.ctl(["append", "poem", ""]).expect(0);
    let json = cluster.ctl(["read", "poem", "-o", "jsonl"]).expect(0).out;
    cluster.ctl_fed(["append", "copy", "--create", "--jsonl"], json.as_bytes()).expect(0);
    assert_eq!(cluster.ctl(["read", "copy", "-o", "jsonl"]).expect(0).out, json);
    let last = cluster.ctl(["read", "copy", "--last", "2"]).expect(0);
    assert_eq!(last.out, "two\nlines\n\n\n");
    cluster.ctl(["rm", "copy"]).expect(0);
    let list = cluster.ctl(["list", "po", "-o", "raw"]).expect(0);
    assert_eq!(list.out, "poem\n");
}

/// Where only one node is named, and it is not the leader, everything works all the same.
#[test]
fn any_node_is_endpoint_enough() {
    let cluster = Cluster::up(Plan::small(3).shards(2));
    for id in cluster.ids() {
        let (endpoint, name) = (cluster.endpoint(id), format!("through-{id}"));
        let ctl = |words: &[&str]| cluster.ctl([&["--endpoints", &endpoint], words].concat());
        ctl(&["create", &name]).expect(0);
        ctl(&["append", &name, "hello"]).expect(0);
        assert_eq!(ctl(&["read", &name]).expect(0).out, "hello\n");
        ctl(&["status"]).expect(0);
    }
}

/// How long a sync takes on each node is counted in its status, and `top` shows the mean of what was
/// synced while it looked.
#[test]
fn top_shows_how_long_a_sync_takes() {
    let cluster = Cluster::up(Plan::small(3));
    cluster.ctl(["create", "orders"]).expect(0);
    cluster.wait_ready();
    for (id, state) in cluster.shard_states(0) {
        assert!(state.syncs > 0 && state.sync_us >= state.syncs, "node {id}: {state:?}");
    }
    let lines: String = (0..2000).map(|line| format!("line {line}\n")).collect();
    let words = ["append", "orders", "--lines", "--window", "1"];
    let shown = std::thread::scope(|scope| {
        let load = scope.spawn(|| cluster.ctl_fed(&words, lines.as_bytes()).expect(0));
        let shown = cluster.ctl(["top", "--once", "--interval", "0.2"]).expect(0);
        load.join().unwrap();
        shown
    });
    let mut rows = shown.out.lines().skip_while(|line| !line.contains("SYNC"));
    let head = rows.next().unwrap();
    let end = head.find("SYNC").unwrap() + "SYNC".len();
    for row in rows.take(3) {
        let number = row[..end].strip_suffix(" ms").and_then(|cells| cells.split(' ').next_back());
        let ms = number.and_then(|number| number.parse::<f64>().ok());
        assert!(ms.is_some_and(|ms| ms > 0.0), "no time of a sync in {row:?}:\n{}", shown.out);
    }
}
