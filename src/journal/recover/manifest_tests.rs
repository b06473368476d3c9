//! Journals that do not begin with their first segment, record and slot.

#![allow(clippy::unwrap_used)]

use crate::journal::format::item::ITEM_BYTES;
use crate::journal::format::layout::file_name;
use crate::journal::recover::recovered::FindingKind;
use crate::journal::segment::manifest::Manifest;
use crate::journal::test_rig::{accept, formatted, read, reopen, value};
use crate::journal::write::jobs::ReadDamage;
use crate::journal::write::journal::Journal;
use crate::limits::{BLOCK_BYTES, WINDOW_SLOTS};
use crate::storage::MemStorage;
use crate::storage::Storage;
use crate::types::{Lsn, SegmentId, Slot};

const LATER: Manifest =
    Manifest { first_segment: SegmentId(7), first_lsn: Lsn(5000), first_slot: Slot(900) };

fn segments(storage: &MemStorage) -> Vec<String> {
    let names = storage.list().unwrap();
    names.into_iter().filter(|name| name.starts_with("segment-")).collect()
}

/// A journal whose first segment is 7 and whose first LSN is 5000 is listed, recovered, indexed and
/// read as any other; what lies before its first slot is trimmed.
#[test]
fn a_journal_may_begin_anywhere() {
    let (storage, mut journal) = formatted(&LATER);
    accept(&storage, &mut journal, 900..=1200);
    assert!(journal.segments() > 5, "{} segments", journal.segments());
    assert_eq!(segments(&storage)[0], &*file_name(SegmentId(7)));
    assert_eq!(segments(&storage).len() as u64, journal.segments());

    let (journal, recovered) = reopen(&storage, &LATER).unwrap();
    assert_eq!(recovered.next_lsn, Lsn(5301));
    assert_eq!(recovered.chosen_upto, Slot(1199));
    assert_eq!(recovered.open.keys().collect::<Vec<_>>(), [&Slot(1200)]);
    assert!(recovered.findings.is_empty(), "{:?}", recovered.findings);
    assert_eq!(segments(&storage).len() as u64, journal.segments());
    for slot in (900..=1200).map(Slot) {
        assert_eq!(journal.locate(slot).unwrap().lsn, Lsn(slot.0 + 4100));
        assert_eq!(read(&storage, &journal, slot).unwrap().1, value(slot), "slot {slot}");
    }
    for slot in [Slot(1), Slot(899)] {
        assert_eq!(journal.locate(slot), None);
        let trimmed = ReadDamage::Trimmed { slot, first: Slot(900) };
        assert_eq!(read(&storage, &journal, slot), Err(trimmed));
    }
    assert_eq!(read(&storage, &journal, Slot(1201)), Err(ReadDamage::NotHeld { slot: Slot(1201) }));
}

/// The first segment is missing where it is the manifest's, and only there.
#[test]
fn a_missing_first_segment_is_named_as_the_manifest_does() {
    let (storage, mut journal) = formatted(&LATER);
    accept(&storage, &mut journal, 900..=1000);
    let earlier = Manifest { first_segment: SegmentId(6), ..LATER };
    for (manifest, missing) in [(&earlier, 6), (&LATER, 7)] {
        if missing == 7 {
            storage.remove(&file_name(SegmentId(7))).unwrap();
        }
        let error = reopen(&storage, manifest).unwrap_err().to_string();
        assert!(error.starts_with(&*file_name(SegmentId(missing))), "{error}");
    }
}

/// The first segments of a journal, and what a manifest says once they are dropped.
fn trimmed(journal: &Journal, first_segment: SegmentId) -> Manifest {
    let located = |slot: u64| journal.locate(Slot(slot)).unwrap();
    let first = (1..).find(|slot| located(*slot).segment == first_segment).unwrap();
    Manifest { first_segment, first_lsn: located(first).lsn, first_slot: Slot(first) }
}

/// Leading segments can go: all that the rest holds is found as before, whether their files are
/// gone or only some of them, as an interrupted trim leaves them.
#[test]
fn what_is_kept_is_read_as_before() {
    let (storage, mut journal) = formatted(&Manifest::UNTRIMMED);
    accept(&storage, &mut journal, 1..=400);
    let (_, whole) = reopen(&storage, &Manifest::UNTRIMMED).unwrap();
    let manifest = trimmed(&journal, SegmentId(4));
    assert!(manifest.first_slot > Slot(50), "{manifest:?}");
    for gone in [vec![], vec![1, 3], vec![2]] {
        for id in gone {
            storage.remove(&file_name(SegmentId(id))).unwrap();
        }
        let (kept, recovered) = reopen(&storage, &manifest).unwrap();
        assert_eq!(recovered.hard, whole.hard);
        assert_eq!(recovered.next_lsn, whole.next_lsn);
        assert_eq!(recovered.chosen_upto, whole.chosen_upto);
        assert_eq!(recovered.open, whole.open);
        assert!(recovered.findings.is_empty(), "{:?}", recovered.findings);
        assert_eq!(recovered.stats.segments, whole.stats.segments - 3);
        assert_eq!(kept.segments(), journal.segments() - 3);
        for slot in (manifest.first_slot.0..=400).map(Slot) {
            assert_eq!(kept.locate(slot), journal.locate(slot));
            assert_eq!(read(&storage, &kept, slot), read(&storage, &journal, slot));
        }
        let last = read(&storage, &kept, manifest.trimmed_upto());
        assert!(matches!(last, Err(ReadDamage::Trimmed { .. })), "{last:?}");
    }
    assert_eq!(segments(&storage)[0], &*file_name(SegmentId(4)));
}

/// A journal goes on from where it begins, whatever became of the segments before.
#[test]
fn a_trimmed_journal_goes_on() {
    let (storage, mut journal) = formatted(&Manifest::UNTRIMMED);
    accept(&storage, &mut journal, 1..=300);
    let manifest = trimmed(&journal, SegmentId(3));
    for id in [1, 2] {
        storage.remove(&file_name(SegmentId(id))).unwrap();
    }
    let (mut journal, _) = reopen(&storage, &manifest).unwrap();
    accept(&storage, &mut journal, 301..=500);
    let (journal, recovered) = reopen(&storage, &manifest).unwrap();
    assert_eq!(recovered.next_lsn, Lsn(501));
    assert_eq!(recovered.chosen_upto, Slot(499));
    assert!(recovered.findings.is_empty(), "{:?}", recovered.findings);
    assert_eq!(read(&storage, &journal, Slot(500)).unwrap().1, value(Slot(500)));
}

/// What rots of a trimmed slot is no damage, though its record still lies in a segment that is kept.
#[test]
fn damage_before_the_first_slot_is_none() {
    let (storage, mut journal) = formatted(&LATER);
    accept(&storage, &mut journal, 900..=1000);
    let trimmed = Manifest { first_slot: Slot(950), ..LATER };
    for slot in [Slot(920), Slot(960)] {
        let at = journal.locate(slot).unwrap();
        let body = at.offset + ITEM_BYTES as u64;
        storage.rot(&file_name(at.segment), body..body + 1, |bytes| bytes[0] ^= 4);
    }
    let (journal, recovered) = reopen(&storage, &trimmed).unwrap();
    assert_eq!(recovered.holes.keys().collect::<Vec<_>>(), [&Slot(960)]);
    let kinds: Vec<_> = recovered.findings.iter().map(|found| (found.slot, found.kind)).collect();
    let (mended, damaged) = (FindingKind::Mended, FindingKind::Damaged);
    assert_eq!(kinds, [(Some(Slot(920)), mended), (Some(Slot(960)), damaged)]);
    let of = |slot| read(&storage, &journal, slot).unwrap_err();
    assert!(matches!(of(Slot(920)), ReadDamage::Trimmed { .. }));
    assert!(matches!(of(Slot(960)), ReadDamage::Damaged { .. }));
}

/// Records that are lost at the very front are bounded by what was trimmed before them (C4, C5), and
/// count from the first LSN.
#[test]
fn c04_records_lost_at_the_front_lie_close_behind_what_was_trimmed() {
    let (storage, mut journal) = formatted(&LATER);
    accept(&storage, &mut journal, 900..=1000);
    let (first, second) = (journal.locate(Slot(900)).unwrap(), journal.locate(Slot(901)).unwrap());
    let name = file_name(first.segment);
    storage.rot(&name, first.offset - ITEM_BYTES as u64..second.offset, |bytes| bytes.fill(0xff));
    let end = storage.len(&name).unwrap();
    storage.rot(&name, end - BLOCK_BYTES as u64..end, |bytes| bytes.fill(0xff));
    let (_, recovered) = reopen(&storage, &LATER).unwrap();
    let lost: Vec<_> = recovered.findings.iter().filter_map(|found| found.lsns).collect();
    assert_eq!(lost, [(Lsn(5000), Lsn(5000))]);
    let [lost] = recovered.losses.lost[..] else { panic!("{:?}", recovered.losses) };
    assert_eq!(recovered.chosen_upto, Slot(899));
    let window = 2 * WINDOW_SLOTS;
    assert_eq!(lost.bound.upto, Slot(899).plus(window).plus(1));
}
