//! Nodes with few descriptors: files, peers and votes have theirs, clients the rest. No node ends for
//! want of one, and nothing is taken for damage.

use crate::rig::raw::{self, Raw};
use crate::rig::{Cluster, Plan, poll};
use paxosd::api::Reply;
use paxosd::client::{Client, ReadOptions};
use paxosd::types::Index;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::fs;

/// More clients than any of the limits here lets in.
const CLIENTS_MAX: usize = 300;

#[track_caller]
fn start_all(cluster: &mut Cluster, nofile: u32) {
    let limit = format!("--nofile={nofile}:{nofile}");
    let ids: Vec<u16> = cluster.ids().collect();
    for id in ids {
        cluster.node_mut(id).start_under(&["prlimit", &limit]);
    }
    cluster.wait_quorum();
}

#[track_caller]
fn assert_none_ended(cluster: &mut Cluster) {
    let ids: Vec<u16> = cluster.ids().collect();
    for id in ids {
        let ended = cluster.node_mut(id).ended();
        assert!(ended.is_none(), "node {id}: {ended:?}\n{}", cluster.node(id).log_tail());
    }
}

/// Writes over so many segments, of 1 MiB each, that a shard under the limits here does not keep them
/// all open, and that the first values are not in memory any more; what each entry is.
fn fill(client: &mut Client) -> Vec<u8> {
    let entry = vec![7; 32_000];
    let entries: Vec<&[u8]> = vec![&entry; 2];
    for _ in 0..44 * 16 {
        client.append("orders", &entries).unwrap();
    }
    entry
}

/// Idle clients take all that is left for them on every node; then the log grows over many
/// segments, old entries are read, a leader is killed and comes back: all of it goes on, and who is
/// one too many gets an answer that says so.
#[test]
fn idle_clients_leave_the_node_its_files() {
    let mut cluster = Cluster::laid_out(Plan::small(3));
    start_all(&mut cluster, 256);
    let mut client = cluster.client();
    client.create("orders").unwrap();
    let mut idle: Vec<Vec<Raw>> = Vec::new();
    for id in 1..=3 {
        let mut connected = Vec::new();
        let refused =
            (0..CLIENTS_MAX).find_map(|_| match Raw::try_open(&cluster.endpoint(id), 0) {
                Ok(raw) => {
                    connected.push(raw);
                    None
                }
                Err(error) => Some(error.to_string()),
            });
        let refused = refused.expect("there are fewer descriptors than that");
        assert!(refused.contains("client connections"), "node {id} refused so: {refused}");
        assert!(connected.len() >= 50, "node {id} let in {} clients only", connected.len());
        idle.push(connected);
    }
    let entry = fill(&mut client);
    assert_none_ended(&mut cluster);
    for from in [0, 700, 1400, 5] {
        let read = client.read("orders", Index(from), ReadOptions::default()).unwrap();
        assert!(read.entries.iter().all(|found| found.data == entry), "from {from}");
        assert!(!read.entries.is_empty());
    }
    // All of them are next to their limit when a leader dies, and elect another.
    idle.iter_mut().for_each(|idle| idle.truncate(idle.len() - 8));
    let old = cluster.leader(0);
    cluster.node_mut(old).kill();
    poll::until("another leads", || client.append("orders", &[b"after"]).ok());
    cluster.node_mut(old).start_under(&["prlimit", "--nofile=256:256"]);
    drop(idle);
    cluster.wait_ready();
    cluster.wait_same_digest(0);
    assert_none_ended(&mut cluster);
    for id in 1..=3 {
        let log = cluster.node(id).log();
        for bad in ["damaged here", "Too many open files", "disk failure"] {
            assert!(!log.contains(bad), "node {id} says {bad}:\n{}", cluster.node(id).log_tail());
        }
    }
}

/// Many shards under a low limit: fewer files are kept open for readers, and the node starts and serves.
#[test]
fn many_shards_fit_under_a_low_limit() {
    let mut cluster = Cluster::laid_out(Plan::small(1).shards(16).key("connections_max", 40));
    start_all(&mut cluster, 420);
    let mut client = cluster.client();
    for number in 0..32 {
        let log = format!("log-{number}");
        client.create(&log).unwrap();
        client.append(&log, &[b"x"]).unwrap();
    }
    assert_none_ended(&mut cluster);
    let open = fs::read_dir(format!("/proc/{}/fd", cluster.node(1).pid())).unwrap().count();
    assert!(open < 420, "{open}");
}

/// Sets how many descriptors a process that runs may have, below what it has open already if need be.
fn set_limit(pid: u32, files: u64) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).unwrap();
    let limit = Rlimit { current: Some(files), maximum: Some(256) };
    prlimit(Some(pid), Resource::Nofile, limit).unwrap();
}

/// Descriptors run out under a node that runs. An old entry and the next segment wait for one: neither
/// is damage, nor the end of the node, and when there are some again all that was asked is done.
#[test]
fn a_node_without_descriptors_waits() {
    const APPENDS: usize = 160;
    let mut cluster = Cluster::laid_out(Plan::small(1));
    start_all(&mut cluster, 256);
    let mut client = cluster.client();
    client.create("orders").unwrap();
    let entry = fill(&mut client);
    let mut reader = Raw::open(&cluster.endpoint(1), 0);
    let mut writer = Raw::open(&cluster.endpoint(1), 0);
    let pid = cluster.node(1).pid();
    set_limit(pid, 8);
    reader.send(&raw::read("orders", 5, 1)).unwrap();
    // More than what is left of the segment in use and the two that are prepared.
    for _ in 0..APPENDS {
        writer.send(&raw::append("orders", &entry)).unwrap();
    }
    poll::until("the log says what the node waits for", || {
        cluster.node(1).log().contains("the system is short of something").then_some(())
    });
    assert_none_ended(&mut cluster);
    set_limit(pid, 256);
    let (_, read) = reader.receive(poll::PATIENCE).unwrap();
    assert!(matches!(&read, Reply::ReadDone(done) if done.entries.iter().count() == 1), "{read:?}");
    for _ in 0..APPENDS {
        let (_, appended) = writer.receive(poll::PATIENCE).unwrap();
        assert!(matches!(appended, Reply::Appended(_)), "{appended:?}");
    }
    assert_none_ended(&mut cluster);
    assert!(!cluster.node(1).log().contains("damaged here"), "{}", cluster.node(1).log_tail());
}
