//! What goes wrong, and where.

use super::disk::SimDisk;
use super::durability_checker::DurabilityChecker;
use super::node::Medium;
use super::plan::FaultKind;
use super::queue::{FaultEnd, SimEvent};
use super::violation::CheckResult;
use super::world::{World, fresh_disk};
use crate::checkpoint::HEAL_FILE;
use crate::shard::{Input, Shard};
use crate::storage::Storage;
use crate::types::Incarnation;

/// A disk with this much space left can prepare no segment.
const FULL_BYTES: u64 = 1 << 20;

impl World {
    /// One more thing goes wrong, and the next one is planned.
    pub(super) fn fault(&mut self) -> CheckResult {
        if !self.is_chaos() {
            return Ok(());
        }
        let next = self.now + self.rng.duration(self.plan.fault_us);
        self.queue.push(next, SimEvent::Fault);
        self.try_to_lose_a_value()?;
        let fault = *self.rng.pick(&self.plan.faults);
        let node = self.victim();
        let all = 0..self.nodes.len();
        match fault {
            FaultKind::Kill => self.end(node, false)?,
            FaultKind::PowerCut => self.end(node, true)?,
            FaultKind::KillAll | FaultKind::PowerCutAll => {
                let power = fault == FaultKind::PowerCutAll;
                if self.rng.one_in(3) {
                    all.into_iter().try_for_each(|node| self.end(node, power))?;
                }
            }
            FaultKind::Pause => {
                let time = *self.rng.pick(&[5_000, 100_000, 400_000, 1_500_000]);
                let time = self.rng.duration(time);
                self.pause(node, time);
            }
            FaultKind::Break => {
                if let Some(peer) = self.other(node) {
                    self.break_link(node, peer);
                }
            }
            FaultKind::OneWay => {
                if let Some(peer) = self.other(node) {
                    let cut = if self.rng.one_in(2) { (node, peer) } else { (peer, node) };
                    self.cut_for_a_while(vec![cut]);
                }
            }
            FaultKind::Partition | FaultKind::Isolate | FaultKind::CutSomeLinks => {
                let cuts = self.draw_cuts(fault, node);
                self.cut_for_a_while(cuts);
            }
            FaultKind::Lag => self.lag(node),
            FaultKind::SlowDisk => {
                let slowness = *self.rng.pick(&[10, 100, 1_000]);
                self.trace.line(self.now, || format!("n{} disk slow x{slowness}", node + 1));
                self.nodes[node].disk.set_slowness(slowness);
                let until = self.now + self.rng.duration(500_000);
                self.queue.push(until, SimEvent::Over(FaultEnd::Slow { node }));
            }
            FaultKind::FullDisk => {
                self.trace.line(self.now, || format!("n{} disk full", node + 1));
                self.nodes[node].disk.storage().set_free_bytes(FULL_BYTES);
                let until = self.now + self.rng.duration(2_000_000);
                self.queue.push(until, SimEvent::Over(FaultEnd::Full { node }));
            }
            FaultKind::FailSync => {
                self.trace.line(self.now, || format!("n{} next sync fails", node + 1));
                self.nodes[node].disk.fail_next_sync();
            }
            FaultKind::HandOver => self.give_input(node, Input::HandOver),
            FaultKind::Away => self.go_away(node)?,
            FaultKind::Interrupt => self.arm_interrupt(),
            FaultKind::Rot => self.rot(self.plan.faulty_node)?,
            FaultKind::Wipe => self.wipe(self.plan.faulty_node)?,
            FaultKind::SetBack => self.set_back(self.plan.faulty_node)?,
            FaultKind::Lose => self.lose_a_value()?,
            FaultKind::Spoil => self.spoil(self.plan.faulty_node),
        }
        Ok(())
    }

    /// Half of all faults strike a leader.
    fn victim(&mut self) -> usize {
        let leader = self.nodes.iter().position(super::node::Node::leads);
        match leader {
            Some(leader) if self.rng.one_in(2) => leader,
            Some(_) | None => self.rng.below(self.nodes.len() as u64) as usize,
        }
    }

    fn other(&mut self, node: usize) -> Option<usize> {
        let others = self.nodes.len() as u64 - 1;
        (others > 0).then(|| (node + 1 + self.rng.below(others) as usize) % self.nodes.len())
    }

    pub(super) fn end(&mut self, node: usize, power: bool) -> CheckResult {
        if self.nodes[node].shard.is_some() || power { self.crash(node, power) } else { Ok(()) }
    }

    /// The machine loses power, and some of what its disk holds.
    pub(super) fn rot(&mut self, node: usize) -> CheckResult {
        // One copy of the hard state at a time: a running node has made both of them good.
        let ran = self.nodes[node].shard.is_some();
        let formed = self.nodes.iter().all(|node| node.formed);
        if self.nodes[node].is_out() || !formed {
            return Ok(()); // A cluster forms with all of its members, or not at all (C13).
        }
        if self.rng.one_in(2) && self.isolate_to_bare_quorum(node) {
            return Ok(());
        }
        self.end(node, true)?;
        self.nodes[node].medium = Medium::Corrupted;
        let what = self.nodes[node].disk.rot(ran, &mut self.rng);
        self.trace.line(self.now, || format!("n{} rots: {what}", node + 1));
        Ok(())
    }

    /// The machine gets a new disk under its old id.
    fn wipe(&mut self, node: usize) -> CheckResult {
        let formed = self.nodes.iter().all(|node| node.formed);
        if self.nodes[node].is_out() || !formed {
            return Ok(()); // Before, nobody knows it by its old incarnation.
        }
        self.end(node, true)?;
        self.trace.line(self.now, || format!("n{} is wiped", node + 1));
        let options = self.journal_options();
        let wiped = &mut self.nodes[node];
        wiped.identity.incarnation = Incarnation(self.rng.bits() | 1);
        wiped.disk = SimDisk::new(fresh_disk(&wiped.identity, &options), self.plan.sync_us);
        wiped.durability_checker = DurabilityChecker::default();
        wiped.issued.clear();
        wiped.medium = Medium::Wiped;
        Ok(())
    }

    /// Memory of the node fails: its state becomes another one, which nothing on its disk shows. Not again
    /// before the node has forgotten what it tried the last time: it would stay fenced.
    fn spoil(&mut self, node: usize) {
        let formed = self.nodes.iter().all(|node| node.formed);
        let spoiling = &mut self.nodes[node];
        let has_note = spoiling.disk.storage().len(HEAL_FILE).is_ok();
        let may = formed && !spoiling.is_spoiled && !has_note;
        let Some(shard) = spoiling.shard.as_mut().filter(|_| may) else { return };
        if shard.spoil_state() {
            spoiling.is_spoiled = true;
            self.trace.line(self.now, || format!("n{}'s state is spoiled", node + 1));
        }
    }

    /// An operator looks after a node that stays fenced, because its process ended too often while it healed:
    /// what it tried is forgotten, and it starts again.
    pub(super) fn let_heal_again(&mut self, node: usize) -> CheckResult {
        if self.nodes[node].shard.as_ref().is_some_and(Shard::has_given_up) {
            self.crash(node, false)?;
            let removed = self.nodes[node].disk.storage().remove(HEAL_FILE);
            self.trace.line(self.now, || format!("n{} may heal again: {removed:?}", node + 1));
        }
        Ok(())
    }

    /// Takes an image of the faulty node's disk; later, puts it back under the next start. Other
    /// faults restart the node and its witnesses before, between and after.
    fn set_back(&mut self, node: usize) -> CheckResult {
        let formed = self.nodes.iter().all(|node| node.formed);
        if self.nodes[node].is_out() || !formed || self.set_back.is_done() {
            return Ok(());
        }
        let Some(image) = self.set_back.put_back() else {
            self.trace.line(self.now, || format!("n{}'s disk is copied", node + 1));
            let image = self.nodes[node].disk.storage().duplicate();
            image.crash(&mut || self.rng.bits());
            self.set_back.keep(image);
            return Ok(());
        };
        self.end(node, true)?;
        self.trace.line(self.now, || format!("n{}'s disk is set back", node + 1));
        self.nodes[node].disk.replace(image);
        self.nodes[node].medium = Medium::SetBack;
        Ok(())
    }

    /// The directed links that a partition, an isolation or a cut of some links takes.
    pub(super) fn draw_cuts(&mut self, fault: FaultKind, victim: usize) -> Vec<(usize, usize)> {
        let nodes = self.nodes.len();
        let sides: Vec<bool> = (0..nodes)
            .map(
                |node| {
                    if fault == FaultKind::Isolate { node == victim } else { self.rng.one_in(2) }
                },
            )
            .collect();
        let (there, back) = match self.rng.below(3) {
            0 => (true, false),
            1 => (false, true),
            _ => (true, true),
        };
        let both = fault == FaultKind::Partition;
        let mut cuts = Vec::new();
        for (from, to) in (0..nodes).flat_map(|from| (0..nodes).map(move |to| (from, to))) {
            let across =
                sides[from] != sides[to] && (both || if sides[from] { there } else { back });
            let some_links = fault == FaultKind::CutSomeLinks && self.rng.percent(35);
            if from != to && (some_links || (fault != FaultKind::CutSomeLinks && across)) {
                cuts.push((from, to));
            }
        }
        cuts
    }

    fn cut_for_a_while(&mut self, cuts: Vec<(usize, usize)>) {
        self.cut(&cuts);
        let time = *self.rng.pick(&[100_000, 600_000, 2_000_000]);
        let until = self.now + self.rng.duration(time);
        self.queue.push(until, SimEvent::Over(FaultEnd::Cuts(cuts)));
    }

    /// The disk has space again.
    pub(super) fn make_room(&mut self, node: usize) {
        let free_bytes = self.nodes[node].free_bytes;
        self.nodes[node].disk.storage().set_free_bytes(free_bytes);
    }
}
