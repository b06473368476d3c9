//! `scripts/cluster.sh` keeps data, touches only its own processes, and answers every misuse.

#![allow(clippy::unwrap_used)] // A test that cannot go on has failed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// Ports of the only test here that starts nodes; below the range that the system hands out.
const BASE_PORT: u16 = 17_420;

/// A place for a cluster, gone with its nodes when the test ends.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Place {
        Place { folder: TempDir::new().unwrap() }
    }

    fn cluster(&self) -> PathBuf {
        self.folder.path().join("cluster")
    }

    fn node(&self, node: u16) -> PathBuf {
        self.cluster().join(format!("node-{node}"))
    }

    fn command(&self, program: impl AsRef<Path>) -> Command {
        let programs = Path::new(env!("CARGO_BIN_EXE_paxosd")).parent().unwrap();
        let mut command = Command::new(program.as_ref());
        command
            .env("PAXOS_BIN_DIR", programs)
            .env("PAXOS_CLUSTER_DIR", self.cluster())
            .env("PAXOS_BASE_PORT", BASE_PORT.to_string())
            .env("PAXOSD_MIN_FREE_BYTES", "0")
            .env("PAXOSD_APPEND_BYTES_MAX", "65536")
            .env("PAXOSD_ENTRY_BYTES_MAX", "4096")
            .env("PAXOSD_SEGMENT_BYTES", "1048576")
            .env("PAXOSCTL_ENDPOINTS", (0..3).map(endpoint).collect::<Vec<_>>().join(","));
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/cluster.sh");
        self.command(script).args(arguments).output().unwrap()
    }

    /// Runs `cluster.sh`, expects that exit code, and returns all that it said.
    #[track_caller]
    fn expect(&self, arguments: &[&str], code: i32) -> String {
        let output = self.run(arguments);
        let said =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "cluster.sh {arguments:?} said:\n{said}");
        said.into_owned()
    }

    /// Runs `paxosctl`, expects success, and returns its output.
    #[track_caller]
    fn ctl(&self, arguments: &[&str]) -> String {
        let output = self.command(env!("CARGO_BIN_EXE_paxosctl")).args(arguments).output().unwrap();
        assert!(output.status.success(), "paxosctl {arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Writes a cluster that never ran, so that commands have something to look at.
    fn pretend(&self, nodes: u16) {
        for node in 1..=nodes {
            fs::create_dir_all(self.node(node)).unwrap();
        }
        let text = format!("nodes={nodes}\nbase_port={BASE_PORT}\n");
        fs::write(self.cluster().join("cluster.conf"), text).unwrap();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.run(&["down", "--wipe"]);
    }
}

fn endpoint(node: u16) -> String {
    format!("127.0.0.1:{}", BASE_PORT + 10 * node)
}

#[test]
fn a_cluster_lives_and_keeps_its_data() {
    // Up, kill, start, pause, resume, stop, down and up again: what was appended is there.
    let place = Place::new();
    assert!(place.expect(&["up"], 0).contains("Started 3 of 3 nodes."));
    place.ctl(&["append", "x", "one", "--create"]);
    assert!(place.expect(&["up"], 0).contains("All 3 nodes run already."));
    assert!(place.expect(&["up", "5"], 1).contains("has 3 nodes, and keeps them"));

    assert_eq!(place.expect(&["kill", "1"], 0), "Killed node 1.\n");
    assert!(place.expect(&["kill", "1"], 1).contains("node 1 does not run"));
    place.ctl(&["append", "x", "two"]);
    assert!(place.expect(&["start", "1"], 0).starts_with("Started node 1 (pid "));
    assert!(place.expect(&["start", "1"], 0).starts_with("Node 1 runs already"));

    assert!(place.expect(&["pause", "2"], 0).starts_with("Paused node 2."));
    assert!(place.expect(&["start", "2"], 1).contains("paused, not down"));
    place.ctl(&["append", "x", "three"]);
    assert_eq!(place.expect(&["resume", "2"], 0), "Node 2 goes on.\n");

    assert_eq!(place.expect(&["stop", "3"], 0), "Stopped node 3.\n");
    assert_eq!(place.expect(&["stop", "3"], 0), "Node 3 is stopped already.\n");
    place.ctl(&["append", "x", "four"]);
    place.expect(&["down"], 0);
    assert!(place.expect(&["status"], 1).contains("no node runs"));
    assert!(place.expect(&["up"], 0).contains("Started 3 of 3 nodes."));
    assert_eq!(place.ctl(&["read", "x"]), "one\ntwo\nthree\nfour\n");

    // What stays is said with its size and what removes it.
    let down = place.expect(&["down"], 0);
    assert!(down.contains("Data stays in ") && down.contains("down --wipe"), "{down}");
    place.expect(&["down", "--wipe"], 0);
    assert!(!place.cluster().exists(), "`down --wipe` leaves nothing");
}

#[test]
fn misuse_is_answered_with_what_to_do() {
    // Nobody has to read the script to learn what was wrong.
    let place = Place::new();
    for arguments in [
        &[][..],
        &["explode"],
        &["up", "0"],
        &["up", "x"],
        &["up", "16"],
        &["up", "3", "4"],
        &["down", "--wip"],
        &["kill"],
    ] {
        assert!(place.expect(arguments, 2).contains("Try: cluster.sh help"), "{arguments:?}");
    }
    for command in ["down", "status", "env"] {
        assert!(place.expect(&[command], 1).contains("there is no cluster in"), "{command}");
    }
    place.pretend(3);
    assert!(place.expect(&["kill", "4"], 2).contains("nodes 1 to 3"));
    assert!(place.expect(&["kill", "2", "x"], 2).contains("nodes 1 to 3"));
    assert!(place.expect(&["resume", "2"], 1).contains("cluster.sh start 2"));
    assert!(place.expect(&["help"], 0).contains("PAXOS_CLUSTER_DIR"));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/cluster.sh");
    let output =
        place.command(script).env("PAXOS_CLUSTER_DIR", "/proc/x").arg("up").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("/proc/x cannot be made") && said.contains("Set PAXOS_CLUSTER_DIR"),
        "{said}"
    );
}

#[test]
fn a_process_that_is_not_the_node_is_left_alone() {
    // Process ids are used again: a stale pid file must not get a stranger killed.
    let place = Place::new();
    place.pretend(1);
    let mut stranger = Command::new("sleep").arg("600").spawn().unwrap();
    fs::write(place.node(1).join("paxosd.pid"), format!("{}\n", stranger.id())).unwrap();
    assert!(place.expect(&["kill", "1"], 1).contains("node 1 does not run"));
    place.expect(&["down"], 0);
    let ended = stranger.try_wait().unwrap();
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    assert_eq!(ended, None, "cluster.sh ended a process that is not its own");
}

#[test]
fn what_is_not_the_cluster_is_never_removed() {
    // Neither a new cluster nor `down --wipe` takes a file that cluster.sh did not make.
    let place = Place::new();
    fs::create_dir_all(place.cluster()).unwrap();
    let foreign = place.cluster().join("thesis.txt");
    fs::write(&foreign, "years of work").unwrap();
    assert!(place.expect(&["up"], 1).contains("holds other things than a cluster"));
    place.pretend(2);
    place.expect(&["down", "--wipe"], 0);
    assert!(foreign.exists(), "`down --wipe` removed a file that is not the cluster's");
    assert!(!place.node(1).exists(), "`down --wipe` left a node");

    // Data whose cluster.conf is gone is data all the same.
    let place = Place::new();
    place.pretend(1);
    fs::write(place.node(1).join("paxosd.log"), "it ran").unwrap();
    fs::remove_file(place.cluster().join("cluster.conf")).unwrap();
    assert!(place.expect(&["up"], 1).contains("cluster.conf is missing"));
    assert!(place.node(1).join("paxosd.log").exists(), "`up` removed a node that had run");
    fs::remove_dir_all(place.cluster()).unwrap();
}

#[test]
fn nodes_that_end_later_are_reported_at_once() {
    // A node that ends when it listens already is reported with its exit code and its last words.
    let place = Place::new();
    let programs = place.folder.path().join("programs");
    fs::create_dir(&programs).unwrap();
    let real = Path::new(env!("CARGO_BIN_EXE_paxosd")).parent().unwrap();
    std::os::unix::fs::symlink(real.join("paxosctl"), programs.join("paxosctl")).unwrap();
    // Listens as a node would, and ends as soon as a client comes.
    let text = format!(
        r#"#!/usr/bin/env python3
import os, re, socket, sys
real = {real:?}
if sys.argv[1] != "run":
    os.execv(real, [real] + sys.argv[1:])
text = open(sys.argv[3]).read()
node = re.search(r"node_id = (\d+)", text).group(1)
port = re.search(r'id = ' + node + r'\nclient = "127.0.0.1:(\d+)"', text).group(1)
listener = socket.create_server(("127.0.0.1", int(port)))
listener.accept()
print("the disk is on fire", flush=True)
os._exit(74)
"#,
        real = real.join("paxosd")
    );
    let fake = programs.join("paxosd");
    fs::write(&fake, text).unwrap();
    fs::set_permissions(&fake, fs::Permissions::from_mode(0o755)).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/cluster.sh");
    let output = place
        .command(script)
        .env("PAXOS_BIN_DIR", &programs)
        .env("PAXOS_BASE_PORT", (BASE_PORT + 200).to_string())
        .arg("up")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in ["ended with exit code 74", "the disk is on fire", "not all nodes run"] {
        assert!(said.contains(part), "no {part:?} in:\n{said}");
    }
}

#[test]
fn another_number_of_shards_is_answered() {
    // PAXOS_SHARDS is for new clusters; an existing one says what it has.
    let place = Place::new();
    place.pretend(1);
    fs::write(place.node(1).join("paxosd.toml"), "shards = 2\n").unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/cluster.sh");
    let output = place.command(script).env("PAXOS_SHARDS", "4").arg("up").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("has 2 shards"), "{said}");
}

/// Whichever shell a script is handed to, it runs in bash: `sh scripts/cluster.sh` is typed often.
#[test]
fn every_script_starts_in_any_shell() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let mut seen = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let script = entry.unwrap().path();
        if script.extension().is_none_or(|end| end != "sh") {
            continue;
        }
        for shell in [&["sh"][..], &["bash", "--posix"]] {
            let mut command = Command::new(shell[0]);
            let output = command.args(&shell[1..]).arg(&script).arg("--help").output().unwrap();
            assert!(output.status.success(), "{shell:?} {}: {output:?}", script.display());
        }
        seen += 1;
    }
    assert!(seen > 3, "only {seen} scripts were found");
}
