//! Slots that an earlier leadership proposed and the present one did not find.
//!
//! Nothing of theirs was chosen, or phase 1 would have found it (rule C5). But nothing else is
//! chosen there either before the present leader comes to propose as many slots, and in a shard without
//! traffic that may take for ever. Until then nobody can say to the clients of those commands what became
//! of them (R32).

use super::effects::Effects;
use super::replica::{Replica, Role};
use crate::types::{Slot, Tick, Value};

impl Replica {
    /// A member has accepted something as high as that: the leader proposes no-ops as far as there, as
    /// its window allows. The next grant brings the rest. Not while anything is open: a no-op behind
    /// commands that may yet be lost would part them from those behind it.
    pub(super) fn fill_leftovers(&mut self, now: Tick, accepted_upto: Slot, effects: &mut Effects) {
        if self.open_slots() > 0 {
            return;
        }
        // What an earlier leadership proposed lies no further above what was chosen then than an
        // acceptor takes (C4). A member that says more says what it cannot have (R37).
        let Role::Leader(leadership) = &self.role else { return };
        let most = leadership.serving_from.plus(2 * self.config.window_slots);
        let accepted_upto = accepted_upto.max(self.acceptor.last_accepted()).min(most);
        let is_left = |replica: &Replica| match &replica.role {
            Role::Leader(leadership) => leadership.next_slot <= accepted_upto,
            Role::Follower | Role::Canvassing(_) | Role::Candidate(_) => false,
        };
        let mut proposed = false;
        while is_left(self) && self.has_room(0) {
            self.propose_next(now, Value::noop(), effects);
            proposed = true;
        }
        if proposed {
            self.send_all_open_slots(now, effects);
        }
    }
}
