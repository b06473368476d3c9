//! R11: full disks. Appends are refused and not executed, all else goes on, and appends resume by
//! themselves when space comes back; nothing acknowledged is lost, and no node is restarted for it.

use crate::rig::history::{History, Stopwatch};
use crate::rig::mounted::{Ballast, Mounted};
use crate::rig::node::Node;
use crate::rig::verdict::judge;
use crate::rig::writer::{RunLog, Writer};
use crate::rig::{Cluster, Plan, poll};
use paxosd::client::{ClientError, ClientOptions, ErrorCode, Outcome, ReadOptions};
use paxosd::storage::{FileStorage, Storage};
use paxosd::types::Index;
use std::time::Duration;

/// Large enough for every file system; the file behind it is sparse.
const DISK_BYTES: u64 = 320 << 20;
/// What is left to the nodes: a few small segments.
const LEFT_BYTES: u64 = 4 << 20;

/// A cluster with the log of its writer.
struct Site {
    cluster: Cluster,
    log: RunLog,
    writer: Writer,
}

impl Site {
    #[track_caller]
    fn of(mut cluster: Cluster) -> Site {
        cluster.start_all();
        let options = ClientOptions { timeout: Duration::from_secs(2), ..cluster.options() };
        let mut writer = Writer::new(0, Stopwatch::start(), options).unwrap();
        for log in ["orders", "filler"] {
            writer.client.create(log).unwrap();
        }
        Site { cluster, log: RunLog { number: 0, name: "orders".to_string() }, writer }
    }

    /// Appends until no more is taken; how the first append failed.
    #[track_caller]
    fn fill(&mut self) -> ClientError {
        let filler = vec![7; 30_000];
        for _ in 0..2000 {
            let appended = self.writer.append(&self.log, 1, None).map(drop);
            let filled = appended.and_then(|()| self.writer.client.append("filler", &[&filler]));
            if let Err(error) = filled {
                return error;
            }
        }
        panic!("the disk never fills");
    }

    #[track_caller]
    fn assert_refused(&mut self) {
        for _ in 0..2 {
            assert_full(&self.writer.append(&self.log, 1, None).unwrap_err());
        }
    }

    /// A linearizable read of the whole log shows what was reported to the writer.
    #[track_caller]
    fn assert_readable(&mut self) {
        let read = self.writer.client.read("orders", Index(0), ReadOptions::default()).unwrap();
        assert!(!read.entries.is_empty());
        self.writer.glimpse(&self.log, Index(0)).expect("a full disk keeps no read");
    }

    /// Appends are taken again by themselves.
    #[track_caller]
    fn wait_resumed(&mut self) {
        poll::until("appends resume", || self.writer.append(&self.log, 1, None).ok());
    }

    /// Nothing is lost, and all nodes hold the same.
    #[track_caller]
    fn judge(mut self) {
        for _ in 0..10 {
            self.writer.append(&self.log, 1, None).unwrap();
        }
        self.cluster.wait_ready();
        self.cluster.wait_same_digest(0);
        let mut history = History::default();
        history.add(self.writer.history);
        let (acknowledged, unknown, refused) = history.outcomes();
        assert!(acknowledged > 10 && refused > 0, "{acknowledged} acknowledged, {refused} refused");
        assert_eq!(unknown, 0, "a full disk leaves no outcome open");
        let faults = judge(&history, &[self.cluster.outcome("orders")]);
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }
}

#[track_caller]
fn assert_full(error: &ClientError) {
    assert_eq!(error.code(), Some(ErrorCode::DiskFull), "{error}");
    assert_eq!(error.outcome, Outcome::NotExecuted, "{error}");
}

/// The disk of all nodes fills up: a leader is killed and another elected, reads are served, the
/// killed one comes back to its full disk, and when there is space again all is as before.
fn a_full_disk_is_survived(kind: &str) {
    let disk = Mounted::image(kind, DISK_BYTES);
    let mut site = Site::of(Cluster::laid_out_in(disk.path(), Plan::small(3)));
    let ballast = Ballast::leaving(&disk, LEFT_BYTES);
    assert_full(&site.fill());
    site.assert_refused();
    site.assert_readable();
    let append = ["append", "orders", "no room", "--timeout", "1"];
    site.cluster.ctl(append).expect(6).says("disk").says("not executed");
    let old = site.cluster.leader(0);
    site.cluster.node_mut(old).kill();
    let new = site.cluster.leader_other_than(0, Some(old));
    site.cluster.wait_quorum();
    site.assert_readable();
    site.assert_refused();
    site.cluster.node_mut(old).start();
    site.cluster.wait_ready();
    site.assert_readable();
    site.assert_refused();
    let pid = site.cluster.node(new).pid();
    drop(ballast);
    site.wait_resumed();
    assert_eq!(site.cluster.node(new).pid(), pid, "no node is restarted for it");
    assert!(site.cluster.ids().all(|id| site.cluster.node_mut(id).ended().is_none()));
    site.judge();
}

#[test]
#[ignore = "needs root: mounts ext4 on a loop device"]
fn r11_a_full_ext4_is_survived() {
    a_full_disk_is_survived("ext4");
}

#[test]
#[ignore = "needs root: mounts XFS on a loop device"]
fn r11_a_full_xfs_is_survived() {
    a_full_disk_is_survived("xfs");
}

/// btrfs is made to write in place, and then keeps what was prepared as the others do.
#[test]
#[ignore = "needs root: mounts btrfs on a loop device"]
fn r11_a_full_btrfs_is_survived() {
    a_full_disk_is_survived("btrfs");
}

/// What was allocated and never written takes every write on a disk without one free block, also where each
/// block must be noted by itself.
#[test]
#[ignore = "needs root: mounts ext4 and XFS on loop devices"]
fn r11_unwritten_space_takes_every_write() {
    for kind in ["ext4", "xfs"] {
        let disk = Mounted::image(kind, DISK_BYTES);
        let storage = FileStorage::new(disk.path());
        let (bytes, block) = (32 << 20, 4096);
        storage.allocate("segment", bytes).unwrap();
        storage.sync_dir().unwrap();
        let _ballast = Ballast::leaving(&disk, 0);
        for first in [0, 1] {
            for at in (first * block..bytes).step_by(2 * block as usize) {
                storage.write_at("segment", at, &vec![7; block as usize]).unwrap();
                if at % (1 << 20) == first * block {
                    storage.sync("segment").unwrap();
                }
            }
            storage.sync("segment").unwrap();
        }
    }
}

/// Puts a node's data on a disk of its own.
fn moved(node: &Node) -> Mounted {
    let disk = Mounted::image("ext4", DISK_BYTES);
    let status = std::process::Command::new("cp")
        .arg("-a")
        .arg(node.data().join("."))
        .arg(disk.path())
        .status();
    assert!(status.unwrap().success());
    std::fs::remove_dir_all(node.data()).unwrap();
    std::os::unix::fs::symlink(disk.path(), node.data()).unwrap();
    disk
}

/// The disks of all followers are full, the leader's is not: what cannot be chosen is refused, not
/// kept waiting; when the leader dies the full ones elect another.
#[test]
#[ignore = "needs root: mounts ext4 on loop devices"]
fn r11_full_followers_are_survived() {
    let cluster = Cluster::laid_out(Plan::small(3));
    let disks: Vec<Mounted> = cluster.ids().map(|id| moved(cluster.node(id))).collect();
    let mut site = Site::of(cluster);
    let leader = site.cluster.leader(0);
    let full = site.cluster.ids().filter(|id| *id != leader);
    let ballast: Vec<Ballast> =
        full.map(|id| Ballast::leaving(&disks[usize::from(id) - 1], 2 << 20)).collect();
    assert_full(&site.fill());
    site.assert_refused();
    site.assert_readable();
    site.cluster.node_mut(leader).kill();
    site.cluster.leader_other_than(0, Some(leader));
    site.cluster.wait_quorum();
    site.assert_readable();
    site.assert_refused();
    drop(ballast);
    site.wait_resumed();
    site.cluster.node_mut(leader).start();
    site.judge();
}

/// One disk of three is full: the cluster goes on without it, the node still votes, and catches up
/// when there is space.
#[test]
#[ignore = "needs root: mounts ext4 on a loop device"]
fn r11_a_full_follower_does_not_matter() {
    let cluster = Cluster::laid_out(Plan::small(3));
    let full = 3;
    let disk = moved(cluster.node(full));
    let ballast = Ballast::leaving(&disk, 0);
    let mut site = Site::of(cluster);
    if site.cluster.leader(0) == full {
        // Its own disk is full, so that it serves no append; the others' turn.
        site.cluster.node_mut(full).stop();
        site.cluster.leader_other_than(0, Some(full));
        site.cluster.node_mut(full).start();
    }
    let filler = vec![7; 30_000];
    for _ in 0..200 {
        site.writer.append(&site.log, 1, None).unwrap();
        site.writer.client.append("filler", &[&filler]).unwrap();
    }
    let behind = site.cluster.shard_states(0);
    assert_eq!(behind.len(), 3, "the full node answers");
    let leader = site.cluster.leader(0);
    assert_ne!(leader, full);
    site.cluster.node_mut(leader).kill();
    // The two that are left elect the one that is not full, though only the other's vote is there.
    let new = site.cluster.leader_other_than(0, Some(leader));
    assert_ne!(new, full, "a node that is far behind does not lead");
    // It is too far behind to take anything in, so nothing can be chosen.
    let error = site.writer.append(&site.log, 1, None).unwrap_err();
    assert_eq!(error.outcome, Outcome::NotExecuted, "{error}");
    drop(ballast);
    site.wait_resumed();
    site.cluster.node_mut(leader).start();
    site.judge();
}
