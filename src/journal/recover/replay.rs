//! What the records of a journal add up to. Facts only grow, so their order does not matter,
//! except that ballots rise with LSNs: that bounds what a lost record can have held (C5).

use crate::journal::recover::records::Seen;
use crate::journal::recover::recovered::{Finding, FindingKind, Stats};
use crate::journal::segment::index::{DAMAGED, IndexedRecord, SUSPECT, SlotIndex};
use crate::journal::segment::manifest::Manifest;
use crate::journal::write::hard_state;
use crate::limits::WINDOW_SLOTS;
use crate::types::{
    Ballot, Damage, HardState, LostRecords, Lsn, NodeId, RecordKind, Slot, Witness,
};
use std::collections::BTreeMap;

/// Findings kept: enough to see the pattern of a dying disk.
const FINDINGS_MAX: usize = 10_000;

/// Consecutive records that are lost: no header and no descriptor of them verifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LostRange {
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
    /// Per ballot, the highest slot that its leader said is chosen (C9).
    watermarks: BTreeMap<Ballot, Slot>,
    slot_max: Slot,
    /// The highest slot accepted: everything 2α below it was chosen here (C4).
    accepted_slot_max: Slot,
    lost: Vec<LostRange>,
    /// The LSN that must come next.
    expected: Lsn,
    /// From this LSN on, what does not verify is suspect, not damaged.
    pub suspect_from: Lsn,
    pub findings: Vec<Finding>,
    pub stats: Stats,
}

impl Replay {
    /// Nothing yet, of a journal that begins here.
    pub(crate) fn new(manifest: &Manifest) -> Replay {
        Replay {
            index: SlotIndex::new(*manifest),
            hard: HardState::default(),
            witnessed: Vec::new(),
            watermarks: BTreeMap::new(),
            slot_max: manifest.trimmed_upto(),
            accepted_slot_max: manifest.trimmed_upto(),
            lost: Vec::new(),
            expected: manifest.first_lsn,
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
            self.lost.push(LostRange { first, last, ballot_max: None, upto, suspect });
        }
        self.expected = next;
    }

    /// No slot of so many records behind all that was fed is higher. The first of them lay at most
    /// 2α above what was chosen by then (C4), which lies at or below the highest slot seen; each
    /// further one can have moved that by one. What an earlier loss held can have moved it, too.
    pub(crate) fn reach(&self, records: u64) -> Slot {
        let before = self.lost.last().map_or(Slot(0), |lost| lost.upto).max(self.slot_max);
        before.plus(2 * WINDOW_SLOTS).plus(records)
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
            RecordKind::Learned | RecordKind::Trimmed | RecordKind::Checkpoint => {}
            RecordKind::Chosen => self.raise_watermark(head.ballot, head.slot),
            RecordKind::Witnessed => {
                if let Some(table) = &seen.witnessed {
                    self.witnessed.clone_from(table);
                }
            }
        }
        self.slot_max = self.slot_max.max(head.slot).max(head.chosen_upto);
        self.add_value(seen, segment_first, place.file);
    }

    fn add_value(&mut self, seen: &Seen, segment_first: Lsn, file: &str) {
        let head = &seen.head;
        let gravity = self.gravity(head.lsn);
        if !seen.intact {
            // The file of the hard state says no less than any record of it (C2).
            let hard = head.kind == RecordKind::HardState;
            let gravity = if hard { FindingKind::OneCopy } else { gravity };
            let text = format!(
                "record {} ({:?} of slot {} in ballot {}): its content does not verify",
                head.lsn, head.kind, head.slot, head.ballot
            );
            let slot = (head.slot != Slot(0)).then_some(head.slot);
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
        let mark = self.watermarks.entry(ballot).or_default();
        *mark = (*mark).max(slot);
    }

    /// An acceptor's ballots rise with LSNs: what was lost before is not above this (C5).
    fn bound_lost(&mut self, ballot: Ballot) {
        for lost in self.lost.iter_mut().rev().take_while(|lost| lost.ballot_max.is_none()) {
            lost.ballot_max = Some(ballot);
        }
    }

    /// Draws the conclusions from all records. `promised` bounds what was lost at the very end.
    pub(crate) fn finish(
        mut self,
        promised: Ballot,
        next_lsn: Lsn,
        place: FilePlace<'_>,
    ) -> Replayed {
        self.expect(next_lsn, place);
        self.bound_lost(promised);
        let watermarks = std::mem::take(&mut self.watermarks);
        let known = |slot, ballot| watermarks.get(&ballot).is_some_and(|mark| slot <= *mark);
        self.index.mark_known(known);

        let mut chosen = Runs::default();
        for slot in self.index.known_slots() {
            chosen.insert(slot.0);
        }
        let mut holes = BTreeMap::new();
        let mut chosen_upto = Slot(chosen.end_of_run_from(self.index.manifest.first_slot.0));
        if !self.lost.is_empty() {
            // Slots that this acceptor knew to be chosen before it lost the records that say so:
            // it accepts nothing more than 2α above its chosen prefix (C4).
            let floor = Slot(self.accepted_slot_max.0.saturating_sub(2 * WINDOW_SLOTS));
            if floor > chosen_upto {
                for slot in chosen.missing(chosen_upto.0 + 1, floor.0) {
                    self.index.distrust(Slot(slot));
                    holes.insert(Slot(slot), Ballot::ZERO);
                }
                chosen_upto = Slot(chosen.end_of_run_from(floor.0 + 1)).max(floor);
            }
        }
        for found in self.index.damaged() {
            let best = self.index.best(found.slot);
            // The best record's ballot is at or above the one in which the slot was chosen, so that a
            // copy of exactly that ballot is as good. Of a distrusted slot no ballot is known.
            if let Some(best) = best.filter(|best| best.flags & DAMAGED != 0)
                && found.slot <= chosen_upto
            {
                holes.entry(found.slot).or_insert(best.location.ballot);
            }
        }
        self.downgrade_rewritten(chosen_upto, &holes);
        Replayed { replay: self, chosen_upto, holes }
    }

    /// What does not verify and was written again since, or is trimmed, is no damage any more.
    fn downgrade_rewritten(&mut self, chosen_upto: Slot, holes: &BTreeMap<Slot, Ballot>) {
        let intact = |slot: &Slot| {
            let best = self.index.best(*slot);
            let serves = best.is_some_and(|best| best.flags & DAMAGED == 0);
            self.index.manifest.is_trimmed(*slot) || (!holes.contains_key(slot) && serves)
        };
        let passed = |first: Lsn| {
            let lost = self.lost.iter().find(|lost| lost.first == first);
            holes.is_empty() && lost.is_some_and(|lost| lost.upto <= chosen_upto)
        };
        for finding in &mut self.findings {
            let mended = match (finding.kind, finding.slot, finding.lsns) {
                (FindingKind::Damaged | FindingKind::Suspect, Some(slot), _) => intact(&slot),
                (FindingKind::Damaged | FindingKind::Suspect, None, Some((first, _))) => {
                    passed(first)
                }
                (FindingKind::Damaged | FindingKind::Suspect, None, None)
                | (
                    FindingKind::Interrupted
                    | FindingKind::Mended
                    | FindingKind::OneCopy
                    | FindingKind::Torn,
                    ..,
                ) => false,
            };
            if mended {
                finding.kind = FindingKind::Mended;
            }
        }
    }
}

/// What all records add up to.
#[derive(Debug)]
pub(crate) struct Replayed {
    pub replay: Replay,
    pub chosen_upto: Slot,
    pub holes: BTreeMap<Slot, Ballot>,
}

impl Replayed {
    /// The lost records that may have held a slot above the chosen prefix.
    pub(crate) fn lost(&self) -> Vec<LostRecords> {
        let open = self.replay.lost.iter().filter(|lost| lost.upto > self.chosen_upto);
        let bounded = |lost: &LostRange| {
            let ballot_max = lost.ballot_max.expect("the end of the replay bounds every loss");
            let bound = Damage { ballot_max, upto: lost.upto, suspect: lost.suspect };
            LostRecords { last: lost.last, bound }
        };
        open.map(bounded).collect()
    }
}

/// A set of slots as runs of consecutive ones: slots come almost in order, so there are few.
#[derive(Debug, Default)]
struct Runs(BTreeMap<u64, u64>);

impl Runs {
    fn insert(&mut self, slot: u64) {
        let before = self.0.range(..=slot).next_back().map(|(from, upto)| (*from, *upto));
        if before.is_some_and(|(_, upto)| slot <= upto) {
            return;
        }
        let upto = self.0.remove(&(slot + 1)).unwrap_or(slot);
        let from = before.filter(|(_, upto)| upto + 1 == slot).map_or(slot, |(from, _)| from);
        self.0.insert(from, upto);
    }

    /// The last slot of the run that holds `slot`; one less than `slot` if there is none.
    fn end_of_run_from(&self, slot: u64) -> u64 {
        let run = self.0.range(..=slot).next_back();
        run.map(|(_, upto)| *upto).filter(|upto| *upto >= slot).unwrap_or(slot - 1)
    }

    /// The slots of `from..=upto` that are in no run.
    fn missing(&self, from: u64, upto: u64) -> Vec<u64> {
        let mut missing = Vec::new();
        let mut slot = from;
        while slot <= upto {
            let end = self.end_of_run_from(slot);
            if end < slot {
                missing.push(slot);
            }
            slot = end.max(slot) + 1;
        }
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs merge whatever the order of insertion.
    #[test]
    fn runs_of_slots_merge_in_any_order() {
        for order in [[1, 2, 3, 5, 6], [6, 5, 3, 2, 1], [2, 6, 1, 5, 3], [3, 1, 2, 2, 1]] {
            let mut runs = Runs::default();
            order.iter().for_each(|slot| runs.insert(*slot));
            assert_eq!(runs.end_of_run_from(1), 3);
            assert_eq!(runs.end_of_run_from(4), 3);
            assert!(runs.missing(1, 3).is_empty());
            assert_eq!(runs.missing(3, 4), [4]);
        }
    }
}
