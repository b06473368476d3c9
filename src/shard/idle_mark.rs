//! When an idle journal says that all its records are durable (C11).

use super::turn::Turn;
use crate::types::{Lsn, Tick};

/// An idle journal writes a durability mark after this.
const MARK_IDLE_US: u64 = 50_000;

/// The mark that is to be written next.
#[derive(Debug, Default)]
pub struct IdleMark {
    at: Option<Tick>,
}

impl IdleMark {
    /// When it is written, if one is to be.
    pub(super) fn next_deadline(&self) -> Option<Tick> {
        self.at
    }

    /// Records up to `lsn` became durable.
    pub(super) fn durable(&mut self, turn: &Turn<'_>, lsn: Lsn) {
        // What no vote rests on may be lost without a mark.
        if turn.core.journal.marked_upto() < lsn.min(turn.core.replica.last_vote_lsn()) {
            self.at = Some(turn.now.after(MARK_IDLE_US));
        }
    }

    /// Writes the mark when it is time; says whether it did.
    pub(super) fn write(&mut self, turn: &mut Turn<'_>) -> bool {
        if self.at.is_none_or(|at| turn.now < at) {
            return false;
        }
        self.at = None;
        // A record of what was witnessed carries the mark, too.
        if !turn.core.record_evidence() {
            turn.core.journal.idle_mark();
        }
        true
    }
}
