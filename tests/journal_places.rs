//! Places of values in files of their own: whatever left memory is read as before.

#![allow(clippy::unwrap_used)]

mod journal_rig;

use journal_rig::{IDENTITY, OPTIONS, Rig, Rng, SHARD, Taken, Workload, ballot, read};
use paxosd::journal::invariants::{check_index, check_state};
use paxosd::journal::{
    Done, FindingKind, Job, Journal, Location, ReadDamage, ReadResult, Recovered, execute, inspect,
    recover,
};
use paxosd::storage::{MemStorage, Storage};
use paxosd::types::{Lsn, Record, SegmentId, Slot, Value};
use std::collections::BTreeMap;

fn segment_name(segment: SegmentId) -> String {
    format!("segment-{:020}.wal", segment.0)
}

fn places_names(storage: &MemStorage) -> Vec<String> {
    let names = storage.list().unwrap();
    names.into_iter().filter(|name| name.starts_with("places-") && name.ends_with(".idx")).collect()
}

fn start(storage: &MemStorage, taken: Option<&Taken>) -> (Journal, Recovered) {
    let from = taken.and_then(Taken::from);
    let (journal, recovered) = recover(storage, &IDENTITY, SHARD, &OPTIONS, from).unwrap();
    check_state(&journal);
    check_index(&journal);
    (journal, recovered)
}

/// Runs what a journal has to do until there is nothing more.
fn settle(storage: &MemStorage, journal: &mut Journal) {
    while let Some(job) = journal.next_job() {
        let done = execute(storage, job).unwrap();
        journal.done(done);
        check_state(journal);
        check_index(journal);
    }
}

/// A workload with checkpoints now and then, behind each of which places leave memory.
fn run(seed: u64, halt_at: u64) -> (Rig, Vec<Taken>) {
    let mut rig = Rig::new(MemStorage::new());
    rig.storage.halt_at(halt_at);
    let mut workload = Workload::new(seed);
    workload.value_bytes_max = 3000;
    let mut taken = Vec::new();
    for _ in 0..25 {
        if rig.run(&mut workload, 4, false).is_err() {
            break;
        }
        let slot = rig.expected().chosen_upto;
        if workload.rng.percent(40) && slot > Slot(0) {
            let Ok(checkpoint) = rig.checkpoint(slot) else { break };
            taken.push(checkpoint);
            rig.journal.spill_upto(slot);
            if rig.settle().is_err() {
                break;
            }
        }
    }
    (rig, taken)
}

fn values(read: &BTreeMap<Slot, ReadResult>) -> Vec<(Slot, Option<&Value>)> {
    read.iter().map(|(slot, found)| (*slot, found.as_ref().ok().map(|(_, value)| value))).collect()
}

/// C31: places leave memory, and every slot is read as before; what stays in memory is bounded by what
/// is behind the checkpoint.
#[test]
fn c31_what_left_memory_is_read_as_before() {
    let (mut spilled, mut kept) = (0, 0);
    for seed in 1..=12 {
        let (mut rig, _) = run(seed, u64::MAX);
        let expected = rig.expected();
        let upto = expected.chosen_upto.0;
        let (mut full, _) = start(&rig.storage.duplicate(), None);
        let everything = full.places_in_memory();
        let before = read(&rig.storage, &mut full, 1, upto + 3);
        let after = read(&rig.storage, &mut rig.journal, 1, upto + 3);
        assert_eq!(values(&after), values(&before), "seed {seed}");
        for (slot, value) in &expected.chosen {
            assert_eq!(after[slot].as_ref().unwrap().1, *value, "seed {seed} slot {slot}");
        }
        spilled += places_names(&rig.storage).len();
        kept += rig.journal.places_in_memory() * 100 / everything;
    }
    assert!(spilled > 12 * 3, "{spilled} segments");
    assert!(kept < 12 * 70, "{kept} of 12 hundred parts stay in memory");
}

/// C31: a start from a checkpoint reads the same values as a full start, with the files of places as
/// they are, and with those that are missing or rotten made anew.
#[test]
fn c31_a_start_from_a_checkpoint_reads_the_same_values() {
    let mut rebuilt = 0;
    for seed in 1..=12 {
        let mut rng = Rng::new(seed);
        let (rig, taken) = run(seed, u64::MAX);
        let Some(last) = taken.last() else { continue };
        let (mut full, recovered) = start(&rig.storage.duplicate(), None);
        let upto = recovered.chosen_upto.0;
        let all = read(&rig.storage, &mut full, 1, upto);
        for way in 0..4 {
            let context = format!("seed {seed} way {way}");
            let storage = rig.storage.duplicate();
            for name in places_names(&storage) {
                let blocks = storage.len(&name).unwrap() / 4096;
                let at = 4096 * rng.below(blocks) + 40;
                match way {
                    0 => {}
                    1 => storage.rot(&name, at..at + 1, |bytes| bytes[0] ^= 1),
                    2 => storage.truncate(&name, 4096 * (blocks - 1)),
                    _ => storage.remove(&name).unwrap(),
                }
            }
            let (mut journal, _) = start(&storage, Some(last));
            let mut found = read(&storage, &mut journal, 1, upto);
            for (slot, result) in &found {
                let waits = matches!(result, Err(ReadDamage::Unplaced { .. }));
                assert!(waits || *result == all[slot], "{context} slot {slot}: {result:?}");
                rebuilt += u64::from(waits);
            }
            // What a read found rotten is made anew once the journal hears of it.
            for _ in 0..3 {
                let slots = (1..=upto).map(Slot);
                let job = Job::Read(journal.read_slots(1, slots, usize::MAX));
                let done = execute(&storage, job).unwrap();
                journal.done(done);
                settle(&storage, &mut journal);
            }
            found = read(&storage, &mut journal, 1, upto);
            assert_eq!(values(&found), values(&all), "{context}");
        }
    }
    assert!(rebuilt > 50, "{rebuilt} reads waited for places");
}

/// C31, C25: power fails at every step while places move to disk; nothing is lost, and no file that
/// was not durable is believed.
#[test]
fn c31_a_crash_at_any_step_of_a_spill_loses_nothing() {
    let (whole, _) = run(3, u64::MAX);
    let steps = whole.storage.steps();
    let mut cut = 0;
    for step in (40..=steps).step_by(3) {
        let (rig, taken) = run(3, step);
        for sample in 0..2 {
            let context = format!("step {step} sample {sample}");
            let storage = rig.storage.duplicate();
            let mut rng = Rng::new(step << 8 | sample);
            storage.crash(&mut || rng.next());
            let (mut full, recovered) = start(&storage.duplicate(), None);
            let upto = recovered.chosen_upto.0;
            let noted = |taken: &&Taken| recovered.checkpoints.iter().any(|c| c.0 == taken.slot);
            let Some(last) = taken.iter().rev().find(noted) else { continue };
            let (mut journal, short) = start(&storage, Some(last));
            assert_eq!(short.chosen_upto, recovered.chosen_upto, "{context}");
            assert!(!storage.list().unwrap().iter().any(|name| name.ends_with(".idx.new")));
            journal.spill_upto(last.slot);
            settle(&storage, &mut journal);
            let found = read(&storage, &mut journal, 1, upto);
            let all = read(&storage, &mut full, 1, upto);
            assert_eq!(values(&found), values(&all), "{context}");
            cut += 1;
        }
    }
    assert!(cut > 50, "{cut} cuts behind a checkpoint");
}

fn accepted(slot: u64, round: u64, fill: u8) -> Record {
    let value = Value::new(vec![fill; 900]);
    Record::Accepted { slot: Slot(slot), ballot: ballot(round), chosen_upto: Slot(0), value }
}

fn learned(slot: u64, round: u64, fill: u8) -> Record {
    let value = Value::new(vec![fill; 900]);
    Record::Learned { slot: Slot(slot), ballot: ballot(round), value }
}

/// Pushes each record in a batch of its own.
fn push_each(rig: &mut Rig, records: impl IntoIterator<Item = Record>) {
    for record in records {
        rig.push(vec![record]);
        rig.settle().unwrap();
    }
}

/// The first byte of a slot's value.
fn first_byte(storage: &MemStorage, journal: &mut Journal, slot: u64) -> Option<u8> {
    let found = read(storage, journal, slot, slot);
    found[&Slot(slot)].as_ref().ok().map(|(_, value)| value.bytes()[0])
}

/// C9: of the records of one slot the one that holds the chosen value counts, wherever each of them
/// lies: on disk, in memory, and in whatever order they were written.
#[test]
fn c09_the_best_record_counts_across_files_and_memory() {
    let mut rig = Rig::new(MemStorage::new());
    // In the first segment slot 5 is accepted twice, in the second in a higher ballot, and what is
    // learned in the third, in a lower one, is known to be chosen.
    push_each(&mut rig, [accepted(5, 1, 1), accepted(6, 1, 1), accepted(5, 2, 2)]);
    push_each(&mut rig, (10..60).map(|slot| learned(slot, 2, 9)));
    let first = rig.journal.locate(Slot(5)).unwrap().segment;
    push_each(&mut rig, [accepted(5, 3, 3), accepted(6, 3, 4)]);
    let second = rig.journal.locate(Slot(5)).unwrap().segment;
    push_each(&mut rig, (60..110).map(|slot| learned(slot, 2, 9)));
    assert!(first < second, "{first} {second}");
    rig.checkpoint(Slot(109)).unwrap();
    rig.journal.spill_upto(Slot(109));
    rig.settle().unwrap();
    assert!(places_names(&rig.storage).len() >= 3);
    assert_eq!(rig.journal.locate(Slot(5)), None, "its places left memory");
    assert_eq!(first_byte(&rig.storage, &mut rig.journal, 5), Some(3));
    assert_eq!(first_byte(&rig.storage, &mut rig.journal, 6), Some(4));
    push_each(&mut rig, [learned(6, 2, 7)]);
    assert_eq!(first_byte(&rig.storage, &mut rig.journal, 6), Some(7), "it is known to be chosen");
    assert_eq!(first_byte(&rig.storage, &mut rig.journal, 5), Some(3));
    let (mut full, _) = start(&rig.storage.duplicate(), None);
    assert_eq!(first_byte(&rig.storage, &mut full, 6), Some(7));
}

/// C19, C25: a slot that was damaged when its place left memory is served again once it was learned
/// anew, before and after a start.
#[test]
fn c25_a_slot_that_was_mended_is_served() {
    let mut rig = Rig::new(MemStorage::new());
    push_each(&mut rig, (1..=100).map(|slot| learned(slot, 1, slot as u8)));
    let place = rig.journal.locate(Slot(7)).unwrap();
    let body = place.offset + 128..place.offset + 200;
    rig.storage.rot(&segment_name(place.segment), body, |bytes| bytes.fill(0x5a));
    let taken = rig.checkpoint(Slot(100)).unwrap();
    rig.journal.spill_upto(Slot(100));
    rig.settle().unwrap();
    let found = read(&rig.storage, &mut rig.journal, 7, 7);
    let Err(damage) = &found[&Slot(7)] else { panic!("{found:?}") };
    assert_eq!(damage.ballot(), ballot(1), "a copy of this ballot is as good");
    push_each(&mut rig, [learned(7, 1, 7)]);
    assert_eq!(first_byte(&rig.storage, &mut rig.journal, 7), Some(7));
    let (mut journal, recovered) = start(&rig.storage, Some(&taken));
    assert!(recovered.holes.is_empty(), "{:?}", recovered.holes);
    assert_eq!(first_byte(&rig.storage, &mut journal, 7), Some(7));
}

/// A record is lost, with header, descriptor and the headers of its batch.
fn lose(storage: &MemStorage, place: &Location) {
    let name = segment_name(place.segment);
    storage.rot(&name, place.offset - 128..place.offset + 4096, |bytes| bytes.fill(0x5a));
    for at in (0..storage.len(&name).unwrap()).step_by(4096) {
        let mut item = [0; 128];
        storage.read_at(&name, at + 4096 - 256, &mut item).unwrap();
        if item[6] == 2 && item[64..72] == place.lsn.0.to_le_bytes() {
            storage.rot(&name, at..at + 4096, |bytes| bytes.fill(0x5a));
        }
    }
}

/// C26, C9: what left memory in normal running is known to be chosen, by the watermarks that came behind
/// it: a record of a higher ballot that is lost later hides none of it.
#[test]
fn c26_a_later_loss_hides_nothing_that_is_known_to_be_chosen() {
    let mut rig = Rig::new(MemStorage::new());
    let accept = |slot, round: u64, bytes: usize| Record::Accepted {
        slot: Slot(slot),
        ballot: ballot(round),
        chosen_upto: Slot(slot - 1),
        value: Value::new(vec![slot as u8; bytes]),
    };
    push_each(&mut rig, (1..700).map(|slot| accept(slot, 1, 900)));
    let taken = rig.checkpoint(Slot(690)).unwrap();
    rig.journal.spill_upto(Slot(690));
    rig.settle().unwrap();
    assert!(places_names(&rig.storage).len() > 2, "nothing has left memory");
    push_each(&mut rig, [accept(700, 3, 20_000)]);
    let place = rig.journal.locate(Slot(700)).unwrap();
    push_each(&mut rig, (701..710).map(|slot| accept(slot, 3, 900)));
    lose(&rig.storage, &place);
    let (mut journal, recovered) = start(&rig.storage, Some(&taken));
    assert!(!recovered.losses.lost.is_empty(), "nothing is lost");
    settle(&rig.storage, &mut journal);
    for slot in [1, 10, 300] {
        assert_eq!(first_byte(&rig.storage, &mut journal, slot), Some(slot as u8), "slot {slot}");
    }
}

/// C26, C5: a record that may hold what was not chosen is not served where one of a higher ballot is
/// lost behind it, though both lie before the checkpoint.
#[test]
fn c26_what_a_loss_may_hide_is_not_served() {
    let mut rig = Rig::new(MemStorage::new());
    push_each(&mut rig, [accepted(5, 1, 1)]);
    push_each(&mut rig, (10..60).map(|slot| learned(slot, 1, 9)));
    let lost = Record::Accepted {
        slot: Slot(5),
        ballot: ballot(3),
        chosen_upto: Slot(0),
        value: Value::new(vec![3; 20_000]),
    };
    push_each(&mut rig, [lost]);
    let place = rig.journal.locate(Slot(5)).unwrap();
    push_each(&mut rig, (60..700).map(|slot| learned(slot, 3, 9)));
    let taken = rig.checkpoint(Slot(699)).unwrap();
    assert_eq!(first_byte(&rig.storage, &mut rig.journal, 5), Some(3));
    lose(&rig.storage, &place);
    let (mut journal, _) = start(&rig.storage, Some(&taken));
    settle(&rig.storage, &mut journal);
    assert_eq!(
        first_byte(&rig.storage, &mut journal, 5),
        None,
        "ballot 1 may not be the chosen one"
    );
    assert_eq!(first_byte(&rig.storage, &mut journal, 10), Some(9));
    let next = journal.durable_upto().next();
    journal.push(next, learned(5, 3, 3));
    settle(&rig.storage, &mut journal);
    assert_eq!(first_byte(&rig.storage, &mut journal, 5), Some(3));
}

/// C31: places leave memory only for a segment of which all is durable, and something behind it, and
/// only once their own file is.
#[test]
fn c31_places_leave_memory_only_when_they_are_durable_elsewhere() {
    let mut rig = Rig::new(MemStorage::new());
    push_each(&mut rig, (1..=40).map(|slot| learned(slot, 1, 9)));
    let in_use = rig.journal.locate(Slot(40)).unwrap().segment;
    let before = rig.journal.places_in_memory();
    rig.journal.spill_upto(Slot(40));
    let mut places = 0;
    while let Some(job) = rig.journal.next_job() {
        let is_places = matches!(job, Job::Places(_));
        places += u64::from(is_places);
        assert!(!is_places || rig.journal.next_job().is_none(), "one at a time");
        let held = rig.journal.places_in_memory();
        let done = execute(&rig.storage, job).unwrap();
        assert_eq!(rig.journal.places_in_memory(), held, "before the journal hears of it");
        let mut crashed = rig.storage.duplicate();
        if is_places {
            crashed.crash(&mut || 0);
            assert_eq!(places_names(&crashed).len() as u64, places, "its name is durable");
            crashed = MemStorage::new();
        }
        drop(crashed);
        rig.journal.done(done);
    }
    assert_eq!(places, in_use.0 - 1, "the segment in use stays in memory");
    let left = rig.journal.places_in_memory();
    assert!(left > 0 && left < before, "{left} of {before}");
    assert!(rig.journal.is_durable_in(Slot(1), ballot(1)));
    // A slot above the checkpoint keeps its segment in memory.
    push_each(&mut rig, (41..=80).map(|slot| learned(slot, 1, 9)));
    rig.journal.spill_upto(Slot(41));
    rig.settle().unwrap();
    assert!(rig.journal.locate(Slot(42)).is_some());
}

/// R11: where there is no space for places they stay in memory until the next checkpoint.
#[test]
fn r11_places_without_space_stay_in_memory() {
    let mut rig = Rig::new(MemStorage::new());
    push_each(&mut rig, (1..=60).map(|slot| learned(slot, 1, 9)));
    let before = rig.journal.places_in_memory();
    rig.storage.set_free_bytes(4096);
    rig.journal.spill_upto(Slot(60));
    rig.settle().unwrap();
    assert_eq!(rig.journal.places_in_memory(), before);
    assert!(places_names(&rig.storage).is_empty());
    rig.storage.set_free_bytes(1 << 30);
    rig.journal.spill_upto(Slot(60));
    rig.settle().unwrap();
    assert!(rig.journal.places_in_memory() < before);
}

/// C31: whoever looks at a journal as a whole hears of files of places that do not serve, and of no
/// damage for it.
#[test]
fn c31_inspect_holds_places_against_their_segments() {
    let mut rig = Rig::new(MemStorage::new());
    push_each(&mut rig, (1..=100).map(|slot| learned(slot, 1, 9)));
    rig.checkpoint(Slot(100)).unwrap();
    rig.journal.spill_upto(Slot(100));
    rig.settle().unwrap();
    let look = |storage: &MemStorage| inspect(storage, &IDENTITY, SHARD, &|_| {}).unwrap().findings;
    assert_eq!(look(&rig.storage), []);
    let names = places_names(&rig.storage);
    for at in [0, 130, 4096 + 50, 8192 - 4] {
        let storage = rig.storage.duplicate();
        storage.rot(&names[1], at..at + 1, |bytes| bytes[0] ^= 4);
        let findings = look(&storage);
        let found: Vec<_> = findings.iter().map(|found| (&found.file, found.kind)).collect();
        assert_eq!(found, [(&names[1], FindingKind::OneCopy)], "byte {at}");
    }
    // A whole one, of another segment.
    let mut content = vec![0; rig.storage.len(&names[0]).unwrap() as usize];
    rig.storage.read_at(&names[0], 0, &mut content).unwrap();
    rig.storage.remove(&names[1]).unwrap();
    rig.storage.create_empty(&names[1]).unwrap();
    rig.storage.extend(&names[1], &content).unwrap();
    assert_eq!(look(&rig.storage).len(), 1);
}

/// R04: what was written aside and never named is removed at a start; what has its name stays.
#[test]
fn r04_files_written_aside_are_removed() {
    let mut rig = Rig::new(MemStorage::new());
    push_each(&mut rig, (1..=3).map(|slot| learned(slot, 1, 9)));
    let kept = ["checkpoint-7", "run-0001.run", "other.new", "lock"];
    let gone = ["checkpoint-9.new", "run-0002.run.new", "places-00000000000000000001.idx.new"];
    for name in kept.iter().chain(&gone) {
        rig.storage.create_empty(name).unwrap();
    }
    start(&rig.storage, None);
    let names = rig.storage.list().unwrap();
    let there = |name: &&str| names.iter().any(|other| other == *name);
    assert!(kept.iter().all(there) && !gone.iter().any(there), "{names:?}");
}

/// Reads of what left memory keep to their limits.
#[test]
fn reads_of_what_left_memory_are_bounded() {
    let mut rig = Rig::new(MemStorage::new());
    push_each(&mut rig, (1..=100).map(|slot| learned(slot, 1, 9)));
    rig.journal.spill_upto(Slot(100));
    rig.settle().unwrap();
    let job = rig.journal.read(1, Slot(1), Slot(90), 5000);
    let Job::Read(read) = &job else { panic!("{job:?}") };
    assert!(read.value_bytes() <= 5000 && read.value_bytes() >= 900, "{}", read.value_bytes());
    let Done::Read(done) = execute(&rig.storage, job).unwrap() else { panic!("not a read") };
    assert_eq!(done.values.len(), 5);
    let Done::Read(one) = execute(&rig.storage, rig.journal.read(1, Slot(3), Slot(9), 1)).unwrap()
    else {
        panic!("not a read")
    };
    assert_eq!(one.values.len(), 1);
    assert_eq!(rig.journal.durable_upto(), Lsn(100));
}
