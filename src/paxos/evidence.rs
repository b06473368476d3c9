//! Evidence against disks that are set back: what the members saw each other acknowledge, and what
//! becomes of a node that its peers refute (rules C11, C13; R13).
//!
//! Evidence only rises: a later life of the accused replaces it only where the accused accounts for
//! all of it. It is durable soon after it was seen, so that witnesses may restart: a life that is new
//! at once, what it acknowledges with the next batch, or by itself where none comes. (At once would be a
//! second sync before each acknowledgement.) A node that was refuted writes that down, and does not vote
//! any more.

use super::effects::{Effects, Stop};
use super::note::Note;
use super::replica::{Peer, Replica, Role};
use crate::types::{Lsn, NodeId, Record, Refuted, Tick, Witness, refutes};
use crate::wire::peer::Meet;

/// Evidence that rises all the time is written down this often.
const RECORD_US: u64 = 10_000;
/// Evidence that finds no other record to be written with is written alone after this.
const ALONE_US: u64 = 50_000;

/// How much of what a replica saw is on its own disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Evidence {
    /// The table that the last record holds.
    recorded: Vec<(NodeId, Witness)>,
    /// The next record is written no sooner, unless the shard idles.
    next_at: Tick,
    /// Evidence has waited since then for other records to be written with.
    waits_since: Option<Tick>,
    /// A record was persisted since the last tick, which evidence can be written with.
    pub(super) has_company: bool,
}

impl Evidence {
    pub(super) fn remember(recorded: Vec<(NodeId, Witness)>) -> Evidence {
        Evidence { recorded, ..Evidence::default() }
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

    /// The most that this node acknowledged: the last durable record that a vote may rest on.
    pub(super) fn own_witness(&self) -> Witness {
        let life = self.hard.lives.last().map_or_else(Default::default, |life| life.id);
        Witness { life, durable: self.durable.min(self.binding) }
    }

    /// What other members acknowledged, as far as it is known.
    pub(super) fn evidence_table(&self) -> Vec<(NodeId, Witness)> {
        let rows =
            |(node, peer): (&NodeId, &Peer)| [(*node, peer.witnessed), (*node, peer.hearsay)];
        let seen = self.peers.iter().flat_map(rows);
        seen.filter(|(_, seen)| *seen != Witness::default()).collect()
    }

    /// What each member acknowledged, this node's own included.
    pub(super) fn witness_table(&self) -> Vec<(NodeId, Witness)> {
        let mut table = self.evidence_table();
        table.push((self.config.me, self.own_witness()));
        table.sort_unstable();
        table
    }

    /// A peer has begun a life that is not in this replica's record yet: it is from now on, so that the
    /// life is not forgotten with the next restart here.
    pub(super) fn record_new_life(&mut self, node: NodeId, fx: &mut Effects) {
        let Some(peer) = self.peers.get(&node) else { return };
        let life = peer.witnessed.life;
        let recorded = |row: &(NodeId, Witness)| row.0 == node && row.1.life == life;
        if !self.evidence.recorded.iter().any(recorded) {
            self.record_evidence(fx);
        }
    }

    /// Takes in the account that a peer gives of itself, if it accounts for all that was seen of it.
    pub(super) fn judge(&mut self, node: NodeId, meet: &Meet, fx: &mut Effects) -> bool {
        let Some(peer) = self.peers.get_mut(&node) else { return false };
        let against = [peer.witnessed, peer.hearsay];
        let against = against.into_iter().find(|seen| refutes(&meet.lives, *seen).is_some());
        peer.refuted = against.is_some();
        if let Some(seen) = against {
            fx.note(Note::Refuted { node, seen });
            self.void_votes(node);
            return true;
        }
        peer.hearsay = Witness::default();
        let same = peer.witnessed.life == meet.durable.life;
        peer.witnessed = if same { peer.witnessed.max(meet.durable) } else { meet.durable };
        false
    }

    /// What the node voted is void: it has forgotten some of what it voted before.
    fn void_votes(&mut self, node: NodeId) {
        match &mut self.role {
            Role::Follower => {}
            Role::Canvassing(canvassing) => {
                canvassing.yes.remove(&node);
            }
            Role::Candidate(campaign) => {
                campaign.promises.remove(&node);
            }
            Role::Leader(leadership) => leadership.forget(node),
        }
    }

    /// What a peer saw of every member, as it says when it meets this one, or with a heartbeat.
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

    /// A third member saw `node` acknowledge so much. Of another life than the one known here, it
    /// replaces nothing: only the node's own account shows which of them came first.
    fn hear_witness_of(&mut self, node: NodeId, seen: Witness, fx: &mut Effects) {
        let Some(peer) = self.peers.get_mut(&node).filter(|peer| !peer.refuted) else { return };
        let known = [peer.witnessed, peer.hearsay]
            .into_iter()
            .any(|known| known.life == seen.life && known.durable >= seen.durable);
        if known {
            return;
        }
        if peer.witnessed == Witness::default() || peer.witnessed.life == seen.life {
            peer.witnessed = seen;
        } else {
            peer.hearsay = peer.hearsay.max(seen);
        }
        let Some(meet) = &peer.met else { return };
        // A life that began since is no contradiction: it will meet this replica, too. But one that
        // does not know of it is asked: only it can say.
        let newer = seen.life.boots > meet.durable.life.boots;
        peer.refuted = !newer && refutes(&meet.lives, seen).is_some();
        // What it said when it met this replica accounts for it already.
        let met = peer.hearsay.life.boots <= meet.durable.life.boots;
        if met && refutes(&meet.lives, peer.hearsay).is_none() {
            peer.hearsay = Witness::default();
        }
        if peer.refuted {
            self.void_votes(node);
        }
        if newer || self.peers.get(&node).is_some_and(|peer| peer.refuted) {
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
        fx.note(Note::CutWasDamage { witness, seen });
        self.hard.lives[next].accounted = cut.upto;
        let merged = self.hard.cut_damage.map_or(cut.damage, |damage| damage.and(cut.damage));
        self.hard.cut_damage = Some(merged);
        self.acceptor.add_damage(cut.damage);
        self.persist_hard(fx);
        // Peers that have judged by the account of before take this node in again.
        self.meet_due = true;
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

    /// Every member has been heard on the cuts of this disk: nobody can testify against them later.
    pub(super) fn forget_heard_cuts(&mut self, fx: &mut Effects) {
        if self.has_met_everyone() && !self.hard.cuts.is_empty() && !self.is_ending() {
            self.hard.cuts.clear();
            self.persist_hard(fx);
        }
    }

    /// Writes down what was seen, if it has risen: with other records, or by itself if none come.
    pub(super) fn evidence_tick(&mut self, now: Tick, fx: &mut Effects) {
        let has_company = std::mem::take(&mut self.evidence.has_company);
        if now < self.evidence.next_at {
            return;
        }
        self.evidence.next_at = now.after(RECORD_US);
        // What was heard from others comes while nothing is written here, too: then it waits for a
        // while, since a batch of its own costs two blocks.
        let since = self.evidence.waits_since;
        let waited = since.is_some_and(|since| now.since(since) >= ALONE_US);
        if waited || has_company {
            self.record_evidence(fx);
            self.evidence.waits_since = None;
        } else if since.is_none() && self.evidence_table() != self.evidence.recorded {
            self.evidence.waits_since = Some(now);
        }
    }

    /// Writes down what was seen, if it has risen; says whether it had. For a shard that idles: its
    /// journal is about to write a mark, and this record carries one.
    pub fn record_evidence(&mut self, fx: &mut Effects) -> bool {
        let table = self.evidence_table();
        let rises = table != self.evidence.recorded && !self.budget.full && !self.is_ending();
        if rises {
            self.persist(Record::Witnessed(table.clone()), fx);
            self.evidence.recorded = table;
        }
        rises
    }
}
