//! What comes to the clients' port: good clients, strangers, garbage.

use crate::rig::{Daemon, Raw, append, hello, read};
use paxosd::api::error::ErrorCode;
use paxosd::api::{NO_SHARD, Reply, Request};
use paxosd::limits::{CONN_REQUESTS_MAX, FRAME_BYTES_MAX};
use paxosd::types::{ClusterId, Index};
use paxosd::wire::client::hello::{HelloAnswer, write_hello};
use paxosd::wire::client::write_request;
use paxosd::wire::frame::write_frame;
use std::time::{Duration, Instant};

fn code(reply: &Reply) -> ErrorCode {
    match reply {
        Reply::Error(error) => error.code,
        other => panic!("an error was expected: {other:?}"),
    }
}

#[track_caller]
fn refusal(answer: HelloAnswer) -> (ErrorCode, String) {
    match answer {
        HelloAnswer::Refused(_, error) => (error.code, error.text),
        HelloAnswer::Welcome(..) => panic!("welcome, and should have been refused"),
    }
}

/// Entries that were acknowledged are there after the node stopped in order and came back.
#[test]
fn appends_survive_a_stop() {
    survive_a_stop(&[]);
}

/// The same where the shard's thread syncs by itself while nothing else waits, pinned to a core.
#[test]
fn appends_survive_a_stop_synced_inline() {
    survive_a_stop(&[("PAXOSD_SYNC_INLINE", "true"), ("PAXOSD_PIN", "true")]);
}

fn survive_a_stop(environment: &[(&str, &str)]) {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let daemon = Daemon::start_in(&data, environment);
    let (mut client, welcome) = Raw::open(&daemon.address, 0);
    assert_eq!((welcome.shards, welcome.node.0), (1, 1));
    for index in 0..20 {
        match client.ask_leader(&append("log", format!("entry {index}").as_bytes())) {
            Reply::Appended(appended) => assert_eq!(appended.first, Index(index)),
            other => panic!("{other:?}"),
        }
    }
    let (exit, log) = daemon.stop();
    assert_eq!(exit, Some(0), "{log}");
    let daemon = Daemon::start_in(&data, environment);
    let (mut client, _) = Raw::open(&daemon.address, 0);
    match client.ask_leader(&read("log")) {
        Reply::ReadDone(done) => {
            assert_eq!(done.next, Index(20));
            let text = |data| String::from_utf8_lossy(data).into_owned();
            let entries: Vec<String> = done.entries.iter().map(|entry| text(entry.data)).collect();
            let wanted: Vec<String> = (0..20).map(|index| format!("entry {index}")).collect();
            assert_eq!(entries, wanted);
        }
        other => panic!("{other:?}"),
    }
}

/// Requests that follow Hello in the same packet are answered, in full and once each.
#[test]
fn requests_right_behind_hello_are_answered() {
    let daemon = Daemon::start(&[]);
    let mut client = Raw::connect(&daemon.address);
    let mut bytes = Vec::new();
    write_hello(&mut bytes, 1, &hello(0));
    let count = 3 * CONN_REQUESTS_MAX as u64;
    for correlation in 2..2 + count {
        write_request(&mut bytes, correlation, &Request::Ping);
    }
    client.send(&bytes);
    client.next(|frame| assert_eq!(frame.correlation, 1)).expect("welcome");
    for correlation in 2..2 + count {
        assert_eq!(client.reply(), Some((correlation, Reply::Pong)));
    }
}

/// A connection that greeted no shard may ask about the node, and for nothing that a shard holds.
#[test]
fn node_level_connections_ask_about_the_node() {
    let daemon = Daemon::start(&[]);
    let (mut client, _) = Raw::open(&daemon.address, NO_SHARD.0);
    match client.ask(2, &Request::Map) {
        Reply::Map(map) => {
            assert_eq!((map.shards, map.leaders.len()), (1, 1));
            assert_eq!(map.members[0].address, daemon.address);
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(client.ask(3, &Request::Status), Reply::Status(_)));
    assert_eq!(client.ask(4, &Request::Ping), Reply::Pong);
    assert_eq!(code(&client.ask(5, &append("log", b"x"))), ErrorCode::WrongShard);
    assert_eq!(client.ask(6, &Request::Ping), Reply::Pong, "and the connection goes on");
}

/// R29, R37: a client of another cluster, shard or version is sent the reason, and closed.
#[test]
fn r29_wrong_greetings_are_refused_with_a_reason() {
    let daemon = Daemon::start(&[]);
    let mut other = hello(0);
    other.cluster = ClusterId(7);
    let (mut raw, answer) = Raw::greet(&daemon.address, &other);
    let (code, text) = refusal(answer);
    assert_eq!(code, ErrorCode::WrongCluster);
    assert!(text.contains(&ClusterId(7).to_string()), "{text}");
    raw.expect_closed();
    let (mut raw, answer) = Raw::greet(&daemon.address, &hello(1));
    assert_eq!(refusal(answer).0, ErrorCode::WrongShard);
    raw.expect_closed();
    let mut newer = hello(0);
    (newer.version_min, newer.version_max) = (90, 99);
    let (mut raw, answer) = Raw::greet(&daemon.address, &newer);
    assert_eq!(refusal(answer).0, ErrorCode::VersionMismatch);
    raw.expect_closed();
    Raw::open(&daemon.address, 0);
}

/// R37: garbage instead of a Hello closes the connection, with an error frame, and nothing else
/// happens: neither to the node nor to other clients.
#[test]
fn r37_garbage_before_hello_closes_the_connection() {
    let daemon = Daemon::start(&[]);
    let (mut good, _) = Raw::open(&daemon.address, 0);
    let mut request_first = Vec::new();
    write_request(&mut request_first, 9, &Request::Ping);
    let mut too_long = vec![0; 24];
    too_long[..4].copy_from_slice(&5000_u32.to_le_bytes());
    let inputs: [&[u8]; 4] =
        [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", &[0; 64], &request_first, &too_long];
    for bytes in inputs {
        let mut stranger = Raw::connect(&daemon.address);
        stranger.send(bytes);
        let (_, reply) = stranger.reply().expect("an error frame");
        let code = code(&reply);
        assert!(
            matches!(code, ErrorCode::BadRequest | ErrorCode::TooLarge),
            "{code} for {bytes:?}"
        );
        stranger.expect_closed();
        assert_eq!(good.ask(2, &Request::Ping), Reply::Pong);
    }
    let (exit, log) = daemon.stop();
    assert_eq!(exit, Some(0));
    let logged = crate::mutants::lines(&log, &["client connection from"]).0;
    assert_eq!(logged, inputs.len() as u64, "each is logged, if only by its number: {log}");
}

/// R37: garbage after Hello closes that connection behind an error frame. What only one request
/// is wrong in, one answer reports.
#[test]
fn r37_garbage_after_hello_closes_the_connection() {
    let daemon = Daemon::start(&[]);
    let (mut good, _) = Raw::open(&daemon.address, 0);
    let mut corrupt = Vec::new();
    write_request(&mut corrupt, 9, &append("log", b"data"));
    let last = corrupt.len() - 1;
    corrupt[last] ^= 1;
    let mut too_long = vec![0; 24];
    too_long[..4].copy_from_slice(&(FRAME_BYTES_MAX as u32 + 1).to_le_bytes());
    let mut cut_short = Vec::new();
    write_frame(&mut cut_short, 0x0014, 9, |body| body.extend_from_slice(&[0, 200]));
    for bytes in [corrupt, too_long, cut_short] {
        let (mut bad, _) = Raw::open(&daemon.address, 0);
        bad.send(&bytes);
        assert!(matches!(bad.reply(), Some((_, Reply::Error(_)))));
        bad.expect_closed();
        assert_eq!(good.ask(2, &Request::Ping), Reply::Pong);
    }
    let mut unknown = Vec::new();
    write_frame(&mut unknown, 0x0777, 3, |_| {});
    good.send(&unknown);
    let (correlation, reply) = good.reply().expect("an answer");
    assert_eq!((correlation, code(&reply)), (3, ErrorCode::Unsupported));
    assert_eq!(good.ask(4, &Request::Ping), Reply::Pong, "the connection goes on");
}

/// R39: who connects and says nothing, or half a Hello, is closed after the handshake's deadline.
#[test]
fn r39_handshakes_have_a_deadline() {
    let daemon = Daemon::start(&[]);
    let started = Instant::now();
    let mut silent = Raw::connect(&daemon.address);
    let mut half = Raw::connect(&daemon.address);
    let mut bytes = Vec::new();
    write_hello(&mut bytes, 1, &hello(0));
    half.send(&bytes[..30]);
    silent.expect_closed();
    half.expect_closed();
    let taken = started.elapsed();
    assert!(taken >= Duration::from_millis(4900), "closed before its time: {taken:?}");
    assert!(taken < Duration::from_secs(15), "closed long after its time: {taken:?}");
    Raw::open(&daemon.address, 0);
}

/// R39: one address has only so many connections; a closed one makes room again.
#[test]
fn r39_connections_of_one_address_are_capped() {
    let daemon = Daemon::start(&[("PAXOSD_CONNECTIONS_PER_ADDRESS_MAX", "2")]);
    let (first, _) = Raw::open(&daemon.address, 0);
    let (mut second, _) = Raw::open(&daemon.address, NO_SHARD.0);
    let (mut third, answer) = Raw::greet(&daemon.address, &hello(0));
    let (code, text) = refusal(answer);
    assert_eq!(code, ErrorCode::TooManyConnections);
    assert!(text.contains("connections_per_address_max"), "{text}");
    third.expect_closed();
    drop(first);
    // Its end is seen by the shard's thread before or after the next greeting is judged.
    let again = (0..1000).any(|_| {
        let (_raw, answer) = Raw::greet(&daemon.address, &hello(0));
        matches!(answer, HelloAnswer::Welcome(..))
    });
    assert!(again, "no room was made");
    assert_eq!(second.ask(2, &Request::Ping), Reply::Pong);
}
