//! Following a log against a scripted cluster on real sockets.

#![allow(clippy::unwrap_used, reason = "a test says by failing what went wrong")]

mod mock_cluster;

use mock_cluster::MockCluster;
use paxosd::client::*;
use paxosd::types::Index;
use std::time::Duration;

const TO_THE_END: FollowOptions = FollowOptions {
    consistency: Consistency::Linearizable,
    idle: Some(Duration::ZERO),
    on_gap: OnGap::Continue,
};

fn client(cluster: &MockCluster) -> Client {
    Client::connect(ClientOptions {
        timeout: Duration::from_millis(1500),
        attempt_timeout: Duration::from_millis(200),
        ..ClientOptions::new(cluster.endpoints())
    })
    .unwrap()
}

fn text(followed: Option<Result<Followed, ClientError>>) -> (u64, String) {
    let followed = followed.expect("it goes on").unwrap();
    let Followed::Entry(index, data) = followed else { panic!("{followed:?}") };
    (index.0, String::from_utf8(data).unwrap())
}

/// Every entry comes once and in order, with its index: those that were there, and those that are
/// appended while the log is followed, by the very client that the follower came from.
#[test]
fn entries_come_as_they_are_appended() {
    let cluster = MockCluster::start(3, 2);
    let mut client = client(&cluster);
    client.create("x").unwrap();
    client.append("x", ["a", "b", "c"]).unwrap();
    let mut follow = client.follow("x", Index(1), FollowOptions::default()).unwrap();
    assert_eq!(text(follow.next()), (1, "b".into()));
    assert_eq!(text(follow.next()), (2, "c".into()));
    assert_eq!(follow.next_index(), Index(3));
    let waits = std::thread::spawn(move || text(follow.next()));
    client.append("x", ["d"]).unwrap();
    assert_eq!(waits.join().unwrap(), (3, "d".into()));
}

/// With no patience it ends at the log's end, and an end is for good.
#[test]
fn it_ends_where_no_entry_comes_in_time() {
    let cluster = MockCluster::start(1, 1);
    let mut client = client(&cluster);
    client.create("x").unwrap();
    let mut empty = client.follow("x", Index(0), TO_THE_END).unwrap();
    assert!(empty.next().is_none());
    client.append("x", ["a", "b"]).unwrap();
    assert!(empty.next().is_none(), "it has ended");
    let all = client.follow("x", Index(0), TO_THE_END).unwrap();
    let all: Result<Vec<Followed>, ClientError> = all.collect();
    let entry = |index, data: &[u8]| Followed::Entry(Index(index), data.to_vec());
    assert_eq!(all.unwrap(), [entry(0, b"a"), entry(1, b"b")]);
    let brief = FollowOptions { idle: Some(Duration::from_millis(50)), ..TO_THE_END };
    assert_eq!(client.follow("x", Index(0), brief).unwrap().count(), 2);
}

/// A failure is handed out, and what comes behind it begins where the last entry ended.
#[test]
fn after_a_failure_nothing_is_missing_and_nothing_comes_twice() {
    let cluster = MockCluster::start(3, 1);
    let mut client = client(&cluster);
    client.create("x").unwrap();
    client.append("x", ["a"]).unwrap();
    let mut follow = client.follow("x", Index(0), TO_THE_END).unwrap();
    assert_eq!(text(follow.next()), (0, "a".into()));
    client.append("x", ["b"]).unwrap();
    cluster.lead(0);
    let error = follow.next().unwrap().unwrap_err();
    assert_eq!((error.outcome, error.stage), (Outcome::NotExecuted, Stage::Leader), "{error}");
    cluster.lead(2);
    assert_eq!(text(follow.next()), (1, "b".into()));
    assert!(follow.next().is_none());
}

/// A log that was deleted is missed, though another one has its name by now: its entries are not
/// taken for the continuation.
#[test]
fn a_log_in_the_place_of_another_is_not_followed() {
    let cluster = MockCluster::start(1, 1);
    let mut client = client(&cluster);
    client.create("x").unwrap();
    client.append("x", ["a"]).unwrap();
    let mut follow = client.follow("x", Index(0), FollowOptions::default()).unwrap();
    assert_eq!(text(follow.next()), (0, "a".into()));
    client.delete("x").unwrap();
    client.create("x").unwrap();
    client.append("x", ["other", "other"]).unwrap();
    let error = follow.next().unwrap().unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::UnknownLog), "{error}");
}

/// C28: what was trimmed while it was followed is reported as a gap, and it goes on behind it; or it is an error,
/// each time that it is asked, where that is wanted.
#[test]
fn c28_trimmed_entries_are_reported_as_a_gap() {
    let cluster = MockCluster::start(1, 1);
    let mut client = client(&cluster);
    client.create("x").unwrap();
    client.append("x", ["a", "b", "c", "d", "e"]).unwrap();
    let mut follow = client.follow("x", Index(0), TO_THE_END).unwrap();
    assert_eq!(text(follow.next()), (0, "a".into()));
    client.trim("x", Index(4)).unwrap();
    // What was read before the trim is handed out.
    assert_eq!((text(follow.next()).0, text(follow.next()).0), (1, 2));
    assert!(!follow.is_ready() && follow.wait(Duration::ZERO).unwrap());
    let gap = Followed::Gap { from: Index(3), first: Index(4), why: GapReason::Trimmed };
    assert_eq!(follow.next().unwrap().unwrap(), gap);
    assert_eq!(text(follow.next()), (4, "e".into()));
    assert!(follow.next().is_none());
    let strict = FollowOptions { on_gap: OnGap::Fail, ..TO_THE_END };
    let mut follow = client.follow("x", Index(1), strict).unwrap();
    for _ in 0..2 {
        let error = follow.next().unwrap().unwrap_err();
        assert_eq!(error.code(), Some(ErrorCode::Trimmed), "{error}");
        assert_eq!((error.first_left(), follow.next_index()), (Some(Index(4)), Index(1)));
    }
}

/// Waiting for an item ends without one, and takes none.
#[test]
fn waiting_takes_nothing() {
    let cluster = MockCluster::start(1, 1);
    let mut client = client(&cluster);
    client.create("x").unwrap();
    let mut follow = client.follow("x", Index(0), FollowOptions::default()).unwrap();
    assert!(!follow.wait(Duration::from_millis(20)).unwrap());
    client.append("x", ["a"]).unwrap();
    assert!(follow.wait(Duration::from_millis(20)).unwrap() && follow.is_ready());
    assert_eq!(text(follow.next()), (0, "a".into()));
}
