//! One operation from its first attempt to its answer: finding the node, asking it, and trying
//! again where that is safe.

use super::deadline::Deadline;
use super::error::{Cause, ClientError, Invalid, Operation, ProtocolError, Stage};
use super::link::{Link, LinkFault, hello};
use super::options::{ClientOptions, ToLog};
use super::retry::{AttemptError, Pause, Tries};
use super::retry_policy::{Idempotence, RetryDecision, judge};
use super::routes::Routes;
use super::session::SessionAnswer;
use crate::api::error::{Detail, ErrorCode, Outcome, RequestError};
use crate::api::{LogRef, NO_SHARD, Read, Reply, Request};
use crate::types::{Ballot, ClusterId, Random, ShardId};
use crate::wire::client::hello::Limits;
use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A blocking client of one cluster. It keeps one connection per shard it uses; a program that
/// wants more connections makes more clients. What comes out of it ([`Client::appender`],
/// [`Client::reader`], [`Client::follow`]) stands on its own: it has its own connection, and may be
/// sent to another thread.
#[derive(Debug)]
pub struct Client {
    pub(super) options: ClientOptions,
    pub(super) routes: Routes,
    pub(super) limits: Limits,
    /// When all operations together must have ended; none when each has its own time.
    pub(super) whole: Option<Deadline>,
    /// Nobody has looked at the members since the last map came.
    pub(super) map_is_new: bool,
    pub(super) links: BTreeMap<(ShardId, Target), Link>,
    /// Which of the known nodes answers local reads: the endpoints as given come first.
    pub(super) local_turn: usize,
    /// Spreads the pauses of this client's operations.
    pub(super) random: Random,
    pub(super) last_chain: u32,
}

/// Which node of a shard is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// The shard's last known leader.
    Leader,
    /// Any: the first of the given endpoints that answers.
    Any,
}

/// A request and where it goes.
#[derive(Debug)]
pub(super) struct RoutedRequest<'a> {
    pub shard: ShardId,
    pub target: Target,
    pub request: &'a Request,
    /// How long the node was asked to wait before it answers.
    pub wait: Duration,
}

impl Client {
    /// Finds the cluster: asks the endpoints for the cluster map until one answers.
    ///
    /// # Errors
    /// [`ClientError`] when none does within [`ClientOptions::timeout`], or when every one of them
    /// is something else than a node of the cluster that is meant.
    pub fn connect(options: ClientOptions) -> Result<Client, ClientError> {
        let mut client = Client::unconnected(options)?;
        let mut tries = client.tries(Operation::of(&Request::Map), Duration::ZERO);
        loop {
            tries.begin();
            match client.refresh(&tries.deadline()) {
                Ok(_) => return Ok(client),
                Err(fault) => tries.again(fault, PAUSE, client.routes.nodes().len())?,
            }
        }
    }

    /// As [`Client::connect`], but asks each endpoint only once: for who wants to know at once that
    /// nobody is there. The inner error is each endpoint's own.
    ///
    /// # Errors
    /// [`ClientError`] when the options cannot be used.
    pub fn connect_once(
        options: ClientOptions,
    ) -> Result<Result<Client, Vec<(String, ClientError)>>, ClientError> {
        let mut client = Client::unconnected(options)?;
        let mut failed = Vec::new();
        let tries = client.tries(Operation::of(&Request::Map), Duration::ZERO);
        for _ in 0..client.options.endpoints.len() {
            match client.refresh(&tries.deadline()) {
                Ok(_) => return Ok(Ok(client)),
                Err(fault) => {
                    let endpoint = fault.endpoint.clone();
                    failed.push((endpoint, tries.fail(Outcome::NotExecuted, fault)));
                }
            }
        }
        Ok(Err(failed))
    }

    /// A client that knows no more than its options.
    fn unconnected(mut options: ClientOptions) -> Result<Client, ClientError> {
        let operation = Operation::of(&Request::Map);
        options.endpoints =
            options.check().map_err(|what| ClientError::invalid(operation, what))?;
        let cluster = options.cluster.unwrap_or(ClusterId(0));
        Ok(Client {
            routes: Routes::new(options.endpoints.clone(), cluster),
            options,
            limits: LIMITS_UNKNOWN,
            whole: None,
            map_is_new: false,
            links: BTreeMap::new(),
            local_turn: 0,
            random: Random::new(entropy()),
            last_chain: 0,
        })
    }

    /// Returns the id of the cluster that was found: the first to answer, unless one was asked for.
    #[must_use]
    pub fn cluster(&self) -> ClusterId {
        self.routes.cluster()
    }

    /// Returns how many shards the cluster has.
    #[must_use]
    pub fn shards(&self) -> u16 {
        self.routes.shards()
    }

    /// Sets how long each operation from now on may take ([`ClientOptions::timeout`]).
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.options.timeout = timeout;
        self.whole = None;
    }

    /// All operations from now on end together, `timeout` after `since`, until
    /// [`Client::set_timeout`] gives each its own time again.
    pub fn end_all_within(&mut self, since: Instant, timeout: Duration) {
        self.options.timeout = timeout;
        self.whole = Some(Deadline::since(since, timeout));
    }

    /// Returns how long an operation that begins now may take.
    #[must_use]
    pub fn time_left(&self) -> Duration {
        self.whole.map_or(self.options.timeout, |whole| whole.remaining().unwrap_or_default())
    }

    /// Returns how long an operation may take, its retries included.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.options.timeout
    }

    /// Returns what the nodes take: sizes of entries, appends and answers.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The attempts of a new operation, which may take the usual time and `wait`.
    pub(super) fn tries(&mut self, operation: Operation, wait: Duration) -> Tries {
        let own = || Deadline::after(self.options.timeout.saturating_add(wait));
        let deadline = self.whole.unwrap_or_else(own);
        Tries::new(operation, deadline, self.random.draw(), self.options.on_wait.clone())
    }

    /// A chain number that this client has not used lately.
    pub(super) fn next_chain(&mut self) -> u32 {
        self.last_chain = self.last_chain.wrapping_add(1).max(1);
        self.last_chain
    }

    /// The log that the caller names, and its shard.
    pub(super) fn place(
        &self,
        verb: &'static str,
        log: &(impl ToLog + ?Sized),
    ) -> Result<(LogRef, ShardId), ClientError> {
        let invalid = |what: Invalid| ClientError::invalid(Operation::plain(verb), what);
        let log = log.to_log().map_err(|error| invalid(error.into()))?;
        let shards = self.routes.shards();
        let shard = log.shard(shards);
        if shard.0 >= shards {
            return Err(invalid(Invalid::NoShard { shard, shards }));
        }
        Ok((log, shard))
    }

    /// Runs one request to its answer, which is never [`Reply::Error`].
    pub(super) fn run(&mut self, routed: &RoutedRequest<'_>) -> Result<SessionAnswer, ClientError> {
        let mut tries = self.tries(Operation::of(routed.request), routed.wait);
        loop {
            tries.begin();
            let attempted = match shortened(routed, &tries.deadline(), self.options.timeout) {
                Some((request, wait)) => self.attempt(
                    &RoutedRequest { request: &request, wait, ..*routed },
                    &tries.deadline(),
                ),
                None => self.attempt(routed, &tries.deadline()),
            };
            match attempted {
                Ok(answer) => return Ok(answer),
                Err(AttemptError::Final(outcome, fault)) => return Err(tries.fail(outcome, fault)),
                Err(AttemptError::Again(fault, pause)) => {
                    if !routed.wait.is_zero() && self.whole.is_none() {
                        // Waiting for an entry was no failure: what follows has the usual time.
                        tries.restart_once(self.options.timeout);
                    }
                    tries.again(fault, pause, self.routes.nodes().len())?;
                }
            }
        }
    }

    /// Makes one attempt on one node.
    fn attempt(
        &mut self,
        request: &RoutedRequest<'_>,
        deadline: &Deadline,
    ) -> Result<SessionAnswer, AttemptError> {
        let RoutedRequest { shard, target, request, wait } = *request;
        let safety = Idempotence::of(request);
        // What must not be repeated gets all the time there is; the rest may ask another node.
        let patience = match safety {
            Idempotence::Once => *deadline,
            Idempotence::Repeatable => deadline.attempt(self.options.attempt_timeout + wait),
        };
        let link = self
            .link(shard, target, deadline)
            .map_err(|fault| AttemptError::Again(fault, PAUSE))?;
        let endpoint = link.endpoint().to_string();
        let correlation = link.ask(request);
        let answer = match link.wait(&patience) {
            Ok(answer) => answer,
            Err(cause) => {
                let arrived = link.may_have_arrived(correlation);
                // The caller's time is up, and not only that of this node: the connection may stay.
                let over = matches!(cause, Cause::Silent { .. }) && deadline.remaining().is_none();
                let kept = over && link.give_up(correlation);
                let fault = LinkFault { stage: lost_stage(&cause), endpoint, cause };
                if !kept {
                    self.lost(shard, target, &fault.endpoint);
                }
                return Err(match safety {
                    Idempotence::Once if arrived => {
                        AttemptError::Final(safety.outcome_if_lost(), fault)
                    }
                    Idempotence::Once | Idempotence::Repeatable => {
                        AttemptError::Again(fault, PAUSE)
                    }
                });
            }
        };
        match answer.reply {
            Reply::Error(error) => {
                Err(self.refused(shard, target, &endpoint, answer.header.epoch, error, safety))
            }
            reply => Ok(SessionAnswer { reply, ..answer }),
        }
    }

    /// A node refused: what it said of leaders is learned, and what may be done now is decided.
    fn refused(
        &mut self,
        shard: ShardId,
        target: Target,
        from: &str,
        epoch: Ballot,
        error: RequestError,
        safety: Idempotence,
    ) -> AttemptError {
        let pause = self.learn_refusal(shard, target, from, epoch, &error, safety);
        let outcome = match (error.outcome, safety) {
            // What changes nothing has no outcome to be unknown.
            (Outcome::Unknown, Idempotence::Repeatable) => Outcome::NotExecuted,
            (outcome, Idempotence::Once | Idempotence::Repeatable) => outcome,
        };
        let stage = Stage::of(error.code);
        let fault = LinkFault { stage, endpoint: from.to_string(), cause: Cause::Refused(error) };
        match pause {
            Some(pause) => AttemptError::Again(fault, pause),
            None => AttemptError::Final(outcome, fault),
        }
    }

    /// Takes what a refusal says of who leads; returns the pause before another attempt, or none
    /// when there must be none.
    pub(super) fn learn_refusal(
        &mut self,
        shard: ShardId,
        target: Target,
        from: &str,
        epoch: Ballot,
        error: &RequestError,
        safety: Idempotence,
    ) -> Option<Pause> {
        let (elsewhere, pause) = match judge(error, safety) {
            RetryDecision::Final => return None,
            RetryDecision::Here(pause) => (false, pause),
            RetryDecision::Elsewhere(pause) => (true, pause),
        };
        if elsewhere {
            self.links.remove(&(shard, target));
            match target {
                Target::Any => self.local_turn += 1,
                Target::Leader => self.routes.forget_leader(shard, from),
            }
        }
        if error.code == ErrorCode::NotLeader
            && let Detail::Leader(leader) = &error.detail
        {
            self.routes.not_leader(shard, from, epoch, leader.as_ref());
            if leader.is_some() {
                return Some(Pause::Redirected);
            }
        }
        Some(Pause::AtLeast(pause))
    }

    /// The connection to the node at `from` is of no more use.
    pub(super) fn lost(&mut self, shard: ShardId, target: Target, from: &str) {
        self.links.remove(&(shard, target));
        self.routes.failed(from);
        if target == Target::Any {
            self.local_turn += 1;
        }
    }

    /// The node at the other end of a shard's connection; empty when there is none.
    pub(super) fn endpoint(&self, shard: ShardId, target: Target) -> String {
        self.links
            .get(&(shard, target))
            .map_or_else(String::new, |link| link.endpoint().to_string())
    }

    /// Closes the connection for a shard.
    pub(super) fn drop_link(&mut self, shard: ShardId, target: Target) {
        self.links.remove(&(shard, target));
    }

    /// The connection for a shard, if there is one.
    pub(super) fn open_link(&mut self, shard: ShardId, target: Target) -> Option<&mut Link> {
        self.links.get_mut(&(shard, target))
    }

    /// The socket of a shard's connection, if there is one.
    pub(super) fn socket(&self, shard: ShardId, target: Target) -> Option<BorrowedFd<'_>> {
        self.links.get(&(shard, target)).map(Link::socket)
    }

    /// The connection for a shard; made if there is none, or none that still stands.
    pub(super) fn link(
        &mut self,
        shard: ShardId,
        target: Target,
        deadline: &Deadline,
    ) -> Result<&mut Link, LinkFault> {
        let key = (shard, target);
        if !self.links.get_mut(&key).is_some_and(|link| link.is_usable(deadline)) {
            if let Some(link) = self.links.remove(&key).filter(Link::is_doubted) {
                self.lost(shard, target, link.endpoint());
            }
            let address = match target {
                Target::Leader => self.find_leader(shard, deadline)?,
                Target::Any => {
                    let nodes = self.routes.nodes();
                    nodes[self.local_turn % nodes.len()].clone()
                }
            };
            let attempt = self.share(&address, deadline);
            let link = self.connect_to(&address, shard, &attempt).inspect_err(|_| {
                if target == Target::Any {
                    self.local_turn += 1;
                }
            })?;
            self.links.insert(key, link);
        }
        Ok(self.links.get_mut(&key).expect("the link was found usable or made just now"))
    }

    /// Where the shard's leader is, asking the next node for it if that is not known.
    fn find_leader(&mut self, shard: ShardId, deadline: &Deadline) -> Result<String, LinkFault> {
        if let Some(address) = self.routes.leader(shard) {
            return Ok(address.to_string());
        }
        let asked = self.refresh(deadline)?;
        match self.routes.leader(shard) {
            Some(address) => Ok(address.to_string()),
            None => Err(self.why_nobody_leads(shard, asked, deadline)),
        }
    }

    /// The time that the attempt on a node may take.
    fn share(&self, address: &str, deadline: &Deadline) -> Deadline {
        deadline.share(self.options.attempt_timeout, self.routes.to_ask(address))
    }

    /// Connects to a node and remembers how that went.
    pub(super) fn connect_to(
        &mut self,
        address: &str,
        shard: ShardId,
        attempt: &Deadline,
    ) -> Result<Link, LinkFault> {
        let hello = hello(shard, self.routes.cluster(), &self.options.name);
        let link =
            Link::open(address, &hello, attempt).inspect_err(|_| self.routes.failed(address))?;
        self.routes.answered(address);
        Ok(link)
    }

    /// Fetches the map from the next node; returns which one that was.
    pub(super) fn refresh(&mut self, deadline: &Deadline) -> Result<String, LinkFault> {
        let address = self.routes.next_node();
        let attempt = self.share(&address, deadline);
        let mut link = self.connect_to(&address, NO_SHARD, &attempt)?;
        let limits = link.greeted().limits;
        let answer = link
            .call(&Request::Map, &attempt, Stage::Leader)
            .inspect_err(|_| self.routes.failed(&address))?;
        let Reply::Map(map) = answer.reply else {
            unreachable!("a session gives no answer of another kind than the request's")
        };
        if map.shards == 0 || map.members.is_empty() {
            let cause = ProtocolError::EmptyMap.into();
            return Err(LinkFault { stage: Stage::Hello, endpoint: address, cause });
        }
        self.routes.learn_map(&map);
        self.limits = limits;
        self.map_is_new = true;
        Ok(address)
    }
}

/// What an unknown node takes: nothing. A client that exists has its first node's limits.
const LIMITS_UNKNOWN: Limits = Limits {
    frame_bytes_max: 0,
    entry_bytes_max: 0,
    append_bytes_max: 0,
    append_entries_max: 0,
    read_bytes_max: 0,
    read_entries_max: 0,
    requests_max: 0,
    read_wait_ms_max: 0,
};

/// The request with a shorter wait, where the node would else answer after the deadline: half of
/// what is left, so that the rest is left for the way there and back.
fn shortened(
    request: &RoutedRequest<'_>,
    deadline: &Deadline,
    timeout: Duration,
) -> Option<(Request, Duration)> {
    let Request::Read(read) = request.request else { return None };
    let left = deadline.remaining().unwrap_or_default();
    if request.wait.is_zero() || left >= request.wait.saturating_add(timeout / 2) {
        return None;
    }
    let wait = request.wait.min(left / 2);
    let wait_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
    Some((Request::Read(Read { wait_ms, ..read.clone() }), wait))
}

/// The pause after which a node that did not answer is not missed.
pub(super) const PAUSE: Pause = Pause::AtLeast(Duration::ZERO);

/// The stage of a request that was given to a node and never answered.
pub(super) fn lost_stage(cause: &Cause) -> Stage {
    match cause {
        Cause::Refused(error) => Stage::of(error.code),
        Cause::Io { .. }
        | Cause::NoAddress
        | Cause::Closed
        | Cause::Silent { .. }
        | Cause::Protocol(_)
        | Cause::NoLeader { .. }
        | Cause::NoTime
        | Cause::PriorFailed
        | Cause::Invalid(_) => Stage::Quorum,
    }
}

/// Something that differs between clients.
pub(super) fn entropy() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (since.as_nanos() as u64) ^ u64::from(std::process::id()).rotate_left(32)
}
