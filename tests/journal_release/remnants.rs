//! Records of remnants: what is left of a value serves who looks for entries, and nobody who needs the value (C30).

use crate::journal_rig::{Rig, ballot, read};
use crate::rig::*;
use paxosd::journal::{Done, Job, Journal, JournalEvent, ReadDamage, ReadResult, execute};
use paxosd::storage::{MemStorage, Storage};
use paxosd::types::{Record, Slot, Value};

/// What is left of the value of a slot.
fn remnant(slot: u64, fill: u8) -> Record {
    let value = Value::new(vec![fill; 300]);
    Record::Remnant { slot: Slot(slot), ballot: ballot(1), value }
}

fn whole(storage: &MemStorage, journal: &mut Journal, slot: u64) -> ReadResult {
    read(storage, journal, slot, slot).remove(&Slot(slot)).unwrap()
}

/// What is read of a slot by whoever holds it against an index; of a job that was planned for that.
fn kept(storage: &MemStorage, journal: &mut Journal, slot: u64) -> [ReadResult; 2] {
    let job = journal.read_slots(3, [Slot(slot)], 10_000);
    [job.clone(), job.live_only()].map(|job| {
        let done = execute(storage, Job::Read(job)).unwrap();
        let Some(JournalEvent::Read(mut done)) = journal.done(done) else { panic!("not a read") };
        done.values.remove(0).1
    })
}

fn first_byte(result: &ReadResult) -> Option<u8> {
    result.as_ref().ok().map(|(_, value)| value.bytes()[0])
}

/// C27, C30: while the segment of a value stands, learners get the value, though a remnant of it was written; once
/// the segment went they hear that it is released, and never get the remnant, which stands after a start as before.
#[test]
fn c27_of_a_slot_with_a_remnant_alone_the_value_is_released() {
    let mut rig = Rig::new(MemStorage::new());
    push_each(&mut rig, (1..=100).map(learned));
    let older = checkpoint(&mut rig, 100);
    let gone = ids(&releasable(&rig.journal, &older.start.unwrap()));
    push_each(&mut rig, [remnant(5, 0xaa), remnant(7, 0xbb)]);
    for slot in [5, 7] {
        assert_eq!(first_byte(&whole(&rig.storage, &mut rig.journal, slot)), Some(slot as u8 | 1));
    }
    push_each(&mut rig, (101..=200).map(learned));
    release(&mut rig, &gone);
    rig.settle().unwrap();
    assert!(rig.journal.released_upto() >= Slot(7), "what went has these slots");
    let newer = checkpoint(&mut rig, 200);
    // Cut down once more: the newest counts.
    push_each(&mut rig, [remnant(7, 0xcc)]);
    let storage = rig.storage.duplicate();
    let (mut again, recovered) = start(&storage, &newer).unwrap();
    assert_eq!(recovered.chosen_upto, Slot(200));
    for journal in [&mut rig.journal, &mut again] {
        for (slot, fill) in [(5, 0xaa), (7, 0xcc)] {
            let found = whole(&storage, journal, slot);
            assert!(is_released(&found), "slot {slot}: {found:?}");
            for found in kept(&storage, journal, slot) {
                assert_eq!(first_byte(&found), Some(fill), "slot {slot}: {found:?}");
            }
        }
        assert!(is_released(&whole(&storage, journal, 6)));
    }
}

/// C9, C30: nothing follows from a remnant at a start: its slot is neither chosen nor accepted by it.
#[test]
fn c09_nothing_follows_from_a_remnant() {
    let mut rig = Rig::new(MemStorage::new());
    push_each(&mut rig, [learned(1), remnant(2, 0xaa), learned(3), remnant(9, 0xbb)]);
    let (mut journal, recovered) = Rig::reopen(&rig.storage).unwrap();
    assert_eq!(recovered.chosen_upto, Slot(1));
    let open: Vec<Slot> = recovered.open.keys().copied().collect();
    assert_eq!(open, [Slot(3)]);
    for slot in [2, 9] {
        let found = whole(&rig.storage, &mut journal, slot);
        assert!(is_released(&found), "slot {slot}: {found:?}");
    }
    // A checkpoint says that all of these are chosen: the values are missing, and are fetched.
    push_each(&mut rig, [Record::Checkpoint { slot: Slot(9), applied_upto: Slot(9), digest: 7 }]);
    let (_, recovered) = Rig::reopen(&rig.storage).unwrap();
    let holes: Vec<Slot> = recovered.holes.keys().copied().collect();
    assert_eq!(holes, [2, 4, 5, 6, 7, 8, 9].map(Slot));
}

/// C30: a remnant whose bytes have rotted is noticed, and what comes in its place counts.
#[test]
fn c30_a_rotten_remnant_is_damaged() {
    let mut rig = Rig::new(MemStorage::new());
    push_each(&mut rig, (1..=100).map(learned));
    let older = checkpoint(&mut rig, 100);
    let gone = ids(&releasable(&rig.journal, &older.start.unwrap()));
    push_each(&mut rig, [remnant(5, 0xaa)]);
    push_each(&mut rig, (101..=200).map(learned));
    let newer = checkpoint(&mut rig, 200);
    release(&mut rig, &gone);
    rig.settle().unwrap();
    for id in segments(&rig.storage) {
        let name = segment_name(id);
        let mut bytes = vec![0; rig.storage.len(&name).unwrap() as usize];
        rig.storage.read_at(&name, 0, &mut bytes).unwrap();
        if let Some(at) = bytes.windows(300).position(|part| part == [0xaa; 300]) {
            rig.storage.rot(&name, at as u64 + 9..at as u64 + 10, |byte| byte[0] ^= 4);
        }
    }
    let (mut journal, _) = start(&rig.storage, &newer).unwrap();
    for found in kept(&rig.storage, &mut journal, 5) {
        let Err(ReadDamage::Damaged { ballot: of, .. }) = found else { panic!("{found:?}") };
        assert_eq!(of, ballot(1));
    }
    assert!(is_released(&whole(&rig.storage, &mut journal, 5)), "the value is not repaired");
    push_each(&mut rig, [remnant(5, 0xdd)]);
    let (mut journal, _) = start(&rig.storage, &newer).unwrap();
    for found in kept(&rig.storage, &mut journal, 5) {
        assert_eq!(first_byte(&found), Some(0xdd), "{found:?}");
    }
}

/// C30: a segment with remnants goes like any other, and its files of places say what they are.
#[test]
fn c30_remnants_behind_a_checkpoint_are_found_by_their_places() {
    let mut rig = Rig::new(MemStorage::new());
    push_each(&mut rig, (1..=100).map(learned));
    let taken = checkpoint(&mut rig, 100);
    let gone = ids(&releasable(&rig.journal, &taken.start.unwrap()));
    push_each(&mut rig, (1..=60).map(|slot| remnant(slot, 0xee)));
    push_each(&mut rig, (101..=250).map(learned));
    let older = checkpoint(&mut rig, 250);
    release(&mut rig, &gone);
    rig.settle().unwrap();
    // Made anew, they say the same.
    for is_new in [false, true] {
        if is_new {
            for id in numbers(&rig.storage, "places-", ".idx") {
                rig.storage.remove(&format!("places-{id:020}.idx")).unwrap();
            }
        }
        let (mut journal, _) = start(&rig.storage, &older).unwrap();
        while let Some(job) = journal.next_job() {
            let done = execute(&rig.storage, job).unwrap();
            assert!(!matches!(done, Done::Read(_)));
            journal.done(done);
        }
        for slot in [1, 30, 60] {
            assert!(is_released(&whole(&rig.storage, &mut journal, slot)), "slot {slot}");
            for found in kept(&rig.storage, &mut journal, slot) {
                assert_eq!(first_byte(&found), Some(0xee), "slot {slot}: {found:?}");
            }
        }
    }
}

/// C27, C30: a whole value that rots beside an intact remnant was released, whether that is known before it is read or
/// not, and wherever its place is known: nobody has it repaired, for its live entries are here.
#[test]
fn c27_a_value_that_rots_beside_a_remnant_was_released() {
    let mut rig = Rig::new(MemStorage::new());
    push_each(&mut rig, (1..=100).map(learned));
    push_each(&mut rig, [remnant(5, 0xaa)]);
    assert_eq!(first_byte(&whole(&rig.storage, &mut rig.journal, 5)), Some(5));
    let place = rig.journal.locate(Slot(5)).unwrap();
    let at = place.offset + 128 + 9;
    rig.storage.rot(&segment_name(place.segment.0), at..at + 1, |byte| byte[0] ^= 4);
    assert!(is_released(&whole(&rig.storage, &mut rig.journal, 5)), "it shows when it is read");
    let (mut journal, _) = Rig::reopen(&rig.storage).unwrap();
    assert!(is_released(&whole(&rig.storage, &mut journal, 5)), "it is known to be rotten");
    push_each(&mut rig, (101..=250).map(learned));
    let newer = checkpoint(&mut rig, 250);
    // Behind a checkpoint only files have the places: the first ones do not know that it has rotten.
    for is_new in [false, true] {
        if is_new {
            for id in numbers(&rig.storage, "places-", ".idx") {
                rig.storage.remove(&format!("places-{id:020}.idx")).unwrap();
            }
        }
        let (mut journal, _) = start(&rig.storage, &newer).unwrap();
        while let Some(job) = journal.next_job() {
            journal.done(execute(&rig.storage, job).unwrap());
        }
        assert_eq!(journal.locate(Slot(5)), None, "memory knows it");
        let found = whole(&rig.storage, &mut journal, 5);
        assert!(is_released(&found), "made anew: {is_new}: {found:?}");
        for found in kept(&rig.storage, &mut journal, 5) {
            assert_eq!(first_byte(&found), Some(0xaa), "{found:?}");
        }
    }
}
