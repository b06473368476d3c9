//! What a campaign may propose for a slot (rule C5; Paxos Made Simple, section 2.2, P2c).

use super::quorum::Voters;
use crate::types::{Ballot, NodeId};
use crate::wire::peer::Report;

/// What the promises of a campaign say of one slot, taken together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Selection {
    /// Propose the value accepted in this ballot; these nodes hold it.
    Value(Ballot, Vec<NodeId>),
    /// Nothing can have been chosen: propose a no-op.
    Noop,
    /// Too few exact reports: wait for more promises.
    Wait,
}

/// Selects what to propose for one slot, from the reports of every complete promise, one of each member that promised.
/// `None` is the exact report "nothing accepted".
///
/// A prepare quorum of *exact* reports is needed. A report of unknown ballot joins it only beside
/// an exact report of a ballot at least as high as its bound: whatever was lost there is then not
/// above the value picked. A suspect (never known durable) may become a no-op once every member
/// has answered and none holds a value (C11).
#[must_use]
pub fn select_value(reports: &[(NodeId, Option<Report>)], voters: &Voters) -> Selection {
    let says = |node: NodeId| reports.iter().find(|(by, _)| *by == node).map(|(_, report)| report);
    let exact = |report: &(NodeId, Option<Report>)| match report.1 {
        Some(Report::Accepted(ballot) | Report::ValueDamaged(ballot)) => Some(ballot),
        None | Some(Report::Damaged(_) | Report::Suspect(_)) => None,
    };
    let highest =
        reports.iter().filter_map(exact).fold(Ballot::ZERO, |highest, ballot| highest.max(ballot));
    let counts = |report: &Option<Report>| match report {
        None | Some(Report::Accepted(_) | Report::ValueDamaged(_)) => true,
        Some(Report::Damaged(ballot_max) | Report::Suspect(ballot_max)) => {
            !highest.is_zero() && *ballot_max <= highest
        }
    };
    if voters.is_prepare_quorum(|node| says(node).is_some_and(counts)) {
        if highest.is_zero() {
            return Selection::Noop;
        }
        return Selection::Value(highest, holders(reports, highest));
    }
    let everyone = voters.is_everyone(|node| says(node).is_some());
    let nobody_holds = highest.is_zero()
        && !reports.iter().any(|(_, report)| matches!(report, Some(Report::Damaged(_))));
    if everyone && nobody_holds {
        return Selection::Noop;
    }
    Selection::Wait
}

fn holders(reports: &[(NodeId, Option<Report>)], ballot: Ballot) -> Vec<NodeId> {
    reports
        .iter()
        .filter(|(_, report)| *report == Some(Report::Accepted(ballot)))
        .map(|(node, _)| *node)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paxos::Quorums;

    fn ballot(round: u64) -> Ballot {
        Ballot::new(round, NodeId(1))
    }

    fn reports(list: &[Option<Report>]) -> Vec<(NodeId, Option<Report>)> {
        list.iter().enumerate().map(|(i, r)| (NodeId(i as u16 + 1), *r)).collect()
    }

    /// What a candidate of so many members does, which needs two promises.
    fn selected(reports: &[(NodeId, Option<Report>)], members: u16) -> Selection {
        let quorums = Quorums { prepare: 2, accept: usize::from(members) - 1 };
        let voters = Voters::new((1..=members).map(NodeId).collect(), quorums);
        select_value(reports, &voters)
    }

    /// R16: the value of the highest ballot among a prepare quorum of exact reports.
    #[test]
    fn r16_highest_ballot_wins() {
        let r = reports(&[Some(Report::Accepted(ballot(1))), Some(Report::Accepted(ballot(3)))]);
        assert_eq!(selected(&r, 3), Selection::Value(ballot(3), vec![NodeId(2)]));
    }

    /// R16: a no-op only if all of the quorum report nothing.
    #[test]
    fn r16_noop_needs_a_quorum_of_nothing() {
        assert_eq!(selected(&reports(&[None, None]), 3), Selection::Noop);
        assert_eq!(selected(&reports(&[None]), 3), Selection::Wait);
    }

    /// C5, the broken schedule: A's record is damaged, C is dead, B holds an older value.
    #[test]
    fn c05_damaged_report_above_completes_no_quorum() {
        let r = reports(&[Some(Report::Damaged(ballot(2))), Some(Report::Accepted(ballot(1)))]);
        assert_eq!(selected(&r, 3), Selection::Wait);
        assert_eq!(selected(&r, 2), Selection::Wait);
    }

    /// C5: a damaged report bounded by an exact ballot joins the quorum beside it.
    #[test]
    fn c05_damaged_report_joins_beside_a_ballot_as_high() {
        let r = reports(&[Some(Report::Damaged(ballot(2))), Some(Report::Accepted(ballot(2)))]);
        assert_eq!(selected(&r, 3), Selection::Value(ballot(2), vec![NodeId(2)]));
        let r = reports(&[Some(Report::Damaged(ballot(2))), None]);
        assert_eq!(selected(&r, 3), Selection::Wait);
    }

    /// C5: a known ballot with a damaged value is exact, but holds nothing to fetch.
    #[test]
    fn c05_value_damaged_is_exact() {
        let r = reports(&[Some(Report::ValueDamaged(ballot(2))), None]);
        assert_eq!(selected(&r, 3), Selection::Value(ballot(2), vec![]));
    }

    /// C5, "use another quorum": what only a lost record says binds nobody, when a prepare quorum
    /// never accepted it.
    #[test]
    fn c05_the_rest_decides_without_the_node_that_lost_a_value() {
        let r = reports(&[Some(Report::ValueDamaged(ballot(2))), None, None]);
        assert_eq!(selected(&r, 3), Selection::Value(ballot(2), vec![]));
        assert_eq!(selected(&r[1..], 3), Selection::Noop);
        let r = reports(&[Some(Report::ValueDamaged(ballot(2))), Some(Report::Damaged(ballot(2)))]);
        assert_eq!(selected(&r[1..], 3), Selection::Wait);
    }

    /// C11: a suspect becomes a no-op only when every member answered and none holds a value.
    #[test]
    fn c11_suspect_settles_when_everyone_answered() {
        let r =
            reports(&[Some(Report::Suspect(ballot(2))), Some(Report::Suspect(ballot(2))), None]);
        assert_eq!(selected(&r, 4), Selection::Wait);
        assert_eq!(selected(&r, 3), Selection::Noop);
        let r =
            reports(&[Some(Report::Suspect(ballot(2))), Some(Report::Damaged(ballot(1))), None]);
        assert_eq!(selected(&r, 3), Selection::Wait);
    }
}
