//! When a leader proposes a cut, at which all nodes take the same checkpoint (C23).
//!
//! A start replays what lies behind the last checkpoint, so the next cut is due when that has grown; but
//! not before it is a good part of what the checkpoint itself will write.

use super::core::Core;
use super::cut_options::CutOptions;
use super::release::Garbage;
use super::writes::Writes;
use crate::limits::CUT_STATE_MULTIPLE;
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

/// What was applied since the last cut.
#[derive(Debug, Default)]
pub struct SinceCut {
    bytes: u64,
    slots: u64,
    extents: u64,
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
    /// A slot's value was applied, which has so many bytes and extents, and which is a cut or is not.
    pub(super) fn applied(&mut self, now: Tick, (bytes, extents): (usize, usize), is_cut: bool) {
        if is_cut {
            let hurries = self.hurries.map(|cuts| cuts.saturating_add(1));
            *self = SinceCut { cut_at: Some(now), hurries, ..SinceCut::default() };
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

    /// A cut is due.
    fn is_due(&self, now: Tick, core: &Core, state_bytes: u64) -> bool {
        let CutOptions { bytes, slots, idle_us, gap_us, .. } = core.options.cuts;
        // Whatever becomes of the checkpoint, cuts do not follow each other at the pace of appends.
        if self.cut_at.is_some_and(|cut_at| now < cut_at.after(gap_us)) {
            return false;
        }
        let hurried = self.hurried(gap_us).is_some_and(|at| now >= at);
        let idle = self.began.is_some_and(|began| now >= began.after(idle_us));
        let extents = core.options.cuts.extents_max(core.machine.logs().count());
        self.bytes >= bytes.max(CUT_STATE_MULTIPLE.saturating_mul(state_bytes))
            || self.slots >= slots
            || self.extents >= extents
            || idle
            || hurried
    }

    /// When a leader looks again.
    pub(super) fn next_deadline(&self, core: &Core) -> Option<Tick> {
        let idle = self.began.map(|began| began.after(core.options.cuts.idle_us));
        let at = idle.into_iter().chain(self.hurried(core.options.cuts.gap_us)).min()?;
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
