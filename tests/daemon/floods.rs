//! Floods: bytes of strangers, answers that nobody reads, requests without end.

use crate::poll;
use crate::rig::{Daemon, Raw, append, read};
use paxosd::api::{Reply, Request};
use paxosd::limits::{
    CONN_OUTPUT_BYTES_CEILING, CONN_OUTPUT_BYTES_MAX, GREETINGS_MAX, LINGER_MS, READ_BYTES_MAX,
};
use paxosd::wire::client::write_request;
use std::io::Write;
use std::time::Duration;

/// Strangers at a time: as many as a port holds on to.
const STRANGERS: usize = GREETINGS_MAX;

/// R37: what a stranger sends behind garbage is thrown away, and not kept until it is gone.
#[test]
fn r37_what_strangers_send_is_not_kept() {
    let daemon = Daemon::start(&[]);
    let (mut good, _) = Raw::open(&daemon.address, 0);
    // The segments that a start prepares take memory for a while.
    let memory = poll::until("the start is over", || {
        let before = daemon.memory();
        // Sleeps because only time shows that memory has stopped growing.
        std::thread::sleep(Duration::from_millis(300));
        (daemon.memory() == before).then_some(before)
    });
    let much = vec![0xFF; 120 << 10];
    let mut strangers: Vec<Raw> = (0..STRANGERS).map(|_| Raw::connect(&daemon.address)).collect();
    for stranger in &mut strangers {
        // One whose time to read why is over takes no more.
        let _ = stranger.stream.write_all(&much);
    }
    strangers.iter_mut().for_each(|stranger| stranger.expect_closed());
    assert_eq!(good.ask(2, &Request::Ping), Reply::Pong);
    let grown = daemon.memory().saturating_sub(memory);
    assert!(grown < STRANGERS * (16 << 10), "{grown} bytes for {STRANGERS} strangers");
}

/// R39: strangers that were refused, before their greeting or behind it, and stay to the end of their
/// time keep no thread busy with it.
#[test]
fn r39_refused_strangers_cost_no_time() {
    let daemon = Daemon::start(&[]);
    let (mut good, _) = Raw::open(&daemon.address, 0);
    let (before, sockets) = (daemon.processor_time(), daemon.sockets());
    let mut strangers: Vec<Raw> = (0..10).map(|_| Raw::connect(&daemon.address)).collect();
    strangers.extend((0..10).map(|_| Raw::open(&daemon.address, 0).0));
    strangers.iter_mut().for_each(|stranger| stranger.send(&[0xFF; 100]));
    strangers.iter_mut().for_each(|stranger| stranger.expect_closed());
    poll::until("the strangers are gone", || (daemon.sockets() <= sockets).then_some(()));
    assert_eq!(good.ask(2, &Request::Ping), Reply::Pong);
    let spent = daemon.processor_time() - before;
    assert!(spent < Duration::from_millis(LINGER_MS / 4), "{spent:?} for strangers that linger");
}

/// R39: a client that asks for more than it reads is paused: its answers are bounded, other
/// clients are served, and once it reads, every answer comes.
#[test]
fn r39_unread_answers_are_bounded() {
    let daemon = Daemon::start(&[]);
    let (mut client, _) = Raw::open(&daemon.address, 0);
    let entry = vec![7; 1 << 20];
    for _ in 0..5 {
        assert!(matches!(client.ask_leader(&append("log", &entry)), Reply::Appended(_)));
    }
    let memory = daemon.memory();
    let count = 100;
    let mut bytes = Vec::new();
    for correlation in 2..2 + count {
        write_request(&mut bytes, correlation, &read("log"));
    }
    client.send(&bytes);
    let (mut other, _) = Raw::open(&daemon.address, 0);
    let mut peak = 0;
    for correlation in 2..200 {
        assert_eq!(other.ask(correlation, &Request::Ping), Reply::Pong);
        peak = peak.max(daemon.memory());
    }
    let bound = 2 * (CONN_OUTPUT_BYTES_MAX + READ_BYTES_MAX) + (16 << 20);
    assert!(peak - memory.min(peak) < bound, "grew from {memory} to {peak}");
    for _ in 0..count {
        match client.reply() {
            Some((_, Reply::ReadDone(done))) => assert!(!done.entries.is_empty()),
            other => panic!("{other:?}"),
        }
    }
}

/// R39: a client that pipelines far more appends than are taken at once is paused, not dropped:
/// all are answered, in order, and memory stays within the bounds of the queue.
#[test]
fn r39_pipelined_appends_are_paused_not_dropped() {
    let daemon = Daemon::start(&[]);
    let (mut client, _) = Raw::open(&daemon.address, 0);
    assert!(matches!(client.ask_leader(&append("log", b"first")), Reply::Appended(_)));
    let mut writer = client.stream.try_clone().unwrap();
    let count = 20_000;
    let sender = std::thread::spawn(move || {
        let entry = vec![3; 2048];
        for correlation in 2..2 + count {
            let mut bytes = Vec::new();
            write_request(&mut bytes, correlation, &append("log", &entry));
            writer.write_all(&bytes).unwrap();
        }
    });
    for wanted in 2..2 + count {
        match client.reply() {
            Some((correlation, Reply::Appended(appended))) => {
                assert_eq!(correlation, wanted);
                assert_eq!(appended.first.0, wanted - 1);
            }
            other => panic!("append {wanted}: {other:?}"),
        }
    }
    sender.join().unwrap();
    assert!(daemon.memory() < CONN_OUTPUT_BYTES_CEILING + (128 << 20), "{}", daemon.memory());
}
