//! The parts of a run: things go wrong; some stay wrong, and progress returns all the same; all is
//! healed, and everybody agrees.

use super::client::SimClient;
use super::node::{Medium, Node};
use super::plan::FaultKind;
use super::queue::SimEvent;
use super::violation::{CheckResult, Violation, ensure};
use super::world::{Phase, World};
use crate::machine;
use crate::paxos::Role;
use crate::shard::Shard;
use std::collections::BTreeSet;

/// Progress returns within so many election timeouts of the last change (R24).
const ELECTIONS: u64 = 10;
/// No lease lasts longer, so that no election can be faster than this where one must run out.
const ELECTION_US: u64 = 300_000;
/// A healed cluster agrees within this.
const SETTLE_US: u64 = 12_000_000;
/// How often it is looked at.
const LOOK_US: u64 = 50_000;

impl World {
    pub(super) fn is_chaos(&self) -> bool {
        self.phase == Phase::Chaos
    }

    /// Looks whether the next part may begin.
    pub(super) fn next_phase(&mut self) -> CheckResult {
        match self.phase {
            Phase::Chaos => {
                self.end_all_cuts()?;
                self.isolate_minority()?;
                let deadline = self.progress_deadline();
                self.phase = Phase::Crippled { since: self.now, deadline };
            }
            Phase::Crippled { since, deadline } => {
                if self.progressed(since, deadline)? {
                    self.heal()?;
                    let deadline = self.progress_deadline();
                    self.phase = Phase::Healed { since: self.now, deadline };
                }
            }
            Phase::Healed { since, deadline } => {
                if self.progressed(since, deadline)? {
                    self.try_at_last_to_lose_a_value()?;
                    self.retire_clients();
                    self.phase = Phase::Settling { deadline: self.now + SETTLE_US };
                }
            }
            Phase::Settling { deadline } => {
                // A node may find only now that its process has ended too often while it healed.
                for node in 0..self.nodes.len() {
                    self.let_heal_again(node)?;
                }
                if self.is_quiescent() {
                    self.add_readers();
                    self.phase = Phase::Reading { deadline: self.now + SETTLE_US };
                }
                let late = self.now > deadline;
                ensure(!late, "a healed cluster agrees", || self.disagreement())?;
            }
            Phase::Reading { deadline } => {
                if self.clients.iter().all(SimClient::is_idle) {
                    return self.finish();
                }
                let late = self.now > deadline;
                ensure(!late, "every node serves every entry", || self.disagreement())?;
            }
            Phase::Over => return Ok(()),
        }
        self.queue.push(self.now + LOOK_US, SimEvent::Phase);
        Ok(())
    }

    fn progress_deadline(&self) -> u64 {
        let timing = &self.plan.timing;
        // However hasty: whoever stands in a quorum may be down for a while when chaos ends.
        let election_us = timing.election_us.max(ELECTION_US) + timing.jitter_us;
        // Clocks may be slow, and a slow disk or network is slow for elections, too.
        let slow = 40 * (self.plan.sync_us + self.plan.delay_us + self.plan.turn_us);
        self.now + ELECTIONS * election_us * 106 / 100 + ELECTIONS * slow
    }

    fn progressed(&self, since: u64, deadline: u64) -> Result<bool, Violation> {
        if self.history.acknowledged_since > since {
            return Ok(true);
        }
        let late = self.now > deadline;
        ensure(!late, "progress returns (R24)", || {
            format!("no append was acknowledged since {since} us: {}", self.disagreement())
        })?;
        Ok(false)
    }

    /// Chaos ends, but a minority stays faulty, and links stay cut, as long as one node reaches
    /// quorums both ways.
    fn isolate_minority(&mut self) -> CheckResult {
        for node in 0..self.nodes.len() {
            self.speed_up(node);
            self.make_room(node);
            self.come_back(node);
            self.resume(node);
            self.nodes[node].disk.fail_nothing();
            self.add_client(Some(node));
            let client = self.clients.len() - 1;
            self.queue.push(self.now, SimEvent::Client { client });
        }
        let needed = self.plan.quorums.prepare.max(self.plan.quorums.accept);
        let spare = self.nodes.len() - needed;
        // A cluster forms only with all of its members (C13).
        if !self.nodes.iter().all(|node| node.formed) || self.plan.loses_node() {
            return Ok(()); // What is damaged on one may be needed from any other.
        }
        let mut kept: BTreeSet<usize> = self.out().collect();
        let faulty = kept.len() + self.rng.below((spare - kept.len()) as u64 + 1) as usize;
        while kept.len() < faulty {
            kept.insert(self.rng.below(self.nodes.len() as u64) as usize);
        }
        let members = kept.iter().copied().filter(|node| !self.nodes[*node].is_out());
        for node in members.collect::<Vec<_>>() {
            self.nodes[node].kept = true;
            match self.rng.below(3) {
                0 => self.crash(node, false)?,
                1 => self.crash(node, true)?,
                _ => self.pause(node, 1),
            }
        }
        if self.rng.one_in(2) {
            let victim = self.rng.below(self.nodes.len() as u64) as usize;
            let fault =
                *self.rng.pick(&[FaultKind::Isolate, FaultKind::CutSomeLinks, FaultKind::OneWay]);
            let cuts = match fault {
                FaultKind::OneWay => vec![(victim, (victim + 1) % self.nodes.len())],
                fault => self.draw_cuts(fault, victim),
            };
            if self.reaches_quorum(&cuts, &kept, needed) {
                self.cut(&cuts);
            }
        }
        Ok(())
    }

    /// Some node that runs reaches enough others both ways.
    fn reaches_quorum(
        &self,
        cuts: &[(usize, usize)],
        kept: &BTreeSet<usize>,
        needed: usize,
    ) -> bool {
        let running = |node: &usize| !kept.contains(node);
        let joined = |a: usize, b: usize| !cuts.contains(&(a, b)) && !cuts.contains(&(b, a));
        let reached = |node: usize| {
            (0..self.nodes.len()).filter(running).filter(|peer| joined(node, *peer)).count()
        };
        (0..self.nodes.len()).filter(running).any(|node| reached(node) >= needed)
    }

    /// Nodes that take no part any more.
    fn out(&self) -> impl Iterator<Item = usize> {
        let out = |(at, node): (usize, &Node)| node.is_out().then_some(at);
        self.nodes.iter().enumerate().filter_map(out)
    }

    fn heal(&mut self) -> CheckResult {
        self.trace.line(self.now, || "everything is healed".to_string());
        self.end_all_cuts()?;
        for node in 0..self.nodes.len() {
            self.let_heal_again(node)?;
            if std::mem::take(&mut self.nodes[node].kept) {
                self.resume(node);
                let life = self.nodes[node].life;
                self.queue.push(self.now, SimEvent::Start { node, life });
            }
        }
        Ok(())
    }

    /// Nothing is under way, every node has applied everything, and no raise of the format level is due.
    fn is_quiescent(&self) -> bool {
        let last = self.oracle.last();
        let whole = |shard: &Shard| {
            let replica = shard.replica();
            // What a client gave up waiting for can still be on its way to be chosen.
            let is_settled = replica.holes().is_empty() && replica.open_slots() == 0;
            shard.applied_upto() == last && is_settled && shard.absent_slots() == 0
        };
        let agrees = |node: &Node| {
            node.is_out() || (!node.is_spoiled && node.shard.as_ref().is_some_and(whole))
        };
        self.clients.iter().all(SimClient::is_idle)
            && self.nodes.iter().all(agrees)
            && self.level_is_settled()
    }

    fn disagreement(&self) -> String {
        let mut text = format!("decided {}, level {}", self.oracle.last(), self.oracle.level());
        for node in &self.nodes {
            text += &match &node.shard {
                None => format!("; node {} is down", node.id),
                Some(shard) => format!(
                    "; node {}{} {}, promised {}, chosen {}, applied {}, absent {}{}",
                    node.id,
                    if node.paused { " (paused)" } else { "" },
                    role(shard),
                    shard.replica().promised(),
                    shard.replica().chosen_upto(),
                    shard.applied_upto(),
                    shard.absent_slots(),
                    shard.doubt_text()
                ),
            };
        }
        text
    }

    /// Everybody agrees: what is left are the checks of the whole.
    fn finish(&mut self) -> CheckResult {
        for shard in self.nodes.iter().filter_map(|node| node.shard.as_ref()) {
            machine::invariants::check_state(shard.machine());
            self.marks.ended(shard);
        }
        for node in self.nodes.iter().filter(|node| node.medium == Medium::Wiped) {
            let outside = |shard: &Shard| !shard.replica().hard().formed;
            ensure(node.shard.as_ref().is_none_or(outside), "wiped nodes stay out (R27)", || {
                format!("node {} came back", node.id)
            })?;
        }
        self.history.check_order()?;
        self.trace.count([self.now, self.oracle.last().0, self.events]);
        self.phase = Phase::Over;
        Ok(())
    }
}

/// A shard's role in a word.
fn role(shard: &Shard) -> &'static str {
    match shard.replica().role() {
        Role::Follower => "follows",
        Role::Canvassing(_) => "canvasses",
        Role::Candidate(_) => "campaigns",
        Role::Leader(_) => "leads",
    }
}
