//! Reads of slots whose values were released, or are about to be.

use crate::journal_rig::{Rig, ballot, read};
use crate::rig::*;
use paxosd::journal::{Done, Job, Journal, JournalEvent, ReadDamage, execute};
use paxosd::storage::{MemStorage, Storage};
use paxosd::types::{Record, SegmentId, Slot, Value};
use std::sync::Arc;

/// C19, C26: a read that was planned before the files went finds nothing, and that is no damage; no
/// file of places is made anew for it.
#[test]
fn c26_a_read_that_meets_a_removal_looks_again() {
    let (mut rig, older, _) = two_checkpoints();
    let gone = ids(&releasable(&rig.journal, &older.start.unwrap()));
    let planned: Vec<Job> =
        (0..2).map(|token| rig.journal.read(token, Slot(1), Slot(3), 10_000)).collect();
    let known = rig.journal.read_slots(9, [Slot(199)], 10_000);
    release(&mut rig, &gone);
    rig.settle().unwrap();
    for job in planned.into_iter().chain([Job::Read(known)]) {
        let done = execute(&rig.storage, job).unwrap();
        let Some(JournalEvent::Read(done)) = rig.journal.done(done) else { panic!("not a read") };
        for (slot, result) in &done.values {
            let again = matches!(result, Err(ReadDamage::Unplaced { .. })) || is_released(result);
            assert_eq!(again, *slot < Slot(199), "slot {slot}: {result:?}");
        }
        assert!(!rig.journal.is_placing() && rig.journal.next_job().is_none());
    }
    assert!(read(&rig.storage, &mut rig.journal, 1, 3).values().all(is_released));
    assert!(rig.journal.is_durable_in(Slot(1), ballot(1)), "nobody keeps it in memory");
}

/// C26, C19: a file that goes between the search for a slot and the read of it was released.
#[test]
fn c26_a_file_that_goes_under_a_read_was_released() {
    let mut rig = Rig::new(MemStorage::new());
    push_each(&mut rig, (1..=100).map(learned));
    // Its places are in memory when the read is planned.
    let planned = rig.journal.read(7, Slot(1), Slot(2), 10_000);
    let taken = checkpoint(&mut rig, 100);
    let gone = ids(&releasable(&rig.journal, &taken.start.unwrap()));
    release(&mut rig, &gone);
    rig.settle().unwrap();
    let Done::Read(raw) = execute(&rig.storage, planned).unwrap() else { panic!("not a read") };
    assert!(matches!(raw.values[0].1, Err(ReadDamage::Unreadable { .. })), "{raw:?}");
    let event = rig.journal.done(Done::Read(raw));
    let Some(JournalEvent::Read(done)) = event else { panic!("not a read") };
    assert!(done.values.iter().all(|(_, result)| is_released(result)), "{done:?}");
}

/// C9, C26: a record that may not hold the chosen value is not served when the one that does was
/// released.
#[test]
fn c26_a_stale_record_does_not_come_back_when_the_chosen_one_goes() {
    let mut rig = Rig::new(MemStorage::new());
    let accepted = |slot, round, fill: u8| Record::Accepted {
        slot: Slot(slot),
        ballot: ballot(round),
        chosen_upto: Slot(0),
        value: Value::new(vec![fill; 900]),
    };
    push_each(&mut rig, [accepted(5, 1, 1), learned(1)]);
    push_each(&mut rig, (10..60).map(learned));
    push_each(&mut rig, [accepted(5, 3, 3)]);
    let second = rig.journal.locate(Slot(5)).unwrap().segment;
    push_each(&mut rig, (60..140).map(learned));
    let taken = checkpoint(&mut rig, 139);
    let byte = |storage: &MemStorage, journal: &mut Journal, slot: u64| {
        let found = read(storage, journal, slot, slot).remove(&Slot(slot)).unwrap();
        found.map(|(_, value)| value.bytes()[0])
    };
    assert_eq!(byte(&rig.storage, &mut rig.journal, 5).ok(), Some(3));
    release(&mut rig, &[second.0]);
    rig.settle().unwrap();
    let storage = rig.storage.duplicate();
    let (mut journal, _) = start(&storage, &taken).unwrap();
    for journal in [&mut rig.journal, &mut journal] {
        let found = byte(&storage, journal, 5);
        assert!(matches!(found, Err(ReadDamage::Released { .. })), "{found:?}");
        assert_eq!(byte(&storage, journal, 1).ok(), Some(1), "it is known to be chosen");
    }
}

/// C30, C26: the slots of a released segment reach over one whose only record lies before it, and is not known
/// to hold the chosen value. Whoever takes values for chosen is not served; whoever holds them against the
/// index is, for what was live in the segment was copied before it went.
#[test]
fn c30_what_lies_before_a_released_segment_is_read_by_the_index() {
    let mut rig = Rig::new(MemStorage::new());
    let (slot, value) = (Slot(60), Value::new(vec![7; 900]));
    let accepted = Record::Accepted { slot, ballot: ballot(1), chosen_upto: Slot(0), value };
    push_each(&mut rig, [accepted, learned(1)]);
    push_each(&mut rig, (10..60).chain(61..80).map(learned));
    let between = rig.journal.locate(Slot(50)).unwrap().segment;
    // Its slots now reach from 50 to 70 and beyond.
    push_each(&mut rig, (80..140).map(learned));
    let taken = checkpoint(&mut rig, 139);
    let gone = ids(&releasable(&rig.journal, &taken.start.unwrap()));
    let behind: Vec<u64> = gone.into_iter().filter(|id| *id >= between.0).collect();
    release(&mut rig, &behind);
    rig.settle().unwrap();
    assert!(rig.journal.released_upto() > slot);
    let job = rig.journal.read_slots(3, [slot], 10_000);
    for (job, is_read) in [(job.clone(), false), (job.live_only(), true)] {
        let done = execute(&rig.storage, Job::Read(job)).unwrap();
        let Some(JournalEvent::Read(done)) = rig.journal.done(done) else { panic!("not a read") };
        let [(_, result)] = &done.values[..] else { panic!("{done:?}") };
        assert_eq!((result.is_ok(), is_released(result)), (is_read, !is_read), "{result:?}");
    }
}

/// C26, C5: a segment in which records are lost stays as long as one before it does: what is lost may
/// hide what stands there.
#[test]
fn c26_a_segment_with_a_loss_goes_after_those_before_it() {
    let (rig, older, _) = two_checkpoints();
    let from = older.start.unwrap();
    let name = segment_name(3);
    rig.storage.rot(&name, 4096..storage_half(&rig.storage, &name), |bytes| bytes.fill(0x5a));
    let end = rig.storage.len(&name).unwrap();
    rig.storage.rot(&name, end - 8192..end, |bytes| bytes.fill(0x5a));
    for id in numbers(&rig.storage, "places-", ".idx") {
        rig.storage.remove(&format!("places-{id:020}.idx")).unwrap();
    }
    let (mut journal, _) = start(&rig.storage, &older).unwrap();
    assert_eq!(releasable(&journal, &from), [], "no file of places is there yet");
    while let Some(job) = journal.next_job() {
        journal.done(execute(&rig.storage, job).unwrap());
    }
    let all: Vec<u64> = (1..from.segment.0).filter(|id| *id != 3).collect();
    assert_eq!(ids(&releasable(&journal, &from)), all);
    assert!(!journal.release(&[SegmentId(1), SegmentId(3)]).contains(SegmentId(3)));
    assert!(
        journal.release(&[1, 2, 3].map(SegmentId)).contains(SegmentId(3)),
        "none is left before"
    );
    let released = journal.release(&[SegmentId(1), SegmentId(2)]);
    let lsn = journal.durable_upto().next();
    journal.push(lsn, Record::Released(Arc::new(released)));
    assert_eq!(ids(&releasable(&journal, &from)), (3..from.segment.0).collect::<Vec<_>>());
}

fn storage_half(storage: &MemStorage, name: &str) -> u64 {
    storage.len(name).unwrap() / 2
}

/// C26, C31: a file of places is made anew from its segment alone where the one behind was released.
#[test]
fn c26_places_are_made_anew_beside_a_gap() {
    let (mut rig, older, newer) = two_checkpoints();
    let gone = ids(&releasable(&rig.journal, &older.start.unwrap()));
    release(&mut rig, &[gone[0], gone[3]]);
    rig.settle().unwrap();
    let kept = values(&rig.storage, &mut rig.journal, 200);
    rig.storage.remove(&format!("places-{:020}.idx", gone[2])).unwrap();
    let (mut journal, _) = start(&rig.storage, &newer).unwrap();
    assert!(journal.is_placing());
    while let Some(job) = journal.next_job() {
        journal.done(execute(&rig.storage, job).unwrap());
    }
    assert_eq!(values(&rig.storage, &mut journal, 200), kept);
    let full = releasable(&journal, &newer.start.unwrap());
    assert_eq!(ids(&full)[..3], [gone[1], gone[2], gone[4]], "nothing is lost in them");
}
