//! What docs/PROTOCOL.md says of clusters of several nodes, held against real ones.

use crate::rig::poll;
use crate::rig::raw::{Raw, append};
use crate::rig::{Cluster, Plan};
use paxosd::api::error::{Detail, ErrorCode};
use paxosd::api::{Reply, Request, ShardStatus};
use paxosd::client::{Consistency, ReadOptions};
use paxosd::types::Index;

/// What a node says of shard 0, asked for just that; none while it takes no connection.
fn status(cluster: &Cluster, node: u16) -> Option<ShardStatus> {
    let mut raw = Raw::try_open(&cluster.endpoint(node), 0).ok()?;
    raw.send(&Request::Status).ok()?;
    match raw.answer() {
        Reply::Status(status) => Some(status.shard),
        other => panic!("a Status answered with {other:?}"),
    }
}

/// Section 10: NotLeader has the leader's address as the Map has it, so that a client may compare the
/// two as texts.
#[test]
fn not_leader_has_the_address_of_the_map() {
    let cluster = Cluster::up(Plan::small(3));
    cluster.client().create("orders").unwrap();
    cluster.wait_ready();
    let leader = cluster.leader(0);
    for node in cluster.ids().filter(|node| *node != leader) {
        let mut raw = Raw::open(&cluster.endpoint(node), 0);
        raw.send(&append("orders", "x")).unwrap();
        let Reply::Error(error) = raw.answer() else { panic!("node {node} does not lead") };
        assert_eq!(error.code, ErrorCode::NotLeader, "{error}");
        let Detail::Leader(Some(named)) = error.detail else { panic!("{:?}", error.detail) };
        raw.send(&Request::Map).unwrap();
        let Reply::Map(map) = raw.answer() else { panic!("a Map") };
        let member = map.members.iter().find(|member| member.node == named.node).unwrap();
        assert_eq!(named.address, member.address);
        assert_eq!(named.address, cluster.endpoint(leader));
    }
}

/// Section 7: a node that says it is caught up has everything that was acknowledged before it was
/// started; one that hears of no leader does not say so, and answers local reads all the same.
#[test]
fn a_node_that_says_so_is_caught_up() {
    let mut cluster = Cluster::up(Plan::small(3));
    let mut client = cluster.client();
    client.create("orders").unwrap();
    cluster.wait_ready();
    let late = cluster.follower(0);
    cluster.node_mut(late).kill();
    for i in 0..200 {
        client.append("orders", [i.to_string()]).unwrap();
    }
    cluster.node_mut(late).start();
    let reply = poll::until("the node says that it is caught up", || {
        status(&cluster, late).filter(|status| status.caught_up)
    });
    assert!(reply.applied_upto >= reply.chosen_upto, "{reply:?}");
    let local = ReadOptions { consistency: Consistency::Local, ..ReadOptions::default() };
    let read = |cluster: &Cluster, node| {
        let mut client = cluster.client_of(node);
        client.read("orders", Index(0), local).unwrap().next
    };
    assert_eq!(read(&cluster, late), Index(200));

    let others: Vec<u16> = cluster.ids().filter(|node| *node != late).collect();
    for node in &others {
        cluster.node_mut(*node).kill();
    }
    poll::until("the node is not caught up alone", || {
        status(&cluster, late).filter(|status| !status.caught_up)
    });
    assert_eq!(read(&cluster, late), Index(200));
    let mut alone = cluster.client_of(late);
    let logs = alone.list_local("").unwrap();
    assert_eq!(logs.iter().map(|log| log.name.as_str()).collect::<Vec<_>>(), ["orders"]);
    assert_eq!(alone.stat_local("orders").unwrap().next_index, Index(200));
    for node in others {
        cluster.node_mut(node).start();
    }
    for node in cluster.ids() {
        poll::until("every node is caught up again", || {
            status(&cluster, node).filter(|status| status.caught_up)
        });
    }
}
