//! How long a node keeps the checkpoint that a peer takes over, and the journal behind it: as long as that peer needs
//! them, and no longer, for nothing of the journal that was trimmed since goes meanwhile (C29).

use crate::install::{END, Story, WHILE_US, check_log};
use paxosd::limits::{CHECKPOINTS_KEPT, INSTALL_KEEP_US};
use paxosd::types::Slot;
use paxosd::wire::peer::Message;

/// The entries that `more` appends, one round after another.
const ROUND: u64 = 120;
const ROUNDS: u64 = 4;
/// Longer than until it is decided again what goes.
const AGAIN_US: u64 = 2_000_000;

/// A node that was away takes over a checkpoint, and does not hear these messages of others.
fn installs_without(mut is_lost: impl FnMut(&Message) -> bool + 'static) -> Story {
    let mut story = Story::begin(0);
    let away = story.away;
    story.trio.tap(move |_, to, message| to != away || !is_lost(message));
    story.trio.heal(away);
    story.trio.pass(WHILE_US);
    assert!(story.installed() > Slot(0), "nothing was installed");
    story
}

/// Appends and trims, so that checkpoints are taken and more of the journal could go each time.
fn more(story: &mut Story) {
    for round in 0..ROUNDS {
        let from = END + 60 + ROUND * round;
        story.go_on(from..from + ROUND);
    }
    story.trio.pass(AGAIN_US);
}

/// Nodes that keep a checkpoint for a peer.
fn sources(story: &Story) -> Vec<usize> {
    let keeps = |at: &usize| story.trio.members[*at].shard.checkpoints().len() > CHECKPOINTS_KEPT;
    (0..3).filter(keeps).collect()
}

/// Nobody keeps what was installed any more, and all released what came behind it, too.
fn check_released(story: &Story, installed: Slot) {
    assert_eq!(sources(story), Vec::<usize>::new());
    for at in [story.leader, story.other] {
        let upto = story.trio.members[at].shard.journal().released_upto();
        let least = installed.plus(ROUND);
        assert!(upto > least, "node {at} released up to {upto}, installed was {installed}");
    }
}

/// C29: once the peer has all, the checkpoint goes, and with it the journal behind it.
#[test]
fn c29_what_was_installed_goes_once_the_peer_has_caught_up() {
    let mut story = installs_without(|_| false);
    let installed = story.installed();
    more(&mut story);
    check_released(&story, installed);
}

/// C29: the peer has the checkpoint, and hears nothing of what came behind it: that stays until it does.
#[test]
fn c29_the_journal_behind_it_stays_until_the_peer_has_learned_it() {
    let mut installs = false;
    let mut story = installs_without(move |message| {
        installs |= matches!(message, Message::InstallChunk(_));
        installs && matches!(message, Message::Learned(learned) if !learned.values.is_empty())
    });
    let (installed, away) = (story.installed(), story.away);
    more(&mut story);
    let has = |at: &usize| story.trio.members[*at].shard.checkpoints()[0].slot == installed;
    let source = sources(&story).into_iter().find(has).expect("the source keeps it");
    let upto = story.trio.members[source].shard.journal().released_upto();
    assert!(upto <= installed, "released up to {upto}, installed was {installed}");
    story.trio.tap(|_, _, _| true);
    story.trio.pass(WHILE_US);
    check_released(&story, installed);
    let end = END + 60 + ROUND * ROUNDS;
    check_log(&mut story.trio, away, "a", (end, end));
}

/// C29: a peer that never has all of it keeps the disk of its source for ten minutes, and no longer.
#[test]
fn c29_nothing_stays_for_ever() {
    let mut story = installs_without(|message| matches!(message, Message::ValuesChunk(_)));
    let installed = story.installed();
    more(&mut story);
    assert!(story.trio.members[story.away].shard.absent_slots() > 0);
    assert_eq!(sources(&story).len(), 1, "the source keeps it");
    story.trio.pass(INSTALL_KEEP_US);
    assert!(story.trio.members[story.away].shard.absent_slots() > 0);
    check_released(&story, installed);
}
