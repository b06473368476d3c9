//! A cluster: a few replicas, their disks, clocks and connections, all in one value and all by hand.

use crate::checker::Checker;
use crate::disk::Disk;
use crate::reads::Read;
use crate::show;
use paxosd::limits::LEARN_SLOTS_MAX;
use paxosd::paxos::invariants::{Summary, check_step};
use paxosd::paxos::{Config, Effect, Effects, Input, Quorums, Replica, Role, Stop, Timing, Vote};
use paxosd::types::{Ballot, Incarnation, Lsn, NodeId, Slot, Tick, Value};
use paxosd::wire::peer::{Learn, Learned, Message};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What all nodes of a cluster share.
#[derive(Clone, Debug)]
pub struct Plan {
    pub nodes: u16,
    pub quorums: Quorums,
    pub timing: Timing,
    pub window_slots: u64,
    pub seed: u64,
    /// Most values in one answer to a learner.
    pub learn_chunk: u64,
    /// Requests for chosen values are answered on command, not at once.
    pub slow_serve: bool,
}

impl Plan {
    pub fn new(nodes: u16) -> Plan {
        Plan {
            nodes,
            quorums: Quorums::majority(usize::from(nodes)),
            timing: Timing::default(),
            window_slots: 8,
            seed: 0,
            learn_chunk: LEARN_SLOTS_MAX,
            slow_serve: false,
        }
    }

    fn config(&self, me: NodeId, incarnation: Incarnation, starts: u64) -> Config {
        let mut config = Config::new(me, incarnation, (1..=self.nodes).map(NodeId).collect());
        config.quorums = self.quorums;
        config.timing = self.timing;
        config.window_slots = self.window_slots;
        config.seed = self.seed.wrapping_mul(31).wrapping_add(u64::from(me.0));
        config.nonce = starts;
        config
    }
}

/// One node of a cluster.
#[derive(Clone, Debug)]
pub struct Node {
    /// None while the process is down.
    pub replica: Option<Replica>,
    pub disk: Disk,
    pub incarnation: Incarnation,
    /// Starts of the process so far, on whatever disk.
    starts: u64,
    /// Records become durable on command only.
    pub hold: bool,
    /// This node's clock: an offset, and a rate in millionths of the true one.
    pub offset: u64,
    pub rate: u64,
    pub deadline: Tick,
    waiting: VecDeque<(Lsn, NodeId, Vote)>,
    /// The values of slots chosen, as applied or readable from disk.
    pub chosen: BTreeMap<Slot, (Ballot, Value)>,
    pub serves: VecDeque<(NodeId, Learn)>,
    pub stopped: Option<Stop>,
    pub leading: Option<Ballot>,
}

/// One direction of a connection.
#[derive(Clone, Debug, Default)]
pub struct Link {
    /// The receiver has the connection open.
    pub up: bool,
    /// What is sent vanishes: the connection broke, and the sender may not know it yet.
    pub broken: bool,
    /// Nothing is delivered for now.
    pub blocked: bool,
    pub queue: VecDeque<Message>,
}

/// A few replicas, their disks, clocks and connections.
#[derive(Clone, Debug)]
pub struct Cluster {
    pub plan: Plan,
    /// True time in microseconds.
    pub now: u64,
    pub nodes: BTreeMap<NodeId, Node>,
    pub links: BTreeMap<(NodeId, NodeId), Link>,
    pub checker: Checker,
    /// The read of a script, and where it stands.
    pub read: Option<Read>,
    pub trace: Vec<String>,
    pub quiet: bool,
    shown_at: u64,
    effects: Effects,
}

/// Messages of one settling: more means that two nodes talk for ever.
const SETTLE_MAX: usize = 100_000;

impl Cluster {
    pub fn new(plan: Plan) -> Cluster {
        let ids: Vec<NodeId> = (1..=plan.nodes).map(NodeId).collect();
        let node = |id: &NodeId| {
            let node = Node {
                replica: None,
                disk: Disk::default(),
                incarnation: Incarnation(100 + u64::from(id.0)),
                starts: 0,
                hold: false,
                offset: 0,
                rate: 1_000_000,
                deadline: Tick(0),
                waiting: VecDeque::new(),
                chosen: BTreeMap::new(),
                serves: VecDeque::new(),
                stopped: None,
                leading: None,
            };
            (*id, node)
        };
        let mut links = BTreeMap::new();
        for a in &ids {
            for b in ids.iter().filter(|b| *b != a) {
                links.insert((*a, *b), Link { broken: true, ..Link::default() });
            }
        }
        Cluster {
            checker: Checker::new(plan.quorums.accept),
            nodes: ids.iter().map(node).collect(),
            plan,
            now: 0,
            links,
            read: None,
            trace: Vec::new(),
            quiet: false,
            shown_at: 0,
            effects: Effects::new(),
        }
    }

    pub fn ids(&self) -> Vec<NodeId> {
        self.nodes.keys().copied().collect()
    }

    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[&id]
    }

    pub fn node_mut(&mut self, id: NodeId) -> &mut Node {
        self.nodes.get_mut(&id).expect("the script names nodes of the cluster")
    }

    pub fn link_mut(&mut self, from: NodeId, to: NodeId) -> &mut Link {
        self.links.get_mut(&(from, to)).expect("the script names two nodes of the cluster")
    }

    pub fn replica(&self, id: NodeId) -> Option<&Replica> {
        self.node(id).replica.as_ref()
    }

    /// A node's own clock now.
    pub fn local(&self, id: NodeId) -> Tick {
        let node = self.node(id);
        Tick(node.offset + (u128::from(self.now) * u128::from(node.rate) / 1_000_000) as u64)
    }

    /// The true time at which a node's own clock shows `tick`.
    pub fn true_time(&self, id: NodeId, tick: Tick) -> u64 {
        let node = self.node(id);
        let elapsed = u128::from(tick.0.saturating_sub(node.offset));
        (elapsed * 1_000_000).div_ceil(u128::from(node.rate)) as u64
    }

    pub fn say(&mut self, line: impl FnOnce() -> String) {
        if self.quiet {
            return;
        }
        if self.shown_at != self.now {
            self.shown_at = self.now;
            self.trace.push(format!("-- {} ms", show::ms(self.now)));
        }
        self.trace.push(line());
    }

    /// Starts a node from its durable records.
    pub fn boot(&mut self, id: NodeId) {
        let now = self.local(id);
        let plan = self.plan.clone();
        let node = self.node_mut(id);
        assert!(node.replica.is_none(), "node {id} runs already");
        let (memory, chosen) = node.disk.recover();
        let holes = memory.holes.clone();
        let upto = memory.chosen_upto;
        node.chosen = chosen;
        node.disk.cut = None;
        node.starts += 1;
        let config = plan.config(id, node.incarnation, node.starts);
        let mut effects = Effects::new();
        let replica = Replica::start(config, memory, now, &mut effects);
        assert_eq!(replica.holes(), &holes, "a boot forgets no hole");
        node.deadline = replica.next_deadline(now);
        node.replica = Some(replica);
        self.say(|| format!("{id} boots, chosen={upto}"));
        self.carry_out(id, effects, false);
        self.check(id);
        self.auto_sync(id);
    }

    /// Whether a node that is down would refuse to start as the cluster is configured now.
    pub fn refuses_to_start(&self, id: NodeId) -> bool {
        let node = self.node(id);
        assert!(node.replica.is_none(), "node {id} runs already");
        let config = self.plan.config(id, node.incarnation, node.starts);
        config.check(&node.disk.recover().0.hard).is_err()
    }

    /// One input to one replica, with every check.
    pub fn step(&mut self, id: NodeId, input: Input) {
        let what = match &input {
            Input::Tick => format!("{id} tick"),
            Input::PeerUp(node, _) => format!("{id} up {node}"),
            Input::PeerDown(node) => format!("{id} down {node}"),
            Input::Message(from, message) => format!("{id} <- {from} {}", show::message(message)),
            Input::Durable(lsn) => format!("{id} durable {lsn}"),
            Input::Confirm => format!("{id} confirm"),
            Input::HandOver => format!("{id} hand over"),
            Input::Leave => format!("{id} leaves"),
            Input::Resumed => format!("{id} runs again"),
            Input::DiskBudget(room) => format!("{id} {}", show::room(room)),
            Input::Applied(digest) => format!("{id} applied {} {:#x}", digest.slot, digest.state),
        };
        let (ticked, loud) = match &input {
            Input::Tick => (true, false),
            Input::Durable(_) => (false, false),
            Input::PeerUp(..)
            | Input::PeerDown(_)
            | Input::Message(..)
            | Input::Confirm
            | Input::HandOver
            | Input::Leave
            | Input::Resumed
            | Input::DiskBudget(_)
            | Input::Applied(_) => (false, true),
        };
        self.act(id, ticked, loud, &what, |replica, now, fx| replica.step(now, input, fx));
    }

    /// A replica's journal idles.
    pub fn idle(&mut self, id: NodeId) {
        self.act(id, false, true, &format!("{id} idles"), |replica, _, fx| {
            replica.record_evidence(fx);
        });
    }

    /// A leader proposes a value.
    pub fn propose(&mut self, id: NodeId, value: Value) {
        let what = format!("{id} propose {value:?}");
        self.act(id, false, true, &what, |replica, now, fx| {
            replica.propose(now, value, fx);
        });
    }

    fn act(
        &mut self,
        id: NodeId,
        ticked: bool,
        loud: bool,
        what: &str,
        act: impl FnOnce(&mut Replica, Tick, &mut Effects),
    ) {
        let now = self.local(id);
        let mut effects = std::mem::take(&mut self.effects);
        let node = self.node_mut(id);
        let Some(replica) = &mut node.replica else { panic!("{what}: node {id} is down") };
        let before = Summary::of(replica);
        let was = show::role(replica.role());
        let led = matches!(replica.role(), Role::Leader(_));
        act(replica, now, &mut effects);
        check_step(&before, &Summary::of(replica));
        let is = show::role(replica.role());
        let next = replica.next_deadline(now);
        node.deadline = if ticked { next } else { next.min(node.deadline) };
        let acts = |effect: &Effect| !matches!(effect, Effect::Note(_));
        if loud || was != is || effects.items().iter().any(acts) {
            let change = if was == is { String::new() } else { format!("   {was} => {is}") };
            self.say(|| format!("{what}{change}"));
        }
        self.carry_out(id, effects, led);
        self.check(id);
        self.auto_sync(id);
    }

    fn carry_out(&mut self, id: NodeId, mut effects: Effects, led: bool) {
        for effect in effects.drain() {
            let durable = self.node(id).disk.durable();
            if let Some(shown) = show::effect(&effect, durable) {
                self.say(|| format!("    {shown}"));
            }
            match effect {
                Effect::Persist(lsn, record) => {
                    self.checker.persisted(id, &record);
                    self.node_mut(id).disk.append(lsn, record);
                }
                Effect::Send(to, plain) => self.leave(id, to, plain.into()),
                Effect::SendAfter(lsn, to, vote) => {
                    assert!(lsn <= self.node(id).disk.last(), "a vote behind no record");
                    if lsn <= durable {
                        self.leave(id, to, vote.into());
                    } else {
                        self.node_mut(id).waiting.push_back((lsn, to, vote));
                    }
                }
                Effect::Chosen { slot, ballot, value } => {
                    self.checker.assert_chosen(id, slot, &value);
                    let node = self.node_mut(id);
                    let upto = node.chosen.keys().max().copied().unwrap_or_default();
                    let hole =
                        |slot| node.replica.as_ref().is_some_and(|r| r.holes().contains_key(&slot));
                    assert!(
                        slot == upto.next() || hole(slot.prev()),
                        "node {id} emits slot {slot} after {upto} (R18)"
                    );
                    assert!(!node.chosen.contains_key(&slot), "slot {slot} emitted twice");
                    node.chosen.insert(slot, (ballot, value));
                    if led {
                        self.checker.acknowledge(slot);
                    }
                }
                Effect::Repaired { slot, ballot, value } => {
                    self.checker.assert_chosen(id, slot, &value);
                    self.node_mut(id).chosen.insert(slot, (ballot, value));
                }
                Effect::Serve { to, learn } => {
                    self.node_mut(id).serves.push_back((to, learn));
                    if !self.plan.slow_serve {
                        self.serve(id);
                    }
                }
                Effect::Leading(ballot) => self.node_mut(id).leading = ballot,
                Effect::Stalled(_) | Effect::Yields | Effect::HandedOver(_) | Effect::Note(_) => {}
                Effect::Stop(stop) => self.node_mut(id).stopped = Some(stop),
            }
        }
        self.effects = effects;
    }

    /// Answers the oldest request for chosen values, from what this node can read.
    pub fn serve(&mut self, id: NodeId) {
        let chunk = self.plan.learn_chunk;
        let node = self.node_mut(id);
        let Some((to, learn)) = node.serves.pop_front() else { return };
        let Some(replica) = &node.replica else { return };
        let upto = learn.upto.min(learn.from.plus(chunk - 1));
        let mut values = Vec::new();
        let mut slot = learn.from;
        let held = |slot: Slot| slot <= upto && learn.from > node.disk.released;
        while let Some((ballot, value)) = node.chosen.get(&slot).filter(|_| held(slot)) {
            values.push((slot, *ballot, value.clone()));
            slot = slot.next();
        }
        let damaged = replica.holes().get(&learn.from).copied();
        let chosen_upto = replica.chosen_upto();
        let released = Some(node.disk.released).filter(|upto| learn.from <= *upto);
        let from = learn.from;
        let learned = Message::Learned(Learned { from, chosen_upto, values, damaged, released });
        self.say(|| format!("{id} reads\n    {}", show::leaving(to, &learned)));
        self.leave(id, to, learned);
    }

    /// A message leaves its node; it arrives if the connection holds.
    fn leave(&mut self, from: NodeId, to: NodeId, message: Message) {
        let node = &self.nodes[&from];
        let boots = node.replica.as_ref().map_or(0, |replica| replica.hard().boots);
        self.checker.leaves(from, boots, &message, &node.disk.picture);
        // The sender's side of the connection is what the opposite direction calls `up`.
        let open = self.links.get(&(to, from)).is_some_and(|back| back.up);
        let link = self.link_mut(from, to);
        if open && !link.broken {
            link.queue.push_back(message);
        }
    }

    pub fn auto_sync(&mut self, id: NodeId) {
        while !self.node(id).hold && self.node(id).disk.durable() < self.node(id).disk.last() {
            let last = self.node(id).disk.last();
            self.sync_quiet(id, last);
        }
    }

    /// Makes a held journal durable up to `lsn`.
    pub fn sync(&mut self, id: NodeId, lsn: Lsn) {
        self.say(|| format!("{id} synced {lsn}"));
        self.sync_quiet(id, lsn);
    }

    fn sync_quiet(&mut self, id: NodeId, lsn: Lsn) {
        let node = self.node_mut(id);
        let fresh = node.disk.sync(lsn);
        let durable = node.disk.durable();
        for record in &fresh {
            self.checker.durable(id, record);
        }
        let held = self.node(id).hold;
        while self.node(id).waiting.front().is_some_and(|vote| vote.0 <= durable) {
            if let Some((_, to, vote)) = self.node_mut(id).waiting.pop_front() {
                let message = vote.into();
                if held {
                    self.say(|| format!("    {}", show::leaving(to, &message)));
                }
                self.leave(id, to, message);
            }
        }
        self.step(id, Input::Durable(durable));
    }

    pub fn deliverable(&self, from: NodeId, to: NodeId) -> bool {
        let link = &self.links[&(from, to)];
        let runs = self.nodes[&to].replica.is_some();
        link.up && !link.blocked && !link.queue.is_empty() && runs
    }

    /// Delivers the oldest message of one direction.
    pub fn deliver(&mut self, from: NodeId, to: NodeId) -> bool {
        if !self.deliverable(from, to) {
            return false;
        }
        let message = self.link_mut(from, to).queue.pop_front();
        let Some(message) = message else { return false };
        self.step(to, Input::Message(from, message));
        true
    }

    /// Delivers between these nodes until nothing is under way.
    pub fn settle(&mut self, among: &BTreeSet<NodeId>) {
        let pairs: Vec<(NodeId, NodeId)> = self.links.keys().copied().collect();
        let inside = |pair: &&(NodeId, NodeId)| among.contains(&pair.0) && among.contains(&pair.1);
        for _ in 0..SETTLE_MAX {
            let mut any = false;
            for (from, to) in pairs.iter().filter(inside) {
                any |= self.deliver(*from, *to);
            }
            if !any {
                return;
            }
        }
        panic!("{SETTLE_MAX} rounds of messages and no end");
    }

    /// Ticks the nodes whose deadline has come.
    pub fn tick_due(&mut self, among: &BTreeSet<NodeId>) {
        for id in among {
            let due = self.local(*id) >= self.node(*id).deadline;
            if due && self.node(*id).replica.is_some() {
                self.step(*id, Input::Tick);
            }
        }
    }

    /// The next true time at which one of these nodes wants a tick.
    pub fn next_time(&self, among: &BTreeSet<NodeId>) -> Option<u64> {
        let running = among.iter().filter(|id| self.replica(**id).is_some());
        running.map(|id| self.true_time(*id, self.node(*id).deadline)).min()
    }

    /// Lets time pass: messages are delivered, and these nodes look at their clocks.
    pub fn wait(&mut self, micros: u64, ticking: &BTreeSet<NodeId>) {
        let end = self.now + micros;
        let all: BTreeSet<NodeId> = self.ids().into_iter().collect();
        self.settle(&all);
        while let Some(at) = self.next_time(ticking).filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.tick_due(ticking);
            self.settle(&all);
        }
        self.now = end;
    }
}

impl Node {
    /// Forgets what a process holds in memory.
    pub fn forget(&mut self) {
        self.waiting.clear();
        self.serves.clear();
        self.chosen.clear();
    }
}
