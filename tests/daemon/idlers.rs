//! Crowds that say nothing, or half of something, at every port, and clients that were greeted and
//! then idle.

use crate::host::{Host, greeting};
use crate::poll;
use crate::raw_callers::connect;
use crate::rig::{PATIENCE, Raw, append, hello, read};
use crate::watched::{Refusals, Watched};
use crate::web::Web;
use crate::well_behaved::WellBehaved;
use paxosd::api::{NO_SHARD, Reply, Request};
use paxosd::limits::{ADMIN_CONNECTIONS_MAX, CONN_REQUESTS_MAX, FRAME_MS, GREETINGS_MAX};
use paxosd::wire::client::hello::{HelloAnswer, read_hello_answer, write_hello};
use paxosd::wire::client::write_request;
use paxosd::wire::peer::hello::{PeerHelloReply, read_peer_hello_reply, write_peer_hello};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Connections of a crowd.
const CROWD: usize = 2000;
/// Most memory for those of a crowd that a port holds on to: a page and a little for each.
const CROWD_BYTES_MAX: usize = 2 * GREETINGS_MAX * 4096;
/// Most memory of an idle client: its entry in the table, its share of the room that tables grow by,
/// and what an allocator adds. The first buffer for a frame alone would be more.
const IDLE_BYTES_MAX: usize = 3072;
/// Visitors come in the midst of it, more than any port holds on to behind each.
const VISIT_EVERY: usize = 2 * GREETINGS_MAX;
/// Descriptors of visitors that come and go meanwhile.
const VISITORS: usize = 8;

/// A port of a node, what it is called in its metrics, and how many strangers it holds on to.
struct Gate {
    name: &'static str,
    address: String,
    holds: usize,
    /// What a caller of this port sends first.
    greeting: Vec<u8>,
}

fn gates(host: &Host) -> [Gate; 3] {
    let (mut client, mut peer) = (Vec::new(), Vec::new());
    write_hello(&mut client, 1, &hello(0));
    write_peer_hello(&mut peer, &greeting());
    let head = b"GET /metrics HTTP/1.1\r\nHost: node\r\n\r\n".to_vec();
    let gate = |name, address: &str, holds, greeting| {
        let address = address.to_string();
        Gate { name, address, holds, greeting }
    };
    [
        gate("client", &host.site.client, GREETINGS_MAX, client),
        gate("peer", &host.site.peer, GREETINGS_MAX, peer),
        gate("admin", &host.admin, ADMIN_CONNECTIONS_MAX, head),
    ]
}

/// A client, a peer and a probe that have said what they want.
struct Visitors {
    client: Raw,
    peer: Raw,
    probe: Web,
}

impl Visitors {
    #[track_caller]
    fn begin(host: &Host, gates: &[Gate; 3]) -> Visitors {
        let (mut client, mut peer) =
            (Raw::connect(&host.site.client), Raw::connect(&host.site.peer));
        client.send(&gates[0].greeting);
        peer.send(&gates[1].greeting);
        let mut probe = Web::connect(&host.admin);
        probe.send(&gates[2].greeting);
        Visitors { client, peer, probe }
    }

    /// They get it, whoever came after them.
    #[track_caller]
    fn end(mut self) {
        let welcome = self.client.next(|frame| read_hello_answer(frame).unwrap());
        assert!(matches!(welcome, Some(HelloAnswer::Welcome(..))), "a client, {welcome:?}");
        assert_eq!(self.client.ask(2, &Request::Ping), Reply::Pong);
        let welcome = self.peer.next(|frame| read_peer_hello_reply(frame).unwrap());
        assert!(matches!(welcome, Some(PeerHelloReply::Accepted(_))), "a peer, {welcome:?}");
        assert_eq!(self.probe.answer(true).code, 200);
    }
}

/// A crowd comes to a port, each with so much of a greeting, and visitors in the midst of it.
fn come(host: &Host, gates: &[Gate; 3], gate: &Gate, sent: usize) -> Vec<TcpStream> {
    let (address, mut crowd) = (gate.address.parse().unwrap(), Vec::new());
    let mut visitors = Visitors::begin(host, gates);
    for number in 0..CROWD {
        if number % VISIT_EVERY == VISIT_EVERY - 1 {
            visitors.end();
            visitors = Visitors::begin(host, gates);
        }
        let mut stream = connect(address, number as u64);
        // One that was turned away already takes nothing.
        let _ = stream.write_all(&gate.greeting[..sent]);
        crowd.push(stream);
    }
    visitors.end();
    crowd
}

/// A crowd comes to each port in turn: the port holds on to few of it and counts the others, and
/// everybody else is served while it comes and while it is there.
fn crowd_at_every_port(share: impl Fn(&[u8]) -> usize) {
    let host = Host::start();
    let gates = gates(&host);
    let (mut before_all, _) = Raw::open(&host.site.client, NO_SHARD.0);
    Visitors::begin(&host, &gates).end();
    for gate in &gates {
        let before = host.refusals(gate.name);
        let (memory, sockets) = (host.daemon.memory(), host.daemon.sockets());
        let mut crowd = come(&host, &gates, gate, share(&gate.greeting));
        Visitors::begin(&host, &gates).end();
        assert_eq!(before_all.ask(2, &Request::Ping), Reply::Pong);
        let grown = host.daemon.memory().saturating_sub(memory);
        let open = host.daemon.sockets().saturating_sub(sockets);
        let Gate { name, holds, .. } = gate;
        assert!(grown < CROWD_BYTES_MAX, "{grown} bytes for a crowd at the {name} port");
        assert!(open <= holds + VISITORS, "{open} sockets for a crowd at the {name} port");
        let first = crowd[0].read(&mut [0; 1]).map_err(|error| error.kind());
        assert!(matches!(first, Ok(0) | Err(ErrorKind::ConnectionReset)), "{name}: {first:?}");
        let counted = host.refusals(name);
        let away = counted.turned_away - before.turned_away;
        // Every visitor who comes while the port is full takes the place of one of the crowd.
        let (least, most) =
            ((CROWD - holds) as u64, (CROWD + CROWD / VISIT_EVERY + VISITORS) as u64);
        assert!(least <= away + counted.slow && away <= most, "{name}: {away} of {CROWD}");
        let others = counted.garbage + counted.refused + counted.overflowed;
        assert_eq!(others, 0, "a crowd that is merely there: {counted:?}");
        drop(crowd);
        poll::until("sockets are back", || {
            (host.daemon.sockets() <= sockets + VISITORS).then_some(())
        });
        eprintln!("{name} port: {grown} bytes, {open} descriptors, {away} turned away");
    }
    let (exit, log) = host.daemon.stop();
    assert_eq!(exit, Some(0), "{log}");
}

/// R39: 2,000 connections that never greet, at each port.
#[test]
fn r39_silent_crowds_keep_nobody_out() {
    crowd_at_every_port(|_| 0);
}

/// R39: 2,000 connections that send half a greeting, at each port.
#[test]
fn r39_half_greetings_keep_nobody_out() {
    crowd_at_every_port(|greeting| greeting.len() / 2);
}

/// R39: 2,000 clients that were served and then idle hold no buffers: neither what they sent, nor
/// what they were sent, nor a place for each request that they had under way. Others are served,
/// and once they leave, everything of theirs is gone.
#[test]
fn r39_idle_clients_hold_no_buffers() {
    let mut node = Watched::start();
    node.daemon.read_log();
    let good = WellBehaved::start(&[node.daemon.address.clone()]);
    let (mut writer, _) = Raw::open(&node.daemon.address, 0);
    let reply = writer.ask_leader(&append("log", &[7; 16 << 10]));
    assert!(matches!(reply, Reply::Appended(_)), "{reply:?}");
    let _stays = idle(&node, 0, 1);
    let (memory, sockets) = (node.daemon.memory(), node.daemon.sockets());
    let clients = idle(&node, 1, CROWD);
    let grown = node.daemon.memory().saturating_sub(memory);
    eprintln!("{} bytes for each of {CROWD} idle clients", grown / CROWD);
    assert!(grown < CROWD * IDLE_BYTES_MAX, "{} bytes for each idle client", grown / CROWD);
    assert!(node.daemon.sockets() >= sockets + CROWD);
    node.assert_well();
    drop(clients);
    poll::until("sockets are back", || (node.daemon.sockets() <= sockets + VISITORS).then_some(()));
    assert!(good.finish() > 0);
    assert_eq!(node.refusals("client"), Refusals::default());
    let (exit, log) = node.daemon.stop();
    assert_eq!(exit, Some(0), "{log}");
}

/// Clients that ask for a lot at once, and for nothing more once it was answered.
fn idle(node: &Watched, first: usize, count: usize) -> Vec<TcpStream> {
    let mut bytes = Vec::new();
    write_hello(&mut bytes, 1, &hello(0));
    write_request(&mut bytes, 2, &read("log"));
    let last = CONN_REQUESTS_MAX as u64;
    (3..=last).for_each(|correlation| write_request(&mut bytes, correlation, &Request::Ping));
    let clients = (first..first + count).map(|number| {
        let mut client = Raw::over(connect(node.daemon.address.parse().unwrap(), number as u64));
        client.send(&bytes);
        while client.next(|frame| frame.correlation).expect("an answer") != last {}
        client.stream
    });
    clients.collect()
}

/// R39: a frame that does not arrive in time closes the connection of a client as of a peer, though
/// a byte comes now and then; a connection without a frame under way stays.
#[test]
fn r39_slow_frames_are_closed() {
    let host = Host::start();
    let (mut idler, _) = Raw::open(&host.site.client, NO_SHARD.0);
    let (client, _) = Raw::open(&host.site.client, 0);
    let (peer, reply) = host.call(&greeting());
    assert!(matches!(reply, PeerHelloReply::Accepted(_)), "{reply:?}");
    let mut frame = Vec::new();
    write_request(&mut frame, 2, &append("log", &[7; 1000]));
    let began = Instant::now();
    let mut slow = [client.stream, peer.stream];
    slow.iter_mut().for_each(|stream| stream.write_all(&frame[..100]).unwrap());
    let mut bytes = frame[100..].iter();
    let mut open = vec![true; 2];
    while open.contains(&true) {
        assert!(
            began.elapsed() < Duration::from_millis(FRAME_MS) + PATIENCE,
            "still open: {open:?}"
        );
        for (stream, open) in slow.iter_mut().zip(&mut open).filter(|(_, open)| **open) {
            *open = is_open(stream, *bytes.next().unwrap());
        }
    }
    assert!(began.elapsed() >= Duration::from_millis(FRAME_MS), "{:?}", began.elapsed());
    assert_eq!(idler.ask(2, &Request::Ping), Reply::Pong);
    let one = Refusals { slow: 1, ..Refusals::default() };
    assert_eq!((host.refusals("client"), host.refusals("peer")), (one, one));
}

/// Sends one more byte, and listens for a second whether the node closes the connection.
fn is_open(stream: &mut TcpStream, byte: u8) -> bool {
    // The node may close it right now.
    let _ = stream.write_all(&[byte]);
    let (began, second) = (Instant::now(), Duration::from_secs(1));
    stream.set_read_timeout(Some(second)).unwrap();
    // A node that is not formed says so to its peers again and again.
    while began.elapsed() < second {
        match stream.read(&mut [0; 4096]) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return false,
            Err(error) => panic!("{error}"),
        }
    }
    true
}
