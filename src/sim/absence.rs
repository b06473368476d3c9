//! A node stays away until its peers have forgotten what it lacks.

use super::queue::{FaultEnd, SimEvent};
use super::violation::CheckResult;
use super::world::World;

/// A node is away for so long, in microseconds: most of a run.
const AWAY_US: (u64, u64) = (1_500_000, 8_000_000);

impl World {
    /// A node goes away, if no other is, and enough stay for the others to go on.
    pub(super) fn go_away(&mut self, node: usize) -> CheckResult {
        let needed = self.plan.quorums.prepare.max(self.plan.quorums.accept);
        let gone = self.nodes.iter().any(|other| other.away || other.is_out());
        let formed = self.nodes.iter().all(|node| node.formed);
        if gone || !formed || self.nodes.len() == needed {
            return Ok(());
        }
        self.nodes[node].away = true;
        let power = self.rng.one_in(2);
        self.trace.line(self.now, || format!("n{} goes away", node + 1));
        self.end(node, power)?;
        let until = self.now + self.rng.range(AWAY_US.0, AWAY_US.1);
        self.queue.push(until, SimEvent::Over(FaultEnd::Away { node }));
        Ok(())
    }

    /// The node comes back.
    pub(super) fn come_back(&mut self, node: usize) {
        let coming = &mut self.nodes[node];
        if std::mem::take(&mut coming.away) {
            self.queue.push(self.now, SimEvent::Start { node, life: coming.life });
        }
    }
}
