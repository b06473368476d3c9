//! Lists of chosen values, as several messages have them.

use crate::limits::LEARN_SLOTS_MAX;
use crate::types::{Ballot, Slot, Value};
use crate::wire::field::{ListLimit, tuple};

/// Bytes of one chosen value without its bytes: slot, ballot, length.
pub(super) const CHOSEN_BYTES: usize = 8 + 10 + 4;
/// A list of them.
pub(super) const CHOSEN: ListLimit =
    ListLimit { items_max: LEARN_SLOTS_MAX as usize, item_bytes_min: CHOSEN_BYTES };

tuple! {
    (slot: Slot, ballot: Ballot, value: Value)
}
