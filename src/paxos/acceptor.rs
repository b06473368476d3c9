//! The acceptor: what was promised, what was accepted (Paxos Made Simple, section 2.2).

use super::effects::{Effects, Plain, Vote};
use super::replica::{Replica, Role};
use crate::limits::PROMISE_PAGE_SLOTS;
use crate::types::{Ballot, Damage, NodeId, Record, Slot, Tick, Value};
use crate::wire::peer::{
    Accept, Accepted, Fetch, FetchOutcome, Fetched, LeaseRefusal, Nack, Prepare, Promise, Report,
    Resend,
};
use std::collections::BTreeMap;

/// What an acceptor holds above the chosen watermark.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Acceptor {
    /// Accepted and not yet known chosen, at the highest ballot each. Bounded by C4.
    pub(super) accepted: BTreeMap<Slot, (Ballot, Value)>,
    /// What the disk lost of single slots (C5). A later accept repairs the slot.
    pub(super) reports: BTreeMap<Slot, Report>,
    /// What the disk lost of slots unknown.
    pub(super) damage: Option<Damage>,
    /// The run of slots accepted in one ballot, from that ballot's first slot on (C3).
    pub(super) stream: Option<AcceptedRun>,
    /// Accepts were refused because too much waits for the disk, or because it is full.
    pub(super) refused: bool,
}

/// Every slot from `first` to `upto` is accepted in exactly `ballot`, or known chosen (C3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AcceptedRun {
    pub(super) ballot: Ballot,
    pub(super) first: Slot,
    pub(super) upto: Slot,
    /// What the leader of this ballot found when it was elected ends here.
    pub(super) serving_from: Slot,
    /// When the leader was last asked to send again what is missing behind `upto`.
    pub(super) resend_asked: Option<(Slot, Tick)>,
}

impl Acceptor {
    pub(super) fn remember(
        accepted: BTreeMap<Slot, (Ballot, Value)>,
        reports: BTreeMap<Slot, Report>,
        damage: Option<Damage>,
    ) -> Acceptor {
        Acceptor { accepted, reports, damage, ..Acceptor::default() }
    }

    /// Records turned out to be lost whose slots are unknown.
    pub(super) fn add_damage(&mut self, lost: Damage) {
        self.damage = Some(self.damage.map_or(lost, |damage| damage.and(lost)));
    }

    pub(super) fn damaged_slots(&self) -> usize {
        self.reports.len() + usize::from(self.damage.is_some())
    }

    /// The highest slot at which a value is accepted; 0 where there is none.
    pub(super) fn last_accepted(&self) -> Slot {
        self.accepted.last_key_value().map_or(Slot(0), |(slot, _)| *slot)
    }

    /// What this acceptor says of a slot above its chosen watermark (C5).
    pub(super) fn report(&self, slot: Slot) -> Option<Report> {
        let exact = self.accepted.get(&slot).map(|(ballot, _)| Report::Accepted(*ballot));
        let lost = self.damage.filter(|damage| slot <= damage.upto).map(|damage| {
            if damage.suspect {
                Report::Suspect(damage.ballot_max)
            } else {
                Report::Damaged(damage.ballot_max)
            }
        });
        let lost = worse(self.reports.get(&slot).copied(), lost);
        match (exact, lost) {
            (Some(Report::Accepted(ballot)), Some(lost)) if lost.ballot() > ballot => Some(lost),
            (Some(exact), _) => Some(exact),
            (None, lost) => lost,
        }
    }

    /// The reports of every slot above `chosen_upto` that has one, by rising slot.
    pub(super) fn reports_above(&self, chosen_upto: Slot) -> Vec<(Slot, Report)> {
        let mut slots: Vec<Slot> =
            self.accepted.range(chosen_upto.next()..).map(|e| *e.0).collect();
        slots.extend(self.reports.range(chosen_upto.next()..).map(|entry| *entry.0));
        slots.sort_unstable();
        slots.dedup();
        slots.into_iter().filter_map(|slot| Some((slot, self.report(slot)?))).collect()
    }

    /// Forgets the damage of slots up to `chosen_upto`: their values are known.
    pub(super) fn forget_chosen(&mut self, chosen_upto: Slot) {
        while self.reports.first_key_value().is_some_and(|entry| *entry.0 <= chosen_upto) {
            self.reports.pop_first();
        }
        if self.damage.is_some_and(|damage| damage.upto <= chosen_upto) {
            self.damage = None;
        }
    }

    /// The run of slots held in exactly `ballot` from its first slot on, counted from memory.
    fn run(&self, ballot: Ballot, first: Slot, chosen_upto: Slot) -> Slot {
        let mut upto = first.prev().max(chosen_upto);
        while self.accepted.get(&upto.next()).is_some_and(|held| held.0 == ballot) {
            upto = upto.next();
        }
        upto
    }
}

/// Of two accounts of a loss, the one that admits more.
fn worse(a: Option<Report>, b: Option<Report>) -> Option<Report> {
    match (a, b) {
        (Some(a), Some(b)) => {
            let (higher, lower) = if b.ballot() > a.ballot() { (b, a) } else { (a, b) };
            match (higher, lower) {
                // What was durable may have been chosen: a suspect beside it does not excuse it.
                (Report::Suspect(ballot_max), Report::Damaged(_)) => {
                    Some(Report::Damaged(ballot_max))
                }
                (higher, _) => Some(higher),
            }
        }
        (a, b) => a.or(b),
    }
}

impl Report {
    /// The ballot that the report names, or its bound.
    #[must_use]
    pub fn ballot(self) -> Ballot {
        match self {
            Report::Accepted(ballot)
            | Report::ValueDamaged(ballot)
            | Report::Damaged(ballot)
            | Report::Suspect(ballot) => ballot,
        }
    }

    /// The value, at least, does not verify.
    #[must_use]
    pub fn is_damage(self) -> bool {
        match self {
            Report::Accepted(_) => false,
            Report::ValueDamaged(_) | Report::Damaged(_) | Report::Suspect(_) => true,
        }
    }
}

impl Replica {
    /// Phase 1b. Refuses by number (nack) or by time (a lease that runs, C16).
    pub(super) fn on_prepare(
        &mut self,
        now: Tick,
        from: NodeId,
        p: &Prepare,
        effects: &mut Effects,
    ) {
        self.round_seen = self.round_seen.max(p.ballot.round);
        if !self.may_vote(now) || p.ballot.node != from {
            return;
        }
        if p.ballot < self.hard.promised {
            return self.nack(from, p.ballot, effects);
        }
        if p.ballot > self.hard.promised {
            self.earlier_grants_end(now, p.released);
            let wait_us = self.promise_wait(now, from, p.released);
            if wait_us > 0 {
                let refusal = LeaseRefusal { ballot: p.ballot, wait_us };
                return effects.send(from, Plain::LeaseRefusal(refusal));
            }
            self.promise_ballot(p.ballot, effects);
            self.become_follower(now, None, effects);
        }
        for page in self.promise_pages(p.ballot) {
            effects.send_after(self.last_lsn(), from, Vote::Promise(page));
        }
    }

    /// Microseconds until this acceptor may promise a ballot of `node`; 0 for at once.
    pub(super) fn promise_wait(&self, now: Tick, node: NodeId, released: Ballot) -> u64 {
        let boot = self.boot_wait_until.since(now);
        let own = self.lease_end_as_leader().since(now);
        let granted = match &self.grant {
            Some(grant) if grant.ballot.node == node || grant.ballot == released => 0,
            Some(grant) => grant.until.since(now),
            None => 0,
        };
        boot.max(own).max(granted)
    }

    /// The promise for `ballot`, in bounded pages (C4).
    pub(super) fn promise_pages(&self, ballot: Ballot) -> Vec<Promise> {
        let reports = self.acceptor.reports_above(self.chosen_upto);
        let mut chunks: Vec<&[(Slot, Report)]> = reports.chunks(PROMISE_PAGE_SLOTS).collect();
        if chunks.is_empty() {
            chunks.push(&[]);
        }
        let last = chunks.len() - 1;
        let page = |(number, chunk): (usize, &&[(Slot, Report)])| Promise {
            ballot,
            page: number as u32,
            last: number == last,
            chosen_upto: self.chosen_upto,
            released_upto: self.released.own_upto(),
            damage: self.acceptor.damage,
            reports: chunk.to_vec(),
            // Not durable yet, but true when it leaves: the promise waits for `last_lsn`, which is
            // this record or one behind it.
            durable: self.last_vote_lsn,
        };
        chunks.iter().enumerate().map(page).collect()
    }

    pub(super) fn nack(&self, to: NodeId, ballot: Ballot, effects: &mut Effects) {
        let promised = self.hard.promised;
        assert!(ballot < promised, "nack of a ballot not below: {ballot} promised={promised}");
        effects.send(to, Plain::Nack(Nack { ballot, promised }));
    }

    /// A leader of `ballot` spoke: it has won phase 1, so its ballot may be promised without asking
    /// whether a grant runs (R14, C16).
    pub(super) fn follow(
        &mut self,
        now: Tick,
        leader: NodeId,
        ballot: Ballot,
        effects: &mut Effects,
    ) {
        assert!(ballot >= self.hard.promised, "follow {ballot} below {}", self.hard.promised);
        if ballot > self.hard.promised {
            self.promise_ballot(ballot, effects);
        }
        match &self.role {
            Role::Follower if self.leader == Some(leader) => {
                self.heard_at = now;
                self.wait_for_silence(now);
            }
            Role::Follower | Role::Canvassing(_) | Role::Candidate(_) | Role::Leader(_) => {
                self.become_follower(now, Some(leader), effects);
            }
        }
    }

    /// Phase 2b. Accepts in slot order only, so that what a ballot got accepted here is a run from
    /// its first slot on, and the acknowledgement can be cumulative (C3).
    pub(super) fn on_accept(&mut self, now: Tick, from: NodeId, a: Accept, effects: &mut Effects) {
        if !self.may_vote(now) || a.ballot.node != from {
            return;
        }
        if a.first == Slot(0) || a.first > a.slot {
            return; // No leader proposes below its first slot: the run would end where it began (R37).
        }
        if a.ballot < self.hard.promised {
            return self.nack(from, a.ballot, effects);
        }
        if self.is_contradicted(from, a.slot, a.ballot, &a.value, effects) {
            return;
        }
        self.follow(now, from, a.ballot, effects);
        self.observe_chosen(now, a.ballot, a.chosen_upto, effects);
        self.advance_marked(effects);
        // Behind: learn first. The leader sends again what is refused here (C4). Twice the window: the
        // leader proposes up to α beyond its own watermark, and this node may not have heard yet that
        // the α slots before them are chosen.
        if a.slot > self.chosen_upto.plus(2 * self.config.window_slots) {
            return self.learn_more(now, effects);
        }
        let upto = self.stream(&a);
        let held = a.slot <= upto;
        let fits = self.has_room_to_accept(a.value.len(), a.slot <= a.serving_from);
        if !held && (self.is_sync_backlog_full() || !fits) {
            // The leader is to know at once that it cannot count on this disk.
            if !std::mem::replace(&mut self.acceptor.refused, true) && !fits {
                let accepted = self.accepted_upto(from, upto);
                effects.send_after(self.last_lsn(), from, Vote::Accepted(accepted));
            }
        } else if a.slot > upto.next() {
            self.ask_resend(now, from, a.ballot, upto.next(), effects);
        } else {
            self.accept_next(a, upto, effects);
            let upto = self.stream_upto();
            let accepted = self.accepted_upto(from, upto);
            effects.send_after(self.last_lsn(), from, Vote::Accepted(accepted));
        }
        self.advance_marked(effects);
        self.learn_more(now, effects);
    }

    fn accept_next(&mut self, a: Accept, upto: Slot, effects: &mut Effects) {
        if a.slot <= upto {
            return; // Held already: the acknowledgement alone is repeated.
        }
        let (slot, ballot, chosen_upto) = (a.slot, a.ballot, a.chosen_upto);
        let record = Record::Accepted { slot, ballot, chosen_upto, value: a.value.clone() };
        self.persist(record, effects);
        self.acceptor.accepted.insert(slot, (ballot, a.value));
        self.acceptor.reports.remove(&slot);
        if let Some(stream) = &mut self.acceptor.stream {
            stream.upto = slot;
            stream.resend_asked = None;
        }
    }

    pub(super) fn accepted_upto(&self, leader: NodeId, upto: Slot) -> Accepted {
        let (ballot, chosen_upto) = (self.hard.promised, self.chosen_upto);
        assert_eq!(leader, ballot.node, "acknowledged to another than the leader of {ballot}");
        let has_room = !self.budget.full;
        // `last_vote_lsn` is durable by the time this leaves: it is sent after `last_lsn`, which is never
        // below it.
        Accepted { ballot, upto, chosen_upto, durable: self.last_vote_lsn, has_room }
    }

    /// The run of the accept's ballot, begun if this is the first one of it here in this life.
    fn stream(&mut self, a: &Accept) -> Slot {
        let Accept { ballot, first, serving_from, .. } = *a;
        let known = self.acceptor.stream.as_ref().map(|stream| (stream.ballot, stream.first));
        if known != Some((ballot, first)) {
            let upto = self.acceptor.run(ballot, first, self.chosen_upto);
            let run = AcceptedRun { ballot, first, upto, serving_from, resend_asked: None };
            self.acceptor.stream = Some(run);
        }
        self.stream_upto()
    }

    /// The end of the run, which slots since known to be chosen carry forward.
    pub(super) fn stream_upto(&mut self) -> Slot {
        let (acceptor, chosen_upto) = (&mut self.acceptor, self.chosen_upto);
        let Some((ballot, upto)) = acceptor.stream.as_ref().map(|s| (s.ballot, s.upto)) else {
            return Slot(0);
        };
        if upto >= chosen_upto {
            return upto;
        }
        let upto = acceptor.run(ballot, chosen_upto.next(), chosen_upto);
        if let Some(stream) = &mut acceptor.stream {
            stream.upto = upto;
        }
        upto
    }

    pub(super) fn ask_resend(
        &mut self,
        now: Tick,
        to: NodeId,
        ballot: Ballot,
        slot: Slot,
        effects: &mut Effects,
    ) {
        let (retry_us, chosen_upto) = (self.config.timing.retry_us, self.chosen_upto);
        let Some(stream) = &mut self.acceptor.stream else { return };
        if stream.resend_asked.is_some_and(|(at, when)| at == slot && now.since(when) < retry_us) {
            return;
        }
        stream.resend_asked = Some((slot, now));
        effects.send(to, Plain::Resend(Resend { ballot, from: slot, chosen_upto }));
    }

    /// The disk has caught up: asks for what was refused until then.
    pub(super) fn resume_accepting(&mut self, now: Tick, effects: &mut Effects) {
        if self.is_sync_backlog_full() {
            return;
        }
        let promised = self.hard.promised;
        let leads = |leader: &NodeId| *leader == promised.node;
        if std::mem::take(&mut self.acceptor.refused)
            && let Some(leader) = self.leader.filter(leads)
        {
            let upto = self.stream_upto();
            self.ask_resend(now, leader, promised, upto.next(), effects);
        }
        self.learn_more(now, effects);
    }

    /// Answers with exactly (slot, ballot), or says why not (C6).
    pub(super) fn on_fetch(&self, from: NodeId, fetch: &Fetch, effects: &mut Effects) {
        let Fetch { ballot, slot, of } = *fetch;
        let outcome = if slot <= self.chosen_upto {
            FetchOutcome::Chosen
        } else {
            match self.acceptor.accepted.get(&slot) {
                Some((held, value)) if *held == of => FetchOutcome::Held(value.clone()),
                Some(_) | None => match self.acceptor.reports.get(&slot) {
                    Some(Report::ValueDamaged(held)) if *held == of => FetchOutcome::Damaged,
                    Some(_) | None => FetchOutcome::NotHeld,
                },
            }
        };
        effects.send(from, Plain::Fetched(Fetched { ballot, slot, of, outcome }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ballot(round: u64) -> Ballot {
        Ballot::new(round, NodeId(1))
    }

    fn acceptor(held: u64, damage: Option<Damage>) -> Acceptor {
        let accepted = BTreeMap::from([(Slot(1), (ballot(held), Value::noop()))]);
        Acceptor::remember(accepted, BTreeMap::new(), damage)
    }

    /// C5: a lost record that may have held a higher ballot makes the one that is left inexact; one
    /// that cannot have does not, and slots beyond its reach are not touched.
    #[test]
    fn c05_damage_above_an_accepted_ballot_is_reported() {
        let damage = |ballot_max, upto| {
            Some(Damage { ballot_max: ballot(ballot_max), upto: Slot(upto), suspect: false })
        };
        let report = |held, damage| acceptor(held, damage).report(Slot(1));
        assert_eq!(report(2, damage(3, 5)), Some(Report::Damaged(ballot(3))));
        assert_eq!(report(3, damage(3, 5)), Some(Report::Accepted(ballot(3))));
        assert_eq!(report(2, damage(3, 0)), Some(Report::Accepted(ballot(2))));
        let suspect = Some(Damage { suspect: true, ..damage(3, 5).expect("some") });
        assert_eq!(report(2, suspect), Some(Report::Suspect(ballot(3))));
        assert_eq!(acceptor(2, damage(3, 5)).report(Slot(2)), Some(Report::Damaged(ballot(3))));
    }

    /// C11: what was durable may have been chosen, whatever suspect lies above it.
    #[test]
    fn c11_a_suspect_does_not_excuse_damage() {
        let (damaged, suspect) = (Report::Damaged(ballot(2)), Report::Suspect(ballot(3)));
        for (a, b) in [(damaged, suspect), (suspect, damaged)] {
            assert_eq!(worse(Some(a), Some(b)), Some(Report::Damaged(ballot(3))));
        }
        let same = Report::Suspect(ballot(2));
        assert_eq!(worse(Some(same), Some(damaged)), Some(damaged));
        assert_eq!(worse(Some(same), None), Some(same));
    }
}
