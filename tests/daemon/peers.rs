//! What comes to the peers' port: peers that may come in, and those that may not.

use crate::host::{Host, greeting};
use crate::rig::{Raw, hello};
use paxosd::api::Reply;
use paxosd::api::error::ErrorCode;
use paxosd::types::{ClusterId, Incarnation, NodeId, ShardId};
use paxosd::wire::client::hello::write_hello;
use paxosd::wire::client::read_reply;
use paxosd::wire::peer::Message;
use paxosd::wire::peer::hello::{PeerHello, PeerHelloReply, PeerRefusalCode, write_peer_hello};
use paxosd::wire::peer::read_message;

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
    assert!(matches!(message, Message::Announce(_)), "incarnations come first: {message:?}");
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
    limits.shared.configuration.accept_quorum = 3;
    let holds = ["entry_bytes_max is 999", "1048576", "quorum_accept is 3", "correct paxosd.toml"];
    host.refused(&limits, PeerRefusalCode::Limits, &holds);
    let stranger = PeerHello { node: NodeId(9), ..greeting() };
    host.refused(&stranger, PeerRefusalCode::NotAMember, &["node 9"]);
    let lost = PeerHello { target: NodeId(3), ..greeting() };
    host.refused(&lost, PeerRefusalCode::WrongTarget, &["node 3", "node 1"]);
    let shard = PeerHello { shard: ShardId(1), ..greeting() };
    host.refused(&shard, PeerRefusalCode::Shard, &["shard 1"]);
}

/// R27, C13: a node that comes back under another incarnation was wiped: it is refused, and learns
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

/// Two nodes that were given one id are said to be two, with both addresses: nothing was wiped.
#[test]
fn a_node_id_that_two_nodes_have_is_named() {
    let host = Host::start();
    let (_raw, reply) = host.call(&greeting());
    assert!(matches!(reply, PeerHelloReply::Accepted(_)), "{reply:?}");
    let second = PeerHello { incarnation: Incarnation(23), ..greeting() };
    let holds = ["two nodes call themselves node 2", "node_id", "linked from 127.", "is at 127."];
    host.refused(&second, PeerRefusalCode::Incarnation, &holds);
}

/// R40: a client on the peers' port learns that it is the wrong one, and a peer on the
/// clients'.
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
