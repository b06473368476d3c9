//! The script language: one command after another, on lines that begin with `>`, parted by `|`. Lines
//! that begin with `#` are comments: the goal of the scenario first, then what a step is there for.
//!
//! ```text
//! cluster N [leader=K] [prepare=Q] [accept=Q] [window=W] [lease=MS] [off] [loud]
//! cut 1 | cut 1-2        break all connections of a node, or one
//! block 1>2 | open       messages of one direction wait; all directions flow again
//! heal                   open all directions and connections again
//! propose 1 "x"          a leader proposes (waits for nothing)
//! deliver 1>2 [N]        deliver N messages of one direction
//! drop 1>2 [N]           lose N messages of one direction
//! settle [1 2]           deliver until nothing is under way
//! wait MS [1 2]          let time pass; these nodes (all) look at their clocks
//! pass MS                let time pass; nobody looks
//! elect K                let time pass, only K looking, until it serves
//! tick K                 K looks at its clock
//! config lease=MS        for nodes that boot from now on; likewise window=W
//! hold K | sync K [LSN] | release K
//! room K full|none|ample the disk is full and has its reserve, not even that, or has space
//! crash K | boot K | restart K
//! hand-over K | leave K | confirm K | read K
//! resumed K              the process of K stood still until now
//! idle K                 K's journal idles: it writes down what K saw others acknowledge
//! applied K SLOT STATE   K's state machine applied a slot, and has this digest
//! inject 2>1 MESSAGE     see `inject.rs`
//! disk K …               see `disk_setup.rs`
//! quiet COMMAND          without a trace
//! expect …               see `expect.rs`
//! show                   every node's state
//! ```

use crate::cluster::{Cluster, Plan};
use crate::reads::Read;
use crate::show;
use crate::{disk_setup, expect, inject};
use paxosd::paxos::{DiskBudget, Input, Quorums};
use paxosd::types::{Lsn, NodeId, Slot, Value};
use paxosd::wire::peer::Digest;
use std::collections::BTreeSet;

/// Runs the script of one file and returns it with its trace.
///
/// Comments are kept. One that stands right above a command stays there; a blank line parts both from
/// the trace before.
pub fn run(text: &str) -> String {
    let mut out = String::new();
    let mut cluster: Option<Cluster> = None;
    let mut below_comment = false;
    for line in text.lines() {
        let is_comment = line.starts_with('#');
        let is_command = line.starts_with('>');
        if (is_comment || is_command) && !below_comment && !out.is_empty() {
            out.push('\n');
        }
        below_comment = is_comment;
        if is_comment || is_command {
            out += &format!("{line}\n");
        }
        let Some(commands) = line.strip_prefix('>') else { continue };
        for command in commands.split('|') {
            command_line(&mut cluster, command.trim());
            if let Some(cluster) = &mut cluster {
                for line in cluster.trace.drain(..) {
                    out += &format!("{line}\n");
                }
            }
        }
    }
    out
}

fn command_line(cluster: &mut Option<Cluster>, command: &str) {
    let (word, rest) = split(command);
    if word == "cluster" {
        *cluster = Some(new_cluster(rest));
        return;
    }
    let cluster = cluster.as_mut().expect("a script begins with a cluster");
    if word == "quiet" {
        cluster.quiet = true;
        let (word, rest) = split(rest);
        run_command(cluster, word, rest);
        cluster.quiet = false;
        return;
    }
    run_command(cluster, word, rest);
}

fn split(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    (word, rest.trim())
}

pub fn number(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| panic!("a number is expected, not {text:?}"))
}

pub fn node(text: &str) -> NodeId {
    NodeId(u16::try_from(number(text)).expect("node numbers are small"))
}

fn direction(text: &str) -> (NodeId, NodeId) {
    let (from, to) = text.split_once('>').unwrap_or_else(|| panic!("not a direction: {text:?}"));
    (node(from), node(to))
}

fn micros(text: &str) -> u64 {
    let ms: f64 = text.parse().unwrap_or_else(|_| panic!("not milliseconds: {text:?}"));
    (ms * 1000.0).round() as u64
}

fn nodes(cluster: &Cluster, text: &str) -> BTreeSet<NodeId> {
    if text.is_empty() {
        return cluster.ids().into_iter().collect();
    }
    text.split_whitespace().map(node).collect()
}

/// `"text"` as a value; `no-op` as the no-op.
pub fn value(text: &str) -> Value {
    if text == "no-op" {
        return Value::noop();
    }
    let inner = text.strip_prefix('"').and_then(|t| t.strip_suffix('"'));
    Value::new(inner.unwrap_or_else(|| panic!("not a value: {text:?}")).as_bytes())
}

fn new_cluster(rest: &str) -> Cluster {
    let mut words = rest.split_whitespace();
    let count = words.next().expect("a cluster has a size");
    let mut plan = Plan::new(u16::try_from(number(count)).expect("clusters are small"));
    let (mut leader, mut off, mut loud) = (None, false, false);
    for word in words {
        let (key, text) = word.split_once('=').unwrap_or((word, ""));
        match key {
            "leader" => leader = Some(node(text)),
            "prepare" => plan.quorums.prepare = number(text) as usize,
            "accept" => plan.quorums.accept = number(text) as usize,
            "window" => plan.window_slots = number(text),
            "lease" => plan.timing.lease_us = micros(text),
            "off" => off = true,
            "loud" => loud = true,
            other => panic!("a cluster has no {other:?}"),
        }
    }
    let Quorums { prepare, accept } = plan.quorums;
    let mut cluster = Cluster::new(plan);
    cluster.quiet = !loud;
    if !off {
        for id in cluster.ids() {
            cluster.boot(id);
        }
        cluster.connect_all();
        cluster.settle(&nodes(&cluster, ""));
    }
    if let Some(leader) = leader {
        elect(&mut cluster, leader);
        cluster.quiet = false;
        let (id, chosen) = (leader, cluster.node(leader).chosen.len());
        let ballot = cluster.replica(id).and_then(|r| r.serving()).expect("it was elected");
        let text =
            format!("{id} leads in {ballot}, chosen={chosen}, prepare={prepare}, accept={accept}");
        cluster.say(|| text);
    }
    cluster.quiet = false;
    cluster
}

/// Lets time pass with only `id` looking at its clock, until it serves.
fn elect(cluster: &mut Cluster, id: NodeId) {
    let only = BTreeSet::from([id]);
    for _ in 0..10_000 {
        if cluster.replica(id).is_some_and(|replica| replica.serving().is_some()) {
            cluster.settle(&nodes(cluster, ""));
            return;
        }
        let next = cluster.next_time(&only).expect("the candidate runs").max(cluster.now + 1);
        cluster.wait(next - cluster.now, &only);
    }
    panic!("node {id} cannot be elected");
}

fn applied(cluster: &mut Cluster, rest: &str) {
    let words: Vec<&str> = rest.split_whitespace().collect();
    let (slot, state) = (Slot(number(words[1])), number(words[2]));
    cluster.step(node(words[0]), Input::Applied(Digest { slot, state }));
}

fn run_command(cluster: &mut Cluster, word: &str, rest: &str) {
    match word {
        "cut" | "heal" | "block" | "open" | "deliver" | "drop" | "settle" => {
            network(cluster, word, rest);
        }
        "wait" | "pass" => {
            let (ms, who) = split(rest);
            if word == "wait" {
                cluster.wait(micros(ms), &nodes(cluster, who));
            } else {
                cluster.now += micros(ms);
            }
        }
        "elect" => elect(cluster, node(rest)),
        "propose" => {
            let (who, text) = split(rest);
            cluster.propose(node(who), value(text));
        }
        "read" => read_arrives(cluster, rest),
        "hand-over" => cluster.step(node(rest), Input::HandOver),
        "leave" => cluster.step(node(rest), Input::Leave),
        "resumed" => cluster.step(node(rest), Input::Resumed),
        "room" => {
            let (who, what) = split(rest);
            cluster.step(node(who), Input::DiskBudget(room(what)));
        }
        "confirm" => cluster.step(node(rest), Input::Confirm),
        "idle" => cluster.idle(node(rest)),
        "applied" => applied(cluster, rest),
        "tick" => cluster.step(node(rest), Input::Tick),
        "config" => match rest.split_once('=').expect("a key and its value") {
            ("lease", ms) => cluster.plan.timing.lease_us = micros(ms),
            ("window", slots) => cluster.plan.window_slots = number(slots),
            (other, _) => panic!("{other:?} cannot be changed"),
        },
        "hold" | "release" | "sync" => syncs(cluster, word, rest),
        "crash" => crash(cluster, node(rest)),
        "boot" => {
            for id in nodes(cluster, rest) {
                cluster.boot(id);
            }
        }
        "restart" => {
            crash(cluster, node(rest));
            cluster.boot(node(rest));
            cluster.connect_all();
        }
        "inject" => {
            let (which, text) = split(rest);
            let (from, to) = direction(which);
            let message = inject::parse(cluster, text);
            cluster.step(to, Input::Message(from, message));
        }
        "disk" => {
            let (who, text) = split(rest);
            disk_setup::disk(cluster, node(who), text);
        }
        "expect" => expect::check(cluster, rest),
        "show" => {
            for id in cluster.ids() {
                let line = cluster.state(id);
                cluster.say(|| line);
            }
        }
        other => panic!("no such command: {other:?}"),
    }
}

/// A linearizable read arrives at a node.
fn read_arrives(cluster: &mut Cluster, at: &str) {
    let read = Read::arrive(cluster, node(at)).expect("a read arrives where one serves");
    let fate = read.fate(cluster);
    cluster.say(|| format!("a read arrives at {at}: {fate:?}"));
    cluster.read = Some(read);
}

/// What a disk still takes.
fn room(what: &str) -> DiskBudget {
    match what {
        "full" => DiskBudget { new_values: 0, catch_up: 0, full: true, ..DiskBudget::default() },
        "none" => DiskBudget { new_values: 0, catch_up: 0, election: 0, full: true },
        "ample" => DiskBudget::default(),
        other => panic!("a disk is not {other:?}"),
    }
}

/// What becomes durable, and when.
fn syncs(cluster: &mut Cluster, word: &str, rest: &str) {
    let (who, upto) = split(rest);
    let id = node(who);
    let last = cluster.node(id).disk.last();
    match word {
        "hold" => cluster.node_mut(id).hold = true,
        "release" => {
            cluster.sync(id, last);
            cluster.node_mut(id).hold = false;
            cluster.auto_sync(id);
        }
        _ => cluster.sync(id, if upto.is_empty() { last } else { Lsn(number(upto)) }),
    }
}

fn crash(cluster: &mut Cluster, id: NodeId) {
    cluster.node_mut(id).hold = false;
    cluster.crash(id, 0);
    cluster.lower_peers(id);
}

fn network(cluster: &mut Cluster, word: &str, rest: &str) {
    let (which, count) = split(rest);
    let count = if count.is_empty() { 1 } else { count.parse().unwrap_or(1) };
    match word {
        "cut" => {
            for pair in rest.split_whitespace() {
                match pair.split_once('-') {
                    Some((a, b)) => cluster.cut(node(a), node(b)),
                    None => {
                        let id = node(pair);
                        let others = cluster.ids().into_iter().filter(|other| *other != id);
                        for other in others.collect::<Vec<_>>() {
                            cluster.cut(id, other);
                        }
                    }
                }
            }
        }
        "heal" => {
            open(cluster);
            cluster.connect_all();
        }
        "block" => {
            for pair in rest.split_whitespace() {
                let (from, to) = direction(pair);
                cluster.link_mut(from, to).blocked = true;
            }
        }
        "open" => open(cluster),
        "deliver" => {
            let (from, to) = direction(which);
            for _ in 0..count {
                assert!(cluster.deliver(from, to), "nothing to deliver from {from} to {to}");
            }
        }
        "drop" => {
            let (from, to) = direction(which);
            for _ in 0..count {
                let lost = cluster.link_mut(from, to).queue.pop_front();
                let lost = lost.expect("there is a message to lose");
                cluster.say(|| format!("lost: {from} {}", show::leaving(to, &lost)));
            }
        }
        "settle" => cluster.settle(&nodes(cluster, rest)),
        other => panic!("no such command: {other:?}"),
    }
}

fn open(cluster: &mut Cluster) {
    for link in cluster.links.values_mut() {
        link.blocked = false;
    }
}
