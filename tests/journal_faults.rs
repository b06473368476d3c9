//! Full disks, failing syncs, missing files, rotten hard state: what the journal does about each.

#![allow(clippy::unwrap_used)]

mod journal_rig;

use journal_rig::{IDENTITY, OPTIONS, Rig, Rng, SHARD, Workload, ballot, read};
use paxosd::journal::{
    Done, FindingKind, Identity, Job, Journal, JournalEvent, JournalOptions, NoRoom, OpenError,
    ReadDamage, Recovered, ValueRoom, execute, format, recover,
};
use paxosd::limits::value_room_bytes;
use paxosd::storage::{DirLock, FileStorage, MemStorage, Storage, StorageOp};
use paxosd::types::{
    FailureKind, HardState, Incarnation, Lsn, NodeId, Record, ShardId, Slot, Value,
};
use std::collections::BTreeMap;

const FIRST: &str = "segment-00000000000000000001.wal";
const SECOND: &str = "segment-00000000000000000002.wal";

fn accepted(slot: u64, round: u64, bytes: usize) -> Record {
    let value = Value::new(vec![slot as u8 | 1; bytes]);
    Record::Accepted { slot: Slot(slot), ballot: ballot(round), chosen_upto: Slot(0), value }
}

fn hard(round: u64, boots: u64) -> Record {
    // Large enough for a few sectors, so that a copy can be torn.
    let incarnations = (1..=150).map(|node| (NodeId(node), Incarnation(boots))).collect();
    Record::HardState(Box::new(HardState {
        promised: ballot(round),
        boots,
        incarnations,
        ..HardState::default()
    }))
}

fn write(rig: &mut Rig, record: Record) {
    rig.push(vec![record]);
    rig.settle().unwrap();
    assert_eq!(rig.durable, rig.records.len());
}

/// R11: without space for the next segment the journal says so once, keeps writing into what is
/// reserved, and resumes by itself when a retry finds space.
#[test]
fn r11_a_full_disk_is_not_an_error_and_room_comes_back() {
    let mut rig = Rig::new(MemStorage::new());
    write(&mut rig, accepted(1, 1, 10));
    assert!(rig.journal.has_room());
    rig.storage.set_free_bytes(OPTIONS.segment_bytes - 1);
    let mut slot = 1;
    let mut events = Vec::new();
    let mut drain = |rig: &mut Rig| {
        while let Some(job) = rig.journal.next_job() {
            let done = execute(&rig.storage, job).unwrap();
            events.extend(rig.journal.done(done));
        }
        std::mem::take(&mut events)
    };
    // Fills the segment in use and begins the spare one.
    let no_room = loop {
        slot += 1;
        rig.push(vec![accepted(slot, 1, 9000)]);
        let events = drain(&mut rig);
        if let Some(full) = events.iter().find(|event| matches!(event, JournalEvent::NoRoom(_))) {
            break full.clone();
        }
        assert!(rig.journal.has_room());
    };
    let free_bytes = OPTIONS.segment_bytes - 1;
    assert_eq!(no_room, JournalEvent::NoRoom(NoRoom { free_bytes, why: None }));
    assert!(!rig.journal.has_room());
    // Campaigns and no-ops still have a segment, and nothing is tried without being asked.
    for round in 2..5 {
        slot += 1;
        rig.push(vec![hard(round, 1), accepted(slot, round, 0)]);
        let events = drain(&mut rig);
        assert_eq!(events, [JournalEvent::Durable(Lsn(rig.records.len() as u64))]);
    }
    rig.journal.retry_prepare();
    assert!(drain(&mut rig).is_empty(), "a second refusal is no news");
    assert!(!rig.journal.has_room());
    rig.storage.set_free_bytes(10 * OPTIONS.segment_bytes);
    assert!(rig.journal.next_job().is_none(), "retries are the caller's to time");
    rig.journal.retry_prepare();
    assert_eq!(drain(&mut rig), [JournalEvent::Room]);
    assert!(rig.journal.has_room());
    let (_, recovered) = Rig::reopen(&rig.storage).unwrap();
    assert_eq!(recovered.open.len() as u64, slot);
}

/// R11: `min_free_bytes` is kept free, and a disk that fills up while the segment is created is
/// as good as one that was full before.
#[test]
fn r11_min_free_bytes_is_respected() {
    let storage = MemStorage::new();
    let options = JournalOptions { min_free_bytes: 1 << 20, ..OPTIONS };
    format(&storage, &IDENTITY, SHARD, &options).unwrap();
    let (mut journal, _) = recover(&storage, &IDENTITY, SHARD, &options, None).unwrap();
    for (free, room) in [(1 << 20, false), ((1 << 20) + options.segment_bytes, true)] {
        storage.set_free_bytes(free);
        journal.retry_prepare();
        let job = journal.next_job().unwrap();
        assert!(matches!(job, Job::Prepare(_)));
        let done = execute(&storage, job).unwrap();
        journal.done(done);
        assert_eq!(journal.has_room(), room);
    }
}

/// R11: what an earlier attempt without space left behind is in nobody's way.
#[test]
fn r11_the_leftover_of_a_failed_preparation_is_replaced() {
    let mut rig = Rig::new(MemStorage::new());
    rig.storage.create(&format!("{SECOND}.new"), 4096).unwrap();
    write(&mut rig, accepted(1, 1, 10));
    assert_eq!(rig.storage.len(SECOND).unwrap(), OPTIONS.segment_bytes);
    assert!(!rig.storage.list().unwrap().iter().any(|name| name.ends_with(".new")));
}

/// R01: a failed sync is a fatal error that names file and operation, and a recovery after it
/// does not believe what only the page cache shows.
#[test]
fn r01_after_a_failed_sync_recovery_does_not_trust_the_page_cache() {
    for seed in 0..20 {
        let mut rig = Rig::new(MemStorage::new());
        for slot in 1..4 {
            write(&mut rig, accepted(slot, 1, 100));
        }
        let storage = rig.storage.clone();
        storage.restart_process();
        rig.storage.fail_sync_at(1);
        rig.push(vec![accepted(4, 1, 3000)]);
        let error = rig.settle().unwrap_err();
        assert_eq!((error.op, error.file.as_str()), (StorageOp::Sync, FIRST), "{error}");
        assert!(error.to_string().contains("os error 5"), "{error}");
        assert_eq!(rig.durable, 3);

        // The cache still shows the batch, and a sync would now succeed: the trap.
        storage.restart_process();
        let (_, recovered) = Rig::reopen(&storage).unwrap();
        assert_eq!(recovered.next_lsn, Lsn(4), "the batch is not on the medium");
        let mut rng = Rng::new(seed);
        storage.crash(&mut || rng.next());
        let (_, again) = Rig::reopen(&storage).unwrap();
        assert_eq!(again.next_lsn, Lsn(4));
        assert_eq!(again.open.keys().copied().collect::<Vec<_>>(), [1, 2, 3].map(Slot));
    }
}

/// R01: a failed write is fatal as well, wherever it hits: a batch, the hard state, a new segment.
#[test]
fn r01_any_failed_write_is_fatal() {
    let steps = {
        let mut rig = Rig::new(MemStorage::new());
        rig.run(&mut Workload::new(3), 30, true).unwrap();
        rig.storage.steps()
    };
    let first = Rig::new(MemStorage::new()).storage.steps() + 1;
    let mut failed = 0;
    for step in first..=steps {
        let mut rig = Rig::new(MemStorage::new());
        rig.storage.fail_write_at(step);
        match rig.run(&mut Workload::new(3), 30, true) {
            Ok(()) => {} // That step was no write.
            Err(error) => {
                assert_eq!(error.op, StorageOp::Write, "{error}");
                failed += 1;
            }
        }
    }
    assert!(failed > 30, "{failed}");
}

/// C2, R06: cut at every step of a promise, with any subset of sectors surviving and then either
/// copy rotten: a promise that was reported durable is never forgotten, nor is one made up.
#[test]
fn c02_a_promise_that_left_survives_a_crash_and_the_rot_of_either_copy() {
    let (mut kept, mut refused) = (0, 0);
    for step in 1..=40 {
        for sample in 0..12 {
            let mut rig = Rig::new(MemStorage::new());
            rig.storage.restart_process();
            rig.storage.halt_at(step);
            let mut left = 0;
            for round in 1..=5 {
                rig.push(vec![hard(round, round)]);
                if rig.settle().is_err() {
                    break;
                }
                left = round; // It is durable: the promise leaves.
            }
            let mut rng = Rng::new(step << 8 | sample);
            rig.storage.crash(&mut || rng.next());
            for copy in [None, Some(0), Some(64 << 10)] {
                let context = format!("step {step} sample {sample} rot {copy:?}");
                let storage = rig.storage.duplicate();
                if let Some(at) = copy {
                    storage.rot("hard-state", at + 130..at + 131, |bytes| bytes[0] ^= 1);
                }
                match Rig::reopen(&storage) {
                    Ok((_, recovered)) => {
                        let hard = &recovered.hard;
                        assert!(hard.promised >= ballot(left) || left == 0, "{context}: {hard:?}");
                        assert!(hard.promised.round <= left + 1, "{context}: {hard:?}");
                        assert!(hard.boots >= left, "{context}: {hard:?}");
                        kept += 1;
                        // It was repaired: the other copy may rot now.
                        let other = copy.map_or(0, |at| (64 << 10) - at);
                        storage.rot("hard-state", other..other + 4096, |bytes| bytes.fill(0));
                        let (_, again) = Rig::reopen(&storage).unwrap();
                        assert_eq!(again.hard, recovered.hard, "{context}");
                    }
                    // Torn by the crash and rotten by hand: both are gone, and it says so.
                    Err(error) => {
                        assert!(copy.is_some(), "{context}: {error}");
                        assert!(matches!(error, OpenError::HardStateLost { .. }), "{error}");
                        refused += 1;
                    }
                }
            }
        }
    }
    assert!(kept > 1000 && refused > 0, "{kept} {refused}");
}

/// C2: the promised ballot in the hard-state file is never below an accepted ballot in the
/// journal, though the acceptor wrote no hard state for it.
#[test]
fn c02_an_accepted_ballot_raises_the_promised_one_in_the_file() {
    let mut rig = Rig::new(MemStorage::new());
    write(&mut rig, hard(1, 1));
    write(&mut rig, accepted(1, 6, 10));
    // Everything of the accept is destroyed; what is left of its ballot is in the file.
    rig.storage.rot(FIRST, 4096..OPTIONS.segment_bytes, |bytes| bytes.fill(0));
    let (_, recovered) = Rig::reopen(&rig.storage).unwrap();
    assert_eq!(recovered.hard.promised, ballot(6));
    assert_eq!(recovered.hard.boots, 1);
}

fn some_log() -> Rig {
    let mut rig = Rig::new(MemStorage::new());
    rig.run(&mut Workload::new(8), 60, true).unwrap();
    assert!(rig.storage.list().unwrap().len() > 4);
    rig
}

/// R08: a missing or short file refuses the start with its name, and nothing is created anew.
#[test]
fn r08_missing_and_short_files_refuse_the_start_by_name() {
    let rig = some_log();
    let files = rig.storage.list().unwrap();
    // The last segment is the spare one, and holds nothing.
    for name in &files[..files.len() - 1] {
        let storage = rig.storage.duplicate();
        storage.remove(name).unwrap();
        let error = Rig::reopen(&storage).unwrap_err();
        assert!(matches!(&error, OpenError::Missing { file } if file == name), "{name}: {error}");
        assert_eq!(error.kind(), FailureKind::Data);
        assert!(!storage.list().unwrap().contains(name), "{name} was created anew");
    }
    for name in &files[..files.len() - 1] {
        for cut in [1, 512, 4096, 40_000] {
            let storage = rig.storage.duplicate();
            let bytes = storage.len(name).unwrap();
            storage.truncate(name, bytes - cut);
            let error = Rig::reopen(&storage).unwrap_err();
            assert!(
                matches!(&error, OpenError::Length { file, found, .. }
                    if file == name && *found == bytes - cut),
                "{name}: {error}"
            );
        }
    }
    // Short, and its header is gone as well: the first batch knows.
    let storage = rig.storage.duplicate();
    storage.rot(SECOND, 0..512, |bytes| bytes.fill(0));
    storage.truncate(SECOND, OPTIONS.segment_bytes - 8192);
    let error = Rig::reopen(&storage).unwrap_err();
    assert!(matches!(&error, OpenError::Length { file, .. } if file == SECOND), "{error}");

    let empty = MemStorage::new();
    assert!(matches!(Rig::reopen(&empty), Err(OpenError::NotFormatted)));
    assert!(empty.list().unwrap().is_empty());
}

/// R03, R27: files of another cluster, node, incarnation, shard or segment are foreign, not
/// damaged; nothing is written to them.
#[test]
fn r27_foreign_files_are_refused_as_foreign() {
    let rig = some_log();
    let others = [
        Identity { incarnation: Incarnation(6), ..IDENTITY },
        Identity { node: NodeId(3), ..IDENTITY },
    ];
    for other in others {
        let error = recover(&rig.storage, &other, SHARD, &OPTIONS, None).unwrap_err();
        assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
    }
    let error = recover(&rig.storage, &IDENTITY, ShardId(2), &OPTIONS, None).unwrap_err();
    assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
    // One segment copied over another.
    let mut bytes = vec![0; OPTIONS.segment_bytes as usize];
    rig.storage.read_at(FIRST, 0, &mut bytes).unwrap();
    rig.storage.write_at(SECOND, 0, &bytes).unwrap();
    let error = Rig::reopen(&rig.storage).unwrap_err();
    assert!(matches!(&error, OpenError::Foreign { file, .. } if file == SECOND), "{error}");
}

/// R09: batches of one segment that turn up in another are not believed there, nor are those of
/// another incarnation of the node.
#[test]
fn r09_a_stale_batch_in_another_place_is_never_replayed() {
    let rig = some_log();
    let clean = Rig::reopen(&rig.storage).unwrap().1;
    let spare = rig.storage.list().unwrap().pop().unwrap();
    let mut bytes = vec![0; OPTIONS.segment_bytes as usize - 4096];
    rig.storage.read_at(FIRST, 4096, &mut bytes).unwrap();
    rig.storage.write_at(&spare, 4096, &bytes).unwrap();
    let (_, recovered) = Rig::reopen(&rig.storage).unwrap();
    assert_eq!(recovered.chosen_upto, clean.chosen_upto);
    assert_eq!(recovered.open, clean.open);
    assert!(recovered.next_lsn >= clean.next_lsn);
}

/// R03: a newer format version is reported as such, not as damage; a version field that merely
/// rotted is damage, and harmless.
#[test]
fn r03_a_newer_version_is_distinguished_from_a_rotten_version_field() {
    let rig = some_log();
    let clean = Rig::reopen(&rig.storage).unwrap().1;
    for name in rig.storage.list().unwrap() {
        let newer = rig.storage.duplicate();
        newer.rot(&name, 0..128, |item| {
            item[4] = 2;
            let checksum = xxhash_rust::xxh3::xxh3_64(&item[..120]);
            item[120..].copy_from_slice(&checksum.to_le_bytes());
        });
        let error = Rig::reopen(&newer).unwrap_err();
        assert!(
            matches!(&error, OpenError::FutureVersion { file, found: 2, known: 1 } if *file == name),
            "{name}: {error}"
        );
        let rotten = rig.storage.duplicate();
        rotten.rot(&name, 4..5, |version| version[0] = 2);
        let (_, recovered) = Rig::reopen(&rotten).unwrap();
        assert_eq!(recovered.open, clean.open);
        assert_eq!(recovered.hard, clean.hard);
        let gravest = recovered.findings.iter().map(|finding| finding.kind).max();
        // The header of a spare segment is written anew without a word: nothing depended on it.
        assert!(gravest <= Some(FindingKind::OneCopy), "{:?}", recovered.findings);
    }
}

/// A record larger than a segment gets a larger segment of its own; what comes after is unmoved.
#[test]
fn a_record_larger_than_a_segment_is_kept_like_any_other() {
    let mut rig = Rig::new(MemStorage::new());
    let sizes = [100, 200_000, 50, 70_000, 500_000, 3];
    let records = sizes.iter().zip(1..).map(|(bytes, slot)| accepted(slot, 1, *bytes));
    rig.push(records.collect());
    rig.push(vec![Record::Chosen { ballot: ballot(1), slot: Slot(6) }]);
    rig.settle().unwrap();
    assert_eq!(rig.durable, 7);
    let (mut journal, recovered) = Rig::reopen(&rig.storage).unwrap();
    assert!(recovered.findings.is_empty(), "{:?}", recovered.findings);
    assert_eq!(recovered.chosen_upto, Slot(6));
    let values = read(&rig.storage, &mut journal, 1, 6);
    let found: Vec<_> = values.values().map(|v| v.as_ref().unwrap().1.len()).collect();
    assert_eq!(found, sizes);
}

/// Reads: neighbours come in one file read, the limit in bytes is kept but for the first slot,
/// unknown slots and unreadable records fail alone, and what is not durable is not held.
#[test]
fn reads_are_bounded_and_fail_slot_by_slot() {
    let mut rig = Rig::new(MemStorage::new());
    for slot in 1..=6 {
        write(&mut rig, accepted(slot, 1, 1000));
    }
    let got = |rig: &mut Rig, from: u64, upto: u64, bytes: usize| -> Vec<(u64, bool)> {
        let job = rig.journal.read(1, Slot(from), Slot(upto), bytes);
        let Done::Read(done) = execute(&rig.storage, job).unwrap() else { unreachable!() };
        done.values.iter().map(|(slot, result)| (slot.0, result.is_ok())).collect()
    };
    assert_eq!(got(&mut rig, 2, 4, 1 << 20), [(2, true), (3, true), (4, true)]);
    assert_eq!(got(&mut rig, 2, 4, 2000), [(2, true), (3, true)]);
    assert_eq!(got(&mut rig, 2, 4, 0), [(2, true)], "at least one slot");
    assert_eq!(got(&mut rig, 6, 8, 1 << 20), [(6, true), (7, false), (8, false)]);
    rig.push(vec![accepted(7, 1, 10)]);
    let in_flight = rig.journal.next_job().unwrap();
    assert_eq!(rig.journal.locate(Slot(7)), None, "not durable yet");
    let done = execute(&rig.storage, in_flight).unwrap();
    assert_eq!(rig.journal.done(done), Some(JournalEvent::Durable(Lsn(7))));
    assert!(rig.journal.locate(Slot(7)).is_some());

    let place = rig.journal.locate(Slot(3)).unwrap();
    rig.storage.make_unreadable(FIRST, place.offset..place.offset + 512);
    assert_eq!(got(&mut rig, 2, 4, 1 << 20), [(2, true), (3, false), (4, true)]);
    let other = rig.journal.locate(Slot(5)).unwrap();
    rig.storage.rot(FIRST, other.offset + 200..other.offset + 201, |bytes| bytes[0] ^= 8);
    let job = rig.journal.read(7, Slot(5), Slot(5), 1);
    let Done::Read(done) = execute(&rig.storage, job).unwrap() else { unreachable!() };
    assert!(matches!(done.values[0].1, Err(ReadDamage::Damaged { slot: Slot(5), .. })));
}

fn on_disk(storage: &FileStorage) -> (Journal, Recovered) {
    recover(storage, &IDENTITY, SHARD, &OPTIONS, None).unwrap()
}

/// The real thing: files in a directory, written, rolled, reopened and read by another handle; a
/// leftover of an unfinished segment is removed; a segment cut short refuses the start.
#[test]
fn r07_r08_real_files_hold_what_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let _lock = DirLock::acquire(dir.path()).unwrap();
    let storage = FileStorage::new(dir.path());
    format(&storage, &IDENTITY, SHARD, &OPTIONS).unwrap();
    let mut workload = Workload::new(4);
    let mut records: Vec<Record> = Vec::new();
    for _ in 0..3 {
        let (mut journal, recovered) = on_disk(&storage);
        assert_eq!(recovered.next_lsn.0 as usize, records.len() + 1);
        assert!(recovered.findings.is_empty(), "{:?}", recovered.findings);
        for _ in 0..30 {
            for record in workload.burst() {
                records.push(record.clone());
                journal.push(Lsn(records.len() as u64), record);
            }
            while let Some(job) = journal.next_job() {
                let done = execute(&storage, job).unwrap();
                journal.done(done);
            }
        }
        std::fs::write(dir.path().join("segment-00000000000000000099.wal.new"), "half").unwrap();
    }
    let other = FileStorage::new(dir.path());
    let (journal, recovered) = on_disk(&other);
    let expected = journal_rig::add_up(&records);
    assert_eq!(recovered.chosen_upto, expected.chosen_upto);
    assert_eq!(recovered.open, expected.open);
    let job = journal.read(1, Slot(1), expected.chosen_upto, 1 << 30);
    let Done::Read(done) = execute(&other, job).unwrap() else { unreachable!() };
    let found: BTreeMap<_, _> =
        done.values.into_iter().map(|(slot, value)| (slot, value.unwrap().1)).collect();
    assert_eq!(found, expected.chosen);
    assert!(!other.list().unwrap().iter().any(|name| name.ends_with(".new")));
    assert!(other.list().unwrap().len() > 5, "it must have rolled: {:?}", other.list());
    let again = other.create(FIRST, 4096).unwrap_err();
    assert_eq!(again.kind(), std::io::ErrorKind::AlreadyExists);
    assert!(other.free_bytes().unwrap() > 0);

    let path = dir.path().join(FIRST);
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(OPTIONS.segment_bytes - 4096).unwrap();
    let third = FileStorage::new(dir.path());
    let error = recover(&third, &IDENTITY, SHARD, &OPTIONS, None).unwrap_err();
    assert!(matches!(&error, OpenError::Length { file, .. } if file == FIRST), "{error}");
}

/// R11: values that keep to the room that the journal reports leave a full disk's reserve to
/// elections: what those must settle, and behind it votes, still become durable, each as soon as it
/// is pushed.
#[test]
fn r11_a_full_disk_keeps_a_reserve_for_elections() {
    let mut rig = Rig::new(MemStorage::new());
    write(&mut rig, accepted(1, 1, 10));
    rig.storage.set_free_bytes(0);
    let (bytes, mut slot) = (2000, 1);
    let fits = |rig: &Rig, room: fn(ValueRoom) -> u64| {
        value_room_bytes(bytes) <= room(rig.journal.value_room())
    };
    let mut push = |rig: &mut Rig, record: fn(u64) -> Record| {
        slot += 1;
        write(rig, record(slot));
    };
    let value = |slot| accepted(slot, 1, 2000);
    let segments = rig.journal.segments();
    while fits(&rig, |room| room.new_values) {
        push(&mut rig, value);
    }
    assert!(!rig.journal.has_room());
    // The first segment holds seven of these, each in a batch of its own.
    assert!(rig.records.len() > 8, "{} records", rig.records.len());
    let mut settled = 0;
    while fits(&rig, |room| room.election) {
        push(&mut rig, value);
        settled += 1;
    }
    assert!(settled > 1, "an election could settle {settled} values");
    push(&mut rig, |round| hard(round, 1));
    assert_eq!(rig.journal.segments(), segments, "nothing was prepared without space");
    rig.storage.set_free_bytes(10 * OPTIONS.segment_bytes);
    rig.journal.retry_prepare();
    rig.settle().unwrap();
    assert!(rig.journal.has_room() && fits(&rig, |room| room.new_values));
}

/// R11, C11: torn ends use up the segments that a full disk has in reserve, but no number of them
/// keeps the node from recording its next start; what was durable stays.
#[test]
fn r11_torn_ends_do_not_use_up_a_full_disk() {
    let options = JournalOptions { segment_bytes: 1 << 20, min_free_bytes: 0 };
    let storage = MemStorage::new();
    format(&storage, &IDENTITY, SHARD, &options).unwrap();
    let mut torn = 0;
    for boots in 1..40 {
        let (mut journal, recovered) = recover(&storage, &IDENTITY, SHARD, &options, None).unwrap();
        assert_eq!(recovered.hard.boots, boots - 1);
        torn += u64::from(recovered.torn.is_some());
        journal.push(recovered.next_lsn, hard(1, boots));
        while let Some(job) = journal.next_job() {
            journal.done(execute(&storage, job).unwrap());
        }
        assert_eq!(journal.durable_upto(), recovered.next_lsn, "start {boots} is not recorded");
        storage.set_free_bytes(0);
        // The next batch has begun to reach the disk when power fails: its first sectors only.
        journal.push(recovered.next_lsn.next(), accepted(2, 1, 3000));
        storage.halt_at(storage.steps() + 2);
        let job = journal.next_job().unwrap();
        execute(&storage, job).unwrap_err();
        let mut sectors = 0;
        storage.crash(&mut || {
            sectors += 1;
            u64::from(sectors == 1)
        });
    }
    assert!(torn > 30, "{torn} torn ends");
}

/// A process that is killed between the two copies of a batch's headers leaves a note, at this start
/// and at later ones, and no alarm; a copy that was there and is lost is one.
#[test]
fn a_crash_between_two_copies_is_no_alarm() {
    let mut rig = Rig::new(MemStorage::new());
    write(&mut rig, hard(1, 1));
    rig.push(vec![accepted(1, 1, 3000)]);
    let storage = rig.storage.clone();
    // Killed when the data is written and the descriptors are not.
    storage.fail_write_at(storage.steps() + 2);
    execute(&storage, rig.journal.next_job().unwrap()).unwrap_err();
    storage.restart_process();
    for boots in 2..5 {
        let (mut journal, recovered) = recover(&storage, &IDENTITY, SHARD, &OPTIONS, None).unwrap();
        let kinds: Vec<FindingKind> = recovered.findings.iter().map(|found| found.kind).collect();
        assert_eq!(kinds, [FindingKind::Interrupted], "{:?}", recovered.findings);
        assert!(recovered.open.contains_key(&Slot(1)), "nothing is missing");
        journal.push(recovered.next_lsn, hard(1, boots));
        while let Some(job) = journal.next_job() {
            journal.done(execute(&storage, job).unwrap());
        }
    }
    // The same sectors of a batch that did not end a life turn to zeros: the disk has lost them.
    let mut rig = Rig::new(MemStorage::new());
    write(&mut rig, hard(1, 1));
    write(&mut rig, accepted(1, 1, 3000));
    write(&mut rig, accepted(2, 1, 3000));
    let top = OPTIONS.segment_bytes;
    let second = rig.storage.duplicate();
    let blocks = (1..16).map(|block| top - block * 4096).find(|at| {
        let lost = second.duplicate();
        lost.rot(FIRST, *at..*at + 4096, |bytes| bytes.fill(0));
        let (_, recovered) = Rig::reopen(&lost).unwrap();
        let only = |found: &[paxosd::journal::Finding]| {
            found.len() == 1 && found[0].kind == FindingKind::OneCopy
        };
        only(&recovered.findings) && recovered.open.len() == 2
    });
    assert!(blocks.is_some(), "no lost descriptor is an alarm");
}

/// A hard state of more than one sector that power tore between them is explained by that; a header
/// that does not verify is not, nor is a copy too old to have been under way.
#[test]
fn a_torn_copy_of_the_hard_state_is_no_alarm() {
    let mut rig = Rig::new(MemStorage::new());
    write(&mut rig, hard(1, 1));
    write(&mut rig, hard(2, 2));
    let found = |rotten: &MemStorage| -> Vec<FindingKind> {
        let (_, recovered) = Rig::reopen(rotten).unwrap();
        recovered.findings.iter().map(|found| found.kind).collect()
    };
    let torn = rig.storage.duplicate();
    torn.rot("hard-state", 512..1024, |bytes| bytes.fill(7));
    assert_eq!(found(&torn), [FindingKind::Interrupted]);
    let rotten = rig.storage.duplicate();
    rotten.rot("hard-state", 40..41, |bytes| bytes[0] ^= 1);
    assert_eq!(found(&rotten), [FindingKind::OneCopy]);
}
