//! Random schedules over a cluster: every order of delivery that connections allow, breaks, crashes
//! that lose what is not durable, drifting clocks, reads; then healing, and progress (R24).
//!
//! `RANDOM_SEEDS=A..B` picks the seeds, `RANDOM_STEPS=N` the steps of each; a failure names its
//! seed, which fails again alone. `RANDOM_TRACE=1` prints the trace of a single seed.

use crate::cluster::{Cluster, Plan};
use crate::reads::{Fate, Read};
use paxosd::paxos::{Input, Quorums, Role};
use paxosd::types::{Lsn, NodeId, Random, Slot, Value};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

const SEEDS: u64 = 300;
const STEPS: u64 = 2_000;

/// Enough to see what fails.
const FAULTS_MAX: usize = 20;

/// R24: progress within this many election timeouts of the last change.
const ELECTIONS_MAX: u64 = 10;

/// One schedule.
struct Run {
    cluster: Cluster,
    random: Random,
    reads: Vec<Read>,
    proposed: u64,
    /// Per mille of the steps.
    crash_rate: u64,
    break_rate: u64,
    block_rate: u64,
    hand_over_rate: u64,
    isolate_rate: u64,
    /// Whom nobody reaches, or who reaches nobody, for a while.
    isolated: Option<NodeId>,
    /// Who was about to stop, and may still run.
    leaving: BTreeSet<NodeId>,
    /// Per cent of the steps that deliver, and that let time pass.
    deliveries: u64,
    pauses: u64,
    /// The longest pause.
    pause_us: u64,
    pub done_reads: u64,
}

fn plan(seed: u64, random: &mut Random) -> Plan {
    let nodes = [1, 2, 3, 3, 3, 4, 5, 5][random.below(8) as usize];
    let mut plan = Plan::new(nodes);
    if random.below(3) == 0 {
        let accept = 1 + random.below(u64::from(nodes)) as usize;
        let least = usize::from(nodes) + 1 - accept;
        let prepare = least + random.below((usize::from(nodes) - least + 1) as u64) as usize;
        plan.quorums = Quorums { prepare, accept };
    }
    // Elections may be faster than leases: then only grants and waits keep rivals apart.
    plan.timing.lease_us = [0, 0, 100_000, 300_000, 300_000, 1_000_000][random.below(6) as usize];
    plan.timing.election_us = [50_000, 100_000, 300_000][random.below(3) as usize];
    plan.timing.jitter_us = plan.timing.election_us / 3;
    plan.timing.heartbeat_us = plan.timing.election_us / 5;
    plan.timing.retry_us = plan.timing.election_us / 2;
    if random.below(4) == 0 {
        plan.timing.chosen_upto_us = 0;
    }
    plan.window_slots = 1 + random.below(6);
    plan.seed = seed;
    plan.learn_chunk = 1 + random.below(4);
    plan.slow_serve = random.below(2) == 0;
    plan
}

impl Run {
    fn new(seed: u64) -> Run {
        let mut random = Random::new(seed.wrapping_mul(0x9e37_79b9).wrapping_add(7));
        let plan = plan(seed, &mut random);
        let mut cluster = Cluster::new(plan);
        cluster.quiet = true;
        let hold = random.below(4) > 0;
        for id in cluster.ids() {
            // Two clocks drift apart by at most the bound of 10 %.
            let rate = [950_000, 1_000_000, 1_050_000][random.below(3) as usize];
            let offset = random.below(10_000_000);
            let node = cluster.node_mut(id);
            (node.offset, node.rate, node.hold) = (offset, rate, hold);
        }
        let often =
            |random: &mut Random, most| if random.below(3) == 0 { 0 } else { random.below(most) };
        Run {
            crash_rate: often(&mut random, 6),
            break_rate: often(&mut random, 20),
            block_rate: often(&mut random, 10),
            hand_over_rate: often(&mut random, 6),
            isolate_rate: often(&mut random, 8),
            isolated: None,
            leaving: BTreeSet::new(),
            deliveries: 30 + random.below(30),
            pauses: 10 + random.below(15),
            pause_us: [50_000, 250_000, 700_000][random.below(3) as usize],
            cluster,
            random,
            reads: Vec::new(),
            proposed: 0,
            done_reads: 0,
        }
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        let at = self.random.below(from.len() as u64) as usize;
        from.get(at).copied()
    }

    fn any_node(&mut self) -> NodeId {
        let ids = self.cluster.ids();
        self.pick(&ids).expect("a cluster has nodes")
    }

    fn running(&self) -> Vec<NodeId> {
        self.cluster.ids().into_iter().filter(|id| self.cluster.replica(*id).is_some()).collect()
    }

    fn chance(&mut self, per_mille: u64) -> bool {
        self.random.below(1000) < per_mille
    }

    fn step(&mut self) {
        if self.chance(self.crash_rate) {
            self.crash();
        }
        if self.chance(self.break_rate) {
            self.break_or_lower();
        }
        if self.chance(self.block_rate) {
            self.block();
        }
        if self.chance(self.hand_over_rate)
            && let Some(id) = self.leader()
        {
            if self.random.below(2) == 0 {
                self.cluster.step(id, Input::HandOver);
            } else {
                self.cluster.step(id, Input::Leave);
                self.leaving.insert(id);
            }
        }
        if self.chance(self.isolate_rate) {
            self.isolate();
        }
        if self.chance(8) {
            self.join();
        }
        if self.chance(30) {
            self.repair_one();
        }
        let what = self.random.below(100);
        if what < self.deliveries {
            self.deliver();
        } else if what < self.deliveries + self.pauses {
            self.pass_time();
        } else {
            self.act();
        }
        self.finish_reads();
        for id in self.cluster.ids() {
            let stopped = &self.cluster.node(id).stopped;
            assert!(stopped.is_none(), "node {id} stopped for no reason: {stopped:?}");
        }
    }

    fn act(&mut self) {
        match self.random.below(10) {
            0..5 => self.sync(),
            5..7 => self.propose(),
            7..9 => self.read(),
            _ => {
                let id = self.any_node();
                self.cluster.serve(id);
            }
        }
    }

    fn deliver(&mut self) {
        let pairs: Vec<(NodeId, NodeId)> = self.cluster.links.keys().copied().collect();
        let ready: Vec<(NodeId, NodeId)> =
            pairs.into_iter().filter(|pair| self.cluster.deliverable(pair.0, pair.1)).collect();
        match self.pick(&ready) {
            Some((from, to)) => {
                self.cluster.deliver(from, to);
            }
            None => self.pass_time(),
        }
    }

    fn pass_time(&mut self) {
        let micros = match self.random.below(100) {
            0..70 => self.random.below(500),
            70..95 => self.random.below(20_000),
            _ => self.random.below(self.pause_us),
        };
        self.cluster.now += micros;
        // A node now and then looks at its clock late.
        let due = self.running().into_iter().filter(|_| self.random.below(10) > 0).collect();
        self.cluster.tick_due(&due);
    }

    fn sync(&mut self) {
        let behind = |id: &NodeId| {
            let disk = &self.cluster.node(*id).disk;
            disk.durable() < disk.last()
        };
        let behind: Vec<NodeId> = self.running().into_iter().filter(behind).collect();
        if let Some(id) = self.pick(&behind) {
            let disk = &self.cluster.node(id).disk;
            let (durable, last) = (disk.durable().0, disk.last().0);
            let upto = durable + 1 + self.random.below(last - durable);
            self.cluster.sync(id, Lsn(upto));
        }
    }

    fn leader(&mut self) -> Option<NodeId> {
        let leads = |id: &NodeId| {
            self.cluster
                .replica(*id)
                .is_some_and(|replica| matches!(replica.role(), Role::Leader(_)))
        };
        let leaders: Vec<NodeId> = self.running().into_iter().filter(leads).collect();
        self.pick(&leaders)
    }

    fn propose(&mut self) {
        let Some(id) = self.leader() else { return };
        if self.cluster.replica(id).is_some_and(|replica| replica.has_room(8)) {
            self.proposed += 1;
            let text = format!("v{}", self.proposed);
            self.cluster.propose(id, Value::new(text.into_bytes()));
        }
    }

    /// A linearizable read arrives where somebody believes to lead.
    fn read(&mut self) {
        let Some(at) = self.leader() else { return };
        self.reads.extend(Read::arrive(&mut self.cluster, at));
    }

    /// Answers the reads whose leadership is proven; those of an ended leadership are void.
    fn finish_reads(&mut self) {
        self.reads.retain(|read| read.fate(&self.cluster) != Fate::Void);
        let before = self.reads.len();
        self.reads.retain(|read| read.fate(&self.cluster) == Fate::Waits);
        self.done_reads += (before - self.reads.len()) as u64;
    }

    fn crash(&mut self) {
        let id = self.any_node();
        if self.cluster.replica(id).is_some() {
            let disk = &self.cluster.node(id).disk;
            let unsynced = disk.last().0 - disk.durable().0;
            let kept = self.random.below(unsynced + 1) as usize;
            self.cluster.crash(id, kept);
            if self.random.below(2) == 0 {
                self.cluster.node_mut(id).disk.cut_tail(unsynced);
            }
        }
    }

    fn break_or_lower(&mut self) {
        let (a, b) = (self.any_node(), self.any_node());
        if a == b {
            return;
        }
        if self.cluster.links[&(a, b)].broken {
            self.cluster.lower(a, b);
        } else {
            let lost = [self.random.below(4) as usize, self.random.below(4) as usize];
            self.cluster.break_link(a, b, lost);
            self.cluster.lower(a, b);
        }
    }

    fn block(&mut self) {
        let (a, b) = (self.any_node(), self.any_node());
        if a != b {
            let link = self.cluster.link_mut(a, b);
            link.blocked = !link.blocked;
        }
    }

    /// A leader, mostly, is cut off without a connection breaking: what was under way to and from it
    /// waits, grants and acknowledgements too.
    fn isolate(&mut self) {
        self.join();
        let Some(id) = self.leader() else { return };
        self.isolated = Some(id);
        let kind = self.random.below(4);
        for other in self.cluster.ids().into_iter().filter(|other| *other != id) {
            if kind != 1 {
                self.cluster.link_mut(other, id).blocked = true;
            }
            if kind != 2 {
                self.cluster.link_mut(id, other).blocked = true;
            }
        }
    }

    fn join(&mut self) {
        let Some(id) = self.isolated.take() else { return };
        for other in self.cluster.ids().into_iter().filter(|other| *other != id) {
            self.cluster.link_mut(other, id).blocked = false;
            self.cluster.link_mut(id, other).blocked = false;
        }
    }

    /// Something that is down comes up again.
    fn repair_one(&mut self) {
        let (a, b) = (self.any_node(), self.any_node());
        if self.cluster.replica(a).is_none() {
            self.cluster.boot(a);
        } else if a != b {
            if self.cluster.links[&(a, b)].broken {
                self.cluster.lower(a, b);
                self.cluster.lower(b, a);
                self.cluster.connect(a, b);
            } else if self.isolated != Some(a) && self.isolated != Some(b) {
                self.cluster.link_mut(a, b).blocked = false;
            }
        }
    }
}

/// Healing: all that can work works, but for a minority that may stay broken.
impl Run {
    fn heal(&mut self) -> BTreeSet<NodeId> {
        let ids = self.cluster.ids();
        let quorums = self.cluster.plan.quorums;
        let spare = ids.len() - quorums.prepare.max(quorums.accept);
        let faulty: BTreeSet<NodeId> = if spare > 0 && self.random.below(2) == 0 {
            (0..1 + self.random.below(spare as u64)).map(|_| self.any_node()).collect()
        } else {
            BTreeSet::new()
        };
        let healthy: BTreeSet<NodeId> =
            ids.iter().copied().filter(|id| !faulty.contains(id)).collect();
        for id in ids {
            if self.leaving.remove(&id) && self.cluster.replica(id).is_some() {
                self.cluster.crash(id, 0);
                self.cluster.lower_peers(id);
            }
            self.cluster.node_mut(id).hold = false;
            if self.cluster.replica(id).is_none() {
                self.cluster.boot(id);
            } else {
                self.cluster.auto_sync(id);
            }
            self.cluster.plan.slow_serve = false;
            while !self.cluster.node(id).serves.is_empty() {
                self.cluster.serve(id);
            }
        }
        let pairs: Vec<(NodeId, NodeId)> = self.cluster.links.keys().copied().collect();
        for (a, b) in pairs {
            self.cluster.link_mut(a, b).blocked = false;
            if self.cluster.links[&(a, b)].broken {
                self.cluster.lower(a, b);
                self.cluster.lower(b, a);
                self.cluster.connect(a, b);
            }
        }
        // A cluster forms once, with all members: until then nobody may be missing (C13).
        let formed = |id: &NodeId| self.cluster.replica(*id).is_some_and(|r| r.hard().formed);
        if !self.cluster.ids().iter().all(formed) {
            self.cluster.wait(1_000_000, &self.cluster.ids().into_iter().collect());
        }
        for id in &faulty {
            self.spoil(*id, &healthy);
        }
        healthy
    }

    /// Breaks a node for good: dead, deaf, mute, or cut from some of the healthy.
    fn spoil(&mut self, id: NodeId, healthy: &BTreeSet<NodeId>) {
        let kind = self.random.below(4);
        if kind == 0 {
            self.cluster.crash(id, 0);
            self.cluster.lower_peers(id);
            return;
        }
        for other in healthy {
            match kind {
                1 => self.cluster.link_mut(*other, id).blocked = true,
                2 => self.cluster.link_mut(id, *other).blocked = true,
                _ if self.random.below(2) == 0 => self.cluster.cut(id, *other),
                _ => {}
            }
        }
    }

    /// R24: within ten election timeouts the healthy choose again, and learn what was chosen.
    fn progress(&mut self, healthy: &BTreeSet<NodeId>) {
        let timing = self.cluster.plan.timing;
        let all: BTreeSet<NodeId> = self.running().into_iter().collect();
        let elections = ELECTIONS_MAX * (timing.election_us + timing.jitter_us);
        // A restarted node waits its longest lease, a grantor its grant.
        let end = self.cluster.now + elections + 2 * timing.lease_us;
        let mut asked = None;
        while self.cluster.now < end {
            self.cluster.wait(10_000, &all);
            let room = |id: &&NodeId| self.cluster.replica(**id).is_some_and(|r| r.has_room(8));
            // A leader that falls takes the proposal with it: the next one is asked again.
            if let Some(id) = all.iter().find(room).copied() {
                let leads = self.cluster.replica(id).and_then(|replica| replica.serving());
                if asked != leads {
                    asked = leads;
                    self.cluster.propose(id, Value::new(&b"last"[..]));
                }
            }
            if self.all_know(healthy) {
                return;
            }
        }
        let state: Vec<String> =
            self.cluster.ids().iter().map(|id| self.cluster.state(*id)).collect();
        panic!(
            "no progress of {healthy:?} in {ELECTIONS_MAX} election timeouts (R24), plan {:?}:\n{}",
            self.cluster.plan,
            state.join("\n")
        );
    }

    /// The last value is chosen, and every healthy node knows all that was acknowledged.
    fn all_know(&self, healthy: &BTreeSet<NodeId>) -> bool {
        let last = Value::new(&b"last"[..]);
        let upto = self.cluster.checker.acknowledged;
        healthy.iter().all(|id| {
            let node = self.cluster.node(*id);
            node.chosen.values().any(|held| held.1 == last) && node.chosen.len() as u64 >= upto.0
        })
    }
}

fn play(seed: u64, steps: u64, trace: bool) -> Result<(Slot, u64), String> {
    let mut run = Run::new(seed);
    run.cluster.quiet = !trace;
    let played = catch_unwind(AssertUnwindSafe(|| {
        for id in run.cluster.ids() {
            run.cluster.boot(id);
        }
        run.cluster.connect_all();
        for _ in 0..steps {
            run.step();
        }
        let healthy = run.heal();
        run.progress(&healthy);
    }));
    if trace {
        eprintln!("{}", run.cluster.trace.join("\n"));
    }
    match played {
        Ok(()) => Ok((run.cluster.checker.acknowledged, run.done_reads)),
        Err(why) => {
            let text = why.downcast_ref::<&str>().map(ToString::to_string);
            Err(why.downcast_ref::<String>().cloned().or(text).unwrap_or_default())
        }
    }
}

fn range() -> (u64, u64) {
    let Ok(text) = std::env::var("RANDOM_SEEDS") else { return (0, SEEDS) };
    let (from, upto) = text.split_once("..").expect("RANDOM_SEEDS is A..B");
    (from.parse().expect("A is a number"), upto.parse().expect("B is a number"))
}

/// R02, R14 to R20, R24, C1, C3, C9, C14 to C19: no schedule breaks a rule, and all of them heal.
#[test]
fn random_schedules_keep_every_rule() {
    let (from, upto) = range();
    let steps = std::env::var("RANDOM_STEPS").ok().and_then(|text| text.parse().ok());
    let trace = std::env::var("RANDOM_TRACE").is_ok();
    let (mut chosen, mut reads, mut faults) = (0, 0, Vec::new());
    for seed in from..upto {
        match play(seed, steps.unwrap_or(STEPS), trace) {
            Ok((acknowledged, done)) => {
                chosen += acknowledged.0;
                reads += done;
            }
            Err(why) => faults.push(format!("RANDOM_SEEDS={seed}..{}: {why}", seed + 1)),
        }
        if faults.len() >= FAULTS_MAX {
            break;
        }
    }
    assert!(faults.is_empty(), "{} schedules fail:\n{}", faults.len(), faults.join("\n"));
    // Schedules that do nothing prove nothing.
    let seeds = upto - from;
    if seeds >= 100 && steps.is_none() {
        assert!(chosen > 20 * seeds, "only {chosen} slots were chosen in {seeds} schedules");
        assert!(reads > 2 * seeds, "only {reads} reads were answered in {seeds} schedules");
    }
    eprintln!("{seeds} schedules: {chosen} slots chosen, {reads} reads answered");
}

/// The same seed plays the same schedule, byte for byte.
#[test]
fn a_seed_plays_the_same_schedule_again() {
    let trace = |seed| {
        let mut run = Run::new(seed);
        run.cluster.quiet = false;
        for id in run.cluster.ids() {
            run.cluster.boot(id);
        }
        run.cluster.connect_all();
        for _ in 0..500 {
            run.step();
        }
        run.cluster.trace
    };
    for seed in 0..5 {
        assert_eq!(trace(seed), trace(seed), "seed {seed}");
    }
}
