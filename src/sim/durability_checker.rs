//! What a node's votes have claimed, kept outside the node: nothing may leave before the records
//! it rests on are durable (C1, R02), and every claim must hold after any crash.

use super::violation::{CheckResult, ensure};
use crate::journal::Recovered;
use crate::paxos;
use crate::types::{Ballot, HardState, Lsn, Slot};
use crate::wire::peer::Message;
use std::collections::BTreeMap;

/// Most promises remembered: a vote names the present ballot, or one of the last few.
const PROMISES_MAX: usize = 64;

/// The claims of one node, over all its lives.
#[derive(Debug, Default)]
pub(super) struct DurabilityChecker {
    /// No record behind this one can be durable, as the completions of the disk say.
    durable: Lsn,
    /// For each hard state of this life that promised another ballot: the ballot, and the least LSN
    /// that its record can have.
    promises: Vec<(Ballot, Lsn)>,
    /// For each longer lease of this life, the same.
    leases: Vec<(u64, Lsn)>,
    claimed: Claimed,
}

/// What left the node and binds it.
#[derive(Clone, Debug, Default)]
struct Claimed {
    promised: Ballot,
    lease_us: u64,
    /// The highest ballot of which accepts were acknowledged, and up to where.
    accepted: (Ballot, Slot),
}

impl DurabilityChecker {
    /// A life begins over what its disk holds.
    pub(super) fn begin(&mut self, recovered: &Recovered) {
        let (hard, durable) = (&recovered.hard, recovered.next_lsn.prev());
        self.durable = durable;
        self.promises = vec![(hard.promised, Lsn(0))];
        self.leases = vec![(hard.lease_longest_us, Lsn(0))];
    }

    /// The disk completed a batch.
    pub(super) fn synced(&mut self, upto: Lsn) {
        self.durable = self.durable.max(upto);
    }

    /// A step changed the hard state: its record is `first` or a later one.
    pub(super) fn changed(&mut self, hard: &HardState, first: Lsn) {
        if self.promises.last().is_none_or(|last| last.0 < hard.promised) {
            if self.promises.len() == PROMISES_MAX {
                self.promises.remove(0);
            }
            self.promises.push((hard.promised, first));
        }
        if self.leases.last().is_none_or(|last| last.0 < hard.lease_longest_us) {
            self.leases.push((hard.lease_longest_us, first));
        }
    }

    /// A message leaves the node.
    pub(super) fn sent(&mut self, message: &Message) -> CheckResult {
        match message {
            Message::Prepare(prepare) => self.claim_promise("prepare", prepare.ballot),
            Message::Promise(promise) => self.claim_promise("promise", promise.ballot),
            Message::Accepted(accepted) => {
                self.claim_promise("accepted", accepted.ballot)?;
                self.claim_lsn("accepted", accepted.durable)?;
                let claimed = &mut self.claimed.accepted;
                if accepted.ballot > claimed.0 {
                    *claimed = (accepted.ballot, accepted.upto);
                } else if accepted.ballot == claimed.0 {
                    claimed.1 = claimed.1.max(accepted.upto);
                }
                Ok(())
            }
            Message::Grant(grant) => {
                self.claim_promise("grant", grant.ballot)?;
                self.claim_lsn("grant", grant.durable)?;
                let recorded = self.leases.iter().find(|lease| lease.0 >= grant.lease_us);
                let durable = recorded.is_some_and(|lease| lease.1 <= self.durable);
                ensure(durable, "nothing is sent before it is durable", || {
                    format!(
                        "a grant of {} us: {recorded:?}, durable {}",
                        grant.lease_us, self.durable
                    )
                })?;
                self.claimed.lease_us = self.claimed.lease_us.max(grant.lease_us);
                Ok(())
            }
            Message::Announce(announce) => self.claim_lsn("announce", announce.durable.durable),
            Message::Canvass(_)
            | Message::CanvassAnswer(_)
            | Message::LeaseRefusal(_)
            | Message::Nack(_)
            | Message::Fetch(_)
            | Message::Fetched(_)
            | Message::Accept(_)
            | Message::Resend(_)
            | Message::Heartbeat(_)
            | Message::ChosenUpto(_)
            | Message::Learn(_)
            | Message::Learned(_)
            | Message::HandOver(_)
            | Message::Release(_)
            | Message::Eligibility(_)
            | Message::InstallFetch(_)
            | Message::InstallChunk(_)
            | Message::LossAsk(_)
            | Message::LossAnswer(_)
            | Message::ValuesFetch(_)
            | Message::ValuesChunk(_) => Ok(()),
        }
    }

    fn claim_promise(&mut self, what: &str, ballot: Ballot) -> CheckResult {
        let recorded = self.promises.iter().find(|promise| promise.0 >= ballot);
        let durable = recorded.is_some_and(|promise| promise.1 <= self.durable);
        ensure(durable, "nothing is sent before it is durable", || {
            format!("{what} of ballot {ballot}: {recorded:?}, durable up to LSN {}", self.durable)
        })?;
        self.claimed.promised = self.claimed.promised.max(ballot);
        Ok(())
    }

    fn claim_lsn(&self, what: &str, lsn: Lsn) -> CheckResult {
        ensure(lsn <= self.durable, "nothing is sent before it is durable", || {
            format!("{what} claims LSN {lsn}, durable is {}", self.durable)
        })
    }

    /// True when records that were durable in the life before are gone.
    pub(super) fn has_lost(&self, recovered: &Recovered) -> bool {
        recovered.next_lsn <= self.durable
    }

    /// True when the last batch was cut, and held what was claimed.
    pub(super) fn lost_its_tail(
        &self,
        recovered: &Recovered,
        firsts: &BTreeMap<Ballot, Slot>,
    ) -> bool {
        recovered.torn.is_some() && self.check_recovered(recovered, firsts, true).is_err()
    }

    /// A disk was read back: it holds everything that was claimed. `firsts` has the first slot of
    /// each ballot that proposed.
    pub(super) fn check_recovered(
        &self,
        recovered: &Recovered,
        firsts: &BTreeMap<Ballot, Slot>,
        corrupted: bool,
    ) -> CheckResult {
        let check = "claims outlive a crash";
        let (hard, claimed) = (&recovered.hard, &self.claimed);
        ensure(hard.promised >= claimed.promised, check, || {
            format!("promised {}, the disk says {}", claimed.promised, hard.promised)
        })?;
        ensure(hard.lease_longest_us >= claimed.lease_us, check, || {
            format!("granted {} us, the disk says {}", claimed.lease_us, hard.lease_longest_us)
        })?;
        let (ballot, upto) = claimed.accepted;
        let Some(first) = firsts.get(&ballot) else { return Ok(()) };
        let reports = paxos::inexact_reports(&recovered.losses);
        let damage = paxos::damage_of_unknown_slot(&recovered.losses);
        let mut slot = recovered.chosen_upto.next().max(*first);
        while slot <= upto {
            let held = recovered.open.get(&slot).map(|held| held.0);
            let report = reports.get(&slot).map(|report| report.ballot());
            let unknown =
                damage.filter(|damage| slot <= damage.upto).map(|damage| damage.ballot_max);
            let known_lost =
                corrupted && report.max(unknown).is_some_and(|ballot_max| ballot_max >= ballot);
            ensure(known_lost || held.is_some_and(|held| held >= ballot), check, || {
                format!("accepted slot {slot} in {ballot} (up to {upto}), the disk has {held:?}")
            })?;
            slot = slot.next();
        }
        Ok(())
    }
}
