//! A simulated world: nodes, network, disks, clocks, clients, and time that jumps from one event to
//! the next.

use super::clients::Client;
use super::clock::Clock;
use super::disk::Disk;
use super::durability_checker::DurabilityChecker;
use super::history::History;
use super::network::Network;
use super::node::{Medium, Node};
use super::oracle::Oracle;
use super::phase::Phase;
use super::plan::Plan;
use super::queue::{Event, Over, Queue};
use super::rng::Dice;
use super::set_back::SetBack;
use super::trace::Trace;
use super::violation::{Checked, Violation};
use crate::journal::{self, Identity, JournalOptions, MemStorage};
use crate::types::{Ballot, ClusterId, Incarnation, Lsn, NodeId, ShardId, Slot};
use std::collections::BTreeMap;

/// The one shard of every node.
pub(super) const SHARD: ShardId = ShardId(0);
/// No seed needs as many events: a world that does goes round in circles.
const EVENTS_MAX: u64 = 4_000_000;

/// A simulated world. Same plan, same history.
pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) dice: Dice,
    pub(super) queue: Queue,
    pub(super) nodes: Vec<Node>,
    pub(super) network: Network,
    pub(super) clients: Vec<Client>,
    pub(super) next_conn: u64,
    pub(super) oracle: Oracle,
    pub(super) history: History,
    /// The first slot that each ballot proposes, as its accepts say.
    pub(super) firsts: BTreeMap<Ballot, Slot>,
    pub(super) set_back: SetBack,
    pub(super) trace: Trace,
    pub(super) phase: Phase,
    pub(super) now: u64,
    pub(super) events: u64,
}

impl World {
    pub(super) fn new(plan: Plan, trace: Trace) -> World {
        let mut dice = Dice::new(plan.seed ^ 0x5eed);
        let nodes: Vec<Node> = (0..plan.nodes).map(|at| node(at, &plan, &mut dice)).collect();
        let network = Network::new(plan.nodes, plan.delay_us);
        let mut world = World {
            dice,
            queue: Queue::default(),
            nodes,
            network,
            clients: Vec::new(),
            next_conn: 0,
            oracle: Oracle::new(),
            history: History::new(plan.rots()),
            firsts: BTreeMap::new(),
            set_back: SetBack::default(),
            trace,
            phase: Phase::Chaos,
            now: 0,
            events: 0,
            plan,
        };
        world.set_out();
        world
    }

    fn set_out(&mut self) {
        for node in 0..self.plan.nodes {
            let at = self.dice.below(200_000);
            self.queue.push(at, Event::Start { node, life: 0 });
            for peer in 0..node {
                self.queue.push(at, Event::Connect { a: peer, b: node });
            }
        }
        for client in 0..self.plan.clients {
            self.add_client(None);
            self.queue.push(200_000, Event::Client { client });
        }
        for node in 0..self.plan.loyal {
            self.add_loyal_client(node);
        }
        let first = self.dice.range(200_000, 2_000_000);
        if !self.plan.faults.is_empty() {
            self.queue.push(first, Event::Fault);
        }
        self.queue.push(self.plan.chaos_us, Event::Phase);
    }

    /// Runs to the end.
    ///
    /// # Errors
    /// The first check that failed.
    pub(super) fn run(&mut self) -> Checked {
        while self.phase != Phase::Over && !self.set_back.undetectable {
            let Some((at, event)) = self.queue.pop() else {
                return Err(Violation::new("the world goes on", "nothing is left to happen"));
            };
            assert!(at >= self.now, "time went back from {} to {at}", self.now);
            self.now = at;
            self.events += 1;
            if self.events > EVENTS_MAX {
                let text = format!("{EVENTS_MAX} events at {at} us");
                return Err(Violation::new("the world comes to an end", text));
            }
            self.happen(event)?;
        }
        Ok(())
    }

    fn happen(&mut self, event: Event) -> Checked {
        match event {
            Event::Turn { node, life } if self.lives(node, life) => self.turn(node),
            Event::Wake { node, life } if self.lives(node, life) => {
                self.wake(node);
                Ok(())
            }
            Event::Disk { node, life, lane, number } if self.lives(node, life) => {
                self.disk_done(node, lane, number)
            }
            Event::Request { node, life, conn, correlation, request } if self.lives(node, life) => {
                self.request_arrives(node, conn, correlation, *request);
                Ok(())
            }
            Event::Hangup { node, life, conn } if self.lives(node, life) => {
                self.hangup_arrives(node, conn);
                Ok(())
            }
            Event::Resume { node, life } if self.lives(node, life) => {
                self.resume(node);
                Ok(())
            }
            Event::End { node, life } if self.lives(node, life) => self.leave(node),
            Event::Start { node, life } if self.nodes[node].life == life => self.start(node),
            Event::Turn { .. }
            | Event::Wake { .. }
            | Event::Disk { .. }
            | Event::Request { .. }
            | Event::Hangup { .. }
            | Event::Resume { .. }
            | Event::End { .. }
            | Event::Start { .. } => Ok(()), // Of another life.
            Event::Deliver { from, to, generation } => {
                self.message_arrives(from, to, generation);
                Ok(())
            }
            Event::Connect { a, b } => {
                self.connect(a, b);
                Ok(())
            }
            Event::EndUp { node, peer, generation } => {
                self.end_up(node, peer, generation);
                Ok(())
            }
            Event::EndDown { node, peer, generation } => {
                self.end_down(node, peer, generation);
                Ok(())
            }
            Event::Break { a, b, generation } => {
                self.break_hanging(a, b, generation);
                Ok(())
            }
            Event::Answer { client, conn, correlation, answer } => {
                self.answer_arrives(client, conn, correlation, &answer.0, &answer.1)
            }
            Event::Lost { client, conn } => {
                self.connection_lost(client, conn);
                Ok(())
            }
            Event::Client { client } => {
                self.client_acts(client);
                Ok(())
            }
            Event::Fault => self.fault(),
            Event::Over(over) => self.fault_over(over),
            Event::Phase => self.next_phase(),
        }
    }

    fn break_hanging(&mut self, a: usize, b: usize, generation: u64) {
        if self.network.hangs(a, b, generation) {
            self.network.break_off(self.now, a, b, &mut self.dice, &mut self.queue);
        }
    }

    fn lives(&self, node: usize, life: u64) -> bool {
        self.nodes[node].life == life && self.nodes[node].shard.is_some()
    }

    fn fault_over(&mut self, over: Over) -> Checked {
        match over {
            Over::Cuts(cuts) => self.mend(&cuts),
            Over::Lag(links) => self.catch_up(&links),
            Over::Bystanders { leader, cuts } => return self.rot_a_witness(leader, &cuts),
            Over::Slow { node } => self.speed_up(node),
            Over::Full { node } => self.make_room(node),
        }
        Ok(())
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

fn node(at: usize, plan: &Plan, dice: &mut Dice) -> Node {
    let id = NodeId(at as u16 + 1);
    let identity = Identity {
        cluster: ClusterId(u128::from(plan.seed) + 1),
        node: id,
        incarnation: Incarnation(dice.bits() | 1),
        shards: 1,
    };
    let options = JournalOptions { segment_bytes: plan.segment_bytes, min_free_bytes: 1 << 20 };
    let storage = fresh_disk(&identity, &options);
    let rate = 1_000_000 - plan.drift_ppm + dice.below(2 * plan.drift_ppm + 1);
    Node {
        id,
        identity,
        clock: Clock::new(rate, dice.below(1 << 40)),
        disk: Disk::new(storage, plan.sync_us),
        durability_checker: DurabilityChecker::default(),
        batch_upto: Lsn(0),
        shard: None,
        life: 0,
        paused: false,
        kept: false,
        inbox: Vec::new(),
        turn_due: false,
        wake_at: None,
        conns: BTreeMap::new(),
        medium: Medium::Sound,
        formed: false,
        issued: BTreeMap::new(),
        free_bytes: 1 << 40,
    }
}
