//! The nodes' ends of the connections between them.

use super::violation::CheckResult;
use super::world::World;
use crate::shard::Input;

impl World {
    pub(super) fn message_arrives(&mut self, from: usize, to: usize, generation: u64) {
        if let Some(message) = self.network.deliver(from, to, generation) {
            let (sender, is_faulty) = (&self.nodes[from], from == self.plan.faulty_node);
            if self.set_back.note_arrival(sender, is_faulty, to, &message) {
                self.trace.line(self.now, || {
                    format!("n{} cannot know that n{} was set back", to + 1, from + 1)
                });
            }
            let node = self.nodes[from].id;
            self.give_input(to, Input::Peer { node, message });
        }
    }

    /// Two nodes greet each other, if both are there, the link carries both ways, and each admits
    /// the other. Else they try again.
    pub(super) fn connect(&mut self, a: usize, b: usize) {
        if self.network.is_connected(a, b) {
            return;
        }
        let reach = self.network.passes(a, b) && self.network.passes(b, a);
        let greets = |node: usize, peer: usize| {
            let (greeting, greeted) = (&self.nodes[node], &self.nodes[peer]);
            let admits = |shard: &crate::shard::Shard| {
                shard.admits(greeted.id, greeted.identity.incarnation).is_ok()
            };
            greeting.is_up() && greeting.shard.as_ref().is_some_and(admits)
        };
        if reach && greets(a, b) && greets(b, a) {
            self.network.connect(self.now, a, b, &mut self.rng, &mut self.queue);
        } else {
            self.network.retry(self.now, a, b, &mut self.rng, &mut self.queue);
        }
    }

    pub(super) fn end_up(&mut self, node: usize, peer: usize, generation: u64) {
        if self.network.generation(node, peer) != Some(generation) {
            return; // It broke before this end saw it open.
        }
        let (id, incarnation) = (self.nodes[peer].id, self.nodes[peer].identity.incarnation);
        if self.network.believes(node, peer).is_some() {
            self.give_input(node, Input::PeerDown { node: id });
        }
        self.network.set_belief(node, peer, Some(generation));
        self.give_input(node, Input::PeerUp { node: id, incarnation });
    }

    pub(super) fn end_down(&mut self, node: usize, peer: usize, generation: u64) {
        if self.network.believes(node, peer) == Some(generation) {
            self.network.set_belief(node, peer, None);
            self.give_input(node, Input::PeerDown { node: self.nodes[peer].id });
        }
    }

    /// Breaks one connection.
    pub(super) fn break_link(&mut self, a: usize, b: usize) {
        self.network.break_off(self.now, a, b, &mut self.rng, &mut self.queue);
    }

    /// Cuts directed links.
    pub(super) fn cut(&mut self, cuts: &[(usize, usize)]) {
        self.trace.line(self.now, || format!("cut {cuts:?}"));
        for (from, to) in cuts {
            self.network.cut(self.now, *from, *to, &mut self.rng, &mut self.queue);
        }
    }

    /// Ends cuts of directed links.
    pub(super) fn end_cut(&mut self, cuts: &[(usize, usize)]) {
        self.trace.line(self.now, || format!("end cut {cuts:?}"));
        for (from, to) in cuts {
            self.network.end_cut(self.now, *from, *to, &mut self.rng, &mut self.queue);
        }
    }

    /// Mends everything.
    pub(super) fn end_all_cuts(&mut self) -> CheckResult {
        let nodes = self.nodes.len();
        self.network.reset_lag();
        for (from, to) in (0..nodes).flat_map(|from| (0..nodes).map(move |to| (from, to))) {
            while from != to && !self.network.passes(from, to) {
                self.network.end_cut(self.now, from, to, &mut self.rng, &mut self.queue);
            }
        }
        Ok(())
    }
}
