//! A run from its first event to its last: each event goes to the file in which its consequences are.

use super::queue::{FaultEnd, SimEvent};
use super::violation::{CheckResult, Violation};
use super::world::{Phase, World};

/// No seed needs as many events: a world that does goes round in circles.
const EVENTS_MAX: u64 = 4_000_000;

impl World {
    /// Plans what happens first.
    fn schedule_start(&mut self) {
        for node in 0..self.plan.nodes {
            let at = self.rng.below(200_000);
            self.queue.push(at, SimEvent::Start { node, life: 0 });
            for peer in 0..node {
                self.queue.push(at, SimEvent::Connect { a: peer, b: node });
            }
        }
        for client in 0..self.plan.clients {
            self.add_client(None);
            self.queue.push(200_000, SimEvent::Client { client });
        }
        for node in 0..self.plan.loyal {
            self.add_loyal_client(node);
        }
        let first = self.rng.range(200_000, 2_000_000);
        if !self.plan.faults.is_empty() {
            self.queue.push(first, SimEvent::Fault);
        }
        self.queue.push(self.plan.chaos_us, SimEvent::Phase);
    }

    /// Runs to the end.
    ///
    /// # Errors
    /// The first check that failed.
    pub(super) fn run(&mut self) -> CheckResult {
        self.schedule_start();
        while self.phase != Phase::Over && !self.set_back.undetectable {
            let Some((at, event)) = self.queue.pop() else {
                return Err(Violation::new("the world goes on", "nothing is left to happen"));
            };
            assert!(at >= self.now, "time went back from {} to {at}", self.now);
            self.now = at;
            self.events += 1;
            if self.events > EVENTS_MAX {
                let text = format!("{EVENTS_MAX} events at {at} us");
                return Err(Violation::new("the world comes to an end", text));
            }
            self.handle(event)?;
        }
        Ok(())
    }

    fn handle(&mut self, event: SimEvent) -> CheckResult {
        match event {
            SimEvent::Turn { node, life } if self.is_running(node, life) => self.turn(node),
            SimEvent::Wake { node, life } if self.is_running(node, life) => {
                self.wake(node);
                Ok(())
            }
            SimEvent::Disk { node, life, lane, number } if self.is_running(node, life) => {
                self.disk_done(node, lane, number)
            }
            SimEvent::Request { node, life, conn, correlation, request }
                if self.is_running(node, life) =>
            {
                self.request_arrives(node, conn, correlation, *request);
                Ok(())
            }
            SimEvent::Hangup { node, life, conn } if self.is_running(node, life) => {
                self.hangup_arrives(node, conn);
                Ok(())
            }
            SimEvent::Resume { node, life } if self.is_running(node, life) => {
                self.resume(node);
                Ok(())
            }
            SimEvent::End { node, life } if self.is_running(node, life) => self.leave(node),
            SimEvent::Crash { node, life, power } if self.is_running(node, life) => {
                self.crash(node, power)
            }
            SimEvent::Start { node, life } if self.nodes[node].life == life => self.start(node),
            SimEvent::Turn { .. }
            | SimEvent::Wake { .. }
            | SimEvent::Disk { .. }
            | SimEvent::Request { .. }
            | SimEvent::Hangup { .. }
            | SimEvent::Resume { .. }
            | SimEvent::End { .. }
            | SimEvent::Crash { .. }
            | SimEvent::Start { .. } => Ok(()), // Of another life.
            SimEvent::Deliver { from, to, generation } => {
                self.message_arrives(from, to, generation);
                Ok(())
            }
            SimEvent::Connect { .. }
            | SimEvent::EndUp { .. }
            | SimEvent::EndDown { .. }
            | SimEvent::Break { .. } => {
                self.link_changes(&event);
                Ok(())
            }
            SimEvent::Answer { client, conn, correlation, answer } => {
                self.answer_arrives(client, conn, correlation, &answer.0, &answer.1)
            }
            SimEvent::Lost { client, conn } => {
                self.connection_lost(client, conn);
                Ok(())
            }
            SimEvent::Client { client } => {
                self.client_acts(client);
                Ok(())
            }
            SimEvent::Fault => self.fault(),
            SimEvent::Over(over) => self.fault_over(over),
            SimEvent::Phase => self.next_phase(),
        }
    }

    /// A connection between two nodes comes or goes.
    fn link_changes(&mut self, event: &SimEvent) {
        match *event {
            SimEvent::Connect { a, b } => self.connect(a, b),
            SimEvent::EndUp { node, peer, generation } => self.end_up(node, peer, generation),
            SimEvent::EndDown { node, peer, generation } => self.end_down(node, peer, generation),
            SimEvent::Break { a, b, generation } => self.break_hanging(a, b, generation),
            _ => {}
        }
    }

    fn break_hanging(&mut self, a: usize, b: usize, generation: u64) {
        if self.network.is_half_cut(a, b, generation) {
            self.network.break_off(self.now, a, b, &mut self.rng, &mut self.queue);
        }
    }

    /// True while the process of that life runs.
    fn is_running(&self, node: usize, life: u64) -> bool {
        self.nodes[node].life == life && self.nodes[node].shard.is_some()
    }

    fn fault_over(&mut self, over: FaultEnd) -> CheckResult {
        match over {
            FaultEnd::Cuts(cuts) => self.end_cut(&cuts),
            FaultEnd::Lag(links) => self.catch_up(&links),
            FaultEnd::Bystanders { leader, cuts } => return self.rot_a_witness(leader, &cuts),
            FaultEnd::Slow { node } => self.speed_up(node),
            FaultEnd::Full { node } => self.make_room(node),
            FaultEnd::Away { node } => self.come_back(node),
        }
        Ok(())
    }
}
