//! What a replica remembers of its earlier lives: what its disk holds, and what follows from what the
//! disk has lost (rule C5).

use crate::types::{
    Ballot, Content, Damage, HardState, Losses, LostRecords, Lsn, NodeId, RecordLeft, Slot, Value,
    Witness,
};
use crate::wire::peer::Report;
use std::collections::BTreeMap;

/// What a replica remembers from its disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Memory {
    /// The hard state.
    pub hard: HardState,
    /// The LSN after the last one on disk.
    pub next_lsn: Lsn,
    /// Every slot up to here is known to be chosen.
    pub chosen_upto: Slot,
    /// Values of slots up to here may be released from the journal (C26).
    pub released_upto: Slot,
    /// Accepted above `chosen_upto`, at the highest ballot each.
    pub open: BTreeMap<Slot, (Ballot, Value)>,
    /// Chosen slots whose value is damaged here.
    pub holes: BTreeMap<Slot, Ballot>,
    /// What a promise says of slots above `chosen_upto` whose record is not exact (C5). The value of
    /// one of them may still be held at its ballot (C6).
    pub reports: BTreeMap<Slot, Report>,
    /// Damage of unknown slot.
    pub damage: Option<Damage>,
    /// What other members were seen to acknowledge (C13).
    pub witnessed: Vec<(NodeId, Witness)>,
    /// A torn tail was cut: the node asks its peers for witness before it votes (C11). No record
    /// of it had a higher LSN than this; what it is if a peer saw it acknowledged.
    pub cut: Option<(Lsn, Damage)>,
    /// The state on disk is known to be another one than that of the others: the node is fenced until it was
    /// rebuilt (C32).
    pub is_fenced: bool,
}

impl Memory {
    /// The hard state that a start begins with: it promises no less than what is held.
    pub(super) fn hard_state(&self) -> HardState {
        let promised = self.hard.promised.max(self.highest_open());
        HardState { promised, ..self.hard.clone() }
    }

    /// The highest ballot of an open slot. A value that was learned, and whose watermark is lost, stands
    /// among the accepted ones, in a ballot that was perhaps never promised here (C2).
    fn highest_open(&self) -> Ballot {
        self.open.values().map(|(ballot, _)| *ballot).max().unwrap_or_default()
    }
}

/// What a promise says of slots above the chosen prefix whose record is not exact.
#[must_use]
pub fn inexact_reports(losses: &Losses) -> BTreeMap<Slot, Report> {
    let report = |(slot, left): (&Slot, &RecordLeft)| {
        let own = match left.content {
            Content::Intact => None,
            Content::Damaged => Some(Report::ValueDamaged(left.ballot)),
            Content::Suspect => Some(Report::Suspect(left.ballot)),
        };
        Some((*slot, shadow(&losses.lost, *slot, left).or(own)?))
    };
    losses.left.iter().filter_map(report).collect()
}

/// What the lost records may have held above the chosen prefix, all in one.
#[must_use]
pub fn damage_of_unknown_slot(losses: &Losses) -> Option<Damage> {
    losses.lost.iter().map(|lost| lost.bound).reduce(Damage::and)
}

/// The loss that makes what is left of a slot inexact: one behind it that may have held the slot in a
/// higher ballot.
fn shadow(lost: &[LostRecords], slot: Slot, left: &RecordLeft) -> Option<Report> {
    let hides = |lost: &&LostRecords| {
        lost.last > left.lsn && lost.bound.upto >= slot && lost.bound.ballot_max > left.ballot
    };
    let hidden = lost.iter().filter(hides).map(|lost| lost.bound).reduce(Damage::and)?;
    Some(if hidden.suspect {
        Report::Suspect(hidden.ballot_max)
    } else {
        Report::Damaged(hidden.ballot_max)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ballot(round: u64) -> Ballot {
        Ballot::new(round, NodeId(1))
    }

    fn lost(last: u64, ballot_max: u64, upto: u64, suspect: bool) -> LostRecords {
        let bound = Damage { ballot_max: ballot(ballot_max), upto: Slot(upto), suspect };
        LostRecords { last: Lsn(last), bound }
    }

    fn report(lost: &[LostRecords], lsn: u64, round: u64, content: Content) -> Option<Report> {
        let left = RecordLeft { lsn: Lsn(lsn), ballot: ballot(round), content };
        let losses = Losses { lost: lost.to_vec(), left: BTreeMap::from([(Slot(7), left)]) };
        inexact_reports(&losses).get(&Slot(7)).copied()
    }

    /// C5: a loss makes a slot inexact if it lies behind the record that is left, reaches the slot,
    /// and can have held it in a higher ballot.
    #[test]
    fn c05_what_was_lost_behind_a_record_hides_a_higher_ballot() {
        let hidden = Some(Report::Damaged(ballot(3)));
        assert_eq!(report(&[lost(9, 3, 20, false)], 5, 2, Content::Intact), hidden);
        assert_eq!(report(&[lost(4, 3, 20, false)], 5, 2, Content::Intact), None, "before it");
        assert_eq!(report(&[lost(9, 3, 6, false)], 5, 2, Content::Intact), None, "out of reach");
        assert_eq!(report(&[lost(9, 3, 20, false)], 5, 3, Content::Intact), None, "no higher");
        assert_eq!(report(&[lost(9, 3, 20, false)], 5, 2, Content::Damaged), hidden);
        let two = [lost(8, 3, 20, true), lost(9, 4, 20, true)];
        assert_eq!(report(&two, 5, 2, Content::Intact), Some(Report::Suspect(ballot(4))));
    }

    /// C5, C11: by itself a record whose value is lost names its ballot; one that may never have been
    /// durable bounds it.
    #[test]
    fn c11_a_damaged_value_is_exact_and_a_suspect_is_not() {
        assert_eq!(report(&[], 5, 2, Content::Intact), None);
        let damaged = Some(Report::ValueDamaged(ballot(2)));
        assert_eq!(report(&[], 5, 2, Content::Damaged), damaged);
        assert_eq!(report(&[], 5, 2, Content::Suspect), Some(Report::Suspect(ballot(2))));
    }
}
