//! Values that a checkpoint stands for and that this node does not have: fetched from any peer, the newest
//! first (C29).
//!
//! A slot at or below the newest checkpoint is no hole: it forbids no vote and no leadership. Its entries
//! are *absent* here until its value was fetched. What a peer has released is needed by nobody.

mod against_index;
mod alone;
mod here;
mod in_vain;
mod proof;
mod unproven;

pub(in crate::shard) use self::against_index::log_ends;

use self::against_index::against_index;
use self::alone::is_alone;
use self::in_vain::InVain;
use self::unproven::Unproven;
use super::arrivals::{Arrival, Arrivals, Asked};
use super::own_copies::OwnCopies;
use super::own_values::OwnValues;
use super::pace::{InstallPace, UnsyncedAnswers, answer_us};
use crate::checkpoint::install::{InstallJob, RecordsBeside, RowName, ValueFault, Verified};
use crate::limits::{ABSENT_REST_US, ABSENT_RETRY_US, LEARN_SLOTS_MAX};
use crate::paxos::Doubt;
use crate::shard::core::Core;
use crate::shard::disk_job::DiskJob;
use crate::shard::turn::Turn;
use crate::types::{Ballot, NodeId, Slot, SlotRanges, Tick};
use crate::wire::peer::{Message, ValuesChunk, ValuesFetch};
use std::collections::{BTreeMap, BTreeSet};

/// Fetches what is absent.
#[derive(Debug, Default)]
pub struct Absent {
    /// Slots whose values may be missing here.
    slots: SlotRanges,
    /// Such that are looked for in this node's own journal first.
    own: OwnValues,
    /// Such that no peer could give, and of which anything that was written down here is looked at.
    copies: OwnCopies,
    /// Of slots whose record is damaged the ballot in which it was written down.
    ballots_at_least: BTreeMap<Slot, Ballot>,
    /// Those that somebody has asked for: they come first.
    wanted: BTreeSet<Slot>,
    /// Such that nobody could give, and of which no entry is live: that stays so, and they are wanted no more.
    needless: SlotRanges,
    /// Those that no peer could give, with the time at which all are asked again.
    in_vain: InVain,
    /// Peers that could not give the slot that they were asked for first.
    refused: BTreeMap<Slot, BTreeSet<NodeId>>,
    /// What is asked for, or arrived and is not kept yet; still absent until then.
    arrivals: Arrivals,
    /// No sooner is anything asked for: the disk had no space.
    rest_until: Tick,
    pace: InstallPace,
    /// There are slots in `in_vain` whose rows were not looked for since they were asked for.
    has_unexamined: bool,
    /// Slots that a peer answered for, or this node's own journal, until their rows show that no live entry is missing.
    unproven: Unproven,
    /// Peers whose answers for a slot lacked live entries.
    omitted: BTreeMap<Slot, BTreeSet<NodeId>>,
    /// The slots of `in_vain` and `unproven` whose rows are being looked for, and since when: where no entry is
    /// live, no value is needed.
    examined: Option<(SlotRanges, Tick)>,
    /// They are looked for no sooner.
    examine_after: Tick,
    /// Values that were fetched since the start.
    fetched: u64,
    /// Of a node without peers: when the rows of what it lacks are looked for again.
    alone_again: Option<Tick>,
    /// What was kept of the last answers, as long as it may not be durable.
    unsynced: UnsyncedAnswers,
}

impl Absent {
    /// What a checkpoint says is missing.
    pub(in crate::shard) fn start(slots: SlotRanges) -> Absent {
        Absent { own: OwnValues::start(slots), ..Absent::default() }
    }

    /// How many slots may be missing.
    #[must_use]
    pub fn count(&self) -> u64 {
        let others = (self.in_vain.len() + self.unproven.len()) as u64;
        self.slots.count() + self.own.slots().count() + others
    }

    /// Values that were fetched since the start.
    #[must_use]
    pub fn fetched(&self) -> u64 {
        self.fetched
    }

    /// The slots, for a checkpoint.
    pub(in crate::shard) fn ranges(&self) -> SlotRanges {
        let mut slots = self.slots.clone();
        self.own.slots().as_slice().iter().for_each(|(first, last)| slots.add(*first, *last));
        let others = self.in_vain.slots().chain(self.unproven.slots());
        others.for_each(|slot| slots.add(slot, slot));
        slots
    }

    /// The value of this slot may be missing.
    pub(in crate::shard) fn contains(&self, slot: Slot) -> bool {
        self.slots.contains(slot)
            || self.own.slots().contains(slot)
            || self.in_vain.contains(slot)
            || self.unproven.get(slot).is_some_and(|answered| answered.rows.is_empty())
    }

    /// The first slot whose value may be missing.
    pub(in crate::shard) fn first(&self) -> Option<Slot> {
        let firsts = [&self.slots, self.own.slots()].map(|slots| slots.as_slice().first());
        let firsts = firsts.into_iter().flatten().map(|(first, _)| *first);
        let others = [self.in_vain.slots().next(), self.unproven.slots().next()];
        firsts.chain(others.into_iter().flatten()).min()
    }

    /// A checkpoint was installed: of the slots between, values may be missing.
    pub(in crate::shard) fn add(&mut self, first: Slot, last: Slot) {
        self.slots.add(first, last);
    }

    /// The index that these slots' values were found by is not believed: each counts as missing until it was
    /// held against the new one (C32).
    pub(in crate::shard) fn distrust(&mut self, first: Slot, last: Slot) {
        let own = OwnValues::start(SlotRanges::new([(first, last)]));
        *self = Absent { own, fetched: self.fetched, ..Absent::default() };
    }

    /// No job is under way that goes by the index.
    pub(in crate::shard) fn is_idle(&self) -> bool {
        self.arrivals.has_none_arrived() && self.examined.is_none() && self.looks_for_nothing()
    }

    /// A read of this node's own journal is under way.
    pub(in crate::shard) fn is_reading(&self) -> bool {
        self.own.is_reading() || self.copies.is_reading()
    }

    /// The record of this slot is damaged, which was written down in that ballot: what comes takes its place only in
    /// no lower one. Every value that may be chosen in a higher ballot is the one that was (P2).
    pub(in crate::shard) fn want_at_least(&mut self, slot: Slot, damaged: Ballot) {
        self.require_ballot(slot, damaged);
        self.want(slot);
    }

    /// What is kept for this slot is kept in no lower ballot than this one.
    fn require_ballot(&mut self, slot: Slot, ballot: Ballot) {
        let least = self.ballots_at_least.entry(slot).or_default();
        *least = ballot.max(*least);
    }

    /// What is kept for this slot, in this ballot at least, counts before the record that was damaged.
    pub(in crate::shard) fn ballot_at_least(&self, slot: Slot, ballot: Ballot) -> Ballot {
        self.ballots_at_least.get(&slot).map_or(ballot, |least| ballot.max(*least))
    }

    /// Somebody asks for an entry of this slot, and its value is not here.
    pub(in crate::shard) fn want(&mut self, slot: Slot) {
        if let Some(answered) = self.unproven.remove(slot) {
            self.omitted.entry(slot).or_default().insert(answered.peer);
        }
        if self.own.slots().contains(slot) {
            return self.own.want(slot);
        }
        if !self.in_vain.contains(slot) && !self.is_needless(slot) {
            self.slots.add(slot, slot);
            self.wanted.insert(slot);
        }
    }

    /// Entries are declared lost: of the slots that nobody could give, some may be needed no more (C32b).
    pub(in crate::shard) fn look_again(&mut self) {
        self.has_unexamined = true;
    }

    /// The value of this slot may come to be here yet, though no member says that it has it: it is on its way, or
    /// what is in this node's own journal was not looked at.
    pub(in crate::shard) fn may_come(&self, slot: Slot) -> bool {
        self.own.slots().contains(slot) || self.arrivals.contains(slot)
    }

    /// No entry of this slot is live, as was found when nobody could give its value: nobody needs it, here or
    /// elsewhere. Else two nodes that both lack it would ask each other for ever.
    pub(in crate::shard) fn is_needless(&self, slot: Slot) -> bool {
        self.needless.contains(slot)
    }

    /// A peer is there again: what was asked for in vain may be had from it.
    pub(in crate::shard) fn met(&mut self) {
        for slot in std::mem::take(&mut self.in_vain).slots() {
            self.slots.add(slot, slot);
        }
        self.refused.clear();
        self.omitted.clear();
    }

    /// The connection to a peer is gone.
    pub(in crate::shard) fn lost(&mut self, peer: NodeId) {
        self.arrivals.lost(peer);
    }

    /// The process did not run for a while: an examination under way has not taken that time.
    pub(in crate::shard) fn resumed(&mut self, now: Tick) {
        if let Some((_, since)) = &mut self.examined {
            *since = now;
        }
    }

    /// When it is to be looked at again.
    pub(in crate::shard) fn next_deadline(&self, now: Tick) -> Option<Tick> {
        let asked = self.arrivals.next_deadline();
        // What waits for neither of them waits for a peer.
        let rest = Some(self.rest_until).filter(|until| *until > now);
        let rest = rest.max(self.pace.rests_until(now));
        let is_due = self.examined.is_none() && !self.unproven.is_empty();
        let rest = rest.or(Some(self.examine_after).filter(|at| is_due && *at > now));
        let own = [self.own.next_deadline(now), self.copies.next_deadline(now)];
        let own = own.into_iter().flatten();
        let own = own.chain(self.alone_deadline(now));
        asked.or(rest).into_iter().chain(own).chain(self.in_vain.next_deadline()).min()
    }

    /// Looks for what is next, here and elsewhere, if nothing is under way. A node that fenced itself has no
    /// index to hold it against.
    pub(in crate::shard) fn go_on(&mut self, turn: &mut Turn<'_>) {
        if turn.core.replica.doubt() == Some(Doubt::Fenced) {
            return;
        }
        // What somebody waits for does not wait for proofs.
        if self.may_look_here() || (self.looks_for_nothing() && self.own.is_one_wanted()) {
            self.own.go_on(turn);
        }
        self.ask_next(turn);
        if self.may_look_here() && turn.core.allows_remnants() {
            self.copies.go_on(turn); // What is found is kept as a remnant.
        }
    }

    /// Asks peers for what is next, each for other slots.
    fn ask_next(&mut self, turn: &mut Turn<'_>) {
        if is_alone(turn.core) {
            return self.go_on_alone(turn);
        }
        for Asked { from, peer, .. } in self.arrivals.overdue(turn.now) {
            self.refused.entry(from).or_default().insert(peer);
        }
        for slot in self.in_vain.due(turn.now) {
            self.slots.add(slot, slot);
        }
        if turn.now < self.rest_until {
            return;
        }
        let is_paused = self.update_pause(turn);
        while self.arrivals.has_room() {
            // What a reader waits for is fetched without a pause.
            let next = self.next_wanted();
            if next.is_none() && self.unproven.is_full() {
                return self.examine(turn);
            }
            if is_paused && next.is_none() {
                return;
            }
            let Some((from, upto)) = next.or_else(|| self.next_slots()) else {
                // All logs are gone through: the more slots at once, the better.
                if self.looks_for_nothing() && !self.arrivals.has_asked() {
                    self.examine(turn);
                }
                return;
            };
            let peers = self.peers_for(turn.core, from);
            let Some(peer) = peers.iter().find(|peer| !self.arrivals.is_asked(**peer)) else {
                let is_in_vain =
                    self.refused.contains_key(&from) || self.omitted.contains_key(&from);
                if !peers.is_empty() {
                    return; // They are being asked for something else.
                }
                if !is_in_vain {
                    return self.examine(turn); // Nobody is there to be asked.
                }
                self.give_up(from, turn.now.after(ABSENT_RETRY_US));
                continue;
            };
            if !self.arrivals.has_asked() {
                self.pace.begin(turn.now, turn.core.known_chosen());
            }
            let until = turn.now.after(answer_us(turn.core));
            self.arrivals.ask(Asked { peer: *peer, from, upto, until });
            turn.send(*peer, Message::ValuesFetch(ValuesFetch { from, upto }));
        }
    }

    /// Nothing is asked for yet, for the sake of clients: it is a pause, or what came before is still on its way to the
    /// disk. More of it would lie in front of the next batch of appends, here and in others' journals on the same disk.
    fn update_pause(&mut self, turn: &Turn<'_>) -> bool {
        let is_behind = self.unsynced.is_full(turn.core.journal.durable_upto());
        let is_active = self.pace.look(turn.now, turn.core.known_chosen());
        (is_behind && is_active) || self.pace.rests_until(turn.now).is_some()
    }

    /// The slot that somebody waits for, to be asked for next.
    fn next_wanted(&self) -> Option<(Slot, Slot)> {
        let mut wanted = self.wanted.iter().rev();
        wanted.find(|slot| !self.arrivals.contains(**slot)).map(|slot| (*slot, *slot))
    }

    /// The slots to ask for next where nobody waits: of all of them the same peers lacked entries.
    fn next_slots(&self) -> Option<(Slot, Slot)> {
        let ranges = self.slots.as_slice().iter().rev();
        let mut outside =
            ranges.filter_map(|(first, last)| self.arrivals.last_outside(*first, *last));
        let (first, last) = outside.next()?;
        let least = first.max(Slot(last.0.saturating_sub(LEARN_SLOTS_MAX - 1)));
        let by_whom = self.omitted.get(&last);
        let is_alike = |slot: &Slot| self.omitted.get(slot) == by_whom;
        let alike = (least.0..=last.0).rev().map(Slot).take_while(is_alike).last();
        Some((alike.unwrap_or(last), last))
    }

    /// The peers that may have this slot.
    fn peers_for(&self, core: &Core, slot: Slot) -> Vec<NodeId> {
        let is_among = |by_slot: &BTreeMap<Slot, BTreeSet<NodeId>>, node: &NodeId| {
            by_slot.get(&slot).is_some_and(|nodes| nodes.contains(node))
        };
        let may = |node: &NodeId| {
            *node != core.options.paxos.me
                && !is_among(&self.refused, node)
                && !is_among(&self.omitted, node)
                && core.replica.may_hear(*node)
        };
        core.options.paxos.members.iter().copied().filter(may).collect()
    }

    /// Nobody can give this slot now, unless it was written down here. It is asked for again at this time.
    fn give_up(&mut self, slot: Slot, again: Tick) {
        self.copies.want(slot);
        self.refused.remove(&slot);
        self.wanted.remove(&slot);
        self.slots.remove(slot, slot);
        self.omitted.remove(&slot);
        self.in_vain.add(slot, again);
        self.has_unexamined = true;
    }

    /// A peer answered.
    pub(in crate::shard) fn hear(&mut self, turn: &mut Turn<'_>, peer: NodeId, chunk: ValuesChunk) {
        let ValuesChunk { from, covered, mut values } = chunk;
        let Some(asked) = self.arrivals.answered(peer, from) else { return };
        let upto = covered.min(asked.upto);
        if upto < from {
            self.refused.entry(from).or_default().insert(peer);
            return;
        }
        // While it rests for clients, what came is held against the index and written down.
        self.pace.end(turn.now, turn.core.known_chosen());
        values.retain(|(slot, _, _)| (from..=upto).contains(slot));
        if values.is_empty() {
            return self.complete((from, upto), peer, &BTreeMap::new());
        }
        self.arrivals.push(Arrival { peer, from, upto, values });
        self.verify_next(turn);
    }

    /// Has what arrived next held against the index, if nothing is.
    fn verify_next(&mut self, turn: &mut Turn<'_>) {
        if let Some(Arrival { peer, values, .. }) = self.arrivals.next() {
            let verify = against_index(turn.core, peer, values, RecordsBeside::new());
            turn.run(DiskJob::Install(InstallJob::Verify(Box::new(verify))));
        }
    }

    /// Values were held against the index: those that are right are kept.
    pub(in crate::shard) fn verified(&mut self, turn: &mut Turn<'_>, verified: Verified) {
        if let Some((_, _, ValueFault::DamagedIndex(damage))) = &verified.refused {
            turn.core.note_damage(damage);
        }
        let me = turn.core.options.paxos.me;
        if verified.from == me && !self.copies.is_idle() {
            return self.keep_copies(turn, verified);
        }
        if verified.from == me {
            return self.found_right(turn, verified);
        }
        let Some((from, mut upto)) = self.arrivals.verified() else { return };
        self.verify_next(turn);
        let Verified { from: peer, values, rows, refused, .. } = verified;
        if let Some((slot, _, fault)) = refused {
            let shard = turn.core.options.shard;
            match fault {
                ValueFault::OtherValue(why) => {
                    log::error!(
                        "shard {shard}: node {peer} sent a wrong value for slot {slot}: {why}"
                    );
                }
                ValueFault::DamagedIndex(why) => {
                    log::error!("shard {shard}: a run of the index: {why}");
                    self.rest_until = turn.now.after(ABSENT_REST_US);
                }
            }
            upto = slot.prev();
            if slot == from {
                self.refused.entry(from).or_default().insert(peer);
            }
        }
        for (slot, ballot, value) in values {
            let ballot = self.ballot_at_least(slot, ballot);
            if !turn.core.keep_value(slot, ballot, value) {
                self.rest_until = turn.now.after(ABSENT_REST_US);
                upto = slot.prev();
                break;
            }
            // Should it lack entries, what comes in its place has to overrule it.
            self.ballots_at_least.insert(slot, ballot);
            self.fetched += 1;
        }
        self.unsynced.add(turn.core.replica.next_lsn().prev());
        if upto >= from {
            self.complete((from, upto), peer, &rows);
        }
    }

    /// A peer has answered for these slots, with values of so many rows: whether that is all, their rows show.
    fn complete(
        &mut self,
        (from, upto): (Slot, Slot),
        peer: NodeId,
        rows: &BTreeMap<Slot, Vec<RowName>>,
    ) {
        self.refused.retain(|slot, _| !(from..=upto).contains(slot));
        let answered = (from.0..=upto.0).map(Slot).filter(|slot| self.slots.contains(*slot));
        self.await_proof(answered.collect::<Vec<_>>().into_iter(), peer, rows);
        self.slots.remove(from, upto);
        let behind = self.wanted.split_off(&upto.next());
        self.wanted.retain(|slot| *slot < from);
        self.wanted.extend(behind);
    }
}
