//! The value of a slot rots on all nodes, and an operator declares its entries lost (C32b).

use super::client::SimClient;
use super::history::OperationKind;
use super::queue::SimEvent;
use super::violation::CheckResult;
use super::world::World;
use crate::api::error::{Detail, RequestError};
use crate::api::{DeclareLost, LogRef, Reply, Request};
use crate::machine::{Commands, LogCommand, MachineCommand};
use crate::storage::{MemStorage, Storage};
use crate::types::{FormatLevel, LogId, LostRange, Slot, Value};
use std::collections::BTreeSet;

/// Bytes in front of an entry by which it differs from others: its length and its checksum.
const PREFIX_BYTES: usize = 8;

impl World {
    /// Tries to lose a value, where the plan says so: at about every second fault, for it seldom can be. Every node has
    /// to be up, with two checkpoints behind the value.
    pub(super) fn try_to_lose_a_value(&mut self) -> CheckResult {
        if self.plan.loses_values() && self.rng.one_in(2) {
            self.lose_a_value()?;
        }
        Ok(())
    }

    /// Tries once more when no other fault comes any more.
    pub(super) fn try_at_last_to_lose_a_value(&mut self) -> CheckResult {
        if self.plan.loses_values() { self.lose_a_value() } else { Ok(()) }
    }

    /// All machines lose power, and with it every copy of one slot's value, whose entries are old enough that
    /// checkpoints stand for it; once in a run. An operator declares them lost from then on.
    pub(super) fn lose_a_value(&mut self) -> CheckResult {
        let Some((slot, losses)) = self.draw_losses() else { return Ok(()) };
        for node in 0..self.nodes.len() {
            self.crash(node, true)?;
        }
        let Some(value) = self.oracle.value(slot).cloned() else { return Ok(()) };
        let texts = entries_of(&value);
        let mut copies = Vec::new();
        for node in &self.nodes {
            copies.push(rot_all(node.disk.storage(), &texts));
        }
        self.trace.line(self.now, || {
            format!("slot {slot} rots everywhere, {copies:?} copies: {losses:?} are to be lost")
        });
        self.oracle.rotten = Some(slot);
        self.add_client(None);
        let client = self.clients.len() - 1;
        self.clients[client].declares = losses;
        self.queue.push(self.now, SimEvent::Client { client });
        Ok(())
    }

    /// A slot that every node has two checkpoints behind, and its entries, some of which are live.
    fn draw_losses(&mut self) -> Option<(Slot, Vec<(LogId, LostRange)>)> {
        let level = self.oracle.level();
        if self.oracle.rotten.is_some() || level < FormatLevel::LOST_ENTRIES {
            return None;
        }
        let mut upto = Slot(u64::MAX);
        for node in &self.nodes {
            let shard = node.shard.as_ref().filter(|_| node.formed && !node.paused)?;
            let [older, _, ..] = shard.checkpoints() else { return None };
            upto = upto.min(older.slot);
        }
        let last = self.oracle.last();
        let logs = self.oracle.logs().filter(|(_, past)| past.exists(last));
        let live: BTreeSet<Slot> =
            logs.flat_map(|(_, past)| past.live_slots(last)).filter(|slot| *slot <= upto).collect();
        let live: Vec<Slot> = live.into_iter().collect();
        let slot = *self.rng.pick(live.get(..).filter(|live| !live.is_empty())?);
        let logs = self.oracle.logs().filter(|(_, past)| past.exists(last));
        let losses = logs.filter_map(|(log, past)| Some((log, past.live_of(slot, last)?)));
        Some((slot, losses.collect()))
    }

    /// What the operator asks for next: what is lost, or, now and then, one entry more, which some node has.
    pub(super) fn draw_declaration(&mut self, client: usize) -> Option<(OperationKind, Request)> {
        let (log, mut range) = self.clients[client].declares.last().copied()?;
        if self.rng.one_in(3) {
            range.before = range.before.next();
        }
        let what = OperationKind::Declare(log, range);
        let LostRange { from, before } = range;
        Some((what, Request::DeclareLost(DeclareLost { log: LogRef::Id(log), from, before })))
    }

    /// What an answer makes of the operator's work.
    pub(super) fn declared(&mut self, client: usize, number: usize, reply: &Reply) {
        let OperationKind::Declare(log, asked) = self.history.operation(number).what else {
            return;
        };
        let declares = &mut self.clients[client].declares;
        let Some((_, range)) = declares.last_mut().filter(|(of, _)| *of == log) else { return };
        let done = match reply {
            Reply::DeclaredLost(_) => asked.before >= range.before,
            Reply::Error(RequestError { detail: Detail::First { first, .. }, .. }) => {
                range.from = range.from.max(*first);
                range.from >= range.before
            }
            Reply::Error(error) => error.code == crate::api::error::ErrorCode::UnknownLog,
            _ => false,
        };
        if done {
            declares.pop();
        }
    }
}

impl SimClient {
    /// It is an operator with entries that are to be declared lost.
    pub(super) fn is_operator(&self) -> bool {
        !self.declares.is_empty()
    }
}

/// The entries of a value, each with what stands in front of it.
fn entries_of(value: &Value) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let Ok(commands) = Commands::new(value) else { return found };
    for item in commands {
        let Ok((_, MachineCommand::Log(command))) = item else { continue };
        let (LogCommand::Append { entries, .. } | LogCommand::AppendCreate { entries, .. }) =
            command
        else {
            continue;
        };
        for entry in entries.iter() {
            let at = value.bytes().windows(entry.data.len()).position(|part| part == entry.data);
            let from = at.and_then(|at| at.checked_sub(PREFIX_BYTES)).unwrap_or(0);
            let upto = at.unwrap_or(0) + entry.data.len();
            found.push(value.bytes()[from..upto].to_vec());
        }
    }
    found
}

/// One bit of every copy of these texts is another. Returns how many there are.
fn rot_all(storage: &MemStorage, texts: &[Vec<u8>]) -> usize {
    let mut copies = 0;
    for name in storage.list().unwrap_or_default().iter().filter(|name| name.ends_with(".wal")) {
        let mut bytes = vec![0; storage.len(name).unwrap_or(0) as usize];
        if storage.read_at(name, 0, &mut bytes).is_err() {
            continue;
        }
        for text in texts {
            let parts = bytes.windows(text.len()).enumerate();
            for (at, _) in parts.filter(|(_, part)| part == text) {
                let at = (at + PREFIX_BYTES) as u64;
                storage.rot(name, at..at + 1, |byte| byte[0] ^= 1);
                copies += 1;
            }
        }
    }
    copies
}
