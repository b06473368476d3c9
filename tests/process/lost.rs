//! Entries that have rotted on every node, declared lost by an operator: refused as long as any member may have them,
//! said to every reader afterwards, and for good (C32b).

use crate::rig::ctl::Ran;
use crate::rig::node::files;
use crate::rig::{Cluster, Plan, poll};
use std::fs;
use std::path::Path;

/// Entries of the log.
const ENTRIES: usize = 10;
/// The one that rots on every node.
const ROTTEN: usize = 4;

/// Three nodes with a log whose entries stand in slots of their own, behind them a segment or more of another log,
/// and on each node a checkpoint that stands for them all.
struct Site {
    cluster: Cluster,
}

impl Site {
    #[track_caller]
    fn up() -> Site {
        let cluster =
            Cluster::up(Plan::of(3).key("segment_bytes", 8 << 20).key("min_free_bytes", 0));
        cluster.ctl(["create", "orders"]).expect(0);
        for number in 0..ENTRIES {
            cluster.ctl(["append", "orders", &text(number)]).expect(0);
        }
        let site = Site { cluster };
        site.take_checkpoints();
        site
    }

    /// Appends to another log until each node has taken a checkpoint, by the bytes that lie behind the last one.
    #[track_caller]
    fn take_checkpoints(&self) {
        let mut client = self.cluster.client();
        client.create("filler").unwrap();
        let filler = vec![b'f'; 1 << 20];
        poll::until("each node has a checkpoint", || {
            client.append("filler", &[&filler]).unwrap();
            let has = |id| !files(&self.cluster.node(id).journal(0), "checkpoint-").is_empty();
            self.cluster.ids().all(has).then_some(())
        });
    }

    /// The entry that rots does so on every node, while all are stopped.
    fn rot(&mut self) {
        self.stop_all();
        for id in self.cluster.ids() {
            turn(&self.cluster.node(id).journal(0), &text(ROTTEN));
        }
        self.cluster.start_all();
        self.cluster.wait_ready();
    }

    fn stop_all(&mut self) {
        for id in self.cluster.ids() {
            assert_eq!(self.cluster.node_mut(id).stop().code(), Some(0));
        }
    }

    fn declare(&self, from: usize, before: usize) -> Ran {
        let (from, before) = (from.to_string(), before.to_string());
        let range = ["--from", &from, "--before", &before, "--yes", "--timeout", "10"];
        self.cluster.ctl([&["declare-lost", "orders"], &range[..]].concat())
    }

    /// Reads from an index on, with flags.
    fn read(&self, from: usize, flags: &[&str]) -> Ran {
        let from = from.to_string();
        self.cluster.ctl([&["read", "orders", "--from", &from], flags].concat())
    }

    /// Each node says by itself that the entry is lost, and which it is, and has all others.
    #[track_caller]
    fn check_everywhere(&self) {
        let all = ["--on-gap", "continue", "-o", "jsonl", "--consistency", "local"];
        for id in self.cluster.ids() {
            let endpoint = self.cluster.endpoint(id);
            let alone = ["--endpoints", &endpoint];
            let one = [&["--count", "1", "--consistency", "local"], &alone[..]].concat();
            self.read(ROTTEN, &one).expect(12).says(&format!("entry {ROTTEN}"));
            let read = self.read(0, &[&all[..], &alone].concat()).expect(0);
            check_lines(&read.out);
        }
    }

    /// `stat` has the range, for people and for programs.
    #[track_caller]
    fn check_stat(&self) {
        self.cluster.ctl(["stat", "orders"]).expect(0).says(&format!("lost: entry {ROTTEN}"));
        let stat = self.cluster.ctl(["stat", "orders", "-o", "json"]).expect(0);
        let stat: serde_json::Value = serde_json::from_str(&stat.out).unwrap();
        assert_eq!(stat["lost"], serde_json::json!([{ "from": ROTTEN, "to": ROTTEN }]));
    }
}

fn text(number: usize) -> String {
    format!("order {number}: an entry of some length")
}

/// Turns bits of every copy of that text in a journal.
#[track_caller]
fn turn(journal: &Path, text: &str) {
    let mut copies = 0;
    for file in files(journal, "segment-") {
        let mut bytes = fs::read(&file).unwrap();
        let windows = bytes.windows(text.len()).enumerate();
        let found: Vec<usize> =
            windows.filter(|(_, window)| *window == text.as_bytes()).map(|(at, _)| at).collect();
        for at in &found {
            bytes[at + 10] ^= 0x55;
        }
        copies += found.len();
        if !found.is_empty() {
            fs::write(&file, bytes).unwrap();
        }
    }
    assert!(copies > 0, "{text:?} is nowhere in {}", journal.display());
}

/// All entries by index, and a gap in place of the lost one.
#[track_caller]
fn check_lines(out: &str) {
    let lines: Vec<serde_json::Value> =
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (at, line) in lines.iter().enumerate() {
        if at == ROTTEN {
            let gap = serde_json::json!({ "from": at, "to": at, "why": "lost" });
            assert_eq!(line["gap"], gap, "{out}");
        } else {
            assert_eq!(line["index"], at, "{out}");
        }
    }
    assert!(lines.len() >= ENTRIES, "{out}");
}

/// C32b: an entry that no node has any more is declared lost once all members are there to say so, and what one of
/// them has is not. Readers are shown the loss, go on behind it, and see the same after a restart of all nodes.
#[test]
fn c32b_an_entry_that_rotted_everywhere_is_declared_lost() {
    let mut site = Site::up();
    site.rot();
    let cut_short = ["--count", "1", "--timeout", "2"];
    site.read(ROTTEN, &cut_short).expect(6).says("is not held here");
    site.declare(2, 3).expect(4).says("has entry 2");

    let away = site.cluster.follower(0);
    site.cluster.node_mut(away).stop();
    site.declare(ROTTEN, ROTTEN + 1).expect(4).says(&format!("node {away} cannot be reached"));
    site.read(ROTTEN, &cut_short).expect(6).says("is not held here");

    site.cluster.node_mut(away).start();
    site.cluster.wait_ready();
    // A node that looks for the entry cannot say at once that it has none.
    let declared = poll::until("the entry is declared lost", || {
        let ran = site.declare(ROTTEN, ROTTEN + 1);
        let is_done = ran.code == Some(0);
        let ran = if is_done { ran } else { ran.expect(4) };
        is_done.then_some(ran)
    });
    declared.says(&format!("lost of orders: entry {ROTTEN}"));
    site.read(ROTTEN, &["--count", "1"]).expect(12).says(&format!("entry {ROTTEN}"));
    let follow = ["--follow", "--count", "9", "-o", "jsonl"];
    check_lines(&site.read(0, &follow).expect(0).out);
    let strict = site.read(0, &["--follow", "--on-gap", "fail", "-o", "jsonl"]).expect(12);
    assert_eq!(strict.out.lines().count(), ROTTEN, "what lies before it was read");
    site.check_stat();

    site.cluster.ctl(["append", "orders", "behind it"]).expect(0);
    site.stop_all();
    site.cluster.start_all();
    site.cluster.wait_ready();
    site.check_everywhere();
    site.check_stat();
    poll::until("no node looks for it any more", || {
        let states = site.cluster.shard_states(0);
        let none = states.iter().all(|(_, shard)| shard.absent_slots == 0);
        (states.len() == 3 && none).then_some(())
    });
}
