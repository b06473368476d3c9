//! The attempts of one operation: how many, until when, and what to say when they have failed.

use super::deadline::{Backoff, Deadline};
use super::error::{Cause, ClientError, Elsewhere, Failure, Operation, Stage, refuses_for_good};
use super::link::LinkFault;
use super::waiting::OnWait;
use crate::api::error::Outcome;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Why an attempt did not bring an answer, and what may be done now.
#[derive(Debug)]
pub enum AttemptError {
    /// It may be tried again: it is certain that nothing was executed, or nothing would change.
    Again(LinkFault, Pause),
    /// It may not be tried again: the caller gets this outcome.
    Final(Outcome, LinkFault),
}

/// What comes before the next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// Nothing, the first time: the node has said where to go.
    Redirected,
    /// A pause of at least this length.
    AtLeast(Duration),
}

/// Counts the attempts of one operation, and remembers how they ended.
#[derive(Debug)]
pub struct Tries {
    operation: Operation,
    deadline: Deadline,
    backoff: Backoff,
    attempts: u32,
    redirected: bool,
    restarted: bool,
    /// The failure that came furthest; of equals the last.
    furthest: Option<LinkFault>,
    /// How the last attempt on each node ended.
    ends: BTreeMap<String, (Stage, String)>,
    /// Nodes that will refuse for ever: of another cluster or version, or no paxosd at all.
    refused_for_good: BTreeSet<String>,
    on_wait: Option<OnWait>,
}

impl Tries {
    /// No attempt yet; all must end by then.
    #[must_use]
    pub fn new(
        operation: Operation,
        deadline: Deadline,
        seed: u64,
        on_wait: Option<OnWait>,
    ) -> Tries {
        Tries {
            operation,
            deadline,
            backoff: Backoff::new(seed),
            attempts: 0,
            redirected: false,
            restarted: false,
            furthest: None,
            ends: BTreeMap::new(),
            refused_for_good: BTreeSet::new(),
            on_wait,
        }
    }

    /// Returns the deadline that all attempts share.
    #[must_use]
    pub fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// Counts an attempt that begins.
    pub fn begin(&mut self) {
        self.attempts = self.attempts.saturating_add(1);
    }

    /// The time begins anew, unless it did so before.
    pub fn restart_once(&mut self, allowed: Duration) {
        if !std::mem::replace(&mut self.restarted, true) {
            self.deadline = Deadline::after(allowed);
        }
    }

    /// Waits until the next attempt may begin.
    ///
    /// # Errors
    /// The operation's failure, not executed, when there is no time for another attempt, or when
    /// each of the `nodes` known refuses for good.
    pub fn again(
        &mut self,
        fault: LinkFault,
        pause: Pause,
        nodes: usize,
    ) -> Result<(), ClientError> {
        self.report(&fault);
        self.note(fault);
        if !self.refused_for_good.is_empty() && self.refused_for_good.len() >= nodes {
            return Err(self.give_up(None));
        }
        let asked = match pause {
            Pause::Redirected if !self.redirected => {
                self.redirected = true;
                return Ok(());
            }
            Pause::Redirected => Duration::ZERO,
            Pause::AtLeast(asked) => asked,
        };
        if self.backoff.sleep(asked, &self.deadline) {
            return Ok(());
        }
        Err(self.give_up(Some(self.deadline.allowed())))
    }

    /// Says that another attempt follows, if somebody wants to know.
    fn report(&self, fault: &LinkFault) {
        let Some(on_wait) = &self.on_wait else { return };
        if let Some(left) = self.deadline.remaining() {
            on_wait.report(&self.operation, fault, self.deadline.elapsed(), left);
        }
    }

    /// Remembers how an attempt ended.
    fn note(&mut self, fault: LinkFault) {
        if refuses_for_good(fault.stage, &fault.cause) {
            self.refused_for_good.insert(fault.endpoint.clone());
        }
        if !fault.endpoint.is_empty() {
            self.ends.insert(fault.endpoint.clone(), (fault.stage, fault.cause.to_string()));
        }
        if self.furthest.as_ref().is_none_or(|furthest| furthest.stage <= fault.stage) {
            self.furthest = Some(fault);
        }
    }

    /// The operation ends, not executed, as all of these attempts failed and none is to follow.
    #[must_use]
    pub fn fail_all(&mut self, faults: impl IntoIterator<Item = LinkFault>) -> ClientError {
        faults.into_iter().for_each(|fault| self.note(fault));
        self.give_up(None)
    }

    /// The operation ends with this outcome.
    #[must_use]
    pub fn fail(&self, outcome: Outcome, fault: LinkFault) -> ClientError {
        let silent = matches!(fault.cause, Cause::Silent { .. });
        // What other nodes said before is no part of an answer.
        self.failure(outcome, fault, silent.then_some(self.deadline.allowed()), Vec::new())
    }

    fn give_up(&mut self, gave_up_after: Option<Duration>) -> ClientError {
        let none =
            LinkFault { stage: Stage::Connect, endpoint: String::new(), cause: Cause::NoTime };
        let fault = self.furthest.take().unwrap_or(none);
        let tried = self.ends.iter().filter(|(endpoint, _)| **endpoint != fault.endpoint);
        let elsewhere = tried.map(|(endpoint, (stage, why))| Elsewhere {
            endpoint: endpoint.clone(),
            stage: *stage,
            why: why.clone(),
        });
        let elsewhere = elsewhere.collect();
        self.failure(Outcome::NotExecuted, fault, gave_up_after, elsewhere)
    }

    fn failure(
        &self,
        outcome: Outcome,
        fault: LinkFault,
        gave_up_after: Option<Duration>,
        elsewhere: Vec<Elsewhere>,
    ) -> ClientError {
        ClientError::new(Failure {
            operation: self.operation.clone(),
            outcome,
            stage: fault.stage,
            endpoint: (!fault.endpoint.is_empty()).then_some(fault.endpoint),
            cause: fault.cause,
            attempts: self.attempts,
            gave_up_after,
            elsewhere,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::error::{ErrorCode, RequestError};

    fn tries(allowed_ms: u64) -> Tries {
        let deadline = Deadline::after(Duration::from_millis(allowed_ms));
        Tries::new(Operation::plain("list"), deadline, 1, None)
    }

    fn fault(stage: Stage, cause: Cause) -> LinkFault {
        LinkFault { stage, endpoint: "n1:1".to_string(), cause }
    }

    /// Out of time, the text names the attempt that came furthest, not the last one.
    #[test]
    fn the_furthest_attempt_is_reported() {
        let mut tries = tries(15);
        let mut ended = Ok(());
        for stage in [Stage::Connect, Stage::Leader].into_iter().chain([Stage::Connect; 9]) {
            tries.begin();
            ended = tries.again(fault(stage, Cause::Closed), Pause::AtLeast(Duration::ZERO), 3);
            if ended.is_err() {
                break;
            }
        }
        let error = ended.expect_err("15 ms are over after ten pauses");
        assert_eq!((error.stage, error.outcome), (Stage::Leader, Outcome::NotExecuted));
        assert_eq!(error.gave_up_after, Some(Duration::from_millis(15)));
        assert_eq!(error.elsewhere, [], "there was only one node");
    }

    /// The last word of each other node is reported as well.
    #[test]
    fn every_node_that_was_tried_is_reported() {
        let mut tries = tries(60_000);
        let mut ended = Ok(());
        for endpoint in ["n1:1", "n2:1", "n1:1", "n3:1"] {
            let wrong =
                Cause::Refused(RequestError::new(ErrorCode::WrongCluster, "another cluster"));
            let fault =
                LinkFault { stage: Stage::Hello, endpoint: endpoint.to_string(), cause: wrong };
            ended = tries.again(fault, Pause::AtLeast(Duration::ZERO), 3);
        }
        let error = ended.expect_err("all three nodes refuse for good");
        assert_eq!(error.endpoint.as_deref(), Some("n3:1"));
        let others: Vec<&str> = error.elsewhere.iter().map(|at| at.endpoint.as_str()).collect();
        assert_eq!(others, ["n1:1", "n2:1"]);
    }

    /// When every node refuses for good, nobody waits for the deadline.
    #[test]
    fn refusals_for_good_end_it_at_once() {
        let mut tries = tries(60_000);
        let wrong = Cause::Refused(RequestError::new(ErrorCode::WrongCluster, "another cluster"));
        let error = tries
            .again(fault(Stage::Hello, wrong), Pause::AtLeast(Duration::ZERO), 1)
            .expect_err("the only node belongs to another cluster");
        assert_eq!(error.code(), Some(ErrorCode::WrongCluster));
        assert_eq!(error.gave_up_after, None);
    }

    /// Time given anew is given once: many lost waits cannot keep an operation for ever.
    #[test]
    fn the_time_restarts_once() {
        let mut tries = tries(1);
        tries.restart_once(Duration::from_secs(60));
        let deadline = tries.deadline();
        assert!(deadline.remaining() > Some(Duration::from_secs(1)));
        tries.restart_once(Duration::from_secs(600));
        assert_eq!(tries.deadline(), deadline);
    }

    /// Only the first redirect is free: two nodes that name each other cannot spin the client.
    #[test]
    fn the_second_redirect_waits() {
        let mut tries = tries(1);
        let hint = || fault(Stage::Leader, Cause::Closed);
        assert!(tries.again(hint(), Pause::Redirected, 3).is_ok());
        // Sleeps because the passing of the deadline is what is tested.
        std::thread::sleep(Duration::from_millis(2));
        assert!(tries.again(hint(), Pause::Redirected, 3).is_err());
    }
}
