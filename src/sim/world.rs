//! The state of a simulated world: nodes, network, disks, clocks, clients, and time that jumps from
//! one event to the next. What happens in it is in the files that import this one, and
//! `run` calls those.

use super::client::SimClient;
use super::clock::{Clock, WallClocks};
use super::disk::SimDisk;
use super::durability_checker::DurabilityChecker;
use super::history::History;
use super::marks::{Mark, Marks};
use super::network::Network;
use super::node::{Medium, Node};
use super::oracle::Oracle;
use super::plan::Plan;
use super::queue::Queue;
use super::rng::Rng;
use super::set_back::SetBack;
use super::trace::Trace;
use crate::journal::{self, Identity, JournalOptions};
use crate::storage::MemStorage;
use crate::types::{Ballot, ClusterId, FormatLevel, Incarnation, Lsn, NodeId, ShardId, Slot};
use std::collections::{BTreeMap, BTreeSet};

/// The one shard of every node.
pub(super) const SHARD: ShardId = ShardId(0);

/// Where in its run a world is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Things go wrong.
    Chaos,
    /// Some things stay wrong since then; an append must be acknowledged by the deadline.
    Crippled { since: u64, deadline: u64 },
    /// Everything is healed since then; an append must be acknowledged by the deadline.
    Healed { since: u64, deadline: u64 },
    /// Nothing new is asked for; all nodes must agree by the deadline.
    Settling { deadline: u64 },
    /// Every node is asked for every entry of every log.
    Reading { deadline: u64 },
    /// The run has ended well.
    Over,
}

/// A simulated world. Same plan, same history.
pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) rng: Rng,
    pub(super) queue: Queue,
    pub(super) nodes: Vec<Node>,
    pub(super) network: Network,
    pub(super) clients: Vec<SimClient>,
    pub(super) next_conn: u64,
    pub(super) oracle: Oracle,
    pub(super) history: History,
    /// The first slot that each ballot proposes, as its accepts say.
    pub(super) firsts: BTreeMap<Ballot, Slot>,
    pub(super) set_back: SetBack,
    pub(super) trace: Trace,
    /// Jobs of these kinds are cut short when they are next done.
    pub(super) armed: BTreeSet<Mark>,
    /// Which branches this run took.
    pub(super) marks: Marks,
    pub(super) phase: Phase,
    pub(super) now: u64,
    pub(super) events: u64,
}

impl World {
    pub(super) fn new(plan: Plan, trace: Trace) -> World {
        let mut rng = Rng::new(plan.seed ^ 0x5eed);
        let nodes: Vec<Node> = (0..plan.nodes).map(|at| node(at, &plan, &mut rng)).collect();
        let network = Network::new(plan.nodes, plan.delay_us);
        World {
            rng,
            queue: Queue::default(),
            nodes,
            network,
            clients: Vec::new(),
            next_conn: 0,
            oracle: Oracle::new(plan.rots() || plan.loses_values()),
            history: History::new(plan.rots() || plan.loses_values()),
            firsts: BTreeMap::new(),
            set_back: SetBack::default(),
            trace,
            armed: BTreeSet::new(),
            marks: Marks::default(),
            phase: Phase::Chaos,
            now: 0,
            events: 0,
            plan,
        }
    }

    /// What a node's wall clock shows.
    pub(super) fn wall_ms(&self, node: usize) -> u64 {
        WallClocks::of_seed(self.plan.seed, self.plan.nodes).shown_ms(node, self.now)
    }

    /// Sizes of every node's journal.
    pub(super) fn journal_options(&self) -> JournalOptions {
        JournalOptions { segment_bytes: self.plan.segment_bytes, min_free_bytes: 1 << 20 }
    }
}

/// A disk as `paxosd init` leaves it.
pub(super) fn fresh_disk(identity: &Identity, options: &JournalOptions) -> MemStorage {
    let storage = MemStorage::new();
    journal::format(&storage, identity, SHARD, options).expect("nothing is scripted to fail yet");
    storage
}

fn node(at: usize, plan: &Plan, rng: &mut Rng) -> Node {
    let id = NodeId(at as u16 + 1);
    let identity = Identity {
        cluster: ClusterId(u128::from(plan.seed) + 1),
        node: id,
        incarnation: Incarnation(rng.bits() | 1),
        shards: 1,
    };
    let options = JournalOptions { segment_bytes: plan.segment_bytes, min_free_bytes: 1 << 20 };
    let storage = fresh_disk(&identity, &options);
    let rate = 1_000_000 - plan.drift_ppm + rng.below(2 * plan.drift_ppm + 1);
    Node {
        id,
        identity,
        clock: Clock::new(rate, rng.below(1 << 40)),
        disk: SimDisk::new(storage, plan.sync_us),
        durability_checker: DurabilityChecker::default(),
        batch_upto: Lsn(0),
        shard: None,
        life: 0,
        starts: 0,
        known_level: FormatLevel::FIRST,
        paused: false,
        kept: false,
        away: false,
        inbox: Vec::new(),
        turn_due: false,
        wake_at: None,
        conns: BTreeMap::new(),
        medium: Medium::Sound,
        is_spoiled: false,
        healed_before: 0,
        formed: false,
        issued: BTreeMap::new(),
        free_bytes: 1 << 40,
        named_released: BTreeMap::new(),
    }
}
