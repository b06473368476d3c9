//! Full disks and checkpoints: one of a peer is the way out of a node that is behind, and one that is kept for a
//! peer is none of the ways in (R11, C29).

use crate::install::{END, Story, WHILE_US, put};
use crate::node::create;
use crate::trio_rig::Trio;
use paxosd::limits::{CHECKPOINTS_KEPT, INSTALL_KEEP_SHORT_US, RELIEF_AFTER_US};
use paxosd::paxos::Timing;
use paxosd::shard::CutOptions;
use paxosd::types::{Slot, Tick};
use paxosd::wire::peer::Message;

/// A cut every five hundred slots: more than a full disk can learn.
const SELDOM: CutOptions =
    CutOptions { bytes: 1 << 30, slots: 500, extents: 1 << 20, idle_us: 1 << 40, gap_us: 0 };
/// Space for a checkpoint, and not for a segment.
const LITTLE: u64 = 700_000;
/// Entries of three kilobytes: far more than the segments that a node has in stock.
const MANY: u64 = 3_000;

/// R11: a node comes back to a full disk, and its peers still have all that it lacks. It cannot learn as far as the
/// next cut, so that nothing of its journal could go whatever was trimmed: after a while it takes over a peer's
/// checkpoint.
#[test]
fn r11_a_full_node_that_is_behind_installs_a_checkpoint() {
    let mut trio = Trio::with_cuts(Timing::default(), SELDOM);
    let leader = trio.leader();
    let away = (leader + 1) % 3;
    trio.ask(leader, create("a"));
    put(&mut trio, leader, "a", 0..600);
    trio.pass(2_000_000);
    trio.cut_off(away);
    // All of it is live: the others keep it.
    put(&mut trio, leader, "a", 600..MANY);
    trio.pass(2_000_000);
    trio.storage(away).set_free_bytes(LITTLE);
    trio.heal(away);
    trio.pass(RELIEF_AFTER_US / 2);
    let shard = |trio: &Trio| trio.members[away].shard.installed_upto();
    let member = &trio.members[away].shard;
    assert!(member.replica().lacks_room_to_learn(), "applied up to {}", member.applied_upto());
    assert_eq!(shard(&trio), Slot(0), "space may come back by itself");
    trio.pass(RELIEF_AFTER_US + WHILE_US);
    assert!(shard(&trio) > Slot(0), "it stays behind for ever");
    let member = &trio.members[away].shard;
    assert!(member.replica().is_confirmed(shard(&trio)), "what was installed counts as shared");
    let upto = [leader, away].map(|at| trio.members[at].shard.applied_upto());
    assert!(upto[1] >= shard(&trio), "{upto:?}");
}

/// C29: a checkpoint that a peer has installed stays while that peer lacks entries, and with it the journal behind it;
/// where the disk is full, for some seconds only. Otherwise nothing that was trimmed since would go for ten minutes.
#[test]
fn c29_a_full_disk_keeps_no_checkpoint_for_a_peer() {
    let mut story = Story::begin(0);
    let (leader, away) = (story.leader, story.away);
    story.trio.tap(|_, _, message| !matches!(message, Message::ValuesChunk(_)));
    story.trio.heal(away);
    story.trio.pass(WHILE_US);
    assert!(story.installed() > Slot(0));
    assert!(story.trio.members[away].shard.absent_slots() > 0);
    for round in 1..5 {
        put(&mut story.trio, leader, "a", END + 60 * round..END + 60 * (round + 1));
        story.trio.pass(1_100_000);
    }
    let kept = |story: &Story, at: usize| story.trio.members[at].shard.checkpoints().len();
    let source = (0..3).find(|at| kept(&story, *at) > CHECKPOINTS_KEPT);
    let source = source.expect("the source keeps the one that was installed");
    assert!(source != leader && source != away, "node {source} goes on to follow");
    story.trio.storage(source).set_free_bytes(0);
    put(&mut story.trio, leader, "a", END + 300..END + 1_500);
    story.trio.pass(INSTALL_KEEP_SHORT_US + 2_000_000);
    assert!(!story.trio.members[source].shard.shard_status(Tick(0)).has_room);
    assert_eq!(kept(&story, source), CHECKPOINTS_KEPT);
}
