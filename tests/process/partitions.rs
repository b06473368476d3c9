//! Networks that are cut and heal: TCP alone would go on waiting long after the cables are whole.

use crate::rig::network::Network;
use crate::rig::{Cluster, Plan, poll};
use paxosd::client::{Client, ClientOptions, NodeReport, Role, ShardStatus};
use std::fs;
use std::time::{Duration, Instant};

/// A cluster with each node on a host of its own.
struct Hosts {
    cluster: Cluster,
    network: Network,
}

impl Hosts {
    #[track_caller]
    fn up(plan: Plan) -> Hosts {
        let mut cluster = Cluster::laid_out(plan);
        let network = Network::of(cluster.size());
        for id in cluster.ids() {
            let mut text = cluster.config_text(id);
            for other in cluster.ids() {
                let endpoint = cluster.endpoint(other);
                let (address, _) = endpoint.split_once(':').unwrap();
                text =
                    text.replace(&format!("{address}:"), &format!("{}:", Network::address(other)));
            }
            fs::write(cluster.node(id).config(), format!("insecure_listen = true\n{text}"))
                .unwrap();
            let on_host = network.on_host(id);
            cluster.node_mut(id).start_under(&on_host.each_ref().map(String::as_str));
        }
        network.enter_switch();
        Hosts { cluster, network }
    }

    fn options(&self) -> ClientOptions {
        let endpoint = |id| format!("{}:7420", Network::address(id));
        let attempt_timeout = Duration::from_millis(250);
        let endpoints: Vec<String> = self.cluster.ids().map(endpoint).collect();
        ClientOptions { timeout: poll::PATIENCE, attempt_timeout, ..ClientOptions::new(endpoints) }
    }
}

/// Two nodes that need each other, and a network that is cut and heals: the cluster serves again
/// after two leases and an election, which is what it takes to give up a link that is dead and a call
/// that was swallowed.
#[test]
#[ignore = "needs root: makes network namespaces"]
fn an_outage_ends_soon_after_the_network_heals() {
    const LEASE: Duration = Duration::from_millis(300);
    const ELECTION: Duration = Duration::from_millis(400);
    let mut hosts = Hosts::up(Plan::small(3));
    let mut client = Client::connect(hosts.options()).unwrap();
    client.create("orders").unwrap();
    hosts.cluster.node_mut(3).kill();
    let mut outages = Vec::new();
    for round in 0..7_u32 {
        let mut client = Client::connect(hosts.options()).unwrap();
        poll::until("the two serve", || client.append("orders", ["before"]).ok());
        hosts.network.cut_all(true);
        // Right behind the third repetition of TCP's own, of which the fourth is a second and a half
        // away.
        poll::pass(Duration::from_millis(u64::from(1500 + round * 130)));
        hosts.network.cut_all(false);
        let healed = Instant::now();
        poll::until("an append is taken", || client.append("orders", ["after"]).ok());
        outages.push(healed.elapsed());
    }
    println!("outages after a heal: {outages:?}");
    outages.sort();
    // The median, for machines that are busy with other tests.
    assert!(outages[3] < 2 * LEASE + ELECTION, "outages last too long: {outages:?}");
}

/// A follower that was cut off hears of what was chosen soon after its cable is whole again, and
/// nobody is elected because of it.
#[test]
#[ignore = "needs root: makes network namespaces"]
fn a_follower_that_was_cut_off_comes_back_in_peace() {
    let hosts = Hosts::up(Plan::small(3));
    let mut client = Client::connect(hosts.options()).unwrap();
    client.create("orders").unwrap();
    let state = |client: &mut Client| {
        let status = client.status().unwrap();
        let node = |node: NodeReport| node.state.ok().map(|s| (node.member.node.0, s));
        let nodes: Vec<_> = status.nodes.into_iter().filter_map(node).collect();
        nodes.into_iter().map(|(id, mut node)| (id, node.shards.remove(0))).collect::<Vec<_>>()
    };
    let leader = poll::until("all are there", || {
        let states = state(&mut client);
        let leads = |(_, shard): &&(u16, ShardStatus)| shard.role == Role::Leader;
        let leader = states.iter().find(leads)?;
        (states.len() == 3).then_some((leader.0, leader.1.epoch))
    });
    let follower = hosts.cluster.ids().find(|id| *id != leader.0).unwrap();
    let cut = format!("link with node {follower} lost");
    let lost = |hosts: &Hosts| hosts.cluster.node(leader.0).log().matches(&cut).count();
    let before = lost(&hosts);
    hosts.network.cut(follower, true);
    client.append("orders", ["behind its back"]).unwrap();
    poll::until("the leader gives the link up", || (lost(&hosts) > before).then_some(()));
    hosts.network.cut(follower, false);
    poll::until("the follower has caught up", || {
        let states = state(&mut client);
        let wanted = states.iter().map(|(_, shard)| shard.applied_upto).max()?;
        let caught_up = states.iter().all(|(_, shard)| shard.applied_upto == wanted);
        let (_, led) = states.iter().find(|(id, _)| *id == leader.0)?;
        assert_eq!(led.epoch, leader.1, "an election that nothing called for");
        (states.len() == 3 && caught_up).then_some(())
    });
}
