//! The operations, typed: one method for each, and what it takes.

use super::core::{Client, RoutedRequest, Target};
use super::deadline::Deadline;
use super::error::{ClientError, Operation, Stage};
use super::options::ToLog;
use super::session::SessionAnswer;
use crate::api::entries::Entries;
use crate::api::error::Outcome;
use crate::api::{
    Append, Appended, AttributeChanges, Consistency, Create, Delete, List, LogRef, LogStat,
    NO_SHARD, Read, ReadDone, Reply, Request, Retention, SetAttributes, Stat, Trim, Trimmed,
};
use crate::types::{Index, LogId, ShardId};
use std::time::Duration;

/// Conditions of an append; the default appends to a log that exists, whatever it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AppendOptions {
    /// Only if the log's next index is this one. Such an append can be settled when its outcome is
    /// unknown ([`Client::settle`]).
    pub expect: Option<Index>,
    /// Create the log if its name is not taken.
    pub create: bool,
}

/// What a read may bring, and how fresh it must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// Most entries; none for as many as the node gives.
    pub max_entries: Option<u32>,
    /// Most bytes; none for as many as the node gives.
    pub max_bytes: Option<u32>,
    /// How long to wait for an entry when there is none yet.
    pub wait: Duration,
    /// How fresh the answer must be.
    pub consistency: Consistency,
}

/// Takes the one kind of reply that a request has.
macro_rules! expect_reply {
    ($answer:expr, $pattern:pat => $value:expr) => {{
        let SessionAnswer { reply: $pattern, .. } = $answer else {
            unreachable!("a session gives no answer of another kind than the request's")
        };
        $value
    }};
}

impl Client {
    /// Creates a log.
    ///
    /// # Errors
    /// [`ClientError`] with the code `LogExists` when the name is taken. When the outcome is
    /// unknown, [`Client::stat`] says whether the log is there.
    pub fn create(&mut self, name: &str) -> Result<LogId, ClientError> {
        self.create_with(name, Retention::default())
    }

    /// Creates a log that trims itself from its first entry on; the default keeps everything.
    ///
    /// # Errors
    /// As [`Client::create`].
    pub fn create_with(&mut self, name: &str, retention: Retention) -> Result<LogId, ClientError> {
        let (log, shard) = self.place("create log", name)?;
        let LogRef::Name(name) = log else { unreachable!("a text names a log by name") };
        let request = Request::Create(Create { name, retention });
        let answer = self.ask_leader(shard, &request)?;
        Ok(expect_reply!(answer, Reply::Created(created) => created.id))
    }

    /// Deletes a log and its entries, for good. Its id is never used again.
    ///
    /// # Errors
    /// [`ClientError`] with the code `UnknownLog` when there is none.
    pub fn delete(&mut self, log: &(impl ToLog + ?Sized)) -> Result<(), ClientError> {
        let (log, shard) = self.place("delete log", log)?;
        let request = Request::Delete(Delete { log });
        let answer = self.ask_leader(shard, &request)?;
        expect_reply!(answer, Reply::Deleted => Ok(()))
    }

    /// Trims a log: its entries before `before` can be read no longer, by anybody. Indexes stay: the
    /// next entry gets the next one as ever. Asking twice is the same as asking once.
    ///
    /// # Errors
    /// [`ClientError`] with the code `UnknownLog` when there is none, `PastEnd` when the log has not
    /// come to that index.
    pub fn trim(
        &mut self,
        log: &(impl ToLog + ?Sized),
        before: Index,
    ) -> Result<Trimmed, ClientError> {
        let (log, shard) = self.place("trim log", log)?;
        let answer = self.ask_leader(shard, &Request::Trim(Trim { log, before }))?;
        Ok(expect_reply!(answer, Reply::Trimmed(trimmed) => trimmed))
    }

    /// Changes a log's attributes: what it keeps, and whether it is sealed.
    ///
    /// # Errors
    /// [`ClientError`] with the code `UnknownLog` when there is none.
    pub fn set_attributes(
        &mut self,
        log: &(impl ToLog + ?Sized),
        changes: AttributeChanges,
    ) -> Result<(), ClientError> {
        let (log, shard) = self.place("set attributes of log", log)?;
        let request = Request::SetAttributes(SetAttributes { log, changes });
        let answer = self.ask_leader(shard, &request)?;
        expect_reply!(answer, Reply::AttributesSet => Ok(()))
    }

    /// Seals a log: it takes no more entries, for ever. A reader that comes to its end is at the end.
    ///
    /// # Errors
    /// [`ClientError`] with the code `UnknownLog` when there is none.
    pub fn seal(&mut self, log: &(impl ToLog + ?Sized)) -> Result<(), ClientError> {
        self.set_attributes(log, AttributeChanges { seal: true, ..AttributeChanges::default() })
    }

    /// Lists all logs whose names begin with `prefix`, of all shards, ordered by the bytes of their
    /// names. Each shard is seen at a moment of its own.
    ///
    /// # Errors
    /// [`ClientError`] of the first shard that does not answer.
    pub fn list(&mut self, prefix: &str) -> Result<Vec<LogStat>, ClientError> {
        let mut logs = Vec::new();
        for shard in (0..self.shards()).map(ShardId) {
            let listed =
                self.briefly((shard, Target::Leader), |client| client.list_shard(shard, prefix))?;
            logs.extend(listed);
        }
        logs.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(logs)
    }

    /// Lists the logs of one shard whose names begin with `prefix`, ordered by the bytes of their
    /// names.
    ///
    /// # Errors
    /// [`ClientError`] when the shard's leader does not answer.
    pub fn list_shard(
        &mut self,
        shard: ShardId,
        prefix: &str,
    ) -> Result<Vec<LogStat>, ClientError> {
        self.list_pages(shard, prefix, Consistency::Linearizable)
    }

    /// As [`Client::list`], from what one node has applied: it may be old, and needs no leader.
    ///
    /// # Errors
    /// [`ClientError`] of the first shard of which no node answers.
    pub fn list_local(&mut self, prefix: &str) -> Result<Vec<LogStat>, ClientError> {
        let mut logs = Vec::new();
        for shard in (0..self.shards()).map(ShardId) {
            let pages = |client: &mut Client| client.list_pages(shard, prefix, Consistency::Local);
            logs.extend(self.briefly((shard, Target::Any), pages)?);
        }
        logs.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(logs)
    }

    fn list_pages(
        &mut self,
        shard: ShardId,
        prefix: &str,
        consistency: Consistency,
    ) -> Result<Vec<LogStat>, ClientError> {
        let (mut logs, mut after) = (Vec::new(), String::new());
        loop {
            let request =
                Request::List(List { prefix: prefix.to_string(), after, limit: 0, consistency });
            let answer = self.ask(shard, consistency, &request)?;
            let page = expect_reply!(answer, Reply::Listed(page) => page);
            after = page.logs.last().map(|log| log.name.to_string()).unwrap_or_default();
            logs.extend(page.logs);
            if !page.more || after.is_empty() {
                return Ok(logs);
            }
        }
    }

    /// Asks a shard's leader for something that only a leader with a quorum answers. It changes
    /// nothing.
    ///
    /// # Errors
    /// [`ClientError`] when no leader serves in time.
    pub fn probe(&mut self, shard: ShardId) -> Result<(), ClientError> {
        let request = Request::List(List {
            prefix: String::new(),
            after: String::new(),
            limit: 1,
            consistency: Consistency::Linearizable,
        });
        self.briefly((shard, Target::Leader), |client| client.ask_leader(shard, &request))
            .map(|_| ())
    }

    /// Returns one log's id, next index, bytes and time of creation.
    ///
    /// # Errors
    /// [`ClientError`] with the code `UnknownLog` when there is none.
    pub fn stat(&mut self, log: &(impl ToLog + ?Sized)) -> Result<LogStat, ClientError> {
        let (log, shard) = self.place("stat log", log)?;
        let request = Request::Stat(Stat { log, consistency: Consistency::Linearizable });
        let answer = self.ask_leader(shard, &request)?;
        Ok(expect_reply!(answer, Reply::Stated(stat) => stat))
    }

    /// As [`Client::stat`], from what one node has applied: it may be old, and needs no leader.
    ///
    /// # Errors
    /// [`ClientError`] with the code `UnknownLog` when that node knows of none.
    pub fn stat_local(&mut self, log: &(impl ToLog + ?Sized)) -> Result<LogStat, ClientError> {
        let (log, shard) = self.place("stat log", log)?;
        let request = Request::Stat(Stat { log, consistency: Consistency::Local });
        let answer = self.ask(shard, Consistency::Local, &request)?;
        Ok(expect_reply!(answer, Reply::Stated(stat) => stat))
    }

    /// Appends entries as one atomic batch: all of them, at consecutive indexes, or none.
    ///
    /// # Errors
    /// As [`Client::append_with`].
    pub fn append<I>(
        &mut self,
        log: &(impl ToLog + ?Sized),
        entries: I,
    ) -> Result<Appended, ClientError>
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        self.append_with(log, entries, AppendOptions::default())
    }

    /// Appends only if the log's next index is `expect`.
    ///
    /// # Errors
    /// As [`Client::append_with`]; the code `ExpectMismatch` carries the actual next index.
    pub fn append_expect<I>(
        &mut self,
        log: &(impl ToLog + ?Sized),
        expect: Index,
        entries: I,
    ) -> Result<Appended, ClientError>
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        let options = AppendOptions { expect: Some(expect), create: false };
        self.append_with(log, entries, options)
    }

    /// Appends entries as one atomic batch, under conditions.
    ///
    /// # Errors
    /// [`ClientError`]; its outcome says whether the entries may be in the log. An append whose
    /// outcome is unknown is never sent again: with `expect` it can be settled
    /// ([`Client::settle`]), without one only by looking at what the log holds.
    pub fn append_with<I>(
        &mut self,
        log: &(impl ToLog + ?Sized),
        entries: I,
        options: AppendOptions,
    ) -> Result<Appended, ClientError>
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        let (log, shard) = self.place("append to log", log)?;
        let entries = Entries::from_slices(entries)
            .map_err(|error| ClientError::invalid(Operation::plain("append"), error))?;
        let AppendOptions { expect, create } = options;
        let request = Request::Append(Append { log, expect, chain: 0, create, entries });
        self.check_entries(&request)?;
        let answer = self.ask_leader(shard, &request)?;
        Ok(expect_reply!(answer, Reply::Appended(appended) => appended))
    }

    /// Returns entries from `from` on: at least one unless the log ends before it, and as many as
    /// fit. Past the end the answer is empty and carries the log's next index.
    ///
    /// # Errors
    /// [`ClientError`] with the code `UnknownLog` when there is no such log, `Trimmed` when the entry at
    /// `from` was trimmed: the detail has the first index that can be read; `Lost` when it was declared lost: the
    /// detail has the range.
    pub fn read(
        &mut self,
        log: &(impl ToLog + ?Sized),
        from: Index,
        options: ReadOptions,
    ) -> Result<ReadDone, ClientError> {
        let (log, shard) = self.place("read log", log)?;
        let longest = Duration::from_millis(u64::from(self.limits.read_wait_ms_max));
        let wait = options.wait.min(longest);
        let request = Request::Read(Read {
            log,
            from,
            max_entries: options.max_entries.unwrap_or(0),
            max_bytes: options.max_bytes.unwrap_or(0),
            wait_ms: u32::try_from(wait.as_millis()).unwrap_or(u32::MAX),
            consistency: options.consistency,
        });
        let target = match options.consistency {
            Consistency::Linearizable => Target::Leader,
            Consistency::Local => Target::Any,
        };
        let answer = self.run(&RoutedRequest { shard, target, request: &request, wait })?;
        Ok(expect_reply!(answer, Reply::ReadDone(done) => done))
    }

    /// Asks one endpoint whether it is there; returns how long the answer took.
    ///
    /// # Errors
    /// [`ClientError`] of the one attempt that is made.
    pub fn ping(&mut self, endpoint: &str) -> Result<Duration, ClientError> {
        let tries = self.tries(Operation::of(&Request::Ping), Duration::ZERO);
        let deadline = Deadline::after(self.options.attempt_timeout);
        let mut link = self
            .connect_to(endpoint, NO_SHARD, &deadline)
            .map_err(|fault| tries.fail(Outcome::NotExecuted, fault))?;
        let asked = Deadline::after(self.options.attempt_timeout);
        let answer = link
            .call(&Request::Ping, &asked, Stage::Request)
            .map_err(|fault| tries.fail(Outcome::NotExecuted, fault))?;
        expect_reply!(answer, Reply::Pong => Ok(asked.elapsed()))
    }

    /// Checks an append against the nodes' limits: a frame over the limit would cost the connection.
    pub(super) fn check_entries(&self, request: &Request) -> Result<(), ClientError> {
        let Request::Append(append) = request else { return Ok(()) };
        append
            .entries
            .validate(&self.limits.append())
            .map_err(|error| ClientError::invalid(Operation::of(request), error))
    }

    /// Asks whoever answers with so much consistency.
    pub(super) fn ask(
        &mut self,
        shard: ShardId,
        consistency: Consistency,
        request: &Request,
    ) -> Result<SessionAnswer, ClientError> {
        let target = match consistency {
            Consistency::Linearizable => Target::Leader,
            Consistency::Local => Target::Any,
        };
        self.run(&RoutedRequest { shard, target, request, wait: Duration::ZERO })
    }

    /// Asks a shard, and keeps no connection to it that was not there before: whoever goes over all
    /// shards would else hold as many connections, perhaps all of them on one node.
    fn briefly<T>(
        &mut self,
        (shard, target): (ShardId, Target),
        ask: impl FnOnce(&mut Client) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let stood = self.open_link(shard, target).is_some();
        let answer = ask(self);
        if !stood {
            self.drop_link(shard, target);
        }
        answer
    }

    fn ask_leader(
        &mut self,
        shard: ShardId,
        request: &Request,
    ) -> Result<SessionAnswer, ClientError> {
        self.run(&RoutedRequest { shard, target: Target::Leader, request, wait: Duration::ZERO })
    }
}
