//! The format level: it rises once every member knows it, and what is of a level or version that a program does
//! not know ends or refuses it with a word (C32c, C44d).

use crate::node::{Node, SEGMENT, append, create, identity_of, options_of};
use crate::trio_rig::Trio;
use paxosd::api::{Reply, Request};
use paxosd::checkpoint::install::{BuildPlan, InstallDone, InstallJob, execute};
use paxosd::checkpoint::{self, checkpoint_file_name};
use paxosd::index::{RunSet, run_file_name, span_file_name};
use paxosd::journal::OpenError;
use paxosd::paxos::Timing;
use paxosd::shard::{CutOptions, ShardOptions};
use paxosd::storage::{MemStorage, Storage};
use paxosd::types::{
    FailureKind, FormatLevel, InstallPlace, NodeId, Released, RunId, ShardId, SlotRanges,
};
use xxhash_rust::xxh3::xxh3_64;

const OLD: FormatLevel = FormatLevel(1);
const NEW: FormatLevel = FormatLevel(2);
/// Longer than a raise that is due takes.
const WHILE_US: u64 = 10_000_000;

/// What each of the three has applied.
fn levels(trio: &Trio) -> [u16; 3] {
    [0, 1, 2].map(|at| trio.members[at].shard.machine().levels().level().0)
}

/// C44d: of three members one runs the program before. A raise would end it, and then the next. So there is
/// none, for however long, while it takes part, is cut off, or is back with the newer program but not heard yet.
#[test]
fn c44d_the_level_waits_for_the_last_member() {
    let timing = Timing::default();
    let mut trio = Trio::of_programs(timing, [NEW, NEW, OLD]);
    trio.pass(WHILE_US);
    assert_eq!(levels(&trio), [1; 3], "node 3 would end");
    trio.cut_off(2);
    trio.pass(WHILE_US);
    assert_eq!(levels(&trio)[..2], [1; 2], "node 3 would end once it is back");
    trio.restart(2, (timing, NEW));
    trio.pass(WHILE_US);
    assert_eq!(levels(&trio)[..2], [1; 2], "node 3 was not heard");

    trio.heal(2);
    trio.pass(WHILE_US);
    assert_eq!(levels(&trio), [2; 3]);
    let since = trio.members[0].shard.machine().levels().since();
    let leader = trio.leader();
    let reply = trio.ask(leader, create("a"));
    assert!(matches!(reply, Reply::Created(_)), "{reply:?}");
    trio.pass(WHILE_US);
    assert_eq!(levels(&trio), [2; 3]);
    assert_eq!(trio.members[0].shard.machine().levels().since(), since, "raised once");
}

/// C44d: what a member said on an earlier connection does not count: it may have come back as an older
/// program.
#[test]
fn c44d_a_member_is_asked_anew_on_each_connection() {
    let timing = Timing::default();
    let mut trio = Trio::of_programs(timing, [NEW, NEW, OLD]);
    trio.cut_off(1);
    trio.cut_off(2);
    trio.restart(2, (timing, NEW));
    trio.heal(2);
    trio.lead_again(0);
    trio.pass(WHILE_US);
    assert_eq!(levels(&trio), [1; 3], "node 1 has heard that node 2 knows more, which is away");
    trio.restart(1, (timing, OLD));
    trio.heal(1);
    trio.pass(WHILE_US);
    assert_eq!(levels(&trio), [1; 3], "node 2 has gone back to the older program");
}

fn options(known: FormatLevel, cuts: CutOptions) -> ShardOptions {
    let mut options = ShardOptions { cuts, ..options_of(1, &[1]) };
    options.paxos.known_level = known;
    options
}

/// A lone node of this program, at its level, with some entries, and cuts as often as this.
fn filled(known: FormatLevel, cuts: CutOptions) -> Node {
    let storage = MemStorage::new();
    let identity = identity_of(1);
    paxosd::journal::format(&storage, &identity, ShardId(0), &SEGMENT).expect("a fresh disk");
    let mut node = Node::open_as(storage, options(known, cuts), false);
    node.ask(create("a"));
    for nth in 0..30 {
        node.ask(Request::Append(append("a", &format!("{nth}"))));
    }
    assert_eq!(node.shard.machine().levels().level(), known);
    node
}

/// C44d: a node that went back to an older program meets the raise in its journal: it ends before it applies
/// it, and says that it needs an upgrade. With the newer program it goes on.
#[test]
fn c44d_an_older_program_ends_at_the_raise_and_says_why() {
    let node = filled(NEW, CutOptions::default());
    let since = node.shard.machine().levels().since();
    let older = Node::open_as(node.storage.duplicate(), options(OLD, CutOptions::default()), false);
    let Some((FailureKind::Invariant, text)) = &older.fatal else { panic!("{:?}", older.fatal) };
    assert!(text.contains("raises the format level to 2, this node knows 1"), "{text}");
    assert!(text.contains("needs an upgrade"), "{text}");
    assert_eq!(older.shard.applied_upto(), since.prev());

    let newer = Node::open_as(node.storage.duplicate(), options(NEW, CutOptions::default()), false);
    assert!(newer.fatal.is_none() && newer.shard.applied_upto() >= node.shard.applied_upto());
}

/// A cut every ten slots.
const OFTEN: CutOptions =
    CutOptions { bytes: 1 << 30, slots: 10, extents: 1 << 30, idle_us: 1 << 60, gap_us: 0 };

fn refusal(storage: &MemStorage, known: FormatLevel) -> OpenError {
    let start = checkpoint::start(storage, &identity_of(1), (ShardId(0), 1), known, &SEGMENT);
    start.expect_err("nothing takes its place")
}

/// C32c: a checkpoint of a level that the program does not know refuses the start: the older checkpoint, or
/// the journal, would be a state from before what the newer program knew.
#[test]
fn c32c_a_state_of_a_later_level_refuses_the_start() {
    let node = filled(NEW, OFTEN);
    let newest = node.shard.checkpoints().last().expect("there are two").slot;
    let error = refusal(&node.storage, OLD);
    assert_eq!(error.kind(), FailureKind::Data);
    let OpenError::FutureLevel { file, found: NEW, known: OLD } = &error else { panic!("{error}") };
    assert_eq!(*file, checkpoint_file_name(newest));
    let text = error.to_string();
    assert!(text.contains("has format level 2, this program knows levels up to 1"), "{text}");
}

/// C32c: a checkpoint, a run that it names, or a span of its slots, of a later version is no damage: it refuses the start, and an
/// inspection, and is left as it is.
#[test]
fn c32c_files_of_a_later_version_refuse_the_start() {
    let node = filled(OLD, OFTEN);
    let kept = node.shard.checkpoints().last().expect("there are two");
    let run = kept.runs.last().expect("entries were appended");
    let span = span_file_name(kept.slot);
    for name in [checkpoint_file_name(kept.slot), run_file_name(*run), span] {
        let storage = node.storage.duplicate();
        storage.rot(&name, 0..128, |bytes| {
            bytes[4..6].copy_from_slice(&2u16.to_le_bytes());
            let seed = xxh3_64(&bytes[..120]);
            bytes[120..128].copy_from_slice(&seed.to_le_bytes());
        });
        let identity = identity_of(1);
        let inspected = checkpoint::inspect(&storage, &identity, ShardId(0), &Released::default());
        for error in [refusal(&storage, OLD), inspected.expect_err("it is not known")] {
            let is_it = matches!(
                &error,
                OpenError::FutureVersion { file, found: 2, known: 1 } if *file == name
            );
            assert!(is_it, "{error}");
        }
        assert!(storage.list().expect("a list").contains(&name));
    }
}

/// C29: what a peer of a newer program sends of its state is no damage: it is not installed, nothing ends,
/// and it stays for the program that knows it.
#[test]
fn c29_a_state_of_a_later_level_is_not_installed() {
    let node = filled(NEW, OFTEN);
    let kept = node.shard.checkpoints().last().expect("there are two");
    let (slot, journal, place) = (kept.slot, kept.journal, InstallPlace::STATE);
    let owner = checkpoint::owner(&identity_of(1), ShardId(0));
    let read = InstallJob::Read { to: NodeId(2), owner, slot, place, runs: RunSet::default() };
    let read = execute(&node.storage, read).expect("nothing fails here");
    let InstallDone::Read { chunk: Ok((bytes, true)), .. } = read else { panic!("{read:?}") };

    let storage = MemStorage::new();
    let append = InstallJob::Append { slot, place, number: 0, bytes, min_free_bytes: 0 };
    let appended = execute(&storage, append).expect("nothing fails here");
    assert!(matches!(appended, InstallDone::Appended(..)), "{appended:?}");
    let plan = BuildPlan {
        installed: SlotRanges::default(),
        owner,
        shards: 1,
        known: OLD,
        slot,
        digests: Vec::new(),
        run: RunId(1),
        journal,
        absent: SlotRanges::default(),
        released: Released::default(),
        min_free_bytes: 0,
    };
    let built = execute(&storage, InstallJob::Build(Box::new(plan))).expect("nothing fails here");
    let InstallDone::Failed { why, is_useless: false } = &built else { panic!("{built:?}") };
    assert!(why.contains("it has format level 2, this node knows 1: it needs an upgrade"), "{why}");
    let looked = execute(&storage, InstallJob::Look { slot, anew: false });
    let InstallDone::Looked(received) = looked.expect("nothing fails here") else { panic!() };
    assert_eq!(received.state.0, 1, "what has arrived stays");
}
