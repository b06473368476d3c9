//! Until when a node that takes over a checkpoint lacks entries: not when it takes effect, but once all that came
//! behind it is here, too. A peer then keeps the checkpoint for it no longer (C29).

use crate::shard::core::Core;
use crate::types::Tick;

/// What a node that takes over a checkpoint lacks beside the entries that are absent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shortfall {
    /// A checkpoint was being taken over, and this node has not caught up since.
    is_behind: bool,
}

impl Shortfall {
    /// True while this node takes over a checkpoint, or has not all that its peers have since.
    pub(in crate::shard) fn look(&mut self, now: Tick, core: &Core, is_installing: bool) -> bool {
        let has_all = core.absent.count() == 0 && core.is_caught_up(now);
        self.is_behind = is_installing || (self.is_behind && !has_all);
        self.is_behind || core.absent.count() > 0
    }
}
