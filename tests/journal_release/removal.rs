//! Files of released segments go, and a power failure at any step loses nothing else.

use crate::journal_rig::{IDENTITY, OPTIONS, Rig, Rng, SHARD, assert_sizes, read};
use crate::rig::*;
use paxosd::journal::invariants::check_state;
use paxosd::journal::{Job, JournalEvent, OpenError, ReadDamage, execute, recover};
use paxosd::limits::RELEASED_RANGES_MAX;
use paxosd::storage::MemStorage;
use paxosd::types::{Record, Released, ReleasedRange, SegmentId, Slot};
use std::collections::BTreeMap;
use std::sync::Arc;

/// C26: what lies before the older checkpoint's start can be released; its files go when the record is
/// durable, and starts from either checkpoint go on without them.
#[test]
fn c26_released_segments_go_and_starts_do_without() {
    let (mut rig, older, newer) = two_checkpoints();
    let from = older.start.unwrap();
    let full = releasable(&rig.journal, &from);
    let ids: Vec<u64> = full.iter().map(|full| full.segment.0).collect();
    assert_eq!(ids, (1..from.segment.0).collect::<Vec<_>>());
    assert!(ids.len() > 3, "{ids:?}");
    assert_eq!(full[0].slots.ends().unwrap().0, Slot(1));
    assert!(full.iter().all(|full| full.bytes == OPTIONS.segment_bytes));
    let (count, bytes) = (rig.journal.segments(), rig.journal.disk_bytes());
    let gone = &ids[..ids.len() - 1];
    release(&mut rig, gone);
    assert!(rig.journal.is_releasing());
    assert_eq!((rig.journal.segments(), rig.journal.released_upto()), (count, Slot(0)));
    rig.settle().unwrap();
    assert!(!rig.journal.is_releasing());
    let upto = full[gone.len() - 1].slots.ends().unwrap().1;
    assert_eq!(rig.journal.released_upto(), upto);
    assert_eq!(rig.journal.released_segments(), gone.len() as u64);
    assert_eq!(rig.journal.disk_bytes(), bytes - gone.len() as u64 * OPTIONS.segment_bytes);
    assert_sizes(&rig.storage, &rig.journal);
    assert_eq!(segments(&rig.storage)[0], gone.len() as u64 + 1);
    assert_eq!(numbers(&rig.storage, "places-", ".idx")[0], gone.len() as u64 + 1);
    assert_eq!(releasable(&rig.journal, &from), full[gone.len()..]);
    for taken in [older, newer] {
        let storage = rig.storage.duplicate();
        let (mut journal, recovered) = start(&storage, &taken).unwrap();
        assert_eq!((journal.released_upto(), recovered.chosen_upto), (upto, Slot(200)));
        assert!(recovered.findings.is_empty(), "{:?}", recovered.findings);
        assert_eq!(releasable(&journal, &from), full[gone.len()..]);
        let found = read(&storage, &mut journal, 1, 200);
        for (slot, result) in found {
            let is_released = matches!(result, Err(ReadDamage::Released { .. }));
            assert_eq!(is_released, slot <= upto, "slot {slot}: {result:?}");
            assert_eq!(result.is_ok(), slot > upto, "slot {slot}: {result:?}");
        }
    }
}

/// C26: a record names so many ranges at most. A segment that would be one more stays, and the record that would be
/// written for it is the one that there is; one beside a range that is named goes.
#[test]
fn c26_a_record_names_no_more_ranges_than_fit() {
    let (mut rig, older, _) = two_checkpoints();
    let from = older.start.unwrap();
    let full = ids(&releasable(&rig.journal, &from));
    assert!(full.len() > 3, "{full:?}");
    let mut named = Released { ranges: Vec::new(), highest_slot: Slot(200) };
    let (first, slots) = (SegmentId(full[0]), (Slot(1), Slot(1)));
    named.ranges.push(ReleasedRange { first, last: first, slots });
    // So many others have gone before, with one that stays between each two.
    let others = (1..RELEASED_RANGES_MAX as u64).map(|nth| SegmentId(1_000 + 2 * nth));
    named.ranges.extend(others.map(|id| ReleasedRange { first: id, last: id, slots }));
    rig.push(vec![Record::Released(Arc::new(named.clone()))]);
    let [.., apart] = full[..] else { panic!("{full:?}") };
    assert_eq!(rig.journal.release(&[SegmentId(apart)]), named, "it would be one range more");
    let beside = rig.journal.release(&[first.next(), SegmentId(apart)]);
    assert_eq!((beside.ranges.len(), beside.segments()), (1024, named.segments() + 1));
    assert!(beside.contains(first.next()) && !beside.contains(SegmentId(apart)));
}

/// C26, R08: power fails at every step of a release, the removal of each file included. The start after
/// it takes what is missing for released, removes what was left of it, and has every other value.
#[test]
fn c26_a_crash_at_any_step_of_a_release_loses_nothing_else() {
    let steps = |release: bool| {
        let (rig, ..) = if release {
            let (r, o, n, _) = all_released();
            (r, o, n)
        } else {
            two_checkpoints()
        };
        rig.storage.steps()
    };
    let (before, after) = (steps(false), steps(true));
    assert!(after - before > 12, "{before} {after}");
    let (mut completed, mut undone, mut halfway) = (0, 0, 0);
    for step in before + 1..=after {
        let (mut rig, older, newer) = two_checkpoints();
        let gone = ids(&releasable(&rig.journal, &older.start.unwrap()));
        let all = values(&rig.storage, &mut rig.journal, 200);
        rig.storage.halt_at(step);
        release(&mut rig, &gone);
        rig.settle().unwrap_err();
        for sample in 0..4 {
            let context = format!("step {step} sample {sample}");
            let storage = rig.storage.duplicate();
            let mut rng = Rng::new(step << 8 | sample);
            storage.crash(&mut || rng.next());
            let left = segments(&storage);
            let taken = if sample % 2 == 0 { &older } else { &newer };
            let (mut journal, recovered) = start(&storage, taken).unwrap();
            assert_eq!(recovered.chosen_upto, Slot(200), "{context}");
            let is_gone = journal.released_segments() > 0;
            let named = if is_gone { gone.len() } else { 0 };
            assert_eq!(journal.released_segments(), named as u64, "{context}");
            assert_eq!(segments(&storage)[0], named as u64 + 1, "{context}");
            assert_eq!(numbers(&storage, "places-", ".idx")[0], named as u64 + 1, "{context}");
            let upto = journal.released_upto();
            let kept: BTreeMap<_, _> = all
                .iter()
                .filter(|(slot, _)| **slot > upto)
                .map(|(s, v)| (*s, v.clone()))
                .collect();
            assert_eq!(values(&storage, &mut journal, 200), kept, "{context}");
            // What the start did is durable.
            storage.crash(&mut || 0);
            let (_, again) = start(&storage, taken).unwrap();
            assert_eq!(again.released, recovered.released, "{context}");
            completed += u64::from(is_gone);
            undone += u64::from(!is_gone);
            halfway += u64::from(is_gone && left[0] != named as u64 + 1);
        }
    }
    assert!(completed > 20 && undone > 4 && halfway > 10, "{completed} {undone} {halfway}");
}

/// C26: power fails again while a start removes what a crash has left.
#[test]
fn c26_a_crash_while_a_start_removes_files_is_made_good_by_the_next() {
    let (mut rig, older, _) = two_checkpoints();
    let gone = ids(&releasable(&rig.journal, &older.start.unwrap()));
    release(&mut rig, &gone);
    while rig.journal.is_releasing() {
        let job = rig.journal.next_job().unwrap();
        if matches!(job, Job::Remove(_)) {
            break;
        }
        rig.journal.done(execute(&rig.storage, job).unwrap());
    }
    let whole = rig.storage.duplicate();
    let first = whole.steps();
    start(&whole, &older).unwrap();
    let mut cut = 0;
    for step in first + 1..=whole.steps() {
        for sample in 0..2 {
            let storage = rig.storage.duplicate();
            storage.halt_at(step);
            start(&storage, &older).unwrap_err();
            let mut rng = Rng::new(step << 8 | sample);
            storage.crash(&mut || rng.next());
            cut += u64::from(segments(&storage)[0] != 1);
            let (journal, recovered) = start(&storage, &older).unwrap();
            assert_eq!(journal.released_segments(), gone.len() as u64, "step {step}");
            assert_eq!(recovered.chosen_upto, Slot(200), "step {step}");
            assert_eq!(segments(&storage)[0], gone.len() as u64 + 1, "step {step}");
        }
    }
    assert!(cut > 5, "{cut} starts met files half gone");
}

/// C26, R08: what is named and still there is read where no checkpoint is, and nothing is removed: it
/// goes once a start has a checkpoint again.
#[test]
fn c26_a_start_that_needs_a_segment_keeps_it() {
    let (mut rig, older, _) = two_checkpoints();
    let gone = ids(&releasable(&rig.journal, &older.start.unwrap()));
    release(&mut rig, &gone);
    while let Some(job) = rig.journal.next_job().filter(|job| !matches!(job, Job::Remove(_))) {
        rig.journal.done(execute(&rig.storage, job).unwrap());
    }
    let storage = rig.storage.duplicate();
    let (mut full, recovered) = recover(&storage, &IDENTITY, SHARD, &OPTIONS, None).unwrap();
    check_state(&full);
    assert_eq!((full.released_segments(), recovered.chosen_upto), (0, Slot(200)));
    assert_eq!(segments(&storage), segments(&rig.storage));
    assert_eq!(values(&storage, &mut full, 200).len(), 200);
    let (journal, _) = start(&storage, &older).unwrap();
    assert_eq!(journal.released_segments(), gone.len() as u64);
    assert_eq!(segments(&storage)[0], gone.len() as u64 + 1);
}

/// C26, R11: a full disk comes back by itself: segments that went make room for the next one, without
/// anybody asking for it.
#[test]
fn r11_a_full_disk_comes_back_when_segments_go() {
    let (mut rig, older, _) = two_checkpoints();
    rig.storage.set_free_bytes(0);
    let mut slot = 200;
    while rig.journal.has_room() {
        slot += 1;
        push_each(&mut rig, [learned(slot)]);
    }
    let gone = ids(&releasable(&rig.journal, &older.start.unwrap()));
    release(&mut rig, &gone[..2]);
    let mut came_back = false;
    while let Some(job) = rig.journal.next_job() {
        let event = rig.journal.done(execute(&rig.storage, job).unwrap());
        came_back |= event == Some(JournalEvent::Room);
        check_state(&rig.journal);
    }
    assert!(came_back && rig.journal.has_room());
    assert_sizes(&rig.storage, &rig.journal);
}

/// C26: a segment goes only when the record that names it is durable, not with a batch before.
#[test]
fn c26_nothing_goes_before_its_record_is_durable() {
    let (mut rig, older, _) = two_checkpoints();
    let gone = ids(&releasable(&rig.journal, &older.start.unwrap()));
    let before = segments(&rig.storage);
    rig.push(vec![learned(201)]);
    let job = rig.journal.next_job().expect("a batch");
    release(&mut rig, &gone);
    rig.journal.done(execute(&rig.storage, job).unwrap());
    assert!(rig.journal.is_releasing());
    assert_eq!((rig.journal.released_upto(), rig.journal.released_segments()), (Slot(0), 0));
    let Some(job @ Job::Batch(_)) = rig.journal.next_job() else { panic!("its batch comes first") };
    let done = execute(&rig.storage, job).unwrap();
    assert!(rig.journal.next_job().is_none(), "nothing is removed meanwhile");
    assert_eq!(segments(&rig.storage), before);
    rig.journal.done(done);
    assert!(matches!(rig.journal.next_job(), Some(Job::Remove(_))));
}

/// C26: a checkpoint older than both that are kept may serve a start, where a crash has left its file:
/// what that start reads stays, though a record names it.
#[test]
fn c26_what_an_older_start_reads_stays() {
    let mut rig = Rig::new(MemStorage::new());
    push_each(&mut rig, (1..=100).map(learned));
    let oldest = checkpoint(&mut rig, 100);
    push_each(&mut rig, (101..=150).map(learned));
    let older = checkpoint(&mut rig, 150);
    push_each(&mut rig, (151..=200).map(learned));
    checkpoint(&mut rig, 200);
    let full = releasable(&rig.journal, &older.start.unwrap());
    let gone = ids(&full);
    release(&mut rig, &gone);
    while let Some(job) = rig.journal.next_job().filter(|job| !matches!(job, Job::Remove(_))) {
        rig.journal.done(execute(&rig.storage, job).unwrap());
    }
    let first = oldest.start.unwrap().segment.0;
    assert!(first > 1 && gone.contains(&first), "{first} of {gone:?}");
    let (mut journal, recovered) = start(&rig.storage, &oldest).unwrap();
    assert_eq!(recovered.chosen_upto, Slot(200));
    assert_eq!((journal.released_segments(), segments(&rig.storage)[0]), (first - 1, first));
    let held = values(&rig.storage, &mut journal, 200);
    let (_, upto) = full[first as usize - 2].slots.ends().unwrap();
    assert_eq!((held.len() as u64, held.keys().next()), (200 - upto.0, Some(&upto.next())));
    // Once they are gone, it does not serve any more.
    let (_, recovered) = start(&rig.storage, &older).unwrap();
    assert_eq!(recovered.released.segments(), gone.len() as u64);
    let error = start(&rig.storage, &oldest).unwrap_err();
    assert!(matches!(error, OpenError::StartGone { .. }), "{error}");
}
