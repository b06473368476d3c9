//! Until when a node that takes over a checkpoint says that it lacks entries: not only until the checkpoint takes
//! effect, but until all slots behind it are here too. The peer that gave it keeps it for so long (C29).

use crate::shard::core::Core;
use crate::types::Tick;

/// Whether this node has caught up since it took over a checkpoint.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shortfall {
    /// A checkpoint is being taken over, or was, and this node has not caught up since.
    is_behind: bool,
}

impl Shortfall {
    /// Takes in whether a checkpoint is being taken over. True while this node lacks entries: it takes one over, has
    /// not caught up since, or live entries are absent.
    pub(in crate::shard) fn update(&mut self, now: Tick, core: &Core, is_installing: bool) -> bool {
        let has_all = core.absent.count() == 0 && core.is_caught_up(now);
        self.is_behind = is_installing || (self.is_behind && !has_all);
        self.is_behind || core.absent.count() > 0
    }
}
