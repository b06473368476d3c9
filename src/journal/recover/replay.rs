//! What the records of a journal add up to. Facts only grow, so their order does not matter,
//! except that ballots rise with LSNs: that bounds what a lost record can have held (C5).

use crate::journal::format::released::RottenRelease;
use crate::journal::recover::recovered::{Finding, FindingKind, Stats};
use crate::journal::segment::facts::JournalFacts;
use crate::journal::segment::index::SlotIndex;
use crate::journal::segment::indexed_record::{DAMAGED, IndexedRecord, SUSPECT};
use crate::journal::segment::records::Seen;
use crate::journal::segment::start::Baseline;
use crate::journal::write::hard_state;
use crate::limits::WINDOW_SLOTS;
use crate::types::{Ballot, HardState, Lsn, NodeId, RecordKind, Released, Slot, Witness};
use std::sync::Arc;

/// Findings kept: enough to see the pattern of a dying disk.
const FINDINGS_MAX: usize = 10_000;

/// Consecutive records that are lost: no header and no descriptor of them verifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MissingRecords {
    pub first: Lsn,
    pub last: Lsn,
    /// No ballot in them is higher; known once a later record bounds it.
    pub ballot_max: Option<Ballot>,
    /// No slot in them is higher.
    pub upto: Slot,
    pub suspect: bool,
}

/// A place in a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FilePlace<'a> {
    pub file: &'a str,
    pub offset: u64,
}

/// What a finding is about, as far as that is known.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct About {
    /// Records, first and last.
    pub lsns: Option<(Lsn, Lsn)>,
    pub slot: Option<Slot>,
}

/// What the records so far add up to, taken in by rising LSN.
#[derive(Debug)]
pub(crate) struct Replay {
    pub index: SlotIndex,
    /// What the records say; the hard-state file is added at the end.
    pub hard: HardState,
    /// What the last record of it says that other members were seen to acknowledge (C13).
    pub witnessed: Vec<(NodeId, Witness)>,
    /// What the segments read so far reach.
    pub facts: JournalFacts,
    /// The highest slot accepted: everything 2α below it was chosen here (C4).
    pub accepted_slot_max: Slot,
    /// The checkpoints that records say were durable, and their digests.
    pub checkpoints: Vec<(Slot, u64)>,
    /// The highest slot of such a record, though its digest may be damaged.
    pub checkpointed: Slot,
    pub lost: Vec<MissingRecords>,
    /// The segments that records say were released.
    pub released: Released,
    /// What the header of the last such record says, where its body does not verify.
    pub rotten_release: Option<RottenRelease>,
    /// The LSN that must come next.
    expected: Lsn,
    /// From this LSN on, what does not verify is suspect, not damaged.
    pub suspect_from: Lsn,
    pub findings: Vec<Finding>,
    pub stats: Stats,
}

impl Replay {
    /// Nothing yet, of a journal that is read from here on.
    pub(crate) fn new(baseline: &Baseline) -> Replay {
        Replay {
            index: SlotIndex::new(*baseline),
            hard: HardState::default(),
            witnessed: Vec::new(),
            facts: JournalFacts::new(baseline.start.highest_slot),
            accepted_slot_max: Slot(0),
            checkpoints: Vec::new(),
            checkpointed: Slot(0),
            lost: Vec::new(),
            released: Released::default(),
            rotten_release: None,
            expected: baseline.start.first_lsn,
            suspect_from: Lsn(u64::MAX),
            findings: Vec::new(),
            stats: Stats::default(),
        }
    }

    pub(crate) fn add_finding(&mut self, place: FilePlace<'_>, kind: FindingKind, text: String) {
        self.add_finding_about(place, kind, About::default(), text);
    }

    pub(crate) fn add_finding_about(
        &mut self,
        place: FilePlace<'_>,
        kind: FindingKind,
        about: About,
        text: String,
    ) {
        if self.findings.len() < FINDINGS_MAX {
            let file = place.file.to_string();
            let About { lsns, slot } = about;
            self.findings.push(Finding { file, offset: place.offset, kind, lsns, slot, text });
        }
    }

    /// The LSN that must come next.
    pub(crate) fn expected(&self) -> Lsn {
        self.expected
    }

    /// The segments before this LSN are not there, and nothing is said of their records.
    pub(crate) fn pass_over(&mut self, next: Lsn) {
        self.expected = self.expected.max(next);
    }

    fn gravity(&self, lsn: Lsn) -> FindingKind {
        if lsn >= self.suspect_from { FindingKind::Suspect } else { FindingKind::Damaged }
    }

    /// Everything below `next` has been fed: what was not is lost.
    pub(crate) fn expect(&mut self, next: Lsn, place: FilePlace<'_>) {
        if self.expected >= next {
            return;
        }
        // Those that are suspect and those that are damaged are distinguished.
        let border = self.suspect_from.clamp(self.expected, next);
        for (first, after) in [(self.expected, border), (border, next)] {
            if first == after {
                continue;
            }
            let kind = self.gravity(first);
            let last = after.prev();
            let about = About { lsns: Some((first, last)), slot: None };
            self.add_finding_about(
                place,
                kind,
                about,
                format!("records {first} to {last} are lost"),
            );
            let upto = self.reach(after.0 - first.0);
            let suspect = kind == FindingKind::Suspect;
            self.facts.lost(upto);
            if let Some(segment) = self.facts.last_segment() {
                Arc::make_mut(&mut self.index.spilled).lost(segment, upto);
            }
            self.lost.push(MissingRecords { first, last, ballot_max: None, upto, suspect });
        }
        self.expected = next;
    }

    /// No slot of so many records behind all that was fed is higher. The first of them lay at most
    /// 2α above what was chosen by then (C4), which lies at or below the highest slot seen; each
    /// further one can have moved that by one. What an earlier loss held can have moved it, too.
    pub(crate) fn reach(&self, records: u64) -> Slot {
        self.facts.highest().plus(2 * WINDOW_SLOTS).plus(records)
    }

    /// Takes in one record of the segment whose first LSN is `segment_first`.
    pub(crate) fn add(&mut self, seen: &Seen, segment_first: Lsn, place: FilePlace<'_>) {
        let head = &seen.head;
        self.expect(head.lsn, place);
        self.expected = self.expected.max(head.lsn.next());
        self.stats.records += 1;
        match head.kind {
            RecordKind::HardState => {
                self.bound_lost(head.ballot);
                self.hard.promised = self.hard.promised.max(head.ballot);
                if let Some(hard) = &seen.hard {
                    hard_state::merge(&mut self.hard, hard);
                }
            }
            RecordKind::Accepted => {
                self.bound_lost(head.ballot);
                self.hard.promised = self.hard.promised.max(head.ballot);
                self.accepted_slot_max = self.accepted_slot_max.max(head.slot);
                self.raise_watermark(head.ballot, head.chosen_upto);
            }
            RecordKind::Checkpoint => {
                self.checkpointed = self.checkpointed.max(head.slot);
                // Of slots that were not applied here, records say nothing of what was chosen (C29).
                let spilled = Arc::make_mut(&mut self.index.spilled);
                spilled.known_only.add(head.chosen_upto.next(), head.slot);
                self.checkpoints.extend(seen.digest.map(|digest| (head.slot, digest)));
            }
            // Of a remnant nothing follows: it gives reads a place, and that is all.
            RecordKind::Learned | RecordKind::Remnant => {}
            RecordKind::Released => self.add_released(seen),
            RecordKind::Chosen => self.raise_watermark(head.ballot, head.slot),
            RecordKind::Witnessed => {
                if let Some(table) = &seen.witnessed {
                    self.witnessed.clone_from(table);
                }
            }
        }
        self.facts.saw(head);
        self.facts.stands(head.kind, seen.intact);
        self.add_value(seen, segment_first, place.file);
    }

    fn add_released(&mut self, seen: &Seen) {
        self.rotten_release = match &seen.released {
            Some(released) => {
                self.released.merge(released);
                None
            }
            None => Some(RottenRelease::of(&seen.head)),
        };
    }

    fn add_value(&mut self, seen: &Seen, segment_first: Lsn, file: &str) {
        let head = &seen.head;
        let gravity = self.gravity(head.lsn);
        if !seen.intact {
            // The file of the hard state says no less than any record of it (C2), the file of a
            // checkpoint holds its digest, too, and what was released is what is missing.
            let twice = match head.kind {
                RecordKind::HardState | RecordKind::Checkpoint | RecordKind::Released => true,
                RecordKind::Accepted
                | RecordKind::Learned
                | RecordKind::Remnant
                | RecordKind::Chosen
                | RecordKind::Witnessed => false,
            };
            let gravity = if twice { FindingKind::OneCopy } else { gravity };
            let text = format!(
                "record {} ({:?} of slot {} in ballot {}): its content does not verify",
                head.lsn, head.kind, head.slot, head.ballot
            );
            let names = head.slot != Slot(0) && head.kind != RecordKind::Released;
            let slot = names.then_some(head.slot);
            let about = About { lsns: Some((head.lsn, head.lsn)), slot };
            self.add_finding_about(FilePlace { file, offset: head.offset }, gravity, about, text);
        }
        let Some(mut found) = IndexedRecord::of(head) else { return };
        if !seen.intact {
            found.flags |= DAMAGED;
            found.flags |= if gravity == FindingKind::Suspect { SUSPECT } else { 0 };
        }
        self.index.insert(segment_first, &found);
        if seen.headless {
            self.index.insert_headless(head.segment, head.offset, head.body_checksum);
        }
    }

    fn raise_watermark(&mut self, ballot: Ballot, slot: Slot) {
        self.index.raise_watermark(ballot, slot);
    }

    /// An acceptor's ballots rise with LSNs: what was lost before is not above this (C5).
    pub(crate) fn bound_lost(&mut self, ballot: Ballot) {
        for lost in self.lost.iter_mut().rev().take_while(|lost| lost.ballot_max.is_none()) {
            lost.ballot_max = Some(ballot);
        }
    }

    /// Marks the records that the watermarks of their ballots cover (C9).
    pub(crate) fn mark_known(&mut self) {
        self.index.mark_known();
    }
}
