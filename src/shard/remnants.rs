//! A remnant is no value: from a peer, it is never learned, accepted or taken for what was fetched.

use crate::machine::is_remnant;
use crate::types::Slot;
use crate::wire::peer::{FetchOutcome, Message, ValuesChunk};

/// What a message says without the remnants that stand in it in the place of values; nothing where nothing is left.
/// With the slot of the first one. Absent values may be remnants: they are held against the index (C29).
pub(super) fn without_remnants(mut message: Message) -> (Option<Message>, Option<Slot>) {
    let mut found = None;
    match &mut message {
        Message::Accept(accept) if is_remnant(&accept.value) => return (None, Some(accept.slot)),
        // Whoever asked asks others, as for a value that has rotted there.
        Message::Fetched(fetched) => {
            if let FetchOutcome::Held(value) = &fetched.outcome
                && is_remnant(value)
            {
                found = Some(fetched.slot);
                fetched.outcome = FetchOutcome::Damaged;
            }
        }
        Message::Learned(learned) => {
            let first = learned.values.iter().position(|(_, _, value)| is_remnant(value));
            if let Some(at) = first {
                found = Some(learned.values[at].0);
                learned.values.truncate(at);
            }
        }
        _ => {}
    }
    (Some(message), found)
}

/// The answer, cut off in front of its first remnant, for a node whose state has no format level yet at which remnants
/// are written down (C32c): it asks for the rest again.
pub(super) fn up_to_first_remnant(mut chunk: ValuesChunk) -> ValuesChunk {
    if let Some(at) = chunk.values.iter().position(|(_, _, value)| is_remnant(value)) {
        chunk.covered = chunk.covered.min(chunk.values[at].0.prev());
        chunk.values.truncate(at);
    }
    chunk
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Ballot, NodeId, Value};
    use crate::wire::peer::{Accept, Fetched, Learned};

    const BALLOT: Ballot = Ballot { round: 3, node: NodeId(2) };

    fn remnant() -> Value {
        Value::new(*b"PR and what is left")
    }

    /// C30: what comes in front of a remnant is learned; the remnant is not, nor is it accepted or proposed again.
    #[test]
    fn c30_a_remnant_from_a_peer_is_no_value() {
        let value = Value::new(*b"PV whole");
        let values = (7..10).map(|slot| (Slot(slot), BALLOT, value.clone()));
        let mut values: Vec<_> = values.collect();
        values[1].2 = remnant();
        let (from, chosen_upto, damaged, released) = (Slot(7), Slot(9), None, None);
        let learned = Learned { from, chosen_upto, values, damaged, released };
        let (left, found) = without_remnants(Message::Learned(learned.clone()));
        let values = vec![(Slot(7), BALLOT, value.clone())];
        assert_eq!(left, Some(Message::Learned(Learned { values, ..learned })));
        assert_eq!(found, Some(Slot(8)));

        let (slot, first, serving_from, chosen_upto) = (Slot(9), Slot(8), Slot(8), Slot(7));
        let accept =
            Accept { ballot: BALLOT, slot, first, serving_from, chosen_upto, value: remnant() };
        let (left, found) = without_remnants(Message::Accept(accept.clone()));
        assert_eq!((left, found), (None, Some(slot)));
        let good = Message::Accept(Accept { value, ..accept });
        assert_eq!(without_remnants(good.clone()), (Some(good), None));

        let outcome = FetchOutcome::Held(remnant());
        let fetched = Fetched { ballot: BALLOT, slot, of: BALLOT, outcome };
        let (left, found) = without_remnants(Message::Fetched(fetched.clone()));
        let outcome = FetchOutcome::Damaged;
        assert_eq!(left, Some(Message::Fetched(Fetched { outcome, ..fetched })));
        assert_eq!(found, Some(slot));
    }

    /// C32c: an answer ends in front of the first remnant; one without stays as it is.
    #[test]
    fn c32c_an_answer_ends_in_front_of_a_remnant() {
        let (from, covered, value) = (Slot(7), Slot(20), Value::new(*b"PV whole"));
        let whole = |slots: std::ops::Range<u64>| -> Vec<_> {
            slots.map(|slot| (Slot(slot), BALLOT, value.clone())).collect()
        };
        let chunk = ValuesChunk { from, covered, values: whole(8..11) };
        assert_eq!(up_to_first_remnant(chunk.clone()), chunk);
        let mut mixed = chunk;
        mixed.values[1].2 = remnant();
        let left = ValuesChunk { from, covered: Slot(8), values: whole(8..9) };
        assert_eq!(up_to_first_remnant(mixed), left);
    }
}
