//! What must hold of a replica after every step, and between two steps. Run after every step in
//! tests and in the simulator; the cheap ones also stand as assertions in the code itself (R25).

use super::replica::{Replica, Role};
use crate::types::{Ballot, Lsn, Slot};

/// The few numbers of a replica that only ever rise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    promised: Ballot,
    boots: u64,
    lease_longest_us: u64,
    formed: bool,
    chosen_upto: Slot,
    durable: Lsn,
    next_lsn: Lsn,
}

impl Summary {
    /// The replica's numbers now.
    #[must_use]
    pub fn of(replica: &Replica) -> Summary {
        Summary {
            promised: replica.hard.promised,
            boots: replica.hard.boots,
            lease_longest_us: replica.hard.lease_longest_us,
            formed: replica.hard.formed,
            chosen_upto: replica.chosen_upto,
            durable: replica.durable,
            next_lsn: replica.next_lsn,
        }
    }
}

/// Checks one step of one life: nothing that may only rise has fallen.
///
/// # Panics
/// When it has, with both numbers.
pub fn check_step(before: &Summary, after: &Summary) {
    assert!(before.promised <= after.promised, "promised fell: {before:?} {after:?}");
    assert!(before.chosen_upto <= after.chosen_upto, "chosen_upto fell: {before:?} {after:?}");
    assert!(before.durable <= after.durable, "durable fell: {before:?} {after:?}");
    assert!(before.next_lsn <= after.next_lsn, "next LSN fell: {before:?} {after:?}");
    assert!(before.lease_longest_us <= after.lease_longest_us, "lease fell: {before:?} {after:?}");
    assert!(before.formed <= after.formed, "formation undone: {before:?} {after:?}");
    assert_eq!(before.boots, after.boots, "booted within a life");
}

/// Checks the state itself.
///
/// # Panics
/// When a rule is broken, with the numbers.
pub fn check_state(replica: &Replica) {
    let (promised, chosen_upto) = (replica.hard.promised, replica.chosen_upto);
    let alpha = replica.config.window_slots;
    assert!(replica.durable < replica.next_lsn, "durable beyond what was persisted");
    assert!(replica.hard_lsn < replica.next_lsn, "hard state beyond what was persisted");
    for (slot, (ballot, _)) in &replica.acceptor.accepted {
        assert!(*slot > chosen_upto, "a chosen slot is open: {slot} chosen_upto={chosen_upto}");
        assert!(*ballot <= promised, "accepted {ballot} above promised {promised} (R14)");
    }
    if let Some(stream) = &replica.acceptor.stream {
        assert!(stream.ballot <= promised, "a run above promised: {} {promised}", stream.ballot);
        let mut slot = stream.first.max(chosen_upto.next());
        while slot <= stream.upto && stream.ballot == promised {
            let held = replica.acceptor.accepted.get(&slot).map(|held| held.0);
            assert_eq!(held, Some(stream.ballot), "the run has a gap at {slot} (C3)");
            slot = slot.next();
        }
    }
    match &replica.role {
        Role::Follower | Role::Canvassing(_) => {}
        Role::Candidate(campaign) => {
            assert_eq!(campaign.ballot, promised, "campaigns in a ballot it does not promise");
            assert_eq!(campaign.ballot.node, replica.config.me, "campaigns in another's ballot");
        }
        Role::Leader(leadership) => {
            assert_eq!(leadership.ballot, promised, "leads in a ballot it no longer promises");
            let open = leadership.next_slot.prev().0.saturating_sub(chosen_upto.0);
            assert!(open <= 2 * alpha, "{open} open slots, window {alpha} (C4)");
            assert!(leadership.first <= chosen_upto.next(), "slots below the first are chosen");
            for node in leadership.followers.keys() {
                assert!(replica.voters().contains(*node), "{node} is no member (R15)");
            }
        }
    }
}
