//! What the caller of a failed operation can do now.

use super::error::{Cause, Failure, Invalid, ProtocolError, Stage};
use crate::api::error::{Detail, ErrorCode, Outcome};
use crate::types::{NodeId, Nodes};
use std::borrow::Cow;

impl Failure {
    /// Returns what the caller can do now: a sentence.
    #[must_use]
    pub fn next_step(&self) -> Cow<'static, str> {
        if self.outcome == Outcome::NotExecuted
            && let Some(Detail::Unformed(unmet)) = self.wire().map(|error| &error.detail)
        {
            return Cow::Owned(match unmet.as_slice() {
                [] => "try again in a moment: its members are about to meet; where they do not, \
                       their logs say why"
                    .to_string(),
                unmet => start_unmet(unmet),
            });
        }
        // Nothing was appended since: it is another log, or the index was counted wrongly.
        if let Some(Detail::Next { next, .. }) = self.wire().map(|error| &error.detail)
            && self.operation.expects.is_some_and(|expected| expected > *next)
        {
            return Cow::Owned(format!(
                "the log is shorter than expected: expect {next}, or check that it is the right log"
            ));
        }
        Cow::Borrowed(match self.outcome {
            Outcome::Unknown if self.operation.expects.is_some() => {
                "settle it: read the log at the expected index and compare"
            }
            Outcome::Unknown => {
                "look whether it took effect before doing it again: it may be executed, or still \
                 become so"
            }
            Outcome::Executed => "do not do it again",
            Outcome::NotExecuted => self.next_step_not_executed(),
        })
    }

    fn next_step_not_executed(&self) -> &'static str {
        match &self.cause {
            Cause::Refused(error) => after_refusal(error.code, self.operation.appends),
            Cause::Invalid(what) => after_invalid(what),
            Cause::PriorFailed => "see the first failure, then resume from there",
            Cause::NoTime => "give it more time (--timeout)",
            Cause::Protocol(ProtocolError::Http) => {
                "name the client port, 7420 unless configured otherwise: the admin port (7422) \
                 speaks HTTP"
            }
            Cause::Protocol(ProtocolError::Foreign { .. }) => {
                "name the client port of a node, 7420 unless configured otherwise: what listens \
                 there is no paxosd"
            }
            Cause::Io { .. }
            | Cause::NoAddress
            | Cause::Closed
            | Cause::Silent { .. }
            | Cause::Protocol(_)
            | Cause::NoLeader { .. } => self.next_step_after_loss(),
        }
    }

    /// No node gave an answer: the stage says what is missing.
    fn next_step_after_loss(&self) -> &'static str {
        match self.stage {
            Stage::Resolve => "check the endpoint's host name, and DNS or /etc/hosts",
            Stage::Connect => {
                "check the endpoints, that paxosd runs there, and that no firewall lies between"
            }
            Stage::Hello if matches!(self.cause, Cause::Silent { .. }) => {
                "its host takes connections, but the node is silent: look whether it is stopped or \
                 overloaded, or name other nodes (--endpoints)"
            }
            Stage::Hello => "check that the endpoint is the client port of a node of this cluster",
            Stage::Leader | Stage::Quorum => {
                "check that a majority of the nodes runs (paxosctl status), then try again"
            }
            Stage::Disk => "look at the node's log; trying again is safe",
            Stage::Request => "look whether the node is stopped or overloaded, then try again",
        }
    }
}

/// What can be done about members that a new cluster waits for: a majority may run and yet nothing
/// is served, as each of them is needed once. There is at least one.
#[doc(hidden)]
#[must_use]
pub fn start_unmet(unmet: &[NodeId]) -> String {
    let whom = Nodes(unmet);
    if unmet.len() == 1 {
        format!("start {whom}; if it runs, look in its log, and at the network between")
    } else {
        format!("start {whom}; those that run say in their logs whom they cannot reach")
    }
}

/// A node said no, perhaps to an append, and nothing was executed.
fn after_refusal(code: ErrorCode, appends: bool) -> &'static str {
    match code {
        ErrorCode::NotLeader | ErrorCode::NoQuorum | ErrorCode::NotReady => {
            "check that a majority of the nodes runs (paxosctl status), then try again"
        }
        ErrorCode::LeadershipLost | ErrorCode::ShuttingDown => "try again: another node takes over",
        ErrorCode::Overloaded => "try again later, or with less at once",
        ErrorCode::TooManyConnections => {
            "try again later, close other connections, or raise connections_max: a client takes one for \
             each shard that it uses"
        }
        ErrorCode::DiskFull => {
            "free space on the nodes' disks; trying again is safe, and no restart is needed"
        }
        ErrorCode::Damaged => {
            "look at the node's log and its disk: stop it, and run paxosctl verify on its data_dir"
        }
        ErrorCode::UnknownLog if appends => "create the log first, or use append --create",
        ErrorCode::UnknownLog => "look for its name among those that there are: paxosctl list",
        ErrorCode::LogExists => "use the log as it is, or choose another name",
        ErrorCode::ExpectMismatch => {
            "read what was appended since, then expect the actual next index"
        }
        ErrorCode::TooLarge => "send less at once",
        ErrorCode::BadName => "choose another name",
        ErrorCode::PriorFailed => "see the first failure, then resume from there",
        ErrorCode::Denied => "ask whoever runs the cluster whether this is allowed",
        ErrorCode::Trimmed => "read from the first index that is left",
        ErrorCode::Lost => "read on behind the lost entries; paxosctl stat shows which they are",
        ErrorCode::NotLost => {
            "see that every member runs and is whole (paxosctl status), and declare only what none of them has"
        }
        ErrorCode::Sealed => "append to another log: a seal is never taken back",
        ErrorCode::PastEnd => "name the log's next index at most",
        ErrorCode::WrongPort => "name the client port, 7420 unless configured otherwise",
        ErrorCode::WrongCluster => "name endpoints of the cluster that is meant",
        ErrorCode::VersionMismatch | ErrorCode::Unsupported | ErrorCode::Unrecognised(_) => {
            "use a client of the same version as the nodes"
        }
        ErrorCode::BadChecksum => "try again; if it comes again, memory or network alters bytes",
        ErrorCode::Internal => "look at the node's log, and report what it says",
        ErrorCode::WrongShard | ErrorCode::BadRequest => "change the request",
    }
}

/// Nothing was sent.
fn after_invalid(what: &Invalid) -> &'static str {
    match what {
        Invalid::Endpoint { .. } | Invalid::NoEndpoint => {
            "correct --endpoints (or PAXOSCTL_ENDPOINTS): host or host:port, such as 127.0.0.1:7420"
        }
        Invalid::Name(_) => "choose another name",
        Invalid::Entries(_) => {
            "send less: entry_bytes_max and append_bytes_max of the nodes are the limits"
        }
        Invalid::NoShard { .. } => "look up the log's id: paxosctl list",
    }
}

#[cfg(test)]
mod tests {
    use super::super::error::{ClientError, Elsewhere, Operation};
    use super::*;
    use crate::api::error::RequestError;
    use crate::types::{Index, LogId, ShardId};
    use std::time::Duration;

    fn failure(stage: Stage, cause: Cause) -> Failure {
        Failure {
            operation: Operation::plain("list"),
            outcome: Outcome::NotExecuted,
            stage,
            endpoint: Some("n1:7420".to_string()),
            cause,
            attempts: 3,
            gave_up_after: Some(Duration::from_secs(2)),
            elsewhere: Vec::new(),
        }
    }

    /// Whatever a node refuses with, the text names endpoint, stage, outcome and a next step.
    #[test]
    fn every_refusal_says_where_how_far_and_what_now() {
        for code in ErrorCode::ALL {
            let cause = Cause::Refused(RequestError::new(*code, "as the test wants it"));
            let text = ClientError::new(failure(Stage::of(*code), cause)).to_string();
            let stage = match Stage::of(*code) {
                Stage::Request => String::new(), // That a request is refused as one says it all.
                stage => format!("stage {stage}"),
            };
            for part in ["list: not executed", "n1:7420: ", &stage, "as the test"] {
                assert!(text.contains(part), "{code}: no {part:?} in {text}");
            }
            // What can be done is no part of what happened.
            let cause = Cause::Refused(RequestError::new(*code, ""));
            let step = failure(Stage::of(*code), cause).next_step();
            assert!(!step.is_empty() && !text.contains(&*step), "{code}: {text}");
        }
    }

    /// At each stage a loss has advice of its own; a silent node is not taken for a wrong port.
    #[test]
    fn each_stage_has_advice_of_its_own() {
        let silent = || Cause::Silent { waited: Duration::from_secs(1) };
        let step = |stage, cause| failure(stage, cause).next_step();
        assert!(step(Stage::Resolve, Cause::NoAddress).contains("DNS"));
        assert!(step(Stage::Connect, silent()).contains("firewall"));
        assert!(step(Stage::Hello, silent()).contains("stopped or overloaded"));
        assert!(step(Stage::Hello, Cause::Closed).contains("client port"));
        assert!(step(Stage::Hello, ProtocolError::Http.into()).contains("7422"));
        let nobody = Cause::NoLeader { shard: ShardId(0) };
        assert!(step(Stage::Leader, nobody).contains("majority"));
        assert!(step(Stage::Quorum, silent()).contains("majority"));
    }

    /// A cluster that has not formed wants those that it waits for, and not a majority, which may run.
    #[test]
    fn a_cluster_that_has_not_formed_wants_its_missing_nodes() {
        let step = |unmet: &[u16]| {
            let unmet = unmet.iter().copied().map(NodeId).collect();
            let error = RequestError::new(ErrorCode::NoQuorum, "it waits");
            let cause = Cause::Refused(error.with_detail(Detail::Unformed(unmet)));
            failure(Stage::Quorum, cause).next_step().into_owned()
        };
        assert!(step(&[3]).starts_with("start node 3; if it runs, look in its log"));
        assert!(step(&[2, 3]).starts_with("start nodes 2 and 3;"));
        assert!(step(&[]).contains("about to meet"));
        for unmet in [&[3][..], &[2, 3], &[]] {
            assert!(!step(unmet).contains("majority"), "{}", step(unmet));
        }
        let formed = Cause::Refused(RequestError::new(ErrorCode::NoQuorum, "nobody leads"));
        assert!(failure(Stage::Quorum, formed).next_step().contains("majority"));
    }

    /// A `main` that returns the error shows people a sentence and the next step. The fields are shown
    /// by the failure itself.
    #[test]
    fn debug_is_a_sentence_with_the_next_step() {
        let error = ClientError::new(failure(Stage::Connect, Cause::NoTime));
        assert_eq!(format!("{error:?}"), format!("{error}; next: give it more time (--timeout)"));
        assert!(format!("{:?}", *error).starts_with("Failure { operation: "));
    }

    /// An index that the log has not reached was not taken by others: there is nothing to read.
    #[test]
    fn an_index_past_the_end_was_not_taken_by_others() {
        let step = |expected| {
            let refused = RequestError::expect_mismatch(LogId(1), Index(expected), Index(3));
            let mut operation = Operation::plain("append");
            operation.expects = Some(Index(expected));
            let cause = Cause::Refused(refused);
            Failure { operation, ..failure(Stage::Request, cause) }.next_step().into_owned()
        };
        assert!(step(9).contains("shorter than expected: expect 3, or check"), "{}", step(9));
        assert!(step(1).starts_with("read what was appended since"), "{}", step(1));
    }

    /// Other nodes that were tried in vain are named beside the one that came furthest.
    #[test]
    fn other_nodes_are_named_too() {
        let mut failed = failure(Stage::Leader, Cause::NoLeader { shard: ShardId(0) });
        failed.elsewhere = vec![Elsewhere {
            endpoint: "n2:7420".to_string(),
            stage: Stage::Connect,
            why: "cannot connect: refused".to_string(),
        }];
        let text = ClientError::new(failed).to_string();
        assert!(
            text.contains(
                "(stage leader; gave up after 2.0 s and 3 attempts); n2:7420: cannot \
                               connect: refused (stage connect)"
            ),
            "{text}"
        );
    }
}
