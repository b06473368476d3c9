//! The journal cut at every write and every sync: all that was reported durable is there, and
//! nothing that was never written appears.

#![allow(clippy::unwrap_used)]

mod journal_rig;

use journal_rig::{
    Expected, IDENTITY, OPTIONS, Rig, Rng, SHARD, Workload, add_up, assert_sizes, ballot, read,
};
use paxosd::journal::{
    Fill, FindingKind, Job, Journal, JournalEvent, OpenError, Recovered, execute, format,
};
use paxosd::paxos::inexact_reports;
use paxosd::storage::{MemStorage, Storage};
use paxosd::types::{Ballot, FailureKind, Lsn, Record, Slot, Value};

/// A power cut without media damage: nothing is suspect, damaged or in doubt (C11).
fn assert_undamaged(recovered: &Recovered, context: &str) {
    let worst = recovered.findings.iter().map(|finding| finding.kind).max();
    assert!(worst < Some(FindingKind::Suspect), "{context}: {:?}", recovered.findings);
    assert!(recovered.holes.is_empty(), "{context}: {:?}", recovered.holes);
    let losses = &recovered.losses;
    assert!(losses.lost.is_empty() && inexact_reports(losses).is_empty(), "{context}: {losses:?}");
}

/// Compares a recovery with what was written: it must be exactly the records up to its last LSN,
/// which is at or above the last one reported durable.
fn assert_kept(
    rig: &Rig,
    storage: &MemStorage,
    journal: &mut Journal,
    recovered: &Recovered,
    context: &str,
) -> Expected {
    assert_undamaged(recovered, context);
    let kept = recovered.next_lsn.0 as usize - 1;
    assert!(kept >= rig.durable, "{context}: kept {kept}, durable were {}", rig.durable);
    assert!(kept <= rig.records.len(), "{context}: kept {kept} of {}", rig.records.len());
    assert_eq!(journal.durable_upto(), Lsn(kept as u64), "{context}");
    let expected = add_up(&rig.records[..kept]);
    let (promised_max, boots_max) = rig.hard_max;
    assert!(recovered.hard.promised >= expected.promised, "{context}: {:?}", recovered.hard);
    assert!(recovered.hard.promised <= promised_max, "{context}: {:?}", recovered.hard);
    assert!(recovered.hard.boots >= expected.boots, "{context}: {:?}", recovered.hard);
    assert!(recovered.hard.boots <= boots_max, "{context}: {:?}", recovered.hard);
    assert_eq!(recovered.chosen_upto, expected.chosen_upto, "{context}");
    assert_eq!(recovered.open, expected.open, "{context}");
    assert_eq!(recovered.witnessed, expected.witnessed, "{context}");
    let read = read(storage, journal, 1, expected.chosen_upto.0);
    for (slot, value) in &expected.chosen {
        let found = &read[slot].as_ref().unwrap_or_else(|e| panic!("{context}: {e}")).1;
        assert_eq!(found, value, "{context}: slot {slot}");
    }
    expected
}

fn recover_and_check(rig: &Rig, storage: &MemStorage, context: &str) -> (Journal, Recovered) {
    let (mut journal, recovered) =
        Rig::reopen(storage).unwrap_or_else(|error| panic!("{context}: {error}"));
    assert_kept(rig, storage, &mut journal, &recovered, context);
    assert_sizes(storage, &journal);
    (journal, recovered)
}

/// Runs the workload of a seed up to the step at which the machine stops, if it gets there.
fn run_until(seed: u64, bursts: u64, step: u64) -> (Rig, bool) {
    let mut rig = Rig::new(MemStorage::new());
    rig.storage.halt_at(step);
    let mut workload = Workload::new(seed);
    let stopped = rig.run(&mut workload, bursts, true).is_err();
    (rig, stopped)
}

/// What the hard-state file alone knows: C2 wants it never below what the journal says.
fn promised_in_file(storage: &MemStorage) -> Ballot {
    let storage = storage.duplicate();
    for name in storage.list().unwrap().iter().filter(|name| name.ends_with(".wal")) {
        let bytes = storage.len(name).unwrap();
        storage.rot(name, 4096..bytes, |bytes| bytes.fill(0));
    }
    Rig::reopen(&storage).unwrap().1.hard.promised
}

/// R02, R04, C2, C11: cut at every step of a workload, with sampled subsets of unsynced sectors; what
/// was reported durable is there, what was never written is not, and a second recovery agrees.
#[test]
fn r04_a_cut_at_every_write_and_every_sync_keeps_what_was_durable() {
    for seed in 1..=2 {
        let (whole, stopped) = run_until(seed, 50, u64::MAX);
        assert!(!stopped);
        let first = Rig::new(MemStorage::new()).storage.steps() + 1;
        let mut torn = 0;
        for step in first..=whole.storage.steps() {
            let (rig, stopped) = run_until(seed, 50, step);
            assert!(stopped, "seed {seed} step {step}");
            for sample in 0..4 {
                let context = format!("seed {seed} step {step} sample {sample}");
                let storage = rig.storage.duplicate();
                let mut rng = Rng::new(seed << 40 | step << 8 | sample);
                storage.crash(&mut || rng.next());
                let (_, first) = recover_and_check(&rig, &storage, &context);
                torn += u64::from(first.torn.is_some());
                assert_eq!(promised_in_file(&storage), first.hard.promised, "{context}");
                // Power fails again right after: recovery relied on nothing that was not durable.
                storage.crash(&mut || rng.next());
                let (_, second) = recover_and_check(&rig, &storage, &context);
                assert_eq!(
                    (second.next_lsn, second.hard),
                    (first.next_lsn, first.hard),
                    "{context}"
                );
            }
        }
        assert!(torn > 20, "the workload must be torn often, was {torn} times");
    }
}

/// C11: *every* subset of the unsynced sectors of a small batch, at every step of it.
#[test]
fn c11_every_subset_of_unsynced_sectors_is_recovered() {
    let mut cases = 0;
    for seed in 1..=12 {
        let mut rig = Rig::new(MemStorage::new());
        let mut workload = Workload::new(seed);
        workload.value_bytes_max = 2000;
        rig.run(&mut workload, 6, false).unwrap();
        let before = rig.storage.steps();
        let records = (0..).find_map(|_| Some(workload.burst()).filter(|r| !r.is_empty())).unwrap();
        rig.push(records);
        let base = rig.storage.duplicate();
        rig.settle().unwrap();
        let steps = rig.storage.steps() - before;
        for step in 1..=steps {
            let storage = base.duplicate();
            let journal = Rig::reopen(&storage).unwrap().0;
            let mut rig = Rig::going_on(storage, journal, rig.records.clone(), rig.hard_max);
            for at in rig.durable..rig.records.len() {
                rig.journal.push(Lsn(at as u64 + 1), rig.records[at].clone());
            }
            rig.storage.halt_at(rig.storage.steps() + step);
            let _ = rig.settle();
            let (mut subset, mut draws) = (0u64, 0);
            while draws < 12 && subset < 1 << draws {
                let storage = rig.storage.duplicate();
                draws = 0;
                storage.crash(&mut || {
                    draws += 1;
                    subset >> (draws - 1)
                });
                let context = format!("seed {seed} step {step} subset {subset:b}");
                recover_and_check(&rig, &storage, &context);
                subset += 1;
                cases += 1;
            }
        }
    }
    assert!(cases > 1000, "only {cases} cases");
}

/// R04, C11: a crash during recovery's own writes, at every step of them, and again at every step
/// of the first batch after it (which seals a cut).
#[test]
fn c11_a_crash_during_recovery_and_while_its_cut_is_sealed_loses_nothing() {
    let mut sealed = 0;
    for seed in 1..=40 {
        let mut rng = Rng::new(seed);
        let (rig, stopped) = run_until(seed, 30, 40 + rng.below(60));
        assert!(stopped);
        rig.storage.crash(&mut || rng.next());

        let quiet = rig.storage.duplicate();
        let (_, recovered) = recover_and_check(&rig, &quiet, &format!("seed {seed}"));
        for step in 1..=quiet.steps() {
            let context = format!("seed {seed} recovery step {step}");
            let storage = rig.storage.duplicate();
            storage.halt_at(step);
            assert!(Rig::reopen(&storage).is_err(), "{context}");
            storage.crash(&mut || rng.next());
            recover_and_check(&rig, &storage, &context);
        }
        if recovered.torn.is_none() {
            continue;
        }
        sealed += 1;
        for step in 1..=12 {
            for sample in 0..4 {
                let context = format!("seed {seed} first batch step {step} sample {sample}");
                let storage = quiet.duplicate();
                storage.restart_process();
                let (journal, recovered) = recover_and_check(&rig, &storage, &context);
                let kept = recovered.next_lsn.0 as usize - 1;
                let records = rig.records[..kept].to_vec();
                let mut next = Rig::going_on(storage, journal, records, rig.hard_max);
                let mut workload = Workload::new(seed);
                workload.resume(&next.expected());
                let hard = workload.hard_state();
                next.push(vec![hard]);
                next.storage.halt_at(next.storage.steps() + step);
                let _ = next.settle();
                next.storage.crash(&mut || rng.next());
                recover_and_check(&next, &next.storage, &context);
            }
        }
    }
    assert!(sealed > 10, "only {sealed} cuts");
}

/// R01, R02, R04: many lives in a row, each ended by a power cut or by a killed process at a
/// random step; each goes on from what the one before left.
#[test]
fn r02_many_lives_in_a_row_keep_everything_that_was_ever_durable() {
    for seed in 1..=60 {
        let mut rng = Rng::new(seed << 20);
        let mut rig = Rig::new(MemStorage::new());
        let mut workload = Workload::new(seed);
        for life in 0..12 {
            let context = format!("seed {seed} life {life}");
            rig.storage.halt_at(rig.storage.steps() + 1 + rng.below(80));
            let _ = rig.run(&mut workload, 20, false);
            let storage = rig.storage.clone();
            match rng.below(4) {
                0 => storage.restart_process(),
                // The machine fails a little after the process: recovery must have made durable
                // what it read from the cache.
                1 => {
                    storage.restart_process();
                    let (_, first) = recover_and_check(&rig, &storage, &context);
                    storage.crash(&mut || rng.next());
                    let (_, second) = recover_and_check(&rig, &storage, &context);
                    assert_eq!(first.next_lsn, second.next_lsn, "{context}");
                }
                _ => storage.crash(&mut || rng.next()),
            }
            let (journal, recovered) = recover_and_check(&rig, &storage, &context);
            let kept = recovered.next_lsn.0 as usize - 1;
            rig.records.truncate(kept);
            rig.journal = journal;
            rig.durable = kept;
            workload.resume(&rig.expected());
            let hard = workload.hard_state();
            rig.push(vec![hard]);
        }
    }
}

/// C11: a cut goes to a new segment, and stays a cut: nothing of it comes back later, and it is
/// reported once.
#[test]
fn c11_a_cut_is_sealed_in_a_new_segment_before_the_first_append() {
    let mut seen = 0;
    for seed in 1..=80 {
        let mut rng = Rng::new(seed);
        let (rig, _) = run_until(seed, 30, 60 + rng.below(60));
        rig.storage.crash(&mut || rng.next());
        let (journal, recovered) = recover_and_check(&rig, &rig.storage, "first");
        let Some(torn) = recovered.torn.clone() else { continue };
        let kept = recovered.next_lsn.0 as usize - 1;
        assert_eq!(torn.first_lsn, recovered.next_lsn);
        let segments = rig.storage.list().unwrap();
        let records = rig.records[..kept].to_vec();
        let mut rig = Rig::going_on(rig.storage, journal, records, rig.hard_max);
        let mut workload = Workload::new(seed + 1000);
        workload.resume(&rig.expected());
        rig.push(vec![workload.hard_state()]);
        rig.run(&mut workload, 3, true).unwrap();
        let (_, again) = recover_and_check(&rig, &rig.storage, "second");
        assert_eq!(again.torn, None, "seed {seed}: {:?}", again.findings);
        assert_eq!(again.next_lsn.0 as usize, rig.records.len() + 1);
        // Where the cut left nothing of its segment, that one was made as new instead.
        if torn.offset > 4096 {
            let used = |names: &[String]| names.iter().filter(|n| n.ends_with(".wal")).count();
            assert!(used(&rig.storage.list().unwrap()) > used(&segments), "seed {seed}");
        }
        seen += 1;
    }
    assert!(seen > 8, "only {seen} cuts");
}

/// R07: a crash at every step of creating a journal leaves something that is refused or complete.
#[test]
fn r07_a_crash_while_a_journal_is_created_leaves_it_refused_or_complete() {
    let whole = Rig::new(MemStorage::new()).storage.steps();
    for step in 1..=whole {
        for sample in 0..20 {
            let storage = MemStorage::new();
            storage.halt_at(step);
            let formatted = format(&storage, &IDENTITY, SHARD, &OPTIONS).is_ok();
            let mut rng = Rng::new(step << 8 | sample);
            storage.crash(&mut || rng.next());
            match Rig::reopen(&storage) {
                Ok((_, recovered)) => assert_eq!(recovered.next_lsn, Lsn(1)),
                Err(error) => {
                    assert!(!formatted, "step {step} sample {sample}: {error}");
                    // An empty directory may be one whose disk is mounted later.
                    let empty = matches!(error, OpenError::NotFormatted);
                    let kind = if empty { FailureKind::Temporary } else { FailureKind::Data };
                    assert_eq!(error.kind(), kind, "{error}");
                }
            }
        }
    }
}

fn accepted(slot: u64, round: u64, chosen_upto: u64, bytes: usize) -> Record {
    let (slot, chosen_upto) = (Slot(slot), Slot(chosen_upto));
    let value = Value::new(vec![round as u8; bytes]);
    Record::Accepted { slot, ballot: ballot(round), chosen_upto, value }
}

/// C9: a watermark of one ballot says nothing of what was accepted in another, whatever the order
/// of the records; once the slot is learned, it counts, and its value is the one learned.
#[test]
fn c09_a_watermark_counts_only_for_what_was_accepted_in_its_very_ballot() {
    let mut rig = Rig::new(MemStorage::new());
    // (1, b1, X) is held; (1, b2, Y) was missed; then b2's leader says that slot 1 is chosen.
    rig.push(vec![accepted(1, 1, 0, 10), accepted(2, 2, 1, 10)]);
    rig.push(vec![Record::Chosen { ballot: ballot(2), slot: Slot(2) }]);
    rig.settle().unwrap();
    let (journal, recovered) = Rig::reopen(&rig.storage).unwrap();
    assert_eq!(recovered.chosen_upto, Slot(0));
    assert_eq!(recovered.open[&Slot(1)].0, ballot(1));

    let value = Value::new(*b"Y");
    rig.journal = journal;
    rig.push(vec![Record::Learned { slot: Slot(1), ballot: ballot(2), value: value.clone() }]);
    rig.settle().unwrap();
    let (mut journal, recovered) = Rig::reopen(&rig.storage).unwrap();
    assert_eq!(recovered.chosen_upto, Slot(2));
    assert_eq!(read(&rig.storage, &mut journal, 1, 1)[&Slot(1)], Ok((ballot(2), value)));
}

/// C3: an open slot was learned in one ballot and accepted in a higher one, and was acknowledged in that
/// one. A start reports no lower one.
#[test]
fn c03_what_was_learned_does_not_hide_a_higher_accept() {
    let mut rig = Rig::new(MemStorage::new());
    let learned = |at| Record::Learned { slot: Slot(at), ballot: ballot(2), value: Value::noop() };
    rig.push(vec![accepted(5, 3, 0, 10), learned(5), learned(6), accepted(6, 3, 0, 10)]);
    rig.settle().unwrap();
    let (_, recovered) = Rig::reopen(&rig.storage).unwrap();
    assert_eq!(recovered.open[&Slot(5)].0, ballot(3));
    assert_eq!(recovered.open[&Slot(6)].0, ballot(3));
}

/// R11: power cuts that hit the first batch of a segment, again and again, use up no segments:
/// what holds nothing but a cut is made as new.
#[test]
fn r11_cuts_of_a_segments_first_batch_use_up_no_disk() {
    let mut rig = Rig::new(MemStorage::new());
    let mut slot = 0;
    // Fills the first segment as far as such records go.
    while rig.storage.list().unwrap().len() < 4 {
        slot += 1;
        rig.push(vec![accepted(slot, 1, 0, 20_000)]);
        rig.settle().unwrap();
    }
    let mut rng = Rng::new(1);
    let mut cuts = 0;
    for life in 0..30 {
        rig.settle().unwrap(); // The next segment is prepared in peace.
        let records = rig.records.clone();
        rig.push(vec![accepted(slot + 1, 1, 0, 40_000)]);
        // Stopped in one of the three steps of the seal at first, later of the batch.
        rig.storage.halt_at(rig.storage.steps() + if life == 0 { 4 } else { 1 + rng.below(3) });
        rig.settle().unwrap_err();
        rig.storage.crash(&mut || rng.next());
        let (journal, recovered) = Rig::reopen(&rig.storage).unwrap();
        assert_undamaged(&recovered, "cut");
        assert_eq!(recovered.next_lsn.0 as usize, records.len() + 1, "life {life}");
        cuts += u64::from(recovered.torn.is_some_and(|torn| torn.offset == 4096));
        (rig.journal, rig.records) = (journal, records);
    }
    assert!(cuts > 10, "only {cuts} cuts of a first batch");
    assert!(rig.storage.list().unwrap().len() <= 5, "{:?}", rig.storage.list());
}

/// R07: a process killed between the rename of a new segment and the sync of the directory leaves
/// a name that is seen but not durable; what is written to that segment must not go with it.
#[test]
fn r07_a_segment_whose_name_was_not_durable_is_made_so_before_use() {
    // Creation and its sync, header and its sync, then the rename and the sync of the directory.
    for step in [5, 6] {
        let mut rig = Rig::new(MemStorage::new());
        rig.storage.halt_at(rig.storage.steps() + step);
        rig.settle().unwrap_err();
        rig.storage.restart_process();
        let (journal, _) = Rig::reopen(&rig.storage).unwrap();
        rig.journal = journal;
        for slot in 1..=4 {
            rig.push(vec![accepted(slot, 1, 0, 20_000)]);
            while let Some(job) = rig.journal.next_job() {
                // The preparation of the segment after next is slow, and comes too late.
                if matches!(job, Job::Batch(_)) {
                    let done = execute(&rig.storage, job).unwrap();
                    assert!(matches!(rig.journal.done(done), Some(JournalEvent::Durable(_))));
                    rig.durable += 1;
                }
            }
        }
        assert_eq!(rig.durable, 4, "the second segment must be in use");
        rig.storage.crash(&mut || 0);
        recover_and_check(&rig, &rig.storage, &format!("step {step}"));
    }
}

/// A5, C11: where zeros are not written as fast as records, segments are taken that were allocated and never
/// written. Cut at every step of it, any block is what was written or zeros, and what is torn is cut, never
/// taken for damage.
#[test]
fn c11_a_cut_over_unwritten_segments_keeps_what_was_durable() {
    let push = |rig: &mut Rig, records: u64| {
        let first = rig.records.len() as u64 + 1;
        rig.push((first..first + records).map(|slot| accepted(slot, 1, slot - 1, 9_000)).collect());
        rig.settle()
    };
    let mut rig = Rig::new(MemStorage::new());
    push(&mut rig, 20).unwrap();
    assert!(!rig.fills.contains(&Fill::Allocated), "ready in time: {:?}", rig.fills);
    rig.prepares_late = true;
    push(&mut rig, 60).unwrap();
    let spares = rig.fills.iter().rev().take_while(|fill| **fill == Fill::Allocated).count();
    assert!(spares >= 2, "{:?}", rig.fills);
    let mut torn = 0;
    for step in 1..=40 {
        for sample in 0..6 {
            let context = format!("step {step} sample {sample}");
            let mut rng = Rng::new(step << 8 | sample);
            let storage = rig.storage.duplicate();
            let journal = Rig::reopen(&storage).unwrap().0;
            let mut rig = Rig::going_on(storage, journal, rig.records.clone(), rig.hard_max);
            rig.storage.halt_at(rig.storage.steps() + step);
            while push(&mut rig, 1 + step % 3).is_ok() {}
            rig.storage.crash(&mut || rng.next());
            let (_, recovered) = recover_and_check(&rig, &rig.storage, &context);
            torn += u64::from(recovered.torn.is_some());
        }
    }
    assert!(torn > 20, "torn only {torn} times");
}
