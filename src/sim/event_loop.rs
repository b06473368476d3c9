//! A node's event loop: inputs gather, a turn takes them all in, then its outputs are carried out.

use super::clock::WallClocks;
use super::disk::{Completion, LANES, SYNCER};
use super::node::{Medium, Node};
use super::queue::SimEvent;
use super::violation::{CheckResult, Violation, ensure};
use super::world::World;
use crate::api::{Reply, ReplyHeader, Request};
use crate::journal::invariants::JournalSummary;
use crate::journal::{self, Done, Job};
use crate::paxos::invariants::{Summary, check_state, check_step};
use crate::paxos::{Doubt, Replica, Role};
use crate::shard::{self, DiskDone, DiskJob, Input, Output};
use crate::types::{ConnId, Tick};
use crate::wire::peer::Message;

/// Most bytes of a line that shows a message or an outcome.
const LINE_BYTES_MAX: usize = 600;

impl World {
    /// Something happened to a node: its loop will turn soon.
    pub(super) fn give_input(&mut self, node: usize, input: Input) {
        let turn_us = self.plan.turn_us;
        let to = &mut self.nodes[node];
        if to.shard.is_none() {
            return;
        }
        to.inbox.push(input);
        self.plan_turn(node, turn_us);
    }

    pub(super) fn plan_turn(&mut self, node: usize, turn_us: u64) {
        let to = &mut self.nodes[node];
        if to.turn_due || to.paused {
            return;
        }
        to.turn_due = true;
        let at = self.now + self.rng.below(2 * turn_us + 1);
        self.queue.push(at, SimEvent::Turn { node, life: to.life });
    }

    /// One turn of a node's event loop.
    pub(super) fn turn(&mut self, node: usize) -> CheckResult {
        let turning = &mut self.nodes[node];
        turning.turn_due = false;
        if turning.paused {
            return Ok(());
        }
        let now = turning.clock.local(self.now);
        let mut out = Vec::new();
        let inbox = std::mem::take(&mut turning.inbox);
        if let Some(shard) = &mut turning.shard {
            shard.begin_turn(0); // Its clients take their answers at once.
        }
        let wall_ms = self.wall_ms(node);
        if let Some(shard) = &mut self.nodes[node].shard {
            shard.set_wall_ms(wall_ms);
        }
        for input in inbox.into_iter().chain([Input::Tick]) {
            self.step(node, now, input, &mut out)?;
        }
        self.carry_out(node, out)?;
        self.check_leases(node)?;
        self.arm(node);
        self.remember(node);
        Ok(())
    }

    /// One step of a node's shard, and the checks that follow every step.
    fn step(&mut self, node: usize, now: Tick, input: Input, out: &mut Vec<Output>) -> CheckResult {
        let (at, stepping) = (self.now, &mut self.nodes[node]);
        let Some(shard) = &mut stepping.shard else { return Ok(()) };
        self.trace.line(at, || format!("n{} < {}", stepping.id, describe_input(&input)));
        let before = Summary::of(shard.replica());
        let journal_before = JournalSummary::of(shard.journal());
        let batch_done = matches!(input, Input::Disk(DiskDone::Journal(Done::Batch(_))));
        let (first, chosen_upto) = (shard.replica().next_lsn(), shard.replica().chosen_upto());
        shard.step(now, input, out);
        shard::invariants::check_state(shard);
        check_state(shard.replica());
        check_step(&before, &Summary::of(shard.replica()));
        check_journal(shard.journal(), &journal_before, batch_done);
        stepping.durability_checker.changed(shard.replica().hard(), first);
        stepping.note_named_released();
        self.check_level(node)?;
        self.check_chosen(node, chosen_upto)
    }

    /// What a step chose and applied agrees with what any node chose and applied.
    pub(super) fn check_chosen(&mut self, node: usize, before: crate::types::Slot) -> CheckResult {
        let Some(shard) = &self.nodes[node].shard else { return Ok(()) };
        let mut slot = before.next();
        while slot <= shard.replica().chosen_upto() {
            let Some((ballot, value)) = shard.recent(slot) else {
                // A checkpoint stands for it, so others know what was chosen.
                if slot <= shard.installed_upto() && slot <= self.oracle.last() {
                    slot = slot.next();
                    continue;
                }
                let text = format!("node {} chose slot {slot} without its value", node + 1);
                return Err(Violation::new("what is chosen is at hand", text));
            };
            for applied in self.oracle.chosen(slot, *ballot, value)? {
                self.history.applied(&applied, &self.oracle)?;
            }
            slot = slot.next();
        }
        let (stamp_ms, latest_ms) = (self.oracle.stamp_ms(), WallClocks::latest_stamp_ms(self.now));
        ensure(stamp_ms <= latest_ms, "stamps stay with the clocks that are right (C28)", || {
            format!("node {} chose a stamp of {stamp_ms}, past {latest_ms}", node + 1)
        })?;
        let applied_upto = shard.applied_upto();
        let digest = shard.machine().digest();
        let expected = self.oracle.digest(applied_upto);
        let is_fenced = shard.replica().doubt() == Some(Doubt::Fenced);
        let is_other = expected != Some(digest) || is_fenced;
        if self.nodes[node].is_spoiled && is_other {
            return Ok(());
        }
        self.nodes[node].is_spoiled = false;
        ensure(expected == Some(digest), "equal digests (R23)", || {
            format!("node {} at slot {applied_upto}: {digest:#x}, not {expected:#x?}", node + 1)
        })
    }

    /// At most one node holds a lease that is valid by its own clock (C14 to C17).
    fn check_leases(&self, node: usize) -> CheckResult {
        let holds = |node: &Node| {
            let replica = node.shard.as_ref().map(shard::Shard::replica);
            replica.is_some_and(|replica| {
                matches!(replica.role(), Role::Leader(_))
                    && replica.lease_valid(node.clock.local(self.now))
            })
        };
        if !holds(&self.nodes[node]) {
            return Ok(());
        }
        let others = self.nodes.iter().filter(|other| other.id != self.nodes[node].id);
        match others.into_iter().find(|other| holds(other)) {
            None => Ok(()),
            Some(other) => Err(Violation::new(
                "at most one valid lease",
                format!("nodes {} and {} hold one", self.nodes[node].id, other.id),
            )),
        }
    }

    /// Carries out what a turn asks for.
    pub(super) fn carry_out(&mut self, node: usize, out: Vec<Output>) -> CheckResult {
        for output in out {
            match output {
                Output::Peer { node: to, message } => self.send_message(node, to, message)?,
                Output::Client { conn, correlation, header, reply } => {
                    self.send_answer(node, conn, correlation, header, reply);
                }
                Output::Job(job) => {
                    self.note_batch(node, &job);
                    self.may_interrupt(node, &job);
                    let completion = self.nodes[node].disk.submit(job, &mut self.rng);
                    self.plan_completion(node, completion);
                }
                Output::Stopped => {
                    self.trace.line(self.now, || format!("n{} stopped cleanly", node + 1));
                    if self.rng.one_in(4) {
                        self.stop(node, false);
                        return Ok(());
                    }
                    // What it said last reaches the others: its connections are closed, not torn.
                    let at = self.now + self.rng.duration(4 * self.plan.delay_us);
                    self.queue.push(at, SimEvent::End { node, life: self.nodes[node].life });
                }
                Output::Fatal(fatal) => return self.fatal(node, fatal.kind(), &fatal.to_string()),
            }
        }
        Ok(())
    }

    /// A batch that is handed out now holds no record that is yet to come.
    fn note_batch(&mut self, node: usize, job: &DiskJob) {
        let DiskJob::Journal(Job::Batch(_)) = job else { return };
        if let Some(shard) = &self.nodes[node].shard {
            self.nodes[node].batch_upto = shard.replica().next_lsn().prev();
        }
    }

    fn send_message(
        &mut self,
        from: usize,
        to: crate::types::NodeId,
        message: Message,
    ) -> CheckResult {
        self.trace.line(self.now, || short(format!("n{} > n{to}: {message:?}", from + 1)));
        self.marks.sent(&message);
        self.nodes[from].durability_checker.sent(&message)?;
        check_issued(&mut self.nodes[from], &message)?;
        if let Message::Accept(accept) = &message {
            self.oracle.check_proposal(accept.slot, accept.ballot, &accept.value)?;
            let first = *self.firsts.entry(accept.ballot).or_insert(accept.first);
            ensure(first == accept.first, "one first slot per ballot", || {
                format!("ballot {} has {first} and {}", accept.ballot, accept.first)
            })?;
        }
        let to = usize::from(to.0) - 1;
        self.network.send(self.now, from, to, message, &mut self.rng, &mut self.queue);
        Ok(())
    }

    fn send_answer(
        &mut self,
        node: usize,
        conn: ConnId,
        correlation: u64,
        header: ReplyHeader,
        reply: Reply,
    ) {
        let Some(client) = self.nodes[node].conns.get(&conn).copied() else { return };
        self.marks.answered(&reply);
        self.trace.line(self.now, || {
            format!(
                "n{} > c{client}: #{correlation} at {}: {reply:?}",
                node + 1,
                header.applied_upto
            )
        });
        let at = self.clients[client].arrival(self.now, self.plan.client_delay_us, &mut self.rng);
        let answer = Box::new((header, reply));
        self.queue.push(at, SimEvent::Answer { client, conn, correlation, answer });
    }

    pub(super) fn request_arrives(
        &mut self,
        node: usize,
        conn: ConnId,
        correlation: u64,
        request: Request,
    ) {
        if self.nodes[node].conns.contains_key(&conn) {
            self.give_input(node, Input::Client { conn, correlation, request });
        }
    }

    pub(super) fn hangup_arrives(&mut self, node: usize, conn: ConnId) {
        if self.nodes[node].conns.remove(&conn).is_some() {
            self.give_input(node, Input::ClientDown { conn });
        }
    }

    /// The disk is done with a job, or the disk has failed.
    pub(super) fn disk_done(&mut self, node: usize, lane: usize, number: u64) -> CheckResult {
        let now = self.now;
        if !self.nodes[node].disk.is_planned(lane, number) {
            return Ok(());
        }
        let (outcome, next) = self.nodes[node].disk.finish(lane, &mut self.rng);
        self.plan_completion(node, next);
        match outcome {
            Ok(done) => {
                if let DiskDone::Journal(Done::Batch(_)) = &done {
                    assert_eq!(lane, SYNCER, "batches are the syncer's");
                    let upto = self.nodes[node].batch_upto;
                    self.nodes[node].durability_checker.synced(upto);
                }
                self.marks.done(&done);
                self.give_input(node, Input::Disk(done));
                Ok(())
            }
            Err(error) => {
                self.trace.line(now, || format!("n{} exit 74: {error}", node + 1));
                self.stop(node, false);
                Ok(())
            }
        }
    }

    fn plan_completion(&mut self, node: usize, completion: Option<Completion>) {
        let life = self.nodes[node].life;
        if let Some(Completion { lane, number, after_us }) = completion {
            self.queue.push(self.now + after_us, SimEvent::Disk { node, life, lane, number });
        }
    }

    /// The disk is as fast as usual again, for what it works on, too.
    pub(super) fn speed_up(&mut self, node: usize) {
        self.nodes[node].disk.set_slowness(1);
        for lane in LANES {
            let completion = self.nodes[node].disk.plan(lane, &mut self.rng);
            self.plan_completion(node, completion);
        }
    }

    /// Plans the wake-up for the shard's next deadline. One that is planned for earlier serves too.
    pub(super) fn arm(&mut self, node: usize) {
        let arming = &mut self.nodes[node];
        let Some(shard) = &arming.shard else { return };
        let deadline = shard.next_deadline(arming.clock.local(self.now));
        let at = arming.clock.real(deadline).max(self.now + 1);
        if arming.wake_at.is_none_or(|planned| at < planned || planned <= self.now) {
            arming.wake_at = Some(at);
            self.queue.push(at, SimEvent::Wake { node, life: arming.life });
        }
    }

    /// The wake-up comes: for nothing, if the deadline has moved on in the meantime.
    pub(super) fn wake(&mut self, node: usize) {
        let waking = &mut self.nodes[node];
        if waking.wake_at != Some(self.now) || waking.paused {
            return;
        }
        waking.wake_at = None;
        let now = waking.clock.local(self.now);
        let due =
            waking.shard.as_ref().is_some_and(|shard| shard.next_deadline(now) <= now.after(1_000));
        if due {
            self.plan_turn(node, self.plan.turn_us);
        } else {
            self.arm(node);
        }
    }

    fn remember(&mut self, node: usize) {
        let Some(shard) = &self.nodes[node].shard else { return };
        let replica: &Replica = shard.replica();
        let formed = replica.hard().formed && replica.durable() >= replica.next_lsn().prev();
        let numbers = [
            self.now,
            node as u64,
            replica.promised().round,
            replica.chosen_upto().0,
            replica.next_lsn().0,
            shard.machine().digest(),
        ];
        self.trace.count(numbers);
        self.nodes[node].formed |= formed;
    }
}

/// What must hold of a journal that was just read back.
pub(super) fn check_read_back(journal: &journal::Journal) {
    journal::invariants::check_state(journal);
    journal::invariants::check_index(journal);
}

/// What must hold of a journal after a step; of its index only where the step can have changed it.
fn check_journal(journal: &journal::Journal, before: &JournalSummary, batch_done: bool) {
    journal::invariants::check_state(journal);
    journal::invariants::check_step(before, &JournalSummary::of(journal));
    if batch_done {
        journal::invariants::check_index(journal);
    }
}

/// A ballot belongs to one campaign of one life (R15). One that never left may be drawn again.
fn check_issued(node: &mut Node, message: &Message) -> CheckResult {
    if node.medium == Medium::SetBack {
        return Ok(()); // It cannot know what it issued; nobody who has seen it counts it.
    }
    let ballot = match message {
        Message::Prepare(prepare) => prepare.ballot,
        Message::Accept(accept) => accept.ballot,
        _ => return Ok(()),
    };
    let life = *node.issued.entry(ballot).or_insert(node.life);
    ensure(life == node.life && ballot.node == node.id, "a ballot is issued once (R15)", || {
        format!("node {} issues {ballot} in life {}, and did in life {life}", node.id, node.life)
    })
}

fn describe_input(input: &Input) -> String {
    match input {
        Input::Tick => "tick".to_string(),
        Input::Disk(DiskDone::Journal(Done::Batch(_))) => "batch durable".to_string(),
        Input::Disk(DiskDone::Journal(Done::Prepare(done))) => {
            format!("prepared segment {:?}", done.segment)
        }
        Input::Disk(DiskDone::Journal(Done::Read(done))) => {
            format!("read #{}, {} slots", done.token, done.values.len())
        }
        other => short(format!("{other:?}")),
    }
}

/// A line of the trace; of what carries many bytes, only the beginning.
fn short(mut line: String) -> String {
    line.truncate(LINE_BYTES_MAX);
    line
}
