//! The state of every node and shard, as far as each node reports it.

use super::core::Client;
use super::deadline::Deadline;
use super::error::{ClientError, Operation, Stage, io_cause};
use super::link::{Link, LinkFault, hello};
use crate::api::error::Outcome;
use crate::api::{DiskSpace, Member, Reply, Request, ShardStatus, StatusReply};
use crate::types::ShardId;
use std::thread;
use std::time::Duration;

/// The state of a cluster: every member with its report or its failure.
#[derive(Debug)]
pub struct ClusterStatus {
    /// How many shards the cluster has.
    pub shards: u16,
    /// One report for each member, by rising id.
    pub nodes: Vec<NodeReport>,
}

/// What one member reports, or why it does not.
#[derive(Debug)]
pub struct NodeReport {
    /// The member's id and address, as the cluster map has them.
    pub member: Member,
    /// Its state; the failure when it does not answer.
    pub state: Result<NodeStatus, ClientError>,
}

/// The state of one node, put together from the answers of its shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeStatus {
    /// The program's version, as `paxosd --version` shows it.
    pub version: String,
    /// Milliseconds since the node's process started.
    pub uptime_ms: u64,
    /// Space on the file system of its data directory.
    pub disk: DiskSpace,
    /// Its replica of each shard, by rising number.
    pub shards: Vec<ShardStatus>,
}

impl Client {
    /// Asks every member for the state of each of its shards, all members at once; one that does
    /// not answer is reported as such, and costs no more than its own time.
    ///
    /// # Errors
    /// [`ClientError`] when nobody answers, neither a member nor an endpoint.
    pub fn status(&mut self) -> Result<ClusterStatus, ClientError> {
        let mut tries = self.tries(Operation::of(&Request::Status), Duration::ZERO);
        tries.begin();
        let deadline = tries.deadline();
        let members = self.routes.members().to_vec();
        let states = self.ask_all(&members, &deadline);
        for (member, state) in members.iter().zip(&states) {
            match state {
                Ok(_) => self.routes.answered(&member.address),
                Err(_) => self.routes.failed(&member.address),
            }
        }
        // Members may move: whoever looks again and again sees it the next time.
        let is_new = std::mem::take(&mut self.map_is_new);
        let lost = if is_new { None } else { self.refresh(&deadline).err() };
        self.map_is_new = false;
        if let Some(fault) = lost
            && states.iter().all(Result::is_err)
        {
            let faults = states.into_iter().filter_map(Result::err).chain([fault]);
            return Err(tries.fail_all(faults));
        }
        let nodes = members.into_iter().zip(states).map(|(member, state)| NodeReport {
            member,
            state: state.map_err(|fault| tries.fail(Outcome::NotExecuted, fault)),
        });
        let nodes = nodes.collect();
        Ok(ClusterStatus { shards: self.shards(), nodes })
    }

    /// Asks these nodes, each on a thread of its own.
    fn ask_all(
        &self,
        members: &[Member],
        deadline: &Deadline,
    ) -> Vec<Result<NodeStatus, LinkFault>> {
        thread::scope(|scope| {
            let asked: Vec<_> = members
                .iter()
                .map(|Member { address, .. }| {
                    let ask = || self.ask_node(address, deadline);
                    thread::Builder::new().spawn_scoped(scope, ask).map_err(|source| LinkFault {
                        stage: Stage::Connect,
                        endpoint: address.clone(),
                        cause: io_cause("cannot start a thread", source),
                    })
                })
                .collect();
            let end = |thread: thread::ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            asked.into_iter().map(|thread| thread.and_then(end)).collect()
        })
    }

    /// Asks one node for each of its shards; it has the time of one attempt for each.
    fn ask_node(&self, address: &str, deadline: &Deadline) -> Result<NodeStatus, LinkFault> {
        let mut status = NodeStatus {
            version: String::new(),
            uptime_ms: 0,
            disk: DiskSpace::default(),
            shards: Vec::new(),
        };
        for shard in 0..self.shards() {
            let attempt = deadline.attempt(self.options.attempt_timeout);
            let hello = hello(ShardId(shard), self.cluster(), &self.options.name);
            let mut link = Link::open(address, &hello, &attempt)?;
            let answer = link.call(&Request::Status, &attempt, Stage::Request)?;
            let Reply::Status(answer) = answer.reply else {
                unreachable!("a session gives no answer of another kind than the request's")
            };
            let StatusReply { version, uptime_ms, disk, shard, .. } = *answer;
            (status.version, status.uptime_ms, status.disk) = (version, uptime_ms, disk);
            status.shards.push(shard);
        }
        Ok(status)
    }
}
