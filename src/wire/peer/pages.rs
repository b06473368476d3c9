//! The peer messages that grow: promises, values, chosen values. Each fits one frame.

use super::message::{Accept, FetchOutcome, Fetched, Learned, Promise, Report};
use crate::limits::{
    FRAME_BYTES_MAX, LEARN_BYTES_MAX, LEARN_SLOTS_MAX, PROMISE_PAGE_SLOTS, VALUE_BYTES_MAX,
};
use crate::types::{Ballot, Damage, Lsn, Slot, Value};
use crate::wire::codec::{DecodeError, ListLimit, Reader, Writer, ballot, chosen};

/// Bytes of one slot's report: slot, number, ballot.
const REPORT_BYTES: usize = 8 + 1 + 10;
/// Bytes of one chosen value without its bytes: slot, ballot, length.
const CHOSEN_BYTES: usize = 8 + 10 + 4;
const REPORTS: ListLimit =
    ListLimit { items_max: PROMISE_PAGE_SLOTS, item_bytes_min: REPORT_BYTES };
const CHOSEN: ListLimit =
    ListLimit { items_max: LEARN_SLOTS_MAX as usize, item_bytes_min: CHOSEN_BYTES };

// A full page of a promise fits one frame.
const _: () = assert!(PROMISE_PAGE_SLOTS * REPORT_BYTES + 256 <= FRAME_BYTES_MAX);
// A full answer to a learner fits one frame, with the largest value on top of it.
const _: () = assert!(
    LEARN_BYTES_MAX + VALUE_BYTES_MAX + LEARN_SLOTS_MAX as usize * CHOSEN_BYTES + 256
        <= FRAME_BYTES_MAX
);

pub(in crate::wire) fn put_promise(body: &mut Vec<u8>, promise: &Promise) {
    body.put_ballot(promise.ballot);
    body.put_u32(promise.page);
    body.put_bool(promise.last);
    body.put_u64(promise.chosen_upto.0);
    body.put_u64(promise.trimmed_upto.0);
    body.put_bool(promise.damage.is_some());
    if let Some(damage) = promise.damage {
        body.put_ballot(damage.hi);
        body.put_u64(damage.upto.0);
        body.put_bool(damage.suspect);
    }
    body.put_list(&promise.reports, |body, (slot, report)| {
        body.put_u64(slot.0);
        let (number, ballot) = match report {
            Report::Accepted(ballot) => (0, ballot),
            Report::ValueDamaged(ballot) => (1, ballot),
            Report::Damaged(hi) => (2, hi),
            Report::Suspect(hi) => (3, hi),
        };
        body.put_u8(number);
        body.put_ballot(*ballot);
    });
    body.put_u64(promise.durable.0);
}

pub(in crate::wire) fn promise(body: &mut Reader<'_>) -> Result<Promise, DecodeError> {
    Ok(Promise {
        ballot: ballot(body)?,
        page: body.u32("page")?,
        last: body.bool("last")?,
        chosen_upto: chosen(body)?,
        trimmed_upto: body.slot("trimmed_upto")?,
        damage: if body.bool("damage")? { Some(damage(body)?) } else { None },
        reports: body.list("reports", REPORTS, report)?,
        durable: Lsn(body.u64("durable")?),
    })
}

fn damage(body: &mut Reader<'_>) -> Result<Damage, DecodeError> {
    Ok(Damage { hi: body.ballot("hi")?, upto: body.slot("upto")?, suspect: body.bool("suspect")? })
}

fn report(body: &mut Reader<'_>) -> Result<(Slot, Report), DecodeError> {
    let slot = body.slot("slot")?;
    let number = body.u8("report")?;
    let ballot = body.ballot("report")?;
    let report = match number {
        0 => Report::Accepted(ballot),
        1 => Report::ValueDamaged(ballot),
        2 => Report::Damaged(ballot),
        3 => Report::Suspect(ballot),
        found => return Err(DecodeError::Number { field: "report", found: u64::from(found) }),
    };
    Ok((slot, report))
}

pub(in crate::wire) fn put_fetched(body: &mut Vec<u8>, fetched: &Fetched) {
    body.put_ballot(fetched.ballot);
    body.put_u64(fetched.slot.0);
    body.put_ballot(fetched.of);
    match &fetched.outcome {
        FetchOutcome::Held(value) => {
            body.put_u8(0);
            body.put_bytes32(value.bytes());
        }
        FetchOutcome::Damaged => body.put_u8(1),
        FetchOutcome::NotHeld => body.put_u8(2),
        FetchOutcome::Chosen => body.put_u8(3),
    }
}

pub(in crate::wire) fn fetched(body: &mut Reader<'_>) -> Result<Fetched, DecodeError> {
    Ok(Fetched {
        ballot: ballot(body)?,
        slot: body.slot("slot")?,
        of: body.ballot("of")?,
        outcome: match body.u8("outcome")? {
            0 => FetchOutcome::Held(value(body)?),
            1 => FetchOutcome::Damaged,
            2 => FetchOutcome::NotHeld,
            3 => FetchOutcome::Chosen,
            found => {
                return Err(DecodeError::Number { field: "outcome", found: u64::from(found) });
            }
        },
    })
}

pub(in crate::wire) fn put_accept(body: &mut Vec<u8>, accept: &Accept) {
    body.put_ballot(accept.ballot);
    body.put_u64(accept.slot.0);
    body.put_u64(accept.first.0);
    body.put_u64(accept.serving_from.0);
    body.put_u64(accept.chosen_upto.0);
    body.put_bytes32(accept.value.bytes());
}

pub(in crate::wire) fn accept(body: &mut Reader<'_>) -> Result<Accept, DecodeError> {
    Ok(Accept {
        ballot: ballot(body)?,
        slot: body.slot("slot")?,
        first: body.slot("first")?,
        serving_from: body.slot("serving_from")?,
        chosen_upto: chosen(body)?,
        value: value(body)?,
    })
}

pub(in crate::wire) fn put_learned(body: &mut Vec<u8>, learned: &Learned) {
    body.put_u64(learned.from.0);
    body.put_u64(learned.chosen_upto.0);
    body.put_list(&learned.values, |body, (slot, ballot, value)| {
        body.put_u64(slot.0);
        body.put_ballot(*ballot);
        body.put_bytes32(value.bytes());
    });
    body.put_bool(learned.damaged.is_some());
    body.put_ballot(learned.damaged.unwrap_or(Ballot::ZERO));
}

pub(in crate::wire) fn learned(body: &mut Reader<'_>) -> Result<Learned, DecodeError> {
    Ok(Learned {
        from: body.slot("from")?,
        chosen_upto: chosen(body)?,
        values: body.list("values", CHOSEN, |body| {
            Ok((body.slot("slot")?, body.ballot("ballot")?, value(body)?))
        })?,
        damaged: {
            let is_damaged = body.bool("damaged")?;
            let ballot = body.ballot("damaged")?;
            is_damaged.then_some(ballot)
        },
    })
}

/// A value: copied once out of the connection's buffer.
fn value(body: &mut Reader<'_>) -> Result<Value, DecodeError> {
    let bytes = body.bytes32("value")?;
    if bytes.len() > VALUE_BYTES_MAX {
        let (found, limit) = (bytes.len() as u64, VALUE_BYTES_MAX as u64);
        return Err(DecodeError::TooLong { field: "value", found, limit });
    }
    Ok(if bytes.is_empty() { Value::noop() } else { Value::new(bytes) })
}
