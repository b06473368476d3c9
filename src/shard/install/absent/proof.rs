//! The proof that no live entry of a slot is missing: the index is searched for its rows, and each that is live has to be
//! in what was answered for it.

use super::Absent;
use super::unproven::Answered;
use crate::checkpoint::install::{InstallJob, RowName, SlotRow};
use crate::index::RunDamage;
use crate::limits::{ABSENT_RETRY_US, EXAMINE_TIME_PARTS};
use crate::shard::disk_job::DiskJob;
use crate::shard::turn::Turn;
use crate::types::{NodeId, Slot, SlotRanges};
use std::collections::{BTreeMap, BTreeSet};

/// Ranges of slots that are remembered as needed by nobody.
const NEEDLESS_RANGES_MAX: usize = 4096;

impl Absent {
    /// A node, or this one's journal, has values of these rows for these slots: those without have none.
    pub(super) fn await_proof(
        &mut self,
        slots: impl Iterator<Item = Slot>,
        peer: NodeId,
        rows: &BTreeMap<Slot, Vec<RowName>>,
    ) {
        for slot in slots {
            let rows = rows.get(&slot).cloned().unwrap_or_default();
            self.unproven.add(slot, Answered { peer, rows });
        }
    }

    /// Looks for the rows of slots that nobody could give, and of those that were answered for, a set of them at a
    /// time.
    pub(super) fn examine(&mut self, turn: &mut Turn<'_>) {
        if self.examined.is_some()
            || !self.arrivals.has_none_arrived()
            || turn.now < self.examine_after
        {
            return;
        }
        if !std::mem::take(&mut self.has_unexamined) && self.unproven.is_empty() {
            return;
        }
        let slots: BTreeSet<Slot> = self.in_vain.slots().chain(self.unproven.slots()).collect();
        let slots = SlotRanges::new(slots.into_iter().map(|slot| (slot, slot)));
        self.examined = Some((slots.clone(), turn.now));
        let runs = turn.core.index.runs().clone();
        turn.run(DiskJob::Install(InstallJob::Rows { runs, slots }));
    }

    /// The rows of these slots: those without a live entry are not missing, and of those whose answer has them all
    /// nothing is. The others are asked for elsewhere: a peer that is ahead may know of a trim that is still to
    /// come here, and one that is wrong is not asked for them again.
    pub(in crate::shard) fn rows_found(
        &mut self,
        turn: &mut Turn<'_>,
        rows: Result<Vec<SlotRow>, RunDamage>,
    ) {
        let Some((examined, since)) = self.examined.take() else { return };
        let took = turn.now.since(since);
        self.examine_after = turn.now.after(took.saturating_mul(EXAMINE_TIME_PARTS - 1));
        let rows = match rows {
            Ok(rows) => rows,
            Err(damage) => {
                turn.core.note_damage(&damage);
                self.examine_after = self.examine_after.max(turn.now.after(ABSENT_RETRY_US));
                return;
            }
        };
        let machine = &turn.core.machine;
        let is_live = |row: &&SlotRow| machine.is_live(row.log, row.first, row.end);
        let mut live: BTreeMap<Slot, BTreeSet<RowName>> = BTreeMap::new();
        for row in rows.iter().filter(is_live) {
            live.entry(row.slot).or_default().insert((row.log, row.first));
        }
        let is_dead = |slot: &Slot| examined.contains(*slot) && !live.contains_key(slot);
        let dead: Vec<Slot> = self.in_vain.slots().filter(is_dead).collect();
        for slot in dead {
            self.in_vain.remove(slot);
            self.ballots_at_least.remove(&slot);
            self.needless.add(slot, slot);
        }
        if self.needless.as_slice().len() > NEEDLESS_RANGES_MAX {
            self.needless = SlotRanges::default(); // It is found out again of those that are asked for.
        }
        // By their names: of what the answer has, some may have been trimmed meanwhile.
        let lacks = |slot: &Slot, answered: &Answered| {
            let mut rows = live.get(slot).into_iter().flatten();
            rows.any(|row| answered.rows.binary_search(row).is_err())
        };
        let answered = self.unproven.take(&examined).into_iter();
        let (lacking, proven): (Vec<_>, Vec<_>) =
            answered.partition(|(slot, answered)| lacks(slot, answered));
        let me = turn.core.options.paxos.me;
        for (slot, _) in proven {
            self.omitted.remove(&slot);
            self.ballots_at_least.remove(&slot); // Nothing is to take its place.
        }
        if let Some((slot, answered)) = lacking.iter().find(|(_, answered)| answered.peer != me) {
            log::warn!(
                "shard {}: the values found for {} slots lack live entries, that of node {} for \
                 slot {slot} among them; others are asked",
                turn.core.options.shard,
                lacking.len(),
                answered.peer
            );
        }
        for (slot, answered) in lacking {
            self.omitted.entry(slot).or_default().insert(answered.peer);
            self.slots.add(slot, slot);
        }
    }
}
