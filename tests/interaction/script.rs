//! The script language: one command after another, on lines that begin with `>`, parted by `|`.
//!
//! ```text
//! cell N [leader=K] [prepare=Q] [accept=Q] [window=W] [lease=MS] [off] [loud]
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
//! disk K …               see `craft.rs`
//! quiet COMMAND          without a trace
//! expect …               see `expect.rs`
//! show                   every node's state
//! ```

use crate::cell::{Cell, Plan};
use crate::reads::Read;
use crate::show;
use crate::{craft, expect, inject};
use paxosd::paxos::{Input, Quorums, Room};
use paxosd::types::{Lsn, NodeId, Slot, Value};
use paxosd::wire::peer::Digest;
use std::collections::BTreeSet;

/// Runs the script of one file and returns it with its trace.
pub fn run(text: &str) -> String {
    let mut out = String::new();
    let mut cell: Option<Cell> = None;
    for line in text.lines() {
        if line.starts_with('#') {
            out += &format!("{line}\n");
        }
        let Some(commands) = line.strip_prefix('>') else { continue };
        if !out.ends_with("\n\n") {
            out.push('\n');
        }
        out += &format!("{line}\n");
        for command in commands.split('|') {
            command_line(&mut cell, command.trim());
            if let Some(cell) = &mut cell {
                for line in cell.trace.drain(..) {
                    out += &format!("{line}\n");
                }
            }
        }
    }
    out
}

fn command_line(cell: &mut Option<Cell>, command: &str) {
    let (word, rest) = split(command);
    if word == "cell" {
        *cell = Some(new_cell(rest));
        return;
    }
    let cell = cell.as_mut().expect("a script begins with a cell");
    if word == "quiet" {
        cell.quiet = true;
        let (word, rest) = split(rest);
        run_command(cell, word, rest);
        cell.quiet = false;
        return;
    }
    run_command(cell, word, rest);
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

fn nodes(cell: &Cell, text: &str) -> BTreeSet<NodeId> {
    if text.is_empty() {
        return cell.ids().into_iter().collect();
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

fn new_cell(rest: &str) -> Cell {
    let mut words = rest.split_whitespace();
    let count = words.next().expect("a cell has a size");
    let mut plan = Plan::new(u16::try_from(number(count)).expect("cells are small"));
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
            other => panic!("a cell has no {other:?}"),
        }
    }
    let Quorums { prepare, accept } = plan.quorums;
    let mut cell = Cell::new(plan);
    cell.quiet = !loud;
    if !off {
        for id in cell.ids() {
            cell.boot(id);
        }
        cell.connect_all();
        cell.settle(&nodes(&cell, ""));
    }
    if let Some(leader) = leader {
        elect(&mut cell, leader);
        cell.quiet = false;
        let (id, chosen) = (leader, cell.node(leader).chosen.len());
        let ballot = cell.replica(id).and_then(|r| r.serving()).expect("it was elected");
        let text =
            format!("{id} leads in {ballot}, chosen={chosen}, prepare={prepare}, accept={accept}");
        cell.say(|| text);
    }
    cell.quiet = false;
    cell
}

/// Lets time pass with only `id` looking at its clock, until it serves.
fn elect(cell: &mut Cell, id: NodeId) {
    let only = BTreeSet::from([id]);
    for _ in 0..10_000 {
        if cell.replica(id).is_some_and(|replica| replica.serving().is_some()) {
            cell.settle(&nodes(cell, ""));
            return;
        }
        let next = cell.next_time(&only).expect("the candidate runs").max(cell.now + 1);
        cell.wait(next - cell.now, &only);
    }
    panic!("node {id} cannot be elected");
}

fn applied(cell: &mut Cell, rest: &str) {
    let words: Vec<&str> = rest.split_whitespace().collect();
    let (slot, state) = (Slot(number(words[1])), number(words[2]));
    cell.step(node(words[0]), Input::Applied(Digest { slot, state }));
}

fn run_command(cell: &mut Cell, word: &str, rest: &str) {
    match word {
        "cut" | "heal" | "block" | "open" | "deliver" | "drop" | "settle" => {
            network(cell, word, rest);
        }
        "wait" | "pass" => {
            let (ms, who) = split(rest);
            if word == "wait" {
                cell.wait(micros(ms), &nodes(cell, who));
            } else {
                cell.now += micros(ms);
            }
        }
        "elect" => elect(cell, node(rest)),
        "propose" => {
            let (who, text) = split(rest);
            cell.propose(node(who), value(text));
        }
        "read" => read_arrives(cell, rest),
        "hand-over" => cell.step(node(rest), Input::HandOver),
        "leave" => cell.step(node(rest), Input::Leave),
        "resumed" => cell.step(node(rest), Input::Resumed),
        "room" => {
            let (who, what) = split(rest);
            cell.step(node(who), Input::Room(room(what)));
        }
        "confirm" => cell.step(node(rest), Input::Confirm),
        "idle" => cell.idle(node(rest)),
        "applied" => applied(cell, rest),
        "tick" => cell.step(node(rest), Input::Tick),
        "config" => match rest.split_once('=').expect("a key and its value") {
            ("lease", ms) => cell.plan.timing.lease_us = micros(ms),
            ("window", slots) => cell.plan.window_slots = number(slots),
            (other, _) => panic!("{other:?} cannot be changed"),
        },
        "hold" | "release" | "sync" => syncs(cell, word, rest),
        "crash" => crash(cell, node(rest)),
        "boot" => {
            for id in nodes(cell, rest) {
                cell.boot(id);
            }
        }
        "restart" => {
            crash(cell, node(rest));
            cell.boot(node(rest));
            cell.connect_all();
        }
        "inject" => {
            let (which, text) = split(rest);
            let (from, to) = direction(which);
            let message = inject::parse(cell, text);
            cell.step(to, Input::Message(from, message));
        }
        "disk" => {
            let (who, text) = split(rest);
            craft::disk(cell, node(who), text);
        }
        "expect" => expect::check(cell, rest),
        "show" => {
            for id in cell.ids() {
                let line = cell.state(id);
                cell.say(|| line);
            }
        }
        other => panic!("no such command: {other:?}"),
    }
}

/// A linearizable read arrives at a node.
fn read_arrives(cell: &mut Cell, at: &str) {
    let read = Read::arrive(cell, node(at)).expect("a read arrives where one serves");
    let fate = read.fate(cell);
    cell.say(|| format!("a read arrives at {at}: {fate:?}"));
    cell.read = Some(read);
}

/// What a disk still takes.
fn room(what: &str) -> Room {
    match what {
        "full" => Room { values: 0, learning: 0, short: true, ..Room::default() },
        "none" => Room { values: 0, learning: 0, settling: 0, short: true },
        "ample" => Room::default(),
        other => panic!("a disk is not {other:?}"),
    }
}

/// What becomes durable, and when.
fn syncs(cell: &mut Cell, word: &str, rest: &str) {
    let (who, upto) = split(rest);
    let id = node(who);
    let last = cell.node(id).disk.last();
    match word {
        "hold" => cell.node_mut(id).hold = true,
        "release" => {
            cell.sync(id, last);
            cell.node_mut(id).hold = false;
            cell.auto_sync(id);
        }
        _ => cell.sync(id, if upto.is_empty() { last } else { Lsn(number(upto)) }),
    }
}

fn crash(cell: &mut Cell, id: NodeId) {
    cell.node_mut(id).hold = false;
    cell.crash(id, 0);
    cell.lower_peers(id);
}

fn network(cell: &mut Cell, word: &str, rest: &str) {
    let (which, count) = split(rest);
    let count = if count.is_empty() { 1 } else { count.parse().unwrap_or(1) };
    match word {
        "cut" => {
            for pair in rest.split_whitespace() {
                match pair.split_once('-') {
                    Some((a, b)) => cell.cut(node(a), node(b)),
                    None => {
                        let id = node(pair);
                        let others = cell.ids().into_iter().filter(|other| *other != id);
                        for other in others.collect::<Vec<_>>() {
                            cell.cut(id, other);
                        }
                    }
                }
            }
        }
        "heal" => {
            open(cell);
            cell.connect_all();
        }
        "block" => {
            for pair in rest.split_whitespace() {
                let (from, to) = direction(pair);
                cell.link_mut(from, to).blocked = true;
            }
        }
        "open" => open(cell),
        "deliver" => {
            let (from, to) = direction(which);
            for _ in 0..count {
                assert!(cell.deliver(from, to), "nothing to deliver from {from} to {to}");
            }
        }
        "drop" => {
            let (from, to) = direction(which);
            for _ in 0..count {
                let lost = cell.link_mut(from, to).queue.pop_front();
                let lost = lost.expect("there is a message to lose");
                cell.say(|| format!("lost: {from} {}", show::leaving(to, &lost)));
            }
        }
        "settle" => cell.settle(&nodes(cell, rest)),
        other => panic!("no such command: {other:?}"),
    }
}

fn open(cell: &mut Cell) {
    for link in cell.links.values_mut() {
        link.blocked = false;
    }
}
