//! Commands that were under way when their leadership was lost: answered once it is known what became
//! of them, rather than as unknown at once (R32).
//!
//! A command has one slot. Its leadership proposed its value there and nowhere else, and whoever leads
//! next proposes what it finds at the very same slot (C8). So it took effect if that slot was chosen
//! with a value of that leadership, and did not and never will if it was chosen with any other.
//!
//! Nothing is open any more, as a rule, when the node serves as the leader again: its own promise names
//! all that it had accepted (C5), so each of those slots was proposed, chosen and applied before. Where
//! it was elected without its own promise it takes no write until they are settled, so that no append
//! overtakes an earlier one of its chain.

use super::core::Core;
use super::turn::Turn;
use super::waiter::Waiter;
use crate::api::error::{ErrorCode, RequestError};
use crate::machine::{Commands, MachineOutcome};
use crate::types::{Ballot, Slot, Tick, Value};

/// What is not known after so many election timeouts is answered as unknown: whoever can reach a
/// quorum has elected a leader by then (R24).
const ELECTIONS: u64 = 10;
/// But never before this much time, in microseconds: a client waits for an answer as long, as a rule, and
/// one that knows is worth more to it than an early one that does not.
const WAIT_US_MIN: u64 = 8_000_000;

/// Clients whose commands were under way when the leadership was lost. Each counts among the requests
/// of its connection, which bounds them.
#[derive(Debug, Default)]
pub struct Fates {
    open: Vec<Open>,
}

/// The commands of one slot whose fate is not known here.
#[derive(Debug)]
struct Open {
    slot: Slot,
    /// The leadership that proposed them.
    ballot: Ballot,
    waiters: Vec<Waiter>,
    /// They are answered by then.
    until: Tick,
}

impl Fates {
    /// When the first of them is answered at the latest.
    pub(super) fn next_deadline(&self) -> Option<Tick> {
        self.open.iter().map(|open| open.until).min()
    }

    /// Nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The leadership is lost; what it proposed for this slot may or may not be chosen.
    pub(super) fn wait(
        &mut self,
        turn: &Turn<'_>,
        slot: Slot,
        ballot: Ballot,
        waiters: Vec<Waiter>,
    ) {
        if !waiters.is_empty() && waiters.iter().all(|waiter| waiter.write.is_none()) {
            return; // Commands of the shard's own: nobody asks what became of them.
        }
        let until = match turn.core.stop_by {
            Some(by) => end_by(turn, by),
            None => turn.now.after(elections_us(turn.core).max(WAIT_US_MIN)),
        };
        self.open.push(Open { slot, ballot, waiters, until });
    }

    /// The node is about to stop, and is to be gone by `by`.
    pub(super) fn stop(&mut self, turn: &Turn<'_>, by: Tick) {
        let by = end_by(turn, by);
        for open in &mut self.open {
            open.until = open.until.min(by);
        }
    }

    /// A slot was applied: what waits for its fate is answered.
    pub(super) fn applied(
        &mut self,
        turn: &mut Turn<'_>,
        slot: Slot,
        value: &Value,
        outcomes: &[MachineOutcome],
    ) {
        if self.is_empty() {
            return;
        }
        let doubtful = turn.core.replica.is_doubtful();
        let leadership = Commands::new(value).ok().map(|commands| commands.leadership());
        for open in self.take(|open| open.slot == slot) {
            if doubtful {
                open.waiters.into_iter().for_each(|waiter| waiter.doubt(turn));
                continue;
            }
            // A value without outcomes is void: it was chosen, and had no effect.
            if leadership == Some(open.ballot) && outcomes.len() == open.waiters.len() {
                for (waiter, outcome) in open.waiters.into_iter().zip(outcomes) {
                    waiter.answer(turn, outcome);
                }
                continue;
            }
            for waiter in open.waiters {
                let error = not_executed(turn.core);
                waiter.refuse(turn, error);
            }
        }
    }

    /// Answers those who have waited long enough: nobody knows here.
    pub(super) fn expire(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now;
        self.give_up(turn, |open| open.until <= now);
    }

    /// A checkpoint stands for all slots up to this one: what became of their commands is not known here.
    pub(super) fn installed(&mut self, turn: &mut Turn<'_>, slot: Slot) {
        self.give_up(turn, |open| open.slot <= slot);
    }

    fn give_up(&mut self, turn: &mut Turn<'_>, fits: impl Fn(&Open) -> bool) {
        for open in self.take(fits) {
            for waiter in open.waiters {
                let text = "leadership was lost while the request was under way, and it is not known \
                            what became of it";
                let error = RequestError::new(ErrorCode::LeadershipLost, text);
                waiter.refuse(turn, error);
            }
        }
    }

    /// What is open: the slot, the leadership, and who waits.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Slot, Ballot, &[Waiter])> {
        self.open.iter().map(|open| (open.slot, open.ballot, open.waiters.as_slice()))
    }

    fn take(&mut self, fits: impl Fn(&Open) -> bool) -> Vec<Open> {
        let (taken, left) = std::mem::take(&mut self.open).into_iter().partition(fits);
        self.open = left;
        taken
    }
}

fn elections_us(core: &Core) -> u64 {
    ELECTIONS * core.options.paxos.timing.election_us
}

/// By when the last fate is answered where the node is about to stop, and is to be gone by `by`: it
/// may be the very one that others need back.
fn end_by(turn: &Turn<'_>, by: Tick) -> Tick {
    turn.now.after(elections_us(turn.core)).min(by)
}

fn not_executed(core: &Core) -> RequestError {
    core.serving().err().unwrap_or_else(|| {
        let text = "leadership was lost, and regained, before the request took effect: it did not";
        RequestError::new(ErrorCode::NotReady, text)
    })
}
