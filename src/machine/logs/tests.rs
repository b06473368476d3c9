//! Extents against a list of where every entry lies.

use super::extents::{CHUNK_EXTENTS, LogExtent, LogExtents};
use crate::machine::tests::generated;
use crate::types::{Index, Slot};
use proptest::prelude::*;

fn extent(first: u64, count: u32, slot: u64, offset: u32) -> LogExtent {
    LogExtent { first: Index(first), count, slot: Slot(slot), offset, bytes: bytes_of(count) }
}

/// Ten bytes an entry; none where that would pass 32 bits.
fn bytes_of(count: u32) -> u32 {
    count.checked_mul(10).unwrap_or(0)
}

fn record(extents: &mut LogExtents, run: (Index, u32), slot: Slot, offset: u32) {
    extents.record(run, bytes_of(run.1), slot, offset);
}

fn find(extents: &LogExtents, index: Index) -> Option<LogExtent> {
    extents.from(index).next().copied()
}

fn all(extents: &LogExtents) -> Vec<LogExtent> {
    extents.from(Index(0)).copied().collect()
}

// Appends of one slot share an extent, whatever lay between them; those of two slots do not.
#[test]
fn appends_of_one_slot_share_an_extent() {
    let mut extents = LogExtents::default();
    assert!(all(&extents).is_empty() && find(&extents, Index(0)).is_none());
    record(&mut extents, (Index(0), 2), Slot(5), 8);
    record(&mut extents, (Index(2), 1), Slot(5), 90);
    record(&mut extents, (Index(3), 4), Slot(6), 8);
    assert_eq!(all(&extents), [extent(0, 3, 5, 8), extent(3, 4, 6, 8)]);
    assert_eq!((all(&extents).len(), extents.end()), (2, Index(7)));
    assert_eq!(find(&extents, Index(2)), Some(extent(0, 3, 5, 8)));
    assert_eq!(find(&extents, Index(3)), Some(extent(3, 4, 6, 8)));
    assert_eq!(find(&extents, Index(7)), None);
}

// A refused append parts the extent: a reader counting appends would take its entries for ours.
#[test]
fn a_refused_append_parts_an_extent() {
    let mut extents = LogExtents::default();
    record(&mut extents, (Index(0), 1), Slot(5), 8);
    extents.interrupt();
    record(&mut extents, (Index(1), 1), Slot(5), 90);
    record(&mut extents, (Index(2), 1), Slot(5), 120);
    assert_eq!(all(&extents), [extent(0, 1, 5, 8), extent(1, 2, 5, 90)]);
}

// A run longer than 32 bits can count goes on in a second extent.
#[test]
fn a_count_does_not_overflow() {
    let mut extents = LogExtents::default();
    record(&mut extents, (Index(0), u32::MAX), Slot(1), 8);
    record(&mut extents, (Index(u64::from(u32::MAX)), 2), Slot(1), 9);
    assert_eq!(all(&extents), [extent(0, u32::MAX, 1, 8), extent(u64::from(u32::MAX), 2, 1, 9)]);
}

// What cannot come from applying slots in order is a broken invariant, not an entry in the index.
#[test]
fn an_extent_out_of_order_is_refused() {
    let mut extents = LogExtents::default();
    record(&mut extents, (Index(0), 2), Slot(5), 50);
    for (first, count, slot, offset) in
        [(3, 1, 6, 8), (1, 1, 6, 8), (2, 0, 6, 8), (2, 1, 4, 60), (2, 1, 5, 50), (2, 1, 5, 40)]
    {
        let mut extents = extents.clone();
        let recorded = std::panic::catch_unwind(move || {
            record(&mut extents, (Index(first), count), Slot(slot), offset);
        });
        assert!(recorded.is_err(), "first={first} count={count} slot={slot} offset={offset}");
    }
    let fresh =
        std::panic::catch_unwind(|| record(&mut LogExtents::default(), (Index(1), 1), Slot(1), 8));
    assert!(fresh.is_err(), "a log began at index 1");
}

// Chunks are sealed on the way, and nothing is lost at their seams.
#[test]
fn chunks_seal_without_a_gap() {
    let mut extents = LogExtents::default();
    let count = 3 * CHUNK_EXTENTS as u64 + 1;
    for nth in 0..count {
        record(&mut extents, (Index(2 * nth), 2), Slot(nth + 1), 8);
        assert_eq!(all(&extents).len() as u64, nth + 1);
        assert_eq!(extents.end(), Index(2 * nth + 2));
    }
    for nth in 0..count {
        for index in [2 * nth, 2 * nth + 1] {
            assert_eq!(find(&extents, Index(index)), Some(extent(2 * nth, 2, nth + 1, 8)));
        }
        assert_eq!(extents.from(Index(2 * nth)).count() as u64, count - nth);
    }
    assert_eq!(find(&extents, Index(2 * count)), None);
}

// C28: what lies whole before the first index is forgotten, and its bytes are said; what is left is found
// as before, through full chunks and in the middle of one, and a log may be trimmed to nothing.
#[test]
fn c28_trimmed_extents_are_forgotten() {
    let mut extents = LogExtents::default();
    let count = 2 * CHUNK_EXTENTS as u64 + 10;
    for nth in 0..count {
        record(&mut extents, (Index(2 * nth), 2), Slot(nth + 1), 8);
    }
    let (mut first, mut bytes) = (0, 20 * count);
    for step in [1, 1, 4, 300, 2 * CHUNK_EXTENTS as u64, 7, 2, 1000] {
        first = (first + step).min(2 * count);
        let gone = extents.trim(Index(first));
        bytes -= gone;
        let left = count - first / 2;
        assert_eq!((all(&extents).len() as u64, bytes), (left, 20 * left), "trimmed to {first}");
        let nth = first / 2;
        let next = (nth < count).then(|| extent(2 * nth, 2, nth + 1, 8));
        assert_eq!(find(&extents, Index(first)), next);
        assert_eq!(extents.end(), Index(2 * count));
        assert_eq!(extents.trim(Index(first)), 0, "once is enough");
    }
    record(&mut extents, (Index(2 * count), 1), Slot(count + 1), 8);
    assert_eq!(all(&extents), [extent(2 * count, 1, count + 1, 8)]);
}

// C28: retention by bytes keeps as many as it must, and no extent more.
#[test]
fn c28_as_many_bytes_are_kept_as_asked_for() {
    let mut extents = LogExtents::default();
    for nth in 0..10 {
        record(&mut extents, (Index(nth), 1), Slot(nth + 1), 8);
    }
    let kept = |bytes| extents.keeps_bytes(bytes, 100).0;
    assert_eq!([1, 10, 11, 20, 99, 100, 1000].map(kept), [9, 9, 8, 8, 0, 0, 0]);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Append(u32),
    Refused,
    NextSlot,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1u32..4).prop_map(Step::Append),
        1 => Just(Step::Refused),
        3 => Just(Step::NextSlot),
    ]
}

proptest! {
    #![proptest_config(generated(64))]

    // Every index leads to the run of appends that holds it, as a plain list of all entries says.
    #[test]
    fn extents_agree_with_a_list_of_entries(
        steps in prop::collection::vec(step(), 0..2500),
        probes in prop::collection::vec(any::<prop::sample::Index>(), 32),
    ) {
        let (mut extents, mut model) = (LogExtents::default(), Vec::<(Slot, u32)>::new());
        let (mut slot, mut offset, mut run) = (Slot(1), 8u32, None);
        for step in steps {
            match step {
                Step::Append(count) => {
                    record(&mut extents, (Index(model.len() as u64), count), slot, offset);
                    let place = *run.get_or_insert((slot, offset));
                    model.extend((0..count).map(|_| place));
                }
                Step::Refused => {
                    extents.interrupt();
                    run = None;
                }
                Step::NextSlot => {
                    slot = slot.next();
                    run = None;
                }
            }
            offset += 20;
        }
        prop_assert_eq!(extents.end(), Index(model.len() as u64));
        let mut runs = model.clone();
        runs.dedup();
        prop_assert_eq!(all(&extents).len(), runs.len(), "one extent per run, no more");
        for probe in probes {
            let index = probe.index(model.len() + 1);
            let found: Vec<(Slot, u32)> = extents
                .from(Index(index as u64))
                .flat_map(|e| (e.first.0..e.end().0).map(move |at| (at, (e.slot, e.offset))))
                .filter(|(at, _)| *at >= index as u64)
                .map(|(_, place)| place)
                .collect();
            prop_assert_eq!(&found[..], &model[index..]);
            let first = find(&extents, Index(index as u64));
            prop_assert_eq!(first.map(|e| (e.slot, e.offset)), model.get(index).copied());
        }
    }
}
