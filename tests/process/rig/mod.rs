//! Clusters of real processes, for tests and benchmarks. Nothing is built here: the programs are
//! those that cargo built beside the test.

#![allow(dead_code)] // Each program that includes the rig uses another part of it.

pub mod ctl;
pub mod history;
pub mod injected;
pub mod mounted;
pub mod network;
pub mod node;
pub mod place;
#[path = "../poll.rs"]
pub mod poll;
pub mod random;
pub mod raw;
pub mod verdict;
pub mod writer;

use mounted::Mounted;
use node::Node;
use paxosd::client::{Client, ClientOptions, NodeStatus, Role, ShardStatus};
use paxosd::types::{Ballot, ShardId, Slot};
use place::{PEER_PORT, Place};
use std::fs;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// What a cluster is to be like.
#[derive(Clone, Debug)]
pub struct Plan {
    nodes: u16,
    shards: u16,
    keys: Vec<(String, String)>,
    disk_bytes: Option<u64>,
}

impl Plan {
    /// A cluster with the default configuration.
    pub fn of(nodes: u16) -> Plan {
        Plan { nodes, shards: 1, keys: Vec::new(), disk_bytes: None }
    }

    /// A cluster with small files, quick to make.
    pub fn small(nodes: u16) -> Plan {
        Plan::of(nodes)
            .key("segment_bytes", 1 << 20)
            .key("append_bytes_max", 65_536)
            .key("entry_bytes_max", 32_768)
            .key("min_free_bytes", 0)
    }

    /// With that many shards.
    pub fn shards(self, shards: u16) -> Plan {
        Plan { shards, ..self }
    }

    /// With each node on a disk of its own of so many bytes, an ext4 on a loop device: that needs root.
    pub fn disks(self, bytes: u64) -> Plan {
        Plan { disk_bytes: Some(bytes), ..self }
    }

    /// With a key of the configuration set: a number, or true or false.
    pub fn key(mut self, key: &str, value: impl ToString) -> Plan {
        self.keys.retain(|(other, _)| other != key);
        self.keys.push((key.to_string(), value.to_string()));
        self
    }

    /// With keys set, each as `key=value`.
    pub fn keys(self, keys: &[String]) -> Plan {
        let pairs = keys.iter().filter_map(|key| key.split_once('='));
        pairs.fold(self, |plan, (key, value)| plan.key(key.trim(), value.trim()))
    }
}

/// A cluster and where it lives. Its processes end and its files go when it is dropped.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Node>,
    plan: Plan,
    cluster_id: String,
    place: Place,
    // Unmounted before the folder goes.
    _disks: Vec<Mounted>,
    folder: TempDir,
}

impl Cluster {
    /// A cluster that runs and has leaders.
    #[track_caller]
    pub fn up(plan: Plan) -> Cluster {
        let mut cluster = Cluster::laid_out(plan);
        cluster.start_all();
        cluster
    }

    /// Starts every node, and waits until there are leaders.
    #[track_caller]
    pub fn start_all(&mut self) {
        self.nodes.iter_mut().for_each(Node::start);
        self.wait_quorum();
    }

    /// A cluster whose nodes are initialised, none of them running.
    #[track_caller]
    pub fn laid_out(plan: Plan) -> Cluster {
        Cluster::laid_out_in(&std::env::temp_dir(), plan)
    }

    /// Likewise, with its files below a folder of the caller's choice.
    #[track_caller]
    pub fn laid_out_in(parent: &Path, plan: Plan) -> Cluster {
        let place = Place::claim();
        let folder = tempfile::Builder::new().prefix("paxosd-").tempdir_in(parent);
        let folder = folder.expect("the temporary folder takes another");
        let cluster_id = format!("{:032x}", u128::from(u32::from(place.address(1))));
        let (nodes, _disks) = (Vec::new(), Vec::new());
        let mut cluster = Cluster { nodes, plan, cluster_id, place, _disks, folder };
        for id in 1..=cluster.plan.nodes {
            let home = cluster.folder.path().join(format!("node-{id}"));
            fs::create_dir(&home).expect("the test's own folder takes another");
            if let Some(bytes) = cluster.plan.disk_bytes {
                let file = cluster.folder.path().join(format!("disk-{id}"));
                cluster._disks.push(Mounted::image_over(&home, &file, "ext4", bytes));
            }
            let node = Node::new(id, home);
            fs::write(node.config(), cluster.config_text(id)).expect("a new file can be written");
            cluster.nodes.push(node);
            cluster.init(id);
        }
        cluster
    }

    /// Runs `paxosd init` for a node.
    #[track_caller]
    pub fn init(&self, id: u16) {
        let status = self.node(id).command("init").status().expect("paxosd was built");
        assert!(status.success(), "init of node {id}: {status}\n{}", self.node(id).log_tail());
    }

    /// The configuration of a node.
    pub fn config_text(&self, id: u16) -> String {
        let data = self.folder.path().join(format!("node-{id}/data"));
        let mut text = format!(
            "cluster_id = \"{}\"\nnode_id = {id}\ndata_dir = {data:?}\nshards = {}\n",
            self.cluster_id, self.plan.shards
        );
        for (key, value) in &self.plan.keys {
            text += &format!("{key} = {value}\n");
        }
        for member in 1..=self.plan.nodes {
            let (client, address) = (self.place.endpoint(member), self.place.address(member));
            text += &format!(
                "[[member]]\nid = {member}\nclient = \"{client}\"\npeer = \"{address}:{PEER_PORT}\"\n"
            );
        }
        text
    }

    /// The folder of all its files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// How many nodes it has.
    pub fn size(&self) -> u16 {
        self.plan.nodes
    }

    /// How many shards it has.
    pub fn shards(&self) -> u16 {
        self.plan.shards
    }

    /// The ids of its nodes.
    pub fn ids(&self) -> impl Iterator<Item = u16> + use<> {
        1..=self.plan.nodes
    }

    /// One of its nodes.
    #[track_caller]
    pub fn node(&self, id: u16) -> &Node {
        &self.nodes[usize::from(id) - 1]
    }

    /// One of its nodes, to do something to it.
    #[track_caller]
    pub fn node_mut(&mut self, id: u16) -> &mut Node {
        &mut self.nodes[usize::from(id) - 1]
    }

    /// Where a node listens for clients.
    pub fn endpoint(&self, id: u16) -> String {
        self.place.endpoint(id)
    }

    /// Where a node has its admin pages.
    pub fn admin(&self, id: u16) -> String {
        format!("{}:7422", self.place.address(id))
    }

    /// Where all of them listen for clients.
    pub fn endpoints(&self) -> Vec<String> {
        self.ids().map(|id| self.endpoint(id)).collect()
    }

    /// The client's defaults, for all nodes.
    pub fn options(&self) -> ClientOptions {
        ClientOptions::new(self.endpoints())
    }

    /// The client's defaults, but operations may take longer: for tests in which nobody minds.
    pub fn patient(&self) -> ClientOptions {
        ClientOptions { timeout: poll::PATIENCE, ..self.options() }
    }

    /// A client that may ask every node.
    #[track_caller]
    pub fn client(&self) -> Client {
        Client::connect(self.patient()).expect("a node of the cluster answers")
    }

    /// A client that asks one node first; local reads go there.
    #[track_caller]
    pub fn client_of(&self, id: u16) -> Client {
        Client::connect(self.options_of(id)).expect("the node answers")
    }

    /// Options of a client that asks one node first.
    pub fn options_of(&self, id: u16) -> ClientOptions {
        ClientOptions { endpoints: vec![self.endpoint(id)], ..self.patient() }
    }

    /// Waits until every shard has a leader that serves.
    #[track_caller]
    pub fn wait_quorum(&self) {
        let mut client = None;
        poll::until("every shard has a leader that serves", || {
            if client.is_none() {
                client = Client::connect(self.options()).ok();
            }
            // A linearizable answer of every shard; what it says does not matter.
            client.as_mut()?.list("none begins like this").ok()
        });
    }

    /// Waits until moreover every node runs and has applied all that was chosen before the call.
    #[track_caller]
    pub fn wait_ready(&self) {
        self.wait_quorum();
        let mut wanted = vec![Slot(0); usize::from(self.plan.shards)];
        for (_, node) in self.states() {
            for (shard, most) in node.shards.iter().zip(&mut wanted) {
                *most = shard.chosen_upto.max(*most);
            }
        }
        poll::until("every node runs and has applied what was chosen", || {
            let states = self.states();
            let caught_up = |node: &NodeStatus| {
                let shards = node.shards.iter().zip(&wanted);
                node.shards.len() == wanted.len()
                    && shards.into_iter().all(|(shard, wanted)| shard.applied_upto >= *wanted)
            };
            let all = states.len() == usize::from(self.plan.nodes);
            (all && states.iter().all(|(_, node)| caught_up(node))).then_some(())
        });
    }

    /// What the nodes that answer say of themselves, by rising id.
    pub fn states(&self) -> Vec<(u16, NodeStatus)> {
        let options = ClientOptions {
            timeout: Duration::from_secs(2),
            attempt_timeout: Duration::from_millis(500),
            ..self.options()
        };
        let Ok(status) = Client::connect(options).and_then(|mut client| client.status()) else {
            return Vec::new();
        };
        let reported = status.nodes.into_iter();
        reported.filter_map(|node| Some((node.member.node.0, node.state.ok()?))).collect()
    }

    /// What the nodes that answer say of a shard, by rising id.
    pub fn shard_states(&self, shard: u16) -> Vec<(u16, ShardStatus)> {
        let states = self.states().into_iter();
        let of = |(id, mut node): (u16, NodeStatus)| {
            let at = node.shards.iter().position(|status| status.shard == ShardId(shard))?;
            Some((id, node.shards.swap_remove(at)))
        };
        states.filter_map(of).collect()
    }

    /// Waits until a shard has a leader, and returns it.
    #[track_caller]
    pub fn leader(&self, shard: u16) -> u16 {
        self.leader_other_than(shard, None)
    }

    /// Waits until a shard has a leader that is not that one.
    #[track_caller]
    pub fn leader_other_than(&self, shard: u16, not: Option<u16>) -> u16 {
        poll::until(&format!("shard {shard} has a leader"), || {
            let states = self.shard_states(shard);
            let newest = states.iter().map(|(_, state)| state.epoch).max()?;
            let leads = |state: &ShardStatus| {
                state.role == Role::Leader && state.epoch == newest && newest > Ballot::ZERO
            };
            let found = states.iter().find(|(_, state)| leads(state))?.0;
            (Some(found) != not).then_some(found)
        })
    }

    /// Any node that does not lead that shard.
    #[track_caller]
    pub fn follower(&self, shard: u16) -> u16 {
        let leader = self.leader(shard);
        self.ids().find(|id| *id != leader).expect("a cluster of more than one node")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for node in &self.nodes {
                eprintln!("--- the end of node {}'s log:\n{}", node.id, node.log_tail());
            }
        }
    }
}
