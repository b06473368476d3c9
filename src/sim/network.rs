//! Connections between nodes: first in, first out, until they break and lose what is in flight.
//!
//! A cut direction of a link holds messages back, as a connection's retransmissions do: they arrive
//! when the cut ends before the connection is given up, and are lost with it otherwise. The two
//! ends of a connection learn of its end at times of their own.

use super::queue::{Queue, SimEvent};
use super::rng::Rng;
use crate::wire::peer::Message;
use std::collections::VecDeque;

/// Shortest and longest time until an end notices that its connection is gone.
const NOTICE_US: (u64, u64) = (50, 300_000);
/// Shortest and longest time after which a connection with a cut direction is given up.
const GIVE_UP_US: (u64, u64) = (100_000, 2_500_000);
/// Pause between two attempts to connect.
const RETRY_US: (u64, u64) = (5_000, 100_000);

/// All links between the nodes of a cluster.
#[derive(Debug)]
pub(super) struct Network {
    nodes: usize,
    delay_us: u64,
    generation: u64,
    /// By pair of nodes, the lower one first.
    connections: Vec<Option<Connection>>,
    /// By receiver and sender: the direction is cut. Counted, because cuts overlap.
    cuts: Vec<u32>,
    /// By sender and receiver: so much later than usual messages arrive.
    lags: Vec<u64>,
    /// By node and peer: the connection that is open as far as the node has noticed.
    open: Vec<Option<u64>>,
}

#[derive(Debug)]
struct Connection {
    generation: u64,
    /// From the lower node to the higher one, and back.
    ways: [Way; 2],
}

#[derive(Debug, Default)]
struct Way {
    messages: VecDeque<Message>,
    /// The last arrival planned: nothing overtakes.
    last_at: u64,
    /// Arrivals that a cut holds back.
    stuck: usize,
}

impl Network {
    pub(super) fn new(nodes: usize, delay_us: u64) -> Network {
        Network {
            nodes,
            delay_us,
            generation: 0,
            connections: (0..nodes * nodes).map(|_| None).collect(),
            cuts: vec![0; nodes * nodes],
            lags: vec![0; nodes * nodes],
            open: vec![None; nodes * nodes],
        }
    }

    fn pair(&self, a: usize, b: usize) -> usize {
        a.min(b) * self.nodes + a.max(b)
    }

    fn edge(&self, from: usize, to: usize) -> usize {
        from * self.nodes + to
    }

    /// True when messages pass in this direction.
    pub(super) fn passes(&self, from: usize, to: usize) -> bool {
        self.cuts[self.edge(from, to)] == 0
    }

    pub(super) fn is_connected(&self, a: usize, b: usize) -> bool {
        self.connections[self.pair(a, b)].is_some()
    }

    /// The connection to `peer` that is open as far as `node` has noticed.
    pub(super) fn believes(&self, node: usize, peer: usize) -> Option<u64> {
        self.open[self.edge(node, peer)]
    }

    pub(super) fn set_belief(&mut self, node: usize, peer: usize, open: Option<u64>) {
        let edge = self.edge(node, peer);
        self.open[edge] = open;
    }

    /// The generation of the live connection of a pair.
    pub(super) fn generation(&self, a: usize, b: usize) -> Option<u64> {
        self.connections[self.pair(a, b)].as_ref().map(|connection| connection.generation)
    }

    /// Opens a connection; both ends see it after a round trip, each at a time of its own.
    pub(super) fn connect(
        &mut self,
        now: u64,
        a: usize,
        b: usize,
        rng: &mut Rng,
        queue: &mut Queue,
    ) {
        self.generation += 1;
        let generation = self.generation;
        let mut ways = [Way::default(), Way::default()];
        for (node, peer) in [(a, b), (b, a)] {
            let at = now + rng.duration(self.delay_us) + rng.duration(self.delay_us);
            queue.push(at, SimEvent::EndUp { node, peer, generation });
            ways[usize::from(peer > node)].last_at = at;
        }
        let pair = self.pair(a, b);
        self.connections[pair] = Some(Connection { generation, ways });
    }

    /// Sends on the connection that is open as far as the sender has noticed; lost if it is gone.
    pub(super) fn send(
        &mut self,
        now: u64,
        from: usize,
        to: usize,
        message: Message,
        rng: &mut Rng,
        queue: &mut Queue,
    ) {
        let believed = self.believes(from, to);
        let (delay_us, lag_us) = (self.delay_us, self.lags[self.edge(from, to)]);
        let pair = self.pair(from, to);
        let Some(connection) = &mut self.connections[pair] else { return };
        if believed != Some(connection.generation) {
            return;
        }
        let generation = connection.generation;
        let way = &mut connection.ways[usize::from(from > to)];
        way.messages.push_back(message);
        way.last_at = way.last_at.max(now + rng.duration(delay_us) + lag_us);
        queue.push(way.last_at, SimEvent::Deliver { from, to, generation });
    }

    /// From now on messages of this direction arrive so much later than usual.
    pub(super) fn set_lag(&mut self, from: usize, to: usize, lag_us: u64) {
        let edge = self.edge(from, to);
        self.lags[edge] = lag_us;
    }

    /// No direction is late any more.
    pub(super) fn reset_lag(&mut self) {
        self.lags.fill(0);
    }

    /// The message that arrives, unless its connection is gone or a cut holds it back.
    pub(super) fn deliver(&mut self, from: usize, to: usize, generation: u64) -> Option<Message> {
        let passes = self.passes(from, to);
        let pair = self.pair(from, to);
        let connection = self.connections[pair].as_mut()?;
        if connection.generation != generation {
            return None;
        }
        let way = &mut connection.ways[usize::from(from > to)];
        if !passes {
            way.stuck += 1;
            return None;
        }
        way.messages.pop_front()
    }

    /// Cuts one direction of a link. The connection may survive it.
    pub(super) fn cut(
        &mut self,
        now: u64,
        from: usize,
        to: usize,
        rng: &mut Rng,
        queue: &mut Queue,
    ) {
        let edge = self.edge(from, to);
        self.cuts[edge] += 1;
        if let Some(generation) = self.generation(from, to) {
            let at = now + rng.range(GIVE_UP_US.0, GIVE_UP_US.1);
            queue.push(at, SimEvent::Break { a: from, b: to, generation });
        }
    }

    /// Ends one cut of one direction; what was held back arrives.
    pub(super) fn end_cut(
        &mut self,
        now: u64,
        from: usize,
        to: usize,
        rng: &mut Rng,
        queue: &mut Queue,
    ) {
        let edge = self.edge(from, to);
        self.cuts[edge] = self.cuts[edge].saturating_sub(1);
        if self.cuts[edge] > 0 {
            return;
        }
        let delay_us = self.delay_us;
        let pair = self.pair(from, to);
        let Some(connection) = &mut self.connections[pair] else { return };
        let generation = connection.generation;
        let way = &mut connection.ways[usize::from(from > to)];
        for _ in 0..std::mem::take(&mut way.stuck) {
            way.last_at = way.last_at.max(now + rng.duration(delay_us));
            queue.push(way.last_at, SimEvent::Deliver { from, to, generation });
        }
    }

    /// True while a connection stands that a cut may yet bring down.
    pub(super) fn is_half_cut(&self, a: usize, b: usize, generation: u64) -> bool {
        self.generation(a, b) == Some(generation) && !(self.passes(a, b) && self.passes(b, a))
    }

    /// The connection is gone, and what is in flight with it. Its ends notice by and by; they will
    /// try again.
    pub(super) fn break_off(
        &mut self,
        now: u64,
        a: usize,
        b: usize,
        rng: &mut Rng,
        queue: &mut Queue,
    ) {
        let pair = self.pair(a, b);
        let Some(connection) = self.connections[pair].take() else { return };
        let generation = connection.generation;
        for (node, peer) in [(a, b), (b, a)] {
            let at = now + rng.range(NOTICE_US.0, NOTICE_US.1) / rng.range(1, 50);
            queue.push(at, SimEvent::EndDown { node, peer, generation });
        }
        self.retry(now, a, b, rng, queue);
    }

    pub(super) fn retry(&self, now: u64, a: usize, b: usize, rng: &mut Rng, queue: &mut Queue) {
        queue.push(now + rng.range(RETRY_US.0, RETRY_US.1), SimEvent::Connect { a, b });
    }

    /// A node's process is gone: its ends are forgotten, its connections break.
    pub(super) fn forget(&mut self, now: u64, node: usize, rng: &mut Rng, queue: &mut Queue) {
        for peer in 0..self.nodes {
            if peer != node {
                self.set_belief(node, peer, None);
                self.break_off(now, node, peer, rng, queue);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Ballot;
    use crate::wire::peer::Release;

    fn message(round: u64) -> Message {
        Message::Release(Release { ballot: Ballot { round, ..Ballot::ZERO } })
    }

    fn arrivals(network: &mut Network, queue: &mut Queue) -> Vec<u64> {
        let mut rounds = Vec::new();
        while let Some((_, event)) = queue.pop() {
            match event {
                SimEvent::EndUp { node, peer, generation } => {
                    network.set_belief(node, peer, Some(generation));
                }
                SimEvent::Deliver { from, to, generation } => {
                    if let Some(Message::Release(release)) = network.deliver(from, to, generation) {
                        rounds.push(release.ballot.round);
                    }
                }
                _ => {}
            }
        }
        rounds
    }

    /// What is late arrives all the same, and what is sent behind it does not overtake it.
    #[test]
    fn late_messages_keep_their_order() {
        let (mut rng, mut queue) = (Rng::new(2), Queue::default());
        let mut network = Network::new(2, 100);
        network.connect(0, 0, 1, &mut rng, &mut queue);
        assert!(arrivals(&mut network, &mut queue).is_empty());
        network.set_lag(1, 0, 400_000);
        network.send(1_000, 1, 0, message(1), &mut rng, &mut queue);
        network.reset_lag();
        network.send(1_000, 1, 0, message(2), &mut rng, &mut queue);
        network.send(1_000, 0, 1, message(3), &mut rng, &mut queue);
        assert_eq!(arrivals(&mut network, &mut queue), [3, 1, 2]);
    }

    /// Messages arrive in order; a cut holds them back, a break loses them.
    #[test]
    fn first_in_first_out_until_it_breaks() {
        let (mut rng, mut queue) = (Rng::new(1), Queue::default());
        let mut network = Network::new(2, 100);
        network.connect(0, 0, 1, &mut rng, &mut queue);
        assert!(arrivals(&mut network, &mut queue).is_empty());
        for round in 1..=5 {
            network.send(1_000, 1, 0, message(round), &mut rng, &mut queue);
        }
        assert_eq!(arrivals(&mut network, &mut queue), [1, 2, 3, 4, 5]);
        network.cut(2_000, 1, 0, &mut rng, &mut queue);
        network.send(2_000, 1, 0, message(6), &mut rng, &mut queue);
        network.send(2_000, 0, 1, message(7), &mut rng, &mut queue);
        assert_eq!(arrivals(&mut network, &mut queue), [7]);
        network.end_cut(3_000, 1, 0, &mut rng, &mut queue);
        assert_eq!(arrivals(&mut network, &mut queue), [6]);
        network.send(4_000, 1, 0, message(8), &mut rng, &mut queue);
        network.break_off(4_000, 0, 1, &mut rng, &mut queue);
        assert!(arrivals(&mut network, &mut queue).is_empty());
    }
}
