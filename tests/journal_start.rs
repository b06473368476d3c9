//! Starts from a checkpoint: what they do not read, they need not know.

#![allow(clippy::unwrap_used)]

mod journal_rig;

use journal_rig::{IDENTITY, OPTIONS, Rig, Rng, SHARD, Taken, Workload, ballot, read};
use paxosd::journal::{Journal, JournalStart, OpenError, Recovered, recover};
use paxosd::paxos::damage_of_unknown_slot;
use paxosd::storage::{MemStorage, Storage};
use paxosd::types::{Lsn, Record, SegmentId, Slot, Value};

fn segment_name(segment: SegmentId) -> String {
    format!("segment-{:020}.wal", segment.0)
}

fn start(
    storage: &MemStorage,
    from: Option<(Slot, JournalStart)>,
) -> Result<(Journal, Recovered), OpenError> {
    recover(storage, &IDENTITY, SHARD, &OPTIONS, from)
}

/// A workload over many small segments, with checkpoints now and then; stopped at a step or not.
fn run(seed: u64, halt_at: u64) -> (Rig, Vec<Taken>) {
    let mut rig = Rig::new(MemStorage::new());
    rig.storage.halt_at(halt_at);
    let mut workload = Workload::new(seed);
    workload.value_bytes_max = 6000;
    let mut taken = Vec::new();
    for _ in 0..25 {
        if rig.run(&mut workload, 4, false).is_err() {
            break;
        }
        let chosen_upto = rig.expected().chosen_upto;
        if workload.rng.percent(40) && chosen_upto > Slot(0) {
            // A shard may lag behind what is chosen.
            let slot = Slot(chosen_upto.0 - workload.rng.below(3).min(chosen_upto.0 - 1));
            let Ok(checkpoint) = rig.checkpoint(slot) else { break };
            taken.push(checkpoint);
        }
    }
    (rig, taken)
}

/// Some blocks of data rot, and as many of descriptors at the same distance from the other end.
fn rot_both_ends(storage: &MemStorage, name: &str, rng: &mut Rng) {
    let bytes = storage.len(name).unwrap();
    let at = 4096 * rng.below(bytes / 4096 / 3);
    let upto = at + 4096 * (1 + rng.below(3));
    storage.rot(name, at..upto, |bytes| bytes.fill(0x5a));
    storage.rot(name, bytes - upto..bytes - at, |bytes| bytes.fill(0x5a));
}

/// Both starts say the same of every slot above the checkpoint's.
fn assert_same(full: &Recovered, short: &Recovered, slot: Slot, rotten: bool, context: &str) {
    assert_eq!(short.hard, full.hard, "{context}");
    assert_eq!(short.next_lsn, full.next_lsn, "{context}");
    assert_eq!(short.torn, full.torn, "{context}");
    let lacks = rotten && short.witnessed.is_empty();
    assert!(lacks || short.witnessed == full.witnessed, "{context}: {:?}", short.witnessed);
    let upto = short.chosen_upto;
    assert!(upto >= slot, "{context}: chosen up to {upto}");
    if full.chosen_upto >= slot {
        assert_eq!(upto, full.chosen_upto, "{context}");
        let mut holes = full.holes.clone();
        holes.retain(|hole, _| *hole > slot);
        assert_eq!(short.holes, holes, "{context}");
    }
    let (mut open, mut losses) = (full.open.clone(), full.losses.clone());
    open.retain(|slot, _| *slot > upto);
    losses.left.retain(|slot, _| *slot > upto);
    losses.lost.retain(|lost| lost.bound.upto > upto);
    assert_eq!(short.open, open, "{context}");
    assert_eq!(short.losses, losses, "{context}");
    assert!(full.checkpoints.ends_with(&short.checkpoints), "{context}");
}

/// C31, C26: whatever the workload was, wherever power failed, and whatever rotted of what is read, a
/// start from any checkpoint knows of the slots above it what a full start knows.
#[test]
fn c31_a_start_from_a_checkpoint_knows_what_a_full_start_does() {
    let (mut skipped, mut torn, mut lost) = (0, 0, 0);
    for seed in 1..=40 {
        let mut rng = Rng::new(seed);
        let steps = run(seed, u64::MAX).0.storage.steps();
        let (rig, taken) = run(seed, if seed % 3 == 0 { u64::MAX } else { 1 + rng.below(steps) });
        rig.storage.crash(&mut || rng.next());
        for checkpoint in taken.into_iter().rev().take(4) {
            let Some((slot, from)) = checkpoint.from() else { continue };
            for sample in 0..3 {
                let context = format!("seed {seed} slot {slot} {from:?} sample {sample}");
                let storage = rig.storage.duplicate();
                let names = storage.list().unwrap();
                let read = names.iter().filter(|name| **name >= segment_name(from.segment));
                // A file that was just begun holds nothing yet.
                let read = read.filter(|name| storage.len(name).unwrap() > 0);
                let read: Vec<_> = read.collect();
                for _ in 0..sample {
                    let name = read[rng.below(read.len() as u64) as usize];
                    rot_both_ends(&storage, name, &mut rng);
                }
                let Ok((_, full)) = start(&storage.duplicate(), None) else { continue };
                let short = match start(&storage, Some((slot, from))) {
                    Ok((_, short)) => short,
                    // Nothing of its first segment may be left.
                    Err(OpenError::StartMoved { .. }) if sample > 0 => continue,
                    Err(error) => panic!("{context}: {error}"),
                };
                assert_same(&full, &short, slot, sample > 0, &context);
                assert!(short.stats.records <= full.stats.records, "{context}");
                skipped += u64::from(short.stats.records < full.stats.records);
                torn += u64::from(short.torn.is_some());
                lost += u64::from(!short.losses.lost.is_empty());
            }
        }
    }
    let counts = (skipped, torn, lost);
    assert!(skipped > 100 && torn > 20 && lost > 30, "{counts:?}");
}

/// C26: rot of what a start does not read changes nothing of what it finds.
#[test]
fn c26_rot_before_the_start_changes_nothing() {
    let mut rotted = 0;
    for seed in 1..=30 {
        let mut rng = Rng::new(seed);
        let (rig, taken) = run(seed, u64::MAX);
        let Some((slot, from)) = taken.last().and_then(Taken::from) else { continue };
        let before = start(&rig.storage.duplicate(), Some((slot, from))).unwrap().1;
        let storage = rig.storage.duplicate();
        for name in (1..from.segment.0).map(|id| segment_name(SegmentId(id))) {
            let blocks = storage.len(&name).unwrap() / 4096;
            for _ in 0..4 {
                let at = rng.below(blocks) * 4096;
                storage.rot(&name, at..at + 4096, |bytes| bytes.fill(0x5a));
                rotted += 1;
            }
        }
        assert_eq!(start(&storage, Some((slot, from))).unwrap().1, before, "seed {seed}");
    }
    assert!(rotted > 100, "{rotted} blocks");
}

fn learned(slot: u64, bytes: usize) -> Record {
    Record::Learned { slot: Slot(slot), ballot: ballot(1), value: Value::new(vec![7; bytes]) }
}

fn accepted(slot: u64, round: u64) -> Record {
    let (value, chosen_upto) = (Value::new(vec![slot as u8 | 1; 900]), Slot(0));
    Record::Accepted { slot: Slot(slot), ballot: ballot(round), chosen_upto, value }
}

/// C26, C4, C5: behind a checkpoint a loss is bounded from the highest slot of any record before, so
/// that a node whose first batch is lost never says that it accepted nothing.
#[test]
fn c26_a_first_batch_that_is_lost_is_bounded_from_the_highest_slot() {
    let mut rig = Rig::new(MemStorage::new());
    for slot in 999_990..=1_000_002 {
        rig.push(vec![learned(slot, 9000)]);
        rig.settle().unwrap();
    }
    let full = rig.journal.locate(Slot(1_000_002)).unwrap().segment;
    // The value does not fit what is left of the segment: its batch is the first of the next one.
    let value = Value::new(vec![7; 40_000]);
    let slot = Slot(1_000_003);
    rig.push(vec![Record::Accepted { slot, ballot: ballot(2), chosen_upto: Slot(0), value }]);
    rig.settle().unwrap();
    let place = rig.journal.locate(slot).unwrap();
    assert!(place.segment > full && place.offset < 8192, "{place:?}");
    rig.push(vec![accepted(1_000_004, 2)]);
    rig.settle().unwrap();
    let taken = rig.checkpoint(Slot(1_000_002)).unwrap();
    let from = taken.from().unwrap();
    assert_eq!((from.1.segment, from.1.highest_slot), (place.segment, Slot(1_000_002)));

    let name = segment_name(place.segment);
    rig.storage.rot(&name, 4096..8192, |bytes| bytes.fill(0x5a));
    let end = rig.storage.len(&name).unwrap();
    rig.storage.rot(&name, end - 4096..end, |bytes| bytes.fill(0x5a));
    let (_, recovered) = start(&rig.storage, Some(from)).unwrap();
    assert_eq!(recovered.chosen_upto, Slot(1_000_002));
    let damage = damage_of_unknown_slot(&recovered.losses).expect("the loss is reported");
    assert_eq!((damage.upto, damage.ballot_max), (Slot(1_000_002 + 512 + 1), ballot(2)));
    assert_eq!(recovered.open.keys().collect::<Vec<_>>(), [&Slot(1_000_004)]);
}

/// C31, C11: where nothing is left of the first segment that is read, only a start that reads the one
/// before can go on there: nothing is changed before that.
#[test]
fn c31_a_start_of_which_nothing_is_left_is_refused_untouched() {
    let mut rig = Rig::new(MemStorage::new());
    for slot in 1..=15 {
        rig.push(vec![learned(slot, 9000)]);
        rig.settle().unwrap();
    }
    rig.push(vec![learned(16, 40_000)]);
    rig.settle().unwrap();
    let place = rig.journal.locate(Slot(16)).unwrap();
    assert!(place.offset < 8192, "it begins its segment: {place:?}");
    let from = rig.journal.start_for(Slot(15)).unwrap();
    assert_eq!(from.segment, place.segment);
    rig.storage.rot(&segment_name(place.segment), 8192..8704, |bytes| bytes.fill(0));
    let bytes = |storage: &MemStorage| {
        let mut content = vec![0; 64 << 10];
        storage.read_at(&segment_name(place.segment), 0, &mut content).unwrap();
        content
    };
    let before = bytes(&rig.storage);
    let error = start(&rig.storage, Some((Slot(15), from))).unwrap_err();
    assert!(matches!(error, OpenError::StartMoved { .. }), "{error}");
    assert!(bytes(&rig.storage) == before, "the segment was changed");
    let (_, full) = start(&rig.storage, None).unwrap();
    assert_eq!((full.chosen_upto, full.next_lsn), (Slot(15), Lsn(16)));
    assert!(full.torn.is_some());
}

/// C26: a segment in which records of unknown slot are lost is read as long as one of them may lie
/// above the checkpoint, and not any longer.
#[test]
fn c26_a_segment_with_a_loss_that_reaches_above_is_read() {
    let mut rig = Rig::new(MemStorage::new());
    for slot in 1..=100 {
        rig.push(vec![learned(slot, 2000)]);
        rig.settle().unwrap();
    }
    let place = rig.journal.locate(Slot(30)).unwrap();
    let (name, id) = (segment_name(place.segment), place.segment);
    // The record and its batch's headers; then the descriptors.
    rig.storage.rot(&name, place.offset - 128..place.offset + 2128, |bytes| bytes.fill(0x5a));
    let first = rig.journal.start_for(Slot(29)).unwrap();
    assert_eq!(first.segment, id, "slot 30 lies there");
    let blocks = rig.storage.len(&name).unwrap() / 4096;
    for at in (0..blocks).rev().map(|block| block * 4096) {
        let mut item = [0; 128];
        rig.storage.read_at(&name, at + 4096 - 256, &mut item).unwrap();
        let lsn = u64::from_le_bytes(item[64..72].try_into().unwrap());
        if item[6] == 3 && lsn == place.lsn.0 {
            rig.storage.rot(&name, at..at + 4096, |bytes| bytes.fill(0x5a));
        }
    }
    let (journal, full) = start(&rig.storage.duplicate(), None).unwrap();
    let reach = full.losses.lost[0].bound.upto;
    assert_eq!((full.losses.lost.len(), reach), (1, Slot(29 + 512 + 1)));
    for (slot, read) in [(100, true), (reach.0 - 1, true), (reach.0, false)] {
        let from = journal.start_for(Slot(slot)).unwrap();
        assert_eq!(from.segment <= id, read, "slot {slot}: {from:?}");
        let (_, short) = start(&rig.storage.duplicate(), Some((Slot(slot), from))).unwrap();
        assert_eq!(!short.losses.lost.is_empty(), read, "slot {slot}");
    }
}

/// C25: what was applied before a checkpoint is chosen, though no watermark on disk says so; a slot
/// of it whose record is lost is a hole.
#[test]
fn c25_every_slot_up_to_a_durable_checkpoint_is_chosen() {
    let mut rig = Rig::new(MemStorage::new());
    for slot in 1..=6 {
        rig.push(vec![accepted(slot, 1)]);
        rig.settle().unwrap();
    }
    rig.checkpoint(Slot(4)).unwrap();
    let (_, recovered) = Rig::reopen(&rig.storage.duplicate()).unwrap();
    assert_eq!(recovered.chosen_upto, Slot(4));
    assert_eq!(recovered.checkpoints, [(Slot(4), 4 ^ 0xd1)]);
    assert!(recovered.holes.is_empty(), "{:?}", recovered.holes);
    assert_eq!(recovered.open.len(), 2);

    let place = rig.journal.locate(Slot(2)).unwrap();
    let name = segment_name(place.segment);
    rig.storage.rot(&name, place.offset + 128..place.offset + 200, |bytes| bytes.fill(0x5a));
    let (mut journal, recovered) = Rig::reopen(&rig.storage).unwrap();
    assert_eq!(recovered.chosen_upto, Slot(4));
    assert_eq!(recovered.holes.keys().collect::<Vec<_>>(), [&Slot(2)]);
    let values = read(&rig.storage, &mut journal, 1, 4);
    let served: Vec<_> =
        values.iter().filter(|(_, found)| found.is_ok()).map(|(s, _)| s.0).collect();
    assert_eq!(served, [1, 3, 4]);
}

/// C31: facts of which only early segments hold a record keep these segments among those that are
/// read, until they are written again.
#[test]
fn c31_facts_that_only_early_segments_hold_are_written_again() {
    let mut rig = Rig::new(MemStorage::new());
    let mut workload = Workload::new(5);
    let hard = workload.hard_state();
    let witnessed = workload.witnessed();
    rig.push(vec![hard, witnessed]);
    for slot in 1..=100 {
        rig.push(vec![learned(slot, 2000)]);
        rig.settle().unwrap();
    }
    let repeat = rig.journal.facts_to_repeat(Slot(100));
    assert!(repeat.hard_state && repeat.witnessed, "{repeat:?}");
    assert_eq!(rig.journal.start_for(Slot(100)).unwrap().segment, SegmentId(1));
    let from = rig.checkpoint(Slot(100)).unwrap().from().unwrap();
    assert!(from.1.segment > SegmentId(2), "{from:?}");
    let (_, full) = start(&rig.storage.duplicate(), None).unwrap();
    let (journal, short) = start(&rig.storage, Some(from)).unwrap();
    assert_same(&full, &short, Slot(100), false, "repeated");
    assert!(!short.witnessed.is_empty());
    assert_eq!(journal.start_for(Slot(99)), None, "what it has not read it cannot judge");
    assert_eq!(journal.start_for(Slot(100)), Some(from.1));
}

/// C31: a journal that is not as a checkpoint says is not read from there; one that lacks a file is not
/// read at all.
#[test]
fn c31_a_start_that_the_journal_does_not_bear_out_is_refused() {
    let mut rig = Rig::new(MemStorage::new());
    for slot in 1..=100 {
        rig.push(vec![learned(slot, 2000)]);
        rig.settle().unwrap();
    }
    let (slot, from) = rig.checkpoint(Slot(100)).unwrap().from().unwrap();
    let other = JournalStart { first_lsn: Lsn(from.first_lsn.0 + 1), ..from };
    let unused = JournalStart { segment: from.segment.next(), ..from };
    for wrong in [other, unused] {
        let error = start(&rig.storage.duplicate(), Some((slot, wrong))).unwrap_err();
        assert!(matches!(error, OpenError::StartMoved { .. }), "{wrong:?}: {error}");
    }
    let beyond = JournalStart { segment: SegmentId(from.segment.0 + 9), ..from };
    let error = start(&rig.storage.duplicate(), Some((slot, beyond))).unwrap_err();
    assert!(matches!(error, OpenError::Missing { .. }), "{error}");
    for damage in ["gone", "short", "foreign"] {
        let storage = rig.storage.duplicate();
        let name = segment_name(SegmentId(2));
        match damage {
            "gone" => storage.remove(&name).unwrap(),
            "short" => storage.truncate(&name, 8192),
            _ => {
                let mut header = [0; 4096];
                storage.read_at(&segment_name(SegmentId(1)), 0, &mut header).unwrap();
                storage.rot(&name, 0..4096, |bytes| bytes.copy_from_slice(&header));
            }
        }
        let error = start(&storage, Some((slot, from))).unwrap_err();
        let refused = matches!(
            error,
            OpenError::Missing { .. } | OpenError::Length { .. } | OpenError::Foreign { .. }
        );
        assert!(refused && error.to_string().contains(&name), "{damage}: {error}");
    }
}
