//! What a seed decides beforehand: the cluster, its hardware, its clients, and what will go wrong.

use super::rng::Rng;
use crate::paxos::{Quorums, Timing};
use crate::shard::CutOptions;

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum FaultKind {
    /// A process is killed; its machine runs on.
    Kill,
    /// A machine loses power, and what it had not synced.
    PowerCut,
    /// All processes are killed.
    KillAll,
    /// All machines lose power.
    PowerCutAll,
    /// A process stands still for a while.
    Pause,
    /// A connection breaks, with what is in flight.
    Break,
    /// A link loses one direction.
    OneWay,
    /// The cluster falls into two parts.
    Partition,
    /// The leader is cut off, in one direction or both.
    Isolate,
    /// Some links are cut, at random.
    CutSomeLinks,
    /// What some links carry is late, for a while, and arrives all the same.
    Lag,
    /// A disk is slow for a while.
    SlowDisk,
    /// A disk is full for a while.
    FullDisk,
    /// A sync fails.
    FailSync,
    /// A node is stopped cleanly.
    HandOver,
    /// A node is away until others have forgotten what it lacks (C29).
    Away,
    /// A process ends while a file is written that is seldom written.
    Interrupt,
    /// A machine loses power, and its disk rots in a place.
    Rot,
    /// A node loses its disk and is initialised anew: its peers must refuse it (R27).
    Wipe,
    /// A disk is set back to what it held earlier (R13).
    SetBack,
    /// Memory fails: the state of a node becomes another one (C32).
    Spoil,
    /// One value rots on all nodes, and its entries are declared lost (C32b).
    Lose,
}

const FAULTS: [FaultKind; 17] = [
    FaultKind::Kill,
    FaultKind::PowerCut,
    FaultKind::KillAll,
    FaultKind::PowerCutAll,
    FaultKind::Pause,
    FaultKind::Break,
    FaultKind::OneWay,
    FaultKind::Partition,
    FaultKind::Isolate,
    FaultKind::CutSomeLinks,
    FaultKind::Lag,
    FaultKind::SlowDisk,
    FaultKind::FullDisk,
    FaultKind::FailSync,
    FaultKind::HandOver,
    FaultKind::Away,
    FaultKind::Interrupt,
];

/// What a seed decides beforehand. Times are in real microseconds.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// Members.
    pub nodes: usize,
    /// Quorums.
    pub quorums: Quorums,
    /// The replicas' times.
    pub timing: Timing,
    /// Every start of a node draws its lease anew (C15).
    pub lease_varies: bool,
    /// α.
    pub window_slots: u64,
    /// Most bytes in open slots.
    pub window_bytes: usize,
    /// Bytes of a segment.
    pub segment_bytes: u64,
    /// Most bytes of chosen values that a node keeps in memory.
    pub cache_bytes: usize,
    /// What may lie between two cuts.
    pub cuts: CutOptions,
    /// Clocks run at most this many millionths too slow or too fast.
    pub drift_ppm: u64,
    /// Typical one-way delay between nodes.
    pub delay_us: u64,
    /// Typical one-way delay between clients and nodes.
    pub client_delay_us: u64,
    /// Typical time of a sync.
    pub sync_us: u64,
    /// Typical time from an input to the turn that takes it in.
    pub turn_us: u64,
    /// Clients.
    pub clients: usize,
    /// Clients more that keep to a node each, whoever leads: what a deposed leader says is heard.
    pub loyal: usize,
    /// Typical pause of a client between two bursts.
    pub think_us: u64,
    /// Most requests of a client under way.
    pub pipeline: u64,
    /// Most bytes of an entry.
    pub entry_bytes: u64,
    /// Names of logs.
    pub names: u64,
    /// How long things go wrong.
    pub chaos_us: u64,
    /// Typical time between two faults.
    pub fault_us: u64,
    /// What may go wrong.
    pub faults: Vec<FaultKind>,
    /// The one node whose disk may rot, be lost or be set back: of what was acknowledged, others hold copies.
    pub faulty_node: usize,
    /// Bytes of the journal that stay for members that were away.
    pub catchup_bytes: u64,
    /// Of a hundred requests so many trim most of a log, so that segments are released all along.
    pub trims: u64,
}

impl FaultKind {
    /// As it is written on the command line.
    #[must_use]
    pub fn name(self) -> String {
        use clap::ValueEnum;
        self.to_possible_value().map_or(String::new(), |value| value.get_name().to_string())
    }
}

impl Plan {
    /// The plan of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Plan {
        let mut rng = Rng::new(seed);
        let nodes = *rng.pick(&[1, 2, 3, 3, 3, 3, 3, 3, 4, 5, 5, 5]);
        let quorums = quorums(nodes, &mut rng);
        let lease_us = *rng.pick(&[0, 0, 300_000, 300_000, 300_000, 200_000, 300_000]);
        let mut timing =
            Timing { lease_us, chosen_upto_us: *rng.pick(&[0, 1_000, 1_000]), ..Timing::default() };
        let (delay_us, sync_us) = if rng.percent(25) {
            hasten(&mut timing, *rng.pick(&[50_000, 100_000]));
            (*rng.pick(&[50, 150]), *rng.pick(&[100, 400]))
        } else {
            (*rng.pick(&[50, 150, 150, 1_000, 10_000]), *rng.pick(&[100, 400, 400, 2_000, 10_000]))
        };
        let window_slots = *rng.pick(&[2, 8, 32, 256, 256, 256]);
        let mut faults: Vec<FaultKind> = FAULTS.into_iter().filter(|_| rng.percent(45)).collect();
        if nodes >= 3 && quorums == Quorums::majority(nodes) {
            match rng.below(100) {
                0..=16 => faults.push(FaultKind::Rot),
                17..=21 => faults.push(FaultKind::Wipe),
                22..=33 => {
                    faults.extend([FaultKind::SetBack, FaultKind::Kill, FaultKind::PowerCut])
                }
                34..=43 => faults.push(FaultKind::Lose),
                _ => {}
            }
        }
        let faulty_node = rng.below(nodes as u64) as usize;
        Plan {
            seed,
            nodes,
            quorums,
            timing,
            lease_varies: lease_us > 0 && rng.percent(20),
            window_slots,
            window_bytes: *rng.pick(&[8 << 20, 16 << 20, 64 << 10]),
            segment_bytes: *rng.pick(&[64 << 10, 256 << 10, 256 << 10, 1 << 20]),
            cache_bytes: *rng.pick(&[0, 20 << 10, 32 << 20]),
            cuts: CutOptions {
                bytes: *rng.pick(&[1 << 10, 20 << 10, 1 << 20]),
                slots: *rng.pick(&[3, 20, 100]),
                extents: *rng.pick(&[5, 50, 1 << 20]),
                idle_us: *rng.pick(&[200_000, 60_000_000]),
                gap_us: *rng.pick(&[0, 20_000]),
            },
            // The bound of 10 % between two clocks is kept: 1.05 / 0.95 < 1 / 0.9.
            drift_ppm: *rng.pick(&[0, 200, 20_000, 50_000]),
            delay_us,
            client_delay_us: *rng.pick(&[50, 150, 2_000]),
            sync_us,
            turn_us: *rng.pick(&[1, 10, 10, 200]),
            clients: rng.range(2, 5) as usize,
            loyal: if rng.one_in(2) { rng.range(1, nodes as u64) as usize } else { 0 },
            think_us: *rng.pick(&[60_000, 150_000, 300_000]),
            pipeline: *rng.pick(&[1, 3, 8]),
            entry_bytes: *rng.pick(&[16, 200, 200, 3_000]),
            names: rng.range(1, 4),
            chaos_us: *rng.pick(&[4_000_000, 8_000_000, 14_000_000]),
            fault_us: *rng.pick(&[100_000, 300_000, 700_000, 1_500_000]),
            faults,
            faulty_node,
            catchup_bytes: *rng.pick(&[0, 0, 64 << 10, 1 << 20]),
            trims: *rng.pick(&[0, 8, 20]),
        }
    }

    /// The plan of a seed, with a fault that it may not have had: in a cluster of at least three with
    /// majorities, so that one node's disk can be missed.
    #[must_use]
    pub fn with(seed: u64, fault: FaultKind) -> Plan {
        let mut plan = Plan::of(seed);
        plan.nodes = plan.nodes.max(3);
        plan.quorums = Quorums::majority(plan.nodes);
        plan.faulty_node %= plan.nodes;
        plan.faults.retain(|other| {
            !matches!(
                other,
                FaultKind::Rot
                    | FaultKind::Wipe
                    | FaultKind::SetBack
                    | FaultKind::Spoil
                    | FaultKind::Lose
            )
        });
        plan.faults.extend([fault, FaultKind::Kill, FaultKind::PowerCut]);
        plan
    }

    /// True when the seed's disks rot.
    #[must_use]
    pub fn rots(&self) -> bool {
        self.faults.contains(&FaultKind::Rot)
    }

    /// True when a value may rot on all nodes.
    #[must_use]
    pub fn loses_values(&self) -> bool {
        self.faults.contains(&FaultKind::Lose)
    }

    /// True when a node may be out before the end: for good, for what its disk lost, or for as long as its
    /// state is another than that of the others.
    #[must_use]
    pub fn loses_node(&self) -> bool {
        self.rots()
            || self.loses_values()
            || self.faults.contains(&FaultKind::SetBack)
            || self.faults.contains(&FaultKind::Spoil)
    }

    /// The plan in one line.
    #[must_use]
    pub fn summary(&self) -> String {
        format!(
            "{} nodes, quorums {}/{}, lease {} ms{}, elections after {} ms, window {}, segments {} KiB, \
             drift {} ppm, delay {} us, sync {} us, {} + {} clients x {}, faults {:?} every {} ms for \
             {} s",
            self.nodes,
            self.quorums.prepare,
            self.quorums.accept,
            self.timing.lease_us / 1_000,
            if self.lease_varies { " (varies)" } else { "" },
            self.timing.election_us / 1_000,
            self.window_slots,
            self.segment_bytes >> 10,
            self.drift_ppm,
            self.delay_us,
            self.sync_us,
            self.clients,
            self.loyal,
            self.pipeline,
            self.faults,
            self.fault_us / 1_000,
            self.chaos_us / 1_000_000
        )
    }
}

/// Elections faster than leases: then only grants, and what is durable of them, keep rivals apart.
fn hasten(timing: &mut Timing, election_us: u64) {
    timing.election_us = election_us;
    timing.jitter_us = election_us / 3;
    timing.heartbeat_us = election_us / 3;
    timing.retry_us = election_us / 2;
}

/// Majorities mostly; else any pair that intersects (Flexible Paxos).
fn quorums(nodes: usize, rng: &mut Rng) -> Quorums {
    if rng.percent(70) {
        return Quorums::majority(nodes);
    }
    let accept = rng.range(1, nodes as u64) as usize;
    Quorums { prepare: nodes + 1 - accept, accept }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every plan is one that a configuration check would let pass.
    #[test]
    fn plans_are_lawful() {
        for seed in 0..2_000 {
            let plan = Plan::of(seed);
            assert!(plan.quorums.check(plan.nodes).is_ok(), "{plan:?}");
            let (slow, fast) = (1_000_000 - plan.drift_ppm, 1_000_000 + plan.drift_ppm);
            let held = plan.timing.lease_us * (100 - plan.timing.drift_percent) / 100;
            // The holder's share on the slowest clock ends before the grantor's on the fastest.
            assert!(held * fast <= plan.timing.lease_us * slow, "{plan:?}");
        }
    }

    /// The shapes without which some planted bugs go unnoticed are drawn often enough: elections faster than
    /// leases, no leases at all, late links, rot, clients that keep to a deposed leader.
    #[test]
    fn every_shape_is_drawn() {
        let plans: Vec<Plan> = (0..2_000).map(Plan::of).collect();
        let share = |fits: &dyn Fn(&Plan) -> bool| plans.iter().filter(|plan| fits(plan)).count();
        let hasty = |plan: &Plan| plan.timing.election_us < plan.timing.lease_us;
        assert!(share(&hasty) > 200, "{}", share(&hasty));
        assert!(share(&|plan| plan.timing.lease_us == 0) > 400);
        assert!(share(&|plan| plan.faults.contains(&FaultKind::Lag)) > 600);
        assert!(share(&Plan::rots) > 150, "{}", share(&Plan::rots));
        assert!(share(&Plan::loses_values) > 80, "{}", share(&Plan::loses_values));
        assert!(share(&|plan| plan.loyal > 0) > 600);
    }
}
