//! Pipelined appends to one log: many under way at once, in order, results in order.

use super::core::{Client, PAUSE, Target};
use super::error::{Cause, ClientError, Operation};
use super::link::LinkFault;
use super::options::ToLog;
use super::retry::Pause;
use super::retry_policy::Idempotence;
use super::session::SessionAnswer;
use super::window::{AfterFailure, AppendRefusal, Window, refusal};
use crate::api::entries::Entries;
use crate::api::{Append, Appended, LogRef, Reply, Request};
use crate::types::{Index, ShardId};
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// How a pipeline appends: how many at once, and under which conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppenderOptions {
    /// Most appends under way at once; bounded by what the nodes take of one connection.
    pub window: usize,
    /// The log's next index before the first append; each further one expects the index behind
    /// the one before it. Without it nothing is expected.
    pub expect: Option<Index>,
    /// Create the log if its name is not taken.
    pub create: bool,
}

impl AppenderOptions {
    /// The default of [`AppenderOptions::window`]: what a node syncs at once grows with what is
    /// under way, and beyond this gains little.
    pub const WINDOW: usize = 64;
}

impl Default for AppenderOptions {
    fn default() -> AppenderOptions {
        AppenderOptions { window: AppenderOptions::WINDOW, expect: None, create: false }
    }
}

/// An append of a pipeline that is settled: done, or failed for good.
#[derive(Debug)]
pub struct Completed {
    /// Its place in the order of submission: 0, 1, 2 …
    pub ticket: u64,
    /// Where the entries stand, or why they may not; the error has the outcome.
    pub result: Result<Appended, ClientError>,
}

/// Appends to one log in the order of submission, many at once.
///
/// Results come back in that order too. When an append is refused and certainly not executed — the
/// leader changed, a queue was full — it and all behind it are sent again in order until its
/// deadline. When one fails for good, those behind it come back as not executed
/// ([`Cause::PriorFailed`]), as do those pushed later, until [`Appender::resume`]. After a lost
/// connection every append that was under way is of unknown outcome, and none is sent again.
///
/// It has a connection of its own: the client that it came from goes on meanwhile, and the order
/// holds among what is pushed here, not between that and what the client appends.
#[derive(Debug)]
pub struct Appender {
    /// A client of its own, with its own connection.
    client: Client,
    log: LogRef,
    shard: ShardId,
    options: AppenderOptions,
    window: Window,
    chain: u32,
    /// What the next append expects.
    expect: Option<Index>,
}

impl Client {
    /// Makes a pipeline of appends to one log, with a connection of its own: the one that this
    /// client has with the log's leader, or else another.
    ///
    /// # Errors
    /// [`ClientError`] when the name cannot be one.
    pub fn appender(
        &mut self,
        log: &(impl ToLog + ?Sized),
        options: AppenderOptions,
    ) -> Result<Appender, ClientError> {
        let (log, shard) = self.place("append to log", log)?;
        let most = usize::try_from(self.limits.requests_max).unwrap_or(usize::MAX).max(1);
        let options = AppenderOptions { window: options.window.clamp(1, most), ..options };
        let mut client = self.fork(shard, Target::Leader);
        let chain = client.next_chain();
        let window = Window::default();
        Ok(Appender { client, log, shard, options, window, chain, expect: options.expect })
    }
}

impl Appender {
    /// Submits one append of these entries, atomic as ever. When the window is full it first waits
    /// for the oldest append, which is returned.
    pub fn push<I>(&mut self, entries: I) -> Option<Completed>
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        let oldest = if self.has_room() { None } else { self.wait() };
        self.queue(entries);
        // Where no connection stands, making one is left to `wait`, which can also wait between
        // two attempts; only the first append makes one at once.
        if self.window.len() == 1 || self.client.open_link(self.shard, Target::Leader).is_some() {
            let _left_to_wait = self.send();
        }
        oldest
    }

    /// Submits one append as [`Appender::push`] does, but sends nothing: the next
    /// [`Appender::flush`] or [`Appender::wait`] sends all that is queued at once, which costs one
    /// call of the operating system instead of one for each.
    ///
    /// # Panics
    /// When the window is full ([`Appender::has_room`]).
    pub fn queue<I>(&mut self, entries: I)
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        assert!(
            self.has_room(),
            "an append more than the window takes: outstanding={} window={}",
            self.window.len(),
            self.options.window
        );
        let encoded = Entries::from_slices(entries);
        let count = encoded.as_ref().map_or(0, Entries::count);
        let append = Append {
            log: self.log.clone(),
            expect: self.expect,
            chain: self.chain,
            create: self.options.create,
            entries: Entries::new(),
        };
        self.expect = self.expect.map(|expect| expect.plus(u64::from(count)));
        let mut request = Request::Append(append);
        let operation = Operation::of(&request);
        let tries = self.client.tries(operation.clone(), Duration::ZERO);
        let checked =
            encoded.map_err(|error| ClientError::invalid(operation, error)).and_then(|entries| {
                if let Request::Append(append) = &mut request {
                    append.entries = entries;
                }
                self.client.check_entries(&request)
            });
        match checked {
            Ok(()) => self.window.push(request, tries),
            Err(error) => self.window.push_failed(request, tries, error),
        };
    }

    /// Sends what is queued, if a connection stands. Making one is left to [`Appender::wait`].
    pub fn flush(&mut self) {
        if self.window.has_queued() && self.socket().is_some() {
            let _left_to_wait = self.send();
        }
    }

    /// Returns true when another append may be submitted without waiting for one to come back.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.window.len() < self.options.window
    }

    /// Returns true when appends are outstanding and no answer to any of them is on its way: only
    /// [`Appender::wait`] gets further, by connecting, trying again, or giving up.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.window.len() > 0 && !self.window.is_under_way()
    }

    /// Returns the connection's socket, for a caller that waits for several pipelines at once: once
    /// it is readable, [`Appender::poll`] gets further. None while no connection stands.
    #[must_use]
    pub fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.client.socket(self.shard, Target::Leader)
    }

    /// Waits for the oldest append; none when none is left.
    pub fn wait(&mut self) -> Option<Completed> {
        loop {
            if let Some((ticket, result)) = self.window.take_oldest() {
                return Some(Completed { ticket, result });
            }
            if self.window.len() == 0 {
                return None;
            }
            self.advance();
        }
    }

    /// Returns the oldest append if it has come back already, without waiting.
    pub fn poll(&mut self) -> Option<Completed> {
        if let Some((ticket, result)) = self.window.take_oldest() {
            return Some(Completed { ticket, result });
        }
        while let Some(link) = self.client.open_link(self.shard, Target::Leader) {
            match link.poll() {
                Ok(Some(answer)) => self.take(answer),
                Ok(None) => break,
                Err(cause) => self.lose(cause),
            }
        }
        let (ticket, result) = self.window.take_oldest()?;
        Some(Completed { ticket, result })
    }

    /// Appends submitted and not yet handed back.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.window.len()
    }

    /// Returns true when an append failed for good: what is pushed is not executed until
    /// [`Appender::resume`].
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.window.is_broken()
    }

    /// Appends pushed from here on are executed again, the first one expecting `expect`. Settle an
    /// append of unknown outcome before.
    pub fn resume(&mut self, expect: Option<Index>) {
        self.window.resume();
        self.chain = self.client.next_chain();
        self.expect = expect;
    }

    /// Goes one step toward the oldest append's result.
    fn advance(&mut self) {
        if !self.window.is_under_way() && self.window.is_troubled() {
            return self.settle_trouble();
        }
        if self.window.has_queued()
            && let Err(fault) = self.send()
        {
            return self.pause(fault, PAUSE);
        }
        if !self.window.is_under_way() {
            return;
        }
        let Some(tries) = self.window.oldest_tries() else { return };
        let deadline = tries.deadline();
        let Some(link) = self.client.open_link(self.shard, Target::Leader) else {
            return self.lose(Cause::Closed);
        };
        match link.wait(&deadline) {
            Ok(answer) => self.take(answer),
            Err(cause) => self.lose(cause),
        }
    }

    /// Sends what is queued, unless there is trouble.
    ///
    /// # Errors
    /// [`LinkFault`] when there is no connection to be had; everything is still queued then.
    fn send(&mut self) -> Result<(), LinkFault> {
        if self.window.is_troubled() || !self.window.has_queued() {
            return Ok(());
        }
        let under_way = self.window.is_under_way();
        let Some(tries) = self.window.oldest_tries() else { return Ok(()) };
        let deadline = tries.deadline();
        let link = if under_way {
            // Answers are still to come on this connection, even if it is broken: no other one.
            match self.client.open_link(self.shard, Target::Leader) {
                Some(link) if !link.is_broken() => link,
                Some(_) | None => return Ok(()),
            }
        } else {
            tries.begin();
            self.client.link(self.shard, Target::Leader, &deadline)?
        };
        // The request is encoded from the one in the window, which stays there for another time.
        self.window.send(self.chain, |request| link.ask(request));
        link.flush(&deadline);
        Ok(())
    }

    /// Takes an answer from the connection.
    fn take(&mut self, answer: SessionAnswer) {
        let SessionAnswer { correlation, header, reply } = answer;
        let result = if let Reply::Appended(appended) = reply {
            Ok(appended)
        } else if let Reply::Error(error) = reply {
            let endpoint = self.client.endpoint(self.shard, Target::Leader);
            let outcome = error.outcome;
            Err((refusal(&endpoint, header.epoch, error), outcome))
        } else {
            unreachable!("a session matches an answer's kind to its request's")
        };
        let mine = self.window.answered(correlation, result);
        assert!(mine, "an appender's connection carries no request but its own");
    }

    /// The connection is of no more use.
    fn lose(&mut self, cause: Cause) {
        let Some(link) = self.client.open_link(self.shard, Target::Leader) else {
            return self.window.lost("", cause, |_| true);
        };
        let endpoint = link.endpoint().to_string();
        self.window.lost(&endpoint, cause, |correlation| link.may_have_arrived(correlation));
        self.client.lost(self.shard, Target::Leader, &endpoint);
    }

    /// An append failed and nothing is under way: sends it and those behind it again if that is
    /// safe, else lets the caller know.
    fn settle_trouble(&mut self) {
        let AppendRefusal { fault, epoch } = match self.window.trouble() {
            AfterFailure::Settled => return,
            AfterFailure::NotExecuted(refusal) => refusal,
        };
        let pause = match &fault.cause {
            Cause::Refused(error) => self.client.learn_refusal(
                self.shard,
                Target::Leader,
                &fault.endpoint,
                epoch,
                error,
                Idempotence::Once,
            ),
            Cause::Io { .. }
            | Cause::NoAddress
            | Cause::Closed
            | Cause::Silent { .. }
            | Cause::Protocol(_)
            | Cause::NoLeader { .. }
            | Cause::NoTime
            | Cause::PriorFailed
            | Cause::Invalid(_) => Some(PAUSE),
        };
        // The node refuses all that follows of the old chain.
        self.chain = self.client.next_chain();
        match pause {
            Some(pause) => {
                self.window.send_again();
                self.pause(fault, pause);
            }
            None => self.fail(fault),
        }
    }

    /// Waits before the next attempt; out of time, the oldest append fails.
    fn pause(&mut self, fault: LinkFault, pause: Pause) {
        let nodes = self.client.routes.nodes().len();
        let Some(tries) = self.window.oldest_tries() else { return };
        if let Err(error) = tries.again(fault, pause, nodes) {
            self.window.fail(error);
        }
    }

    fn fail(&mut self, fault: LinkFault) {
        let Some(tries) = self.window.oldest_tries() else { return };
        let error = tries.fail(crate::api::error::Outcome::NotExecuted, fault);
        self.window.fail(error);
    }
}
