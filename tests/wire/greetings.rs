//! How two sides meet, when one of them is newer, older, foreign or at the wrong port.

use crate::roundtrip::frame;
use paxosd::api::error::{Detail, ErrorCode};
use paxosd::api::{NO_SHARD, ReplyHeader};
use paxosd::types::{ClusterId, ConfigurationNumber, Incarnation, NodeId, ShardId};
use paxosd::wire::client::hello::{
    Hello, HelloAnswer, HelloReply, Limits, VERSION_MAX, common_version, read_hello,
    read_hello_answer, write_hello, write_hello_reply,
};
use paxosd::wire::frame::{Frame, write_frame};
use paxosd::wire::peer::hello::{
    Host, PeerHello, PeerRefusalCode, SharedConfiguration, SharedLimits, members_digest,
    read_peer_hello, write_peer_hello,
};

const CLUSTER: ClusterId = ClusterId(77);

fn hello() -> Hello {
    Hello {
        version_min: 1,
        version_max: 1,
        cluster: CLUSTER,
        shard: ShardId(1),
        features: 0,
        credential_kind: 0,
        credential: Vec::new(),
        client: "test".to_string(),
    }
}

fn peer_hello() -> PeerHello {
    PeerHello {
        version_min: 1,
        version_max: 1,
        cluster: CLUSTER,
        node: NodeId(2),
        target: NodeId(1),
        incarnation: Incarnation(8),
        shard: ShardId(1),
        features: 0,
        shared: shared(),
    }
}

fn shared() -> SharedLimits {
    SharedLimits {
        entry_bytes_max: 1 << 20,
        append_bytes_max: 4 << 20,
        value_bytes_max: 5 << 20,
        shards: 2,
        window_slots: 256,
        configuration: configuration(),
    }
}

fn configuration() -> SharedConfiguration {
    SharedConfiguration {
        number: ConfigurationNumber::FORMATION,
        prepare_quorum: 2,
        accept_quorum: 2,
        members: members_digest([NodeId(1), NodeId(2), NodeId(3)]),
    }
}

/// The greeting of a node of this configuration.
fn of_configuration(configuration: SharedConfiguration) -> PeerHello {
    PeerHello { shared: SharedLimits { configuration, ..shared() }, ..peer_hello() }
}

fn host() -> Host {
    let members = vec![NodeId(1), NodeId(2), NodeId(3)];
    Host { cluster: CLUSTER, node: NodeId(1), members, shared: shared() }
}

// The highest version that both know is spoken; ranges that do not meet have none.
#[test]
fn the_highest_common_version_is_spoken() {
    assert_eq!(common_version((1, 1), (1, 1)), Some(1));
    assert_eq!(common_version((1, 3), (2, 9)), Some(3));
    assert_eq!(common_version((2, 9), (1, 3)), Some(3));
    assert_eq!(common_version((1, 1), (2, 3)), None);
    assert_eq!(common_version((2, 3), (1, 1)), None);
}

// A newer client that still speaks our version is welcome, and the fields it added are ignored;
// one that no longer does learns which versions we speak.
#[test]
fn a_newer_client_is_met_where_both_can() {
    let newer = Hello { version_max: 9, ..hello() };
    let mut bytes = Vec::new();
    write_hello(&mut bytes, 1, &newer);
    let mut body = bytes[24..].to_vec();
    body.extend_from_slice(b"fields of version 9");
    let read = read_hello(&Frame { body: &body, ..frame(&bytes) }).expect("readable");
    assert_eq!(read, newer);
    assert_eq!(read.check(CLUSTER, 2), Ok(VERSION_MAX));

    let error = Hello { version_min: 8, ..newer }.check(CLUSTER, 2).expect_err("no common version");
    assert_eq!(error.code, ErrorCode::VersionMismatch);
    assert_eq!(error.detail, Detail::Versions { min: 1, max: 1 });
    assert!(error.text.contains("8 to 9") && error.text.contains("1 to 1"), "{}", error.text);
}

// A newer node's welcome is read, and the fields it added are ignored.
#[test]
fn a_newer_node_is_understood() {
    let limits = Limits {
        frame_bytes_max: 1,
        entry_bytes_max: 2,
        append_bytes_max: 3,
        append_entries_max: 4,
        read_bytes_max: 5,
        read_entries_max: 6,
        requests_max: 7,
        read_wait_ms_max: 8,
    };
    let server = "paxosd 9".to_string();
    let node = NodeId(3);
    let reply =
        HelloReply { version: 1, cluster: CLUSTER, node, shards: 2, features: 0, limits, server };
    let mut bytes = Vec::new();
    write_hello_reply(&mut bytes, 1, &ReplyHeader::NOBODY, &reply);
    let mut body = bytes[24..].to_vec();
    body.extend_from_slice(b"fields of version 9");
    let read = read_hello_answer(&Frame { body: &body, ..frame(&bytes) });
    assert_eq!(read, Ok(HelloAnswer::Welcome(ReplyHeader::NOBODY, reply)));
}

// A client is refused by what it asks for, with both sides' values, and is welcome otherwise.
#[test]
fn a_client_is_refused_for_what_it_asks() {
    assert_eq!(hello().check(CLUSTER, 2), Ok(1));
    assert_eq!(Hello { cluster: ClusterId(0), ..hello() }.check(CLUSTER, 2), Ok(1));
    assert_eq!(Hello { shard: NO_SHARD, ..hello() }.check(CLUSTER, 2), Ok(1));
    let refused = |hello: Hello| hello.check(CLUSTER, 2).expect_err("refused").code;
    assert_eq!(refused(Hello { cluster: ClusterId(5), ..hello() }), ErrorCode::WrongCluster);
    assert_eq!(refused(Hello { shard: ShardId(2), ..hello() }), ErrorCode::WrongShard);
    assert_eq!(refused(Hello { credential_kind: 1, ..hello() }), ErrorCode::Unsupported);
}

// A range of versions that ends before it begins meets none, also where one of its ends is spoken.
#[test]
fn what_is_no_range_of_versions_meets_none() {
    for (version_min, version_max) in [(3, 1), (1, 0), (2, 3), (0, 0)] {
        let error = Hello { version_min, version_max, ..hello() }.check(CLUSTER, 2);
        let error = error.expect_err("refused");
        assert_eq!(error.code, ErrorCode::VersionMismatch, "{version_min} to {version_max}");
        let reported = error.text.contains("is above");
        assert_eq!(reported, version_min > version_max, "{error}");
    }
    let wide = Hello { version_min: 0, version_max: 9, ..hello() };
    assert_eq!(wide.check(CLUSTER, 2), Ok(1));
}

// R40: a peer's greeting fails at the clients' port and a client's at the peers'; anything else
// that comes first is refused, and the connection closed.
#[test]
fn r40_each_port_takes_its_own_greeting() {
    let mut bytes = Vec::new();
    write_peer_hello(&mut bytes, &peer_hello());
    let refusal = read_hello(&frame(&bytes)).expect_err("a peer at the clients' port");
    assert_eq!((refusal.error.code, refusal.close), (ErrorCode::WrongPort, true));

    bytes.clear();
    write_hello(&mut bytes, 1, &hello());
    assert!(read_peer_hello(&frame(&bytes)).is_err());
    let mut body = bytes[24..].to_vec();
    body[3] = b'P';
    let refusal = read_hello(&Frame { body: &body, ..frame(&bytes) }).expect_err("wrong magic");
    assert_eq!((refusal.error.code, refusal.close), (ErrorCode::BadRequest, true));

    bytes.clear();
    write_frame(&mut bytes, 2, 1, |_| {});
    let refusal = read_hello(&frame(&bytes)).expect_err("a Ping before Hello");
    assert_eq!((refusal.error.code, refusal.close), (ErrorCode::BadRequest, true));
}

// R29: a peer of another cluster is refused, R27: and one that is no member, not the one meant or
// too new; each text has both values.
#[test]
fn r27_r29_a_foreign_peer_is_refused() {
    assert_eq!(peer_hello().check(&host()), Ok(1));
    let cases = [
        (PeerHello { cluster: ClusterId(5), ..peer_hello() }, PeerRefusalCode::Cluster, "05"),
        (PeerHello { node: NodeId(9), ..peer_hello() }, PeerRefusalCode::NotAMember, "1, 2, 3"),
        (PeerHello { node: NodeId(1), ..peer_hello() }, PeerRefusalCode::NotAMember, "node 1"),
        (PeerHello { target: NodeId(3), ..peer_hello() }, PeerRefusalCode::WrongTarget, "node 3"),
        (PeerHello { shard: ShardId(2), ..peer_hello() }, PeerRefusalCode::Shard, "has 2"),
        (
            PeerHello { version_min: 4, version_max: 6, ..peer_hello() },
            PeerRefusalCode::Version,
            "4 to 6",
        ),
    ];
    for (hello, code, text) in cases {
        let refusal = hello.check(&host()).expect_err("refused");
        assert_eq!(refusal.code, code);
        assert!(refusal.text.contains(text), "{refusal}");
    }
}

// R38: every limit that differs is named, with both values.
#[test]
fn r38_differing_limits_are_refused_with_both_values() {
    let configuration = SharedConfiguration { accept_quorum: 3, ..configuration() };
    let limits = SharedLimits { entry_bytes_max: 4096, configuration, ..shared() };
    let refusal = PeerHello { shared: limits, ..peer_hello() }.check(&host()).expect_err("refused");
    assert_eq!(refusal.code, PeerRefusalCode::Limits);
    assert_eq!(
        refusal.text,
        "entry_bytes_max is 4096 on node 2 and 1048576 on node 1; \
         quorum_accept is 3 on node 2 and 2 on node 1; they must be the same on all nodes: correct \
         paxosd.toml and restart"
    );
    let every = [
        SharedLimits { append_bytes_max: 0, ..shared() },
        SharedLimits { value_bytes_max: 0, ..shared() },
        SharedLimits { shards: 0, ..shared() },
        SharedLimits { window_slots: 1, ..shared() },
    ];
    for limits in every {
        let refused = PeerHello { shared: limits, ..peer_hello() }.check(&host());
        assert_eq!(refused.expect_err("refused").code, PeerRefusalCode::Limits, "{limits:?}");
    }
}

// R26: what belongs to one configuration must be the same on its nodes, and is named with both values.
#[test]
fn r26_nodes_of_one_configuration_share_members_and_quorums() {
    let members = SharedConfiguration { members: 0, ..configuration() };
    let refusal = of_configuration(members).check(&host()).expect_err("refused");
    assert_eq!(refusal.code, PeerRefusalCode::Limits);
    let own = configuration().members;
    let text = format!(
        "a digest of the [[member]] ids is 0 on node 2 and {own} on node 1; it must be the same on \
         all nodes: correct paxosd.toml and restart"
    );
    assert_eq!(refusal.text, text);
    let quorum = SharedConfiguration { prepare_quorum: 0, ..configuration() };
    let refusal = of_configuration(quorum).check(&host()).expect_err("refused");
    assert!(refusal.text.contains("quorum_prepare is 0 on node 2 and 2 on node 1"), "{refusal}");
}

// R26: nodes of different configurations talk, whichever is the older one; sizes and the window are
// compared all the same, and what cannot be a configuration is refused.
#[test]
fn r26_another_configuration_is_no_difference() {
    let number = ConfigurationNumber(3);
    let other = SharedConfiguration { number, prepare_quorum: 3, accept_quorum: 3, members: 5 };
    assert_eq!(of_configuration(other).check(&host()), Ok(1));
    let ahead = Host { shared: SharedLimits { configuration: other, ..shared() }, ..host() };
    assert_eq!(peer_hello().check(&ahead), Ok(1));

    let mut hello = of_configuration(other);
    hello.shared.window_slots = 128;
    let refusal = hello.check(&host()).expect_err("refused");
    assert_eq!(
        refusal.text,
        "window_slots is 128 on node 2 and 256 on node 1; it must be the same on all nodes: correct \
         paxosd.toml and restart"
    );
    for accept_quorum in [0, 16, u16::MAX] {
        let hello = of_configuration(SharedConfiguration { accept_quorum, ..other });
        let refusal = hello.check(&host()).expect_err("refused");
        assert_eq!(refusal.code, PeerRefusalCode::Limits);
        let text = format!(
            "quorum_accept is {accept_quorum} in configuration 3 of node 2; a quorum has 1 to 15 \
             members"
        );
        assert_eq!(refusal.text, text);
    }
}

// The digest of the members depends on the set, not on the order in which a file lists it.
#[test]
fn the_digest_of_members_is_that_of_the_set() {
    let digest = |nodes: [u16; 3]| members_digest(nodes.map(NodeId));
    assert_eq!(digest([1, 2, 3]), digest([3, 1, 2]));
    assert_ne!(digest([1, 2, 3]), digest([1, 2, 4]));
}
