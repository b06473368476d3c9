//! The appends of one pipeline, in order, without a socket: which were sent, which came back how,
//! and what follows from that for those behind.
//!
//! A node refuses every append behind a failed one of the same chain. So when the first append that
//! failed was certainly not executed, none behind it was, and the whole tail can be sent again, in
//! order, under a new chain number. When its outcome is unknown, nothing may be sent again.

use super::error::{Cause, ClientError, Stage};
use super::link::LinkFault;
use super::retry::Tries;
use crate::api::error::{Outcome, RequestError};
use crate::api::{Appended, Request};
use crate::types::Ballot;
use std::collections::VecDeque;

/// The appends that were submitted and not yet handed back.
#[derive(Debug, Default)]
pub struct Window {
    items: VecDeque<Item>,
    next_ticket: u64,
    /// An append failed for good: those submitted from here on are not executed.
    broken: bool,
    /// Resumed while appends of the old chain were under way: nothing is sent before they came
    /// back, or one of them could still be refused and come behind what was sent later.
    held: bool,
    /// How many appends are queued, under way, and troubled: kept, as every step asks.
    counts: Counts,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    queued: usize,
    sent: usize,
    troubled: usize,
}

/// One append.
#[derive(Debug)]
struct Item {
    ticket: u64,
    /// Always [`Request::Append`].
    request: Request,
    tries: Tries,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Not under way.
    Queued,
    /// Under way on the connection.
    Sent { correlation: u64 },
    /// Executed.
    Done(Appended),
    /// Not executed, for this reason; what that means is seen when nothing is under way any more.
    Refused(AppendRefusal),
    /// It may have been executed.
    Unknown(LinkFault),
    /// Failed for good.
    Failed(ClientError),
}

/// Why an append was not executed.
#[derive(Debug)]
pub struct AppendRefusal {
    /// Which node refused it, and why.
    pub fault: LinkFault,
    /// The leadership that the refusing node knew of.
    pub epoch: Ballot,
}

/// What to do when an append failed and nothing is under way any more.
#[derive(Debug)]
pub enum AfterFailure {
    /// The first failed append was not executed, nor was any behind it: if the refusal allows it,
    /// all of them may be sent again ([`Window::send_again`]), or else be failed
    /// ([`Window::fail`]).
    NotExecuted(AppendRefusal),
    /// It was settled here: the first failed append may have been executed.
    Settled,
}

impl State {
    /// The count to which an append in this state belongs, if to any.
    fn count<'c>(&self, counts: &'c mut Counts) -> Option<&'c mut usize> {
        match self {
            State::Queued => Some(&mut counts.queued),
            State::Sent { .. } => Some(&mut counts.sent),
            State::Refused(_) | State::Unknown(_) => Some(&mut counts.troubled),
            State::Done(_) | State::Failed(_) => None,
        }
    }
}

impl Item {
    /// The one way in which an append changes its state; returns the old one.
    fn set(&mut self, state: State, counts: &mut Counts) -> State {
        if let Some(count) = self.state.count(counts) {
            *count -= 1;
        }
        if let Some(count) = state.count(counts) {
            *count += 1;
        }
        std::mem::replace(&mut self.state, state)
    }
}

impl Window {
    /// Appends submitted and not handed back.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// True when an append failed for good and nobody has resumed since.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Appends submitted from here on are executed again.
    pub fn resume(&mut self) {
        self.broken = false;
        self.held = self.is_under_way();
    }

    /// Adds an append; behind a failed one it is not executed. Returns its ticket.
    pub fn push(&mut self, request: Request, tries: Tries) -> u64 {
        let state = if self.broken {
            State::Failed(tries.fail(Outcome::NotExecuted, prior_failed()))
        } else {
            State::Queued
        };
        self.add(request, tries, state)
    }

    /// Adds an append that cannot be sent; those behind it are not executed. Returns its ticket.
    pub fn push_failed(&mut self, request: Request, tries: Tries, error: ClientError) -> u64 {
        self.broken = true;
        self.add(request, tries, State::Failed(error))
    }

    fn add(&mut self, request: Request, tries: Tries, state: State) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        if let Some(count) = state.count(&mut self.counts) {
            *count += 1;
        }
        self.items.push_back(Item { ticket, request, tries, state });
        ticket
    }

    /// True while an append is on its way.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        self.counts.sent > 0
    }

    /// True when an append failed and it is not settled yet what that means: nothing more is sent.
    #[must_use]
    pub fn is_troubled(&self) -> bool {
        self.counts.troubled > 0
    }

    /// Attempts and deadline of the oldest append that is not settled.
    #[must_use]
    pub fn oldest_tries(&mut self) -> Option<&mut Tries> {
        let open = |item: &&mut Item| !matches!(item.state, State::Done(_) | State::Failed(_));
        self.items.iter_mut().find(open).map(|item| &mut item.tries)
    }

    /// Sends every queued append with `ask`, in order; nothing while there is trouble.
    pub fn send(&mut self, chain: u32, mut ask: impl FnMut(&Request) -> u64) {
        self.held &= self.is_under_way();
        if self.is_troubled() || self.held {
            return;
        }
        let first = self.first_queued();
        for item in self.items.iter_mut().skip(first) {
            if matches!(item.state, State::Queued) {
                if let Request::Append(append) = &mut item.request {
                    append.chain = chain;
                }
                let correlation = ask(&item.request);
                item.set(State::Sent { correlation }, &mut self.counts);
            }
        }
    }

    /// Where the oldest queued append stands, seen from the end: those under way stand before it.
    fn first_queued(&self) -> usize {
        let (mut first, mut missing) = (self.items.len(), self.counts.queued);
        while missing > 0 {
            first -= 1;
            missing -= usize::from(matches!(self.items[first].state, State::Queued));
        }
        first
    }

    /// True when there is something to send.
    #[must_use]
    pub fn has_queued(&self) -> bool {
        self.counts.queued > 0
    }

    /// An append came back. False when no append under way has this number.
    pub fn answered(
        &mut self,
        correlation: u64,
        result: Result<Appended, (AppendRefusal, Outcome)>,
    ) -> bool {
        let mine = |item: &&mut Item| match item.state {
            State::Sent { correlation: sent } => sent == correlation,
            State::Queued
            | State::Done(_)
            | State::Refused(_)
            | State::Unknown(_)
            | State::Failed(_) => false,
        };
        let Some(item) = self.items.iter_mut().find(mine) else { return false };
        let state = match result {
            Ok(appended) => State::Done(appended),
            Err((refusal, Outcome::NotExecuted)) => State::Refused(refusal),
            Err((refusal, Outcome::Executed | Outcome::Unknown)) => State::Unknown(refusal.fault),
        };
        item.set(state, &mut self.counts);
        true
    }

    /// The connection is gone: nothing that was under way will be answered. `arrived` says whether
    /// a request can have reached the node.
    pub fn lost(&mut self, endpoint: &str, cause: Cause, arrived: impl Fn(u64) -> bool) {
        let stage = super::core::lost_stage(&cause);
        let mut cause = Some(cause);
        let mut fault = || {
            let cause = cause.take().unwrap_or(Cause::Closed);
            LinkFault { stage, endpoint: endpoint.to_string(), cause }
        };
        let mut behind_refused = false;
        for item in &mut self.items {
            match item.state {
                State::Refused(_) => behind_refused = true,
                State::Sent { correlation } => {
                    let state = if behind_refused || !arrived(correlation) {
                        State::Refused(AppendRefusal { fault: fault(), epoch: Ballot::ZERO })
                    } else {
                        State::Unknown(fault())
                    };
                    item.set(state, &mut self.counts);
                }
                State::Queued | State::Done(_) | State::Unknown(_) | State::Failed(_) => {}
            }
        }
    }

    /// What the first failed append means, once nothing is under way.
    ///
    /// # Panics
    /// When something is under way, or nothing failed.
    pub fn trouble(&mut self) -> AfterFailure {
        assert!(!self.is_under_way(), "trouble is judged when nothing is under way");
        let troubled = |item: &Item| matches!(item.state, State::Refused(_) | State::Unknown(_));
        let first = self.items.iter().position(troubled).expect("the caller saw trouble");
        match self.items[first].set(State::Queued, &mut self.counts) {
            // Something behind it that may be executed would be overtaken by sending it again; a
            // node that keeps order never lets that happen.
            State::Refused(refusal) if self.nothing_executed_behind(first) => {
                AfterFailure::NotExecuted(refusal)
            }
            State::Refused(AppendRefusal { fault, .. }) => {
                self.fail_from(first, |tries| tries.fail(Outcome::NotExecuted, fault));
                AfterFailure::Settled
            }
            State::Unknown(fault) => {
                self.fail_from(first, |tries| tries.fail(Outcome::Unknown, fault));
                AfterFailure::Settled
            }
            State::Queued | State::Sent { .. } | State::Done(_) | State::Failed(_) => {
                unreachable!("only refused and unknown appends are trouble")
            }
        }
    }

    fn nothing_executed_behind(&self, first: usize) -> bool {
        self.items.iter().skip(first + 1).all(|item| match item.state {
            State::Queued | State::Refused(_) | State::Failed(_) => true,
            State::Sent { .. } | State::Done(_) | State::Unknown(_) => false,
        })
    }

    /// After [`AfterFailure::NotExecuted`]: everything that was not executed may be sent again.
    pub fn send_again(&mut self) {
        for item in &mut self.items {
            if matches!(item.state, State::Refused(_)) {
                item.set(State::Queued, &mut self.counts);
            }
        }
    }

    /// After [`AfterFailure::NotExecuted`], or when nothing can be sent: the oldest append that is not
    /// settled fails with this error, and those behind it are not executed.
    pub fn fail(&mut self, error: ClientError) {
        let open = |item: &Item| !matches!(item.state, State::Done(_) | State::Failed(_));
        if let Some(first) = self.items.iter().position(open) {
            self.fail_from(first, |_| error);
        }
    }

    /// The append at `first` fails with `error`; each one behind it with what is known of it.
    fn fail_from(&mut self, first: usize, error: impl FnOnce(&Tries) -> ClientError) {
        self.broken = true;
        let mut error = Some(error);
        for item in self.items.iter_mut().skip(first) {
            let old = item.set(State::Queued, &mut self.counts);
            let tries = &item.tries;
            let state = match (error.take(), old) {
                (Some(error), _) => State::Failed(error(tries)),
                (None, State::Queued | State::Refused(_) | State::Sent { .. }) => {
                    State::Failed(tries.fail(Outcome::NotExecuted, prior_failed()))
                }
                (None, State::Unknown(fault)) => State::Failed(tries.fail(Outcome::Unknown, fault)),
                (None, settled @ (State::Done(_) | State::Failed(_))) => settled,
            };
            item.set(state, &mut self.counts);
        }
    }

    /// Hands back the oldest append if it is settled.
    pub fn take_oldest(&mut self) -> Option<(u64, Result<Appended, ClientError>)> {
        let item = self.items.pop_front()?;
        match item.state {
            State::Done(appended) => Some((item.ticket, Ok(appended))),
            State::Failed(error) => Some((item.ticket, Err(error))),
            State::Queued | State::Sent { .. } | State::Refused(_) | State::Unknown(_) => {
                self.items.push_front(item);
                None
            }
        }
    }
}

/// A node's refusal of one append.
#[must_use]
pub fn refusal(endpoint: &str, epoch: Ballot, error: RequestError) -> AppendRefusal {
    let stage = Stage::of(error.code);
    let fault = LinkFault { stage, endpoint: endpoint.to_string(), cause: Cause::Refused(error) };
    AppendRefusal { fault, epoch }
}

/// An earlier append of the same pipeline failed.
fn prior_failed() -> LinkFault {
    LinkFault { stage: Stage::Request, endpoint: String::new(), cause: Cause::PriorFailed }
}
