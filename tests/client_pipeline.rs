//! Pipelined appends against a scripted cluster on real sockets.

#![allow(clippy::unwrap_used, reason = "a test says by failing what went wrong")]

mod mock_cluster;

use mock_cluster::{Act, MockCluster};
use paxosd::client::*;
use paxosd::types::Index;
use paxosd::wire::client::{Reply, Request};
use std::time::Duration;

const WINDOW: AppenderOptions = AppenderOptions { window: 8, expect: None, create: false };

fn client(cluster: &MockCluster) -> Client {
    let mut client = Client::connect(ClientOptions {
        timeout: Duration::from_millis(1500),
        attempt_timeout: Duration::from_millis(200),
        ..ClientOptions::new(cluster.endpoints())
    })
    .unwrap();
    client.create("x").unwrap();
    client
}

/// Pushes "0", "1", … and returns what came back, in the order in which it did.
fn push_all(appender: &mut Appender<'_>, count: usize) -> Vec<Completed> {
    let mut completed: Vec<Completed> =
        (0..count).filter_map(|at| appender.push([at.to_string()])).collect();
    completed.extend(std::iter::from_fn(|| appender.wait()));
    completed
}

fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|at| at.to_string()).collect()
}

/// For each result: its index, or its outcome and whether it only followed an earlier failure.
fn outcomes(completed: &[Completed]) -> Vec<Result<u64, (Outcome, bool)>> {
    let prior = |error: &ClientError| {
        matches!(error.cause, Cause::PriorFailed) || error.code() == Some(ErrorCode::PriorFailed)
    };
    let outcome = |completed: &Completed| match &completed.result {
        Ok(appended) => Ok(appended.first.0),
        Err(error) => Err((error.outcome, prior(error))),
    };
    completed.iter().map(outcome).collect()
}

/// Many appends are under way at once, and results come in the order of submission.
#[test]
fn appends_are_pipelined_in_order() {
    let cluster = MockCluster::start(3, 1);
    let mut client = client(&cluster);
    let mut appender = client.appender("x", WINDOW).unwrap();
    let completed = push_all(&mut appender, 100);
    let tickets: Vec<u64> = completed.iter().map(|done| done.ticket).collect();
    assert_eq!(tickets, (0..100).collect::<Vec<u64>>());
    assert_eq!(outcomes(&completed), (0..100).map(Ok).collect::<Vec<_>>());
    assert_eq!(cluster.log("x"), numbers(100));
    let chains: std::collections::BTreeSet<u32> = cluster
        .state()
        .seen
        .iter()
        .filter_map(|seen| match &seen.request {
            Request::Append(append) => Some(append.chain),
            _ => None,
        })
        .collect();
    assert!(chains.len() == 1 && !chains.contains(&0), "one chain for all: {chains:?}");
}

/// The window is full before the first answer is waited for, and never fuller.
#[test]
fn the_window_bounds_what_is_under_way() {
    let cluster = MockCluster::start(1, 1);
    let mut client = client(&cluster);
    cluster.script(|seen, _| match seen.request {
        Request::Append(_) => Act::Silence,
        _ => Act::Usual,
    });
    let mut appender = client.appender("x", WINDOW).unwrap();
    for at in 0..8 {
        assert!(appender.push([at.to_string()]).is_none(), "push {at} waited");
    }
    assert!(appender.poll().is_none());
    let first = appender.push(["8"]).unwrap();
    assert_eq!(first.result.unwrap_err().outcome, Outcome::Unknown);
    assert_eq!(cluster.appends_seen().len(), 8, "the ninth was not sent behind unknown ones");
}

/// When the leader changes in the middle, everything arrives all the same, once and in order.
#[test]
fn a_new_leader_gets_the_rest_in_order() {
    let cluster = MockCluster::start(3, 1);
    let mut client = client(&cluster);
    cluster.script(|seen, state| {
        if matches!(seen.request, Request::Append(_)) && (seen.nth == 20 || seen.nth == 60) {
            state.leader = 1 + state.leader % 3;
            state.epoch += 1;
        }
        Act::Usual
    });
    let mut appender = client.appender("x", WINDOW).unwrap();
    let completed = push_all(&mut appender, 100);
    assert_eq!(outcomes(&completed), (0..100).map(Ok).collect::<Vec<_>>());
    assert_eq!(cluster.log("x"), numbers(100));
}

/// A failure in the middle: what came before it stands, what comes behind it is not executed, and
/// after `resume` the pipeline goes on.
#[test]
fn those_behind_a_failure_are_not_executed() {
    let cluster = MockCluster::start(1, 1);
    let mut client = client(&cluster);
    cluster.script(|seen, _| match (&seen.request, seen.nth) {
        (Request::Append(_), 3) => {
            Act::Reply(Reply::Error(WireError::new(ErrorCode::TooLarge, "too large")))
        }
        _ => Act::Usual,
    });
    let mut appender = client.appender("x", WINDOW).unwrap();
    let completed = push_all(&mut appender, 20);
    let outcomes = outcomes(&completed);
    assert_eq!(outcomes[..3], [Ok(0), Ok(1), Ok(2)]);
    assert_eq!(outcomes[3], Err((Outcome::NotExecuted, false)));
    assert_eq!(outcomes[4..], [Err((Outcome::NotExecuted, true)); 16]);
    assert_eq!(cluster.log("x"), numbers(3));
    assert!(appender.is_broken());

    appender.resume(None);
    appender.push(["again"]);
    assert_eq!(appender.wait().unwrap().result.unwrap().first, Index(3));
    assert_eq!(cluster.log("x"), ["0", "1", "2", "again"]);
}

/// R32: when the connection is lost, everything that was sent is of unknown outcome, and none of it
/// is sent again.
#[test]
fn r32_a_lost_connection_leaves_unknown_outcomes_and_resends_nothing() {
    let cluster = MockCluster::start(3, 1);
    let mut client = client(&cluster);
    cluster.script(|seen, _| match (&seen.request, seen.nth) {
        (Request::Append(_), 5) => Act::UsualThenClose,
        _ => Act::Usual,
    });
    let mut appender = client.appender("x", WINDOW).unwrap();
    let completed = push_all(&mut appender, 20);
    let outcomes = outcomes(&completed);
    assert_eq!(outcomes[..5], [Ok(0), Ok(1), Ok(2), Ok(3), Ok(4)]);
    assert_eq!(outcomes[5], Err((Outcome::Unknown, false)));
    assert!(outcomes[6..].iter().all(|outcome| outcome.is_err()), "{outcomes:?}");
    assert!(outcomes[13..].iter().all(|outcome| *outcome == Err((Outcome::NotExecuted, true))));
    assert_eq!(cluster.appends_seen(), numbers(6), "something was sent again");
    assert_eq!(cluster.log("x"), numbers(6));

    // The caller looks, and goes on from where the log ends.
    appender.resume(None);
    appender.push(["6"]);
    assert_eq!(appender.wait().unwrap().result.unwrap().first, Index(6));
}

/// R32: a pipeline that expects indexes goes on from each to the next, and after an unknown outcome
/// the first unknown append can be settled.
#[test]
fn expected_indexes_follow_one_another() {
    let cluster = MockCluster::start(1, 1);
    let mut client = client(&cluster);
    let expecting = AppenderOptions { expect: Some(Index(0)), ..WINDOW };
    let mut appender = client.appender("x", expecting).unwrap();
    assert!(appender.push(["a", "b"]).is_none());
    assert!(appender.push(["c"]).is_none());
    let completed: Vec<Completed> = std::iter::from_fn(|| appender.wait()).collect();
    assert_eq!(outcomes(&completed), [Ok(0), Ok(2)]);
    drop(appender);

    // Somebody else appends: the next one fails, and so does what is behind it.
    client.append("x", ["theirs"]).unwrap();
    let expecting = AppenderOptions { expect: Some(Index(3)), ..WINDOW };
    let mut appender = client.appender("x", expecting).unwrap();
    let completed = push_all(&mut appender, 3);
    assert_eq!(completed[0].result.as_ref().unwrap_err().code(), Some(ErrorCode::ExpectMismatch));
    assert_eq!(outcomes(&completed)[1..], [Err((Outcome::NotExecuted, true)); 2]);
    assert_eq!(cluster.log("x"), ["a", "b", "c", "theirs"]);
}

/// What nobody waits for does not meet the answers of later requests.
#[test]
fn an_abandoned_pipeline_leaves_no_answers_behind() {
    let cluster = MockCluster::start(1, 1);
    let mut client = client(&cluster);
    let mut appender = client.appender("x", WINDOW).unwrap();
    for at in 0..5 {
        appender.push([at.to_string()]);
    }
    drop(appender);
    assert_eq!(client.stat("x").unwrap().name.as_str(), "x");
}

/// Without a leader the oldest append fails as not executed when its time is up, and so do those
/// behind it.
#[test]
fn without_a_leader_nothing_is_executed() {
    let cluster = MockCluster::start(3, 1);
    let mut client = client(&cluster);
    cluster.lead(0);
    let mut appender = client.appender("x", WINDOW).unwrap();
    let completed = push_all(&mut appender, 4);
    let first = completed[0].result.as_ref().unwrap_err();
    assert_eq!((first.outcome, first.stage), (Outcome::NotExecuted, Stage::Leader), "{first}");
    assert_eq!(outcomes(&completed)[1..], [Err((Outcome::NotExecuted, true)); 3]);
    assert_eq!(cluster.log("x"), [""; 0]);
}
