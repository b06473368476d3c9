//! Commands: admitted in order, batched, proposed, answered when applied.
//!
//! A leader can compute the next index of every log once what is in flight is applied, because in one
//! leadership nothing in flight is dropped without all that came behind it. So a conditional append
//! that cannot succeed breaks its chain at once, and those behind it are refused without a round.

use super::core::Core;
use super::events::RequestId;
use super::fates::Fates;
use super::lookup;
use super::queued::{QueuedWrite, WriteQueue};
use super::trims::TrimmedBytes;
use super::turn::Turn;
use super::waiter::{Chained, Waiter};
use super::write_request::WriteRequest;
use crate::api::error::{ErrorCode, RequestError};
use crate::api::name::LogName;
use crate::api::{Append, Create, LogRef, SetAttributes, Trim};
use crate::limits::{FREEING_BYTES_MAX, VALUE_BYTES_TARGET};
use crate::machine::{LogCommand, MachineCommand, MachineOutcome, ValueBuilder};
use crate::types::{Ballot, ConnId, Index, LogId, Slot};
use std::collections::{BTreeMap, BTreeSet};

/// Slots in flight beyond which commands gather for a larger value instead of one of their own.
const PIPELINE_SLOTS: u64 = 4;

/// The commands of one slot in flight.
#[derive(Debug)]
struct InFlight {
    ballot: Ballot,
    waiters: Vec<Waiter>,
    claims: Vec<Claim>,
}

/// What a command in flight means for those behind it.
#[derive(Debug, Clone)]
enum Claim {
    /// Entries are on their way to the log; so many will move its next index.
    Entries(LogId, u64),
    /// The name is being taken or freed, or what its log takes changes: others must wait.
    Name(LogName),
    /// Nothing that others would go by.
    Nothing,
}

/// What a command means for those behind it, and the condition that its client named.
type Admitted = (Claim, Option<Index>);

/// The write side of a shard.
#[derive(Debug, Default)]
pub struct Writes {
    builder: ValueBuilder,
    /// The leadership that has proposed values, and the slot of the last one.
    begun: Option<(Ballot, Slot)>,
    /// Who waits for the commands of the value being built.
    waiters: Vec<Waiter>,
    claims: Vec<Claim>,
    in_flight: BTreeMap<Slot, InFlight>,
    /// Next index of each log with appends on their way, and how many commands these are.
    ahead: BTreeMap<LogId, (Index, u32)>,
    /// Names that a command on its way takes or frees.
    names: BTreeSet<LogName>,
    /// Requests for such names.
    stalled: WriteQueue,
    /// Trims whose extents are on disk, to be looked up.
    unplaced: WriteQueue,
    /// Requests for which the window has no space.
    backlog: WriteQueue,
}

impl Writes {
    /// The connection is gone, and with it the memory of its chains: what waits is not admitted.
    pub(super) fn drop_conn(&mut self, conn: ConnId) {
        self.stalled.drop_conn(conn);
        self.unplaced.drop_conn(conn);
        self.backlog.drop_conn(conn);
    }

    /// Bytes of what waits to be proposed.
    pub(super) fn queued_bytes(&self) -> usize {
        let building = if self.builder.is_empty() { 0 } else { self.builder.byte_len() };
        building + self.backlog.bytes() + self.stalled.bytes() + self.unplaced.bytes()
    }

    /// Takes in a write that may be served: admits it, or has it wait.
    pub(super) fn take_in(&mut self, turn: &mut Turn<'_>, queued: QueuedWrite) {
        if self.builder.is_full() || !self.backlog.is_empty() {
            self.flush_builder(turn);
        }
        if self.builder.is_full() || !self.backlog.is_empty() {
            return self.backlog.push(queued);
        }
        self.admit_or_stall(turn, queued);
    }

    /// Admits a write, unless it has to wait for its log's name.
    fn admit_or_stall(&mut self, turn: &mut Turn<'_>, queued: QueuedWrite) {
        let name = queued.request.name(&turn.core.machine);
        if name.is_some_and(|name| self.names.contains(name)) {
            return self.stalled.push(queued);
        }
        if let WriteRequest::Trim(Trim { log, before }, looked_up) = &queued.request
            && let Ok(log) = turn.core.find(log)
            && looked_up.is_none_or(|(of, _)| of != log)
        {
            match TrimmedBytes::of(turn.core, log, *before) {
                TrimmedBytes::Known(_) => {}
                // Entries that are on their way are waited for.
                TrimmedBytes::PastEnd
                    if self.ahead.get(&log).is_some_and(|ahead| *before <= ahead.0) =>
                {
                    return self.stalled.push(queued);
                }
                TrimmedBytes::PastEnd => {}
                TrimmedBytes::OnDisk(_) => return self.unplaced.push(queued),
            }
        }
        self.admit(turn, &queued);
    }

    /// Trims whose extents are on disk, to be looked up.
    pub(super) fn take_unplaced(&mut self) -> Vec<QueuedWrite> {
        let mut taken = Vec::new();
        while let Some(queued) = self.unplaced.pop() {
            taken.push(queued);
        }
        taken
    }

    /// Adds the command of a request to the value being built.
    fn admit(&mut self, turn: &mut Turn<'_>, queued: &QueuedWrite) {
        // Looked at again: the request may have waited while an earlier one of its chain failed.
        if queued.is_behind_failure(turn.core) {
            return queued.refuse_behind(turn);
        }
        let request = &queued.request;
        let claimed = match request {
            WriteRequest::Create(create) => self.admit_create(turn, create),
            WriteRequest::Delete(delete) => self.admit_delete(turn, &delete.log),
            WriteRequest::Append(append) => self.admit_append(turn, queued, append),
            WriteRequest::Trim(trim, bytes) => self.admit_trim(turn, trim, *bytes),
            WriteRequest::SetAttributes(set) => self.admit_set(turn, set),
            WriteRequest::Lose(lose) => {
                self.push(turn.core, *lose);
                Ok((Claim::Nothing, None))
            }
        };
        match claimed {
            Ok((claim, expect)) => {
                let write = Some(Chained { asked: queued.asked, chain: request.chain() });
                let entry_bytes = request.entry_bytes();
                self.waiters.push(Waiter { write, expect, entry_bytes });
                if let Claim::Name(name) = &claim {
                    self.names.insert(name.clone());
                }
                self.claims.push(claim);
            }
            Err(error) => queued.refuse(turn, error),
        }
    }

    fn admit_create(
        &mut self,
        turn: &mut Turn<'_>,
        Create { name, retention }: &Create,
    ) -> Result<Admitted, RequestError> {
        let core = &turn.core;
        lookup::check_owner(&core.machine, name, core.options.shards)?;
        if let Some(id) = core.machine.logs().resolve(name.as_str()) {
            return Err(RequestError::log_exists(id));
        }
        let (name_text, created_ms) = (name.as_str(), core.wall_ms);
        let retention = *retention;
        self.push(turn.core, LogCommand::Create { name: name_text, created_ms, retention });
        Ok((Claim::Name(name.clone()), None))
    }

    fn admit_delete(
        &mut self,
        turn: &mut Turn<'_>,
        log: &LogRef,
    ) -> Result<Admitted, RequestError> {
        let id = turn.core.find(log)?;
        let name = turn.core.machine.logs().name(id).cloned();
        let name = name.ok_or_else(|| lookup::unknown_log(log))?;
        self.push(turn.core, LogCommand::Delete { log: id });
        Ok((Claim::Name(name), None))
    }

    fn admit_trim(
        &mut self,
        turn: &Turn<'_>,
        trim: &Trim,
        looked_up: Option<(LogId, u64)>,
    ) -> Result<Admitted, RequestError> {
        let log = turn.core.find(&trim.log)?;
        let in_memory = || match TrimmedBytes::of(turn.core, log, trim.before) {
            TrimmedBytes::Known(bytes) => bytes,
            TrimmedBytes::OnDisk(_) | TrimmedBytes::PastEnd => 0,
        };
        let looked_up = looked_up.filter(|(of, _)| *of == log).map(|(_, bytes)| bytes);
        let bytes_before = looked_up.unwrap_or_else(in_memory);
        self.push(turn.core, LogCommand::Trim { log, before: trim.before, bytes_before });
        Ok((Claim::Nothing, None))
    }

    fn admit_set(
        &mut self,
        turn: &Turn<'_>,
        set: &SetAttributes,
    ) -> Result<Admitted, RequestError> {
        let log = turn.core.find(&set.log)?;
        let name = turn.core.machine.logs().name(log).cloned();
        let name = name.ok_or_else(|| lookup::unknown_log(&set.log))?;
        self.push(turn.core, LogCommand::SetAttributes { log, changes: set.changes });
        Ok((Claim::Name(name), None))
    }

    /// Adds a command to the value being built, which the format level of the applied state must allow (C44d).
    fn push<'c>(&mut self, core: &Core, command: impl Into<MachineCommand<'c>>) {
        self.builder.set_level(core.machine.levels().level());
        self.builder.push(command);
    }

    /// Adds a command of the shard's own, which nobody waits for; false where there is no room now.
    pub(super) fn propose_own<'c>(
        &mut self,
        core: &Core,
        command: impl Into<MachineCommand<'c>>,
    ) -> bool {
        let takes = !self.builder.is_full() && self.backlog.is_empty();
        if takes {
            self.push(core, command);
            self.waiters.push(Waiter::nobody());
            self.claims.push(Claim::Nothing);
        }
        takes
    }

    fn admit_append(
        &mut self,
        turn: &mut Turn<'_>,
        queued: &QueuedWrite,
        append: &Append,
    ) -> Result<Admitted, RequestError> {
        let (expect, entries) = (append.expect, append.entries.as_ref());
        let id = match (turn.core.find(&append.log), &append.log) {
            (Ok(id), _) => id,
            (Err(error), LogRef::Name(name))
                if append.create && error.code == ErrorCode::UnknownLog =>
            {
                let created_ms = turn.core.wall_ms;
                let name_text = name.as_str();
                let command =
                    LogCommand::AppendCreate { name: name_text, created_ms, expect, entries };
                self.push(turn.core, command);
                if expect.is_some_and(|index| index != Index(0)) {
                    queued.fail_chain(turn);
                }
                return Ok((Claim::Name(name.clone()), expect));
            }
            (Err(error), _) => return Err(error),
        };
        self.push(turn.core, LogCommand::Append { log: id, expect, entries });
        let count = u64::from(entries.count());
        let start = turn.core.machine.logs().next_index(id).unwrap_or_default();
        let ahead = self.ahead.entry(id).or_insert((start, 0));
        ahead.1 += 1;
        // A seal on its way holds the name, so what the state says of it is what the append meets.
        let takes = !turn.core.machine.logs().is_sealed(id);
        let moves = if takes && expect.is_none_or(|index| index == ahead.0) { count } else { 0 };
        ahead.0 = ahead.0.plus(moves);
        if moves == 0 {
            // It will be refused when it is applied; what comes behind it must not slip through.
            queued.fail_chain(turn);
        }
        Ok((Claim::Entries(id, moves), expect))
    }

    /// Proposes what was gathered, as far as the window has space.
    pub(super) fn flush(&mut self, turn: &mut Turn<'_>) {
        loop {
            self.flush_builder(turn);
            if self.builder.is_full() || self.backlog.is_empty() {
                return;
            }
            while let Some(queued) = self.backlog.pop() {
                self.admit_or_stall(turn, queued);
                if self.builder.is_full() {
                    break;
                }
            }
        }
    }

    fn flush_builder(&mut self, turn: &mut Turn<'_>) {
        let replica = &turn.core.replica;
        let goes_on = !replica.is_doubtful() || turn.core.takes_plain_appends();
        let takes = goes_on && replica.has_room(self.builder.byte_len());
        if self.builder.is_empty() || !takes {
            return;
        }
        let enough = self.builder.byte_len() >= VALUE_BYTES_TARGET || self.builder.is_full();
        if !enough && replica.open_slots() >= PIPELINE_SLOTS {
            return; // What is in flight comes back soon: one larger value costs less than two.
        }
        let ballot = replica.promised();
        // Behind no-ops of the replica's own the leadership begins anew: all before them is chosen.
        let behind = replica.next_slot().map(|next| (ballot, next.prev()));
        let first = self.begun != behind;
        let stamp_ms = turn.core.stamp_ms(turn.now);
        let value = self.builder.build(ballot, first, stamp_ms);
        let waiters = std::mem::take(&mut self.waiters);
        let claims = std::mem::take(&mut self.claims);
        let slot = turn.propose(value);
        self.begun = Some((ballot, slot));
        self.in_flight.insert(slot, InFlight { ballot, waiters, claims });
    }

    /// A slot was applied: answers those who wait for its commands.
    pub(super) fn applied(
        &mut self,
        turn: &mut Turn<'_>,
        slot: Slot,
        ballot: Ballot,
        outcomes: &[MachineOutcome],
    ) {
        let Some(flight) = self.in_flight.remove(&slot) else { return };
        assert_eq!(flight.ballot, ballot, "slot {slot} was proposed in this leadership only");
        assert_eq!(flight.waiters.len(), outcomes.len(), "one outcome per command of slot {slot}");
        let mut freed = false;
        let is_plain = |waiter: &Waiter, claim: &Claim| {
            waiter.expect.is_none() && matches!(claim, Claim::Entries(..))
        };
        let plain = flight.waiters.iter().zip(&flight.claims);
        let plain: Vec<bool> = plain.map(|(waiter, claim)| is_plain(waiter, claim)).collect();
        for claim in flight.claims {
            match claim {
                Claim::Nothing => {}
                Claim::Entries(log, _) => {
                    self.forget_append(log, 0);
                    freed |= self.stalled.has_trims();
                }
                Claim::Name(name) => {
                    self.names.remove(&name);
                    freed = true;
                }
            }
        }
        let doubtful = turn.core.replica.is_doubtful();
        let takes_plain = turn.core.takes_plain_appends();
        for ((waiter, outcome), is_plain) in flight.waiters.into_iter().zip(outcomes).zip(plain) {
            match doubtful && !(takes_plain && is_plain) {
                true => waiter.doubt(turn),
                false => waiter.answer(turn, outcome),
            }
        }
        if freed {
            self.backlog.take_in_front(&mut self.stalled);
        }
    }

    /// Leadership is gone: what was not proposed was not executed, the rest waits for its fate (C8,
    /// R21). Either way the chains that they belong to are broken: what follows must not slip through
    /// if this node comes to lead again.
    pub(super) fn lose_leadership(&mut self, turn: &mut Turn<'_>, fates: &mut Fates) {
        let mut lost = std::mem::take(self);
        let unproposed = lost.withdraw();
        for (slot, flight) in lost.in_flight {
            fates.wait(turn, slot, flight.ballot, flight.waiters);
        }
        for write in unproposed {
            let error = turn.core.serving().err().unwrap_or_else(|| turn.core.not_leader());
            write.refuse(turn, error);
        }
    }

    /// Nothing of what waits to be proposed appends to a log that exists, and all of it is small: what
    /// frees space is let through where there is little.
    pub(super) fn wants_little_room(&self) -> bool {
        let queues = [&self.stalled, &self.unplaced, &self.backlog];
        let appends = self.claims.iter().any(|claim| matches!(claim, Claim::Entries(..)));
        let bytes = self.builder.byte_len() as u64;
        !appends && bytes <= FREEING_BYTES_MAX && queues.iter().all(|queue| queue.is_empty())
    }

    /// Refuses all that waits to be proposed: it was not executed.
    pub(super) fn refuse_waiting(&mut self, turn: &mut Turn<'_>, error: &RequestError) {
        for write in self.withdraw() {
            write.refuse(turn, error.clone());
        }
    }

    /// Takes out what is not proposed, as if it had never come in.
    fn withdraw(&mut self) -> Vec<Chained> {
        self.builder = ValueBuilder::default();
        for claim in std::mem::take(&mut self.claims) {
            match claim {
                Claim::Nothing => {}
                Claim::Entries(log, moves) => self.forget_append(log, moves),
                Claim::Name(name) => drop(self.names.remove(&name)),
            }
        }
        let waiters = std::mem::take(&mut self.waiters).into_iter().filter_map(|w| w.write);
        let waiting = waiters.chain(self.stalled.withdraw()).chain(self.unplaced.withdraw());
        waiting.chain(self.backlog.withdraw()).collect()
    }

    /// One command less is on its way to the log; it will not move the next index by `back`.
    fn forget_append(&mut self, log: LogId, back: u64) {
        let Some(ahead) = self.ahead.get_mut(&log) else { return };
        ahead.0 = Index(ahead.0.0 - back);
        ahead.1 -= 1;
        if ahead.1 == 0 {
            self.ahead.remove(&log);
        }
    }

    /// Every write that has no answer yet.
    pub(super) fn waiting(&self) -> impl Iterator<Item = RequestId> {
        let in_flight = self.in_flight.values().flat_map(|flight| &flight.waiters);
        let commands = self.waiters.iter().chain(in_flight);
        let commands = commands.filter_map(|waiter| waiter.write.as_ref()).map(|write| write.asked);
        let queued = self
            .stalled
            .iter()
            .chain(self.unplaced.iter())
            .chain(self.backlog.iter())
            .map(|queued| queued.asked);
        commands.chain(queued)
    }

    /// Checks that somebody waits for each command, and that what commands on their way claim is what
    /// those behind them go by.
    ///
    /// # Panics
    /// When it is not so.
    pub(super) fn check(&self, core: &Core) {
        self.stalled.check();
        self.unplaced.check();
        self.backlog.check();
        let building = !self.builder.is_empty();
        assert!(
            building != self.waiters.is_empty() && self.waiters.len() == self.claims.len(),
            "a value in the making ({building}) with {} waiters and {} claims",
            self.waiters.len(),
            self.claims.len()
        );
        let (applied, promised) = (core.machine.applied_upto(), core.replica.promised());
        for (slot, flight) in &self.in_flight {
            let (ballot, waiters) = (flight.ballot, flight.waiters.len());
            assert!(*slot > applied, "slot {slot} is in flight: applied_upto={applied}");
            assert!(ballot == promised, "slot {slot} is in flight in {ballot}, not in {promised}");
            assert!(
                waiters > 0 && waiters == flight.claims.len(),
                "slot {slot}: {waiters} waiters, {} claims",
                flight.claims.len()
            );
        }
        let (mut appends, mut named) = (0, 0);
        let in_flight = self.in_flight.values().flat_map(|flight| &flight.claims);
        for claim in self.claims.iter().chain(in_flight) {
            match claim {
                Claim::Nothing => {}
                Claim::Entries(log, _) => {
                    assert!(self.ahead.contains_key(log), "appends to {log} are not counted");
                    appends += 1;
                }
                Claim::Name(name) => {
                    assert!(self.names.contains(name), "{name:?} is on its way, and not known");
                    named += 1;
                }
            }
        }
        let (counted, known) =
            (self.ahead.values().map(|ahead| ahead.1).sum::<u32>(), self.names.len());
        assert!(appends == counted, "{appends} appends on their way, counted are {counted}");
        assert!(named == known, "{named} names on their way, known are {known}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::invariants_tests::complaint;
    use crate::types::NodeId;

    fn in_flight(ballot: Ballot) -> InFlight {
        InFlight { ballot, waiters: Vec::new(), claims: Vec::new() }
    }

    /// Somebody waits for each command, and what is claimed is claimed by a command on its way.
    #[test]
    fn a_command_for_nobody_is_noticed() {
        let log = LogId(9);
        let text = complaint(|shard| {
            shard.router.requests.writes.builder.push(LogCommand::Delete { log });
        });
        assert!(text.contains("a value in the making (true) with 0 waiters"), "{text}");
        let text = complaint(|shard| {
            shard.router.requests.writes.ahead.insert(log, (Index(0), 1));
        });
        assert!(text.contains("0 appends on their way, counted are 1"), "{text}");
        let text = complaint(|shard| {
            let name = LogName::new("b").expect("a good name");
            shard.router.requests.writes.names.insert(name);
        });
        assert!(text.contains("0 names on their way, known are 1"), "{text}");
    }

    /// What a command on its way claims is what others are admitted by.
    #[test]
    fn a_claim_that_is_not_kept_is_noticed() {
        let (log, name) = (LogId(9), LogName::new("b").expect("a good name"));
        let expected = ["appends to 9 are not counted", "is on its way, and not known"];
        for (claim, expected) in [Claim::Entries(log, 1), Claim::Name(name)].iter().zip(expected) {
            let text = complaint(|shard| {
                let writes = &mut shard.router.requests.writes;
                let write =
                    Chained { asked: RequestId { conn: ConnId(99), correlation: 1 }, chain: None };
                writes.builder.push(LogCommand::Delete { log });
                writes.waiters.push(Waiter { write: Some(write), expect: None, entry_bytes: 0 });
                writes.claims.push(claim.clone());
            });
            assert!(text.contains(expected), "{text}");
        }
    }

    /// What is in flight is of this leadership, is not applied, and somebody waits for it.
    #[test]
    fn a_slot_that_is_not_in_flight_is_noticed() {
        let text = complaint(|shard| {
            let (slot, ballot) = (shard.applied_upto(), shard.replica().promised());
            shard.router.requests.writes.in_flight.insert(slot, in_flight(ballot));
        });
        assert!(text.contains("is in flight: applied_upto="), "{text}");
        let text = complaint(|shard| {
            let flight = in_flight(Ballot::new(1, NodeId(2)));
            shard.router.requests.writes.in_flight.insert(Slot(100), flight);
        });
        assert!(text.contains("slot 100 is in flight in"), "{text}");
        let text = complaint(|shard| {
            let flight = in_flight(shard.replica().promised());
            shard.router.requests.writes.in_flight.insert(Slot(100), flight);
        });
        assert!(text.contains("slot 100: 0 waiters, 0 claims"), "{text}");
    }
}
