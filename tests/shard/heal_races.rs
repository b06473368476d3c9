//! Stories about heals beside which something else goes on, or goes wrong (C31, C32).

use crate::heal::{SEEN_US, Story, WHILE_US, shift_by_one};
use crate::node::{code, log};
use paxosd::api::error::ErrorCode;
use paxosd::api::{Request, Trim};
use paxosd::checkpoint::install::{HealStep, InstallJob};
use paxosd::checkpoint::{HealNote, HealStage, checkpoint_file_name};
use paxosd::limits::INSTALL_RETRY_US;
use paxosd::paxos::{Doubt, Timing};
use paxosd::shard::DiskJob;
use paxosd::storage::{MemStorage, Storage};
use paxosd::types::{FormatLevel, Index, NodeId, Slot, Tick};
use paxosd::wire::peer::{Digest, Message};
use std::cell::RefCell;
use std::rc::Rc;

/// C32: a node that began from its newest checkpoint has read no journal before that: from an older one of a peer it
/// could not start. It asks for none of it, and waits for a newer one.
#[test]
fn c32_no_checkpoint_is_installed_that_the_journal_cannot_start_from() {
    let mut story = Story::begin();
    let bad = story.bad;
    shift_by_one(&mut story);
    story.trio.tap(move |_, to, message| to != bad || !matches!(message, Message::InstallChunk(_)));
    story.trio.pass(WHILE_US);
    story.trio.cut_off(bad);
    story.trio.restart(bad, (Timing::default(), FormatLevel::KNOWN));
    assert_eq!(story.doubt(), Some(Doubt::Fenced));
    let began = story.trio.members[bad].shard.checkpoints().last().expect("some are kept").slot;
    // Peers say that theirs is older; and nothing yet says from where on the state differs.
    let asked = Rc::new(RefCell::new((0, 0)));
    let counted = Rc::clone(&asked);
    story.trio.tap(move |from, to, message| {
        match message {
            Message::Heartbeat(heartbeat) if to == bad => heartbeat.digest = None,
            Message::Announce(announce) if to == bad => announce.digest = None,
            Message::InstallChunk(chunk) if to == bad && chunk.slot == Slot(0) => {
                chunk.newest = began.prev();
                counted.borrow_mut().0 += 1;
            }
            Message::InstallFetch(fetch) if from == bad && fetch.slot == began.prev() => {
                counted.borrow_mut().1 += 1;
            }
            _ => {}
        }
        true
    });
    story.trio.heal(bad);
    story.trio.pass(WHILE_US);
    let (answers, asked) = *asked.borrow();
    assert!(answers >= 2, "the peers were asked what they have");
    assert_eq!(asked, 0, "what is before slot {began} is of no use");
    story.trio.tap(|_, _, _| true);
    story.trio.pass(2 * WHILE_US);
    assert_eq!(story.heals(), 1);
    story.check_healed();
}

/// What a story knows while a node hears only such digests as are let through.
#[derive(Default)]
struct Heard {
    /// A heartbeat of the leader behind the slot that differs.
    kept: Option<(Digest, Vec<NodeId>)>,
    /// The slot behind which the state is another.
    since: Slot,
    speaks: bool,
    /// Peers say that their newest checkpoint is this.
    newest: Option<Slot>,
}

/// Memory of a node fails, and it hears of that only once it has two checkpoints of the wrong state: what it hears
/// then is a digest of the time before them.
fn differs_unseen(story: &mut Story) -> Rc<RefCell<Heard>> {
    let bad = story.bad;
    let since = story.trio.members[bad].shard.applied_upto();
    let heard = Rc::new(RefCell::new(Heard { since, ..Heard::default() }));
    assert!(story.trio.members[bad].shard.spoil_state());
    let known = Rc::clone(&heard);
    story.trio.tap(move |from, to, message| {
        let mut heard = known.borrow_mut();
        match message {
            Message::Heartbeat(heartbeat) if to == bad => {
                let digest = heartbeat.digest.take();
                let fits = |digest: &Digest| digest.slot > heard.since;
                if heard.kept.is_none() && heartbeat.agreeing.len() == 2 {
                    heard.kept = digest.filter(fits).map(|d| (d, heartbeat.agreeing.clone()));
                }
                if let (true, Some((digest, agreeing))) = (heard.speaks, heard.kept.clone()) {
                    (heartbeat.digest, heartbeat.agreeing) = (Some(digest), agreeing);
                }
            }
            Message::Grant(grant) if from == bad => grant.digest = None,
            Message::Announce(announce) if from == bad => announce.digest = None,
            Message::InstallChunk(chunk) if to == bad && chunk.slot == Slot(0) => {
                chunk.newest = heard.newest.unwrap_or(chunk.newest);
            }
            _ => {}
        }
        true
    });
    story.put(1);
    story.trio.pass(SEEN_US);
    assert!(heard.borrow().kept.is_some(), "a digest of the leader was heard");
    heard
}

/// C32: what is written down behind an install names checkpoints of the wrong state, which go first. Where the disk
/// has no space for it, it is tried again a while later: a checkpoint of the right state that was taken meanwhile, at
/// the slot of a wrong one, stays.
#[test]
fn c32_a_note_that_waited_for_space_removes_no_new_checkpoint() {
    let mut story = Story::begin();
    let bad = story.bad;
    let heard = differs_unseen(&mut story);
    story.put(25);
    let slots = |story: &Story, at: usize| -> Vec<Slot> {
        story.trio.members[at].shard.checkpoints().iter().map(|kept| kept.slot).collect()
    };
    let wrong = slots(&story, bad);
    assert_eq!(slots(&story, story.leader), wrong, "all have checkpoints at the same slots");
    let [older, newest] = wrong[..] else { panic!("two are kept: {wrong:?}") };
    assert!(heard.borrow().since < older);
    // The disk is full when the install is written down for the first time.
    let notes: Rc<RefCell<Vec<Vec<String>>>> = Rc::default();
    let noted = Rc::clone(&notes);
    story.trio.watch_jobs(move |at, job, storage| {
        if at != bad {
            return;
        }
        let mut is_full = false;
        if let DiskJob::Install(InstallJob::Heal(HealStep::Note { note, remove, .. })) = job
            && matches!(note, HealNote { stage: HealStage::Installed, .. })
        {
            noted.borrow_mut().push(remove.clone());
            is_full = noted.borrow().len() == 1;
            if is_full {
                // They go, and somebody else takes the space that they leave.
                remove.iter().for_each(|name| storage.remove(name).expect("it is there"));
                storage.sync_dir().expect("no step fails here");
            }
        }
        storage.set_free_bytes(if is_full { 0 } else { 1 << 40 });
    });
    (heard.borrow_mut().speaks, heard.borrow_mut().newest) = (true, Some(older));
    let mut waited = 0;
    while notes.borrow().len() < 2 {
        story.trio.pass(1_000);
        waited += 1_000;
        assert!(waited < WHILE_US, "{:?}, {:?}", notes.borrow(), story.doubt());
    }
    assert!(waited >= INSTALL_RETRY_US);
    let again = checkpoint_file_name(newest);
    assert!(notes.borrow()[0].contains(&again), "that of the wrong state went");
    assert!(slots(&story, bad).contains(&newest), "it was taken again: {:?}", slots(&story, bad));
    assert!(!notes.borrow()[1].contains(&again), "{:?}", notes.borrow()[1]);
    for slot in slots(&story, bad) {
        let len = story.trio.storage(bad).len(&checkpoint_file_name(slot));
        assert!(len.is_ok(), "the checkpoint at {slot} is kept, and gone");
    }
    story.trio.tap(|_, _, _| true);
    story.trio.pass(WHILE_US);
    assert_eq!(story.heals(), 1);
    story.check_healed();
}

/// C31: a lookup that was under way when a damaged index was replaced finds the damage of a run that is none of the
/// index any more. That is no reason to replace the new one.
#[test]
fn c31_damage_of_a_run_that_was_replaced_is_no_damage() {
    let mut story = Story::begin();
    let at = story.leader;
    let storage = story.trio.storage(at).clone();
    rot_runs(&storage);
    let trim = |before| Request::Trim(Trim { log: log("a"), before: Index(before) });
    // A second trim looks up while the damage that the first one met has the index replaced.
    story.trio.members[at].hold_reads = true;
    for before in [3, 4] {
        story.trio.send(at, trim(before));
    }
    let installs = |story: &Story| story.trio.members[at].shard.tally().installs.0;
    story.trio.release_one(at);
    story.trio.pass(WHILE_US);
    assert_eq!(installs(&story), 1, "the index was replaced");
    story.trio.release(at);
    story.trio.pass(WHILE_US);
    assert_eq!(installs(&story), 1, "once");
    assert_eq!(story.trio.members[at].shard.absent_slots(), 0);
}

/// C31: a node whose index is damaged takes no checkpoint of its own while it fetches that of a peer: a newer one would
/// make that one too old, again and again where clients append all along.
#[test]
fn c31_a_node_that_repairs_its_index_takes_no_checkpoint_of_its_own() {
    let mut story = Story::begin();
    let bad = story.bad;
    let storage = story.trio.storage(bad).clone();
    rot_runs(&storage);
    story.trio.tap(move |_, to, message| {
        !(to == bad && matches!(message, Message::InstallChunk(chunk) if chunk.place.is_some()))
    });
    let refused = story.read(0);
    assert_eq!(code(&refused), Some(ErrorCode::Damaged), "{refused:?}");
    story.trio.pass(SEEN_US);
    let taken = |story: &Story| story.trio.members[bad].shard.tally().checkpoints.taken;
    let before = taken(&story);
    assert!(story.trio.members[bad].shard.shard_status(Tick(0)).installing.is_some());
    story.put(25);
    assert_eq!(taken(&story), before);
    story.trio.tap(|_, _, _| true);
    story.trio.pass(2 * WHILE_US);
    assert_eq!(story.trio.members[bad].shard.tally().installs.0, 1);
    story.check_healed();
}

/// C24, C31: a node leaves its checkpoint for that of a peer while a step is under way, and then the peer is gone. What
/// comes of that step is not taken for one of the next checkpoint, whichever step it is: that would be one without the
/// extents that it stands for.
#[test]
fn c31_a_step_of_a_checkpoint_that_was_left_is_none_of_the_next() {
    for steps in 0..5 {
        let mut story = Story::begin();
        let (bad, leader) = (story.bad, story.leader);
        let third = 3 - bad - leader;
        let taken = |story: &Story| story.trio.members[bad].shard.tally().checkpoints.taken;
        let left = |story: &Story| story.trio.members[bad].shard.tally().checkpoints.abandoned;
        story.trio.members[bad].hold_checkpoints = true;
        story.put(10);
        (0..steps).for_each(|_| story.trio.release_one(bad));
        let before = (taken(&story), left(&story));
        rot_runs(&story.trio.storage(bad).clone());
        // The leader has no checkpoint to offer.
        story.trio.tap(move |from, to, message| {
            !(from == leader && to == bad && matches!(message, Message::InstallChunk(_)))
        });
        let refused = story.read(0);
        assert_eq!(code(&refused), Some(ErrorCode::Damaged), "{refused:?}");
        let mut waited = 0;
        while left(&story) == before.1 {
            story.trio.pass(1_000);
            waited += 1_000;
            assert!(waited < WHILE_US, "step {steps}: it waits for the peer's");
        }
        story.trio.cut_off(third);
        story.trio.pass(SEEN_US);
        story.put(15); // A cut, and what follows it.
        story.trio.members[bad].hold_checkpoints = false;
        story.trio.release(bad);
        story.put(25);
        assert!(taken(&story) > before.0, "step {steps}: it takes its own again");
        story.trio.tap(|_, _, _| true);
        story.trio.heal(third);
        story.trio.pass(2 * WHILE_US);
        story.check_healed();
    }
}

/// Every run of a node's index rots.
fn rot_runs(storage: &MemStorage) {
    let names = storage.list().expect("a list").into_iter();
    let runs: Vec<String> = names.filter(|name| name.starts_with("run-")).collect();
    assert!(!runs.is_empty(), "extents have left memory");
    for run in &runs {
        let end = storage.len(run).expect("its length");
        storage.rot(run, 4096..end.min(4096 + 64), |bytes| bytes.fill(0x5a));
    }
}
