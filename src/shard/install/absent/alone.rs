//! A node without peers: what its own journal does not have, nobody has.

use super::Absent;
use crate::limits::ABSENT_RETRY_US;
use crate::shard::core::Core;
use crate::shard::turn::Turn;
use crate::types::{Slot, Tick};

/// What nobody has is not asked for again.
const NEVER: Tick = Tick(u64::MAX);

/// Between two turns in which slots are given up, in microseconds.
const GIVE_UP_REST_US: u64 = 1_000;

/// This node is the only member.
pub(super) fn is_alone(core: &Core) -> bool {
    core.options.paxos.members.iter().all(|node| *node == core.options.paxos.me)
}

impl Absent {
    /// Gives up what would be asked for, some slots at a time, so that whatever was written down here is looked at.
    /// Entries that are trimmed, or declared lost, are needed no more: from time to time it is found out which.
    pub(super) fn go_on_alone(&mut self, turn: &mut Turn<'_>) {
        if let Some((from, upto)) = self.next_slots() {
            (from.0..=upto.0).for_each(|slot| self.give_up(Slot(slot), NEVER));
        }
        if self.alone_again.is_none_or(|at| at <= turn.now) {
            self.has_unexamined |= self.in_vain.len() > 0;
            self.copies.look_again();
            self.alone_again = Some(turn.now.after(ABSENT_RETRY_US));
        }
        if self.looks_for_nothing() {
            self.examine(turn);
        }
    }

    /// When a node without peers is to go on.
    pub(super) fn alone_deadline(&self, now: Tick) -> Option<Tick> {
        let again = self.alone_again?;
        // Not at once: a node that fenced itself gives up nothing.
        let more = self.slots.last().map(|_| now.after(GIVE_UP_REST_US));
        more.or_else(|| Some(again).filter(|_| self.in_vain.len() > 0))
    }
}
