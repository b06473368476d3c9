//! What the nodes of a cluster show those who watch them, compared with docs/METRICS.md.

use crate::markdown::table;
use crate::rig::poll;
use crate::rig::{Cluster, Plan};
use crate::web::{get, sample};
use std::collections::{BTreeMap, BTreeSet};

const DOCUMENT: &str = include_str!("../../docs/METRICS.md");

fn page(cluster: &Cluster, id: u16, path: &str) -> String {
    let answer = get(&cluster.admin(id), path);
    assert_eq!(answer.code, 200, "{answer:?}");
    answer.body
}

#[track_caller]
fn wait_for(cluster: &Cluster, id: u16, code: u16) -> String {
    poll::until(&format!("/readyz of node {id} answers {code}"), || {
        let answer = get(&cluster.admin(id), "/readyz");
        (answer.code == code).then_some(answer.body)
    })
}

/// Every node of a healthy cluster is ready; one that is left without a quorum is not, says which
/// shards have no leader, and lives; with the others back it is ready again by itself.
#[test]
fn readiness_follows_the_quorum() {
    let mut cluster = Cluster::up(Plan::small(3).shards(2));
    for id in 1..=3 {
        assert_eq!(wait_for(&cluster, id, 200), "ready\n");
    }
    cluster.node_mut(2).kill();
    cluster.node_mut(3).kill();
    let said = wait_for(&cluster, 1, 503);
    assert!(said.starts_with("not ready\nshard "), "{said}");
    let said = poll::until("both shards are named", || {
        let said = get(&cluster.admin(1), "/readyz").body;
        (said.contains("shard 0: ") && said.contains("shard 1: ")).then_some(said)
    });
    assert!(said.contains("leader") || said.contains("leads"), "{said}");
    assert_eq!(page(&cluster, 1, "/livez"), "live\n");
    assert_eq!(sample(&page(&cluster, 1, "/metrics"), "paxosd_ready"), 0.0);
    cluster.node_mut(2).start();
    wait_for(&cluster, 1, 200);
    wait_for(&cluster, 2, 200);
    cluster.ctl(["append", "--create", "log", "x"]).expect(0);
}

/// The metrics that a node serves are those of docs/METRICS.md, each with the type, labels and
/// meaning that stand there, and they count what was done.
#[test]
fn metrics_are_as_documented() {
    let cluster = Cluster::up(Plan::small(3).shards(2));
    cluster.ctl(["create", "log"]).expect(0);
    for at in 0..5 {
        cluster.ctl(["append", "log", &format!("entry {at}")]).expect(0);
    }
    cluster.ctl(["read", "log"]).expect(0);
    cluster.ctl(["read", "nothing"]).expect(3);
    cluster.wait_ready();
    // The nodes' numbers are as old as the last time that their loops reported them.
    poll::until("the nodes show what was done", || {
        let pages: Vec<String> = (1..=3).map(|id| page(&cluster, id, "/metrics")).collect();
        let sum = |name: &str| -> f64 {
            let of = |shard: u16| format!("{name}{{shard=\"{shard}\"}}");
            pages.iter().flat_map(|page| (0..2).map(|shard| sample(page, &of(shard)))).sum()
        };
        let as_done = sum("paxosd_appends_total") == 5.0
            && sum("paxosd_appended_entries_total") == 5.0
            && sum("paxosd_appended_bytes_total") == 35.0
            && sum("paxosd_reads_total") >= 1.0
            && sum("paxosd_read_bytes_total") >= 35.0
            && sum("paxosd_elections_won_total") >= 2.0
            && sum("paxosd_leader_changes_total") >= 6.0
            && sum("paxosd_logs") == 3.0
            && sum("paxosd_sync_seconds_count") >= 10.0
            && sum("paxosd_synced_bytes_total") >= 4096.0
            && pages.iter().any(|page| page.contains("paxosd_request_errors_total{shard="))
            && pages.iter().all(|page| sample(page, "paxosd_ready") == 1.0);
        as_done.then_some(())
    });
    let mut served = BTreeMap::new();
    (1..=3).for_each(|id| collect(&page(&cluster, id, "/metrics"), &mut served));
    let documented: BTreeMap<String, Family> = table(DOCUMENT, "Metrics")
        .into_iter()
        .map(|row| {
            let words = row[2].split([',', ' ']).filter(|word| !word.is_empty());
            let labels = words.map(|word| word.trim_matches('`').to_string()).collect();
            let family = Family { kind: row[1].clone(), labels, help: row[4].replace('`', "") };
            (row[0].trim_matches('`').to_string(), family)
        })
        .collect();
    assert_eq!(served, documented);
    for row in table(DOCUMENT, "Metrics") {
        let name = row[0].trim_matches('`').trim_end_matches("_total");
        let unit = ["bytes", "seconds"].into_iter().find(|unit| name.ends_with(unit));
        let holds = unit.is_none_or(|unit| row[3] == unit) && !row[3].is_empty();
        assert!(holds, "the unit of {name} is {:?}", row[3]);
    }
}

/// A family of samples, served or documented.
#[derive(Clone, Debug, Default, PartialEq)]
struct Family {
    kind: String,
    labels: BTreeSet<String>,
    help: String,
}

/// Reads a page as a scraper does; whatever is no line of the format fails.
#[track_caller]
fn collect(page: &str, families: &mut BTreeMap<String, Family>) {
    let mut current = String::new();
    for line in page.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|l| l.split_once(' ')) {
            current = name.to_string();
            families.entry(current.clone()).or_default().help = help.to_string();
            continue;
        }
        let family = families.get_mut(&current).expect("HELP stands first");
        if let Some(kind) = line.strip_prefix(&format!("# TYPE {current} ")) {
            family.kind = kind.to_string();
            continue;
        }
        let (name, value) = line.rsplit_once(' ').expect("a sample has a value");
        value.parse::<f64>().expect("a value is a number");
        let (name, labels) = name.split_once('{').unwrap_or((name, "}"));
        let suffix = name.strip_prefix(&current).expect("samples stand with their family");
        let parts = ["_bucket", "_sum", "_count"];
        assert!(suffix.is_empty() || (family.kind == "histogram" && parts.contains(&suffix)));
        let labels = labels.strip_suffix('}').expect("labels are closed");
        for label in labels.split(',').filter(|label| !label.is_empty()) {
            let (name, value) = label.split_once('=').expect("a label has a value");
            assert!(value.starts_with('"') && value.ends_with('"'), "{line}");
            if !(suffix == "_bucket" && name == "le") {
                family.labels.insert(name.to_string());
            }
        }
    }
}

/// The fields of `/status` are those of docs/METRICS.md, no more and no fewer.
#[test]
fn status_is_as_documented() {
    let cluster = Cluster::up(Plan::small(3));
    let status = poll::until("every peer is shown", || {
        let page = page(&cluster, 1, "/status");
        let status: serde_json::Value = serde_json::from_str(&page).unwrap();
        let peers = status["shards"][0]["peers"].as_array().map(Vec::len);
        (peers == Some(2) && status["ready"] == true).then_some(status)
    });
    assert_eq!((&status["node"], &status["live"]), (&1.into(), &true.into()));
    assert_eq!(status["reasons"], serde_json::json!([]));
    assert_eq!(status["members"].as_array().map(Vec::len), Some(3));
    let mut served = BTreeSet::new();
    fields("", &status, &mut served);
    let rows = table(DOCUMENT, "Status");
    let documented = rows.iter().map(|row| row[0].trim_matches('`').to_string()).collect();
    assert_eq!(served, documented);
}

/// Paths of all fields, as `shards[].peers[].lag`.
fn fields(path: &str, value: &serde_json::Value, found: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(map) => {
            for (name, value) in map {
                let dot = if path.is_empty() { "" } else { "." };
                fields(&format!("{path}{dot}{name}"), value, found);
            }
        }
        serde_json::Value::Array(values) if values.iter().any(|value| value.is_object()) => {
            values.iter().for_each(|value| fields(&format!("{path}[]"), value, found));
        }
        _ => {
            found.insert(path.to_string());
        }
    }
}
