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

use super::Output;
use super::core::Shard;
use super::writes::Waiter;
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

    /// All are answered by then.
    pub(super) fn end_by(&mut self, by: Tick) {
        for open in &mut self.open {
            open.until = open.until.min(by);
        }
    }

    fn take(&mut self, fits: impl Fn(&Open) -> bool) -> Vec<Open> {
        let (taken, left) = std::mem::take(&mut self.open).into_iter().partition(fits);
        self.open = left;
        taken
    }
}

impl Shard {
    /// The leadership is lost; what it proposed for this slot may or may not be chosen.
    pub(super) fn await_fate(&mut self, now: Tick, slot: Slot, ballot: Ballot, all: Vec<Waiter>) {
        let until = match self.leave_by() {
            Some(by) => self.fates_end_by(now, by),
            None => now.after(self.elections_us().max(WAIT_US_MIN)),
        };
        self.fates.open.push(Open { slot, ballot, waiters: all, until });
    }

    fn elections_us(&self) -> u64 {
        ELECTIONS * self.options.paxos.timing.election_us
    }

    /// By when the last fate is answered where the node is about to stop, and is to be gone by `by`: it
    /// may be the very one that others need back.
    pub(super) fn fates_end_by(&self, now: Tick, by: Tick) -> Tick {
        now.after(self.elections_us()).min(by)
    }

    /// A slot was applied: what waits for its fate is answered.
    pub(super) fn answer_fates(
        &mut self,
        slot: Slot,
        value: &Value,
        outcomes: &[MachineOutcome],
        out: &mut Vec<Output>,
    ) {
        if self.fates.is_empty() {
            return;
        }
        let doubtful = self.replica.is_doubtful();
        let leadership = Commands::new(value).ok().map(|commands| commands.leadership());
        for open in self.fates.take(|open| open.slot == slot) {
            if doubtful {
                open.waiters.into_iter().for_each(|waiter| self.doubt_write(waiter, out));
                continue;
            }
            // A value without outcomes is void: it was chosen, and had no effect.
            if leadership == Some(open.ballot) && outcomes.len() == open.waiters.len() {
                for (waiter, outcome) in open.waiters.into_iter().zip(outcomes) {
                    self.answer_write(&waiter, outcome, out);
                }
                continue;
            }
            for waiter in open.waiters {
                let error = self.not_executed();
                self.void_waiter(waiter, error, out);
            }
        }
    }

    fn not_executed(&self) -> RequestError {
        self.serving().err().unwrap_or_else(|| {
            let text =
                "leadership was lost, and regained, before the request took effect: it did not";
            RequestError::new(ErrorCode::NotReady, text)
        })
    }

    /// Answers those who have waited long enough: nobody knows here.
    pub(super) fn expire_fates(&mut self, now: Tick, out: &mut Vec<Output>) {
        for open in self.fates.take(|open| open.until <= now) {
            for waiter in open.waiters {
                let text = "leadership was lost while the request was under way, and it is not known \
                            what became of it";
                let error = RequestError::new(ErrorCode::LeadershipLost, text);
                self.void_waiter(waiter, error, out);
            }
        }
    }
}
