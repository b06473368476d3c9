//! When a leader raises the format level: once every member knows a higher one (C44d), by itself.
//!
//! A member counts by what it announced on its present connection. One that is not connected may come back as
//! an older program, and one that was never heard of may run any: both are waited for.

use super::core::Core;
use super::writes::Writes;
use crate::machine::LevelCommand;
use crate::types::{FormatLevel, Tick};

/// A raise that was proposed and did not come is proposed again after this.
const AGAIN_US: u64 = 1_000_000;

/// Proposes raises of the format level.
#[derive(Debug, Default)]
pub struct LevelRaises {
    /// A leader does not propose before that.
    wait_until: Tick,
}

impl LevelRaises {
    /// Proposes the highest level that every member knows, where this node leads and the state has a lower
    /// one. What finds no room is proposed at a later tick: each heartbeat brings one.
    pub(super) fn propose(&mut self, now: Tick, core: &Core, writes: &mut Writes) {
        let Some(level) = due(core).filter(|_| now >= self.wait_until) else { return };
        if writes.propose_own(core, LevelCommand { level }) {
            self.wait_until = now.after(AGAIN_US);
        }
    }
}

fn due(core: &Core) -> Option<FormatLevel> {
    core.serving().ok()?;
    let level = core.replica.level_known_by_all()?;
    (level > core.machine.levels().level()).then_some(level)
}
