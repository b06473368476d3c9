//! Peers that leave out what a node lacks: the index of the node says what there must be (C29).

use crate::heal;
use crate::install::{END, Story, WHILE_US, check_all};
use crate::node::{code, texts};
use crate::stored_text::{copies, flip};
use paxosd::api::error::ErrorCode;
use paxosd::limits::ABSENT_RETRY_US;
use paxosd::shard::Input;
use paxosd::types::{Ballot, Value};
use paxosd::wire::peer::{Message, ValuesChunk};
use std::cell::RefCell;
use std::rc::Rc;

/// A story in which the node that was away is there again, and one or both of the others answer for absent values
/// with less than there is; how many answers were spoilt, and how many were not.
fn lied_to(
    both: bool,
    spoil: impl Fn(&mut ValuesChunk) + 'static,
) -> (Story, Rc<RefCell<[u32; 2]>>) {
    let mut story = Story::begin(0);
    let (away, answers) = (story.away, Rc::new(RefCell::new([0, 0])));
    let (counted, mut first) = (Rc::clone(&answers), None);
    story.trio.tap(move |from, _, message| {
        let Message::ValuesChunk(chunk) = message else { return true };
        if chunk.values.is_empty() {
            return true;
        }
        let lies = both || from == *first.get_or_insert(from);
        counted.borrow_mut()[usize::from(!lies)] += 1;
        if lies {
            spoil(chunk);
        }
        true
    });
    story.trio.heal(away);
    story.trio.pass(WHILE_US);
    (story, answers)
}

fn absent(story: &Story) -> u64 {
    story.trio.members[story.away].shard.absent_slots()
}

/// C29: a peer that leaves out the values of slots with live entries is noticed by the rows of these slots, before
/// anybody asks for an entry; another peer gives them.
#[test]
fn c29_what_a_peer_leaves_out_comes_from_another() {
    let (mut story, answers) = lied_to(false, |chunk| chunk.values.clear());
    let [spoilt, right] = *answers.borrow();
    assert!(spoilt > 0 && right > 0, "{spoilt} answers were spoilt, {right} were not");
    assert_eq!(absent(&story), 0);
    check_all(&mut story.trio, END + 60);
}

/// C29: a value that lacks the log of a live row is no value for that slot, though all that is in it is right: here
/// nothing is.
#[test]
fn c29_a_value_without_a_live_log_is_not_enough() {
    let (mut story, answers) = lied_to(false, |chunk| {
        chunk.values.iter_mut().for_each(|(_, _, value)| *value = Value::new(Vec::new()));
    });
    let [spoilt, right] = *answers.borrow();
    assert!(spoilt > 0 && right > 0, "{spoilt} answers were spoilt, {right} were not");
    assert_eq!(absent(&story), 0);
    check_all(&mut story.trio, END + 60);
}

/// C29: where all peers leave a value out it stays absent, and all are asked again after a while.
#[test]
fn c29_what_all_peers_leave_out_stays_absent() {
    let (mut story, answers) = lied_to(true, |chunk| chunk.values.clear());
    assert!(absent(&story) > 0);
    let before = answers.borrow()[0];
    story.trio.pass(3 * ABSENT_RETRY_US);
    assert!(answers.borrow()[0] > before, "they are asked again");
    story.trio.tap(|_, _, _| true);
    story.trio.pass(WHILE_US);
    assert_eq!(absent(&story), 0);
    check_all(&mut story.trio, END + 60);
}

/// C29: a node stands still for a minute while it looks for the rows of slots. That minute is not what the look took:
/// the next one, by which the values that have come by then count as complete, does not wait nine times as long.
#[test]
fn c29_a_pause_does_not_put_off_the_next_look() {
    let (mut story, _) = lied_to(true, |chunk| chunk.values.clear());
    assert!(absent(&story) > 0);
    let away = story.away;
    story.trio.members[away].hold = true;
    story.trio.pass(2 * ABSENT_RETRY_US);
    story.trio.tap(|_, _, _| true);
    story.trio.pass(60_000_000);
    story.trio.input(away, Input::Resumed);
    story.trio.release(away);
    story.trio.pass(WHILE_US);
    assert_eq!(absent(&story), 0);
    check_all(&mut story.trio, END + 60);
}

/// C29, C10: a record rots that was written down in a higher ballot than the one in which a peer has the value, for it was
/// proposed again there. What is fetched takes the place of the rotten record all the same, once and for all.
#[test]
fn c29_what_is_fetched_replaces_a_damaged_record_of_a_higher_ballot() {
    let mut story = heal::Story::begin();
    let (at, leader) = (story.bad, story.leader);
    let higher = story.trio.members[leader].shard.replica().promised();
    let lower = Ballot { round: higher.round - 1, ..higher };
    let storage = story.trio.storage(at);
    flip(storage, copies(storage, "000003").first().expect("a segment holds it"), 0);
    let fetched = |story: &heal::Story| story.trio.members[at].shard.tally().fetched_values;
    story.trio.tap(move |_, to, message| {
        if let (Message::ValuesChunk(chunk), true) = (message, to == at) {
            chunk.values.iter_mut().for_each(|(_, ballot, _)| *ballot = lower);
        }
        true
    });
    let refused = story.read(3);
    assert_eq!(code(&refused), Some(ErrorCode::NotReady), "{refused:?}");
    story.trio.pass(WHILE_US);
    assert_eq!((fetched(&story), story.trio.members[at].shard.absent_slots()), (1, 0));
    for _ in 0..2 {
        assert_eq!(texts(Some(story.read(3)))[0], "000003");
        story.trio.pass(WHILE_US);
    }
    assert_eq!(fetched(&story), 1);
}
