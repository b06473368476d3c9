//! Clients that do not read their answers (R39): they lose their connections, the others are served.

use crate::place::Place;
use crate::poll;
use crate::rig::{Daemon, PATIENCE, Raw, append, read};
use crate::web::{get, sample};
use paxosd::limits::{SHARD_OUTPUT_BYTES_MAX, UNREAD_MS};
use paxosd::wire::client::Reply;
use paxosd::wire::write_request;
use std::time::{Duration, Instant};

/// Connections that ask for more than a shard may owe in all: each may owe 16 MiB.
const GREEDY: usize = 40;

/// A node with admin pages, and a log with an entry of 1 MiB in it.
fn node() -> (Daemon, String, Place, tempfile::TempDir) {
    let (place, dir) = (Place::claim(), tempfile::tempdir().unwrap());
    let admin = format!("{}:7422", place.address(1));
    let arguments = ["--listen", &place.endpoint(1), "--admin", &admin];
    let daemon = Daemon::start_at(&dir.path().join("data"), &arguments, &[]);
    let (mut client, _) = Raw::open(&daemon.address, 0);
    assert!(matches!(client.ask_leader(&append("log", &[7; 1 << 20])), Reply::Appended(_)));
    (daemon, admin, place, dir)
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

fn refused(admin: &str, reason: &str) -> f64 {
    let name = format!("paxosd_connections_refused_total{{port=\"client\",reason=\"{reason}\"}}");
    sample(&get(admin, "/metrics").body, &name)
}

/// R39: clients that together leave more unread than a shard may owe do not keep it from the others:
/// each append is answered in time, those who owe most are closed, and it is counted and logged.
#[test]
fn r39_clients_that_read_nothing_stop_nobody() {
    let (daemon, admin, _place, _dir) = node();
    let (mut good, _) = Raw::open(&daemon.address, 0);
    let before = daemon.memory();
    let greedy: Vec<Raw> = (0..GREEDY).map(|_| greedy(&daemon, 500)).collect();
    let started = Instant::now();
    let (mut slowest, mut peak, mut asked) = (Duration::ZERO, 0, 0);
    while refused(&admin, "overflowed") == 0.0 || asked < 200 {
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
    let (code, log) = daemon.stop();
    assert_eq!(code, Some(0));
    assert!(log.contains("has no more room for answers"), "{log}");
}

/// R39: a client that takes nothing of its answers is closed in time, though nobody needs the room.
#[test]
fn r39_unread_answers_have_a_deadline() {
    let (daemon, admin, _place, _dir) = node();
    let started = Instant::now();
    let mut greedy = greedy(&daemon, 20);
    let slow = refused(&admin, "slow");
    let closed = || (refused(&admin, "slow") > slow).then_some(());
    poll::within(3 * Duration::from_millis(UNREAD_MS), closed).expect("it is never closed");
    assert!(started.elapsed() >= Duration::from_millis(UNREAD_MS), "{:?}", started.elapsed());
    greedy.expect_closed();
    let (mut good, _) = Raw::open(&daemon.address, 0);
    assert!(matches!(good.ask(2, &append("log", b"good")), Reply::Appended(_)));
}
