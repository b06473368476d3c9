//! Pipelined appends against a scripted cluster on real sockets.

#![allow(clippy::unwrap_used, reason = "a test says by failing what went wrong")]

mod mock_cluster;

use mock_cluster::{Act, MockCluster};
use paxosd::api::Request;
use paxosd::client::*;
use paxosd::types::Index;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
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
fn push_all(appender: &mut Appender, count: usize) -> Vec<Completed> {
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
        (Request::Append(_), 3) => Act::Refuse(RequestError::new(ErrorCode::TooLarge, "too large")),
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

/// What is queued leaves with the flush, all at once; with the socket a caller can wait for it
/// beside others, and never has to wait inside the library.
#[test]
fn a_caller_can_wait_by_itself() {
    let cluster = MockCluster::start(1, 1);
    let mut client = client(&cluster);
    let mut appender = client.appender("x", WINDOW).unwrap();
    (0..8).for_each(|at| appender.queue([at.to_string()]));
    assert!(!appender.has_room() && cluster.appends_seen().is_empty(), "nothing is sent yet");
    appender.flush();
    let mut completed = Vec::new();
    while completed.len() < 8 {
        let socket = appender.socket().expect("the client has created a log on this connection");
        let mut sockets = [PollFd::new(&socket, PollFlags::IN)];
        let patience = Timespec { tv_sec: 10, tv_nsec: 0 };
        assert_eq!(poll(&mut sockets, Some(&patience)).unwrap(), 1, "no answer in time");
        completed.extend(std::iter::from_fn(|| appender.poll()));
    }
    assert_eq!(outcomes(&completed), (0..8).map(Ok).collect::<Vec<_>>());
    // Without a connection only `wait` gets further, and makes one.
    let mut fresh = Client::connect(ClientOptions::new(cluster.endpoints())).unwrap();
    let mut appender = fresh.appender("x", WINDOW).unwrap();
    appender.queue(["8"]);
    appender.flush();
    assert!(appender.socket().is_none() && appender.is_stuck() && appender.poll().is_none());
    assert_eq!(appender.wait().unwrap().result.unwrap().first, Index(8));
    assert!(appender.socket().is_some() && !appender.is_stuck());
}

/// Neither waits for the other: while pipelines are open, with answers under way, the client that
/// they came from goes on. Each has one connection, and none is made in vain: the first pipeline
/// takes over the one that its client has.
#[test]
fn a_client_goes_on_beside_its_pipelines() {
    let cluster = MockCluster::start(3, 1);
    // With enough time that a slow machine costs no second connection: they are counted.
    let mut client = Client::connect(ClientOptions::new(cluster.endpoints())).unwrap();
    client.create("x").unwrap();
    let mut appender = client.appender("x", AppenderOptions::default()).unwrap();
    let mut reader = client.reader("x", ReaderOptions::default()).unwrap();
    assert!(appender.push(["piped"]).is_none());
    assert_eq!(appender.wait().unwrap().result.unwrap().first, Index(0));
    appender.queue(["queued"]);
    reader.queue(Index(0));
    assert_eq!(client.append("x", ["between"]).unwrap().first, Index(1));
    assert_eq!(client.read("x", Index(0), ReadOptions::default()).unwrap().entries.len(), 2);
    assert_eq!(appender.wait().unwrap().result.unwrap().first, Index(2));
    assert!(!reader.wait().unwrap().result.unwrap().entries.is_empty());
    // One asked for the map; then the appender's, the client's and the reader's.
    assert_eq!(cluster.state().hellos.len(), 1 + 3);
}

const READS: ReaderOptions =
    ReaderOptions { window: 8, max_entries: Some(1), consistency: Consistency::Linearizable };

/// Submits reads at these indexes and returns what came back, by ticket.
fn read_all(reader: &mut Reader, indexes: &[u64]) -> Vec<Result<String, ClientError>> {
    let mut found: Vec<_> = indexes.iter().map(|_| None).collect();
    let mut wanted = indexes.iter();
    loop {
        while reader.has_room()
            && let Some(index) = wanted.next()
        {
            reader.queue(Index(*index));
        }
        reader.flush();
        let Some(FinishedRead { ticket, result }) = reader.wait() else { break };
        let text = |done: ReadDone| {
            let entry = done.entries.iter().next().expect("an entry, as the log has it");
            String::from_utf8(entry.data.to_vec()).unwrap()
        };
        let place = &mut found[usize::try_from(ticket).unwrap()];
        assert!(place.replace(result.map(text)).is_none(), "read {ticket} came back twice");
    }
    found.into_iter().map(|result| result.expect("each read comes back")).collect()
}

/// Reads are asked again when the leader changes or a connection ends: each comes back once, with
/// the entry that it asked for.
#[test]
fn reads_are_pipelined_and_asked_again() {
    let cluster = MockCluster::start(3, 1);
    let mut client = client(&cluster);
    push_all(&mut client.appender("x", WINDOW).unwrap(), 100);
    let mut reads = 0;
    cluster.script(move |seen, state| {
        if !matches!(seen.request, Request::Read(_)) {
            return Act::Usual;
        }
        reads += 1;
        if reads == 20 || reads == 60 {
            state.leader = 1 + state.leader % 3;
            state.epoch += 1;
        }
        if reads == 40 { Act::Close } else { Act::Usual }
    });
    let mut reader = client.reader("x", READS).unwrap();
    let indexes: Vec<u64> = (0..200).map(|n| n * 37 % 100).collect();
    let found = read_all(&mut reader, &indexes);
    for (index, found) in indexes.iter().zip(found) {
        assert_eq!(found.unwrap(), index.to_string());
    }
}

/// A read that cannot succeed fails with its own error, and takes none of the others along.
#[test]
fn a_failed_read_stands_for_itself() {
    let cluster = MockCluster::start(1, 1);
    let mut client = client(&cluster);
    push_all(&mut client.appender("x", WINDOW).unwrap(), 10);
    cluster.script(|seen, _| match &seen.request {
        Request::Read(read) if read.from == Index(3) => {
            Act::Refuse(RequestError::new(ErrorCode::Damaged, "as the test wants it"))
        }
        _ => Act::Usual,
    });
    let mut reader = client.reader("x", READS).unwrap();
    let found = read_all(&mut reader, &(0..10).collect::<Vec<u64>>());
    for (index, found) in found.into_iter().enumerate() {
        match found {
            Ok(text) => assert!(index != 3 && text == index.to_string(), "{index}: {text}"),
            Err(error) => assert_eq!((index, error.code()), (3, Some(ErrorCode::Damaged))),
        }
    }
}
