//! The window against a model of a node: random refusals, lost answers and lost connections.

use super::deadline::Deadline;
use super::error::{Cause, ClientError, Operation, Stage};
use super::link::LinkFault;
use super::retry::Tries;
use super::window::{AfterFailure, AppendRefusal, Window, refusal};
use crate::api::entries::Entries;
use crate::api::error::{ErrorCode, Outcome, RequestError, Retry};
use crate::api::{Append, Appended, LogRef, Request};
use crate::types::{Ballot, Index, LogId};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

fn tries() -> Tries {
    Tries::new(Operation::plain("append"), Deadline::after(Duration::from_secs(60)), 1, None)
}

fn append(id: u64) -> Request {
    Request::Append(Append {
        log: LogRef::Id(LogId(1)),
        expect: None,
        chain: 0,
        create: false,
        entries: Entries::from_slices([id.to_le_bytes()]).expect("eight bytes"),
    })
}

/// What the node does with the next request.
#[derive(Clone, Copy, Debug)]
enum Node {
    Execute,
    RefuseForNow,
    RefuseForGood,
    /// Leadership is lost; whether the append was executed, only the model knows.
    Lose {
        executed: bool,
    },
}

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Step {
    Push,
    PushInvalid,
    Send,
    Serve(Node),
    /// The answers come out of order: the one at this place, as far as there are so many.
    Deliver(usize),
    /// The connection ends; the node still serves so many of the requests that it has.
    Disconnect {
        served: usize,
    },
    Settle,
    Take,
    Resume,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let node = prop_oneof![
        6 => Just(Node::Execute),
        1 => Just(Node::RefuseForNow),
        1 => Just(Node::RefuseForGood),
        1 => any::<bool>().prop_map(|executed| Node::Lose { executed }),
    ];
    let step = prop_oneof![
        8 => Just(Step::Push),
        1 => Just(Step::PushInvalid),
        6 => Just(Step::Send),
        10 => node.prop_map(Step::Serve),
        8 => (0usize..3).prop_map(Step::Deliver),
        1 => (0usize..4).prop_map(|served| Step::Disconnect { served }),
        4 => Just(Step::Settle),
        4 => Just(Step::Take),
        1 => Just(Step::Resume),
    ];
    proptest::collection::vec(step, 1..200)
}

/// A connection and the node behind it.
#[derive(Default)]
struct Model {
    window: Window,
    chain: u32,
    next_correlation: u64,
    /// Requests on their way: correlation, chain, append.
    requests: VecDeque<(u64, u32, u64)>,
    answers: Vec<(u64, Result<Appended, RequestError>)>,
    broken_chains: BTreeSet<u32>,
    executed: Vec<u64>,
    pushed: u64,
    /// What came back, by append.
    results: BTreeMap<u64, Result<(), Outcome>>,
}

impl Model {
    fn step(&mut self, step: Step) {
        match step {
            Step::Push => {
                self.window.push(append(self.pushed), tries());
                self.pushed += 1;
            }
            Step::PushInvalid => {
                let what = crate::api::entries::EntriesError::Empty;
                let error = ClientError::invalid(Operation::plain("append"), what);
                self.window.push_failed(append(self.pushed), tries(), error);
                self.pushed += 1;
            }
            Step::Send => self.send(),
            Step::Serve(node) => self.serve(node),
            Step::Deliver(at) => self.deliver(at),
            Step::Disconnect { served } => self.disconnect(served),
            Step::Settle => self.settle(),
            Step::Take => self.take(),
            Step::Resume => {
                self.window.resume();
                self.chain += 1;
            }
        }
    }

    fn send(&mut self) {
        let Model { window, chain, next_correlation, requests, .. } = self;
        window.send(*chain, |request| {
            let Request::Append(append) = request else { unreachable!("only appends are sent") };
            assert_eq!(append.chain, *chain);
            let entry = append.entries.iter().next().expect("one entry").data;
            let id = u64::from_le_bytes(entry.try_into().expect("eight bytes"));
            *next_correlation += 1;
            requests.push_back((*next_correlation, *chain, id));
            *next_correlation
        });
    }

    fn serve(&mut self, node: Node) {
        let Some((correlation, chain, id)) = self.requests.pop_front() else { return };
        let result = if self.broken_chains.contains(&chain) {
            Err(RequestError::new(ErrorCode::PriorFailed, ""))
        } else {
            match node {
                Node::Execute => {
                    self.executed.push(id);
                    Ok(Appended { id: LogId(1), first: Index(id), count: 1 })
                }
                Node::RefuseForNow => Err(RequestError::new(ErrorCode::Overloaded, "")),
                Node::RefuseForGood => Err(RequestError::new(ErrorCode::UnknownLog, "")),
                Node::Lose { executed } => {
                    if executed {
                        self.executed.push(id);
                    }
                    Err(RequestError::new(ErrorCode::LeadershipLost, ""))
                }
            }
        };
        if result.is_err() {
            self.broken_chains.insert(chain);
        }
        self.answers.push((correlation, result));
    }

    fn deliver(&mut self, at: usize) {
        if self.answers.is_empty() {
            return;
        }
        let (correlation, result) = self.answers.remove(at.min(self.answers.len() - 1));
        let result = result.map_err(|error| {
            let outcome = error.outcome;
            (refusal("n1:1", Ballot::ZERO, error), outcome)
        });
        assert!(self.window.answered(correlation, result), "an answer to nothing");
    }

    fn disconnect(&mut self, served: usize) {
        let given = self.next_correlation;
        // The last request only half left the client.
        let half = self.requests.pop_back().map(|(correlation, ..)| correlation);
        for _ in 0..served {
            self.serve(Node::Execute);
        }
        self.requests.clear();
        self.answers.clear();
        let arrived = |correlation| correlation <= given && Some(correlation) != half;
        self.window.lost("n1:1", Cause::Closed, arrived);
        self.chain += 1;
    }

    /// As the pipeline does it.
    fn settle(&mut self) {
        if self.window.is_under_way() || !self.window.is_troubled() {
            return;
        }
        if let AfterFailure::NotExecuted(AppendRefusal { fault, .. }) = self.window.trouble() {
            let again = !matches!(&fault.cause, Cause::Refused(error) if error.retry == Retry::No);
            if again {
                self.window.send_again();
            } else {
                let error = tries().fail(Outcome::NotExecuted, fault);
                self.window.fail(error);
            }
        }
        self.chain += 1;
    }

    fn take(&mut self) {
        if let Some((ticket, result)) = self.window.take_oldest() {
            assert_eq!(ticket, self.results.len() as u64, "results come in order");
            self.results.insert(ticket, result.map(|_| ()).map_err(|error| error.outcome));
        }
    }

    /// Lets everything end, then holds what was said against what happened.
    fn finish(mut self) {
        for _ in 0..1000 {
            self.send();
            self.serve(Node::Execute);
            self.deliver(0);
            self.settle();
            self.take();
        }
        assert_eq!(self.results.len() as u64, self.pushed, "something never came back");
        let mut sorted = self.executed.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(self.executed, sorted, "executed twice, or out of order");
        for (id, result) in &self.results {
            let executed = self.executed.contains(id);
            match result {
                Ok(()) | Err(Outcome::Executed) => assert!(executed, "{id} was not executed"),
                Err(Outcome::NotExecuted) => assert!(!executed, "{id} was executed"),
                Err(Outcome::Unknown) => {}
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// R32: whatever the node and the network do, every append comes back once, in order, with an
    /// outcome that is true; none is executed twice, and none overtakes another.
    #[test]
    fn r32_outcomes_are_true_and_nothing_is_executed_twice(steps in steps()) {
        let mut model = Model::default();
        for step in steps {
            model.step(step);
        }
        model.finish();
    }
}

/// An append that could not be sent stands behind others that are sent again: none is forgotten.
#[test]
fn what_is_sent_again_does_not_skip_over_a_failed_one() {
    let mut model = Model::default();
    let refuse = Step::Serve(Node::RefuseForNow);
    for step in [Step::Push, Step::Push, Step::PushInvalid, Step::Send, refuse, Step::Deliver(0)] {
        model.step(step);
    }
    model.finish();
}

/// Who resumes while appends of the old chain are under way cannot overtake them.
#[test]
fn resuming_early_overtakes_nothing() {
    let mut model = Model::default();
    for step in [Step::Push, Step::Send, Step::PushInvalid, Step::Resume, Step::Push, Step::Send] {
        model.step(step);
    }
    assert_eq!(model.requests.len(), 1, "sent while the old chain was under way");
    model.step(Step::Serve(Node::RefuseForNow));
    model.finish();
}

/// What stands behind a refused append of the same chain was not executed, even when the
/// connection is lost before the node could say so.
#[test]
fn a_lost_connection_behind_a_refusal_leaves_no_doubt() {
    let mut model = Model::default();
    for step in [Step::Push, Step::Push, Step::Push, Step::Send] {
        model.step(step);
    }
    model.step(Step::Serve(Node::RefuseForNow));
    model.step(Step::Deliver(0));
    model.window.lost("n1:1", Cause::Closed, |_| true);
    let AfterFailure::NotExecuted(refusal) = model.window.trouble() else {
        panic!("the first one was refused")
    };
    let LinkFault { stage, .. } = refusal.fault;
    assert_eq!(stage, Stage::Quorum);
}
