//! The parts of a shard: what happened finds its part here, and the replica's effects are carried out.

use super::apply::{Applier, ApplyHooks};
use super::catch_up::CatchUpServer;
use super::checkpoints::Checkpoints;
use super::compaction::Compaction;
use super::core::Core;
use super::cuts::SinceCut;
use super::disk_full::DiskFull;
use super::disk_job::{DiskDone, DiskJob};
use super::events::{Input, RequestId};
use super::fatal::Fatal;
use super::heal::Healer;
use super::idle_mark::IdleMark;
use super::install::{Absent, CheckpointSource, Receiver, Shortfall, ValuesSource};
use super::journal_reads::JournalRead;
use super::leaving::{Leaving, log_who_leaves};
use super::levels::LevelRaises;
use super::lookup_job::LookupDone;
use super::lost::{Answer, DeclareStep, Holdings, LossDone};
use super::notes::log_note;
use super::outbox::Outbox;
use super::release::SegmentRelease;
use super::remnants::{up_to_first_remnant, without_remnants};
use super::repair_log::RepairLog;
use super::requests::Requests;
use super::status::Status;
use super::turn::Turn;
use crate::checkpoint::install::InstallDone;
use crate::journal::{JournalEvent, ReadJobDone};
use crate::paxos::{self, Doubt, Effect};
use crate::types::{NodeId, Slot, Tick};
use crate::wire::peer::{Digest, Grant, Heartbeat, LossAsk, Message, ValuesChunk};

/// The parts of a shard, each with its own state.
#[derive(Debug)]
pub struct Router {
    /// Votes that wait for their records.
    pub(super) outbox: Outbox,
    /// What clients asked.
    pub(super) requests: Requests,
    /// Applies what is chosen.
    pub(super) applier: Applier,
    /// Serves peers that are behind.
    pub(super) catch_up: CatchUpServer,
    /// What is known of full disks.
    pub(super) disk_full: DiskFull,
    /// What the driver noted for status.
    pub(super) status: Status,
    /// What was applied since the last cut.
    pub(super) since_cut: SinceCut,
    /// Checkpoints, as they are taken.
    pub(super) checkpoints: Checkpoints,
    /// Takes over a peer's checkpoint.
    pub(super) receiver: Receiver,
    /// Comes by the state of the others again.
    pub(super) healer: Healer,
    /// Gives peers this node's.
    source: CheckpointSource,
    /// Whether this node has caught up since it took over a peer's checkpoint.
    shortfall: Shortfall,
    /// Gives peers values that they passed over.
    pub(super) values: ValuesSource,
    /// What this node has of entries that are to be declared lost.
    pub(super) holdings: Holdings,
    /// Finds out what the journal need not keep.
    pub(super) release: SegmentRelease,
    /// Copies what is live out of mostly dead segments.
    pub(super) compaction: Compaction,
    levels: LevelRaises,
    /// The node's stop, as far as it is.
    leaving: Leaving,
    idle_mark: IdleMark,
    repair_log: RepairLog,
    /// Damaged places found at the start, for the message with which the node may have to end.
    findings: Vec<String>,
    /// The state is disputed, as far as those who wait were answered.
    is_disputed: bool,
}

impl Router {
    /// The parts of a shard that starts.
    pub(super) fn start(
        now: Tick,
        findings: Vec<String>,
        checkpoints: Checkpoints,
        healer: Healer,
    ) -> Router {
        Router {
            outbox: Outbox::default(),
            requests: Requests::default(),
            applier: Applier::default(),
            catch_up: CatchUpServer::default(),
            disk_full: DiskFull::default(),
            status: Status::start(now),
            since_cut: SinceCut::default(),
            checkpoints,
            receiver: Receiver::default(),
            healer,
            source: CheckpointSource::default(),
            shortfall: Shortfall::default(),
            values: ValuesSource::default(),
            holdings: Holdings::default(),
            release: SegmentRelease::default(),
            compaction: Compaction::default(),
            levels: LevelRaises::default(),
            leaving: Leaving::default(),
            idle_mark: IdleMark::default(),
            repair_log: RepairLog::default(),
            findings,
            is_disputed: false,
        }
    }

    /// What a checkpoint restored counts as applied.
    pub(super) fn resume(&mut self, core: &mut Core, now: Tick) {
        let slot = core.machine.applied_upto();
        if slot > Slot(0) {
            core.feed(now, paxos::Input::Applied(Digest { slot, state: core.machine.digest() }));
            self.requests.retention.resume(now, core);
        }
    }

    /// When the next tick is needed, unless something happens before.
    pub(super) fn next_deadline(&self, now: Tick, core: &Core) -> Option<Tick> {
        let deadlines = [
            self.idle_mark.next_deadline(),
            self.disk_full.next_deadline(),
            self.requests.next_deadline(core.serving().is_ok()),
            self.leaving.next_deadline(now, core.stop_by),
            self.release.next_deadline(now, core),
            self.compaction.next_deadline(),
            self.checkpoints.next_deadline(core),
            self.since_cut.next_deadline(core).filter(|_| !self.requests.has_open_fates()),
            self.receiver.next_deadline(now, core),
            core.absent.next_deadline(now),
            self.healer.next_deadline(now),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// Takes in one input.
    pub(super) fn step(&mut self, turn: &mut Turn<'_>, input: Input) {
        self.disk_full.update(turn);
        match input {
            Input::Tick => self.tick(turn),
            Input::PeerUp { node, incarnation } => {
                turn.core.absent.met();
                turn.feed(paxos::Input::PeerUp(node, incarnation));
            }
            Input::PeerDown { node } => {
                turn.core.absent.lost(node);
                self.receiver.lost(turn.now, node);
                self.requests.declarations.lost(turn, node);
                self.holdings.lost(node);
                turn.feed(paxos::Input::PeerDown(node));
            }
            Input::Peer { node, message } => self.message(turn, node, message),
            Input::Client { conn, correlation, request } => {
                let asked = RequestId { conn, correlation };
                self.requests.take_in(turn, asked, request, (&self.status, &self.disk_full));
            }
            Input::ChainFailed { conn, log, chain } => {
                turn.core.conns.refuse_chain(conn, &log, chain);
            }
            Input::ClientDown { conn } => self.requests.drop_conn(turn, conn),
            Input::Disk(done) => {
                self.disk_done(turn, done);
            }
            Input::HandOver => self.leaving.begin(turn, &mut self.requests),
            Input::Resumed => {
                turn.core.absent.resumed(turn.now);
                turn.feed(paxos::Input::Resumed);
            }
        }
        self.drain_effects(turn);
    }

    fn message(&mut self, turn: &mut Turn<'_>, node: NodeId, message: Message) {
        log_who_leaves(turn, node, &message);
        if let Message::Heartbeat(Heartbeat { wall_ms, .. })
        | Message::Grant(Grant { wall_ms, .. }) = &message
        {
            turn.core.clocks.heard(turn.now, node, *wall_ms);
        }
        if let Message::Eligibility(eligibility) = &message {
            CheckpointSource::hear_eligibility(turn.core, node, eligibility, &mut self.checkpoints);
        }
        let message = match message {
            Message::InstallFetch(_)
            | Message::InstallChunk(_)
            | Message::ValuesFetch(_)
            | Message::ValuesChunk(_)
            | Message::LossAsk(_)
            | Message::LossAnswer(_)
                if !turn.core.replica.may_hear(node) =>
            {
                return;
            }
            Message::InstallFetch(fetch) => {
                return self.source.serve(turn, node, &fetch, &mut self.checkpoints);
            }
            Message::InstallChunk(chunk) => {
                // It may answer the release, which asks for digests alone, or an install: each looks for its own.
                self.release.hear(turn, node, &chunk, self.checkpoints.kept());
                return self.receiver.hear(turn, node, chunk);
            }
            Message::ValuesFetch(fetch) => {
                return self.values.serve(turn, node, &fetch, &self.checkpoints);
            }
            Message::ValuesChunk(chunk) => return hear_values(turn, node, chunk),
            Message::LossAsk(ask) => return self.loss_asked(turn, node, &ask),
            Message::LossAnswer(answer) => {
                let step = self.requests.declarations.hear(turn, node, &answer);
                return self.declare(turn, step);
            }
            other => other,
        };
        let (message, remnant) = without_remnants(message);
        if let Some(slot) = remnant {
            let shard = turn.core.options.shard;
            log::error!("shard {shard}: node {node} sent a remnant for the value of slot {slot}");
        }
        let Some(message) = message else { return };
        let before = turn.core.replica.damaged_slots();
        turn.feed(paxos::Input::Message(node, message));
        if before > 0 {
            self.drain_effects(turn);
            let left = turn.core.replica.damaged_slots();
            if let Some(text) = self.repair_log.summary(before, left, node) {
                log::info!("shard {}: {text}", turn.core.options.shard);
            }
        }
    }

    fn tick(&mut self, turn: &mut Turn<'_>) {
        turn.core.look_at_clock(turn.now);
        turn.feed(paxos::Input::Tick);
        self.drain_effects(turn);
        if let Some(error) = self.disk_full.look_at_others(turn)
            && !self.requests.writes.wants_little_room()
        {
            self.requests.writes.refuse_waiting(turn, &error);
        }
        self.requests.look_up_trims(turn);
        self.requests.propose_retention(turn);
        self.propose_own(turn);
        self.refuse_if_disputed(turn);
        self.requests.writes.flush(turn);
        self.drain_effects(turn);
        self.requests.reads.expire(turn);
        self.requests.fates.expire(turn);
        self.requests.declarations.expire(turn);
        self.requests.reads.admit(turn);
        if turn.core.held.take_proof_wanted() {
            turn.feed(paxos::Input::Confirm);
        }
        if self.idle_mark.write(turn) {
            self.drain_effects(turn);
        }
        self.disk_full.retry(turn);
        self.checkpoints.go_on(turn);
        self.release.go_on(turn, &mut self.checkpoints, &self.compaction);
        let pinned = self.release.pinned(turn.core);
        if self.compaction.go_on(turn, &pinned) {
            self.release.emptied(turn.now);
        }
        turn.core.trim_cache();
        self.go_on_healing(turn);
        self.go_on_installing(turn);
        turn.core.installing = self.receiver.progress();
        with_absent(turn, Absent::go_on);
        let is_installing = self.receiver.is_installing();
        let lacks_entries = self.shortfall.update(turn.now, turn.core, is_installing);
        turn.core.replica.set_lacks_entries(lacks_entries);
        self.drain_effects(turn);
        for memory in std::mem::take(&mut turn.core.drops) {
            turn.run(DiskJob::Drop(memory));
        }
        // Only here, so that all that arrived in one burst shares one batch (group commit).
        while let Some(job) = turn.core.journal.next_job() {
            turn.run(job);
        }
    }

    /// Where the state has come to be disputed, what waits to be proposed is refused: it may rest on what the
    /// state says.
    fn refuse_if_disputed(&mut self, turn: &mut Turn<'_>) {
        let is_disputed = turn.core.replica.doubt() == Some(Doubt::Disputed);
        if is_disputed && !self.is_disputed {
            let error = turn.core.in_doubt();
            self.requests.writes.refuse_waiting(turn, &error);
        }
        self.is_disputed = is_disputed;
    }

    /// Has a checkpoint taken everywhere, and the format level raised, where this node leads and it is time.
    fn propose_own(&mut self, turn: &Turn<'_>) {
        if !self.requests.has_open_fates() {
            let mut garbage = self.release.garbage(turn.core);
            if turn.core.replica.doubt() == Some(Doubt::Others) {
                let newest = self.checkpoints.kept().last().map_or(Slot(0), |kept| kept.slot);
                let mut differing = turn.core.replica.digests().differing();
                garbage.wants_cut |= differing.any(|(_, at)| newest < at);
                garbage.is_urgent = true;
            }
            garbage.wants_cut |= self.compaction.wants_cut();
            let (writes, bytes) = (&mut self.requests.writes, self.checkpoints.state_bytes());
            self.since_cut.propose(turn.now, turn.core, (bytes, garbage), writes);
            self.levels.propose(turn.now, turn.core, writes);
        }
    }

    fn disk_done(&mut self, turn: &mut Turn<'_>, done: DiskDone) {
        match done {
            DiskDone::Journal(done) => {
                if let Some(event) = turn.core.journal.done(done) {
                    self.disk_event(turn, event);
                }
            }
            DiskDone::Lookup(done) => self.looked_up(turn, done),
            DiskDone::ColdRead(done) => {
                turn.core.journal.places_failed(&done.unplaced);
                turn.core.journal_reads.finish(done.token);
                self.requests.reads.cold_done(turn, *done);
            }
            DiskDone::Checkpoint(done) => self.checkpoints.done(turn, done),
            DiskDone::Install(InstallDone::Read { to, chunk, .. }) => {
                self.source.done(turn, &self.checkpoints, to, chunk);
            }
            DiskDone::Install(InstallDone::Verified(verified)) => {
                with_absent(turn, |absent, turn| {
                    absent.verified(turn, verified);
                })
            }
            DiskDone::Install(InstallDone::Rows(rows)) => {
                with_absent(turn, |absent, turn| absent.rows_found(turn, rows));
            }
            DiskDone::Install(InstallDone::Heal(done)) => {
                self.healer.done(turn, &self.checkpoints, done);
            }
            DiskDone::Install(done) => self.receiver.done(turn, done),
            DiskDone::Span(done) => {
                self.release.done(turn.core, done);
                self.release.go_on(turn, &mut self.checkpoints, &self.compaction);
            }
            DiskDone::Compaction(done) => self.compaction.done(turn, *done),
            DiskDone::Dropped => {}
            DiskDone::Loss(LossDone::Rows { attempt, rows }) => {
                let step = self.requests.declarations.rows_found(turn, attempt, rows);
                self.declare(turn, step);
            }
            DiskDone::Loss(LossDone::Verified { token, verified }) => {
                let answer = self.holdings.verified(turn, token, &verified);
                self.loss_answered(turn, answer);
            }
        }
    }

    /// A lookup in the runs came back.
    fn looked_up(&mut self, turn: &mut Turn<'_>, done: LookupDone) {
        let LookupDone { token, found } = done;
        if let Err(damage) = &found
            && turn.core.note_damage(damage)
        {
            log::error!("shard {}: a run of the index: {damage}", turn.core.options.shard);
        }
        match (turn.core.journal_reads.finish(token), found) {
            (Some(JournalRead::Trim), found) => {
                self.requests.trim_looked_up(turn, &self.disk_full, (token, found.ok()));
            }
            (Some(JournalRead::Retention), found) => {
                self.requests.retention.looked_up(token, found.ok());
            }
            (
                Some(
                    JournalRead::Replay
                    | JournalRead::Serve
                    | JournalRead::Values
                    | JournalRead::Absent
                    | JournalRead::Compaction
                    | JournalRead::Loss
                    | JournalRead::Client,
                )
                | None,
                _,
            ) => {}
        }
    }

    fn disk_event(&mut self, turn: &mut Turn<'_>, event: JournalEvent) {
        match event {
            JournalEvent::Durable(lsn) => {
                turn.feed(paxos::Input::Durable(lsn));
                self.idle_mark.durable(turn, lsn);
            }
            JournalEvent::NoRoom(why) => self.disk_full.room_ends(turn, &why),
            JournalEvent::Room => log::info!("shard {}: space is back", turn.core.options.shard),
            JournalEvent::Read(done) => self.read_done(turn, done),
        }
    }

    /// A read of the journal came back.
    fn read_done(&mut self, turn: &mut Turn<'_>, done: ReadJobDone) {
        let ReadJobDone { token, values, .. } = done;
        match turn.core.journal_reads.finish(token) {
            Some(JournalRead::Replay) => {
                let (applier, mut hooks) = self.applying();
                applier.replayed(turn, &mut hooks, values);
            }
            Some(JournalRead::Serve) => self.catch_up.done(turn, token, values),
            Some(JournalRead::Values) => self.values.done(turn, token, values),
            Some(JournalRead::Loss) => {
                let answer = self.holdings.read(turn, token, values);
                self.loss_answered(turn, answer);
            }
            Some(JournalRead::Absent) => {
                with_absent(turn, |absent, turn| absent.found_here(turn, values));
            }
            Some(
                JournalRead::Client
                | JournalRead::Trim
                | JournalRead::Retention
                | JournalRead::Compaction,
            )
            | None => {}
        }
    }

    /// A member asks whether this one has values whose entries are to be declared lost; or this one asks itself.
    fn loss_asked(&mut self, turn: &mut Turn<'_>, from: NodeId, ask: &LossAsk) {
        let known = self.checkpoints.kept().last().map_or(Slot(0), |kept| kept.slot);
        let answer = self.holdings.ask(turn, from, ask, known);
        self.loss_answered(turn, answer);
    }

    fn loss_answered(&mut self, turn: &mut Turn<'_>, answer: Option<Answer>) {
        let me = turn.core.options.paxos.me;
        match answer {
            Some((to, answer)) if to == me => {
                let step = self.requests.declarations.hear(turn, me, &answer);
                self.declare(turn, step);
            }
            Some((to, answer)) => turn.send(to, Message::LossAnswer(answer)),
            None => {}
        }
    }

    /// A declaration goes on.
    fn declare(&mut self, turn: &mut Turn<'_>, step: DeclareStep) {
        match step {
            DeclareStep::Waits => {}
            DeclareStep::Ready(asked, command) => {
                self.requests.lose(turn, (asked, command), &self.disk_full);
            }
            DeclareStep::Ask(ask) => {
                let me = turn.core.options.paxos.me;
                let members = turn.core.options.paxos.members.clone();
                for other in members.into_iter().filter(|node| *node != me) {
                    turn.send(other, Message::LossAsk(ask.clone()));
                }
                self.loss_asked(turn, me, &ask);
            }
        }
    }

    /// What applies, and what hears of it.
    fn applying(&mut self) -> (&mut Applier, ApplyHooks<'_>) {
        let Router { applier, requests, since_cut, checkpoints, .. } = self;
        (applier, ApplyHooks { requests, since_cut, checkpoints })
    }

    /// Carries out effects until none are left, and applies what can be applied.
    pub(super) fn drain_effects(&mut self, turn: &mut Turn<'_>) {
        loop {
            self.carry_out(turn);
            let (applier, mut hooks) = self.applying();
            applier.apply_ready(turn, &mut hooks);
            // What was applied may have shown that replicas differ (R23).
            if !turn.core.has_effects() {
                break;
            }
        }
        self.requests.reads.refuse_in_doubt(turn);
        turn.release_held();
        self.leaving.end_if_done(turn, &self.requests);
    }

    fn carry_out(&mut self, turn: &mut Turn<'_>) {
        loop {
            let effects = turn.core.take_effects();
            if effects.is_empty() {
                break;
            }
            for effect in effects {
                self.effect(turn, effect);
            }
        }
        // A replica that must not vote any more sends nothing that it held back, either.
        if !turn.core.replica.is_ending() {
            for (node, vote) in self.outbox.release(turn.core.journal.durable_upto()) {
                turn.send(node, vote.into());
            }
        }
    }

    fn effect(&mut self, turn: &mut Turn<'_>, effect: Effect) {
        let shard = turn.core.options.shard;
        match effect {
            Effect::Persist(lsn, record) => turn.core.journal.push(lsn, record),
            Effect::Send(node, plain) => turn.send(node, plain.into()),
            Effect::SendAfter(lsn, node, vote) => self.outbox.hold(lsn, node, vote),
            Effect::Chosen { slot, ballot, value } => turn.core.cache.insert(slot, ballot, value),
            Effect::Repaired { slot, ballot, value } => {
                self.repair_log.note_repaired(slot);
                turn.core.cache.insert(slot, ballot, value);
            }
            Effect::Serve { to, learn } => self.catch_up.serve(turn, to, learn),
            Effect::Leading(Some(ballot)) => {
                turn.core.tally.elections += 1;
                log::info!("shard {shard}: leads in ballot {ballot}");
            }
            Effect::Leading(None) => {
                log::info!("shard {shard}: no longer leads");
                // What was chosen before is answered as such, not as unknown.
                let (applier, mut hooks) = self.applying();
                applier.apply_cached(turn, &mut hooks);
                self.requests.lose_leadership(turn);
            }
            Effect::Stalled(micros) => log::warn!(
                "shard {shard}: the disk has made nothing durable for {} ms: leadership is handed \
                 over",
                micros / 1000
            ),
            Effect::HandedOver(called) => self.leaving.handed_over(turn, called),
            Effect::Yields => log::warn!(
                "shard {shard}: this disk is full and others are not: leadership is handed over"
            ),
            Effect::Note(note) => log_note(&note),
            Effect::Stop(stop) => {
                let findings = std::mem::take(&mut self.findings);
                turn.fail(Fatal::Stopped { shard, stop, findings });
            }
        }
    }
}

fn hear_values(turn: &mut Turn<'_>, from: NodeId, chunk: ValuesChunk) {
    // A peer that has applied more may give remnants where this node may not write any down yet (C32c).
    let chunk = if turn.core.allows_remnants() { chunk } else { up_to_first_remnant(chunk) };
    with_absent(turn, |absent, turn| absent.hear(turn, from, chunk));
}

/// What fetches absent values needs the rest of the core for it.
fn with_absent(turn: &mut Turn<'_>, run: impl FnOnce(&mut Absent, &mut Turn<'_>)) {
    let mut absent = std::mem::take(&mut turn.core.absent);
    run(&mut absent, turn);
    turn.core.absent = absent;
}
