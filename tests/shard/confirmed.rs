//! Another node confirms each checkpoint before anything is released by it; a node that catches up has to ask for that,
//! for its peers' heartbeats speak of their present state alone (C25).

use crate::install::put;
use crate::node::{create, log};
use crate::trio_rig::Trio;
use paxosd::api::{Request, Trim};
use paxosd::paxos::Timing;
use paxosd::shard::CutOptions;
use paxosd::types::{Index, Slot, Tick};
use paxosd::wire::peer::Message;

/// A cut every fifty slots.
const OFTEN: CutOptions =
    CutOptions { bytes: 1 << 30, slots: 50, extents: 1 << 20, idle_us: 1 << 40, gap_us: 0 };
/// Entries of a round: more than a segment of them.
const ROUND: u64 = 120;

/// Three nodes; one of them hears in no heartbeat what the state of the others is.
struct Story {
    trio: Trio,
    leader: usize,
    late: usize,
    next: u64,
}

impl Story {
    fn begin() -> Story {
        let mut trio = Trio::with_cuts(Timing::default(), OFTEN);
        let leader = trio.leader();
        let late = (leader + 1) % 3;
        trio.ask(leader, create("a"));
        Story { trio, leader, late, next: 0 }
    }

    /// What the late node hears: no digests in heartbeats, and of other messages only these.
    fn hear(&mut self, mut is_heard: impl FnMut(&mut Message) -> bool + 'static) {
        let late = self.late;
        self.trio.tap(move |_, to, message| {
            if to != late {
                return true;
            }
            if let Message::Heartbeat(heartbeat) = message {
                (heartbeat.digest, heartbeat.agreeing) = (None, Vec::new());
            }
            is_heard(message)
        });
    }

    /// Appends and trims, so that checkpoints are taken, and segments could go.
    fn rounds(&mut self, count: u64) {
        for _ in 0..count {
            put(&mut self.trio, self.leader, "a", self.next..self.next + ROUND);
            self.next += ROUND;
            let before = Index(self.next);
            self.trio.ask(self.leader, Request::Trim(Trim { log: log("a"), before }));
            self.trio.pass(1_100_000);
        }
    }

    fn released(&self) -> Slot {
        self.trio.members[self.late].shard.journal().released_upto()
    }

    fn stays(&self) -> String {
        self.trio.members[self.late].shard.shard_status(Tick(0)).kept_for
    }
}

/// C25: a node that hears no digest of a slot that it has applied asks for those of its checkpoints, and releases.
#[test]
fn c25_a_confirmation_is_asked_for() {
    let mut story = Story::begin();
    story.hear(|message| !matches!(message, Message::InstallChunk(_)));
    story.rounds(4);
    let why = story.stays();
    assert_eq!(story.released(), Slot(0), "{why}");
    assert_eq!(why, "no other voter has confirmed the older checkpoint");
    story.hear(|_| true);
    story.rounds(2);
    assert!(story.released() > Slot(4 * ROUND), "{}: {}", story.released(), story.stays());
}

/// C25: the others took newer checkpoints, and have that of the late node no more. They say what their state was all
/// the same.
#[test]
fn c25_a_cut_that_was_left_behind_is_remembered() {
    let mut story = Story::begin();
    story.hear(|message| !matches!(message, Message::InstallChunk(_)));
    story.rounds(4);
    let (late, leader) = (story.late, story.leader);
    let older = story.trio.members[late].shard.checkpoints()[0].slot;
    story.trio.cut_off(late);
    story.rounds(4);
    let kept = story.trio.members[leader].shard.checkpoints();
    assert!(kept.iter().all(|kept| kept.slot > older), "{kept:?}");
    // It comes to no later slot by what it hears.
    story.hear(|message| match message {
        Message::InstallChunk(chunk) => chunk.place.is_none(),
        Message::Heartbeat(_) | Message::Announce(_) => true,
        _ => false,
    });
    story.trio.heal(late);
    story.trio.pass(3_000_000);
    let (released, why) = (story.released(), story.stays());
    assert!(released > Slot(0), "{why}, applied {}", story.trio.members[late].shard.applied_upto());
    assert!(story.trio.members[late].shard.applied_upto() < kept_slot(&story, leader));
}

/// C25: another state at that slot confirms nothing.
#[test]
fn c25_another_digest_confirms_nothing() {
    let mut story = Story::begin();
    story.hear(|message| {
        if let Message::InstallChunk(chunk) = message {
            chunk.digest ^= 1;
        }
        true
    });
    story.rounds(4);
    assert_eq!(story.released(), Slot(0), "{}", story.stays());
}

/// The slot of the oldest checkpoint of a node.
fn kept_slot(story: &Story, at: usize) -> Slot {
    story.trio.members[at].shard.checkpoints()[0].slot
}
