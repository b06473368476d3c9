//! Members with names: several addresses of one, and names that nobody answers for.

use crate::rig::{Cluster, Plan, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, listen, socket_with};
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;

/// Mounts a node's own table of hosts and resolver, and becomes the node.
const WITH_NAMES: &str = "mount --bind \"$0/hosts\" /etc/hosts \
     && mount --bind \"$0/resolv.conf\" /etc/resolv.conf && exec \"$@\"";

/// The address of a node, without its port.
fn address(cluster: &Cluster, id: u16) -> String {
    cluster.endpoint(id).split_once(':').unwrap().0.to_string()
}

/// Has every node call its peers by name.
fn name_peers(cluster: &Cluster) {
    for id in cluster.ids() {
        let own = address(cluster, id);
        let mut text = cluster.config_text(id);
        for other in cluster.ids() {
            let peer = format!("peer = \"{}:", address(cluster, other));
            text = text.replace(&peer, &format!("peer = \"n{other}.test:"));
        }
        let text = format!("listen_peer = \"{own}:7421\"\n{text}");
        fs::write(cluster.node(id).config(), text).unwrap();
    }
}

/// Starts a node for which names are as those lines say, and for all else asks that resolver.
#[track_caller]
fn start(cluster: &mut Cluster, id: u16, hosts: &str, resolver: &str) {
    let folder = cluster.folder().join(format!("names-{id}"));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("hosts"), hosts).unwrap();
    let options = "options timeout:30 attempts:5";
    fs::write(folder.join("resolv.conf"), format!("nameserver {resolver}\n{options}\n")).unwrap();
    let folder = folder.to_str().unwrap();
    let words = ["unshare", "--mount", "--", "sh", "-c", WITH_NAMES, folder];
    cluster.node_mut(id).start_under(&words);
}

/// An address that swallows every call: its queue is full.
fn deaf(address: &str) -> Vec<OwnedFd> {
    let socket = |flags| socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).unwrap();
    let listener = socket(SocketFlags::CLOEXEC);
    let at: SocketAddr = format!("{address}:7421").parse().unwrap();
    bind(&listener, &at).unwrap();
    listen(&listener, 0).unwrap();
    let mut kept = vec![listener];
    for _ in 0..4 {
        let caller = socket(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK);
        // Under way, for ever.
        let _ = connect(&caller, &at);
        kept.push(caller);
    }
    kept
}

/// Names whose first addresses refuse, or swallow every call, lead to the peer all the same: a new
/// cluster forms, for which each node has to meet every other.
#[test]
#[ignore = "needs root: mounts tables of hosts"]
fn every_address_of_a_peers_name_is_tried() {
    let mut cluster = Cluster::laid_out(Plan::small(3).shards(2));
    name_peers(&cluster);
    let (silent, refusing) = (address(&cluster, 9), address(&cluster, 10));
    let _kept = deaf(&silent);
    let mut hosts = String::new();
    for id in cluster.ids() {
        for address in [silent.clone(), refusing.clone(), address(&cluster, id)] {
            hosts += &format!("{address} n{id}.test\n");
        }
    }
    for id in cluster.ids() {
        start(&mut cluster, id, &hosts, &refusing);
    }
    cluster.wait_ready();
}

/// A name for which the resolver has no answer, not even a bad one, holds up no other: the node
/// meets the peers whose names it knows, and serves with them.
#[test]
#[ignore = "needs root: mounts tables of hosts"]
fn a_name_that_nobody_answers_for_holds_up_no_other() {
    let mut cluster = Cluster::up(Plan::small(3).shards(2));
    cluster.wait_ready();
    for id in cluster.ids() {
        assert_eq!(cluster.node_mut(id).stop().code(), Some(0));
    }
    name_peers(&cluster);
    let black_hole = address(&cluster, 9);
    let _swallows = UdpSocket::bind((black_hole.as_str(), 53)).unwrap();
    let second = format!("{} n2.test\n{} n3.test\n", address(&cluster, 2), address(&cluster, 3));
    // The third node calls both others, the name of the first one before that of the second.
    start(&mut cluster, 3, &second, &black_hole);
    start(&mut cluster, 2, &second, &black_hole);
    poll::until("the two serve", || {
        (cluster.ctl(["append", "orders", "an apple", "--create"]).code == Some(0)).then_some(())
    });
}
