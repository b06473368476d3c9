//! Takes over the checkpoint of a peer, part by part.
//!
//! One request and one step of file work are under way at a time, so that memory and rate are bounded.
//! Whatever goes wrong, nothing has changed before the checkpoint is durable; it is tried again, and goes on
//! where it was as long as some peer has the same checkpoint.

use super::offers::Offers;
use super::pace::{InstallPace, answer_us};
use super::relief::Relief;
use crate::api::status::{InstallPhase, InstallProgress};
use crate::checkpoint::install::{BuildPlan, Built, InstallDone, InstallJob, Received};
use crate::limits::INSTALL_RETRY_US;
use crate::paxos::Doubt;
use crate::shard::checkpoints::Checkpoints;
use crate::shard::core::Core;
use crate::shard::disk_job::DiskJob;
use crate::shard::doubt::Healing;
use crate::shard::turn::Turn;
use crate::types::{InstallPlace, Lsn, NodeId, Slot, SlotRanges, Tick};
use crate::wire::peer::{InstallChunk, InstallFetch, Message};
use std::collections::BTreeMap;

/// Takes over checkpoints.
#[derive(Debug, Default)]
pub struct Receiver {
    current: Option<Install>,
    /// A step of file work is under way.
    is_busy: bool,
    /// No checkpoint of this node's own is taken: one of a peer is about to be asked for.
    holds: bool,
    /// What has arrived of this checkpoint is of no use.
    useless: Option<Slot>,
    /// After a failure the next attempt begins no sooner.
    rest_until: Tick,
    pace: InstallPace,
    /// Checkpoints taken over since the start.
    installed: u64,
    /// Bytes that arrived since the start.
    bytes: u64,
    /// The state is to be replaced, whatever the journals of peers still have.
    heal: Option<Offers>,
    /// What is lacked cannot be learned for want of space.
    relief: Relief,
}

/// A checkpoint that is being taken over.
#[derive(Debug)]
struct Install {
    slot: Slot,
    /// It is to take effect though its slot was applied.
    heals: bool,
    /// Who is asked for it.
    source: NodeId,
    phase: Phase,
    /// The digests that peers say their state had at the slot; nothing of one that has no such checkpoint.
    digests: BTreeMap<NodeId, Option<u64>>,
    /// Bytes of it that arrived.
    bytes: u64,
}

#[derive(Debug)]
enum Phase {
    /// What has arrived before is looked at.
    Look,
    /// Parts arrive.
    Fetch(Parts),
    /// Records that a start from the checkpoint needs are to become durable.
    Facts(Lsn),
    /// The checkpoint is being made.
    Build,
    /// Its record is to become durable.
    Record(Lsn, Box<Built>),
}

/// How far the parts are.
#[derive(Debug)]
struct Parts {
    received: Received,
    /// The state is whole; the extents are.
    whole: (bool, bool),
    /// What was asked for, and until when an answer is waited for.
    asked: Option<(InstallPlace, Tick)>,
    /// About how many bytes the part has that arrives, as the source says.
    part_bytes: u64,
}

/// What comes of a step that is done.
#[derive(Debug)]
pub(in crate::shard) enum ReceiverStep {
    /// More is to be done.
    GoesOn,
    /// The checkpoint is durable: it is to take the place of the state. These peers have it, too, with the same
    /// digest.
    Installed(Slot, Box<Built>, Vec<NodeId>),
}

impl Receiver {
    /// A checkpoint is being taken over.
    #[must_use]
    pub fn is_installing(&self) -> bool {
        self.current.is_some()
    }

    /// Checkpoints taken over, and bytes that arrived, since the start.
    #[must_use]
    pub fn tally(&self) -> (u64, u64) {
        (self.installed, self.bytes)
    }

    /// A checkpoint is being made of what has arrived, or is about to take effect.
    pub(in crate::shard) fn is_making(&self) -> bool {
        let phase = self.current.as_ref().map(|install| &install.phase);
        matches!(phase, Some(Phase::Facts(_) | Phase::Build | Phase::Record(..)))
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> Option<InstallProgress> {
        let install = self.current.as_ref()?;
        let (phase, bytes, part_bytes) = match &install.phase {
            Phase::Look => (InstallPhase::State, 0, 0),
            Phase::Fetch(Parts { received, whole: (false, _), part_bytes, .. }) => {
                let bytes = match received.state.1 {
                    InstallPlace::State(bytes) => bytes,
                    InstallPlace::Extents(..) => 0,
                };
                (InstallPhase::State, bytes, *part_bytes)
            }
            Phase::Fetch(Parts { received, part_bytes, .. }) => {
                (InstallPhase::Extents, received.extent_bytes, *part_bytes)
            }
            Phase::Facts(_) | Phase::Build | Phase::Record(..) => (InstallPhase::Making, 0, 0),
        };
        let (source, slot) = (install.source, install.slot);
        Some(InstallProgress { source, slot, phase, bytes, part_bytes })
    }

    /// When it is to be looked at again.
    pub(in crate::shard) fn next_deadline(&self, now: Tick, core: &Core) -> Option<Tick> {
        match &self.current {
            None => {
                let until = Some(self.rest_until).filter(|until| *until > now);
                let until = until.filter(|_| !self.offers(core).is_empty());
                let asks = self.heal.as_ref().and_then(|heal| heal.next_deadline(now));
                let relief = self.relief.next_deadline(now);
                until.into_iter().chain(asks).chain(relief).min()
            }
            Some(Install { phase: Phase::Fetch(parts), .. }) => {
                let asked = parts.asked.map(|(_, until)| until);
                asked.or_else(|| self.pace.rests_until(now))
            }
            Some(_) => None,
        }
    }

    /// A checkpoint of a peer is to take the place of the state, whatever slots were applied.
    pub(in crate::shard) fn heal(&mut self) {
        self.heal.get_or_insert_with(Offers::default);
    }

    /// A checkpoint of a peer is to take the place of the state, or does.
    pub(in crate::shard) fn is_healing(&self) -> bool {
        self.heal.is_some() || self.current.as_ref().is_some_and(|install| install.heals)
    }

    /// Nothing is to be replaced any more; an install under way goes on.
    pub(in crate::shard) fn end_heal(&mut self) {
        self.heal = None;
    }

    /// The peers that have a checkpoint to install, each with its newest one's slot. A node that stays fenced
    /// installs nothing.
    fn offers(&self, core: &Core) -> Vec<(NodeId, Slot)> {
        let Some(heal) = &self.heal else {
            if core.healing == Healing::Failed {
                return Vec::new();
            }
            let mut offers = core.replica.install_offers();
            offers.extend(self.relief.offers.iter().flat_map(|relief| relief.ahead(core)));
            return offers;
        };
        heal.fit_to_heal(core)
    }

    /// Asks the peers for what they have to install, where this node needs it.
    fn ask_for_offers(&mut self, turn: &mut Turn<'_>) {
        if let Some(offers) = self.heal.as_mut().or(self.relief.offers.as_mut()) {
            offers.ask(turn);
        }
    }

    /// Does what can be done next.
    pub(in crate::shard) fn go_on(
        &mut self,
        turn: &mut Turn<'_>,
        checkpoints: &mut Checkpoints,
    ) -> ReceiverStep {
        if self.is_busy || turn.core.failed {
            return ReceiverStep::GoesOn;
        }
        self.relief.look(turn.now, turn.core);
        if self.current.is_none() {
            if !std::mem::take(&mut self.holds) {
                checkpoints.release_hold();
            }
            self.ask_for_offers(turn);
            self.begin(turn, checkpoints);
            return ReceiverStep::GoesOn;
        }
        self.ask_for_offers(turn);
        self.ask(turn);
        self.make(turn, checkpoints);
        self.take_effect(turn, checkpoints)
    }

    /// Begins to take over the newest checkpoint that is offered.
    fn begin(&mut self, turn: &mut Turn<'_>, checkpoints: &mut Checkpoints) {
        let offers = self.offers(turn.core);
        let Some((source, slot)) = offers.iter().copied().max_by_key(|(_, slot)| *slot) else {
            return;
        };
        if turn.now < self.rest_until {
            return;
        }
        // A newer one of this node's own would make that of the peer too old.
        self.holds = self.heal.is_some();
        if self.holds && !checkpoints.hold(turn.core) {
            return;
        }
        self.holds = false;
        let shard = turn.core.options.shard;
        log::info!("shard {shard}: installs the checkpoint at slot {slot} of node {source}");
        let (digests, heals) = (BTreeMap::new(), self.heal.is_some());
        let phase = Phase::Look;
        self.current = Some(Install { slot, heals, source, phase, digests, bytes: 0 });
        for (node, _) in offers {
            turn.send(node, Message::InstallFetch(InstallFetch { slot, place: None }));
        }
        let anew = self.useless.take() == Some(slot);
        self.run(turn, InstallJob::Look { slot, anew });
    }

    fn run(&mut self, turn: &mut Turn<'_>, job: InstallJob) {
        self.is_busy = true;
        turn.run(DiskJob::Install(job));
    }

    /// Asks for the next part.
    fn ask(&mut self, turn: &mut Turn<'_>) {
        let offers = self.offers(turn.core);
        let Some(Install { slot, source, phase: Phase::Fetch(parts), digests, .. }) =
            &mut self.current
        else {
            return;
        };
        if let Some((_, until)) = parts.asked {
            if turn.now < until {
                return;
            }
            let Some(next) = next_source(&offers, *source, digests) else {
                return self.fail(turn, "nobody has it any more");
            };
            *source = next;
        } else if self.pace.rests_until(turn.now).is_some() {
            return;
        }
        let place = match parts.whole {
            (false, _) => parts.received.state.1,
            (true, false) => parts.received.extents.1,
            (true, true) => return,
        };
        parts.asked = Some((place, turn.now.after(answer_us(turn.core))));
        self.pace.begin(turn.now, turn.core.known_chosen());
        let fetch = InstallFetch { slot: *slot, place: Some(place) };
        turn.send(*source, Message::InstallFetch(fetch));
    }

    /// The connection to a peer is gone: another is asked.
    pub(in crate::shard) fn lost(&mut self, now: Tick, peer: NodeId) {
        if let Some(Install { source, phase: Phase::Fetch(parts), .. }) = &mut self.current
            && *source == peer
            && let Some((_, until)) = &mut parts.asked
        {
            *until = now;
        }
    }

    /// A peer answered.
    pub(in crate::shard) fn hear(
        &mut self,
        turn: &mut Turn<'_>,
        from: NodeId,
        chunk: InstallChunk,
    ) {
        let is_busy = self.is_busy;
        let offers = self.heal.as_mut().or(self.relief.offers.as_mut());
        if let Some(offers) = offers.filter(|_| chunk.slot == Slot(0)) {
            offers.heard(from, chunk.newest);
            return;
        }
        let Some(install) = self.current.as_mut().filter(|install| install.slot == chunk.slot)
        else {
            return;
        };
        install.digests.insert(from, Some(chunk.digest).filter(|digest| *digest != 0));
        let Phase::Fetch(parts) = &mut install.phase else { return };
        let asked = parts.asked.is_some_and(|(place, _)| chunk.place == Some(place));
        let (Some(place), true, false) = (chunk.place, asked && from == install.source, is_busy)
        else {
            return;
        };
        if chunk.digest == 0 {
            let others = install.digests.iter().filter(|(_, digest)| digest.is_some());
            if let Some((other, _)) = others.min_by_key(|(node, _)| **node < from) {
                (install.source, parts.asked) = (*other, None);
                return;
            }
            // It has a newer one by now, which is offered when the next slot is asked for.
            let why = format!("node {from} has it no more; its newest is at {}", chunk.newest);
            return self.fail(turn, &why);
        }
        let (whole, number) = match place {
            InstallPlace::State(_) => (&mut parts.whole.0, parts.received.state.0),
            InstallPlace::Extents(..) => (&mut parts.whole.1, parts.received.extents.0),
        };
        *whole = chunk.is_last;
        parts.part_bytes = chunk.part_bytes;
        if chunk.bytes.is_empty() {
            if chunk.is_last {
                parts.asked = None; // Nothing was missing of it.
            }
            return; // It cannot say: another is asked in time.
        }
        let (slot, bytes) = (chunk.slot, chunk.bytes);
        install.bytes += bytes.len() as u64;
        self.bytes += bytes.len() as u64;
        let min_free_bytes = turn.core.journal.min_free_bytes();
        self.run(turn, InstallJob::Append { slot, place, number, bytes, min_free_bytes });
    }

    /// Makes the checkpoint, once all parts are here and what a start from it needs is durable.
    fn make(&mut self, turn: &mut Turn<'_>, checkpoints: &mut Checkpoints) {
        let Some(install) = &mut self.current else { return };
        if let Phase::Fetch(Parts { whole: (true, true), .. }) = install.phase {
            let facts = turn.core.journal.facts_to_repeat(install.slot);
            turn.core.repeat_facts(facts);
            install.phase = Phase::Facts(turn.core.replica.next_lsn().prev());
        }
        let Phase::Facts(lsn) = install.phase else { return };
        if self.is_busy || turn.core.journal.durable_upto() < lsn {
            return;
        }
        let (slot, heals) = (install.slot, install.heals);
        let is_fenced = turn.core.replica.doubt() == Some(Doubt::Fenced);
        if !checkpoints.hold(turn.core) {
            return;
        }
        if !is_fenced && slot < turn.core.checkpointed_upto {
            return self.fail(turn, "a newer one was taken here meanwhile");
        }
        if !heals && slot <= turn.core.machine.applied_upto() {
            return self.fail(turn, "its slot was reached without it");
        }
        let Some(journal) = turn.core.journal.start_for(slot) else {
            return self.fail(turn, "the journal has no start for it");
        };
        install.phase = Phase::Build;
        let mut absent = with_gap(turn.core, turn.core.absent.ranges(), slot);
        if install.heals {
            absent.add(Slot(1), slot); // What is here was found by an index that is not believed.
        }
        let plan = BuildPlan {
            owner: checkpoints.owner(),
            shards: turn.core.options.shards,
            known: turn.core.options.paxos.known_level,
            slot,
            digests: install.digests.values().flatten().copied().collect(),
            run: checkpoints.run_id(),
            journal,
            installed: with_gap(turn.core, turn.core.installed.clone(), slot),
            absent,
            released: turn.core.journal.released().clone(),
            min_free_bytes: turn.core.journal.min_free_bytes(),
        };
        self.run(turn, InstallJob::Build(Box::new(plan)));
    }

    fn take_effect(&mut self, turn: &mut Turn<'_>, checkpoints: &mut Checkpoints) -> ReceiverStep {
        let durable = turn.core.journal.durable_upto();
        let applied = turn.core.machine.applied_upto();
        let due = self
            .current
            .take_if(|install| matches!(&install.phase, Phase::Record(lsn, _) if *lsn <= durable));
        match due {
            Some(Install { slot, heals: false, phase: Phase::Record(_, built), .. })
                if slot <= applied =>
            {
                log::info!(
                    "shard {}: slot {slot} was reached without its checkpoint",
                    turn.core.options.shard
                );
                checkpoints.not_needed(slot, built.run.id());
                ReceiverStep::GoesOn
            }
            Some(Install { slot, phase: Phase::Record(_, built), digests, .. }) => {
                self.installed += 1;
                self.heal = None;
                let digest = Some(built.machine.digest());
                let same = digests.into_iter().filter(|(_, theirs)| *theirs == digest);
                ReceiverStep::Installed(slot, built, same.map(|(node, _)| node).collect())
            }
            Some(_) | None => ReceiverStep::GoesOn,
        }
    }

    /// A step of file work is done.
    pub(in crate::shard) fn done(&mut self, turn: &mut Turn<'_>, done: InstallDone) {
        self.is_busy = false;
        let Some(install) = &mut self.current else { return };
        match done {
            InstallDone::Looked(received) => {
                let parts = Parts { received, whole: (false, false), asked: None, part_bytes: 0 };
                install.phase = Phase::Fetch(parts);
            }
            InstallDone::Appended(next, bytes) => {
                let Phase::Fetch(parts) = &mut install.phase else { return };
                let part = match next {
                    InstallPlace::State(_) => &mut parts.received.state,
                    InstallPlace::Extents(..) => &mut parts.received.extents,
                };
                *part = (part.0 + 1, next);
                parts.asked = None;
                self.pace.end(turn.now, turn.core.known_chosen());
                if let InstallPlace::Extents(..) = next {
                    parts.received.extent_bytes += bytes;
                }
            }
            InstallDone::Built(built) => {
                let (digest, applied) = (built.machine.digest(), turn.core.machine.applied_upto());
                let applied = applied.min(install.slot);
                let lsn = turn.core.record_checkpoint((install.slot, applied), digest);
                install.phase = Phase::Record(lsn, built);
            }
            InstallDone::Failed { why, is_useless } => {
                self.useless = Some(install.slot).filter(|_| is_useless);
                self.fail(turn, &why);
            }
            InstallDone::Read { .. }
            | InstallDone::Verified(_)
            | InstallDone::Rows(_)
            | InstallDone::Heal(_) => {}
        }
    }

    /// The attempt is given up; what has arrived is looked at by the next one.
    fn fail(&mut self, turn: &Turn<'_>, why: &str) {
        let Some(install) = self.current.take() else { return };
        let shard = turn.core.options.shard;
        log::warn!(
            "shard {shard}: the checkpoint at slot {} is not installed: {why}",
            install.slot
        );
        self.rest_until = turn.now.after(INSTALL_RETRY_US);
    }
}

/// These slots, and those that the checkpoint at a slot is to stand for.
fn with_gap(core: &Core, mut slots: SlotRanges, slot: Slot) -> SlotRanges {
    slots.add(core.machine.applied_upto().next(), slot);
    slots
}

/// Another peer that may have the same checkpoint; nothing where all that are there have denied it.
fn next_source(
    offers: &[(NodeId, Slot)],
    source: NodeId,
    digests: &BTreeMap<NodeId, Option<u64>>,
) -> Option<NodeId> {
    if offers.is_empty() {
        return Some(source); // It may come back.
    }
    let others = offers.iter().map(|(node, _)| *node);
    let others = others.filter(|node| digests.get(node) != Some(&None));
    let behind = others.clone().find(|node| *node > source);
    behind.or_else(|| others.clone().next())
}
