//! Linearizable reads of a cell: one arrives where somebody believes to lead, and is answered under a
//! valid lease, or when a quorum confirmed the leadership after its arrival (R19, C19).

use crate::cell::Cell;
use paxosd::paxos::Input;
use paxosd::types::{Ballot, NodeId, Slot, Tick};

/// A read under way.
#[derive(Clone, Debug)]
pub struct Read {
    at: NodeId,
    ballot: Ballot,
    stamp: Tick,
    sees: Slot,
    must_see: Slot,
}

/// What became of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Waits,
    Answered,
    /// The leadership is gone, and the read with it.
    Void,
}

impl Read {
    /// A read arrives; None where nobody serves.
    pub fn arrive(cell: &mut Cell, at: NodeId) -> Option<Read> {
        let replica = cell.replica(at)?;
        let ballot = replica.serving()?;
        let (stamp, sees) = (replica.read_stamp(), replica.chosen_upto());
        let must_see = cell.truth.acknowledged;
        let read = Read { at, ballot, stamp, sees, must_see };
        if read.fate(cell) == Fate::Waits {
            cell.step(at, Input::Confirm);
        }
        Some(read)
    }

    /// What becomes of the read now; an answer must show all that was acknowledged before it came.
    pub fn fate(&self, cell: &Cell) -> Fate {
        let replica = cell.replica(self.at);
        let Some(replica) = replica.filter(|r| r.serving() == Some(self.ballot)) else {
            return Fate::Void;
        };
        if !replica.lease_valid(cell.local(self.at)) && !replica.confirmed_after(self.stamp) {
            return Fate::Waits;
        }
        assert!(self.sees >= self.must_see, "a stale read (R19): {self:?}");
        Fate::Answered
    }
}
