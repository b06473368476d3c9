//! A node of a cluster of three, and tests that speak to it as one of the others.

use crate::config::Site;
use crate::poll;
use crate::rig::{Daemon, Raw, run};
use crate::watched::Refusals;
use crate::web::get;
use paxosd::types::{ConfigurationNumber, Incarnation, NodeId, ShardId};
use paxosd::wire::peer::hello::{
    PEER_VERSION_MAX, PEER_VERSION_MIN, PeerHello, PeerHelloReply, PeerRefusalCode,
    SharedConfiguration, SharedLimits, members_digest, read_peer_hello_reply, write_peer_hello,
};
use std::net::TcpStream;

/// Node 1 of three, alone: nodes 2 and 3 dial it, and here the tests do.
pub struct Host {
    pub site: Site,
    pub admin: String,
    pub daemon: Daemon,
}

impl Host {
    /// One that listens.
    #[track_caller]
    pub fn start() -> Host {
        let site = Site::new(3);
        let daemon = node(&site, 1);
        Host { admin: site.admin(1), site, daemon }
    }

    /// Greets as a peer; the answer.
    #[track_caller]
    pub fn call(&self, hello: &PeerHello) -> (Raw, PeerHelloReply) {
        call(&self.site.peer, hello)
    }

    /// Greets as a peer that must not come in.
    #[track_caller]
    pub fn refused(&self, hello: &PeerHello, code: PeerRefusalCode, holds: &[&str]) {
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

    /// What it counted of a port.
    #[track_caller]
    pub fn refusals(&self, port: &str) -> Refusals {
        Refusals::at(&self.admin, port)
    }
}

/// Greets as a peer; the answer.
#[track_caller]
pub fn call(address: &str, hello: &PeerHello) -> (Raw, PeerHelloReply) {
    let mut raw = Raw::connect(address);
    let mut bytes = Vec::new();
    write_peer_hello(&mut bytes, hello);
    raw.send(&bytes);
    let reply = raw.next(|frame| read_peer_hello_reply(frame).unwrap()).expect("an answer");
    (raw, reply)
}

/// Starts the node `id` of a site with admin pages, in a data directory of its own.
#[track_caller]
fn node(site: &Site, id: usize) -> Daemon {
    let (admin, data) = (site.admin(id), format!("{}-{id}", site.data().display()));
    let id_text = id.to_string();
    let environment = [
        ("PAXOSD_NODE_ID", &*id_text),
        ("PAXOSD_DATA_DIR", &*data),
        ("PAXOSD_LISTEN_ADMIN", &*admin),
    ];
    let prepared = run(&["init", "--config", site.file()], &environment);
    assert_eq!(prepared.status.code(), Some(0), "{prepared:?}");
    let daemon = Daemon::run(site.file(), &site.clients[id - 1], &environment);
    poll::until("the node listens", || TcpStream::connect(&admin).ok());
    daemon
}

/// A cluster of three that goes on without its node 2, as which the tests speak to node 1.
pub struct Pair {
    pub host: Host,
    /// Node 2 as node 1 knows it.
    pub greeting: PeerHello,
    pub other: Daemon,
}

impl Pair {
    /// A cluster that has met as a whole, so that nodes 1 and 3 serve by themselves.
    #[track_caller]
    pub fn start() -> Pair {
        let host = Host::start();
        let [second, other] = [2, 3].map(|id| node(&host.site, id));
        for id in [1, 2, 3] {
            let admin = host.site.admin(id);
            poll::until("the node is ready", || (get(&admin, "/readyz").code == 200).then_some(()));
        }
        let status: serde_json::Value =
            serde_json::from_str(&get(&host.site.admin(2), "/status").body).unwrap();
        let incarnation = status["incarnation"].as_str().unwrap();
        let incarnation = Incarnation(u64::from_str_radix(incarnation, 16).unwrap());
        let (exit, log) = second.stop();
        assert_eq!(exit, Some(0), "{log}");
        Pair { host, greeting: PeerHello { incarnation, ..greeting() }, other }
    }
}

/// Node 2 as it should greet.
pub fn greeting() -> PeerHello {
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
            window_slots: 256,
            configuration: SharedConfiguration {
                number: ConfigurationNumber::FORMATION,
                prepare_quorum: 2,
                accept_quorum: 2,
                members: members_digest([1, 2, 3].map(NodeId)),
            },
        },
    }
}
