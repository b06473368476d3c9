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
    Slot,
};
use std::sync::Arc;

const MIB: u64 = 1 << 20;

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
        slots: Some((Slot(10 * id - 9), Slot(10 * id))),
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
    let basis = |kept| Basis { kept, spans: &spans, is_confirmed, catchup_bytes: 0 };
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

/// C25, C26: nothing goes before another voter confirmed the older checkpoint.
#[test]
fn c26_others_must_confirm_what_goes() {
    let (spans, kept) = (Spans::default(), [checkpoint(50, 6), checkpoint(60, 9)]);
    let basis = |is_confirmed| Basis { kept: &kept, spans: &spans, is_confirmed, catchup_bytes: 0 };
    assert_eq!(decide(basis(false)), (vec![], Stays::Unconfirmed));
    assert_eq!(decide(basis(true)), (vec![1, 2, 3, 4, 5], Stays::Goes));
}

/// C26: of what may go the newest segments stay for members that were away.
#[test]
fn c26_catchup_bytes_stay() {
    let (spans, kept) = (Spans::default(), [checkpoint(50, 6), checkpoint(60, 9)]);
    let is_confirmed = true;
    let basis = |catchup_bytes| Basis { kept: &kept, spans: &spans, is_confirmed, catchup_bytes };
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
    let basis = Basis { kept: &kept, spans: &spans, is_confirmed, catchup_bytes: 0 };
    let decision = basis.decide(segments());
    assert_eq!(decision.goes, [3, 4, 5].map(SegmentId));
    assert_eq!((decision.stays, decision.dead_bytes), (Stays::Live, 3 * MIB));
    assert_eq!(decision.missing, Some((Slot(0), Slot(20))));
    assert!(!decision.wants_cut);

    let mut spans = dead_since(55);
    let decide = |spans: &Spans, kept: &[Kept]| {
        Basis { kept, spans, is_confirmed, catchup_bytes: 0 }.decide(segments())
    };
    let decision = decide(&spans, &kept);
    assert_eq!((decision.goes, decision.wants_cut), ([1, 2, 4, 5].map(SegmentId).to_vec(), true));
    let later = [checkpoint(60, 9), checkpoint(70, 10)];
    assert_eq!(decide(&spans, &later).goes, [1, 2, 3, 4, 5].map(SegmentId));
    assert_eq!(spans.forget(Slot(50), &[], Slot(60)), Vec::<String>::new());
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
    assert!(spans.look(Slot(slot), 10, |_| None).is_some(), "its row is to be read");
    spans.read(Slot(30), &[vec![row]], |_| None);
    assert!(spans.look(Slot(slot), 10, |_| None).is_none());
    spans
}
