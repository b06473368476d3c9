//! What must hold of a journal after every call, and between two calls. Run after every step in tests
//! and in the simulator.

use crate::journal::format::batch::{record_bytes, room_bytes};
use crate::journal::format::layout::{BLOCK, DATA_START, EMPTY_BATCH_BYTES, parse_file_name};
use crate::journal::segment::index::{IndexEntry, SegmentIndex};
use crate::journal::write::journal::{BatchInFlight, Journal, SPARES, Tail};
use crate::journal::write::removal::Releasing;
use crate::types::{Ballot, Lsn, RecordKind, SegmentId};

/// The few numbers of a journal that only ever rise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalSummary {
    next_lsn: Lsn,
    durable: Lsn,
    marked: Lsn,
    next_number: u64,
    promised: Ballot,
    hard_sequence: u64,
    last_segment: SegmentId,
    released: u64,
    disk_bytes: u64,
    /// Bytes that were released and are still there.
    leaving_bytes: u64,
}

impl JournalSummary {
    /// The journal's numbers now.
    #[must_use]
    pub fn of(journal: &Journal) -> JournalSummary {
        JournalSummary {
            next_lsn: journal.next_lsn,
            durable: journal.durable,
            marked: journal.marked,
            next_number: journal.next_number,
            promised: journal.hard.promised,
            hard_sequence: journal.hard_sequence,
            last_segment: journal.last_segment(),
            released: journal.released_segments(),
            disk_bytes: journal.files.1,
            leaving_bytes: leaving(journal).1,
        }
    }
}

/// Checks what happened between two calls: nothing that may only rise has fallen.
///
/// # Panics
/// When it has, with both numbers.
pub fn check_step(before: &JournalSummary, after: &JournalSummary) {
    assert!(before.next_lsn <= after.next_lsn, "next LSN fell: {before:?} {after:?}");
    assert!(before.durable <= after.durable, "durable fell: {before:?} {after:?}");
    assert!(before.marked <= after.marked, "the mark fell: {before:?} {after:?}");
    assert!(before.next_number <= after.next_number, "batch number fell: {before:?} {after:?}");
    assert!(before.promised <= after.promised, "promised fell: {before:?} {after:?}"); // C2
    assert!(before.hard_sequence <= after.hard_sequence, "sequence fell: {before:?} {after:?}");
    assert!(before.last_segment <= after.last_segment, "last segment fell: {before:?} {after:?}");
    assert!(before.released <= after.released, "what was released came back: {before:?} {after:?}");
    let left = before.leaving_bytes.saturating_sub(after.leaving_bytes);
    let due = before.disk_bytes - left;
    assert!(due <= after.disk_bytes, "bytes on disk fell: {before:?} {after:?}");
}

/// Segments that were released and are still there, and their bytes.
fn leaving(journal: &Journal) -> (u64, u64) {
    let Releasing { due, under_way, .. } = &journal.releasing;
    let leaving = due.iter().chain(under_way);
    leaving.fold((0, 0), |sum, (_, bytes)| (sum.0 + 1, sum.1 + bytes))
}

/// Checks the state itself, but for the index.
///
/// # Panics
/// When a rule is broken, with the numbers.
pub fn check_state(journal: &Journal) {
    let handed_out = check_lsns(journal);
    check_pending(journal);
    if let Some(batch) = &journal.in_flight {
        check_in_flight(journal, batch);
    }
    check_tail(journal, handed_out.next());
    check_segments(journal);
    check_released(journal);
    check_space(journal);
}

/// LSNs are dense: those that are durable, those in flight, those that wait, and the next one.
/// Returns the last one that was handed out in a batch.
fn check_lsns(journal: &Journal) -> Lsn {
    let (durable, marked) = (journal.durable, journal.marked);
    let handed_out = journal.in_flight.as_ref().map_or(durable, |batch| batch.upto);
    assert!(durable <= handed_out, "durable={durable} beyond the batch in flight, {handed_out}");
    let waiting = journal.pending.len() as u64;
    assert!(
        handed_out.plus(waiting).next() == journal.next_lsn,
        "LSNs have a gap: {handed_out} are handed out, {waiting} wait, the next is {}",
        journal.next_lsn
    );
    assert!(marked <= durable, "marked={marked} beyond durable={durable} (C11)");
    let first = journal.index.baseline.start.first_lsn;
    assert!(durable >= first.prev(), "durable={durable} before the first LSN read, {first}");
    handed_out
}

fn check_pending(journal: &Journal) {
    let bytes: usize = journal.pending.iter().map(record_bytes).sum();
    assert!(bytes == journal.pending_bytes, "{bytes} wait, counted are {}", journal.pending_bytes);
    let room: u64 = journal.pending.iter().map(room_bytes).sum();
    let counted = journal.pending_room;
    assert!(room == counted, "what waits takes up to {room}, counted are {counted} (R11)");
}

fn check_in_flight(journal: &Journal, batch: &BatchInFlight) {
    let (durable, mark) = (journal.durable, batch.mark);
    assert!(mark == durable, "the batch in flight is marked {mark}, durable={durable} (C11)");
    let held = batch.heads.len() as u64;
    let (from, upto) = (durable.next(), batch.upto);
    assert!(durable.plus(held) == upto, "{held} records in flight from {from} to {upto}");
    let Some(last) = batch.heads.last() else { return };
    assert!(!journal.hard_changed, "records in flight rest on a hard state that is not (C2)");
    let mut lsn = from;
    for head in &batch.heads {
        assert!(head.lsn == lsn, "in flight is {}, due was {lsn}", head.lsn);
        lsn = lsn.next();
        let (ballot, promised) = (head.ballot, journal.hard.promised);
        let binds = head.kind == RecordKind::Accepted;
        assert!(!binds || ballot <= promised, "accepted {ballot} above promised {promised} (C2)");
    }
    let first = batch.first_lsn_of_segment;
    assert!(first <= from, "in flight from {from}, the segment begins at {first}");
    let Tail::Open(writing) = &journal.tail else {
        unreachable!("the segment of a batch with records stays open: {:?}", journal.tail);
    };
    let (place, end) = ((last.segment, last.offset + last.span()), (writing.segment, writing.data));
    assert!(place <= end, "in flight up to {place:?}, the tail stands at {end:?}");
}

/// `next` is the first LSN that is in no batch yet.
fn check_tail(journal: &Journal, next: Lsn) {
    match &journal.tail {
        Tail::Open(writing) => {
            let (segment, data, desc) = (writing.segment, writing.data, writing.desc);
            let name = &writing.name;
            let named = parse_file_name(name);
            assert!(named == Some(segment), "segment {segment} is written as {name}");
            assert!(
                data >= DATA_START && data % BLOCK == 0 && desc % BLOCK == 0,
                "segment {segment} goes on at {data} and {desc}"
            );
            assert!(
                data + EMPTY_BATCH_BYTES <= desc,
                "no place is left for the seal of segment {segment}: {data} to {desc}"
            );
            let first = writing.previous.first_lsn;
            assert!(first <= next, "segment {segment} begins at {first}, the next is {next}");
        }
        Tail::Ended { last, previous, .. } => {
            let first = previous.first_lsn;
            assert!(first == next, "segment {last} ends before {first}, the next is {next} (C11)");
        }
    }
}

/// Segments follow each other without a gap: those in use, then the spare ones.
fn check_segments(journal: &Journal) {
    let in_use = journal.segment_in_use();
    let first = journal.index.baseline.start.segment;
    assert!(first <= in_use, "segment {in_use} is in use, the first read is {first}");
    let mut due = in_use;
    for (spare, _) in &journal.spares {
        due = due.next();
        assert!(*spare == due, "segment {spare} is spare, due was {due}");
    }
    let (count, bytes) = journal.files;
    let listed = due.0 - journal.released_segments() + leaving(journal).0;
    assert!(count == listed, "{count} segments, up to {due} are {listed}");
    let spare: u64 = journal.spares.iter().map(|(_, bytes)| *bytes).sum();
    assert!(spare < bytes, "{bytes} bytes of segments, {spare} of the spare ones");
}

/// What was released lies before what a start reads, and nothing knows of it any more (C26).
fn check_released(journal: &Journal) {
    let spilled = &journal.index.spilled;
    let (last, in_use) = (spilled.released.last_segment(), journal.segment_in_use());
    assert!(last < in_use, "segment {last} was released, {in_use} is in use");
    let known = spilled.files().keys().find(|id| spilled.released.contains(**id));
    assert!(known.is_none(), "segment {known:?} was released, and its places are known");
    let read = journal.facts.all().map(|(id, _)| id).find(|id| spilled.released.contains(*id));
    assert!(read.is_none(), "segment {read:?} was released, and a start would read it");
    let recorded = journal.releasing.recorded.as_ref().map(|(lsn, _)| *lsn);
    let durable = journal.durable;
    assert!(recorded.is_none_or(|lsn| lsn > durable), "{recorded:?} is durable, as is {durable}");
}

fn check_space(journal: &Journal) {
    let (blocked, preparing) = (journal.prepare_blocked, journal.preparing);
    assert!(!(blocked && journal.room), "there is room, and preparations wait for it (R11)");
    assert!(!(blocked && preparing), "a segment is prepared while preparations wait");
    let spares = journal.spares.len();
    assert!(!preparing || spares < SPARES, "a segment is prepared beside {spares} spare ones");
}

/// Checks the index: each segment's array is sorted, and holds only what the journal holds. Its work
/// grows with the number of records; only a batch that is done changes the index.
///
/// # Panics
/// When a rule is broken, with the numbers.
pub fn check_index(journal: &Journal) {
    let index = &journal.index;
    let in_use = journal.segment_in_use();
    let mut after: Option<Lsn> = None;
    let last = journal.facts.last_segment();
    index.spilled.check();
    for id in index.spilled.files().keys() {
        assert!(Some(*id) < last, "the places of segment {id} are on disk, the last is {last:?}");
        let twice = index.segments.contains_key(id);
        assert!(!twice, "the places of segment {id} are on disk and in memory");
    }
    for (id, segment) in index.segments.iter().rev() {
        let first = index.baseline.start.segment;
        assert!(
            *id >= first && *id <= in_use,
            "segment {id} is indexed, not of {first} to {in_use}"
        );
        check_segment_index(*id, segment, after.unwrap_or(journal.durable.next()));
        after = Some(segment.first_lsn);
    }
}

/// `after` is an LSN that lies behind every record of the segment.
fn check_segment_index(id: SegmentId, segment: &SegmentIndex, after: Lsn) {
    for entries in segment.arrays() {
        check_entries(id, (segment, entries), after);
    }
}

fn check_entries(id: SegmentId, (segment, entries): (&SegmentIndex, &[IndexEntry]), after: Lsn) {
    let mut place = (0, 0);
    for entry in entries {
        let here = (entry.slot, entry.lsn);
        assert!(place < here, "segment {id}: slot and LSN {here:?} stand behind {place:?}");
        place = here;
        let lsn = segment.first_lsn.plus(u64::from(entry.lsn));
        assert!(lsn < after, "segment {id} holds {lsn}, it ends before {after}");
        let ballots = segment.ballots.len();
        assert!(entry.ballot() < ballots, "segment {id}: no ballot {}: {ballots}", entry.ballot());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{JournalSummary, check_index, check_state, check_step};
    use crate::journal::segment::index::SegmentIndex;
    use crate::journal::test_rig::{accept, accepted, formatted};
    use crate::journal::write::jobs::Job;
    use crate::journal::write::journal::{Journal, Tail};
    use crate::types::{Ballot, Lsn, NodeId, Released, ReleasedRange, SegmentId, Slot};
    use std::any::Any;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Arc;

    /// Breaks one rule.
    type Spoil = fn(&mut Journal);

    /// A journal with two segments full, some records durable in the third, two in flight, and one
    /// that waits.
    fn busy() -> Journal {
        let (storage, mut journal) = formatted();
        accept(&storage, &mut journal, 1..=140);
        let push = |journal: &mut Journal, slot| {
            journal.push(Lsn(slot), accepted(Slot(slot), 1, Slot(0)));
        };
        push(&mut journal, 141);
        push(&mut journal, 142);
        while let Some(job) = journal.next_job() {
            assert!(matches!(job, Job::Batch(_)), "the spares are there: {job:?}");
        }
        push(&mut journal, 143);
        check_state(&journal);
        check_index(&journal);
        assert_eq!(journal.in_flight.as_ref().unwrap().heads.len(), 2);
        assert_eq!((journal.segment_in_use(), journal.spares.len()), (SegmentId(5), 2));
        journal
    }

    fn writing(journal: &mut Journal) -> &mut crate::journal::format::layout::Writing {
        let Tail::Open(writing) = &mut journal.tail else { panic!("the tail is open") };
        writing
    }

    fn index_of(journal: &mut Journal, segment: u64) -> &mut SegmentIndex {
        Arc::make_mut(journal.index.segments.get_mut(&SegmentId(segment)).unwrap())
    }

    /// This segment is said to be gone, and its file is still counted.
    fn released(journal: &mut Journal, segment: u64) {
        let (first, last) = (SegmentId(segment), SegmentId(segment));
        let ranges = vec![ReleasedRange { first, last, slots: (Slot(1), Slot(9)) }];
        let released = Released { ranges, highest_slot: Slot(143) };
        Arc::make_mut(&mut journal.index.spilled).released = Arc::new(released);
        journal.releasing.due.push((first, 1));
    }

    /// What is wrong with a journal after this was done to it.
    fn fault(spoil: impl FnOnce(&mut Journal), check: fn(&Journal)) -> String {
        let mut journal = busy();
        spoil(&mut journal);
        let panic = catch_unwind(AssertUnwindSafe(|| check(&journal))).unwrap_err();
        text_of(panic.as_ref())
    }

    fn text_of(panic: &(dyn Any + Send)) -> String {
        let fixed = panic.downcast_ref::<&str>().map(ToString::to_string);
        fixed.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
    }

    /// Every rule of a state is noticed when it is broken.
    #[test]
    fn a_broken_state_is_noticed() {
        let spoilt: [(Spoil, &str); 21] = [
            (|j| j.durable = Lsn(143), "durable=143 beyond the batch in flight, 142"),
            (|j| j.next_lsn = Lsn(145), "LSNs have a gap: 142 are handed out, 1 wait"),
            (|j| j.marked = Lsn(141), "marked=141 beyond durable=140"),
            (
                |j| j.index.baseline.start.first_lsn = Lsn(142),
                "durable=140 before the first LSN read",
            ),
            (|j| j.pending_bytes += 1, "wait, counted are"),
            (|j| j.pending_room += 1, "takes up to"),
            (|j| j.in_flight.as_mut().unwrap().mark = Lsn(139), "is marked 139, durable=140"),
            (|j| j.in_flight.as_mut().unwrap().heads.truncate(1), "1 records in flight from 141"),
            (|j| j.hard_changed = true, "rest on a hard state"),
            (
                |j| j.in_flight.as_mut().unwrap().heads[1].lsn = Lsn(1),
                "in flight is 1, due was 142",
            ),
            (|j| j.hard.promised = Ballot::ZERO, "above promised"),
            (
                |j| j.in_flight.as_mut().unwrap().first_lsn_of_segment = Lsn(142),
                "the segment begins at 142",
            ),
            (|j| writing(j).data = 8192, "the tail stands at"),
            (|j| writing(j).name = "another".into(), "is written as another"),
            (|j| writing(j).data += 1, "goes on at"),
            (|j| writing(j).desc = writing(j).data + 4096, "no place is left for the seal"),
            (|j| writing(j).previous.first_lsn = Lsn(144), "begins at 144, the next is 143"),
            (|j| j.spares.rotate_left(1), "segment 7 is spare, due was 6"),
            (|j| j.files.0 = 6, "6 segments, up to 7 are 7"),
            (|j| j.files.1 = 1000, "1000 bytes of segments"),
            (|j| j.preparing = true, "beside 2 spare ones"),
        ];
        for (spoil, text) in spoilt {
            let fault = fault(spoil, check_state);
            assert!(fault.contains(text), "{fault:?}, not {text:?}");
        }
        let blocked = fault(|j| j.prepare_blocked = true, check_state);
        assert!(blocked.contains("there is room"), "{blocked}");
        let both =
            fault(|j| (j.prepare_blocked, j.preparing, j.room) = (true, true, false), check_state);
        assert!(both.contains("while preparations wait"), "{both}");
        let ended = |j: &mut Journal| {
            let (last, mut previous) = (writing(j).segment, writing(j).ends(Lsn(143)));
            previous.first_lsn = Lsn(142);
            j.in_flight.as_mut().unwrap().heads.clear();
            (j.in_flight.as_mut().unwrap().upto, j.next_lsn) = (Lsn(140), Lsn(142));
            j.tail = Tail::Ended { last, previous, seal_first: false };
        };
        let ended = fault(ended, check_state);
        assert!(ended.contains("ends before 142, the next is 141"), "{ended}");
        let used = fault(|j| released(j, 5), check_state);
        assert!(used.contains("segment 5 was released, 5 is in use"), "{used}");
        let read = fault(|j| released(j, 1), check_state);
        assert!(read.contains("SegmentId(1)) was released, and a start would read it"), "{read}");
        let first = fault(|j| j.index.baseline.start.segment = SegmentId(6), check_state);
        assert!(first.contains("segment 5 is in use, the first read is 6"), "{first}");
    }

    /// Every rule of the index is noticed when it is broken.
    #[test]
    fn a_broken_index_is_noticed() {
        let spoilt: [(Spoil, &str); 5] = [
            (|j| index_of(j, 2).entries.swap(3, 4), "stand behind"),
            (|j| index_of(j, 2).first_lsn = Lsn(61), "it ends before"),
            (|j| j.durable = Lsn(130), "it ends before 131"),
            (|j| index_of(j, 1).ballots.clear(), "no ballot 0: 0"),
            (
                |j| j.index.baseline.start.segment = SegmentId(2),
                "segment 1 is indexed, not of 2 to 5",
            ),
        ];
        for (spoil, text) in spoilt {
            let fault = fault(spoil, check_index);
            assert!(fault.contains(text), "{fault:?}, not {text:?}");
        }
    }

    /// Every number that falls between two calls is noticed.
    #[test]
    fn a_broken_step_is_noticed() {
        let before = JournalSummary::of(&busy());
        let lower: [(JournalSummary, &str); 9] = [
            (JournalSummary { next_lsn: Lsn(143), ..before }, "next LSN fell"),
            (JournalSummary { durable: Lsn(139), ..before }, "durable fell"),
            (JournalSummary { marked: Lsn(138), ..before }, "the mark fell"),
            (JournalSummary { next_number: 0, ..before }, "batch number fell"),
            (JournalSummary { promised: Ballot::new(0, NodeId(1)), ..before }, "promised fell"),
            (JournalSummary { hard_sequence: 1, ..before }, "sequence fell"),
            (JournalSummary { last_segment: SegmentId(6), ..before }, "last segment fell"),
            (JournalSummary { disk_bytes: 0, ..before }, "bytes on disk fell"),
            (JournalSummary { disk_bytes: before.disk_bytes - 8, ..before }, "bytes on disk fell"),
        ];
        check_step(&before, &before);
        let leaving = JournalSummary { leaving_bytes: 8, ..before };
        check_step(&leaving, &JournalSummary { disk_bytes: before.disk_bytes - 8, ..before });
        let released = JournalSummary { released: 1, ..before };
        let panic = catch_unwind(|| check_step(&released, &before)).unwrap_err();
        assert!(text_of(panic.as_ref()).starts_with("what was released came back"));
        for (after, text) in lower {
            let panic = catch_unwind(|| check_step(&before, &after)).unwrap_err();
            let fault = text_of(panic.as_ref());
            assert!(fault.starts_with(text), "{fault:?}, not {text:?}");
        }
    }
}
