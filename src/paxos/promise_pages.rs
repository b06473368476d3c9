//! A member's promise, as a candidate gathers it page by page (C4).

use crate::types::{Damage, Slot};
use crate::wire::peer::Report;
use std::collections::BTreeMap;

/// The pages of one member's promise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Pages {
    pub(super) next: u32,
    pub(super) complete: bool,
    pub(super) chosen_upto: Slot,
    pub(super) released_upto: Slot,
    pub(super) damage: Option<Damage>,
    pub(super) reports: BTreeMap<Slot, Report>,
}

impl Pages {
    /// What the promise says of a slot above its watermark; `None` is "nothing accepted" (C5).
    pub(super) fn report(&self, slot: Slot) -> Option<Report> {
        let lost = self.damage.filter(|damage| slot <= damage.upto);
        let lost = lost.map(|damage| {
            if damage.suspect {
                Report::Suspect(damage.ballot_max)
            } else {
                Report::Damaged(damage.ballot_max)
            }
        });
        self.reports.get(&slot).copied().or(lost)
    }

    /// The highest slot of which the promise says more than "nothing accepted".
    pub(super) fn last(&self) -> Slot {
        let reported = self.reports.last_key_value().map_or(Slot(0), |entry| *entry.0);
        reported.max(self.damage.map_or(Slot(0), |damage| damage.upto))
    }
}
