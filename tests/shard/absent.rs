//! Peers that leave out what a node lacks: the index of the node says what there must be (C29).

use crate::install::{END, Story, WHILE_US, check_all};
use paxosd::limits::ABSENT_RETRY_US;
use paxosd::types::Value;
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
