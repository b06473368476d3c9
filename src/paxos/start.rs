//! How a replica begins a life, and why one is refused.

use super::acceptor::Acceptor;
use super::agreement::ChosenSums;
use super::config::Config;
use super::configuration::Configurations;
use super::digests::Digests;
use super::disk_budget::DiskBudget;
use super::effects::{Effects, Stop};
use super::evidence::Evidence;
use super::learner::Learner;
use super::memory::Memory;
use super::quorum::Voters;
use super::released::ReleasedSlots;
use super::replica::{Peer, Replica, Role};
use super::unsynced::Unsynced;
use crate::limits::{CUTS_MAX, LEASE_MS_MAX, LIVES_MAX};
use crate::types::{
    Configuration, Cut, Damage, HardState, Incarnation, Life, LifeId, Lsn, Random, Refuted, Tick,
    Witness,
};

/// A node whose tail was cut waits for so many election timeouts for members that it has not met
/// (C11). A member that runs is met by then: a broken link is noticed after two leases, and the attempt
/// to open another one has as long.
const WITNESS_TIMEOUTS: u64 = 4;

/// Why a node must not start from what its disk remembers. Exit 65.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartRefused {
    /// Its votes rest on another configuration than the one given (R26, R28).
    #[error(
        "the votes of this node rest on {kept}; the configuration now says {given}. Entries that \
         were acknowledged could be lost: put back what it was in paxosd.toml, on every node; see \
         docs/OPERATIONS.md, \"Members and quorums are fixed\""
    )]
    Configuration {
        /// What its hard state holds.
        kept: Configuration,
        /// What it was given.
        given: Configuration,
    },
    /// A peer refuted its disk in an earlier life (R13).
    #[error(
        "this disk is older than what it acknowledged: node {} saw {}, the disk accounts for \
         records up to LSN {}. It does not vote any more. Give it back its newest state, or leave \
         it stopped; see docs/OPERATIONS.md, \"Backup\"",
        .0.witness, .0.seen, .0.held
    )]
    RolledBack(Refuted),
}

impl Config {
    /// Whether a replica may start from this hard state.
    ///
    /// # Errors
    /// [`StartRefused`], with both sides.
    pub fn check(&self, hard: &HardState) -> Result<(), StartRefused> {
        let given = self.configuration();
        if let Some(kept) = hard.configuration.as_ref().filter(|kept| **kept != given) {
            return Err(StartRefused::Configuration { kept: kept.clone(), given });
        }
        hard.refuted.map_or(Ok(()), |refuted| Err(StartRefused::RolledBack(refuted)))
    }
}

impl Replica {
    /// A replica over what its disk remembers. Emits the record of this boot; or the stop of a
    /// replica that a peer refuted in an earlier life.
    ///
    /// # Panics
    /// When the quorums do not suit the members, or the configuration is not the one that the hard
    /// state names: both are checked before.
    #[must_use]
    pub fn start(config: Config, memory: Memory, now: Tick, effects: &mut Effects) -> Replica {
        assert_checked(&config, &memory.hard);
        let voters = Voters::new(config.members.clone(), config.quorums);
        let alone = voters.is_single();
        let mut hard = memory.hard_state();
        hard.boots += 1;
        assert_own(hard.incarnations.insert(config.me, config.incarnation), config.incarnation);
        hard.formed |= alone;
        let boot_wait = if alone { 0 } else { boot_wait_us(&hard) };
        let mut random = Random::new(config.seed ^ hard.boots.rotate_left(32));
        let jitter = if alone { 0 } else { random.below(config.timing.jitter_us + 1) };
        let peers = voters.others(config.me).map(|node| (node, Peer::default())).collect();
        let next_lsn = memory.next_lsn.max(Lsn(1)); // LSN 0 is "none yet".
        let durable = next_lsn.prev();
        let life = begin_life(&mut hard, durable, config.nonce);
        if let Some((upto, damage)) = memory.cut {
            note_cut(&mut hard, Cut { life, upto, damage });
        }
        // A cut that not every member has been heard on, be it of an earlier start (C11).
        let unheard = !alone && !hard.cuts.is_empty();
        let witness_wait = if unheard { WITNESS_TIMEOUTS * config.timing.election_us } else { 0 };
        hard.cut_damage = hard.cut_damage.filter(|damage| damage.upto > memory.chosen_upto);
        let lost = memory.damage.into_iter().chain(hard.cut_damage).reduce(Damage::and);
        let acceptor = Acceptor::remember(memory.open, memory.reports, lost);
        let mut replica = Replica {
            round_seen: hard.promised.round,
            hard,
            hard_lsn: durable,
            next_lsn,
            durable,
            last_vote_lsn: durable,
            unsynced: Unsynced::default(),
            budget: DiskBudget::default(),
            wall_ms: 0,
            chosen_upto: memory.chosen_upto,
            chosen_sums: ChosenSums::default(),
            released: ReleasedSlots::start(memory.released_upto),
            acceptor,
            learner: Learner::remember(memory.holes, memory.chosen_upto),
            role: Role::Follower,
            leader: None,
            heard_at: now,
            leader_full: false,
            grant: None,
            boot_wait_until: now.after(boot_wait),
            witness_wait_until: now.after(witness_wait),
            election_at: now.after(boot_wait).after(jitter),
            leaving: false,
            given_up: None,
            asked_to_succeed: None,
            resumed_at: now,
            attempt: 0,
            peers,
            announce_due: true,
            announce_at: now,
            evidence: Evidence::remember(memory.witnessed),
            digests: Digests::start(memory.is_fenced),
            ending: None,
            stopped: false,
            random,
            configurations: Configurations::fixed(voters),
            config,
        };
        if let Some(refuted) = replica.hard.refuted {
            replica.stop(Stop::RolledBack(refuted), effects);
            return replica;
        }
        replica.begin(effects);
        replica
    }

    /// The first records of a life, and what its disk says against itself.
    fn begin(&mut self, effects: &mut Effects) {
        for (node, seen) in self.evidence.recorded().to_vec() {
            if let Some(peer) = self.peers.get_mut(&node) {
                let first = peer.witnessed == Witness::default();
                *(if first { &mut peer.witnessed } else { &mut peer.unconfirmed }) = seen;
            }
        }
        self.fix_configuration();
        self.persist_hard(effects);
        self.check_own_account(effects);
        self.stop_if_unrepairable(effects);
    }
}

/// How long no promise is given: as long as a grant may still run. No lease is longer today, whatever an
/// earlier program wrote down.
fn boot_wait_us(hard: &HardState) -> u64 {
    hard.lease_longest_us.min(LEASE_MS_MAX * 1_000)
}

/// The hard state is of this very disk.
fn assert_own(known: Option<Incarnation>, own: Incarnation) {
    assert!(
        known.is_none_or(|known| known == own),
        "the hard state belongs to incarnation {known:?}, not to {own}"
    );
}

/// What the caller had to check before.
fn assert_checked(config: &Config, hard: &HardState) {
    if let Err(refused @ StartRefused::Configuration { .. }) = config.check(hard) {
        panic!("a checked configuration is the one that the hard state names: {refused}");
    }
}

/// A cut of this start: a peer may yet testify against it.
fn note_cut(hard: &mut HardState, cut: Cut) {
    if hard.cuts.len() == CUTS_MAX {
        hard.cuts.remove(0);
    }
    hard.cuts.push(cut);
}

/// One more life of this disk, by a name of its own.
fn begin_life(hard: &mut HardState, start: Lsn, nonce: u64) -> LifeId {
    let id = LifeId { boots: hard.boots, nonce };
    if hard.lives.len() == LIVES_MAX {
        hard.lives.remove(0);
    }
    hard.lives.push(Life { id, start, accounted: start });
    let lives = &hard.lives;
    hard.cuts.retain(|cut| lives.iter().any(|life| life.id == cut.life));
    id
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Ballot, NodeId, Slot, Value};
    use std::collections::BTreeMap;

    /// C2: an open slot holds a value in a ballot that was never promised here, for it was learned and
    /// its watermark is lost. The promise is no lower after a start.
    #[test]
    fn c02_a_start_promises_what_it_holds() {
        let (me, ballot) = (NodeId(1), Ballot { round: 2, node: NodeId(2) });
        let members = [1, 2, 3].map(NodeId).into_iter().collect();
        let config = Config::new(me, Incarnation(7), members);
        let open = BTreeMap::from([(Slot(5), (ballot, Value::new(*b"x")))]);
        let memory = Memory { open, ..Memory::default() };
        let replica = Replica::start(config, memory, Tick(1), &mut Effects::default());
        assert_eq!(replica.promised(), ballot);
    }
}
