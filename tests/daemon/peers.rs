//! What comes to the peers' port: peers that may come in, and those that may not.

use crate::config::Site;
use crate::rig::{PATIENCE, Raw, hello, paxosd, run};
use paxosd::types::{ClusterId, Incarnation, NodeId, ShardId};
use paxosd::wire::client::Reply;
use paxosd::wire::error::ErrorCode;
use paxosd::wire::hello::write_hello;
use paxosd::wire::peer::Message;
use paxosd::wire::peer_hello::{
    PEER_VERSION_MAX, PEER_VERSION_MIN, PeerHello, PeerHelloReply, PeerRefusalCode, SharedLimits,
    members_digest, read_peer_hello_reply, write_peer_hello,
};
use paxosd::wire::{read_message, read_reply};
use std::process::{Child, Stdio};
use std::time::Instant;

/// Node 1 of three, alone: nodes 2 and 3 dial it, and here the tests do.
struct Host {
    site: Site,
    child: Child,
}

impl Host {
    fn start() -> Host {
        let site = Site::new(3);
        let prepared = run(&["init", "--config", site.file()], &[]);
        assert_eq!(prepared.status.code(), Some(0), "{prepared:?}");
        let child =
            paxosd().args(["run", "--config", site.file()]).stderr(Stdio::null()).spawn().unwrap();
        let started = Instant::now();
        while std::net::TcpStream::connect(&site.peer).is_err() {
            assert!(started.elapsed() < PATIENCE, "the node does not listen");
            std::thread::yield_now();
        }
        Host { site, child }
    }

    #[track_caller]
    fn call(&self, hello: &PeerHello) -> (Raw, PeerHelloReply) {
        let mut raw = Raw::connect(&self.site.peer);
        let mut bytes = Vec::new();
        write_peer_hello(&mut bytes, hello);
        raw.send(&bytes);
        let reply = raw.next(|frame| read_peer_hello_reply(frame).unwrap()).expect("an answer");
        (raw, reply)
    }

    #[track_caller]
    fn refused(&self, hello: &PeerHello, code: PeerRefusalCode, holds: &[&str]) {
        let (mut raw, reply) = self.call(hello);
        match reply {
            PeerHelloReply::Refused(refusal) => {
                assert_eq!(refusal.code, code, "{refusal}");
                for text in holds {
                    assert!(refusal.text.contains(text), "should say {text}: {refusal}");
                }
            }
            PeerHelloReply::Accepted(welcome) => panic!("welcome: {welcome:?}"),
        }
        raw.expect_closed();
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Node 2 as it should greet.
fn greeting() -> PeerHello {
    PeerHello {
        version_min: PEER_VERSION_MIN,
        version_max: PEER_VERSION_MAX,
        cluster: "5ca1ab1e0ddba115ea5eca5e0b5e55ed".parse().unwrap(),
        node: NodeId(2),
        target: NodeId(1),
        incarnation: Incarnation(22),
        shard: ShardId(0),
        features: 0,
        shared: SharedLimits {
            entry_bytes_max: 1 << 20,
            append_bytes_max: 4_325_376,
            value_bytes_max: 4_325_376 + 589_824,
            shards: 1,
            prepare_quorum: 2,
            accept_quorum: 2,
            members: members_digest([1, 2, 3].map(NodeId)),
        },
    }
}

/// A peer that greets as it should is welcome, and the replicas talk at once.
#[test]
fn a_peer_is_welcome() {
    let host = Host::start();
    let (mut raw, reply) = host.call(&greeting());
    match reply {
        PeerHelloReply::Accepted(welcome) => assert_eq!(welcome.node, NodeId(1)),
        PeerHelloReply::Refused(refusal) => panic!("refused: {refusal}"),
    }
    let message = raw.next(|frame| read_message(frame).unwrap()).expect("a message");
    assert!(matches!(message, Message::Meet(_)), "incarnations come first: {message:?}");
}

/// R29, R38, C13: a peer of another cluster, another membership or other limits is refused with
/// both sides' values; so is one that means another node, and one that is no member.
#[test]
fn r38_strangers_are_refused_with_both_values() {
    let host = Host::start();
    let other = PeerHello { cluster: ClusterId(5), ..greeting() };
    host.refused(&other, PeerRefusalCode::Cluster, &["5ca1ab1e0ddba115ea5eca5e0b5e55ed"]);
    let mut limits = greeting();
    limits.shared.entry_bytes_max = 999;
    limits.shared.accept_quorum = 3;
    let holds = ["entry_bytes_max is 999", "1048576", "quorum_accept is 3", "correct paxosd.toml"];
    host.refused(&limits, PeerRefusalCode::Limits, &holds);
    let stranger = PeerHello { node: NodeId(9), ..greeting() };
    host.refused(&stranger, PeerRefusalCode::NotAMember, &["node 9"]);
    let lost = PeerHello { target: NodeId(3), ..greeting() };
    host.refused(&lost, PeerRefusalCode::WrongTarget, &["node 3", "node 1"]);
    let shard = PeerHello { shard: ShardId(1), ..greeting() };
    host.refused(&shard, PeerRefusalCode::Shard, &["shard 1"]);
}

/// R27, C13: a node that comes back under another incarnation was wiped: it is refused, and told
/// why.
#[test]
fn r27_a_wiped_node_is_refused() {
    let host = Host::start();
    let (raw, reply) = host.call(&greeting());
    assert!(matches!(reply, PeerHelloReply::Accepted(_)), "{reply:?}");
    drop(raw);
    let wiped = PeerHello { incarnation: Incarnation(23), ..greeting() };
    let holds = ["0000000000000016", "0000000000000017", "wiped"];
    host.refused(&wiped, PeerRefusalCode::Incarnation, &holds);
    let (_raw, reply) = host.call(&greeting());
    assert!(matches!(reply, PeerHelloReply::Accepted(_)), "the known one may come: {reply:?}");
}

/// R40: a client on the peers' port is told that it is the wrong one, and a peer on the clients'.
#[test]
fn r40_ports_are_apart() {
    let host = Host::start();
    let mut bytes = Vec::new();
    write_hello(&mut bytes, 1, &hello(0));
    for (address, bytes) in [
        (&host.site.peer, bytes),
        (&host.site.client, {
            let mut bytes = Vec::new();
            write_peer_hello(&mut bytes, &greeting());
            bytes
        }),
    ] {
        let mut raw = Raw::connect(address);
        raw.send(&bytes);
        let reply = raw.next(|frame| read_reply(frame).unwrap().1).expect("an answer");
        match reply {
            Reply::Error(error) => assert_eq!(error.code, ErrorCode::WrongPort, "{error}"),
            other => panic!("{other:?}"),
        }
        raw.expect_closed();
    }
}

/// R37: garbage on the peers' port, before and after the greeting, closes the connection; the node
/// lives and takes peers in.
#[test]
fn r37_garbage_from_peers_closes_the_connection() {
    let host = Host::start();
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n...................."[..], &[0xFF; 100]] {
        let mut raw = Raw::connect(&host.site.peer);
        raw.send(bytes);
        raw.expect_closed();
    }
    let (mut raw, reply) = host.call(&greeting());
    assert!(matches!(reply, PeerHelloReply::Accepted(_)));
    raw.send(&[0x55; 100]);
    raw.expect_closed();
    let (_raw, reply) = host.call(&greeting());
    assert!(matches!(reply, PeerHelloReply::Accepted(_)));
}
