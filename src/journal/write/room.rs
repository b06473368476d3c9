//! How much of the space that is left may be used for what, once no further segment can be prepared.

use crate::journal::write::journal::{Journal, SPARES, Tail};

/// Of the last segment's bytes, one in so many is for votes alone.
const VOTES_SHARE: u64 = 8;
/// Of the last segment's bytes, one in so many is for elections: votes, and what must be settled.
const ELECTIONS_SHARE: u64 = 2;

/// Bytes for values that may be pushed, as [`crate::limits::value_room_bytes`] counts them; no bound while
/// more than the reserve is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValueRoom {
    /// For new values: the reserve stays untouched.
    pub new_values: u64,
    /// For chosen values that are learned: what elections need stays untouched.
    pub catch_up: u64,
    /// For what an election must settle: what votes need stays untouched.
    pub election: u64,
}

impl Journal {
    /// Free space beside `min_free_bytes` that is left alone when a segment is prepared from now on: one
    /// segment, and what is needed for checkpoints, without which nothing is released (R11).
    pub fn set_reserve_bytes(&mut self, bytes_for_checkpoints: u64) {
        self.reserve_bytes = self.options.segment_bytes.saturating_add(bytes_for_checkpoints);
    }

    /// Free space beside `min_free_bytes` that no segment takes.
    #[must_use]
    pub fn reserve_bytes(&self) -> u64 {
        self.reserve_bytes
    }

    /// Space for values that may be pushed now (R11).
    #[must_use]
    pub fn value_room(&self) -> ValueRoom {
        let share = |part: u64| self.options.segment_bytes / part;
        let open = match &self.tail {
            Tail::Open(writing) => writing.room(),
            Tail::Ended { .. } => 0,
        };
        let ready: u64 = self.spares.iter().map(|(_, bytes)| *bytes).sum();
        let left = |bytes: u64, kept: u64| bytes.saturating_sub(kept + self.pending_room);
        if self.spares.len() >= SPARES {
            return ValueRoom { new_values: u64::MAX, catch_up: u64::MAX, election: u64::MAX };
        }
        let new_values = match (self.spares.len(), self.room) {
            // Only the reserve is left, and the tail stands in it.
            (0, false) => 0,
            (0, true) => left(open, share(ELECTIONS_SHARE)),
            _ => left(open, 0),
        };
        ValueRoom {
            new_values,
            catch_up: left(open + ready, share(ELECTIONS_SHARE)),
            election: left(open + ready, share(VOTES_SHARE)),
        }
    }
}
