//! How a leader finds out whether any member still has entries that are to be declared lost (C32b). Sent only
//! where the format level is one at which entries can be.

use crate::limits::LOST_ROWS_MAX;
use crate::types::{Index, LogId, Slot};
use crate::wire::codec::{BodyReader, DecodeError, Writer};
use crate::wire::field::{Field, ListLimit, message, tuple};

/// Ranges of slots.
const SLOTS: ListLimit = ListLimit { items_max: LOST_ROWS_MAX, item_bytes_min: 16 };

/// Does the receiver have any of the entries that a log has in these slots? It reads each value, or what is left of
/// it, from its disk and verifies it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LossAsk {
    /// Matches the answer; unique within the sender's life.
    pub attempt: u64,
    /// The log: what other logs have in the slots says nothing.
    pub log: LogId,
    /// The first entry that is asked for.
    pub from: Index,
    /// The index behind the last one: what the log has of others in the slots says nothing either.
    pub before: Index,
    /// The slots: the first and the last of each range, by rising slot.
    pub slots: Vec<(Slot, Slot)>,
}

/// Answers a [`LossAsk`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LossAnswer {
    /// The attempt that was asked.
    pub attempt: u64,
    /// What the sender has.
    pub verdict: LossVerdict,
}

/// What a member says of the entries of a log in some slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LossVerdict {
    /// All of them are absent here or damaged, and none is on its way.
    Absent,
    /// Those of this slot are here.
    Held(Slot),
    /// It cannot be said of this slot now: it lies above the newest checkpoint, its value is being looked for, or the
    /// disk fails to deliver its record.
    Unclear(Slot),
    /// The sender's state is in doubt: it says nothing.
    InDoubt,
}

/// A number and a slot: 0 for absent, 1 for held, 2 for unclear, 3 for doubt; the slot is 0 where there is none.
impl Field for LossVerdict {
    fn put(&self, body: &mut Vec<u8>) {
        let (kind, slot) = match self {
            LossVerdict::Absent => (0, Slot(0)),
            LossVerdict::Held(slot) => (1, *slot),
            LossVerdict::Unclear(slot) => (2, *slot),
            LossVerdict::InDoubt => (3, Slot(0)),
        };
        body.put_u8(kind);
        slot.put(body);
    }

    fn take(body: &mut BodyReader<'_>, field: &'static str) -> Result<LossVerdict, DecodeError> {
        let (kind, slot) = (body.u8(field)?, Slot::take(body, field)?);
        match (kind, slot) {
            (0, Slot(0)) => Ok(LossVerdict::Absent),
            (1, slot) => Ok(LossVerdict::Held(slot)),
            (2, slot) => Ok(LossVerdict::Unclear(slot)),
            (3, Slot(0)) => Ok(LossVerdict::InDoubt),
            (kind, _) => Err(DecodeError::Number { field, found: u64::from(kind) }),
        }
    }
}

message! {
    LossAsk { attempt, log, from, before, slots as SLOTS }
    LossAnswer { attempt, verdict }
}

tuple! {
    (first: Slot, last: Slot)
}
