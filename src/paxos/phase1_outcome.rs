//! What phase 1 found: the value of every open slot, fetched where it is not held (Paxos Made
//! Simple, section 2.2, P2c; rules C5, C6).

use super::effects::{Effects, Plain};
use super::promise_pages::Pages;
use super::replica::{Replica, Role};
use super::value_selection::{Selection, select_value};
use crate::types::{Ballot, NodeId, Slot, Tick, Value};
use crate::wire::peer::{Fetch, Report};
use std::collections::BTreeSet;

/// Most values a campaign asks for at once.
const FETCHES_MAX: usize = 64;

/// How far phase 1 is.
pub(super) enum Phase1Outcome {
    /// Every open slot has the value that is to be proposed, by rising slot from the watermark on.
    Values(Vec<Value>),
    /// More promises or values are needed.
    Incomplete,
    /// Every member answered, and what was accepted in this slot cannot be had.
    Unrepairable(Slot),
}

/// The slots `first..=last` as runs of which every promise says the same throughout: a slot that a
/// report names is a run of its own, and between these only what was lost makes a difference. Each
/// run is its first slot and its length; there are no more of them than reports, however much is
/// lost.
fn runs(promises: &[(NodeId, &Pages)], first: Slot, last: Slot) -> Vec<(Slot, u64)> {
    let mut starts = BTreeSet::from([first]);
    for (_, pages) in promises {
        for (slot, _) in pages.reports.range(first..) {
            starts.extend([*slot, slot.next()]);
        }
        starts.extend(pages.damage.map(|damage| damage.upto.next()));
    }
    let starts: Vec<Slot> = starts.range(first..=last.max(first)).copied().collect();
    let ends = starts.iter().skip(1).copied().chain([last.next()]);
    let run = |(start, end): (&Slot, Slot)| (*start, end.0.saturating_sub(start.0));
    starts.iter().zip(ends).map(run).filter(|(_, slots)| *slots > 0).collect()
}

impl Replica {
    /// Picks the value of every open slot, and fetches those that are not held here.
    pub(super) fn phase1_outcome(&mut self, now: Tick, effects: &mut Effects) -> Phase1Outcome {
        let counted = self.counted();
        let everyone = self.voters().is_everyone(|node| counted.contains(&node));
        let Role::Candidate(campaign) = &self.role else { return Phase1Outcome::Incomplete };
        let own = self.own_pages();
        let last = counted.iter().filter_map(|node| campaign.promises.get(node)).map(Pages::last);
        let last = last.max().unwrap_or_default().max(own.last());
        // Every prepare quorum reports what is chosen. One that does not has lost a vote that was
        // counted: what somebody knows to be chosen there is waited for, not written over.
        if last.max(self.chosen_upto) < self.learner.target() {
            return Phase1Outcome::Incomplete;
        }
        let promises: Vec<(NodeId, &Pages)> = counted
            .iter()
            .map(|node| (*node, campaign.promises.get(node).unwrap_or(&own)))
            .collect();
        let (mut values, mut missing, mut waiting) = (Vec::new(), Vec::new(), None);
        // No-ops count for nothing until a value lies behind them: what is lost can be a hundred
        // thousand slots, of which nobody accepted anything in the last ones.
        let mut noops = 0;
        for (slot, slots) in runs(&promises, self.chosen_upto.next(), last) {
            let report = |(node, pages): &(NodeId, &Pages)| (*node, pages.report(slot));
            let reports = promises.iter().map(report).collect();
            match self.select_for(slot, reports) {
                Selection::Noop => noops += slots,
                Selection::Wait => waiting = waiting.or(Some(slot)),
                Selection::Value(of, holders) => match self.value_at(slot, of) {
                    Some(value) => {
                        values.extend((0..std::mem::take(&mut noops)).map(|_| Value::noop()));
                        values.push(value);
                    }
                    None => missing.push((slot, of, holders)),
                },
            }
        }
        let unrepairable = self.fetch_missing(now, &missing, effects);
        // Only the node whose own record is damaged ends: it alone can name file and offset.
        let own_damage = |slot: &Slot| self.acceptor.report(*slot).is_some_and(Report::is_damage);
        match waiting.or(unrepairable) {
            Some(slot) if everyone && own_damage(&slot) => Phase1Outcome::Unrepairable(slot),
            Some(_) => Phase1Outcome::Incomplete,
            // Nobody accepted anything behind the last value: those slots stay free.
            None if missing.is_empty() => Phase1Outcome::Values(values),
            None => Phase1Outcome::Incomplete,
        }
    }

    /// What may be proposed for a slot. A value that every holder has lost is gone without, where the
    /// promises of nodes that never accepted it are a prepare quorum by themselves (C5).
    fn select_for(&self, slot: Slot, mut reports: Vec<(NodeId, Option<Report>)>) -> Selection {
        let voters = self.configurations.of(slot);
        let selection = select_value(&reports, voters);
        let mut others = selection.clone();
        while let Selection::Value(of, holders) = &others {
            if !self.is_lost(slot, *of, holders) {
                return others;
            }
            let below = |report: &Option<Report>| report.is_none_or(|report| report.ballot() < *of);
            reports.retain(|(_, report)| below(report));
            others = select_value(&reports, voters);
        }
        if others == Selection::Wait { selection } else { others }
    }

    /// No holder could serve this value, and nobody knows the slot as chosen.
    fn is_lost(&self, slot: Slot, of: Ballot, holders: &[NodeId]) -> bool {
        let Role::Candidate(campaign) = &self.role else { return false };
        let failed = |node: &NodeId| campaign.fetch_failed.contains(&(slot, of, *node));
        slot > self.learner.target()
            && self.value_at(slot, of).is_none()
            && holders.iter().all(failed)
    }

    /// This candidate's own promise, as it stands now.
    fn own_pages(&self) -> Pages {
        Pages {
            next: 0,
            complete: true,
            chosen_upto: self.chosen_upto,
            released_upto: self.released.own_upto(),
            damage: self.acceptor.damage,
            reports: self.acceptor.reports_above(self.chosen_upto).into_iter().collect(),
        }
    }

    /// The value accepted at exactly (slot, of), if it is here: own or fetched (C6).
    fn value_at(&self, slot: Slot, of: Ballot) -> Option<Value> {
        let Role::Candidate(campaign) = &self.role else { return None };
        let own = self.acceptor.accepted.get(&slot).filter(|held| held.0 == of);
        own.or_else(|| campaign.fetched.get(&slot).filter(|held| held.0 == of))
            .map(|held| held.1.clone())
    }

    /// Asks a holder for each missing value; returns a slot whose every holder said no.
    fn fetch_missing(
        &mut self,
        now: Tick,
        missing: &[(Slot, Ballot, Vec<NodeId>)],
        effects: &mut Effects,
    ) -> Option<Slot> {
        let target = self.learner.target();
        let Role::Candidate(campaign) = &mut self.role else { return None };
        let mut unrepairable = None;
        for (slot, of, holders) in missing {
            if campaign.fetching.get(slot).is_some_and(|asked| asked.0 == *of) {
                continue;
            }
            let may = |node: &&NodeId| !campaign.fetch_failed.contains(&(*slot, *of, **node));
            let silent = |node: &&NodeId| campaign.fetch_late.contains(&(*slot, *of, **node));
            let holder = holders.iter().find(|node| may(node) && !silent(node));
            let Some(holder) = holder.or_else(|| holders.iter().find(may)).copied() else {
                // Somebody may know it as chosen: then it is learned, not fetched.
                unrepairable = unrepairable.or(Some(*slot).filter(|slot| *slot > target));
                continue;
            };
            if campaign.fetching.len() >= FETCHES_MAX {
                continue;
            }
            campaign.fetching.insert(*slot, (*of, holder, now));
            let ballot = campaign.ballot;
            effects.send(holder, Plain::Fetch(Fetch { ballot, slot: *slot, of: *of }));
        }
        unrepairable
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Damage;

    fn pages(reports: &[u64], lost_upto: u64) -> Pages {
        let ballot = Ballot::new(1, NodeId(1));
        let report = |slot: &u64| (Slot(*slot), Report::Accepted(ballot));
        let damage = Damage { ballot_max: ballot, upto: Slot(lost_upto), suspect: false };
        Pages {
            reports: reports.iter().map(report).collect(),
            damage: (lost_upto > 0).then_some(damage),
            ..Pages::default()
        }
    }

    /// C5: runs name every slot once, and within a run every promise says the same of each.
    #[test]
    fn c05_a_run_is_what_every_promise_says_the_same_of() {
        let (a, b, c) = (pages(&[4, 9], 6), pages(&[4, 5], 0), pages(&[], 12));
        let promises = [(NodeId(1), &a), (NodeId(2), &b), (NodeId(3), &c)];
        let runs = runs(&promises, Slot(3), Slot(15));
        let named: Vec<Slot> =
            runs.iter().flat_map(|run| (0..run.1).map(|i| run.0.plus(i))).collect();
        assert_eq!(named, (3..=15).map(Slot).collect::<Vec<_>>());
        for (first, slots) in runs {
            for (_, pages) in promises {
                let says = (0..slots).map(|i| pages.report(first.plus(i)));
                assert!(says.into_iter().all(|report| report == pages.report(first)), "{first}");
            }
        }
        assert!(super::runs(&promises, Slot(16), Slot(15)).is_empty());
    }

    /// C5: the work of a step is bounded by what was reported, not by how much was lost.
    #[test]
    fn c05_a_million_lost_slots_are_a_few_runs() {
        let (lost, whole) = (pages(&[3], 1_000_000), pages(&[3, 4], 0));
        let promises = [(NodeId(1), &lost), (NodeId(2), &whole)];
        assert!(runs(&promises, Slot(1), Slot(1_000_000)).len() <= 6);
    }
}
