//! Each condition of release, by itself: without it a segment would go that somebody needs.

use super::decision::Basis;
use crate::checkpoint::Kept;
use crate::index::{SpanPart, SpanRow, SpanSpec, write_span};
use crate::journal::{FullSegment, JournalStart};
use crate::shard::keeping::Stays;
use crate::shard::spans::Spans;
use crate::storage::MemStorage;
use crate::types::{
    ClusterId, FileOwner, FormatLevel, Incarnation, Index, LogId, Lsn, NodeId, SegmentId, ShardId,
    Slot, SlotRanges,
};
use std::collections::BTreeMap;
use std::sync::Arc;

const MIB: u64 = 1 << 20;
/// No segment is emptied.
static NONE: BTreeMap<SegmentId, Slot> = BTreeMap::new();

/// A checkpoint from which a start reads the journal from this segment on.
fn checkpoint(slot: u64, segment: u64) -> Kept {
    let (segment, first_lsn) = (SegmentId(segment), Lsn(1));
    let journal = JournalStart { segment, first_lsn, highest_slot: Slot(slot) };
    Kept { slot: Slot(slot), digest: 0, runs: Vec::new(), state_bytes: 0, journal }
}

/// Five segments of a MiB with ten slots each.
fn segments() -> impl Iterator<Item = FullSegment> {
    (1..=5).map(|id| FullSegment {
        segment: SegmentId(id),
        bytes: MIB,
        slots: SlotRanges::new([(Slot(10 * id - 9), Slot(10 * id))]),
    })
}

/// What goes, and why the first one stays, where no entry is live.
fn decide(basis: Basis<'_>) -> (Vec<u64>, Stays) {
    let decision = basis.decide(segments());
    assert_eq!(decision.dead_bytes, 5 * MIB);
    (decision.goes.iter().map(|id| id.0).collect(), decision.stays)
}

/// C26: only what lies before the start of the older of two checkpoints goes.
#[test]
fn c26_the_older_checkpoint_needs_what_lies_behind_it() {
    let spans = Spans::default();
    let is_confirmed = true;
    let basis =
        |kept| Basis { kept, spans: &spans, is_confirmed, catchup_bytes: 0, emptied: &NONE };
    let two = [checkpoint(30, 4), checkpoint(60, 9)];
    assert_eq!(decide(basis(&two)), (vec![1, 2, 3], Stays::Goes));
    assert!(basis(&two).decide(segments()).wants_cut);
    assert_eq!(decide(basis(&two[1..])), (vec![], Stays::Later));
    assert_eq!(decide(basis(&[])), (vec![], Stays::Later));
    // A segment with a slot above the older checkpoint's stays, wherever that one's start is.
    let low = [checkpoint(25, 4), checkpoint(60, 9)];
    assert_eq!(decide(basis(&low)), (vec![1, 2], Stays::Goes));
    let all = [checkpoint(50, 6), checkpoint(60, 9)];
    assert_eq!(decide(basis(&all)), (vec![1, 2, 3, 4, 5], Stays::Goes));
    assert!(!basis(&all).decide(segments()).wants_cut);
}

/// C26, C29: while a peer installs, three checkpoints are kept, and what lies before the oldest of them goes as before:
/// a peer that takes long does not fill this disk.
#[test]
fn c26_a_checkpoint_that_is_kept_for_a_peer_holds_up_no_release() {
    let spans = Spans::default();
    let is_confirmed = true;
    let basis =
        |kept| Basis { kept, spans: &spans, is_confirmed, catchup_bytes: 0, emptied: &NONE };
    let three = [checkpoint(25, 3), checkpoint(50, 6), checkpoint(60, 9)];
    assert_eq!(decide(basis(&three)), (vec![1, 2], Stays::Goes));
    assert!(basis(&three).decide(segments()).wants_cut);
}

/// C25, C26: nothing goes before another voter confirmed the older checkpoint.
#[test]
fn c26_others_must_confirm_what_goes() {
    let (spans, kept) = (Spans::default(), [checkpoint(50, 6), checkpoint(60, 9)]);
    let basis = |is_confirmed| Basis {
        kept: &kept,
        spans: &spans,
        is_confirmed,
        catchup_bytes: 0,
        emptied: &NONE,
    };
    assert_eq!(decide(basis(false)), (vec![], Stays::Unconfirmed));
    assert_eq!(decide(basis(true)), (vec![1, 2, 3, 4, 5], Stays::Goes));
}

/// C26: of what may go the newest segments stay for members that were away.
#[test]
fn c26_catchup_bytes_stay() {
    let (spans, kept) = (Spans::default(), [checkpoint(50, 6), checkpoint(60, 9)]);
    let is_confirmed = true;
    let basis = |catchup_bytes| Basis {
        kept: &kept,
        spans: &spans,
        is_confirmed,
        catchup_bytes,
        emptied: &NONE,
    };
    assert_eq!(decide(basis(2 * MIB)), (vec![1, 2, 3], Stays::Goes));
    assert_eq!(decide(basis(2 * MIB + 1)), (vec![1, 2], Stays::Goes));
    assert_eq!(decide(basis(5 * MIB)), (vec![], Stays::CatchUp));
}

/// C26: what may be live stays, and so does what was found dead by a later state than the older
/// checkpoint's; a span that is missing is asked for.
#[test]
fn c26_what_may_be_live_stays() {
    let kept = [checkpoint(50, 6), checkpoint(60, 9)];
    let spans = Spans::start(Vec::new(), Slot(20));
    let is_confirmed = true;
    let basis =
        Basis { kept: &kept, spans: &spans, is_confirmed, catchup_bytes: 0, emptied: &NONE };
    let decision = basis.decide(segments());
    assert_eq!(decision.goes, [3, 4, 5].map(SegmentId));
    assert_eq!((decision.stays, decision.dead_bytes), (Stays::Live, 3 * MIB));
    assert_eq!(decision.missing, Some((Slot(0), Slot(20))));
    assert!(!decision.wants_cut);

    let mut spans = dead_since(55);
    let decide = |spans: &Spans, kept: &[Kept]| {
        Basis { kept, spans, is_confirmed, catchup_bytes: 0, emptied: &NONE }.decide(segments())
    };
    let decision = decide(&spans, &kept);
    assert_eq!((decision.goes, decision.wants_cut), ([1, 2, 4, 5].map(SegmentId).to_vec(), true));
    let later = [checkpoint(60, 9), checkpoint(70, 10)];
    assert_eq!(decide(&spans, &later).goes, [1, 2, 3, 4, 5].map(SegmentId));
    assert_eq!(spans.forget(Slot(50), &[], Slot(60)), Vec::<String>::new());
}

/// C30: a segment that has copies of old values beside new ones stays for neither of the slots between.
#[test]
fn c30_slots_between_copies_and_others_keep_nothing() {
    let kept = [checkpoint(50, 6), checkpoint(60, 9)];
    let (dead, live) = (dead_since(40), Spans::start(Vec::new(), Slot(20)));
    let with_copies = |slots| FullSegment { segment: SegmentId(5), bytes: MIB, slots };
    let around = with_copies(SlotRanges::new([(Slot(21), Slot(21)), (Slot(45), Slot(50))]));
    let over = with_copies(SlotRanges::new([(Slot(3), Slot(3)), (Slot(45), Slot(50))]));
    for (spans, segment, goes) in [(&dead, &around, 1), (&live, &around, 1), (&live, &over, 0)] {
        let basis =
            Basis { kept: &kept, spans, is_confirmed: true, catchup_bytes: 0, emptied: &NONE };
        let decision = basis.decide([segment.clone()].into_iter());
        assert_eq!(decision.goes.len(), goes, "{segment:?}: {decision:?}");
        assert_eq!(decision.kept_slots, segment.slots.as_slice());
    }
}

/// C30: a segment whose live values were copied goes like one of which all is dead: not before the older
/// checkpoint has the state by which the others were dead. Others that live entries keep may be compacted once
/// no start reads them.
#[test]
fn c30_an_emptied_segment_goes() {
    let kept = [checkpoint(40, 5), checkpoint(60, 9)];
    let spans = Spans::start(Vec::new(), Slot(50));
    let decide = |emptied: &BTreeMap<SegmentId, Slot>, is_confirmed| {
        Basis { kept: &kept, spans: &spans, is_confirmed, catchup_bytes: 0, emptied }
            .decide(segments())
    };
    let pinned = |ids: &[u64]| ids.iter().map(|id| (SegmentId(*id), MIB)).collect::<Vec<_>>();
    let none = decide(&NONE, true);
    assert_eq!((none.goes, none.pinned), (vec![], pinned(&[1, 2, 3, 4])));
    assert_eq!(decide(&NONE, false).pinned, pinned(&[]));
    let decision = decide(&[(SegmentId(2), Slot(40))].into(), true);
    assert_eq!((decision.goes, decision.pinned), (vec![SegmentId(2)], pinned(&[1, 3, 4])));
    let later = decide(&[(SegmentId(2), Slot(41))].into(), true);
    assert_eq!((later.goes, later.wants_cut), (vec![], true));
    // What a start reads stays, and so does what nobody confirmed.
    assert_eq!(decide(&[(SegmentId(5), Slot(40))].into(), true).goes, vec![]);
    assert_eq!(decide(&[(SegmentId(2), Slot(40))].into(), false).goes, vec![]);
}

/// A span of the slots of segment 3, which is dead since a slot.
fn dead_since(slot: u64) -> Spans {
    let (cluster, node, incarnation) = (ClusterId(7), NodeId(1), Incarnation(9));
    let owner = FileOwner { cluster, node, incarnation, shard: ShardId(0) };
    let (storage, spec) = (MemStorage::new(), SpanSpec { owner, after: Slot(20), upto: Slot(30) });
    let row = SpanRow { log: LogId(1), last: Index(5), entries: 1 };
    let mut parts = [Ok(SpanPart { row, slots: (Slot(25), Slot(25)) })].into_iter();
    let span =
        write_span(&storage, (&spec, FormatLevel::FIRST), &mut parts).expect("there is space");
    let mut spans = Spans::default();
    spans.add(Arc::new(span));
    spans.look_again();
    assert!(spans.look(Slot(slot), 10, |_| false).is_some(), "its row is to be read");
    spans.read(Slot(30), &[vec![row]], |_| false);
    assert!(spans.look(Slot(slot), 10, |_| false).is_none());
    spans
}
