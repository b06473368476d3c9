//! Processes start from what their disks hold, stand still, and end.

use super::clock::Clock;
use super::event_loop::check_read_back;
use super::node::Medium;
use super::queue::SimEvent;
use super::upgrades::known_level;
use super::violation::{CheckResult, Violation, ensure};
use super::world::{SHARD, World};
use crate::api::entries::EntriesLimit;
use crate::checkpoint::{self, Kept, RestoredState};
use crate::journal::{self, OpenError, Recovered};
use crate::paxos;
use crate::shard::{Input, Shard, ShardOptions};
use crate::types::{FailureKind, FormatLevel, NodeId, ReleasedRange, Slot};
use std::collections::BTreeMap;

/// A start is cut short, by power or by a kill, once in so many starts.
const RECOVERY_CRASH: u64 = 12;
/// More steps than most recoveries have.
const RECOVERY_STEPS_MAX: u64 = 8;

impl World {
    /// A node's process starts: it reads its journal back, and begins a new life.
    pub(super) fn start(&mut self, node: usize) -> CheckResult {
        let (running, corrupted) =
            (self.nodes[node].shard.is_some(), self.nodes[node].medium == Medium::Corrupted);
        if running || self.nodes[node].away || self.nodes[node].medium == Medium::Lost {
            return Ok(());
        }
        let chaos = self.is_chaos();
        let storage = self.nodes[node].disk.storage().clone();
        if chaos && self.rng.one_in(RECOVERY_CRASH) {
            storage.halt_at(storage.steps() + self.rng.range(1, RECOVERY_STEPS_MAX));
        }
        let known = self.upgrade(node);
        let identity = self.nodes[node].identity;
        let options = self.journal_options();
        let start = match checkpoint::start(&storage, &identity, (SHARD, 1), known, &options) {
            Ok(start) => start,
            Err(OpenError::Storage(error)) if chaos => {
                self.trace.line(self.now, || format!("n{} recovery ends: {error}", node + 1));
                let power = self.rng.one_in(2);
                return self.crash(node, power);
            }
            Err(error) if corrupted && self.is_excused(node, &error)? => {
                self.lose(node, &error.to_string());
                return Ok(());
            }
            Err(error) => {
                let text = format!("node {}: {error}", node + 1);
                return Err(Violation::new("no crash makes a disk unusable", text));
            }
        };
        storage.halt_at(u64::MAX);
        check_read_back(&start.journal);
        self.marks.started(&start);
        let recovered = start.recovered.clone();
        self.trace_start(node, &recovered);
        if corrupted && self.nodes[node].durability_checker.lost_its_tail(&recovered, &self.firsts)
        {
            // The residue of C11: zeros in the last batch are what a power cut leaves, too. Only a
            // peer that saw it acknowledged knows better, and it may be down.
            self.lose(node, "its last batch turned to zeros");
            return Ok(());
        }
        if self.nodes[node].medium == Medium::SetBack {
            let durability_checker = &self.nodes[node].durability_checker;
            self.set_back.claims_broken |= durability_checker.has_lost(&recovered);
        } else {
            self.check_recovered(node, &recovered, corrupted)?;
        }
        let faulty_node = self.nodes[self.plan.faulty_node].id;
        self.set_back.note_restart(node, faulty_node, &recovered.witnessed);
        let options = self.shard_options(node);
        let starting = &mut self.nodes[node];
        starting.life += 1;
        starting.durability_checker.begin(&recovered);
        let now = starting.clock.local(self.now);
        let first = recovered.next_lsn;
        let mut out = Vec::new();
        let mut shard = Shard::start(options, start, now, &mut out);
        shard.set_cache_bytes(self.plan.cache_bytes);
        starting.is_spoiled |= shard.replica().doubt() == Some(paxos::Doubt::Fenced);
        starting.durability_checker.changed(shard.replica().hard(), first);
        starting.shard = Some(shard);
        self.carry_out(node, out)?;
        self.plan_turn(node, self.plan.turn_us);
        Ok(())
    }

    /// The node starts with the program that it has by now.
    fn upgrade(&mut self, node: usize) -> FormatLevel {
        let starting = &mut self.nodes[node];
        starting.starts += 1;
        starting.known_level = known_level(&self.plan, node, starting.starts);
        starting.known_level
    }

    /// Rot explains the refusal. Where both copies of the last record rotted that names what was released,
    /// files that went since the checkpoint are missing for no known reason (R08).
    fn is_excused(&self, node: usize, error: &OpenError) -> Result<bool, Violation> {
        Ok(match error {
            // Behind a release, the journal alone does not serve.
            OpenError::HardStateLost { .. } | OpenError::NoCheckpoint { .. } => true,
            OpenError::Missing { .. } => !self.must_be_named(node, error)?,
            OpenError::NotFormatted
            | OpenError::FutureVersion { .. }
            | OpenError::FutureLevel { .. }
            | OpenError::Foreign { .. }
            | OpenError::Length { .. }
            | OpenError::Unopenable { .. }
            | OpenError::StartMoved { .. }
            | OpenError::StartGone { .. }
            | OpenError::Storage(_) => false,
        })
    }

    /// Whichever checkpoint the node starts from names the segment that is missing.
    fn must_be_named(&self, node: usize, error: &OpenError) -> Result<bool, Violation> {
        let starting = &self.nodes[node];
        let (storage, owner) =
            (starting.disk.storage(), checkpoint::owner(&starting.identity, SHARD));
        let known = (1, starting.known_level);
        let newest = RestoredState::newest(storage, &owner, known, Slot(u64::MAX))
            .map_err(|error| Violation::new("a checkpoint can be looked at", error.to_string()))?;
        let OpenError::Missing { file } = error else { return Ok(false) };
        let names = |kept: &Kept| {
            let named = starting.named_released.get(&kept.slot);
            named.is_some_and(|named| named.ranges.iter().any(|range| names_file(range, file)))
        };
        Ok(!newest.kept.is_empty() && newest.kept.iter().all(names))
    }

    fn trace_start(&mut self, node: usize, recovered: &Recovered) {
        self.trace.line(self.now, || {
            let torn = &recovered.torn;
            let (next, chosen_upto) = (recovered.next_lsn, recovered.chosen_upto);
            let findings: Vec<String> = recovered.findings.iter().map(ToString::to_string).collect();
            format!(
                "n{} starts: {:?}, next LSN {next}, chosen {chosen_upto}, open {:?}, torn {torn:?}, {findings:?}",
                node + 1,
                recovered.hard,
                recovered.open
            )
        });
    }

    /// The disk has lost what no rule of one node can bring back: it does not start any more.
    fn lose(&mut self, node: usize, why: &str) {
        self.trace.line(self.now, || format!("n{} is lost: {why}", node + 1));
        self.nodes[node].medium = Medium::Lost;
    }

    fn check_recovered(
        &self,
        node: usize,
        recovered: &journal::Recovered,
        corrupted: bool,
    ) -> CheckResult {
        self.nodes[node].durability_checker.check_recovered(recovered, &self.firsts, corrupted)?;
        let last = self.oracle.last();
        ensure(recovered.chosen_upto <= last, "chosen facts name a ballot (C9)", || {
            format!("recovered chosen {}, decided {last}", recovered.chosen_upto)
        })?;
        let reports = paxos::inexact_reports(&recovered.losses);
        let whole = recovered.holes.is_empty() && reports.is_empty();
        ensure(
            (whole && recovered.losses.lost.is_empty()) || corrupted,
            "no false damage",
            || format!("{:?} {reports:?} {:?}", recovered.holes, recovered.findings),
        )?;
        for (slot, (ballot, value)) in &recovered.open {
            self.oracle.check_proposal(*slot, *ballot, value)?;
        }
        Ok(())
    }

    fn shard_options(&mut self, node: usize) -> ShardOptions {
        let members = (1..=self.plan.nodes as u16).map(NodeId).collect();
        let identity = self.nodes[node].identity;
        let mut paxos = paxos::Config::new(identity.node, identity.incarnation, members);
        paxos.quorums = self.plan.quorums;
        paxos.timing = self.plan.timing;
        if self.plan.lease_varies {
            paxos.timing.lease_us = *self.rng.pick(&[100_000, 300_000, 600_000]);
            paxos.timing.election_us = paxos.timing.election_us.max(paxos.timing.lease_us);
        }
        paxos.window_slots = self.plan.window_slots;
        paxos.window_bytes = self.plan.window_bytes;
        paxos.known_level = self.nodes[node].known_level;
        paxos.seed = self.rng.bits();
        paxos.nonce = paxos.seed.rotate_left(17) ^ 0x11fe;
        ShardOptions {
            shard: SHARD,
            shards: 1,
            cluster: identity.cluster,
            paxos,
            addresses: (1..=self.plan.nodes as u16)
                .map(|node| (NodeId(node), format!("node-{node}")))
                .collect::<BTreeMap<_, _>>(),
            append: EntriesLimit {
                entries_max: 1_000,
                entry_bytes_max: 1 << 20,
                bytes_max: 4 << 20,
            },
            stop_timeout_ms: 5_000,
            cuts: self.plan.cuts,
            catchup_bytes: self.plan.catchup_bytes,
            version: "simulated".to_string(),
        }
    }

    /// Segments that the journals of those that run have released, in all their lives.
    pub(super) fn released_segments(&self) -> u64 {
        let shards = self.nodes.iter().filter_map(|node| node.shard.as_ref());
        shards.map(|shard| shard.journal().released_segments()).sum()
    }

    /// Segments that these disks were asked to allocate and not to write.
    pub(super) fn unwritten_segments(&self) -> u64 {
        self.nodes.iter().map(|node| node.disk.unwritten()).sum()
    }

    /// Segments whose live values those that run have copied since their last starts.
    pub(super) fn compacted_segments(&self) -> u64 {
        let shards = self.nodes.iter().filter_map(|node| node.shard.as_ref());
        shards.map(|shard| shard.tally().compaction.segments).sum()
    }

    /// The process ends between two steps; it starts again after a while.
    pub(super) fn stop(&mut self, node: usize, power: bool) {
        let (now, ending) = (self.now, &mut self.nodes[node]);
        ending.life += 1;
        ending.healed_before += ending.heals();
        if let Some(shard) = ending.shard.take() {
            self.marks.ended(&shard);
        }
        ending.paused = false;
        ending.inbox.clear();
        ending.turn_due = false;
        ending.wake_at = None;
        ending.disk.crash(power, &mut self.rng, &mut self.marks);
        if power {
            // The clock begins anew with the machine.
            let rate = self.plan.drift_ppm;
            let rate = 1_000_000 - rate + self.rng.below(2 * rate + 1);
            self.nodes[node].clock = Clock::new(rate, self.rng.below(1 << 40));
        }
        let ending = &mut self.nodes[node];
        for (conn, client) in std::mem::take(&mut ending.conns) {
            let at = self.clients[client].arrival(now, self.plan.client_delay_us, &mut self.rng);
            self.queue.push(at, SimEvent::Lost { client, conn });
        }
        self.network.forget(now, node, &mut self.rng, &mut self.queue);
        if !self.nodes[node].kept && !self.nodes[node].away {
            let pause = if self.rng.one_in(2) { 20_000 } else { 1_500_000 };
            let at = now + self.rng.range(1_000, pause);
            self.queue.push(at, SimEvent::Start { node, life: self.nodes[node].life });
        }
    }

    /// The process, which has stopped in order, ends.
    pub(super) fn leave(&mut self, node: usize) -> CheckResult {
        self.stop(node, false);
        Ok(())
    }

    /// The process is killed, or its machine loses power.
    pub(super) fn crash(&mut self, node: usize, power: bool) -> CheckResult {
        self.trace.line(self.now, || {
            format!("n{} {}", node + 1, if power { "loses power" } else { "is killed" })
        });
        if let Some(shard) = &self.nodes[node].shard {
            self.marks.cut_off(shard);
        }
        self.stop(node, power);
        Ok(())
    }

    /// The process stands still for a while.
    pub(super) fn pause(&mut self, node: usize, time: u64) {
        let pausing = &mut self.nodes[node];
        if pausing.shard.is_none() || pausing.paused {
            return;
        }
        self.trace.line(self.now, || format!("n{} pauses for {time} us", node + 1));
        pausing.paused = true;
        let at = self.now + time;
        self.queue.push(at, SimEvent::Resume { node, life: pausing.life });
    }

    pub(super) fn resume(&mut self, node: usize) {
        if self.nodes[node].kept || !self.nodes[node].paused {
            return;
        }
        self.trace.line(self.now, || format!("n{} goes on", node + 1));
        self.nodes[node].paused = false;
        self.nodes[node].turn_due = false;
        self.nodes[node].wake_at = None;
        self.nodes[node].inbox.insert(0, Input::Resumed);
        self.plan_turn(node, self.plan.turn_us);
    }

    /// The process says that it must not go on.
    pub(super) fn fatal(&mut self, node: usize, kind: FailureKind, text: &str) -> CheckResult {
        let refuted = self.nodes[node]
            .shard
            .as_ref()
            .is_some_and(|shard| shard.replica().hard().refuted.is_some());
        if self.nodes[node].medium == Medium::SetBack && refuted {
            self.trace.line(self.now, || format!("n{} ends ({kind:?}): {text}", node + 1));
            self.stop(node, false);
            self.nodes[node].medium = Medium::Lost;
            self.set_back.refuted = true;
            return Ok(());
        }
        let text = format!("node {} ends ({kind:?}): {text}", node + 1);
        Err(Violation::new("no healthy node gives up", text))
    }
}

/// The file is that of a segment in the range.
fn names_file(range: &ReleasedRange, file: &str) -> bool {
    let digits = file.trim_start_matches("segment-").trim_end_matches(".wal");
    digits.parse().is_ok_and(|id| range.first.0 <= id && id <= range.last.0)
}
