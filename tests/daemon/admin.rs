//! What comes to the admin port: probes, scrapers, and those who are neither.

use crate::place::Place;
use crate::rig::{Daemon, Raw};
use crate::watched::Watched;
use crate::web::{Web, sample};
use paxosd::api::{Reply, Request};
use paxosd::limits::{ADMIN_CONNECTIONS_MAX, ADMIN_HEAD_BYTES_MAX, HANDSHAKE_MS};
use std::net::TcpListener;
use std::time::{Duration, Instant};

/// Every page answers; a connection serves many requests, pipelined ones too, and HEAD says what
/// GET would without its body.
#[test]
fn pages_answer() {
    let node = Watched::start();
    node.assert_well();
    let mut web = Web::connect(&node.admin);
    assert_eq!(web.get("/livez?verbose=1").body, "live\n");
    let status = web.get("/status");
    assert_eq!(status.header("Content-Type"), "application/json");
    let status: serde_json::Value = serde_json::from_str(&status.body).unwrap();
    assert_eq!((&status["ready"], &status["shards"][0]["role"]), (&true.into(), &"leader".into()));
    let metrics = web.get("/metrics");
    assert!(metrics.header("Content-Type").starts_with("text/plain; version=0.0.4"));
    assert_eq!(sample(&metrics.body, "paxosd_ready"), 1.0);
    let missing = web.get("/metric");
    assert_eq!(missing.code, 404);
    assert!(missing.body.contains("/metrics"), "{missing:?}");
    web.send(b"HEAD /livez HTTP/1.1\r\nHost: a\r\n\r\nGET /readyz HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = web.answer(false);
    assert_eq!((head.code, head.header("Content-Length")), (200, "5"));
    assert_eq!(head.header("Connection"), "keep-alive");
    assert_eq!(web.answer(true).body, "ready\n");
    web.send(b"GET /livez HTTP/1.0\r\n\r\n");
    assert_eq!(web.answer(true).header("Connection"), "close");
    assert_eq!(web.rest(), 0);
}

/// R37: what is no request for a page is refused with a number and a reason, counted, and closed;
/// the node goes on.
#[test]
fn r37_strangers_are_refused() {
    let node = Watched::start();
    let post = b"POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    assert_eq!(node.expect(post, 405).header("Allow"), "GET, HEAD");
    node.expect(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", 413);
    assert_eq!(node.refusals("admin").refused, 2);
    node.expect(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505);
    node.expect(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400);
    node.expect(&[0; 64], 400);
    let mut hello = Vec::new();
    paxosd::wire::client::hello::write_hello(&mut hello, 1, &crate::rig::hello(0));
    node.expect(&hello, 400);
    let long = "a".repeat(2 * ADMIN_HEAD_BYTES_MAX);
    node.expect(format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes(), 431);
    node.expect(format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}").as_bytes(), 431);
    assert_eq!(node.refusals("admin").garbage, 6);
    node.assert_well();
}

/// R39: a head that does not arrive in time is refused, and so is a connection that says nothing;
/// neither keeps anybody waiting.
#[test]
fn r39_slow_heads_are_refused() {
    let node = Watched::start();
    let began = Instant::now();
    let (mut half, mut silent) = (Web::connect(&node.admin), Web::connect(&node.admin));
    half.send(b"GET /metrics HTTP/1.1\r\nHost: a\r\n");
    node.assert_well();
    let answer = half.answer(true);
    assert_eq!(answer.code, 408, "{answer:?}");
    assert_eq!(half.rest(), 0);
    assert_eq!(silent.rest(), 0, "a silent connection is closed without a word");
    assert!(began.elapsed() >= Duration::from_millis(HANDSHAKE_MS), "{:?}", began.elapsed());
    assert_eq!(node.refusals("admin").slow, 2);
    node.assert_well();
}

/// R39: 200 connections that idle, before their first request and after it, keep neither clients
/// nor probes out, and the node holds no more of them than its cap.
#[test]
fn r39_idlers_keep_nobody_out() {
    let node = Watched::start();
    let (mut client, _) = Raw::open(&node.daemon.address, 0);
    let sockets = node.daemon.sockets();
    let mut idlers = Vec::new();
    for at in 0..200 {
        let mut web = Web::connect(&node.admin);
        if at % 2 == 0 {
            assert_eq!(web.get("/livez").code, 200);
        }
        idlers.push(web);
    }
    node.assert_well();
    assert_eq!(client.ask(2, &Request::Ping), Reply::Pong);
    let held = node.daemon.sockets().saturating_sub(sockets);
    assert!(held <= ADMIN_CONNECTIONS_MAX + 2, "{held} descriptors for idlers");
    assert!(node.refusals("admin").turned_away >= 200 - ADMIN_CONNECTIONS_MAX as u64);
    drop(idlers);
    node.assert_well();
}

/// R39: a visitor that asks for more pages than it reads is not read from, and costs no memory.
#[test]
fn r39_unread_pages_are_bounded() {
    let node = Watched::start();
    let memory = node.daemon.memory();
    let page = b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n".repeat(200);
    let mut visitors: Vec<Web> = (0..20).map(|_| Web::connect(&node.admin)).collect();
    visitors.iter_mut().for_each(|web| web.send(&page));
    node.assert_well();
    let grown = node.daemon.memory().saturating_sub(memory);
    assert!(grown < 32 << 20, "{grown} bytes for pages that nobody reads");
    for web in &mut visitors {
        (0..200).for_each(|_| assert_eq!(web.answer(true).code, 200));
    }
}

/// `paxosd dev` finds a port for its admin pages where the usual one is taken, and serves without
/// them where they are turned off.
#[test]
fn dev_is_in_nobodys_way() {
    let (place, dir) = (Place::claim(), tempfile::tempdir().unwrap());
    let _taken = TcpListener::bind((place.address(1), 7422)).unwrap();
    let listen = place.endpoint(1);
    for (name, arguments) in [("a", &["--listen", &listen][..]), ("b", &["--admin", "off"])] {
        let free = ["--listen", "127.0.0.1:0"];
        let arguments = match name {
            "a" => arguments.to_vec(),
            _ => [&free, arguments].concat(),
        };
        let daemon = Daemon::start_at(&dir.path().join(name), &arguments, &[]);
        let (mut client, _) = Raw::open(&daemon.address, 0);
        assert_eq!(client.ask(2, &Request::Ping), Reply::Pong);
        let (exit, log) = daemon.stop();
        assert_eq!(exit, Some(0), "{log}");
        assert_eq!(log.contains("admin pages at http://"), name == "a", "{log}");
        assert!(!log.contains(":7422/"), "{log}");
    }
}
