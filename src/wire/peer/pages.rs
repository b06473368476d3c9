//! The peer messages that grow: promises, values, chosen values. Each fits one frame.

use super::chosen::{CHOSEN, CHOSEN_BYTES};
use super::message::{Accept, FetchOutcome, Fetched, Learned, Promise, Report};
use crate::limits::{
    FRAME_BYTES_MAX, LEARN_BYTES_MAX, LEARN_SLOTS_MAX, PROMISE_PAGE_SLOTS, VALUE_BYTES_MAX,
};
use crate::types::{Ballot, Damage, Slot, Value};
use crate::wire::codec::{BodyReader, DecodeError, Writer};
use crate::wire::field::{Field, ListLimit, message, tuple};

/// Bytes of one slot's report: slot, number, ballot.
const REPORT_BYTES: usize = 8 + 1 + 10;
const REPORTS: ListLimit =
    ListLimit { items_max: PROMISE_PAGE_SLOTS, item_bytes_min: REPORT_BYTES };

// A full page of a promise fits one frame.
const _: () = assert!(PROMISE_PAGE_SLOTS * REPORT_BYTES + 256 <= FRAME_BYTES_MAX);
// A full answer to a learner fits one frame, with the largest value on top of it.
const _: () = assert!(
    LEARN_BYTES_MAX + VALUE_BYTES_MAX + LEARN_SLOTS_MAX as usize * CHOSEN_BYTES + 256
        <= FRAME_BYTES_MAX
);

message! {
    Promise {
        ballot, page, last, chosen_upto, released_upto, damage, reports as REPORTS, durable,
    }
    Fetched { ballot, slot, of, outcome }
    Accept { ballot, slot, first, serving_from, chosen_upto, value }
    Learned { from, chosen_upto, values as CHOSEN, damaged, released }

    Damage { ballot_max, upto, suspect }
}

tuple! {
    (slot: Slot, report: Report)
}

/// Damage of unknown slot, if there is any: the bool says so.
impl Field for Option<Damage> {
    fn put(&self, body: &mut Vec<u8>) {
        self.is_some().put(body);
        if let Some(damage) = self {
            damage.put(body);
        }
    }

    fn take(body: &mut BodyReader<'_>, field: &'static str) -> Result<Option<Damage>, DecodeError> {
        if body.bool(field)? { Field::take(body, field).map(Some) } else { Ok(None) }
    }
}

/// Slot 0 stands for none: it holds nothing.
impl Field for Option<Slot> {
    fn put(&self, body: &mut Vec<u8>) {
        self.unwrap_or_default().put(body);
    }

    fn take(body: &mut BodyReader<'_>, field: &'static str) -> Result<Option<Slot>, DecodeError> {
        let slot = Field::take(body, field)?;
        Ok((slot != Slot(0)).then_some(slot))
    }
}

/// A number and a ballot, whatever is said of it.
impl Field for Report {
    fn put(&self, body: &mut Vec<u8>) {
        let (number, ballot) = match self {
            Report::Accepted(ballot) => (0, ballot),
            Report::ValueDamaged(ballot) => (1, ballot),
            Report::Damaged(ballot_max) => (2, ballot_max),
            Report::Suspect(ballot_max) => (3, ballot_max),
        };
        body.put_u8(number);
        ballot.put(body);
    }

    fn take(body: &mut BodyReader<'_>, field: &'static str) -> Result<Report, DecodeError> {
        let number = body.u8(field)?;
        let ballot = Field::take(body, field)?;
        match number {
            0 => Ok(Report::Accepted(ballot)),
            1 => Ok(Report::ValueDamaged(ballot)),
            2 => Ok(Report::Damaged(ballot)),
            3 => Ok(Report::Suspect(ballot)),
            found => Err(DecodeError::Number { field, found: u64::from(found) }),
        }
    }
}

impl Field for FetchOutcome {
    fn put(&self, body: &mut Vec<u8>) {
        match self {
            FetchOutcome::Held(value) => {
                body.put_u8(0);
                value.put(body);
            }
            FetchOutcome::Damaged => body.put_u8(1),
            FetchOutcome::NotHeld => body.put_u8(2),
            FetchOutcome::Chosen => body.put_u8(3),
        }
    }

    fn take(body: &mut BodyReader<'_>, field: &'static str) -> Result<FetchOutcome, DecodeError> {
        match body.u8(field)? {
            0 => Field::take(body, "value").map(FetchOutcome::Held),
            1 => Ok(FetchOutcome::Damaged),
            2 => Ok(FetchOutcome::NotHeld),
            3 => Ok(FetchOutcome::Chosen),
            found => Err(DecodeError::Number { field, found: u64::from(found) }),
        }
    }
}

/// A ballot of which a bool says whether it is there; its bytes stand in either case.
impl Field for Option<Ballot> {
    fn put(&self, body: &mut Vec<u8>) {
        self.is_some().put(body);
        self.unwrap_or(Ballot::ZERO).put(body);
    }

    fn take(body: &mut BodyReader<'_>, field: &'static str) -> Result<Option<Ballot>, DecodeError> {
        let is_some = body.bool(field)?;
        let ballot = Field::take(body, field)?;
        Ok(is_some.then_some(ballot))
    }
}

/// A value: copied once out of the connection's buffer.
impl Field for Value {
    fn put(&self, body: &mut Vec<u8>) {
        body.put_bytes32(self.bytes());
    }

    fn take(body: &mut BodyReader<'_>, field: &'static str) -> Result<Value, DecodeError> {
        let bytes = body.bytes32(field)?;
        if bytes.len() > VALUE_BYTES_MAX {
            let (found, limit) = (bytes.len() as u64, VALUE_BYTES_MAX as u64);
            return Err(DecodeError::TooLong { field, found, limit });
        }
        Ok(if bytes.is_empty() { Value::noop() } else { Value::new(bytes) })
    }
}
