//! `paxosctl bench` and `paxosctl top` on real nodes.

use crate::rig::{Cluster, Plan};
use serde_json::Value;
use std::fs;

fn number(document: &Value, path: &str) -> f64 {
    let found = document.pointer(path).and_then(Value::as_f64);
    found.unwrap_or_else(|| panic!("{path} is no number in {document}"))
}

/// A load finds or makes its logs on every shard, reports what the logs then hold, draws it, and
/// fails when nothing was executed.
#[test]
fn a_load_reports_what_it_did() {
    let mut cluster = Cluster::up(Plan::small(3).shards(2));
    let plot = cluster.folder().join("run.svg");
    let plot = plot.to_str().unwrap();
    let load = "--connections 4 --window 4 --size 100 --seconds 0.5 --warmup 0.1 -o json";
    let line = format!("bench append {load} --plot {plot}");
    let stays = "what this run appended stays: about ";
    let ran = cluster.ctl(line.split(' ')).expect(0).says("created 2 logs: bench-").says(stays);
    assert!(
        ran.err.contains(" on the disk of each node, until the logs are trimmed or deleted"),
        "{}",
        ran.err
    );
    let document: Value = serde_json::from_str(&ran.out).unwrap();
    let done = number(&document, "/operations");
    assert!(done > 0.0 && number(&document, "/bytes") == done * 100.0, "{document}");
    assert!(number(&document, "/operations_per_second") > 0.0, "{document}");
    assert!(number(&document, "/latency_ms/p50") <= number(&document, "/latency_ms/max"));
    assert_eq!(document["failed"]["reasons"], Value::Array(Vec::new()), "{document}");
    let logs = cluster.client().list("bench-").unwrap();
    let shards: Vec<u16> = logs.iter().map(|log| log.id.shard().0).collect();
    assert!(shards.len() == 2 && shards.contains(&0) && shards.contains(&1), "{shards:?}");
    let held: u64 = logs.iter().map(|log| log.next_index.0).sum();
    // What was done while warming up is in the logs, and not in the report.
    assert!(held as f64 >= done, "{held} entries after {done} appends");
    let drawing = fs::read_to_string(plot).unwrap();
    let drawing = roxmltree::Document::parse(&drawing).unwrap();
    assert!(drawing.descendants().filter(|node| node.has_tag_name("path")).count() > 10);

    let paced = format!("bench append {load} --rate 200").replace("json", "table");
    let ran = cluster.ctl(paced.split(' ')).expect(0).says("open loop at 200/s");
    assert!(ran.out.contains("work       100 appends in"), "{ran:?}");
    assert!(ran.err.starts_with(stays) && ran.err.lines().count() == 1, "{ran:?}");

    let fill = held + 50;
    let read = format!("bench read {load} --fill {fill} --entries 3 --consistency local");
    let ran = cluster.ctl(read.split(' ')).expect(0).says("entries to bench-").says(stays);
    let document: Value = serde_json::from_str(&ran.out).unwrap();
    assert!(number(&document, "/entries") >= number(&document, "/operations"), "{document}");
    assert!(number(&document, "/operations") > 0.0, "{document}");
    let ran = cluster.ctl(read.split(' ')).expect(0);
    assert!(ran.err.is_empty(), "full logs are not filled: {}", ran.err);

    let ran = cluster.ctl("top --once --interval 0.2".split(' ')).expect(0);
    for part in ["healthy", "entries/s", "LEADER", "3/3"] {
        assert!(ran.out.contains(part), "no {part:?} in:\n{}", ran.out);
    }
    cluster.ctl(["top"]).expect(2).says("top needs a terminal").says("--once");

    (2..=3).for_each(|id| cluster.node_mut(id).kill());
    let ran = cluster.ctl("top --once --interval 0.1".split(' ')).expect(0);
    assert_eq!(ran.out.matches("DEAD").count(), 2, "{}", ran.out);
    cluster.node_mut(1).kill();
    let line = format!("bench append {load} --timeout 0.3");
    cluster.ctl(line.split(' ')).expect(6).says("next: check the endpoints");
}
