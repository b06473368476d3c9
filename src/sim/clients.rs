//! What simulated clients do: they append, read, look for the leader, give up.

use super::client::SimClient;
use super::history::{OperationKind, OperationState, mark};
use super::oracle::entry_hash;
use super::queue::SimEvent;
use super::violation::CheckResult;
use super::world::World;
use crate::api::entries::Entries;
use crate::api::error::{Detail, RequestError};
use crate::api::name::LogName;
use crate::api::{
    Append, AttributeChanges, Consistency, Create, Delete, List, LogRef, Read, Reply, ReplyHeader,
    Request, Retention, SetAttributes, Stat, Trim,
};
use crate::types::{ConnId, Index, LogId};

/// A client gives a request up after this.
const TIMEOUT_US: u64 = 1_500_000;
/// A prober tries again after this, and gives up after twice that.
const PROBE_US: u64 = 60_000;
/// Most bytes of a large entry, which few are.
const LARGE_BYTES: u64 = 60_000;

impl World {
    /// One more client; a prober, if it keeps to a node.
    pub(super) fn add_client(&mut self, keeps_to: Option<usize>) {
        let target = keeps_to.unwrap_or_else(|| self.rng.below(self.nodes.len() as u64) as usize);
        self.clients.push(SimClient::new(keeps_to, target));
    }

    /// One more client, which stays where it is and reads there, whoever leads.
    pub(super) fn add_loyal_client(&mut self, node: usize) {
        self.add_client(Some(node));
        let client = self.clients.len() - 1;
        self.clients[client].loyal = true;
        self.queue.push(200_000, SimEvent::Client { client });
    }

    /// A client looks around: gives up what takes too long, and asks for more.
    pub(super) fn client_acts(&mut self, client: usize) {
        let prober = self.clients[client].is_prober();
        let pause = if prober { PROBE_US } else { self.rng.duration(self.plan.think_us) };
        let patience =
            if prober { 2 * PROBE_US + 20 * self.plan.client_delay_us } else { TIMEOUT_US };
        let acting = &self.clients[client];
        if acting.retired && acting.is_idle() {
            return;
        }
        let oldest = acting.pending.values().next().copied();
        if oldest.is_some_and(|sent_at| self.now - sent_at > patience) {
            self.hang_up(client);
            self.move_on(client, None);
        } else if acting.conn.is_some() && !prober && self.rng.one_in(60) {
            self.hang_up(client);
        }
        self.client_moves(client);
        self.client_asks(client);
        self.queue.push(self.now + pause, SimEvent::Client { client });
    }

    fn client_asks(&mut self, client: usize) {
        let done = self.clients[client].unread.as_ref().is_some_and(Vec::is_empty);
        let is_retired = self.clients[client].retired && !self.clients[client].is_operator();
        if !is_retired && !done && self.ensure_connected(client) {
            let prober = self.clients[client].is_prober();
            let limit = if prober { 1 } else { self.plan.pipeline };
            let burst = self.rng.range(1, limit);
            for _ in 0..burst {
                if (self.clients[client].pending.len() as u64) < limit {
                    let (what, request) = self.draw(client);
                    self.ask(client, what, request);
                }
            }
        }
    }

    /// Opens a connection to the target, or looks elsewhere.
    fn ensure_connected(&mut self, client: usize) -> bool {
        if self.clients[client].conn.is_some() {
            return true;
        }
        let target = self.clients[client].target;
        if self.nodes[target].shard.is_none() {
            self.move_on(client, None);
            return false;
        }
        self.next_conn += 1;
        let conn = ConnId(self.next_conn);
        self.clients[client].conn = Some(conn);
        self.clients[client].chain = 1;
        self.nodes[target].conns.insert(conn, client);
        true
    }

    /// Chooses another node, the one recommended if there is one.
    fn move_on(&mut self, client: usize, to: Option<usize>) {
        if self.clients[client].keeps_to.is_some() {
            return;
        }
        let anywhere = self.rng.below(self.nodes.len() as u64) as usize;
        self.clients[client].moves_to = Some(to.unwrap_or(anywhere));
    }

    fn client_moves(&mut self, client: usize) {
        if !self.clients[client].pending.is_empty() {
            return;
        }
        if let Some(to) = self.clients[client].moves_to.take() {
            if to != self.clients[client].target {
                self.hang_up(client);
            }
            self.clients[client].target = to;
        }
    }

    /// The client closes its connection; nobody knows what becomes of what is under way.
    fn hang_up(&mut self, client: usize) {
        self.abandon(client);
        let leaving = &mut self.clients[client];
        let Some(conn) = leaving.conn.take() else { return };
        let node = leaving.target;
        let at = leaving.there_at.max(self.now) + self.rng.duration(self.plan.client_delay_us);
        leaving.there_at = at;
        let life = self.nodes[node].life;
        self.queue.push(at, SimEvent::Hangup { node, life, conn });
    }

    fn abandon(&mut self, client: usize) {
        for (number, _) in std::mem::take(&mut self.clients[client].pending) {
            self.history.give_up(number);
            let asked = &self.history.operation(number).what;
            let unread = self.clients[client].unread.as_mut();
            if let (Some(unread), OperationKind::Read { log: LogRef::Id(log), from, .. }) =
                (unread, asked)
            {
                unread.push((*log, *from)); // Asked for again.
            }
        }
    }

    pub(super) fn connection_lost(&mut self, client: usize, conn: ConnId) {
        if self.clients[client].conn != Some(conn) {
            return;
        }
        self.clients[client].conn = None;
        self.abandon(client);
        self.move_on(client, None);
    }

    /// Sends one request.
    fn ask(&mut self, client: usize, what: OperationKind, request: Request) {
        let Some(conn) = self.clients[client].conn else { return };
        let number = self.history.begin(conn, self.now, what);
        self.trace.line(self.now, || {
            let node = self.clients[client].target + 1;
            format!("c{client} > n{node}: #{number} {request:?}")
        });
        let asking = &mut self.clients[client];
        asking.pending.insert(number, self.now);
        let node = asking.target;
        asking.there_at =
            asking.there_at.max(self.now + self.rng.duration(self.plan.client_delay_us));
        let (life, request) = (self.nodes[node].life, Box::new(request));
        let correlation = number as u64;
        let event = SimEvent::Request { node, life, conn, correlation, request };
        self.queue.push(self.clients[client].there_at, event);
    }

    /// Draws a request.
    fn draw(&mut self, client: usize) -> (OperationKind, Request) {
        if let Some((log, from)) = self.clients[client].unread.as_mut().and_then(Vec::pop) {
            return read_on(LogRef::Id(log), from);
        }
        if let Some(declaration) = self.draw_declaration(client) {
            return declaration;
        }
        if self.clients[client].is_prober() {
            return self.append(LogRef::Name(name(0)), None, 0, true);
        }
        let name = name(self.rng.below(self.plan.names));
        let known = self.clients[client].known.get(&name).copied();
        let log = match known {
            Some((id, _)) if self.rng.one_in(3) => LogRef::Id(id),
            Some(_) | None => LogRef::Name(name.clone()),
        };
        let linearizable = self.rng.percent(75);
        let consistency = if linearizable { Consistency::Linearizable } else { Consistency::Local };
        if self.plan.trims > 0 && self.rng.below(100) < self.plan.trims {
            let next = known.map_or(0, |known| known.1.0);
            let before = Index(next.saturating_sub(self.rng.below(4)));
            return (OperationKind::Trim(log.clone()), Request::Trim(Trim { log, before }));
        }
        match self.rng.below(100) {
            0..=2 => {
                // Some logs keep little from the first entry on.
                let entries = if client == 0 { 20 } else { 0 };
                let retention = Retention { entries, ..Retention::default() };
                let what = OperationKind::Create(name.clone());
                (what, Request::Create(Create { name, retention }))
            }
            3 => (OperationKind::Delete(log.clone()), Request::Delete(Delete { log })),
            4..=5 => {
                let (prefix, after) = (String::new(), String::new());
                let list = List { prefix, after, limit: 0, consistency };
                (OperationKind::List(consistency), Request::List(list))
            }
            6..=14 => {
                let what = OperationKind::Stat { log: log.clone(), consistency };
                (what, Request::Stat(Stat { log, consistency }))
            }
            15..=37 => self.draw_read(log, known, consistency),
            38 => {
                let next = known.map_or(0, |known| known.1.0);
                let before = Index(self.rng.below(next + 2)); // One too far, now and then.
                (OperationKind::Trim(log.clone()), Request::Trim(Trim { log, before }))
            }
            39 => {
                let changes = self.draw_changes(&name);
                let set = SetAttributes { log: log.clone(), changes };
                (OperationKind::Set(log), Request::SetAttributes(set))
            }
            _ => {
                let expect = known.filter(|_| self.rng.one_in(4)).map(|known| known.1);
                let chain = if self.rng.one_in(3) { self.clients[client].chain } else { 0 };
                let create = matches!(log, LogRef::Name(_)) && self.rng.percent(60);
                self.append(log, expect, chain, create)
            }
        }
    }

    /// A small retention as a rule, a seal now and then; but not of the log that probers append to.
    fn draw_changes(&mut self, log: &LogName) -> AttributeChanges {
        let limit = |world: &mut World, most| {
            let set = world.rng.one_in(2);
            set.then(|| world.rng.below(most))
        };
        let retain_bytes = limit(self, 4 * self.plan.entry_bytes);
        let retain_entries = limit(self, 20);
        let seal = self.rng.one_in(20) && *log != name(0);
        AttributeChanges { retain_bytes, retain_entries, seal, ..AttributeChanges::default() }
    }

    fn draw_read(
        &mut self,
        log: LogRef,
        known: Option<(LogId, Index)>,
        consistency: Consistency,
    ) -> (OperationKind, Request) {
        let next = known.map_or(0, |known| known.1.0);
        let back = *self.rng.pick(&[0, 1, 10, 1_000]);
        let from = Index(next.saturating_sub(self.rng.below(back + 1)));
        let wait_ms = if self.rng.one_in(3) { self.rng.below(800) as u32 } else { 0 };
        let (max_entries, max_bytes) = (*self.rng.pick(&[0, 0, 3]), *self.rng.pick(&[0, 0, 1_000]));
        let what = OperationKind::Read { log: log.clone(), from, consistency };
        let read = Read { log, from, max_entries, max_bytes, wait_ms, consistency };
        (what, Request::Read(read))
    }

    fn append(
        &mut self,
        log: LogRef,
        expect: Option<Index>,
        chain: u32,
        create: bool,
    ) -> (OperationKind, Request) {
        let number = self.history.next();
        let count = if self.rng.one_in(4) { self.rng.range(2, 6) } else { 1 };
        let mut entries = Entries::new();
        let mut hashes = Vec::with_capacity(count as usize);
        for at in 0..count {
            let large = self.rng.one_in(200);
            let more = self.rng.below(if large { LARGE_BYTES } else { self.plan.entry_bytes });
            let mut data = mark(number, at).to_vec();
            data.resize(8 + more as usize, number as u8);
            hashes.push(entry_hash(&data));
            entries.push(&data).expect("entries are far below 4 GiB");
        }
        let what = OperationKind::Append { log: log.clone(), expect, chain, hashes };
        (what, Request::Append(Append { log, expect, chain, create, entries }))
    }

    /// An answer arrives.
    pub(super) fn answer_arrives(
        &mut self,
        client: usize,
        conn: ConnId,
        correlation: u64,
        header: &ReplyHeader,
        reply: &Reply,
    ) -> CheckResult {
        let number = correlation as usize;
        let asked = &mut self.clients[client];
        if asked.conn != Some(conn) || asked.pending.remove(&number).is_none() {
            return Ok(());
        }
        self.trace.count([self.now, correlation, header.applied_upto.0]);
        self.history.answer(number, header, reply, &self.oracle)?;
        if self.history.operation(number).state != OperationState::Done {
            self.clients[client].chain += 1;
        }
        self.take_in(client, number, reply);
        self.declared(client, number, reply);
        self.read_further(client, number, reply);
        Ok(())
    }

    /// What an answer teaches its client.
    fn take_in(&mut self, client: usize, number: usize, reply: &Reply) {
        if let Reply::Error(error) = reply {
            return self.take_in_error(client, error);
        }
        let (id, next) = if let Reply::Appended(done) = reply {
            (done.id, done.first.plus(u64::from(done.count)))
        } else if let Reply::ReadDone(done) = reply {
            (done.id, done.next)
        } else if let Reply::Stated(stat) = reply {
            (stat.id, stat.next_index)
        } else if let Reply::Created(done) = reply {
            (done.id, Index(0))
        } else {
            return;
        };
        let name = match &self.history.operation(number).what {
            OperationKind::Create(name) => Some(name.clone()),
            OperationKind::Append { log: LogRef::Name(name), .. }
            | OperationKind::Read { log: LogRef::Name(name), .. }
            | OperationKind::Stat { log: LogRef::Name(name), .. } => Some(name.clone()),
            OperationKind::Append { .. }
            | OperationKind::Read { .. }
            | OperationKind::Stat { .. }
            | OperationKind::Delete(_)
            | OperationKind::Trim(_)
            | OperationKind::Set(_)
            | OperationKind::Declare(..)
            | OperationKind::List(_) => None,
        };
        let known = &mut self.clients[client].known;
        match name {
            Some(name) => {
                known.insert(name, (id, next));
            }
            None => known.values_mut().filter(|(log, _)| *log == id).for_each(|log| log.1 = next),
        }
    }

    fn take_in_error(&mut self, client: usize, error: &RequestError) {
        use crate::api::error::ErrorCode::{LeadershipLost, NoQuorum, NotLeader, ShuttingDown};
        let target = match (error.code, &error.detail) {
            // Some clients do not listen, so that followers have something to do.
            (NotLeader, Detail::Leader(Some(leader))) => {
                (!self.rng.one_in(5)).then(|| Some(usize::from(leader.node.0) - 1))
            }
            (NotLeader | NoQuorum | ShuttingDown | LeadershipLost, _) => {
                self.rng.one_in(2).then_some(None)
            }
            _ => None,
        };
        if let Some(target) = target {
            self.move_on(client, target);
        }
    }

    /// Every node is to serve every entry of every log, from its memory and from its disk.
    pub(super) fn add_readers(&mut self) {
        let last = self.oracle.last();
        let logs = self.oracle.logs().filter(|(_, past)| past.exists(last));
        let unread: Vec<(LogId, Index)> = logs.map(|(id, _)| (id, Index(0))).collect();
        for node in 0..self.nodes.len() {
            if self.nodes[node].is_out() {
                continue;
            }
            self.add_client(Some(node));
            let client = self.clients.len() - 1;
            self.clients[client].unread = Some(unread.clone());
            self.queue.push(self.now, SimEvent::Client { client });
        }
    }

    /// A reader goes on where the answer ended, or, if there was none, where it was.
    fn read_further(&mut self, client: usize, number: usize, reply: &Reply) {
        let OperationKind::Read { log: LogRef::Id(log), from, .. } =
            self.history.operation(number).what
        else {
            return;
        };
        let Some(unread) = &mut self.clients[client].unread else { return };
        match reply {
            Reply::ReadDone(done) => {
                let next = from.plus(u64::from(done.entries.count()));
                if next < done.next {
                    unread.push((log, next));
                }
            }
            Reply::Error(RequestError { detail: Detail::First { first, .. }, .. }) => {
                unread.push((log, *first)); // What was trimmed is not there to be read.
            }
            Reply::Error(RequestError { detail: Detail::Lost { range, .. }, .. }) => {
                unread.push((log, range.before));
            }
            _ => unread.push((log, from)),
        }
        self.client_asks(client);
    }

    /// No client asks for anything new.
    pub(super) fn retire_clients(&mut self) {
        self.clients.iter_mut().for_each(|client| client.retired = true);
    }
}

/// All that a node has from there on.
fn read_on(log: LogRef, from: Index) -> (OperationKind, Request) {
    let consistency = Consistency::Local;
    let what = OperationKind::Read { log: log.clone(), from, consistency };
    let (max_entries, max_bytes, wait_ms) = (0, 0, 0);
    (what, Request::Read(Read { log, from, max_entries, max_bytes, wait_ms, consistency }))
}

fn name(number: u64) -> LogName {
    LogName::new(&format!("log-{number}")).expect("a short name without control characters")
}
