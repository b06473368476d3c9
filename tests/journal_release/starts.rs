//! Starts without released segments: what is missing, and what is said of it.

use crate::journal_rig::{IDENTITY, OPTIONS, Rig, SHARD, Taken, Workload, ballot, read};
use crate::rig::*;
use paxosd::journal::invariants::{check_index, check_state};
use paxosd::journal::{
    FindingKind, Job, OpenError, execute, inspect, inspect_knowing, recover, recover_knowing,
};
use paxosd::paxos::damage_of_unknown_slot;
use paxosd::storage::{MemStorage, Storage};
use paxosd::types::{Record, Released, SegmentId, Slot, Value};
use std::sync::Arc;

/// R08: a segment that is missing and that no record names refuses the start, whatever else was
/// released.
#[test]
fn r08_a_missing_segment_that_no_record_names_refuses_the_start() {
    let (mut rig, older, newer) = two_checkpoints();
    let gone = ids(&releasable(&rig.journal, &older.start.unwrap()));
    // The first and the third one go, and the second one stays.
    release(&mut rig, &[gone[0], gone[2]]);
    rig.settle().unwrap();
    let (journal, recovered) = start(&rig.storage.duplicate(), &newer).unwrap();
    assert_eq!(recovered.released.ranges.len(), 2, "{:?}", recovered.released);
    assert_eq!(journal.segments(), rig.journal.segments());
    for lost in [gone[1], gone[3]] {
        let storage = rig.storage.duplicate();
        storage.remove(&segment_name(lost)).unwrap();
        let error = start(&storage, &newer).unwrap_err();
        assert!(matches!(error, OpenError::Missing { .. }), "{error}");
        assert!(error.to_string().contains(&segment_name(lost)), "{error}");
        let error = inspect(&storage, &IDENTITY, SHARD, &|_| {}).unwrap_err();
        assert!(matches!(error, OpenError::Missing { .. }), "{error}");
    }
    // One that the start reads: another checkpoint is asked for, and in the end the whole journal.
    let from = newer.start.unwrap().segment;
    let storage = rig.storage.duplicate();
    storage.remove(&segment_name(from.0)).unwrap();
    let error = start(&storage, &newer).unwrap_err();
    assert!(matches!(error, OpenError::StartGone { .. }), "{error}");
    let error = recover(&storage, &IDENTITY, SHARD, &OPTIONS, None).unwrap_err();
    assert!(matches!(error, OpenError::Missing { .. }), "{error}");
}

/// R08, A8: where the record of what was released rots, its header is there twice and says how many
/// segments may be missing. The next checkpoint writes the record again.
#[test]
fn r08_a_rotten_record_of_what_was_released_is_no_loss() {
    let (rig, _, newer, gone) = all_released();
    let (segment, at) = *release_records(&rig.storage).last().unwrap();
    let name = segment_name(segment);
    let body = at + 128..at + 140;
    for range in [body.clone(), at..at + 40, at - 128..at + 200] {
        let storage = rig.storage.duplicate();
        storage.rot(&name, range.clone(), |bytes| bytes.fill(0x5a));
        let (journal, recovered) = start(&storage, &newer).unwrap();
        assert_eq!(journal.released_segments(), gone.len() as u64, "{range:?}");
        assert_eq!(journal.released_upto(), rig.journal.released_upto(), "{range:?}");
        let kinds: Vec<_> = recovered.findings.iter().map(|finding| finding.kind).collect();
        assert!(kinds.iter().all(|kind| *kind == FindingKind::OneCopy), "{kinds:?}");
        assert!(!kinds.is_empty());
        let found = inspect(&storage, &IDENTITY, SHARD, &|_| {}).unwrap();
        assert_eq!(found.chosen_upto, Slot(200), "{range:?}");
    }
    let storage = rig.storage.duplicate();
    storage.rot(&name, body, |bytes| bytes.fill(0x5a));
    let (journal, _) = start(&storage.duplicate(), &newer).unwrap();
    assert!(journal.facts_to_repeat(Slot(200)).released, "it is written again");
    assert!(journal.start_for(Slot(200)).unwrap().segment <= SegmentId(segment));
    // One more segment is missing than it names.
    storage.remove(&segment_name(gone.len() as u64 + 1)).unwrap();
    let error = start(&storage, &newer).unwrap_err();
    assert!(matches!(error, OpenError::Missing { .. }), "{error}");
    // Or it is missing between those that it names.
    let (mut rig, older, newer) = two_checkpoints();
    let gone = ids(&releasable(&rig.journal, &older.start.unwrap()));
    release(&mut rig, &[gone[0], gone[2]]);
    rig.settle().unwrap();
    let (segment, at) = *release_records(&rig.storage).last().unwrap();
    let name = segment_name(segment);
    rig.storage.rot(&name, at + 128..at + 140, |bytes| bytes.fill(0x5a));
    let (journal, _) = start(&rig.storage.duplicate(), &newer).unwrap();
    assert_eq!(journal.last_released().ranges.len(), 2);
    let storage = rig.storage.duplicate();
    storage.remove(&segment_name(gone[1])).unwrap();
    let error = start(&storage, &newer).unwrap_err();
    assert!(matches!(error, OpenError::Missing { .. }), "{error}");
    // Of the record nothing is left: nothing says that the segments were released.
    let storage = rig.storage.duplicate();
    storage.rot(&name, 4096..storage.len(&name).unwrap(), |bytes| bytes.fill(0x5a));
    let error = start(&storage, &older).unwrap_err();
    assert!(matches!(error, OpenError::Missing { .. } | OpenError::StartMoved { .. }), "{error}");
}

/// R08, A8: what a checkpoint names needs no record: both copies of the last one may rot, and the next
/// checkpoint writes it again. What the checkpoint does not name is missing as before.
#[test]
fn r08_what_the_checkpoint_names_needs_no_record() {
    let (rig, older, newer, gone) = all_released();
    let named = rig.journal.released().clone();
    rot_release_records(&rig.storage);
    let know = |storage: &MemStorage, taken: &Taken, named: &Released| {
        recover_knowing(storage, &IDENTITY, SHARD, &OPTIONS, (taken.from(), named))
    };
    for taken in [&older, &newer] {
        let error = know(&rig.storage.duplicate(), taken, &Released::default()).unwrap_err();
        assert!(matches!(error, OpenError::Missing { .. }), "{error}");
        let (journal, recovered) = know(&rig.storage.duplicate(), taken, &named).unwrap();
        check_state(&journal);
        check_index(&journal);
        assert_eq!(journal.released_segments(), gone.len() as u64);
        assert_eq!(recovered.released.ranges, named.ranges);
        assert!(journal.facts_to_repeat(taken.slot).released, "it is written again");
    }
    let left = inspect_knowing(&rig.storage, &IDENTITY, SHARD, &named, &|_| {}).unwrap();
    assert_eq!(left.chosen_upto, Slot(200));
    // One that went since the checkpoint was taken.
    let storage = rig.storage.duplicate();
    let since = segment_name(gone.len() as u64 + 1);
    storage.remove(&since).unwrap();
    let error = know(&storage, &newer, &named).unwrap_err();
    assert!(error.to_string().contains(&since), "{error}");
}

/// R08, A8: one block that rots, whichever it is, never makes a start take what was released for lost.
#[test]
fn r08_one_rotten_block_refuses_no_start_behind_a_release() {
    let (rig, older, newer, gone) = all_released();
    let mut rotted = 0;
    for taken in [older, newer] {
        for id in segments(&rig.storage).into_iter().filter(|id| *id > gone.len() as u64) {
            let name = segment_name(id);
            for at in (0..rig.storage.len(&name).unwrap()).step_by(4096) {
                let storage = rig.storage.duplicate();
                storage.rot(&name, at..at + 4096, |bytes| bytes.fill(0x5a));
                let found = start(&storage, &taken).map(|(journal, _)| journal.released_segments());
                let context = format!("{name} at {at}: {found:?}");
                assert!(matches!(found, Ok(count) if count == gone.len() as u64), "{context}");
                rotted += 1;
            }
        }
    }
    assert!(rotted > 100, "{rotted} blocks");
}

/// C26: the record of what was released stands in what every start reads: before it would fall out of
/// that, it is written again.
#[test]
fn c26_what_was_released_stands_again_before_a_start_passes_it() {
    let (mut rig, _, _, gone) = all_released();
    let (first, _) = *release_records(&rig.storage).last().unwrap();
    push_each(&mut rig, (201..=400).map(learned));
    let repeat = rig.journal.facts_to_repeat(Slot(400));
    assert!(repeat.released, "{repeat:?}");
    assert_eq!(rig.journal.start_for(Slot(400)).unwrap().segment, SegmentId(first));
    let again = Arc::clone(rig.journal.last_released());
    push_each(&mut rig, [Record::Released(again)]);
    let repeat = rig.journal.facts_to_repeat(Slot(400));
    assert!(!repeat.released, "{repeat:?}");
    let taken = checkpoint(&mut rig, 400);
    assert!(taken.start.unwrap().segment.0 > first, "{taken:?}");
    let (journal, recovered) = start(&rig.storage, &taken).unwrap();
    assert_eq!(journal.released_segments(), gone.len() as u64);
    assert_eq!(recovered.chosen_upto, Slot(400));
}

/// C26, C4, C5: behind what was released a loss is bounded from the highest slot of any record so far,
/// and the node never says that it accepted nothing.
#[test]
fn c26_a_loss_behind_what_was_released_is_bounded_from_the_highest_slot() {
    let mut rig = Rig::new(MemStorage::new());
    let accepted = |slot, bytes: usize| Record::Accepted {
        slot: Slot(slot),
        ballot: ballot(2),
        chosen_upto: Slot(0),
        value: Value::new(vec![7; bytes]),
    };
    let first = 1_000_003 - 60;
    push_each(&mut rig, (first..1_000_003).map(learned));
    push_each(&mut rig, [accepted(1_000_003, 40_000), accepted(1_000_004, 900)]);
    let place = rig.journal.locate(Slot(1_000_003)).unwrap();
    assert!(place.offset < 8192, "it begins its segment: {place:?}");
    let taken = checkpoint(&mut rig, 1_000_002);
    let from = taken.start.unwrap();
    assert_eq!(from.segment, place.segment);
    let gone = ids(&releasable(&rig.journal, &from));
    assert_eq!(gone, (1..from.segment.0).collect::<Vec<_>>());
    release(&mut rig, &gone);
    rig.settle().unwrap();
    let name = segment_name(place.segment.0);
    rig.storage.rot(&name, 4096..8192, |bytes| bytes.fill(0x5a));
    let end = rig.storage.len(&name).unwrap();
    rig.storage.rot(&name, end - 4096..end, |bytes| bytes.fill(0x5a));
    let (_, recovered) = start(&rig.storage, &taken).unwrap();
    assert_eq!(recovered.chosen_upto, Slot(1_000_002));
    let damage = damage_of_unknown_slot(&recovered.losses).expect("the loss is reported");
    assert_eq!((damage.upto, damage.ballot_max), (Slot(1_000_002 + 512 + 1), ballot(2)));
    // Whoever reads only what is left hears the same.
    let left = inspect(&rig.storage, &IDENTITY, SHARD, &|_| {}).unwrap();
    let damage = damage_of_unknown_slot(&left.losses).expect("the loss is reported");
    assert!(damage.upto >= Slot(1_000_003), "{damage:?}");
}

/// C26, C25: without a checkpoint a journal of which segments were released starts nothing, and says
/// why; whoever looks at it sees what is left, and no damage.
#[test]
fn c26_without_a_checkpoint_the_start_is_refused() {
    let (rig, _, newer, gone) = all_released();
    let before = rig.storage.duplicate();
    let error = recover(&rig.storage, &IDENTITY, SHARD, &OPTIONS, None).unwrap_err();
    let OpenError::NoCheckpoint { segments: count, upto } = &error else { panic!("{error}") };
    assert_eq!((*count, *upto), (gone.len() as u64, rig.journal.released_upto()));
    assert!(error.to_string().contains("no checkpoint serves"), "{error}");
    let (_, recovered) = start(&before, &newer).unwrap();
    for storage in [&before, &rig.storage] {
        let left = inspect(storage, &IDENTITY, SHARD, &|_| {}).unwrap();
        assert_eq!(left.findings, []);
        assert_eq!((left.chosen_upto, &left.released), (Slot(200), &recovered.released));
        assert_eq!((left.next_lsn, left.holes.len()), (recovered.next_lsn, 0));
    }
}

/// C26: whatever the workload was and whichever segments went, a start finds what it would find with
/// all of them, and every value of those that stay.
#[test]
fn c26_a_start_without_released_segments_knows_what_one_with_them_does() {
    let (mut went, mut apart) = (0, 0);
    for seed in 1..=15 {
        let mut workload = Workload::new(seed);
        workload.value_bytes_max = 3000;
        let mut rig = Rig::new(MemStorage::new());
        let mut taken: Vec<Taken> = Vec::new();
        for _ in 0..20 {
            rig.run(&mut workload, 5, false).unwrap();
            let slot = rig.expected().chosen_upto;
            if workload.rng.percent(40) && slot > Slot(0) {
                taken.push(checkpoint(&mut rig, slot.0));
            }
            let [.., older, _] = &taken[..] else { continue };
            let mut full = ids(&releasable(&rig.journal, &older.start.unwrap()));
            full.retain(|_| workload.rng.percent(50));
            let upto = rig.expected().chosen_upto.0;
            let before = read(&rig.storage, &mut rig.journal, 1, upto);
            release(&mut rig, &full);
            let mut twin = rig.storage.duplicate();
            while let Some(job) = rig.journal.next_job() {
                if matches!(job, Job::Remove(_)) {
                    twin = rig.storage.duplicate();
                }
                rig.journal.done(execute(&rig.storage, job).unwrap());
                check_state(&rig.journal);
                check_index(&rig.journal);
            }
            went += full.len();
            apart = apart.max(rig.journal.last_released().ranges.len());
            let after = read(&rig.storage, &mut rig.journal, 1, upto);
            for (slot, result) in &after {
                let same = result == &before[slot] || is_released(result);
                assert!(same, "seed {seed} slot {slot}: {result:?}, before {:?}", before[slot]);
                assert!(!is_released(result) || *slot <= rig.journal.released_upto());
            }
            for from in taken.iter().rev().take(2) {
                let with = if full.is_empty() { rig.storage.duplicate() } else { twin.duplicate() };
                let (_, with) = start(&with, from).unwrap();
                let storage = rig.storage.duplicate();
                let (mut journal, without) = start(&storage, from).unwrap();
                assert_eq!(without, with, "seed {seed}");
                let found = read(&storage, &mut journal, 1, upto);
                assert_eq!(found, after, "seed {seed} from {from:?}");
            }
        }
    }
    assert!(went > 100 && apart > 2, "{went} segments went, in {apart} ranges at most");
}
