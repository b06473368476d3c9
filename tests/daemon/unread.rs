//! Clients that do not read their answers (R39): they lose their connections, the others are served.

use crate::poll;
use crate::rig::{Daemon, PATIENCE, Raw, append, hello, read};
use crate::watched::Watched;
use crate::web::Web;
use paxosd::api::Reply;
use paxosd::limits::{SHARD_OUTPUT_BYTES_MAX, UNREAD_MS};
use paxosd::wire::client::hello::write_hello;
use paxosd::wire::client::write_request;
use std::net::Shutdown;
use std::time::{Duration, Instant};

/// Connections that ask for more than a shard may owe in all: each may owe 16 MiB.
const GREEDY: usize = 40;

/// A node with a log that has an entry of 1 MiB in it.
fn node() -> Watched {
    let node = Watched::start();
    let (mut client, _) = Raw::open(&node.daemon.address, 0);
    assert!(matches!(client.ask_leader(&append("log", &[7; 1 << 20])), Reply::Appended(_)));
    node
}

/// A connection that asks for the log again and again, and reads nothing.
#[track_caller]
fn greedy(daemon: &Daemon, reads: u64) -> Raw {
    let (mut raw, _) = Raw::open(&daemon.address, 0);
    let mut bytes = Vec::new();
    for correlation in 2..2 + reads {
        write_request(&mut bytes, correlation, &read("log"));
    }
    raw.send(&bytes);
    raw
}

/// R39: clients that together leave more unread than a shard may owe do not keep it from the others:
/// each append is answered in time, those who owe most are closed, and it is counted and logged.
#[test]
fn r39_clients_that_read_nothing_stop_nobody() {
    let node = node();
    let daemon = &node.daemon;
    let (mut good, _) = Raw::open(&daemon.address, 0);
    let before = daemon.memory();
    let greedy: Vec<Raw> = (0..GREEDY).map(|_| greedy(daemon, 500)).collect();
    let started = Instant::now();
    let (mut slowest, mut peak, mut asked) = (Duration::ZERO, 0, 0);
    while node.refusals("client").overflowed == 0 || asked < 200 {
        let at = Instant::now();
        asked += 1;
        assert!(matches!(good.ask(asked, &append("log", b"good")), Reply::Appended(_)));
        slowest = slowest.max(at.elapsed());
        peak = peak.max(daemon.memory().saturating_sub(before));
        assert!(started.elapsed() < PATIENCE, "nobody is closed for what is owed to it");
    }
    assert!(slowest < Duration::from_secs(5), "an append took {slowest:?}");
    assert!(peak < 2 * SHARD_OUTPUT_BYTES_MAX, "{peak} bytes for answers that nobody reads");
    drop(greedy);
    let (code, log) = node.daemon.stop();
    assert_eq!(code, Some(0));
    assert!(log.contains("has no more room for answers"), "{log}");
}

/// R39: a client that takes nothing of its answers is closed in time, though nobody needs the room.
#[test]
fn r39_unread_answers_have_a_deadline() {
    let node = node();
    let daemon = &node.daemon;
    let started = Instant::now();
    let mut greedy = greedy(daemon, 20);
    let slow = node.refusals("client").slow;
    let closed = || (node.refusals("client").slow > slow).then_some(());
    poll::within(3 * Duration::from_millis(UNREAD_MS), closed).expect("it is never closed");
    assert!(started.elapsed() >= Duration::from_millis(UNREAD_MS), "{:?}", started.elapsed());
    greedy.expect_closed();
    let (mut good, _) = Raw::open(&daemon.address, 0);
    assert!(matches!(good.ask(2, &append("log", b"good")), Reply::Appended(_)));
}

/// R37: a connection that ends in the middle of a greeting, a frame or a head is counted at its port;
/// so is a request that makes no sense, by the name of its error.
#[test]
fn r37_what_is_cut_short_or_makes_no_sense_is_counted() {
    let node = node();
    let mut hello_bytes = Vec::new();
    write_hello(&mut hello_bytes, 1, &hello(0));
    let mut frame = Vec::new();
    write_request(&mut frame, 2, &append("log", b"cut short"));
    for (sent, greeted) in [(&hello_bytes[..30], false), (&frame[..frame.len() - 3], true)] {
        let before = node.refusals("client").cut_short;
        let mut raw = match greeted {
            true => Raw::open(&node.daemon.address, 0).0,
            false => Raw::connect(&node.daemon.address),
        };
        raw.send(sent);
        raw.stream.shutdown(Shutdown::Write).unwrap();
        raw.expect_closed();
        assert_eq!(node.refusals("client").cut_short, before + 1, "greeted: {greeted}");
    }
    let mut web = Web::connect(&node.admin);
    web.send(b"GET /livez HTTP/1.1\r\nHo");
    drop(web);
    poll::until("the head is counted", || (node.refusals("admin").cut_short == 1).then_some(()));
    let (mut client, _) = Raw::open(&node.daemon.address, 0);
    let last = frame.len() - 1;
    frame[last] ^= 1;
    client.send(&frame);
    let Some((_, Reply::Error(error))) = client.reply() else { panic!("no error came") };
    poll::until("it is counted by its code", || {
        let labels = format!("{{shard=\"0\",code=\"{}\"}}", error.code.name());
        let name = format!("paxosd_request_errors_total{labels} 1");
        node.get("/metrics").body.lines().any(|line| line == name).then_some(())
    });
}
