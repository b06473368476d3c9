//! What is true of the whole cluster, kept by a checker that sees every disk and every message.
//!
//! Checks of one replica are `paxos::invariants`; here stand those that need all of them: one value
//! per slot across nodes and time, votes that leave only behind durable records that bear them out,
//! ballots of one leadership each, one valid lease at a time, reads that see what was acknowledged.

use crate::disk::Picture;
use paxosd::types::{Ballot, NodeId, Record, Slot, Value};
use paxosd::wire::peer::{Accepted, FetchOutcome, Grant, Message, Prepare, Promise, Report};
use std::collections::{BTreeMap, BTreeSet};

/// What was seen of all nodes, and what must hold of it.
#[derive(Clone, Debug, Default)]
pub struct Checker {
    accept_quorum: usize,
    /// The one value of each (slot, ballot).
    proposals: BTreeMap<(Slot, Ballot), Value>,
    /// Who holds, or once held, a durable record of it.
    accepts: BTreeMap<(Slot, Ballot), BTreeSet<NodeId>>,
    /// Chosen: an accept quorum holds it durably in one ballot.
    pub chosen: BTreeMap<Slot, (Ballot, Value)>,
    /// Which life of which node issued a ballot.
    issued: BTreeMap<Ballot, (NodeId, u64)>,
    /// The first slot of each ballot.
    firsts: BTreeMap<Ballot, Slot>,
    /// The highest ballot of a promise that left each node.
    promised: BTreeMap<NodeId, Ballot>,
    /// Every slot up to here was emitted as chosen by a leader: its clients were answered.
    pub acknowledged: Slot,
}

impl Checker {
    pub fn new(accept_quorum: usize) -> Checker {
        Checker { accept_quorum, ..Checker::default() }
    }

    /// A value is proposed or accepted: a ballot proposes one value per slot (P2b's ground).
    fn proposed(&mut self, slot: Slot, ballot: Ballot, value: &Value) {
        let known = self.proposals.entry((slot, ballot)).or_insert_with(|| value.clone());
        assert_eq!(known, value, "ballot {ballot} proposes two values for slot {slot}");
    }

    /// A record was handed to a journal.
    pub fn persisted(&mut self, node: NodeId, record: &Record) {
        if let Record::Accepted { slot, ballot, value, .. } = record {
            self.proposed(*slot, *ballot, value);
            let promised = self.promised.get(&node).copied().unwrap_or_default();
            assert!(
                *ballot >= promised,
                "node {node} accepts {ballot} after its promise of {promised} left"
            );
        }
        if let Record::Learned { slot, value, .. } = record {
            self.assert_chosen(node, *slot, value);
        }
    }

    /// A record is durable.
    pub fn durable(&mut self, node: NodeId, record: &Record) {
        let Record::Accepted { slot, ballot, value, .. } = record else { return };
        let holders = self.accepts.entry((*slot, *ballot)).or_default();
        holders.insert(node);
        if holders.len() >= self.accept_quorum {
            let (in_ballot, chosen) =
                self.chosen.entry(*slot).or_insert_with(|| (*ballot, value.clone()));
            assert_eq!(
                chosen, value,
                "slot {slot}: chosen in {in_ballot}, and another value in {ballot}"
            );
        }
    }

    /// A replica says that a value is chosen: it must be.
    pub fn assert_chosen(&self, node: NodeId, slot: Slot, value: &Value) {
        let Some((ballot, chosen)) = self.chosen.get(&slot) else {
            panic!("node {node} takes {value:?} as chosen for slot {slot}: no quorum holds it")
        };
        assert_eq!(value, chosen, "node {node}, slot {slot}: chosen in {ballot} is another value");
    }

    /// A leader emitted the slot as chosen: whoever proposed it is answered now.
    pub fn acknowledge(&mut self, slot: Slot) {
        self.acknowledged = self.acknowledged.max(slot);
    }

    /// A message leaves a node whose durable records say `picture` (C1, R02).
    pub fn leaves(&mut self, node: NodeId, boots: u64, message: &Message, picture: &Picture) {
        match message {
            Message::Prepare(prepare) => self.prepare_leaves(node, boots, prepare, picture),
            Message::Promise(promise) => self.promise_leaves(node, promise, picture),
            Message::Accepted(accepted) => self.accepted_leaves(node, accepted, picture),
            Message::Grant(grant) => grant_leaves(node, grant, picture),
            Message::Accept(accept) => {
                self.proposed(accept.slot, accept.ballot, &accept.value);
                self.leads(node, boots, accept.ballot, accept.first, picture);
                self.assert_all_chosen(node, accept.chosen_upto);
            }
            Message::Heartbeat(heartbeat) => {
                self.leads(node, boots, heartbeat.ballot, heartbeat.first, picture);
                self.assert_all_chosen(node, heartbeat.chosen_upto);
            }
            Message::ChosenUpto(mark) => self.assert_all_chosen(node, mark.chosen_upto),
            Message::Learned(learned) => {
                for (slot, _, value) in &learned.values {
                    self.assert_chosen(node, *slot, value);
                }
            }
            Message::Fetched(fetched) => {
                if let FetchOutcome::Held(value) = &fetched.outcome {
                    self.proposed(fetched.slot, fetched.of, value); // C6
                }
            }
            Message::Announce(_)
            | Message::Canvass(_)
            | Message::CanvassAnswer(_)
            | Message::LeaseRefusal(_)
            | Message::Nack(_)
            | Message::Fetch(_)
            | Message::Resend(_)
            | Message::Learn(_)
            | Message::HandOver(_)
            | Message::Release(_)
            | Message::Eligibility(_)
            | Message::InstallFetch(_)
            | Message::InstallChunk(_)
            | Message::ValuesFetch(_)
            | Message::ValuesChunk(_)
            | Message::LossAsk(_)
            | Message::LossAnswer(_) => {}
        }
    }

    fn assert_all_chosen(&self, node: NodeId, upto: Slot) {
        let next = self.chosen.range(..=upto).count() as u64;
        assert_eq!(next, upto.0, "node {node} speaks of slots as chosen that are not");
    }

    /// R15: one life of one node per ballot.
    fn issues(&mut self, node: NodeId, boots: u64, ballot: Ballot) {
        let by = *self.issued.entry(ballot).or_insert((node, boots));
        assert_eq!(by, (node, boots), "ballot {ballot} is issued twice (R15)");
        assert_eq!(ballot.node, node, "a ballot names its leader");
    }

    fn leads(&mut self, node: NodeId, boots: u64, ballot: Ballot, first: Slot, picture: &Picture) {
        self.issues(node, boots, ballot);
        let known = *self.firsts.entry(ballot).or_insert(first);
        assert_eq!(known, first, "ballot {ballot} has two first slots (C3)");
        assert_durable(node, "leads in", ballot, picture);
    }

    fn prepare_leaves(&mut self, node: NodeId, boots: u64, prepare: &Prepare, picture: &Picture) {
        self.issues(node, boots, prepare.ballot);
        assert_durable(node, "prepares", prepare.ballot, picture);
    }

    fn promise_leaves(&mut self, node: NodeId, promise: &Promise, picture: &Picture) {
        assert_durable(node, "promises", promise.ballot, picture);
        self.assert_all_chosen(node, promise.chosen_upto);
        let promised = self.promised.entry(node).or_default();
        *promised = promise.ballot.max(*promised);
        let reports: BTreeMap<Slot, Report> = promise.reports.iter().copied().collect();
        for (slot, held) in picture.accepted.range(promise.chosen_upto.next()..) {
            let below = |b: &&Ballot| **b < promise.ballot;
            let Some(highest) = held.iter().filter(below).max() else { continue };
            let damage = promise.damage.filter(|damage| *slot <= damage.upto);
            let reported = reports.get(slot).map(|r| r.ballot()).or(damage.map(|d| d.ballot_max));
            let whole = promise.page == 0 && promise.last;
            assert!(
                !whole || reported >= Some(*highest),
                "node {node} promises {} and hides slot {slot} in {highest}: {reported:?}",
                promise.ballot
            );
        }
        for (slot, report) in &reports {
            if let Report::Accepted(ballot) = report {
                let held = picture.accepted.get(slot).is_some_and(|held| held.contains(ballot));
                assert!(held, "node {node} reports slot {slot} in {ballot} before it is durable");
            }
        }
    }

    /// C3: the claim is cumulative, from the ballot's first slot on.
    fn accepted_leaves(&mut self, node: NodeId, accepted: &Accepted, picture: &Picture) {
        let ballot = accepted.ballot;
        assert_durable(node, "accepts in", ballot, picture);
        let promised = self.promised.get(&node).copied().unwrap_or_default();
        assert!(ballot >= promised, "node {node} acknowledges {ballot}, promised {promised}");
        self.assert_all_chosen(node, accepted.chosen_upto);
        let Some(first) = self.firsts.get(&ballot).copied() else { return };
        let mut slot = first;
        while slot <= accepted.upto {
            let held = picture.accepted.get(&slot).is_some_and(|held| held.contains(&ballot));
            assert!(
                held || self.chosen.contains_key(&slot),
                "node {node} acknowledges {ballot} up to {}: slot {slot} is not durable (C3)",
                accepted.upto
            );
            slot = slot.next();
        }
    }
}

fn grant_leaves(node: NodeId, grant: &Grant, picture: &Picture) {
    assert_durable(node, "grants", grant.ballot, picture);
    let longest = picture.hard.lease_longest_us;
    assert!(
        longest >= grant.lease_us,
        "node {node} grants {} us, durable is {longest} (C15)",
        grant.lease_us
    );
}

fn assert_durable(node: NodeId, what: &str, ballot: Ballot, picture: &Picture) {
    let promised = picture.hard.promised;
    assert!(
        promised >= ballot,
        "node {node} {what} {ballot} before it is durable: promised={promised} (C1)"
    );
}
