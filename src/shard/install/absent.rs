//! Values that a checkpoint stands for and that this node does not have: fetched from any peer, the newest
//! first (C29).
//!
//! A slot at or below the newest checkpoint is no hole: it forbids no vote and no leadership. Its entries
//! are *absent* here until its value was fetched. What a peer has released is needed by nobody.

use super::receiver::answer_us;
use crate::checkpoint::install::{InstallJob, LogEnd, SlotRow, Verified, VerifyValues};
use crate::limits::{ABSENT_REST_US, ABSENT_RETRY_US, LEARN_SLOTS_MAX};
use crate::machine::appended_logs;
use crate::shard::core::Core;
use crate::shard::disk_job::DiskJob;
use crate::shard::turn::Turn;
use crate::types::{Ballot, LogId, NodeId, Slot, SlotRanges, Tick, Value};
use crate::wire::peer::{Message, ValuesChunk, ValuesFetch};
use std::collections::{BTreeMap, BTreeSet};

/// Fetches what is absent.
#[derive(Debug, Default)]
pub struct Absent {
    /// Slots whose values may be missing here.
    slots: SlotRanges,
    /// Those that somebody has asked for: they come first.
    wanted: BTreeSet<Slot>,
    /// Those that no peer could give, with the time at which all are asked again.
    in_vain: BTreeMap<Slot, Tick>,
    /// Peers that could not give the slot that is next.
    refused: BTreeSet<NodeId>,
    asked: Option<Asked>,
    /// Values that arrived are being held against the index.
    verifies: Option<(Slot, Slot)>,
    /// No sooner is anything asked for: the disk had no space.
    rest_until: Tick,
    /// There are slots in `in_vain` whose rows were not looked for since they were asked for.
    is_news: bool,
    /// The slots of `in_vain` whose rows are being looked for: where no entry is live, no value is needed.
    examined: Option<SlotRanges>,
    /// Values that were fetched since the start.
    fetched: u64,
}

/// What was asked for.
#[derive(Clone, Copy, Debug)]
struct Asked {
    from: Slot,
    upto: Slot,
    peer: NodeId,
    until: Tick,
}

impl Absent {
    /// What a checkpoint says is missing.
    pub(in crate::shard) fn start(slots: SlotRanges) -> Absent {
        Absent { slots, ..Absent::default() }
    }

    /// How many slots may be missing.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.slots.count() + self.in_vain.len() as u64
    }

    /// Values that were fetched since the start.
    #[must_use]
    pub fn fetched(&self) -> u64 {
        self.fetched
    }

    /// The slots, for a checkpoint.
    pub(in crate::shard) fn ranges(&self) -> SlotRanges {
        let mut slots = self.slots.clone();
        self.in_vain.keys().for_each(|slot| slots.add(*slot, *slot));
        slots
    }

    /// The value of this slot may be missing.
    pub(in crate::shard) fn contains(&self, slot: Slot) -> bool {
        self.slots.contains(slot) || self.in_vain.contains_key(&slot)
    }

    /// The first slot whose value may be missing.
    pub(in crate::shard) fn first(&self) -> Option<Slot> {
        let first = self.slots.as_slice().first().map(|(first, _)| *first);
        first.into_iter().chain(self.in_vain.keys().next().copied()).min()
    }

    /// A checkpoint was installed: of the slots between, values may be missing.
    pub(in crate::shard) fn add(&mut self, first: Slot, last: Slot) {
        self.slots.add(first, last);
    }

    /// Somebody asks for an entry of this slot, and its value is not here.
    pub(in crate::shard) fn want(&mut self, slot: Slot) {
        if !self.in_vain.contains_key(&slot) {
            self.slots.add(slot, slot);
            self.wanted.insert(slot);
        }
    }

    /// A peer is there again: what was asked for in vain may be had from it.
    pub(in crate::shard) fn met(&mut self) {
        for slot in std::mem::take(&mut self.in_vain).into_keys() {
            self.slots.add(slot, slot);
        }
    }

    /// The connection to a peer is gone.
    pub(in crate::shard) fn lost(&mut self, peer: NodeId) {
        self.asked.take_if(|asked| asked.peer == peer);
    }

    /// When it is to be looked at again.
    pub(in crate::shard) fn next_deadline(&self, now: Tick) -> Option<Tick> {
        let asked = self.asked.map(|asked| asked.until);
        // What waits for neither of them waits for a peer.
        let rest = Some(self.rest_until).filter(|until| *until > now);
        asked.or(rest).into_iter().chain(self.in_vain.values().copied().min()).min()
    }

    /// Asks for what is next, if nothing is under way.
    pub(in crate::shard) fn go_on(&mut self, turn: &mut Turn<'_>) {
        if self.asked.is_some_and(|asked| turn.now >= asked.until) {
            self.refused.extend(self.asked.take().map(|asked| asked.peer));
        }
        while let Some(slot) = self.in_vain.iter().find(|(_, at)| turn.now >= **at).map(|e| *e.0) {
            self.in_vain.remove(&slot);
            self.slots.add(slot, slot);
        }
        if self.asked.is_some() || self.verifies.is_some() || turn.now < self.rest_until {
            return;
        }
        while let Some((from, upto)) = self.next_slots() {
            if let Some(peer) = self.next_peer(turn.core) {
                let until = turn.now.after(answer_us(turn.core));
                self.asked = Some(Asked { from, upto, peer, until });
                turn.send(peer, Message::ValuesFetch(ValuesFetch { from, upto }));
                return;
            }
            if self.refused.is_empty() {
                return; // Nobody is there to be asked.
            }
            self.give_up(turn.now, from);
        }
        self.examine(turn);
    }

    /// The slots to ask for next.
    fn next_slots(&self) -> Option<(Slot, Slot)> {
        if let Some(slot) = self.wanted.last() {
            return Some((*slot, *slot));
        }
        let (first, last) = self.slots.last()?;
        Some((first.max(Slot(last.0.saturating_sub(LEARN_SLOTS_MAX - 1))), last))
    }

    fn next_peer(&self, core: &Core) -> Option<NodeId> {
        let me = core.options.paxos.me;
        let mut others = core.options.paxos.members.iter().filter(|node| **node != me);
        others.find(|node| !self.refused.contains(node) && core.replica.may_hear(**node)).copied()
    }

    /// Looks for the rows of slots that nobody could give, a set of them at a time.
    fn examine(&mut self, turn: &mut Turn<'_>) {
        if self.examined.is_some() || !std::mem::take(&mut self.is_news) {
            return;
        }
        let slots = SlotRanges::new(self.in_vain.keys().map(|slot| (*slot, *slot)));
        self.examined = Some(slots.clone());
        let runs = turn.core.index.runs().clone();
        turn.run(DiskJob::Install(InstallJob::Rows { runs, slots }));
    }

    /// The rows of slots that nobody could give: those without a live entry are not missing.
    pub(in crate::shard) fn rows_found(&mut self, core: &Core, rows: Option<Vec<SlotRow>>) {
        let (Some(examined), Some(rows)) = (self.examined.take(), rows) else { return };
        let first_index = |log| core.machine.logs().first_index(log);
        let is_live = |row: &&SlotRow| first_index(row.log).is_some_and(|first| first < row.end);
        let live: BTreeSet<Slot> = rows.iter().filter(is_live).map(|row| row.slot).collect();
        self.in_vain.retain(|slot, _| !examined.contains(*slot) || live.contains(slot));
    }

    /// Nobody can give this slot now.
    fn give_up(&mut self, now: Tick, slot: Slot) {
        self.refused.clear();
        self.wanted.remove(&slot);
        self.slots.remove(slot, slot);
        self.in_vain.insert(slot, now.after(ABSENT_RETRY_US));
        self.is_news = true;
    }

    /// A peer answered.
    pub(in crate::shard) fn hear(&mut self, turn: &mut Turn<'_>, peer: NodeId, chunk: ValuesChunk) {
        let ValuesChunk { from, covered, mut values } = chunk;
        let is_answer = |asked: &mut Asked| (asked.peer, asked.from) == (peer, from);
        let Some(asked) = self.asked.take_if(is_answer) else { return };
        let upto = covered.min(asked.upto);
        if upto < from {
            self.refused.insert(peer);
            return;
        }
        values.retain(|(slot, _, _)| (from..=upto).contains(slot));
        if values.is_empty() {
            return self.complete(from, upto);
        }
        self.verifies = Some((from, upto));
        let (logs, runs) = (log_ends(turn.core, &values), turn.core.index.runs().clone());
        let verify = VerifyValues { from: peer, values, runs, logs };
        turn.run(DiskJob::Install(InstallJob::Verify(verify)));
    }

    /// Values were held against the index: those that are right are kept.
    pub(in crate::shard) fn verified(&mut self, turn: &mut Turn<'_>, verified: Verified) {
        let Some((from, mut upto)) = self.verifies.take() else { return };
        let Verified { from: peer, values, refused } = verified;
        if let Some((slot, why)) = refused {
            let shard = turn.core.options.shard;
            log::error!("shard {shard}: node {peer} sent a wrong value for slot {slot}: {why}");
            upto = slot.prev();
            if slot == from {
                self.refused.insert(peer);
            }
        }
        for (slot, ballot, value) in values {
            if !turn.core.keep_value(slot, ballot, value) {
                self.rest_until = turn.now.after(ABSENT_REST_US);
                upto = slot.prev();
                break;
            }
            self.fetched += 1;
        }
        if upto >= from {
            self.complete(from, upto);
        }
    }

    /// These slots have what they need.
    fn complete(&mut self, from: Slot, upto: Slot) {
        self.refused.clear();
        self.slots.remove(from, upto);
        let behind = self.wanted.split_off(&upto.next());
        self.wanted.retain(|slot| *slot < from);
        self.wanted.extend(behind);
    }
}

/// What the state says of the logs that these values append to.
pub(in crate::shard) fn log_ends(
    core: &Core,
    values: &[(Slot, Ballot, Value)],
) -> BTreeMap<LogId, LogEnd> {
    let logs = core.machine.logs();
    let mut ends = BTreeMap::new();
    for (_, _, value) in values {
        let Ok((ids, names)) = appended_logs(value) else { continue };
        let named = names.iter().filter_map(|name| logs.resolve(name));
        for log in ids.iter().copied().chain(named) {
            let (Some(name), Some(first), Some(chain)) =
                (logs.name(log), logs.first_index(log), logs.chain(log))
            else {
                continue;
            };
            let chain = core.index.chain_behind_runs(log).unwrap_or(chain);
            ends.insert(log, LogEnd { name: name.clone(), first, chain });
        }
    }
    ends
}
