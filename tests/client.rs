//! The client library against a scripted cluster on real sockets.

#![allow(clippy::unwrap_used, reason = "a test says by failing what went wrong")]

mod mock_cluster;

use mock_cluster::{Act, MockCluster};
use paxosd::api::Request;
use paxosd::client::*;
use paxosd::types::Index;
use std::collections::BTreeSet;
use std::net::TcpListener;
use std::time::{Duration, Instant};

fn options(cluster: &MockCluster) -> ClientOptions {
    ClientOptions {
        timeout: Duration::from_millis(1500),
        attempt_timeout: Duration::from_millis(200),
        ..ClientOptions::new(cluster.endpoints())
    }
}

fn client(cluster: &MockCluster) -> Client {
    Client::connect(options(cluster)).unwrap()
}

fn texts(done: &ReadDone) -> Vec<String> {
    let text = |entry: &[u8]| String::from_utf8_lossy(entry).into_owned();
    done.entries.iter().map(|entry| text(entry.data)).collect()
}

/// Every operation reaches its shard, and a list is merged from the pages of all shards, sorted.
#[test]
fn operations_reach_their_shards() {
    let cluster = MockCluster::start(3, 4);
    // With enough time that a slow machine costs no second connection: they are counted.
    let mut client = Client::connect(ClientOptions::new(cluster.endpoints())).unwrap();
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "other"];
    for name in names {
        client.create(name).unwrap();
    }
    let taken = client.create("a").unwrap_err();
    assert_eq!(taken.code(), Some(ErrorCode::LogExists));
    let listed: Vec<String> =
        client.list("").unwrap().iter().map(|log| log.name.to_string()).collect();
    assert_eq!(listed, names);
    assert_eq!(client.list("oth").unwrap().len(), 1);

    let appended = client.append("a", ["one", "two", "three", "four"]).unwrap();
    assert_eq!((appended.first, appended.count, appended.next()), (Index(0), 4, Index(4)));
    assert_eq!(client.append(&appended.id, ["five"]).unwrap().first, Index(4));
    let stat = client.stat("a").unwrap();
    assert_eq!((stat.next_index, stat.bytes, stat.id), (Index(5), 19, appended.id));
    let read = client.read("a", Index(3), ReadOptions::default()).unwrap();
    assert_eq!((texts(&read), read.next), (vec!["four".into(), "five".into()], Index(5)));
    let past = client.read("a", Index(9), ReadOptions::default()).unwrap();
    assert_eq!((past.entries.count(), past.next), (0, Index(5)));

    client.delete("a").unwrap();
    assert_eq!(client.stat("a").unwrap_err().code(), Some(ErrorCode::UnknownLog));
    // One connection for each shard that holds a log, and one that asked for the map. Both lists ask
    // the other shards, too, and keep no connection to them.
    let used: BTreeSet<ShardId> = names.iter().map(|name| ShardId::of_name(name, 4)).collect();
    let (used, others) = (used.len(), 4 - used.len());
    assert_eq!(cluster.state().hellos.len(), 1 + used + 2 * others);
    for endpoint in cluster.endpoints() {
        client.ping(&endpoint).unwrap();
    }
}

/// A redirect is followed at once, and the append takes effect once.
#[test]
fn redirects_are_followed() {
    let cluster = MockCluster::start(3, 1);
    let mut client = client(&cluster);
    client.create("x").unwrap();
    cluster.lead(3);
    let started = Instant::now();
    assert_eq!(client.append("x", ["hello"]).unwrap().first, Index(0));
    assert!(started.elapsed() < Duration::from_millis(150), "{:?}", started.elapsed());
    assert_eq!(cluster.appends_seen(), ["hello", "hello"]);
    assert_eq!(cluster.log("x"), ["hello"]);
    // The next append goes there directly.
    client.append("x", ["again"]).unwrap();
    assert_eq!(cluster.appends_seen().len(), 3);
}

/// Two nodes that name each other cannot spin the client: it backs off, and gets there once one of
/// them leads.
#[test]
fn a_circle_of_redirects_is_left() {
    let cluster = MockCluster::start(2, 1);
    let mut client = client(&cluster);
    client.create("x").unwrap();
    cluster.state().leader = 0;
    cluster.script(|seen, state| {
        state.hint = Some(3 - seen.node);
        if seen.nth == 8 && matches!(seen.request, Request::Append(_)) {
            (state.leader, state.hint) = (seen.node, None);
        }
        Act::Usual
    });
    client.append("x", ["hello"]).unwrap();
    assert_eq!(cluster.log("x"), ["hello"]);
    assert!(cluster.appends_seen().len() >= 9, "seen {:?}", cluster.appends_seen());
}

/// While nobody leads the client goes on asking all nodes, and finds the new leader among them
/// though the old one is gone.
#[test]
fn a_new_leader_is_discovered() {
    let cluster = MockCluster::start(3, 1);
    let mut client = client(&cluster);
    client.create("x").unwrap();
    cluster.kill(1);
    cluster.state().leader = 0;
    // The tenth map that is asked for is the first one to name the new leader.
    cluster.script(|seen, state| {
        if matches!(seen.request, Request::Map) && seen.nth == 10 {
            (state.leader, state.epoch) = (3, 2);
        }
        Act::Usual
    });
    assert_eq!(client.append("x", ["hello"]).unwrap().first, Index(0));
    assert_eq!(cluster.log("x"), ["hello"]);
}

/// R32: an append of which nobody knows whether it was executed is not sent again, in whichever way
/// its answer was lost; nor is a create or a delete.
#[test]
fn r32_an_unknown_outcome_is_never_sent_again() {
    let lost = || Act::Refuse(RequestError::new(ErrorCode::LeadershipLost, "deposed"));
    let ways: [fn() -> Act; 4] =
        [|| Act::Close, || Act::UsualThenClose, || Act::Silence, || Act::Garbage];
    for way in ways.into_iter().chain([lost as fn() -> Act]) {
        let cluster = MockCluster::start(3, 1);
        let mut client = client(&cluster);
        client.create("x").unwrap();
        cluster.script(move |seen, _| match seen.request {
            Request::Append(_) | Request::Create(_) | Request::Delete(_) => way(),
            _ => Act::Usual,
        });
        let act = way();
        let error = client.append("x", ["once"]).unwrap_err();
        assert_eq!(cluster.appends_seen(), ["once"], "{act:?}: sent again");
        assert_eq!((error.outcome, error.stage), (Outcome::Unknown, Stage::Quorum), "{act:?}");
        let error = client.create("y").unwrap_err();
        assert_eq!(error.outcome, Outcome::Unknown, "{act:?}");
        let error = client.delete("x").unwrap_err();
        assert_eq!(error.outcome, Outcome::Unknown, "{act:?}");
        let state = cluster.state();
        let of = |wanted: fn(&Request) -> bool| {
            state.seen.iter().filter(|seen| wanted(&seen.request)).count()
        };
        assert_eq!(of(|request| matches!(request, Request::Create(_))), 2, "{act:?}");
        assert_eq!(of(|request| matches!(request, Request::Delete(_))), 1, "{act:?}");
    }
}

/// What changes nothing is asked again when its answer is lost.
#[test]
fn reads_are_asked_again() {
    let cluster = MockCluster::start(3, 1);
    let mut client = client(&cluster);
    client.create("x").unwrap();
    client.append("x", ["hello"]).unwrap();
    cluster.script(|seen, _| match (&seen.request, seen.nth) {
        (Request::Read(_), 0) => Act::Close,
        (Request::Read(_), 1) => Act::Silence,
        (Request::Read(_), 2) => {
            Act::Refuse(RequestError::new(ErrorCode::LeadershipLost, "deposed"))
        }
        _ => Act::Usual,
    });
    let read = client.read("x", Index(0), ReadOptions::default()).unwrap();
    assert_eq!(texts(&read), ["hello"]);
}

/// What was certainly not executed is sent again by itself, however often.
#[test]
fn refusals_that_may_be_retried_are() {
    let cluster = MockCluster::start(3, 1);
    let mut client = client(&cluster);
    client.create("x").unwrap();
    let codes = [ErrorCode::NoQuorum, ErrorCode::NotReady, ErrorCode::Overloaded];
    cluster.script(move |seen, _| match (&seen.request, codes.get(seen.nth)) {
        (Request::Append(_), Some(code)) => Act::Refuse(RequestError::new(*code, "later")),
        _ => Act::Usual,
    });
    client.append("x", ["hello"]).unwrap();
    assert_eq!((cluster.log("x"), cluster.appends_seen().len()), (vec!["hello".into()], 4));
}

/// A node that restarted between two appends costs a new connection, not an unknown outcome.
#[test]
fn a_connection_that_ended_while_idle_is_not_used() {
    let cluster = MockCluster::start(1, 1);
    let mut client = client(&cluster);
    client.create("x").unwrap();
    cluster.kill(1);
    let error = client.append("x", ["lost"]).unwrap_err();
    assert_eq!(error.outcome, Outcome::NotExecuted, "{error}");
    assert_eq!(cluster.appends_seen(), [""; 0]);
}

/// The connections on which appends were seen.
fn append_connections(cluster: &MockCluster) -> Vec<u64> {
    let seen = cluster.state().seen.clone();
    let appends = seen.iter().filter(|seen| matches!(seen.request, Request::Append(_)));
    appends.map(|seen| seen.conn).collect()
}

/// An append that was given up keeps its connection while the node lives: its answer, which comes
/// late, is dropped, and not taken for that of the next append.
#[test]
fn a_late_answer_is_dropped_and_its_connection_kept() {
    let cluster = MockCluster::start(1, 1);
    let mut client = client(&cluster);
    client.create("x").unwrap();
    cluster.script(|seen, _| match (&seen.request, seen.nth) {
        (Request::Append(_), 0) => Act::UsualLate,
        _ => Act::Usual,
    });
    client.set_timeout(Duration::from_millis(300));
    assert_eq!(client.append("x", ["slow"]).unwrap_err().outcome, Outcome::Unknown);
    client.set_timeout(Duration::from_secs(10));
    assert_eq!(client.append("x", ["next"]).unwrap().first, Index(1));
    assert_eq!(client.append("x", ["last"]).unwrap().first, Index(2));
    let on = append_connections(&cluster);
    assert!(on.iter().all(|conn| *conn == on[0]), "appends on connections {on:?}");
}

/// A connection on which a request was given up and that does not even answer a Ping is not used
/// again: what is sent there would be of unknown outcome.
#[test]
fn a_dead_connection_is_not_used_after_a_request_was_given_up() {
    let cluster = MockCluster::start(1, 1);
    let mut client = client(&cluster);
    client.create("x").unwrap();
    let mut dead = None;
    cluster.script(move |seen, _| {
        if matches!(seen.request, Request::Append(_)) && dead.is_none() {
            dead = Some(seen.conn);
        }
        if dead == Some(seen.conn) { Act::Silence } else { Act::Usual }
    });
    client.set_timeout(Duration::from_millis(300));
    assert_eq!(client.append("x", ["lost"]).unwrap_err().outcome, Outcome::Unknown);
    client.set_timeout(Duration::from_secs(10));
    assert_eq!(client.append("x", ["next"]).unwrap().first, Index(0));
    let on = append_connections(&cluster);
    assert_eq!(on.len(), 2, "appends on connections {on:?}");
    assert_ne!(on[0], on[1]);
}

/// A condition that does not hold is an error of its own, with the actual next index.
#[test]
fn a_mismatch_carries_the_next_index() {
    let cluster = MockCluster::start(1, 1);
    let mut client = client(&cluster);
    let create = AppendOptions { expect: Some(Index(0)), create: true };
    client.append_with("x", ["a", "b"], create).unwrap();
    let error = client.append_expect("x", Index(1), ["c"]).unwrap_err();
    assert_eq!(
        (error.code(), error.outcome),
        (Some(ErrorCode::ExpectMismatch), Outcome::NotExecuted)
    );
    assert!(error.to_string().contains("is 2"), "{error}");
    // Limits and names are checked before anything is sent.
    let error = client.append("x", [vec![0; 3 << 20]]).unwrap_err();
    assert!(matches!(error.cause, Cause::Invalid(Invalid::Entries(_))), "{error}");
    let error = client.append("a\nb", ["c"]).unwrap_err();
    assert!(matches!(error.cause, Cause::Invalid(Invalid::Name(_))), "{error}");
    assert_eq!(cluster.appends_seen().len(), 2);
}

/// An append of unknown outcome is settled by what lies at its index, and an empty place there
/// settles nothing.
#[test]
fn an_append_with_expect_can_be_settled() {
    let cluster = MockCluster::start(1, 1);
    let mut client = client(&cluster);
    client.create("x").unwrap();
    let ours = ["1", "2", "3", "4"];
    assert_eq!(client.settle("x", Index(0), ours).unwrap(), Settlement::Open { next: Index(0) });

    cluster.script(|seen, _| match seen.request {
        Request::Append(_) => Act::UsualThenClose,
        _ => Act::Usual,
    });
    let error = client.append_expect("x", Index(0), ours).unwrap_err();
    assert_eq!(error.outcome, Outcome::Unknown);
    assert!(error.next_step().contains("settle it"), "{error}");
    let settled = client.settle("x", Index(0), ours).unwrap();
    assert_eq!(settled, Settlement::Executed { next: Index(4) });
    // Another's entries, a longer append that would have had to be there whole, an index beyond.
    let other = client.settle("x", Index(0), ["1", "2", "3", "5"]).unwrap();
    assert_eq!(other, Settlement::NotExecuted { next: Index(4) });
    let longer = client.settle("x", Index(0), ["1", "2", "3", "4", "5"]).unwrap();
    assert_eq!(longer, Settlement::NotExecuted { next: Index(4) });
    let beyond = client.settle("x", Index(7), ["1"]).unwrap();
    assert_eq!(beyond, Settlement::Open { next: Index(4) });
    assert_eq!(cluster.appends_seen().len(), 1, "settling appends nothing");
}

/// A local read needs no leader, and is answered by the endpoint that was given first.
#[test]
fn local_reads_need_no_leader() {
    let cluster = MockCluster::start(3, 1);
    client(&cluster).append_with("x", ["a"], AppendOptions { expect: None, create: true }).unwrap();
    cluster.lead(0);
    let second =
        ClientOptions { endpoints: vec![cluster.endpoints()[1].clone()], ..options(&cluster) };
    let mut client = Client::connect(second).unwrap();
    let local = ReadOptions { consistency: Consistency::Local, ..ReadOptions::default() };
    assert_eq!(texts(&client.read("x", Index(0), local).unwrap()), ["a"]);
    assert_eq!(cluster.state().seen.last().unwrap().node, 2);
    cluster.kill(2);
    assert_eq!(texts(&client.read("x", Index(0), local).unwrap()), ["a"]);
}

/// Each failure names its stage, its endpoint, its outcome and the next step, and comes in time.
#[test]
fn failures_name_where_they_ended() {
    let cluster = MockCluster::start(1, 1);
    let here = |endpoint: String| ClientOptions {
        timeout: Duration::from_millis(400),
        endpoints: vec![endpoint],
        ..options(&cluster)
    };
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let deaf = (deaf.local_addr().unwrap().to_string(), deaf);
    for (endpoint, stage) in [
        ("no-such-host.invalid:7420", Stage::Resolve),
        (free.as_str(), Stage::Connect),
        (deaf.0.as_str(), Stage::Hello),
    ] {
        let started = Instant::now();
        let error = Client::connect(here(endpoint.to_string())).unwrap_err();
        let text = error.to_string();
        assert_eq!((error.stage, error.outcome), (stage, Outcome::NotExecuted), "{text}");
        assert!(text.contains(endpoint) && !error.next_step().is_empty(), "{text}");
        assert!(stage == Stage::Resolve || started.elapsed() < Duration::from_secs(2), "{text}");
    }

    let mut client = Client::connect(here(cluster.endpoints()[0].clone())).unwrap();
    client.create("x").unwrap();
    cluster.script(|seen, _| match (&seen.request, seen.nth) {
        (Request::Append(_), 0) => Act::Silence,
        _ => Act::Usual,
    });
    let text = client.append("x", ["a"]).unwrap_err().to_string();
    assert!(text.contains("outcome unknown") && text.contains("stage quorum"), "{text}");
    cluster.lead(0);
    let error = client.append("x", ["a"]).unwrap_err();
    let text = error.to_string();
    assert_eq!((error.stage, error.outcome), (Stage::Leader, Outcome::NotExecuted), "{text}");
    assert!(text.contains("knows of no leader of shard 0") && text.contains("0.4 s"), "{text}");
}

/// A node of another cluster refuses for good: nobody waits for the deadline.
#[test]
fn another_cluster_is_refused_at_once() {
    let cluster = MockCluster::start(1, 1);
    let refusal = RequestError::new(ErrorCode::WrongCluster, "this is another cluster");
    cluster.state().refuse_hello = Some(refusal);
    let started = Instant::now();
    let patient = ClientOptions { timeout: Duration::from_secs(60), ..options(&cluster) };
    let error = Client::connect(patient).unwrap_err();
    assert_eq!((error.stage, error.code()), (Stage::Hello, Some(ErrorCode::WrongCluster)));
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
}

/// A dead node is reported as such beside those that live.
#[test]
fn the_status_shows_dead_nodes() {
    let cluster = MockCluster::start(3, 2);
    let mut client = client(&cluster);
    cluster.kill(2);
    let status = client.status().unwrap();
    let alive: Vec<bool> = status.nodes.iter().map(|node| node.state.is_ok()).collect();
    assert_eq!(alive, [true, false, true]);
    assert_eq!(status.nodes[0].state.as_ref().unwrap().shards.len(), 2);
    assert_eq!(status.shards, 2);
}
