//! The state of every node and shard, as far as each node tells.

use super::core::Client;
use super::deadline::Deadline;
use super::error::{ClientError, Operation, Stage};
use super::link::Fault;
use crate::types::ShardId;
use crate::wire::client::{Member, Reply, Request, ShardStatus, StatusReply};
use crate::wire::error::Outcome;
use std::time::Duration;

/// The state of a cluster.
#[derive(Debug)]
pub struct ClusterStatus {
    /// How many shards the cluster has.
    pub shards: u16,
    /// Every member, by rising id.
    pub nodes: Vec<NodeReport>,
}

/// What one member tells, or why it does not.
#[derive(Debug)]
pub struct NodeReport {
    /// The member.
    pub member: Member,
    /// Its state; the failure when it does not answer.
    pub state: Result<NodeStatus, ClientError>,
}

/// A node's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeStatus {
    /// The program's version, for people.
    pub version: String,
    /// Milliseconds since the process started.
    pub uptime_ms: u64,
    /// Its shards, by rising number.
    pub shards: Vec<ShardStatus>,
}

impl Client {
    /// Asks every member for the state of each of its shards, one after the other; a member that
    /// does not answer is reported as such.
    ///
    /// # Errors
    /// [`ClientError`] when no node gives the cluster map.
    pub fn status(&mut self) -> Result<ClusterStatus, ClientError> {
        let mut tries = self.tries(Operation::of(&Request::Status), Duration::ZERO);
        loop {
            tries.begin();
            match self.refresh(&tries.deadline()) {
                Ok(_) => break,
                Err(fault) => {
                    tries.again(fault, super::core::PAUSE, self.routes.nodes().len())?;
                }
            }
        }
        let members = self.routes.members().to_vec();
        let nodes = members.into_iter().map(|member| {
            let state = self
                .node_status(&member.address)
                .map_err(|fault| tries.fail(Outcome::NotExecuted, fault));
            NodeReport { member, state }
        });
        let nodes = nodes.collect();
        Ok(ClusterStatus { shards: self.shards(), nodes })
    }

    /// Asks one node; it has the time of one attempt for each shard.
    fn node_status(&mut self, address: &str) -> Result<NodeStatus, Fault> {
        let mut status = NodeStatus { version: String::new(), uptime_ms: 0, shards: Vec::new() };
        for shard in 0..self.shards() {
            let StatusReply { version, uptime_ms, shard, .. } =
                self.shard_status(address, ShardId(shard))?;
            (status.version, status.uptime_ms) = (version, uptime_ms);
            status.shards.push(shard);
        }
        Ok(status)
    }

    fn shard_status(&mut self, address: &str, shard: ShardId) -> Result<StatusReply, Fault> {
        let deadline = Deadline::after(self.options.attempt_timeout);
        let mut link = self.connect_to(address, shard, &deadline)?;
        let answer = link.call(&Request::Status, &deadline, Stage::Request)?;
        let Reply::Status(status) = answer.reply else {
            unreachable!("a session gives no answer of another kind than the request's")
        };
        Ok(status)
    }
}
