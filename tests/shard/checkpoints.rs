//! Stories about checkpoints: what a start from one gives back, and what one needs to count.

use crate::node::{Node, SEGMENT, append, create, identity_of, log, options_of, read, texts};
use paxosd::api::{Delete, Reply, Request, Trim};
use paxosd::checkpoint::{self, CheckpointJob, checkpoint_file_name};
use paxosd::index::run_file_name;
use paxosd::limits::{CHECKPOINT_BYTES_PER_SECOND, CHECKPOINT_PIECE_BYTES};
use paxosd::shard::{CutOptions, DiskJob, ShardOptions};
use paxosd::storage::{MemStorage, Storage};
use paxosd::types::{FormatLevel, Index, Random, Released, ShardId, Slot};

/// A cut every ten slots.
pub const OFTEN: CutOptions =
    CutOptions { bytes: 1 << 30, slots: 10, extents: 1 << 20, idle_us: 1 << 40, gap_us: 0 };
/// No cut but for what has long been idle.
const NEVER: CutOptions = CutOptions { slots: 1 << 40, ..OFTEN };

/// A cut five seconds after the last one, where anything was applied since.
const IDLE: CutOptions = CutOptions { idle_us: 5_000_000, ..NEVER };

/// A node with so many entries in each of three logs; a fourth was deleted, and the first one trimmed.
pub fn with_logs(cuts: CutOptions, entries: u64) -> Node {
    // Nothing is compacted: what it would free stays for others.
    let options = ShardOptions { cuts, catchup_bytes: 1 << 40, ..options_of(1, &[1]) };
    let mut node = Node::with_options(options);
    for name in ["a", "b", "c", "gone"] {
        node.ask(create(name));
    }
    for nth in 0..entries {
        for name in ["a", "b", "c", "gone"] {
            node.ask(Request::Append(append(name, &format!("{name}{nth}"))));
        }
    }
    node.ask(Request::Trim(Trim { log: log("a"), before: Index(entries / 2) }));
    node.ask(Request::Delete(Delete { log: log("gone") }));
    node
}

/// What clients see of the logs: every entry that is left.
fn contents(node: &mut Node, entries: u64) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for name in ["a", "b", "c"] {
        let (mut of_log, mut next) = (Vec::new(), if name == "a" { entries / 2 } else { 0 });
        while next < entries {
            let reply = node.ask(read(name, next, 0));
            let Reply::ReadDone(done) = &reply else { panic!("{name} {next}: {reply:?}") };
            let count = u64::from(done.entries.count());
            assert!(count > 0, "{name} ends at {next}, not at {entries}");
            next += count;
            of_log.extend(texts(Some(reply)));
        }
        found.push(of_log);
    }
    found
}

/// So much time passes that a cut is due.
fn idle(node: &mut Node) {
    node.pass(6_000_000);
}

fn is_read_back(job: &DiskJob) -> bool {
    matches!(job, DiskJob::Checkpoint(CheckpointJob::ReadBack { .. }))
}

/// C24: a state of several pieces is written at its pace, so that those who append meanwhile keep disk and cores.
#[test]
fn c24_a_large_state_takes_its_time() {
    let mut node = Node::with_cuts(IDLE);
    for nth in 0..4000 {
        node.ask(create(&format!("log-{nth}")));
    }
    let is_taken = |node: &Node| {
        let files = node.storage.list().expect("it is listed");
        files.iter().any(|file| file.starts_with("checkpoint-") && file.ends_with(".new"))
    };
    let mut took_us = 0;
    for _ in 0..10_000 {
        node.pass(1_000);
        if is_taken(&node) {
            took_us += 1_000;
        } else if took_us > 0 {
            break;
        }
    }
    let newest = node.shard.checkpoints().last().expect("one is taken");
    let pieces = newest.state_bytes / CHECKPOINT_PIECE_BYTES as u64;
    assert!(pieces >= 4, "{pieces} pieces");
    let pace_us = pieces * CHECKPOINT_PIECE_BYTES as u64 * 1_000_000 / CHECKPOINT_BYTES_PER_SECOND;
    assert!((pace_us - 1_000..2 * pace_us).contains(&took_us), "{took_us} us, not {pace_us}");
}

/// A large state is written the more seldom: as many bytes of values come first as it has, four times.
#[test]
fn c23_a_large_state_is_cut_seldom() {
    let mut node = Node::with_cuts(CutOptions { bytes: 1, ..NEVER });
    for nth in 0..100 {
        node.ask(create(&format!("log-{nth}")));
    }
    let taken = |node: &Node| node.shard.tally().checkpoints.taken;
    // One that has them all.
    node.pass(6_000_000);
    node.ask(Request::Append(append("log-7", "x")));
    node.pass(6_000_000);
    let newest = node.shard.checkpoints().last().expect("some are taken");
    let (before, state_bytes) = (taken(&node), newest.state_bytes);
    let entry = "x".repeat(500);
    let mut appended = 0;
    while taken(&node) < before + 2 {
        node.ask(Request::Append(append("log-7", &entry)));
        node.pass(200_000);
        appended += entry.len() as u64;
        assert!(appended < 20 * state_bytes, "no cut comes");
    }
    // The first of them was on its way; between it and the next lie the states.
    assert!(appended >= 3 * state_bytes, "{appended} bytes, the state has {state_bytes}");
}

/// C25, C31: a start from a checkpoint has the same state as one from the whole journal, and its clients
/// read the same entries; but it read a part of the journal only.
#[test]
fn c25_a_start_from_a_checkpoint_gives_back_what_the_journal_does() {
    let mut node = with_logs(OFTEN, 30);
    let before = (contents(&mut node, 30), node.shard.machine().digest());
    assert!(node.shard.tally().checkpoints.taken > 5, "{:?}", node.shard.tally().checkpoints);
    let mut again = Node::open_with_cuts(node.storage.duplicate(), NEVER);
    let kept = node.shard.checkpoints().last().expect("some count");
    assert_eq!(again.from, Some(kept.slot));
    let part = again.replayed;
    assert_eq!((contents(&mut again, 30), again.shard.machine().digest()), before);

    let without = node.storage.duplicate();
    for kept in node.shard.checkpoints() {
        without.remove(&checkpoint_file_name(kept.slot)).expect("it is there");
    }
    let mut whole = Node::open_with_cuts(without, NEVER);
    assert_eq!(whole.from, None);
    assert_eq!((contents(&mut whole, 30), whole.shard.machine().digest()), before);
    assert!(part <= whole.replayed, "{part} records were read, {} are there", whole.replayed);
}

/// C31: extents leave memory; reads of old entries ask the runs on disk, and find them whatever was
/// merged, trimmed or deleted in between.
#[test]
fn c31_old_entries_are_found_through_the_runs() {
    let mut node = with_logs(OFTEN, 200);
    let before = node.lookups;
    assert!(node.shard.tally().checkpoints.merges > 0, "{:?}", node.shard.tally().checkpoints);
    let found = contents(&mut node, 200);
    let expected =
        |name: &str, from: u64| (from..200).map(|n| format!("{name}{n}")).collect::<Vec<_>>();
    assert_eq!(found, [expected("a", 100), expected("b", 0), expected("c", 0)]);
    assert!(node.lookups > before, "all was in memory");
    let kept = node.shard.backlog().extents_in_memory;
    assert!(kept < 60, "{kept} extents of some 600 are in memory");
}

/// C25: the newest checkpoint is damaged, so the older one serves; both are, so the journal does.
#[test]
fn c25_where_the_newest_is_damaged_the_older_serves_and_then_the_journal() {
    let node = with_logs(OFTEN, 30);
    let slot = node.shard.applied_upto();
    let kept: Vec<Slot> = node.shard.checkpoints().iter().map(|kept| kept.slot).collect();
    let [older, newest] = kept[..] else { panic!("two are kept: {kept:?}") };
    let storage = node.storage.duplicate();
    for (bad, serves) in [(newest, Some(older)), (older, None)] {
        let name = checkpoint_file_name(bad);
        let middle = storage.len(&name).expect("it is there") / 2;
        storage.rot(&name, middle..middle + 1, |bytes| bytes[0] ^= 4);
        let again = Node::open_with_cuts(storage.duplicate(), NEVER);
        assert_eq!(again.from, serves);
        assert!(again.faults.iter().any(|fault| fault.contains(&name)), "{:?}", again.faults);
        assert!(again.shard.applied_upto() >= slot);
        assert_eq!(listed(&again), listed(&node));
    }
}

/// What the state says of its logs.
/// C26: a crash left the file of a checkpoint that was on its way out. Segments went by the older of the other
/// two: these count, and the file goes.
#[test]
fn c26_a_start_counts_the_newest_two_checkpoints() {
    let started = |storage: &MemStorage| {
        let place = ((ShardId(0), 1), FormatLevel::KNOWN);
        let start = checkpoint::start(storage, &identity_of(1), place.0, place.1, &SEGMENT);
        let restored = start.expect("it starts").restored;
        (restored.kept.iter().map(|kept| kept.slot).collect::<Vec<_>>(), restored.unused)
    };
    let mut node = with_logs(OFTEN, 50);
    let (before, _) = started(&node.storage.duplicate());
    let name = checkpoint_file_name(before[0]);
    let mut bytes = vec![0; node.storage.len(&name).expect("its length") as usize];
    node.storage.read_at(&name, 0, &mut bytes).expect("it is read");
    while node.storage.len(&name).is_ok() {
        node.ask(Request::Append(append("b", "more")));
    }
    let storage = node.storage.duplicate();
    let (kept, unused) = started(&storage.duplicate());
    assert!(kept.len() == 2 && !kept.contains(&before[0]), "{kept:?}");
    assert!(unused.is_empty(), "{unused:?}");
    storage.create_empty(&name).expect("it is made");
    storage.extend(&name, &bytes).expect("it is written");
    assert_eq!(started(&storage), (kept, vec![name]));
}

fn listed(node: &Node) -> Vec<String> {
    let (logs, _) = node.shard.machine().logs().list("", "", 100);
    logs.iter().map(|log| format!("{log:?}")).collect()
}

/// C25, C31: an inspection reads every checkpoint and every run, and names each file in which a bit has
/// flipped, wherever that is.
#[test]
fn c25_an_inspection_finds_every_flipped_bit() {
    let node = with_logs(OFTEN, 30);
    let inspected = |storage: &MemStorage| {
        let none = Released::default();
        let found = checkpoint::inspect(storage, &identity_of(1), ShardId(0), &none);
        found
            .expect("nothing is short")
            .findings
            .into_iter()
            .map(|found| found.file)
            .collect::<Vec<_>>()
    };
    assert!(inspected(&node.storage).is_empty());
    let mut random = Random::new(7);
    let names = node.storage.list().expect("a list");
    let runs = node.shard.checkpoints().iter().flat_map(|kept| &kept.runs);
    let named: Vec<String> = runs.map(|run| run_file_name(*run)).collect();
    let is_ours = |name: &&String| name.starts_with("checkpoint-") || named.contains(name);
    let ours: Vec<&String> = names.iter().filter(is_ours).collect();
    assert!(ours.len() > 3, "{names:?}");
    for name in ours {
        for _ in 0..20 {
            let storage = node.storage.duplicate();
            let at = random.below(storage.len(name).expect("it is there"));
            storage.rot(name, at..at + 1, |bytes| bytes[0] ^= 1 << random.below(8));
            assert_eq!(inspected(&storage), [name.as_str()], "byte {at}");
        }
    }
}

/// C25: a file that does not read back as what was cut never counts: the one before stays, and the next
/// cut makes a new one.
#[test]
fn c25_what_does_not_read_back_does_not_count() {
    let mut node = with_logs(IDLE, 10);
    node.hold = true;
    idle(&mut node);
    node.release_until(is_read_back);
    let slot = node.shard.taking_checkpoint().expect("one is being taken");
    let name = checkpoint_file_name(slot);
    node.storage.rot(&name, 4200..4201, |bytes| bytes[0] ^= 1);
    node.release();
    let tally = node.shard.tally().checkpoints;
    assert_eq!((tally.taken, tally.abandoned), (0, 1), "{tally:?}");
    assert!(node.shard.checkpoints().is_empty());
    assert!(!node.storage.list().expect("a list").contains(&name), "it stays in the way");
    node.ask(Request::Append(append("b", "more")));
    idle(&mut node);
    assert_eq!(node.shard.tally().checkpoints.taken, 1);
    assert_eq!(contents(&mut node, 10).concat().len(), 26);
}

/// C25, R11: a full disk takes no checkpoint, and nothing else is in its way; with space there is one.
#[test]
fn c25_a_full_disk_takes_no_checkpoint_and_loses_none() {
    let mut node = with_logs(OFTEN, 30);
    let before = node.shard.tally().checkpoints;
    node.storage.set_free_bytes(100);
    for nth in 0..30 {
        node.ask(Request::Append(append("b", &format!("more {nth}"))));
    }
    let full = node.shard.tally().checkpoints;
    assert!(full.abandoned > before.abandoned && full.taken == before.taken, "{full:?}");
    node.storage.set_free_bytes(1 << 40);
    for nth in 0..30 {
        node.ask(Request::Append(append("b", &format!("and more {nth}"))));
    }
    assert!(node.shard.tally().checkpoints.taken > full.taken);
    let mut again = Node::open_with_cuts(node.storage.duplicate(), NEVER);
    assert!(again.from.is_some());
    assert_eq!(contents(&mut again, 30).concat().len(), 135);
}

/// C25, C31: the machine stops at any write of a checkpoint, of a run or of a merge, with power or
/// without: nothing is lost, nothing is resurrected, and the start finds a good state.
#[test]
fn c25_a_crash_at_any_write_of_a_checkpoint_loses_nothing() {
    let whole = with_logs(OFTEN, 12);
    let (first, last) = (Node::with_cuts(OFTEN).storage.steps(), whole.storage.steps());
    let expected = listed(&whole);
    let mut from = 0;
    for step in first..last {
        let mut random = Random::new(step);
        let storage = crashed_at(step, &mut random);
        let mut again = Node::open_with_cuts(storage, OFTEN);
        from += u32::from(again.from.is_some());
        assert!(again.fatal.is_none(), "step {step}: {:?}", again.fatal);
        finish(&mut again, step);
        assert_eq!(listed(&again), expected, "step {step}");
        assert_eq!(contents(&mut again, 12).concat().len(), 30, "step {step}");
    }
    assert!(u64::from(from) > (last - first) / 2, "{from} of {} began from one", last - first);
}

/// What the disk holds when the machine stops at this step.
fn crashed_at(step: u64, random: &mut Random) -> MemStorage {
    let mut node = Node::with_cuts(OFTEN);
    node.may_halt = true;
    node.storage.halt_at(step);
    for request in story(12) {
        let correlation = node.send(1, request);
        node.tick();
        if node.take(1, correlation).is_none() {
            break; // The machine has stopped.
        }
    }
    node.storage.crash(&mut || random.draw());
    node.storage
}

/// Everything that [`with_logs`] asks for, in order.
fn story(entries: u64) -> Vec<Request> {
    let names = ["a", "b", "c", "gone"];
    let mut requests: Vec<Request> = names.iter().map(|name| create(name)).collect();
    for nth in 0..entries {
        let appends = names.iter().map(|name| (name, append(name, &format!("{name}{nth}"))));
        requests.extend(appends.map(|(_, append)| {
            Request::Append(paxosd::api::Append { expect: Some(Index(nth)), ..append })
        }));
    }
    requests.push(Request::Trim(Trim { log: log("a"), before: Index(entries / 2) }));
    requests.push(Request::Delete(Delete { log: log("gone") }));
    requests
}

/// Asks for everything again: what took effect before the crash is refused, the rest takes effect.
fn finish(node: &mut Node, step: u64) {
    let gone = node.shard.machine().logs().resolve("gone").is_none();
    let created = node.shard.machine().logs().count() > 0;
    for request in story(12) {
        let about_gone = request.log() == Some(log("gone"));
        if about_gone && gone && created && node.shard.machine().logs().count() == 3 {
            continue; // It was deleted before the crash.
        }
        let correlation = node.send(1, request);
        node.tick();
        assert!(node.take(1, correlation).is_some(), "step {step}: no answer");
    }
}
