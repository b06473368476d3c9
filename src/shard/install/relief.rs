//! A node that is behind, and whose disk has no room for what it lacks: it cannot come to the next cut, and
//! so it takes no checkpoint, without which nothing of its journal goes. A peer's checkpoint is the way out,
//! though the peer still has the values: it takes little space, and what it shows to be dead goes.

use super::offers::Offers;
use crate::limits::RELIEF_AFTER_US;
use crate::shard::core::Core;
use crate::types::Tick;

/// Notices that.
#[derive(Debug, Default)]
pub(super) struct Relief {
    /// Since when nothing can be learned for want of space.
    since: Option<Tick>,
    /// What peers have to install.
    pub(super) offers: Option<Offers>,
}

impl Relief {
    /// Looks whether it is needed: space may come back by itself, so it waits for a while.
    pub(super) fn look(&mut self, now: Tick, core: &Core) {
        if !core.replica.lacks_room_to_learn() {
            *self = Relief::default();
        } else if now >= self.since.get_or_insert(now).after(RELIEF_AFTER_US) {
            self.offers.get_or_insert_default();
        }
    }

    /// When it is to be looked at again.
    pub(super) fn next_deadline(&self, now: Tick) -> Option<Tick> {
        let due = self.since.map(|since| since.after(RELIEF_AFTER_US)).filter(|at| *at > now);
        self.offers.as_ref().map_or(due, |offers| offers.next_deadline(now))
    }
}
