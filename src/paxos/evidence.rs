//! Evidence against disks that are set back: what the members saw each other acknowledge, and what
//! becomes of a node that its peers refute (CONSENSUS C11, C13; RULES R13).
//!
//! Evidence only rises: a later life of the accused replaces it only where the accused accounts for
//! all of it. It is durable soon after it was seen, so that witnesses may restart. A node that was
//! refuted writes that down, and does not vote any more.

use super::effects::{Effects, Stop};
use super::replica::Replica;
use crate::limits::CUTS_MAX;
use crate::types::{Cut, Lsn, NodeId, Record, Refuted, Tick, Witness, refutes};
use crate::wire::peer::Meet;

/// Evidence that rises all the time is written down this often.
const RECORD_US: u64 = 100_000;

/// How much of what a replica saw is on its own disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Evidence {
    /// The table that the last record holds.
    recorded: Vec<(NodeId, Witness)>,
    /// The next one is written no sooner, unless the shard idles.
    next_at: Tick,
}

impl Evidence {
    pub(super) fn remember(recorded: Vec<(NodeId, Witness)>) -> Evidence {
        Evidence { recorded, next_at: Tick(0) }
    }

    /// The table that the last record holds.
    pub(super) fn recorded(&self) -> &[(NodeId, Witness)] {
        &self.recorded
    }
}

impl Replica {
    /// `node` acknowledged this LSN, on its present connection.
    pub(super) fn witness(&mut self, node: NodeId, durable: Lsn) {
        let Some(peer) = self.peers.get_mut(&node).filter(|peer| !peer.refuted) else { return };
        let Some(life) = peer.met.as_ref().map(|meet| meet.durable.life) else { return };
        peer.witnessed = peer.witnessed.max(Witness { life, durable });
    }

    pub(super) fn seen_of(&self, node: NodeId) -> Witness {
        self.peers.get(&node).map_or(Witness::default(), |peer| peer.witnessed)
    }

    /// The most that this node acknowledged: the last durable record that a vote may rest on.
    pub(super) fn own_witness(&self) -> Witness {
        let life = self.hard.lives.last().map_or_else(Default::default, |life| life.id);
        Witness { life, durable: self.durable.min(self.binding) }
    }

    /// What each other member acknowledged, as far as it is known.
    fn evidence_table(&self) -> Vec<(NodeId, Witness)> {
        let seen = self.peers.iter().map(|(node, peer)| (*node, peer.witnessed));
        seen.filter(|(_, seen)| *seen != Witness::default()).collect()
    }

    /// What each member acknowledged, this node's own included.
    pub(super) fn witness_table(&self) -> Vec<(NodeId, Witness)> {
        let mut table = self.evidence_table();
        table.push((self.config.me, self.own_witness()));
        table.sort_unstable();
        table
    }

    /// Takes in the account that a peer gives of itself, if it accounts for all that was seen of it.
    pub(super) fn judge(&mut self, node: NodeId, meet: &Meet) -> bool {
        let Some(peer) = self.peers.get_mut(&node) else { return false };
        peer.refuted = refutes(&meet.lives, peer.witnessed).is_some();
        if peer.refuted {
            log::error!(
                "node {node} lacks records that it acknowledged ({}): its votes do not count",
                peer.witnessed
            );
        } else if peer.witnessed.life == meet.durable.life {
            peer.witnessed = peer.witnessed.max(meet.durable);
        } else {
            peer.witnessed = meet.durable;
        }
        peer.refuted
    }

    /// What a leader says that it saw of every member.
    pub(super) fn hear_witness(
        &mut self,
        from: NodeId,
        table: &[(NodeId, Witness)],
        fx: &mut Effects,
    ) {
        for (node, seen) in table {
            if *node == self.config.me {
                self.hear_own_witness(from, *seen, fx);
            } else {
                self.hear_witness_of(*node, *seen, fx);
            }
        }
    }

    /// A third member saw `node` acknowledge so much. What speaks against the node's own account
    /// is kept before all else.
    fn hear_witness_of(&mut self, node: NodeId, seen: Witness, fx: &mut Effects) {
        let Some(peer) = self.peers.get_mut(&node).filter(|peer| !peer.refuted) else { return };
        let present = peer.met.as_ref().map(|meet| (meet.durable.life, meet.lives.as_slice()));
        let (mut refuted, mut newer) = (false, false);
        if let Some((life, lives)) = present {
            // A life that began since is no contradiction: it will meet this replica, too. But one
            // that did not know of it is asked: only it can say.
            newer = seen.life.boots > life.boots;
            refuted = !newer && refutes(lives, seen).is_some();
        }
        if refuted {
            (peer.refuted, peer.witnessed) = (true, seen);
        } else {
            newer &= seen > peer.witnessed;
            peer.witnessed = peer.witnessed.max(seen);
        }
        if refuted || newer {
            self.send_meet(node, fx);
        }
    }

    /// A peer saw this node acknowledge so much. What the disk does not account for is a cut that
    /// was no torn tail, and so damage; or the disk is older than it was, and the node must not
    /// vote.
    pub(super) fn hear_own_witness(&mut self, witness: NodeId, seen: Witness, fx: &mut Effects) {
        if self.is_ending() {
            return;
        }
        let Some(held) = refutes(&self.hard.lives, seen) else { return };
        if !self.take_for_damage(witness, seen, fx) {
            self.refute(Refuted { witness, seen, held }, fx);
        }
    }

    /// C11: the records that the peer saw were cut off as torn when the next life began. They are
    /// lost, of ballots that the hard state bounds: it was written before they were.
    fn take_for_damage(&mut self, witness: NodeId, seen: Witness, fx: &mut Effects) -> bool {
        let lives = &self.hard.lives;
        let Some(next) = lives.iter().position(|life| life.id == seen.life).map(|at| at + 1) else {
            return false;
        };
        let Some(began) = lives.get(next).map(|life| life.id) else { return false };
        let cut = self.hard.cuts.iter().position(|cut| cut.life == began);
        let Some(at) = cut.filter(|at| seen.durable <= self.hard.cuts[*at].upto) else {
            return false;
        };
        let cut = self.hard.cuts.remove(at);
        log::error!(
            "node {witness} saw {seen} acknowledged, which this node had cut off as torn: it is \
             damage, and is settled with the other nodes"
        );
        self.hard.lives[next].accounted = cut.upto;
        let merged = self.hard.cut_damage.map_or(cut.damage, |damage| damage.and(cut.damage));
        self.hard.cut_damage = Some(merged);
        self.acceptor.add_damage(cut.damage);
        self.persist_hard(fx);
        true
    }

    /// The node ends as soon as it is on disk that it must not vote.
    fn refute(&mut self, refuted: Refuted, fx: &mut Effects) {
        self.hard.refuted = Some(refuted);
        self.persist_hard(fx);
        self.ending = Some(Stop::RolledBack(refuted));
    }

    /// Looks at this disk's own account of itself: what an earlier life began with is there, or its
    /// loss is accounted for.
    pub(super) fn check_own_account(&mut self, fx: &mut Effects) {
        let lives = &self.hard.lives;
        let Some(before) = lives.len().checked_sub(2).and_then(|at| lives.get(at)).copied() else {
            return;
        };
        let seen = Witness { life: before.id, durable: before.start };
        self.hear_own_witness(self.config.me, seen, fx);
    }

    /// A cut of this start: a peer may yet testify against it.
    pub(super) fn note_cut(&mut self, cut: Cut) {
        if self.hard.cuts.len() == CUTS_MAX {
            self.hard.cuts.remove(0);
        }
        self.hard.cuts.push(cut);
    }

    /// Writes down what was seen, if it has risen and other records wait for the disk anyway.
    pub(super) fn evidence_tick(&mut self, now: Tick, fx: &mut Effects) {
        if now >= self.evidence.next_at && self.durable < self.last_lsn() {
            self.evidence.next_at = now.after(RECORD_US);
            self.record_evidence(fx);
        }
    }

    /// Writes down what was seen, if it has risen; says whether it had. For a shard that idles: its
    /// journal is about to write a mark, and this record carries one.
    pub fn record_evidence(&mut self, fx: &mut Effects) -> bool {
        let table = self.evidence_table();
        let rises = table != self.evidence.recorded && !self.room.short && !self.is_ending();
        if rises {
            self.persist(Record::Witnessed(table.clone()), fx);
            self.evidence.recorded = table;
        }
        rises
    }
}
