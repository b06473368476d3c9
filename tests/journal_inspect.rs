//! Looking at a journal without touching it: what `inspect` says is what recovery would find, and
//! not one bit of the storage changes.

#![allow(clippy::unwrap_used)]

mod journal_rig;

use journal_rig::{IDENTITY, OPTIONS, Rig, Rng, SHARD, Workload};
use paxosd::journal::{FindingKind, Recovered, inspect};
use paxosd::storage::{MemStorage, Storage};
use std::sync::atomic::{AtomicU64, Ordering};

/// Every byte of every file that can be read, sector by sector.
fn bytes_of(storage: &MemStorage) -> Vec<(String, Vec<Option<Vec<u8>>>)> {
    let sector = |name: &str, at: u64| {
        let mut buf = vec![0; 512];
        storage.read_at(name, at, &mut buf).ok().map(|()| buf)
    };
    let content = |name: &String| {
        let bytes = storage.len(name).unwrap();
        (0..bytes).step_by(512).map(|at| sector(name, at)).collect()
    };
    storage.list().unwrap().iter().map(|name| (name.clone(), content(name))).collect()
}

/// Inspects a storage, compares it with before, and then with what recovery makes of a copy.
fn inspected(storage: &MemStorage, context: &str) -> Option<Recovered> {
    let (before, steps) = (bytes_of(storage), storage.steps());
    let read = AtomicU64::new(0);
    let count = |bytes| {
        read.fetch_add(bytes, Ordering::Relaxed);
    };
    let seen = inspect(storage, &IDENTITY, SHARD, &count);
    assert!(bytes_of(storage) == before, "{context}: the storage was changed");
    assert_eq!(storage.steps(), steps, "{context}: writes, syncs and removals");
    let recovered = Rig::reopen(&storage.duplicate());
    match (seen, recovered) {
        (Ok(seen), Ok((_, recovered))) => {
            assert_eq!(seen, recovered, "{context}");
            assert!(read.into_inner() >= OPTIONS.segment_bytes, "{context}: hardly anything read");
            Some(seen)
        }
        (Err(seen), Err(recovered)) => {
            assert_eq!(seen.to_string(), recovered.to_string(), "{context}");
            None
        }
        (seen, recovered) => {
            panic!("{context}: {:?} against {:?}", seen.is_ok(), recovered.is_ok())
        }
    }
}

/// R04: a batch cut short at any step of the disk is torn to both, and only recovery repairs it.
#[test]
fn r04_what_a_power_cut_leaves_is_seen_and_left_alone() {
    let (mut torn, mut wiped) = (0, 0);
    for seed in 1..=150 {
        let storage = MemStorage::new();
        let mut rig = Rig::new(storage.clone());
        let mut rng = Rng::new(seed);
        storage.halt_at(storage.steps() + 1 + rng.below(90));
        let stopped = rig.run(&mut Workload::new(seed), 40, true);
        storage.crash(&mut || rng.next());
        let recovered = inspected(&storage, &format!("seed {seed}")).unwrap();
        if let Some(tail) = &recovered.torn {
            assert!(stopped.is_err(), "seed {seed}: torn without a stop");
            torn += 1;
            wiped += u64::from(tail.offset == 4096);
        }
    }
    assert!(torn > 10 && wiped > 0, "{torn} torn, {wiped} of them at a segment's start");
}

/// R05, R08: blocks that were zeroed, garbled or cannot be read are found as recovery finds them.
#[test]
fn r08_rot_and_read_errors_are_found_and_left_alone() {
    let (mut damaged, mut one_copy, mut placed, mut refused) = (0, 0, 0, 0);
    for seed in 1..=2 {
        let mut rig = Rig::new(MemStorage::new());
        rig.run(&mut Workload::new(seed), 60, true).unwrap();
        let mut rng = Rng::new(seed);
        for name in rig.storage.list().unwrap() {
            for at in (0..rig.storage.len(&name).unwrap()).step_by(4096) {
                let storage = rig.storage.duplicate();
                let way = rng.below(3);
                match way {
                    0 => storage.rot(&name, at..at + 4096, |bytes| bytes.fill(0)),
                    1 => storage.rot(&name, at..at + 4096, |bytes| {
                        bytes.iter_mut().for_each(|byte| *byte ^= 0x5a);
                    }),
                    _ => storage.make_unreadable(&name, at..at + 4096),
                }
                let context = format!("seed {seed} {name} at {at} way {way}");
                let Some(recovered) = inspected(&storage, &context) else {
                    refused += 1;
                    continue;
                };
                for finding in &recovered.findings {
                    damaged += u64::from(finding.kind == FindingKind::Damaged);
                    one_copy += u64::from(finding.kind == FindingKind::OneCopy);
                    placed += u64::from(finding.slot.is_some() && finding.lsns.is_some());
                }
            }
        }
    }
    assert!(damaged > 50 && one_copy > 50 && placed > 50, "{damaged} {one_copy} {placed}");
    assert_eq!(refused, 0, "one block never costs the whole journal");
}

/// A first batch that shows a pre-image, in a block that cannot be read: recovery's zeros over it
/// are read back from memory, and the walk ends.
#[test]
fn r08_an_unreadable_block_that_is_cut_is_cut_once() {
    let mut rig = Rig::new(MemStorage::new());
    let mut workload = Workload::new(5);
    workload.value_bytes_max = 200;
    let mut records = vec![workload.hard_state()];
    while records.len() < 12 {
        records.extend(workload.burst());
    }
    rig.push(records);
    rig.settle().unwrap();
    let name = "segment-00000000000000000001.wal";
    let top = rig.storage.len(name).unwrap();
    // Both headers of the batch are gone: one as zeros, one behind a read error.
    rig.storage.rot(name, 4096..4096 + 512, |bytes| bytes.fill(0));
    rig.storage.make_unreadable(name, top - 512..top);
    let seen = inspect(&rig.storage, &IDENTITY, SHARD, &|_| {}).unwrap();
    assert_eq!(seen.torn.map(|torn| (torn.offset, torn.records)), Some((4096, None)));
    assert_eq!(seen.next_lsn.0, 1);
}
