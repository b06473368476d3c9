//! Faults that count only together: late links, and damage where it hurts.

use super::node::Medium;
use super::plan::FaultKind;
use super::queue::{FaultEnd, SimEvent};
use super::violation::CheckResult;
use super::world::World;

impl World {
    /// What some links of a node carry is late for a while, and arrives in order all the same: a grant, an
    /// answer, a release that belongs to a leadership long gone.
    pub(super) fn lag(&mut self, node: usize) {
        let (there, back) = *self.rng.pick(&[(true, false), (false, true), (true, true)]);
        let single = self.rng.one_in(2).then(|| self.rng.below(self.nodes.len() as u64) as usize);
        let mut links = Vec::new();
        for peer in (0..self.nodes.len()).filter(|peer| *peer != node) {
            if single.is_none_or(|single| single == peer) {
                links.extend(there.then_some((node, peer)));
                links.extend(back.then_some((peer, node)));
            }
        }
        let lag_us = *self.rng.pick(&[5_000, 50_000, 200_000, 500_000]);
        self.trace.line(self.now, || format!("{lag_us} us late: {links:?}"));
        for (from, to) in &links {
            self.network.set_lag(*from, *to, lag_us);
        }
        let time = *self.rng.pick(&[100_000, 600_000, 2_000_000]);
        let until = self.now + self.rng.duration(time);
        self.queue.push(until, SimEvent::Over(FaultEnd::Lag(links)));
    }

    /// Links are as fast as usual again.
    pub(super) fn catch_up(&mut self, links: &[(usize, usize)]) {
        self.trace.line(self.now, || format!("in time again: {links:?}"));
        for (from, to) in links {
            self.network.set_lag(*from, *to, 0);
        }
    }

    /// For a while only an accept quorum takes part, with the leader and `node` in it. Then `node` rots, and
    /// the leader is cut off: of what was chosen meanwhile the others know only what `node` can still say.
    /// False where nobody else leads.
    pub(super) fn isolate_to_bare_quorum(&mut self, node: usize) -> bool {
        let leader = self.nodes.iter().position(super::node::Node::leads);
        let Some(leader) = leader.filter(|leader| *leader != node && self.nodes[node].is_up())
        else {
            return false;
        };
        let mut quorum = vec![leader, node];
        let others = (0..self.nodes.len()).filter(|other| *other != leader && *other != node);
        quorum.extend(others.take(self.plan.quorums.accept.saturating_sub(2)));
        let left_out = (0..self.nodes.len()).filter(|other| !quorum.contains(other));
        let cuts: Vec<_> = left_out.flat_map(|other| [(leader, other), (other, leader)]).collect();
        self.cut(&cuts);
        let until = self.now + self.rng.duration(150_000);
        self.queue.push(until, SimEvent::Over(FaultEnd::Bystanders { leader, cuts }));
        true
    }

    /// The second part of the scene.
    pub(super) fn rot_a_witness(&mut self, leader: usize, cuts: &[(usize, usize)]) -> CheckResult {
        self.end_cut(cuts);
        let node = self.plan.faulty_node;
        if !self.is_chaos() || self.nodes[node].is_out() || self.nodes[node].shard.is_none() {
            return Ok(());
        }
        self.crash(node, true)?;
        self.nodes[node].medium = Medium::Corrupted;
        let what = self.nodes[node].disk.rot_recent(&mut self.rng);
        self.trace.line(self.now, || format!("n{} rots: {what}", node + 1));
        let cuts = self.draw_cuts(FaultKind::Isolate, leader);
        self.cut(&cuts);
        let until = self.now + self.rng.duration(2_000_000);
        self.queue.push(until, SimEvent::Over(FaultEnd::Cuts(cuts)));
        Ok(())
    }
}
