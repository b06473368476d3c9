//! The verdict itself is tried: histories with planted faults, each of which it must find.

use crate::rig::history::{Attempt, EntryId, Glimpse, History, Reported};
use crate::rig::verdict::{Contents, Outcome, judge};
use std::collections::BTreeMap;

/// Two writers with five appends each, one after the other, the last of each with three entries,
/// and a read; all is well.
fn sound() -> (History, Contents) {
    let mut history = History::default();
    let mut contents = Contents::new();
    for round in 0..5u32 {
        for writer in 1..=2u16 {
            let count = if round == 4 { 3 } else { 1 };
            let started = contents.len() as u64 * 100;
            let attempt = Attempt {
                log: 0,
                writer,
                numbers: round..round + count,
                started,
                ended: started + 50,
                reported: Reported::At(contents.len() as u64),
            };
            contents.extend(attempt.entries().map(Some));
            history.attempts.push(attempt);
        }
    }
    let next = contents.len() as u64;
    let (started, ended) = (next * 100, next * 100 + 10);
    let entries = contents[4..].to_vec();
    history.glimpses.push(Glimpse { log: 0, started, ended, from: 4, entries, next });
    (history, contents)
}

fn verdict(history: &History, contents: &Contents) -> String {
    let local = BTreeMap::from([(1, contents.clone()), (2, contents.clone())]);
    judge(history, &[Outcome { linearizable: contents.clone(), local }]).join("\n")
}

#[track_caller]
fn expect_fault(history: &History, contents: &Contents, fault: &str) {
    let found = verdict(history, contents);
    assert!(found.contains(fault), "the verdict does not find that {fault:?}; it says:\n{found}");
}

/// What is sound is called sound, unknown outcomes of both kinds included.
#[test]
fn sound_histories_pass() {
    let (mut history, mut contents) = sound();
    assert_eq!(verdict(&history, &contents), "");
    history.attempts[9].reported = Reported::Unknown;
    assert_eq!(verdict(&history, &contents), "");
    contents.truncate(contents.len() - 3);
    history.glimpses.clear();
    assert_eq!(verdict(&history, &contents), "");
    history.attempts[9].reported = Reported::NotExecuted;
    assert_eq!(verdict(&history, &contents), "");
}

/// An acknowledged entry that is gone is found: at the end, in the middle, and where another took
/// its index.
#[test]
fn losses_are_found() {
    let (history, contents) = sound();
    let mut shortened = contents.clone();
    shortened.pop();
    expect_fault(&history, &shortened, "w2-4, acknowledged at 11, is there in part");
    shortened.truncate(9);
    expect_fault(&history, &shortened, "w2-4, acknowledged at 11, is lost");
    let mut closed_up = contents.clone();
    closed_up.remove(2);
    expect_fault(&history, &closed_up, "w1-1, acknowledged at 2, is lost");
    expect_fault(&history, &closed_up, "w2-1, acknowledged at 3, was moved to 2");
    let mut swapped = contents;
    swapped.swap(3, 4);
    expect_fault(&history, &swapped, "w2-1, acknowledged at 3, was moved to 4");
}

/// An entry that stands twice, was never sent, or was refused, is found.
#[test]
fn surplus_is_found() {
    let (mut history, contents) = sound();
    let mut doubled = contents.clone();
    doubled.push(contents[0]);
    expect_fault(&history, &doubled, "w1-0 stands at index 0 and again at 14");
    let mut foreign = contents.clone();
    foreign.push(Some(EntryId { writer: 9, number: 0 }));
    expect_fault(&history, &foreign, "w9-0 at index 14 was never appended");
    foreign[14] = None;
    expect_fault(&history, &foreign, "index 14 holds bytes that nobody appended");
    history.attempts[9].reported = Reported::NotExecuted;
    expect_fault(&history, &contents, "w2-4, not executed as reported to its writer, stands at 11");
}

/// A batch that is there in part, whatever was reported to its writer, is found.
#[test]
fn broken_batches_are_found() {
    let (mut history, mut contents) = sound();
    history.attempts[9].reported = Reported::Unknown;
    history.glimpses.clear();
    contents.pop();
    expect_fault(&history, &contents, "w2-4, at 11, is there in part");
}

/// An order that contradicts time, or one writer's own order, is found.
#[test]
fn wrong_orders_are_found() {
    let (mut history, contents) = sound();
    history.attempts[0].started = 5_000;
    history.attempts[0].ended = 5_050;
    expect_fault(&history, &contents, "w1-0 at 0 was sent after a higher index was reported");
    let (mut history, mut contents) = sound();
    // Sent at the same time, but on one connection, so in an order.
    for attempt in &mut history.attempts {
        (attempt.started, attempt.ended) = (0, 10_000);
    }
    history.glimpses.clear();
    contents.swap(0, 2);
    history.attempts[0].reported = Reported::At(2);
    history.attempts[2].reported = Reported::At(0);
    expect_fault(&history, &contents, "w1-0 at 2 stands behind a later one of w1");
}

/// Reads that are stale, invented, ahead of time or going backwards are found.
#[test]
fn wrong_reads_are_found() {
    let (mut history, contents) = sound();
    history.glimpses[0].next = 8;
    history.glimpses[0].entries.truncate(4);
    expect_fault(&history, &contents, "missed index 13, acknowledged before it began");
    let (mut history, contents) = sound();
    history.glimpses[0].entries[1] = contents[0];
    expect_fault(&history, &contents, "brought other entries than the log holds");
    let (mut history, contents) = sound();
    (history.glimpses[0].started, history.glimpses[0].ended) = (0, 10);
    expect_fault(&history, &contents, "before it was sent");
    let (mut history, contents) = sound();
    history.attempts[9].reported = Reported::Unknown;
    let mut earlier = history.glimpses[0].clone();
    (earlier.started, earlier.ended) = (1_160, 1_170);
    history.glimpses[0].next = 9;
    history.glimpses[0].entries.truncate(5);
    history.glimpses.push(earlier);
    expect_fault(&history, &contents, "missed index 13, read before it began");
}

/// Replicas that differ, in length or content, are found.
#[test]
fn diverged_replicas_are_found() {
    let (history, contents) = sound();
    let mut other = contents.clone();
    other[7] = other[6];
    let short = contents[..10].to_vec();
    let local = BTreeMap::from([(1, contents.clone()), (2, other), (3, short)]);
    let found = judge(&history, &[Outcome { linearizable: contents, local }]).join("\n");
    assert!(found.contains("node 2 differs from the leader at index 7"), "{found}");
    assert!(found.contains("node 3 has 10 entries, the leader 14"), "{found}");
}

/// Entries are distinguished by all of their bytes.
#[test]
fn entries_are_known_by_their_bytes() {
    for number in 0..500 {
        let entry = EntryId { writer: 31, number };
        let mut bytes = entry.bytes();
        assert_eq!(EntryId::of_bytes(&bytes), Some(entry));
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        assert_eq!(EntryId::of_bytes(&bytes), None);
        bytes.pop();
        assert_eq!(EntryId::of_bytes(&bytes), None);
    }
}
