//! `scripts/bootstrap.sh`: what it prints works as printed.

use crate::rig::ctl::{Ran, paxosd};
use crate::rig::place::Place;
use crate::{programs, run, script, tree};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// Small files, quick to make.
const SMALL: &[&str] = &[
    "--set",
    "segment_bytes=1048576",
    "--set",
    "append_bytes_max=65536",
    "--set",
    "entry_bytes_max=32768",
    "--set",
    "min_free_bytes=0",
];

fn bootstrap(arguments: &[&str]) -> Ran {
    run(script("bootstrap.sh").args(arguments))
}

/// The value of a key in a configuration.
fn key<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "))
}

fn names(folder: &Path) -> Vec<String> {
    tree(folder).iter().map(|path| path.display().to_string()).collect()
}

/// The printed commands, pasted into a shell, start a cluster that takes entries.
#[test]
fn printed_commands_start_a_cluster() {
    let place = Place::claim();
    let home = TempDir::new().unwrap();
    let data = home.path().join("data");
    let mut command = script("bootstrap.sh");
    for node in 1..=3 {
        command.arg("--node").arg(format!("{node}={}", place.endpoint(node)));
    }
    command.args(["--shards", "2", "--data-dir"]).arg(&data).args(SMALL).current_dir(home.path());
    let printed = run(&mut command).expect(0);
    assert!(!printed.err.contains("warning"), "loopback needs no warning: {}", printed.err);
    let pasted = format!(
        "set -e\ntrap 'kill $(jobs -p)' EXIT\n{}\n\
         paxosctl --endpoints {} append orders one --create --timeout 30\n",
        printed.out.replace("wait --ready", "wait --ready --timeout 60"),
        place.endpoint(2)
    );
    fs::write(home.path().join("pasted.sh"), pasted).unwrap();
    let path = format!("{}:{}", programs().display(), std::env::var("PATH").unwrap());
    let mut shell = crate::clean_command("bash");
    shell.arg("pasted.sh").env("PATH", path).current_dir(home.path());
    let ran = run(&mut shell).expect(0);
    assert!(ran.out.ends_with("\n0\n"), "the first entry has index 0: {}", ran.out);
    for node in 1..=3 {
        assert!(data.join(format!("node-{node}/shard-001")).is_dir(), "node {node} has two shards");
    }
}

/// Three hosts: each file passes `check-config`, with a warning; all are of one cluster, which no
/// other run draws again.
#[test]
fn every_file_passes_check_config() {
    let folder = TempDir::new().unwrap();
    let mut clusters = BTreeSet::new();
    for (run, nodes) in [
        ["1=192.0.2.1", "2=192.0.2.2:8000", "3=[2001:db8::3]:7420"],
        ["1=db1.example.com", "7=db7.example.com:9000", "65535=192.0.2.9"],
    ]
    .iter()
    .enumerate()
    {
        let out = folder.path().join(run.to_string());
        let mut words = vec!["--out", out.to_str().unwrap(), "--set=pin=true", "--shards=4"];
        words.extend(nodes.iter().flat_map(|node| ["--node", node]));
        let printed = bootstrap(&words).expect(0);
        assert!(printed.err.contains("may read, write and delete"), "{}", printed.err);
        assert!(printed.out.contains("runuser -u paxosd -- paxosd init --config /etc/paxosd/"));
        for node in nodes {
            let id = node.split('=').next().unwrap();
            let file = out.join(format!("node-{id}.toml"));
            let checked = paxosd(["check-config", "--config", file.to_str().unwrap()]).expect(0);
            assert!(checked.err.contains("may read, write and delete"), "{}", checked.err);
            let text = fs::read_to_string(file).unwrap();
            assert_eq!(key(&text, "node_id"), Some(id));
            assert_eq!(key(&text, "data_dir"), Some("\"/var/lib/paxosd\""));
            assert_eq!((key(&text, "shards"), key(&text, "pin")), (Some("4"), Some("true")));
            // A host may find its own name at a loopback address.
            let listens = key(&text, "listen").is_some();
            assert_eq!(listens, node.contains("example.com"), "{text}");
            clusters.insert((run, key(&text, "cluster_id").unwrap().to_string()));
        }
    }
    assert_eq!(clusters.len(), 2, "one id for each cluster: {clusters:?}");
    let ids: BTreeSet<_> = clusters.into_iter().map(|(_, id)| id).collect();
    assert_eq!(ids.len(), 2, "two clusters have the same id: {ids:?}");
}

/// Where there is a paxosd it checks what `--set` gives before anything is written or printed, whatever the
/// environment of the caller overrides; and a text with its quotes is good.
#[test]
fn what_is_set_is_checked() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("out");
    let drawn = |set: &str| {
        let mut words = script("bootstrap.sh");
        words.args(["--node", "1=192.0.2.1", "--set", set, "--out"]).arg(&out);
        let beside = Path::new(env!("CARGO_BIN_EXE_paxosd")).parent().unwrap();
        let path = format!("{}:{}", beside.display(), std::env::var("PATH").unwrap());
        run(words.env("PATH", path).env("PAXOSD_LOG_LEVEL", "info"))
    };
    for (set, fault) in [
        ("log_level=debug", "log_level"),
        ("log_level=\"loud\"", "log_level"),
        ("lease=1", "is not a key"),
    ] {
        let done = drawn(set).expect(2).says("the file of node 1 would have faults");
        assert!(done.err.contains("node-1.toml:") && done.err.contains(fault), "{}", done.err);
        assert!(done.out.is_empty() && !out.exists(), "{}", done.out);
    }
    drawn("log_level=\"debug\"").expect(0);
    assert!(fs::read_to_string(out.join("node-1.toml")).unwrap().contains("log_level = \"debug\""));
}

/// Brackets are a pattern to some shells: endpoints that have some are quoted, others are not.
#[test]
fn endpoints_are_quoted_where_they_need_it() {
    let nodes = ["--node=1=192.0.2.1", "--node=2=[2001:db8::2]", "--node=3=[2001:db8::3]:8000"];
    let printed = bootstrap(&nodes).expect(0);
    let quoted =
        "\npaxosctl --endpoints '192.0.2.1:7420,[2001:db8::2]:7420,[2001:db8::3]:8000' wait";
    assert!(printed.out.contains(quoted), "{}", printed.out);
    let printed = bootstrap(&["--node=1=192.0.2.1", "--node=2=db2.example.com"]).expect(0);
    let plain = "\npaxosctl --endpoints 192.0.2.1:7420,db2.example.com:7420 wait";
    assert!(printed.out.contains(plain), "{}", printed.out);
}

/// Data on another disk: the service is allowed to write there.
#[test]
fn another_data_dir_is_opened_to_the_service() {
    let nodes = ["--node", "1=192.0.2.1"];
    let printed = bootstrap(&[&nodes[..], &["--data-dir", "/srv/paxosd"]].concat()).expect(0);
    for wanted in [
        "install -d -m 0700 -o paxosd -g paxosd /srv/paxosd\n",
        "paxosd.service.d/data.conf <<'END'\n[Service]\nReadWritePaths=/srv/paxosd\nEND\n",
        "data_dir = \"/srv/paxosd\"\n",
    ] {
        assert!(printed.out.contains(wanted), "{wanted:?} is not in:\n{}", printed.out);
    }
    let printed = bootstrap(&nodes).expect(0);
    assert!(!printed.out.contains("ReadWritePaths"), "{}", printed.out);
}

/// Files of a cluster that exists are not written over, not even some of them.
#[test]
fn files_that_exist_are_kept() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("node-2.toml"), "ours").unwrap();
    let out = folder.path().to_str().unwrap();
    let words = ["--node", "1=192.0.2.1", "--node", "2=192.0.2.2", "--out", out];
    bootstrap(&words).expect(1).says("node-2.toml exists already");
    assert_eq!(names(folder.path()), ["node-2.toml"]);
    assert_eq!(fs::read_to_string(folder.path().join("node-2.toml")).unwrap(), "ours");
}

/// Each misuse is reported with what to do.
#[test]
fn misuse_is_reported() {
    let one = ["--node", "1=192.0.2.1"];
    for (arguments, expected) in [
        (&[][..], "name the nodes"),
        (&["--nodes", "1=a"], "there is no argument '--nodes'"),
        (&["--node"], "--node needs a value"),
        (&["--node", "a.example.com"], "give ID=HOST"),
        (&["--node", "0=a"], "the id must be"),
        (&["--node", "65536=a"], "the id must be"),
        (&["--node", "1=a:0"], "the port must be"),
        (&["--node", "1=a:65535"], "the port must be"),
        (&["--node", "1=2001:db8::1"], "needs brackets"),
        (&["--node", "1=0.0.0.0"], "others connect"),
        (&["--node", "1=a", "--node", "1=b"], "id 1 is a already"),
        (&["--node", "1=a", "--node", "2=a:8000"], "are both on a"),
        (&["--node", "1=127.0.0.1", "--node", "2=127.0.0.1:7422"], "want the same port"),
        (&["--node", "1=127.0.0.1", "--node", "2=192.0.2.2"], "loopback"),
        (&[&one[..], &["--shards", "0"]].concat(), "from 1 to 256"),
        (&[&one[..], &["--shards", "257"]].concat(), "from 1 to 256"),
        (&[&one[..], &["--cluster-id", "12"]].concat(), "32 hexadecimal digits"),
        (&[&one[..], &["--data-dir", "data"]].concat(), "absolute path"),
        (&[&one[..], &["--data-dir", "/home/me/data"]].concat(), "neither homes"),
        (
            &[&one[..], &["--cluster-id", "00000000000000000000000000000000"]].concat(),
            "all zeros means any cluster",
        ),
        (&[&one[..], &["--set", "pin"]].concat(), "KEY=VALUE"),
        (&[&one[..], &["--set", "shards=2"]].concat(), "use --shards 2"),
        (&[&one[..], &["--set", "data_dir=\"/x\""]].concat(), "use --data-dir"),
        (&[&one[..], &["--set", "node_id=2"]].concat(), "from --node"),
        (&[&one[..], &["--set", "pin=true", "--set=pin=false"]].concat(), "given twice"),
        (&[&one[..], &["--set", "insecure_listen=true"]].concat(), "have it already"),
        (&["--node", "1=a", "--set", "listen=\"b\""], "as a is a name"),
    ] {
        bootstrap(arguments).expect(2).says(expected).says("Try: bootstrap.sh --help");
    }
    let many: Vec<String> = (1..=16).map(|id| format!("--node={id}=192.0.2.{id}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    bootstrap(&many).expect(2).says("at most 15 nodes");
    bootstrap(&["--help"]).expect(0).says("--node ID=HOST[:PORT]").says("Exit codes:");
    bootstrap(&["--node", "1=192.0.2.1", "--node", "2=192.0.2.2"])
        .expect(0)
        .says("2 nodes survive the loss of 0, as 1 would");
}
