//! When a leader proposes a cut, at which all nodes take the same checkpoint (C23).
//!
//! A start replays what lies behind the last checkpoint, so the next cut is due when that has grown; but
//! not before it is a good part of what the checkpoint itself will write.

use super::core::Core;
use super::cut_options::CutOptions;
use super::release::Garbage;
use super::writes::Writes;
use crate::limits::{CUT_STATE_MULTIPLE, CUT_TRIMMED_US};
use crate::machine::CutCommand;
use crate::types::{Slot, Tick};

/// A cut that was proposed and did not come is proposed again after this.
const AGAIN_US: u64 = 5_000_000;
/// One that finds no room in the value that is being built waits so long.
const BUSY_US: u64 = 1_000;
/// Where space is short, the first cut for that comes so long after the one before …
const HURRY_US: u64 = 1_000_000;
/// … and the time between two doubles so often.
const HURRY_DOUBLINGS: u32 = 8;

/// The cut behind a large trim is the first of so many that follow each other soon: segments go once the older of two
/// checkpoints knows that they are needed no more, and compaction may wait for one more.
const TRIM_CUTS: u32 = 3;

/// What was applied since the last cut.
#[derive(Debug, Default)]
pub struct SinceCut {
    bytes: u64,
    slots: u64,
    extents: u64,
    /// Bytes of entries that are live no more.
    freed_bytes: u64,
    /// When they had become as many as are to lie between two cuts.
    freed_at: Option<Tick>,
    /// So many cuts are still to follow soon, as long as segments wait for them.
    trim_cuts: u32,
    wants_cut: bool,
    /// When the first slot behind the cut was applied.
    began: Option<Tick>,
    /// When the last cut was applied.
    cut_at: Option<Tick>,
    /// A leader does not propose before that.
    wait_until: Tick,
    /// Space that is short may come of cuts: how many were taken for that.
    hurries: Option<u32>,
}

impl SinceCut {
    /// A slot's value was applied, which has so many bytes and extents, by which so many bytes of entries are live no more,
    /// and which is a cut or is not.
    pub(super) fn applied(
        &mut self,
        now: Tick,
        (bytes, extents, freed_bytes): (usize, usize, u64),
        is_cut: bool,
    ) {
        self.freed_bytes += freed_bytes;
        if is_cut {
            let hurries = self.hurries.map(|cuts| cuts.saturating_add(1));
            let trim_cuts = if self.freed_at.is_some() { TRIM_CUTS } else { self.trim_cuts };
            let trim_cuts = trim_cuts.saturating_sub(1);
            *self = SinceCut { cut_at: Some(now), hurries, trim_cuts, ..SinceCut::default() };
        } else if bytes > 0 {
            self.extents += extents as u64;
            self.bytes += bytes as u64;
            self.slots += 1;
            self.began.get_or_insert(now);
        }
    }

    /// What waits for cuts counts like what is applied, so that an idle shard takes them as well. Where
    /// space is short they come sooner; ever more seldom as long as nothing comes of them.
    fn look_at(&mut self, now: Tick, Garbage { wants_cut, is_urgent }: Garbage) {
        self.wants_cut = wants_cut;
        if wants_cut {
            self.began.get_or_insert(now);
        }
        let hurries = self.hurries.unwrap_or(0);
        self.hurries = (is_urgent && (wants_cut || self.slots > 0)).then_some(hurries);
    }

    /// When a cut is due because space is short.
    fn hurried(&self, gap_us: u64) -> Option<Tick> {
        let wait_us = gap_us.max(HURRY_US) << self.hurries?.min(HURRY_DOUBLINGS);
        Some(self.cut_at.map_or(Tick::default(), |cut_at| cut_at.after(wait_us)))
    }

    /// When a cut is due because much was trimmed.
    fn trimmed(&self) -> Option<Tick> {
        let follows = self.cut_at.filter(|_| self.trim_cuts > 0 && self.wants_cut);
        self.freed_at.or(follows).map(|at| at.after(CUT_TRIMMED_US))
    }

    /// A cut is due.
    fn is_due(&self, now: Tick, core: &Core, state_bytes: u64) -> bool {
        let CutOptions { slots, idle_us, gap_us, .. } = core.options.cuts;
        // Whatever becomes of the checkpoint, cuts do not follow each other at the pace of appends.
        if self.cut_at.is_some_and(|cut_at| now < cut_at.after(gap_us)) {
            return false;
        }
        let hurried = self.hurried(gap_us).is_some_and(|at| now >= at);
        let trimmed = self.trimmed().is_some_and(|at| now >= at);
        let idle = self.began.is_some_and(|began| now >= began.after(idle_us));
        let extents = core.options.cuts.extents_max(core.machine.logs().count());
        self.bytes >= bytes_between(core, state_bytes)
            || trimmed
            || self.slots >= slots
            || self.extents >= extents
            || idle
            || hurried
    }

    /// When a leader looks again.
    pub(super) fn next_deadline(&self, core: &Core) -> Option<Tick> {
        let idle = self.began.map(|began| began.after(core.options.cuts.idle_us));
        let hurried = self.hurried(core.options.cuts.gap_us);
        let at = idle.into_iter().chain(hurried).chain(self.trimmed()).min()?;
        Some(at.max(self.wait_until)).filter(|_| core.serving().is_ok())
    }

    /// Proposes a cut where this node leads and one is due; the last checkpoint has so many bytes.
    pub(super) fn propose(
        &mut self,
        now: Tick,
        core: &Core,
        (state_bytes, garbage): (u64, Garbage),
        writes: &mut Writes,
    ) {
        self.look_at(now, garbage);
        if self.freed_bytes >= bytes_between(core, state_bytes) {
            self.freed_at.get_or_insert(now);
        }
        let due = now >= self.wait_until && self.is_due(now, core, state_bytes);
        if due && core.serving().is_ok() {
            // Where the value is full of appends, a little later.
            let wait_us = if writes.propose_own(core, CutCommand) { AGAIN_US } else { BUSY_US };
            self.wait_until = now.after(wait_us);
        }
    }

    /// Checks against the last cut that the state knows.
    ///
    /// # Panics
    /// When more slots are counted than there are.
    pub(super) fn check(&self, applied_upto: Slot, last_cut: Slot) {
        let (slots, most) = (self.slots, applied_upto.0 - last_cut.0);
        assert!(slots <= most, "{slots} slots since the cut at {last_cut}, applied {applied_upto}");
    }
}

/// So many bytes are to lie between two cuts of a state of this size.
fn bytes_between(core: &Core, state_bytes: u64) -> u64 {
    core.options.cuts.bytes.max(CUT_STATE_MULTIPLE.saturating_mul(state_bytes))
}
