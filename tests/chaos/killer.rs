//! What happens to the nodes: kills, pauses and orderly stops, by a seed. Everything comes back
//! after a while; now and then a majority is gone for a moment, or all of them.

use crate::rig::random::Random;
use crate::rig::{Cluster, poll};
use std::fmt;
use std::time::{Duration, Instant};

/// Chance, in percent, that more than a minority goes at once.
const MAJORITY_PERCENT: u64 = 8;

/// Does it all, and counts.
#[derive(Debug)]
pub struct Killer {
    random: Random,
    kills: u64,
    pauses: u64,
    stops: u64,
}

/// What is done to a node.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Kill,
    Pause,
    Stop,
}

impl Killer {
    /// One that does what the seed says.
    pub fn new(random: Random) -> Killer {
        Killer { random, kills: 0, pauses: 0, stops: 0 }
    }

    /// Goes on for that long; afterwards every node runs.
    pub fn rage(&mut self, cluster: &mut Cluster, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            // Mostly long enough for a leader to come up and serve, sometimes in the middle of it.
            self.wait(50, 1000);
            for id in self.victims(cluster.size()) {
                check_alive(cluster, id);
                self.strike(cluster, id);
            }
            self.wait(20, 1000);
            restore(cluster);
        }
        for id in cluster.ids() {
            check_alive(cluster, id);
        }
    }

    fn wait(&mut self, low_ms: u64, high_ms: u64) {
        poll::pass(Duration::from_millis(self.random.between(low_ms, high_ms)));
    }

    /// A minority of the nodes, or more.
    fn victims(&mut self, size: u16) -> Vec<u16> {
        let minority = u64::from(size.saturating_sub(1) / 2).max(1);
        let count = match self.random.percent(MAJORITY_PERCENT) {
            true => self.random.between(minority, u64::from(size)),
            false => self.random.between(1, minority),
        };
        let mut ids: Vec<u16> = (1..=size).collect();
        while ids.len() as u64 > count {
            let at = self.random.below(ids.len() as u64);
            ids.remove(usize::try_from(at).expect("an index below a length"));
        }
        ids
    }

    fn strike(&mut self, cluster: &mut Cluster, id: u16) {
        let deed = match self.random.below(10) {
            0..5 => Deed::Kill,
            5..8 => Deed::Pause,
            _ => Deed::Stop,
        };
        let node = cluster.node_mut(id);
        match deed {
            Deed::Kill => {
                node.kill();
                self.kills += 1;
            }
            Deed::Pause => {
                node.pause();
                self.pauses += 1;
            }
            Deed::Stop => {
                let status = node.stop();
                assert_eq!(status.code(), Some(0), "node {id} was told to stop: {status}");
                self.stops += 1;
            }
        }
    }
}

/// Starts what is down, and lets go on what is frozen.
fn restore(cluster: &mut Cluster) {
    for id in cluster.ids() {
        let node = cluster.node_mut(id);
        if !node.is_started() {
            node.start();
        } else if node.is_paused() {
            node.resume();
        }
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
        write!(f, "{} kills, {} pauses, {} stops", self.kills, self.pauses, self.stops)
    }
}
