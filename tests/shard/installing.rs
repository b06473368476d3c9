//! How an install goes on beside everything else: what is shown of it, what it leaves to clients and to the
//! disk, and who leads meanwhile.

use crate::install::{END, LOGS, Story, WHILE_US, check_all, put, watch};
use paxosd::api::status::InstallPhase;
use paxosd::checkpoint::install::{InstallDone, InstallJob, execute, part_file_names};
use paxosd::limits::{INSTALL_REST_US_MAX, INSTALL_UNSYNCED_ANSWERS, LEARN_BYTES_MAX};
use paxosd::shard::Input;
use paxosd::storage::{MemStorage, Storage};
use paxosd::types::{InstallPlace, Slot, Tick};
use paxosd::wire::peer::{InstallChunk, Message};
use std::cell::RefCell;
use std::rc::Rc;

/// About so many bytes an entry of `put` has.
const ENTRY_BYTES: u64 = 3_000;

/// C29: status says of which peer the checkpoint is, which part arrives, how much of it is here and of how much;
/// after a restart it goes on from there, and in the end it says what was fetched.
#[test]
fn c29_progress_is_reported() {
    let mut story = Story::begin(LOGS);
    let away = story.away;
    let reported = |story: &Story| story.trio.members[away].shard.shard_status(Tick(0));
    assert_eq!(reported(&story).installing, None);
    let chunks = watch(&mut story.trio, away, 1);
    story.trio.heal(away);
    story.trio.pass(1_000_000);
    let (first, slot) = (reported(&story).installing.expect("it installs"), chunks.borrow().slot);
    assert_eq!((first.slot, first.phase), (slot, InstallPhase::State));
    assert!(0 < first.bytes && first.bytes < first.part_bytes, "{first:?}");
    let sources = chunks.borrow().arrived.iter().map(|(from, _)| *from).collect::<Vec<_>>();
    assert!(!sources.contains(&away), "{sources:?}");
    assert_ne!(usize::from(first.source.0), away + 1);
    // One more chunk ends the state, and the extents are next.
    let extents = Rc::new(RefCell::new(0));
    let counted = Rc::clone(&extents);
    story.trio.tap(move |_, _, message| {
        let is_chunk =
            |chunk: &InstallChunk| matches!(chunk.place, Some(InstallPlace::Extents(..)));
        let stops = matches!(message, Message::InstallChunk(chunk) if is_chunk(chunk));
        *counted.borrow_mut() += usize::from(stops);
        !stops
    });
    story.trio.pass(1_000_000);
    assert!(*extents.borrow() > 0);
    let then = reported(&story).installing.expect("it installs");
    assert_eq!((then.slot, then.phase, then.bytes), (slot, InstallPhase::Extents, 0));
    story.trio.tap(|_, _, _| true);
    story.trio.pass(WHILE_US);
    let done = reported(&story);
    assert_eq!((done.installing, done.absent_slots), (None, 0));
    assert!(done.fetched_values > 0, "{done:?}");
}

/// C29: a leader hands over to a member that has all live entries, though another one would be fitter but for
/// those that it lacks; that one takes part in everything.
#[test]
fn c29_leadership_goes_to_a_complete_member() {
    let Story { mut trio, away, leader, other } = Story::begin(0);
    let called = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&called);
    trio.tap(move |_, to, message| {
        if matches!(message, Message::HandOver(_)) {
            seen.borrow_mut().push(to);
        }
        // Nothing that is absent arrives, and the complete member is a slot behind.
        let is_last = matches!(message, Message::Accept(_) | Message::Learned(_)) && to == other;
        let is_lost = is_last && seen.borrow().is_empty();
        !(is_lost || matches!(message, Message::ValuesChunk(_)))
    });
    trio.heal(away);
    trio.pass(WHILE_US);
    put(&mut trio, leader, "a", END + 60..END + 61);
    trio.pass(200_000);
    let shard = &trio.members[away].shard;
    assert!(shard.absent_slots() > 0 && shard.installed_upto() > Slot(0));
    assert!(shard.applied_upto() > trio.members[other].shard.applied_upto());
    trio.input(leader, Input::HandOver);
    assert_eq!(*called.borrow(), [other]);
    trio.pass(WHILE_US);
    assert_eq!(trio.leader(), other);
    trio.tap(|_, _, _| true);
    trio.pass(WHILE_US);
    assert_eq!(trio.members[away].shard.absent_slots(), 0);
    check_all(&mut trio, END + 61);
}

/// C29: without space for what arrives, less `min_free_bytes`, nothing is written, and what has arrived stays.
#[test]
fn c29_what_arrives_leaves_the_free_space_alone() {
    let (storage, slot, place) = (MemStorage::new(), Slot(9), InstallPlace::STATE);
    storage.set_free_bytes(10_000);
    let append = |number, min_free_bytes| {
        let bytes = vec![7; 4_000];
        let place = InstallPlace::State(4_000 * u64::from(number));
        let append = InstallJob::Append { slot, place, number, bytes, min_free_bytes };
        execute(&storage, append).expect("nothing fails here")
    };
    let appended = append(0, 6_000);
    assert!(matches!(appended, InstallDone::Appended(InstallPlace::State(4_000), 4_000)));
    let refused = append(1, 6_001);
    let InstallDone::Failed { why, is_useless: false } = &refused else { panic!("{refused:?}") };
    assert!(why.contains("bytes free, needed are 10001"), "{why}");
    let looked = execute(&storage, InstallJob::Look { slot, anew: false });
    let InstallDone::Looked(received) = looked.expect("nothing fails here") else { panic!() };
    assert_eq!(received.state, (1, InstallPlace::State(4_000)), "{place:?}");
}

/// C29: of a frame that a crash cut off nothing stays: what arrives next stands in its place.
#[test]
fn c29_what_a_crash_cut_off_goes() {
    let (storage, slot) = (MemStorage::new(), Slot(9));
    let append = |number: u32| {
        let (bytes, place) = (vec![7; 4_000], InstallPlace::State(4_000 * u64::from(number)));
        let append = InstallJob::Append { slot, place, number, bytes, min_free_bytes: 0 };
        execute(&storage, append).expect("nothing fails here");
    };
    let state = || {
        let looked = execute(&storage, InstallJob::Look { slot, anew: false });
        let InstallDone::Looked(received) = looked.expect("nothing fails here") else { panic!() };
        received.state
    };
    (0..2).for_each(append);
    let [name, _] = part_file_names(slot);
    storage.truncate(&name, storage.len(&name).expect("it is there") - 1);
    assert_eq!(state(), (1, InstallPlace::State(4_000)));
    append(1);
    assert_eq!(state(), (2, InstallPlace::State(8_000)));
}

/// C29: while clients append, the next part of a checkpoint is asked for only after a pause as long as the last one
/// took; without them at once.
#[test]
fn c29_an_install_leaves_clients_their_share() {
    for appends in [true, false] {
        let mut story = Story::begin(LOGS);
        let (away, leader) = (story.away, story.leader);
        let chunks = watch(&mut story.trio, away, 1);
        story.trio.heal(away);
        story.trio.pass(2_000_000);
        // The disk takes what arrives next, but not at once.
        story.trio.members[away].hold = true;
        chunks.borrow_mut().most = 2;
        for _ in 0..200 {
            if chunks.borrow().arrived.len() < 2 {
                story.trio.pass(100_000);
            }
        }
        assert_eq!(chunks.borrow().arrived.len(), 2);
        if appends {
            put(&mut story.trio, leader, "a", END + 60..END + 70);
        }
        story.trio.pass(200_000);
        let asked = chunks.borrow().asked.len();
        story.trio.release(away);
        let at_once = chunks.borrow().asked.len() > asked;
        assert_eq!(at_once, !appends);
        story.trio.pass(INSTALL_REST_US_MAX + 100_000);
        assert!(chunks.borrow().asked.len() > asked, "it goes on after the pause");
    }
}

/// C29: while clients append, few answers with absent values wait for the disk: all that does lies in front of the next
/// batch of appends, in the journals of other nodes, too, where they share the disk.
#[test]
fn c29_few_answers_wait_for_the_disk_of_a_node_that_installs() {
    let mut story = Story::begin(0);
    let (leader, away) = (story.leader, story.away);
    // Nine answers full of entries, all of them live.
    let end = END + 60 + 9 * LEARN_BYTES_MAX as u64 / ENTRY_BYTES;
    put(&mut story.trio, leader, "a", END + 60..end);
    story.trio.pass(2_000_000);
    let append = |story: &mut Story, entries: std::ops::Range<u64>| {
        for number in entries {
            put(&mut story.trio, leader, "a", number..number + 1);
            story.trio.pass(20_000);
        }
    };
    // No value arrives before it has seen that clients append, and its batches are held back.
    story.trio.tap(|_, _, message| !matches!(message, Message::ValuesChunk(_)));
    story.trio.heal(away);
    story.trio.pass(1_000_000);
    append(&mut story, end..end + 50);
    assert!(story.installed() > Slot(0));
    story.trio.members[away].hold_batches = true;
    let asked = Rc::new(RefCell::new(0));
    let counted = Rc::clone(&asked);
    story.trio.tap(move |_, _, message| {
        *counted.borrow_mut() += usize::from(matches!(message, Message::ValuesFetch(_)));
        true
    });
    append(&mut story, end + 50..end + 350);
    let waiting = *asked.borrow();
    assert!(waiting <= INSTALL_UNSYNCED_ANSWERS + 2, "{waiting} answers wait for the disk");
    assert!(waiting >= INSTALL_UNSYNCED_ANSWERS, "{waiting} answers only");
    story.trio.release(away);
    story.trio.pass(WHILE_US);
    assert_eq!(story.trio.members[away].shard.absent_slots(), 0);
}
