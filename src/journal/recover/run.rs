//! Reading a journal back after a stop.

use crate::journal::format::identity::Identity;
use crate::journal::format::item::{ITEM_BYTES, JournalId, Previous};
use crate::journal::format::layout::{
    BLOCK, DATA_START, SegmentHeader, Writing, file_name, header_block,
};
use crate::journal::format::open_error::OpenError;
use crate::journal::recover::conclude::Replayed;
use crate::journal::recover::missing;
use crate::journal::recover::open_slots::read_open;
use crate::journal::recover::opening::{
    EarlierSegment, Segment, Segments, clean_directory, list_segments,
};
use crate::journal::recover::recovered::{FindingKind, Recovered, TornTail};
use crate::journal::recover::replay::{About, FilePlace, Replay};
use crate::journal::recover::short_segment;
use crate::journal::recover::tail::{self, Ending, Torn};
use crate::journal::segment::batch_scan::{self, BatchScan, Limit, Part};
use crate::journal::segment::reader::SegmentReader;
use crate::journal::segment::records::{CheckedBatch, check_batch, check_gap, shows_pre_image};
use crate::journal::segment::start::{Baseline, JournalStart};
use crate::journal::write::hard_state::{self, Opened};
use crate::journal::write::journal::{Journal, JournalOptions, Restored, Tail};
use crate::limits::BLOCK_BYTES;
use crate::storage::{Storage, StorageError, StorageOp};
use crate::types::{Ballot, Damage, Losses, Lsn, Released, SegmentId, ShardId, Slot};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

/// Reads a shard's journal back: all of it, or what a start with the checkpoint at a slot needs. Of
/// what lies before that only the files are looked at; every slot up to the checkpoint's is chosen
/// and applied.
///
/// # Errors
/// When the journal must not be used as it is; damage of single records is not among it. With
/// [`OpenError::StartMoved`] the journal is not as the checkpoint says: the caller takes an older
/// checkpoint, and none at last.
pub fn recover(
    storage: &dyn Storage,
    identity: &Identity,
    shard: ShardId,
    options: &JournalOptions,
    from: Option<(Slot, JournalStart)>,
) -> Result<(Journal, Recovered), OpenError> {
    recover_knowing(storage, identity, shard, options, (from, &Released::default()))
}

/// As [`recover`], where the checkpoint names what was released before it was taken: of that, no record
/// need be left.
///
/// # Errors
/// As for [`recover`].
pub fn recover_knowing(
    storage: &dyn Storage,
    identity: &Identity,
    shard: ShardId,
    options: &JournalOptions,
    (from, released): (Option<(Slot, JournalStart)>, &Released),
) -> Result<(Journal, Recovered), OpenError> {
    read_back(storage, identity, shard, options, (Scope::From(from), released))
}

/// What is read of a journal.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scope {
    /// What a start needs; all of it without a checkpoint.
    From(Option<(Slot, JournalStart)>),
    /// All that is left of it, though that may not be enough for a start.
    WhatIsLeft,
}

/// Reads a journal back, as [`recover_knowing`] does.
pub(crate) fn read_back(
    storage: &dyn Storage,
    identity: &Identity,
    shard: ShardId,
    options: &JournalOptions,
    (scope, released): (Scope, &Released),
) -> Result<(Journal, Recovered), OpenError> {
    let mut baseline = match scope {
        Scope::From(from) => Baseline::new(from),
        Scope::WhatIsLeft => Baseline::NONE,
    };
    let journal_id = JournalId::new(identity, shard);
    let names = clean_directory(storage)?;
    let opened = hard_state::open(storage, &journal_id)?;
    let listed = list_segments(storage, &journal_id, options, &baseline, &names)?;
    let Segments { earlier, segments, missing, short: short_segment } = listed;
    if !baseline.has_checkpoint() {
        baseline.start = first_left(&segments);
    }
    let mut recovery = Recovery {
        storage,
        journal_id,
        names,
        start: baseline.start,
        earlier,
        segments,
        replay: Replay::new(&baseline),
        boots_before: 0,
        torn: None,
        one_header_copy: None,
    };
    recovery.check_start()?;
    for (id, segment) in &recovery.earlier {
        Arc::make_mut(&mut recovery.replay.index.spilled).set(*id, segment.places.clone());
    }
    // The lives that began before show whether a record is that of a boot or a repeated one.
    let lives = opened.hard.lives.iter();
    let before = lives.filter(|life| life.start < baseline.start.first_lsn.prev());
    recovery.boots_before = before.map(|life| life.id.boots).max().unwrap_or_default();
    recovery.note_hard_state(&opened);
    let ended = recovery.find_end()?;
    recovery.replay_upto(&ended)?;
    recovery.replay.released.merge(released);
    missing::settle(&mut recovery.replay, &missing)?;
    let is_enough = baseline.has_checkpoint() || missing.is_empty();
    if !is_enough && matches!(scope, Scope::From(_)) {
        return Err(missing::refuse(&recovery.replay, &missing));
    }
    if let Some(short_segment) = short_segment {
        let after_spare = recovery.segments_after(ended.last).next().is_some();
        let (file, kind, text) = short_segment.accept_if_unused(&ended.ending, after_spare)?;
        recovery.replay.add_finding(short_segment::place(&file), kind, text);
    }
    recovery.finish(ended, opened, options)
}

/// The front of what is there.
fn first_left(segments: &BTreeMap<SegmentId, Segment>) -> JournalStart {
    let front = JournalStart::FRONT;
    let first = segments.values().next().filter(|segment| segment.id > front.segment);
    first.map_or(front, |segment| {
        let stated = segment.any.map(|batch| batch.head.previous.first_lsn);
        let first_lsn = stated.unwrap_or(front.first_lsn);
        JournalStart { segment: segment.id, first_lsn, highest_slot: Slot(0) }
    })
}

/// Where the journal ends.
struct Ended {
    last: SegmentId,
    scan: BatchScan,
    ending: Ending,
}

impl Ended {
    fn next_lsn(&self) -> Lsn {
        match self.ending {
            Ending::Clean | Ending::Sealed => self.scan.next_lsn,
            Ending::Torn(torn) => torn.first_lsn,
            Ending::Suspect { next_lsn, .. } => next_lsn,
        }
    }
}

struct Recovery<'a> {
    storage: &'a dyn Storage,
    journal_id: JournalId,
    /// All files of the directory.
    names: Vec<String>,
    start: JournalStart,
    /// The files before the first segment that is read.
    earlier: BTreeMap<SegmentId, EarlierSegment>,
    /// From the first one that is read on, without a gap.
    segments: BTreeMap<SegmentId, Segment>,
    replay: Replay,
    /// The boots before the first record that is read.
    boots_before: u64,
    torn: Option<TornTail>,
    /// The last batch that lacks a copy of its headers, and shows that it was never written.
    one_header_copy: Option<OneHeaderCopy>,
}

/// A batch of which some sector was never written, and nothing is missing.
struct OneHeaderCopy {
    file: Arc<str>,
    offset: u64,
    first_lsn: Lsn,
}

impl Recovery<'_> {
    /// The first segment that is read begins where the checkpoint says, by any batch in it.
    fn check_start(&self) -> Result<(), OpenError> {
        let JournalStart { segment, first_lsn, .. } = self.start;
        let is_front = self.start == JournalStart::FRONT;
        if is_front || !self.replay.index.baseline.has_checkpoint() {
            return Ok(());
        }
        let any = self.segments.get(&segment).and_then(|segment| segment.any);
        let found = any.map(|batch| batch.head.previous.first_lsn);
        if found == Some(first_lsn) { Ok(()) } else { Err(self.moved(found)) }
    }

    fn moved(&self, found: Option<Lsn>) -> OpenError {
        let JournalStart { segment, first_lsn, .. } = self.start;
        OpenError::StartMoved { file: file_name(segment).to_string(), found, first_lsn }
    }

    fn note_hard_state(&mut self, opened: &Opened) {
        if let Some((offset, why)) = &opened.repaired {
            let place = FilePlace { file: hard_state::FILE, offset: *offset };
            let text = format!("a copy of the hard state: {why}; written anew from the other one");
            let interrupted = opened.interrupted;
            let kind = if interrupted { FindingKind::Interrupted } else { FindingKind::OneCopy };
            self.replay.add_finding(place, kind, text);
        }
    }

    fn segment(&self, id: SegmentId) -> &Segment {
        &self.segments[&id]
    }

    /// The segments after this one, in order.
    fn segments_after(&self, id: SegmentId) -> impl Iterator<Item = &Segment> {
        self.segments.range(id.next()..).map(|(_, segment)| segment)
    }

    /// The first LSN of a segment, as its batches say; else the one that must come next.
    fn first_lsn(&self, id: SegmentId, expected: Lsn) -> Lsn {
        self.segment(id).any.map_or(expected, |batch| batch.head.previous.first_lsn)
    }

    /// Finds the last segment in use and judges its end. A segment whose very first batch is cut
    /// holds nothing: it is made as new, and the one before it is the last.
    fn find_end(&mut self) -> Result<Ended, OpenError> {
        loop {
            let used = self.segments.values().rev().find(|segment| segment.any.is_some());
            let last = used.map_or(self.start.segment, |segment| segment.id);
            let ended = self.end_of(last, self.start.first_lsn)?;
            if self.erase_if_first_batch_torn(&ended)? {
                continue;
            }
            // Behind it there can be the remains of one more batch, in the segment after it.
            let remains = self.segments_after(last).find(|segment| segment.dirty).map(|s| s.id);
            let Some(remains) = remains else { return Ok(ended) };
            let after = self.end_of(remains, ended.next_lsn())?;
            if !self.erase_if_first_batch_torn(&after)? {
                return Ok(after);
            }
        }
    }

    fn end_of(&self, last: SegmentId, expected: Lsn) -> Result<Ended, OpenError> {
        let mut reader = SegmentReader::new(self.storage, last, self.segment(last).bytes);
        let first = self.first_lsn(last, expected);
        let scan = batch_scan::walk(&mut reader, &self.journal_id, first, None)?;
        let ending = tail::judge(&mut reader, &self.journal_id, &scan)?;
        Ok(Ended { last, scan, ending })
    }

    /// Makes a segment as new if its very first batch is cut. Says whether it did.
    fn erase_if_first_batch_torn(&mut self, ended: &Ended) -> Result<bool, OpenError> {
        let Ending::Torn(torn) = ended.ending else { return Ok(false) };
        if torn.data_end != DATA_START {
            return Ok(false);
        }
        if ended.last == self.start.segment && self.start != JournalStart::FRONT {
            // How the segment before ends is known to a start that reads it.
            return Err(self.moved(None));
        }
        self.note_torn(ended.last, &torn);
        self.erase(ended.last, DATA_START..self.segment(ended.last).bytes)?;
        let segment = self.segments.get_mut(&ended.last).expect("the last segment is on the list");
        (segment.any, segment.dirty) = (None, false);
        Ok(true)
    }

    /// Makes a range of a segment zero, durably. Only ever adds zeros: a stop in between leaves a
    /// batch that is cut all the more.
    fn erase(&self, segment: SegmentId, range: Range<u64>) -> Result<(), OpenError> {
        let name = file_name(segment);
        let mut reader = SegmentReader::new(self.storage, segment, self.segment(segment).bytes);
        let mut from = range.start;
        while let Some(at) = reader.first_dirty_block(from..range.end)? {
            let write = self.storage.write_at(&name, at, &[0; BLOCK_BYTES]);
            write.map_err(StorageError::at(StorageOp::Write, &name, at))?;
            from = at + BLOCK;
        }
        self.storage.sync(&name).map_err(StorageError::at(StorageOp::Sync, &name, 0))?;
        Ok(())
    }

    /// What follows a cut goes to another segment. Where none is there, because the disk is full and
    /// earlier cuts have used up the spare ones, the cut batch is erased, and its segment goes on as if
    /// it had never been begun: otherwise the node could not even record that it started (R11).
    fn reuse_without_spare(&self, mut ended: Ended) -> Result<Ended, OpenError> {
        let Ending::Torn(torn) = ended.ending else { return Ok(ended) };
        if self.segments_after(ended.last).next().is_some() {
            return Ok(ended);
        }
        self.erase(ended.last, torn.data_end..torn.desc_start)?;
        (ended.scan.data, ended.scan.desc) = (torn.data_end, torn.desc_start);
        ended.scan.next_lsn = torn.first_lsn;
        ended.ending = Ending::Clean;
        Ok(ended)
    }

    fn note_torn(&mut self, segment: SegmentId, torn: &Torn) {
        let file = file_name(segment).to_string();
        let place = FilePlace { file: &file, offset: torn.data_end };
        let records = torn.records.map_or("an unknown number of".to_string(), |n| n.to_string());
        let text = format!(
            "the last batch was never completely written: {records} records from {} on, {} bytes, \
             are cut off",
            torn.first_lsn, torn.bytes
        );
        let last = torn.records.filter(|n| *n > 0).map(|n| Lsn(torn.first_lsn.0 + n - 1));
        let about = About { lsns: last.map(|last| (torn.first_lsn, last)), slot: None };
        self.replay.add_finding_about(place, FindingKind::Torn, about, text);
        // Each record takes a header and a descriptor.
        let most = torn.records.unwrap_or(torn.bytes / (2 * ITEM_BYTES as u64)).max(1);
        // Remains of one more batch may have been cut before: no record of either is forgotten.
        let last = torn.first_lsn.plus(most - 1);
        let last = self.torn.as_ref().map_or(last, |before| before.last_lsn.max(last));
        self.torn = Some(TornTail {
            file: file.clone(),
            offset: torn.data_end,
            first_lsn: torn.first_lsn,
            records: torn.records,
            bytes: torn.bytes,
            last_lsn: last,
            // Known once all is read.
            damage: Damage { ballot_max: Ballot::ZERO, upto: Slot(0), suspect: false },
        });
    }

    /// Replays every record up to the end.
    fn replay_upto(&mut self, ended: &Ended) -> Result<(), OpenError> {
        if let Ending::Torn(torn) = &ended.ending {
            self.note_torn(ended.last, torn);
        }
        let ids: Vec<SegmentId> = self.segments.range(..=ended.last).map(|(id, _)| *id).collect();
        for id in ids {
            let mut reader = SegmentReader::new(self.storage, id, self.segment(id).bytes);
            let first_lsn = self.first_lsn(id, self.replay.expected());
            let stated = self.segment(id).any.map(|batch| batch.head.previous.first_lsn);
            self.replay.facts.begin(id, stated);
            if id > self.start.segment && !self.segments.contains_key(&id.prev()) {
                self.replay.pass_over(first_lsn);
            }
            if id == ended.last {
                self.replay.suspect_from = match ended.ending {
                    Ending::Suspect { from, .. } => from,
                    Ending::Clean | Ending::Sealed | Ending::Torn(_) => Lsn(u64::MAX),
                };
                let kept = match ended.ending {
                    Ending::Torn(torn) => torn.data_end,
                    Ending::Clean | Ending::Sealed | Ending::Suspect { .. } => u64::MAX,
                };
                self.replay_scan(&mut reader, &ended.scan, first_lsn, kept)?;
            } else {
                let next = self.segments.get(&id.next()).and_then(|segment| segment.any);
                let previous = next.map(|batch| batch.head.previous);
                self.replay.suspect_from =
                    previous.map_or(Lsn(u64::MAX), |p| Lsn(p.first_lsn.0 - u64::from(p.unsure)));
                let limit = previous.as_ref().map(Limit::new);
                let scan = batch_scan::walk(&mut reader, &self.journal_id, first_lsn, limit)?;
                self.replay_scan(&mut reader, &scan, first_lsn, u64::MAX)?;
                if let Some(previous) = previous {
                    let place = FilePlace { file: &reader.name, offset: scan.data };
                    self.replay.expect(previous.first_lsn, place);
                }
            }
            self.note_segment(&reader);
        }
        self.after_halved(true);
        Ok(())
    }

    fn replay_scan(
        &mut self,
        reader: &mut SegmentReader<'_>,
        scan: &BatchScan,
        segment_first: Lsn,
        kept: u64,
    ) -> Result<(), OpenError> {
        for part in &scan.parts {
            match part {
                Part::Batch(batch) if batch.head.offset >= kept => {}
                Part::Batch(batch) => {
                    let checked = check_batch(reader, &self.journal_id, batch)?;
                    let name = reader.name.clone();
                    let place = FilePlace { file: &name, offset: batch.head.offset };
                    self.replay.stats.batches += 1;
                    self.replay.stats.bytes += batch.data_end() - batch.head.offset;
                    self.replay.stats.bytes += batch.desc_top() - batch.desc_start();
                    if batch.head.records > 0 {
                        self.after_halved(self.begins_a_life(&checked));
                    }
                    if !checked.complete && checked.is_whole(batch.head.records) {
                        let (file, offset) = (file_name(reader.segment), batch.head.offset);
                        self.one_header_copy =
                            Some(OneHeaderCopy { file, offset, first_lsn: batch.head.first_lsn });
                        if !shows_pre_image(reader, &self.journal_id, batch)? {
                            self.after_halved(false);
                        }
                    }
                    self.add(checked, segment_first, batch.head.first_lsn, batch.next_lsn(), place);
                }
                Part::Gap(gap) => {
                    self.after_halved(false);
                    let checked = check_gap(reader, &self.journal_id, gap)?;
                    let name = reader.name.clone();
                    let place = FilePlace { file: &name, offset: gap.data };
                    let text = "the headers of one batch or more do not verify".to_string();
                    self.replay.add_finding(place, FindingKind::OneCopy, text);
                    self.add(checked, segment_first, gap.first_lsn, gap.next_lsn, place);
                }
            }
        }
        Ok(())
    }

    /// The batch's first record is that of a boot: the batch before it was the last one of a life.
    fn begins_a_life(&self, checked: &CheckedBatch) -> bool {
        let first = checked.records.first().and_then(|seen| seen.hard.as_ref());
        first.is_some_and(|hard| hard.boots > self.replay.hard.boots.max(self.boots_before))
    }

    /// What lies behind a batch that lacks a copy of its headers shows why. Behind the last one of
    /// a life, whose end came in between, there is the next life, or nothing. Any other was durable
    /// before the next one was written: the copy was there, and the disk has lost it.
    fn after_halved(&mut self, ended: bool) {
        let Some(OneHeaderCopy { file, offset, first_lsn }) = self.one_header_copy.take() else {
            return;
        };
        let (kind, what) = if ended {
            (FindingKind::Interrupted, "was never written, as a crash leaves it")
        } else {
            (FindingKind::OneCopy, "does not verify")
        };
        let text = format!(
            "of the batch from record {first_lsn} on one copy of some header {what}; the other one \
             serves"
        );
        self.replay.add_finding(FilePlace { file: &file, offset }, kind, text);
    }

    fn add(
        &mut self,
        checked: CheckedBatch,
        segment_first: Lsn,
        first: Lsn,
        next: Lsn,
        place: FilePlace<'_>,
    ) {
        self.replay.expect(first, place);
        for seen in &checked.records {
            self.replay.add(seen, segment_first, place);
        }
        self.replay.expect(next, place);
    }

    fn note_segment(&mut self, reader: &SegmentReader<'_>) {
        self.replay.stats.segments += 1;
        let place = |offset| FilePlace { file: &reader.name, offset };
        if !matches!(self.segment(reader.segment).header, SegmentHeader::Intact(_)) {
            let text = "the segment's header does not verify; the batches say the same".to_string();
            self.replay.add_finding(place(0), FindingKind::OneCopy, text);
        }
        for range in &reader.unreadable {
            let text = format!("{} bytes cannot be read", range.end - range.start);
            self.replay.add_finding(place(range.start), FindingKind::OneCopy, text);
        }
    }

    fn finish(
        mut self,
        ended: Ended,
        opened: Opened,
        options: &JournalOptions,
    ) -> Result<(Journal, Recovered), OpenError> {
        let ended = self.reuse_without_spare(ended)?;
        let next_lsn = ended.next_lsn();
        let spares = self.spares(&ended)?;
        let tail = self.new_tail(&ended, &spares)?;
        self.remove_left_over()?;
        let bytes = self.segments.values().map(|segment| segment.bytes);
        let files = (
            (self.earlier.len() + self.segments.len()) as u64,
            bytes.chain(self.earlier.values().map(|segment| segment.bytes)).sum(),
        );
        let mut hard = opened.hard.clone();
        hard_state::merge(&mut hard, &self.replay.hard);
        if let Some(torn) = &mut self.torn {
            // The file of the hard state was written before any record that rests on it (C2).
            let upto = self.replay.reach(torn.last_lsn.0 - torn.first_lsn.0 + 1);
            torn.damage = Damage { ballot_max: hard.promised, upto, suspect: false };
        }
        let witnessed = std::mem::take(&mut self.replay.witnessed);
        let name = file_name(ended.last);
        let place = FilePlace { file: &name, offset: ended.scan.data };
        let replayed = self.replay.finish(hard.promised, next_lsn, place);
        let (open, left) = read_open(self.storage, &self.journal_id, &replayed)?;
        let losses = Losses { lost: replayed.lost(), left };
        let Replayed { replay, chosen_upto, holes } = replayed;
        let recovered = Recovered {
            hard: hard.clone(),
            next_lsn,
            chosen_upto,
            open,
            holes,
            losses,
            witnessed,
            checkpoints: replay.checkpoints,
            released: Arc::clone(&replay.index.spilled.released),
            torn: self.torn,
            findings: replay.findings,
            stats: replay.stats,
        };
        let journal = Journal::new(Restored {
            journal_id: self.journal_id,
            options: *options,
            tail,
            files,
            spares,
            next_lsn,
            // Past the number of a batch that was cut or cannot be read.
            next_number: ended.scan.next_number + 2,
            marked: ended.scan.mark,
            hard_changed: hard != opened.hard,
            hard,
            hard_sequence: opened.sequence,
            index: replay.index,
            facts: replay.facts,
        });
        Ok((journal, recovered))
    }

    /// What was released and is still there goes.
    fn remove_left_over(&mut self) -> Result<(), OpenError> {
        let released = Arc::clone(&self.replay.index.spilled.released);
        for id in missing::remove_left_over(self.storage, &self.names, &released)? {
            self.earlier.remove(&id);
            Arc::make_mut(&mut self.replay.index.spilled).forget(id);
        }
        Ok(())
    }

    /// The segments behind the last one in use, all zero by now. A header that does not verify is
    /// written anew.
    fn spares(&self, ended: &Ended) -> Result<VecDeque<(SegmentId, u64)>, OpenError> {
        let mut spares = VecDeque::new();
        for segment in self.segments_after(ended.last) {
            if !matches!(segment.header, SegmentHeader::Intact(_)) {
                let name = file_name(segment.id);
                let header = header_block(&self.journal_id, segment.id, segment.bytes);
                self.storage.write_at(&name, 0, &header).map_err(StorageError::at(
                    StorageOp::Write,
                    &name,
                    0,
                ))?;
                self.storage.sync(&name).map_err(StorageError::at(StorageOp::Sync, &name, 0))?;
            }
            spares.push_back((segment.id, segment.bytes));
        }
        Ok(spares)
    }

    fn new_tail(
        &self,
        ended: &Ended,
        spares: &VecDeque<(SegmentId, u64)>,
    ) -> Result<Tail, OpenError> {
        let Ended { last, scan, ending } = ended;
        let next_lsn = ended.next_lsn();
        let ends = |data_end: u64, desc_start: u64, unsure: u64| Previous {
            first_lsn: next_lsn,
            data_end: (data_end / BLOCK) as u32,
            desc_start: (desc_start / BLOCK) as u32,
            unsure: unsure as u32,
        };
        let (previous, seal_first) = match *ending {
            Ending::Clean => {
                let first = Previous { first_lsn: self.start.first_lsn, ..Previous::default() };
                return Ok(Tail::Open(Writing {
                    segment: *last,
                    name: file_name(*last),
                    data: scan.data,
                    desc: scan.desc,
                    previous: scan.previous.unwrap_or(first),
                }));
            }
            Ending::Sealed if spares.is_empty() => {
                // A segment is sealed only when the next one is there.
                return Err(OpenError::Missing { file: file_name(last.next()).to_string() });
            }
            Ending::Sealed => (ends(scan.data, scan.desc, 0), false),
            Ending::Torn(torn) => (ends(torn.data_end, torn.desc_start, 0), true),
            Ending::Suspect { from, next_lsn, data_end, desc_start } => {
                (ends(data_end, desc_start, next_lsn.0 - from.0), true)
            }
        };
        Ok(Tail::Ended { last: *last, previous, seal_first })
    }
}
