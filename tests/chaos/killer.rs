//! What happens to the nodes, by a seed: scenes in turn. In most of them each node has a clock of
//! its own, so that who is down overlaps in every way, mostly a minority, now and then more; some are
//! plots against a leader. Nobody stays down for good.

use crate::rig::random::Random;
use crate::rig::{Cluster, poll};
use paxosd::client::Role;
use std::fmt;
use std::time::{Duration, Instant};

/// Chance, in percent, that a node is struck although a minority is down already.
const MAJORITY_PERCENT: u64 = 25;
/// How long a node is left in peace, in milliseconds.
const PEACE_MS: (u64, u64) = (100, 2_500);
/// How long it is down: mostly past an election, sometimes in the middle of it.
const DOWN_MS: (u64, u64) = (20, 1_500);
/// How long a scene of scattered strikes is.
const SCATTER_MS: (u64, u64) = (1_000, 4_000);
/// How long a leader is left alone before it dies too.
const LONELY_MS: (u64, u64) = (50, 600);
/// How long a leader that was left alone is missed.
const MISSED_MS: (u64, u64) = (300, 2_000);
/// How long a leader is frozen: about as long as it takes to elect another.
const FROZEN_MS: (u64, u64) = (400, 700);

/// Does it all, and counts.
#[derive(Debug)]
pub struct Killer {
    random: Random,
    kills: u64,
    pauses: u64,
    stops: u64,
    majorities: u64,
}

impl Killer {
    /// One that does what the seed says.
    pub fn new(random: Random) -> Killer {
        Killer { random, kills: 0, pauses: 0, stops: 0, majorities: 0 }
    }

    /// Goes on for that long; afterwards every node runs.
    pub fn rage(&mut self, cluster: &mut Cluster, time: Duration) {
        let end = Instant::now() + time;
        let mut scene = self.random.below(4);
        while Instant::now() < end {
            scene += 1;
            match scene % 4 {
                0 => self.lonely_leader(cluster),
                1 => self.frozen_leader(cluster),
                _ => {
                    let until = self.after(SCATTER_MS);
                    self.scatter(cluster, until.min(end));
                }
            }
            self.calm(cluster);
        }
    }

    /// Every node for itself.
    fn scatter(&mut self, cluster: &mut Cluster, end: Instant) {
        let mut turns: Vec<(Instant, u16)> =
            cluster.ids().map(|id| (self.after(PEACE_MS), id)).collect();
        loop {
            let turn = turns.iter_mut().min().expect("a cluster has nodes");
            if turn.0 >= end {
                return;
            }
            poll::pass(turn.0.saturating_duration_since(Instant::now()));
            let id = turn.1;
            if !is_up(cluster, id) {
                restore(cluster, id);
                turn.0 = self.after(PEACE_MS);
            } else if self.may_strike(cluster) {
                self.strike(cluster, id);
                turn.0 = self.after(DOWN_MS);
            } else {
                turn.0 = self.after(PEACE_MS);
            }
        }
    }

    /// A leader loses everybody else, goes on alone for a while, and dies too; the others come back
    /// without it. Whatever it acknowledged alone is gone then.
    fn lonely_leader(&mut self, cluster: &mut Cluster) {
        let Some(leader) = self.some_leader(cluster) else { return };
        let others: Vec<u16> = cluster.ids().filter(|id| *id != leader).collect();
        others.iter().for_each(|id| self.kill(cluster, *id));
        self.majorities += 1;
        self.wait(LONELY_MS);
        self.kill(cluster, leader);
        others.iter().for_each(|id| restore(cluster, *id));
        self.wait(MISSED_MS);
        restore(cluster, leader);
    }

    /// A leader stands still for as long as it takes to elect another.
    fn frozen_leader(&mut self, cluster: &mut Cluster) {
        let Some(leader) = self.some_leader(cluster) else { return };
        check_alive(cluster, leader);
        cluster.node_mut(leader).pause();
        self.pauses += 1;
        self.wait(FROZEN_MS);
        restore(cluster, leader);
    }

    fn some_leader(&mut self, cluster: &Cluster) -> Option<u16> {
        let shard = u16::try_from(self.random.below(u64::from(cluster.shards()))).ok()?;
        poll::within(Duration::from_secs(1), || {
            let states = cluster.shard_states(shard);
            states.iter().find(|(_, state)| state.role == Role::Leader).map(|(id, _)| *id)
        })
    }

    /// Everybody is up again, and has a moment.
    fn calm(&mut self, cluster: &mut Cluster) {
        for id in cluster.ids() {
            if is_up(cluster, id) {
                check_alive(cluster, id);
            } else {
                restore(cluster, id);
            }
        }
        self.wait((100, 600));
    }

    fn wait(&mut self, (low_ms, high_ms): (u64, u64)) {
        poll::pass(Duration::from_millis(self.random.between(low_ms, high_ms)));
    }

    fn kill(&mut self, cluster: &mut Cluster, id: u16) {
        check_alive(cluster, id);
        cluster.node_mut(id).kill();
        self.kills += 1;
    }

    fn after(&mut self, (low_ms, high_ms): (u64, u64)) -> Instant {
        Instant::now() + Duration::from_millis(self.random.between(low_ms, high_ms))
    }

    fn may_strike(&mut self, cluster: &Cluster) -> bool {
        let down = cluster.ids().filter(|id| !is_up(cluster, *id)).count();
        let minority = usize::from(cluster.size() - 1) / 2;
        if down < minority {
            return true;
        }
        let strikes = self.random.percent(MAJORITY_PERCENT);
        self.majorities += u64::from(strikes);
        strikes
    }

    fn strike(&mut self, cluster: &mut Cluster, id: u16) {
        check_alive(cluster, id);
        match self.random.below(10) {
            0..5 => self.kill(cluster, id),
            5..8 => {
                cluster.node_mut(id).pause();
                self.pauses += 1;
            }
            _ => {
                let status = cluster.node_mut(id).stop();
                assert_eq!(status.code(), Some(0), "node {id} was asked to stop: {status}");
                self.stops += 1;
            }
        }
    }
}

fn is_up(cluster: &Cluster, id: u16) -> bool {
    cluster.node(id).is_started() && !cluster.node(id).is_paused()
}

/// Starts a node that is down, or lets go on one that is frozen.
fn restore(cluster: &mut Cluster, id: u16) {
    let node = cluster.node_mut(id);
    if node.is_paused() {
        node.resume();
    } else {
        node.start();
    }
}

/// A node that ended by itself is a fault, whatever the logs hold.
fn check_alive(cluster: &mut Cluster, id: u16) {
    if let Some(status) = cluster.node_mut(id).ended() {
        panic!("node {id} ended by itself: {status}\n{}", cluster.node(id).log_tail());
    }
}

impl fmt::Display for Killer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Killer { kills, pauses, stops, majorities, .. } = self;
        write!(f, "{kills} kills, {pauses} pauses, {stops} stops, {majorities} past a minority")
    }
}
