//! Pipelined reads of one log: many under way at once, each answered when it is.

use super::core::{Client, PAUSE, Target, lost_stage};
use super::error::{Cause, ClientError, Operation};
use super::link::LinkFault;
use super::options::ToLog;
use super::retry::Tries;
use super::retry_policy::{Idempotence, RetryDecision, judge};
use super::session::SessionAnswer;
use super::window::refusal;
use crate::api::error::{Outcome, RequestError};
use crate::api::{Consistency, LogRef, Read, ReadDone, Reply, Request};
use crate::types::{Ballot, Index, ShardId};
use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// How a pipeline reads: how many at once, how much, and how fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReaderOptions {
    /// Most reads under way at once; bounded by what the nodes take of one connection.
    pub window: usize,
    /// Most entries of one read; none for as many as the node gives.
    pub max_entries: Option<u32>,
    /// How fresh the answers must be.
    pub consistency: Consistency,
}

impl ReaderOptions {
    /// The default of [`ReaderOptions::window`]: answers are large, so few reads keep a node busy.
    pub const WINDOW: usize = 8;
}

impl Default for ReaderOptions {
    fn default() -> ReaderOptions {
        let consistency = Consistency::default();
        ReaderOptions { window: ReaderOptions::WINDOW, max_entries: None, consistency }
    }
}

/// A read of a pipeline that came back.
#[derive(Debug)]
pub struct FinishedRead {
    /// Its place in the order of submission: 0, 1, 2 …
    pub ticket: u64,
    /// The entries from the asked index on, or why there are none.
    pub result: Result<ReadDone, ClientError>,
}

/// Reads one log at many places at once. Results come back as they arrive, in any order.
///
/// A read changes nothing, so after a refusal that may pass, or a lost connection, all that is not
/// answered is asked again, until each read's own deadline.
///
/// It has a connection of its own: the client that it came from goes on meanwhile.
#[derive(Debug)]
pub struct Reader {
    /// A client of its own, with its own connection.
    client: Client,
    log: LogRef,
    shard: ShardId,
    target: Target,
    options: ReaderOptions,
    /// Not answered, oldest first.
    items: VecDeque<Item>,
    /// Answered, and not handed back.
    done: VecDeque<FinishedRead>,
    /// Why reads must be asked again, once nothing is under way.
    trouble: Option<Trouble>,
    next_ticket: u64,
}

/// Why reads must be asked again. Nothing is sent before it is settled, and it is settled only when
/// nothing is under way: what one read is refused for takes no answer from the others.
#[derive(Debug)]
enum Trouble {
    /// There is no connection.
    Lost(LinkFault),
    /// The node refused a read that may be asked again.
    Refused { from: String, epoch: Ballot, error: RequestError },
}

#[derive(Debug)]
struct Item {
    ticket: u64,
    request: Request,
    tries: Tries,
    /// The number under which it is under way; none while it is queued.
    sent: Option<u64>,
}

impl Client {
    /// Makes a pipeline of reads of one log, with a connection of its own: the one that this client
    /// has for such reads, or else another.
    ///
    /// # Errors
    /// [`ClientError`] when the name cannot be one.
    pub fn reader(
        &mut self,
        log: &(impl ToLog + ?Sized),
        options: ReaderOptions,
    ) -> Result<Reader, ClientError> {
        let (log, shard) = self.place("read log", log)?;
        let most = usize::try_from(self.limits.requests_max).unwrap_or(usize::MAX).max(1);
        let options = ReaderOptions { window: options.window.clamp(1, most), ..options };
        let target = match options.consistency {
            Consistency::Linearizable => Target::Leader,
            Consistency::Local => Target::Any,
        };
        Ok(Reader {
            client: self.fork(shard, target),
            log,
            shard,
            target,
            options,
            items: VecDeque::new(),
            done: VecDeque::new(),
            trouble: None,
            next_ticket: 0,
        })
    }
}

impl Reader {
    /// Submits a read from `from` on; the next [`Reader::flush`] or [`Reader::wait`] sends it.
    ///
    /// # Panics
    /// When the window is full ([`Reader::has_room`]).
    pub fn queue(&mut self, from: Index) {
        assert!(
            self.has_room(),
            "a read more than the window takes: outstanding={} window={}",
            self.outstanding(),
            self.options.window
        );
        let request = Request::Read(Read {
            log: self.log.clone(),
            from,
            max_entries: self.options.max_entries.unwrap_or(0),
            max_bytes: 0,
            wait_ms: 0,
            consistency: self.options.consistency,
        });
        let tries = self.client.tries(Operation::of(&request), Duration::ZERO);
        self.items.push_back(Item { ticket: self.next_ticket, request, tries, sent: None });
        self.next_ticket += 1;
    }

    /// Sends what is queued, if a connection stands. Making one is left to [`Reader::wait`].
    pub fn flush(&mut self) {
        if self.trouble.is_none() && self.socket().is_some() {
            let _left_to_wait = self.send();
        }
    }

    /// Waits for a read to come back; none when none is left.
    pub fn wait(&mut self) -> Option<FinishedRead> {
        loop {
            if let Some(fetched) = self.done.pop_front() {
                return Some(fetched);
            }
            self.items.front()?;
            self.advance();
        }
    }

    /// Returns a read that has come back already, without waiting.
    pub fn poll(&mut self) -> Option<FinishedRead> {
        if let Some(fetched) = self.done.pop_front() {
            return Some(fetched);
        }
        while let Some(link) = self.client.open_link(self.shard, self.target) {
            match link.poll() {
                Ok(Some(answer)) => self.take(answer),
                Ok(None) => break,
                Err(cause) => self.lose(cause),
            }
        }
        self.done.pop_front()
    }

    /// Reads submitted and not yet handed back.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.items.len() + self.done.len()
    }

    /// Returns true when another read may be submitted.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.outstanding() < self.options.window
    }

    /// Returns true when reads are outstanding and no answer to any of them is on its way: only
    /// [`Reader::wait`] gets further, by connecting, trying again, or giving up.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        !self.items.is_empty() && !self.is_under_way()
    }

    fn is_under_way(&self) -> bool {
        self.items.iter().any(|item| item.sent.is_some())
    }

    /// Returns the connection's socket, for a caller that waits for several pipelines at once: once
    /// it is readable, [`Reader::poll`] gets further. None while no connection stands.
    #[must_use]
    pub fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.client.socket(self.shard, self.target)
    }

    /// Goes one step toward an answer.
    fn advance(&mut self) {
        if !self.is_under_way() {
            if let Some(trouble) = self.trouble.take()
                && let Err(error) = self.settle(trouble)
            {
                return self.fail_oldest(error);
            }
            if let Err(fault) = self.send() {
                self.trouble = Some(Trouble::Lost(fault));
                return;
            }
        } else if self.trouble.is_none() {
            // With answers on their way a missing connection is found out by waiting for them.
            let _found_out_below = self.send();
        }
        let patience = self.client.options.attempt_timeout;
        let Some(oldest) = self.items.front() else { return };
        let deadline = oldest.tries.deadline().attempt(patience);
        let Some(link) = self.client.open_link(self.shard, self.target) else {
            return self.lose(Cause::Closed);
        };
        match link.wait(&deadline) {
            Ok(answer) => self.take(answer),
            Err(cause) => self.lose(cause),
        }
    }

    /// Sends what is queued.
    ///
    /// # Errors
    /// [`LinkFault`] when there is no connection to be had; everything is queued then.
    fn send(&mut self) -> Result<(), LinkFault> {
        let Some(oldest) = self.items.front() else { return Ok(()) };
        if self.items.iter().all(|item| item.sent.is_some()) {
            return Ok(());
        }
        let deadline = oldest.tries.deadline();
        let link = if self.is_under_way() {
            // Answers are still to come on this connection, even if it is broken: no other one.
            match self.client.open_link(self.shard, self.target) {
                Some(link) if !link.is_broken() => link,
                Some(_) | None => return Ok(()),
            }
        } else {
            self.client.link(self.shard, self.target, &deadline)?
        };
        for item in self.items.iter_mut().filter(|item| item.sent.is_none()) {
            item.tries.begin();
            item.sent = Some(link.ask(&item.request));
        }
        link.flush(&deadline);
        Ok(())
    }

    /// Takes an answer from the connection.
    fn take(&mut self, answer: SessionAnswer) {
        let SessionAnswer { correlation, header, reply } = answer;
        let place = self.items.iter().position(|item| item.sent == Some(correlation));
        let place = place.expect("a reader's connection carries no request but its own");
        if let Reply::ReadDone(done) = reply {
            let item = self.items.remove(place).expect("it was found there just now");
            self.done.push_back(FinishedRead { ticket: item.ticket, result: Ok(done) });
            return;
        }
        let Reply::Error(error) = reply else {
            unreachable!("a session matches an answer's kind to its request's")
        };
        let from = self.client.endpoint(self.shard, self.target);
        if matches!(judge(&error, Idempotence::Repeatable), RetryDecision::Final) {
            let item = self.items.remove(place).expect("it was found there just now");
            let fault = refusal(&from, header.epoch, error).fault;
            let error = item.tries.fail(Outcome::NotExecuted, fault);
            self.done.push_back(FinishedRead { ticket: item.ticket, result: Err(error) });
            return;
        }
        self.items[place].sent = None;
        if self.trouble.is_none() {
            self.trouble = Some(Trouble::Refused { from, epoch: header.epoch, error });
        }
    }

    /// Learns from what went wrong, and waits before the next attempt.
    ///
    /// # Errors
    /// That of the oldest read when it has no time for another attempt.
    fn settle(&mut self, trouble: Trouble) -> Result<(), ClientError> {
        let (fault, pause) = match trouble {
            Trouble::Lost(fault) => (fault, PAUSE),
            Trouble::Refused { from, epoch, error } => {
                let (shard, target) = (self.shard, self.target);
                let safety = Idempotence::Repeatable;
                let pause = self.client.learn_refusal(shard, target, &from, epoch, &error, safety);
                (refusal(&from, epoch, error).fault, pause.unwrap_or(PAUSE))
            }
        };
        let nodes = self.client.routes.nodes().len();
        match self.items.front_mut() {
            Some(oldest) => oldest.tries.again(fault, pause, nodes),
            None => Ok(()),
        }
    }

    /// The connection is of no more use.
    fn lose(&mut self, cause: Cause) {
        let endpoint = self.client.endpoint(self.shard, self.target);
        self.client.lost(self.shard, self.target, &endpoint);
        self.trouble =
            Some(Trouble::Lost(LinkFault { stage: lost_stage(&cause), endpoint, cause }));
        // What was under way will not be answered any more.
        self.items.iter_mut().for_each(|item| item.sent = None);
    }

    fn fail_oldest(&mut self, error: ClientError) {
        if let Some(Item { ticket, .. }) = self.items.pop_front() {
            self.done.push_back(FinishedRead { ticket, result: Err(error) });
        }
    }
}
