//! Endpoints of another cluster among those that were given.

use super::core::Client;
use super::deadline::Deadline;
use super::link::{Link, hello};
use crate::api::NO_SHARD;
use crate::types::ClusterId;
use std::thread;
use std::time::Duration;

impl Client {
    /// Returns the endpoints that belong to another cluster than the one that was found, each with
    /// its cluster. Endpoints that are members by the cluster's own map need not be asked; the
    /// others are, all at once, and those that do not answer in time are left out.
    ///
    /// A client goes by the first endpoint that answers, so a list of endpoints that mixes two
    /// clusters leads to one of them today and to the other one tomorrow.
    #[must_use]
    pub fn foreign_endpoints(&self, within: Duration) -> Vec<(String, ClusterId)> {
        let members = self.routes.members();
        let is_member = |endpoint: &&String| members.iter().any(|at| at.address == **endpoint);
        let others: Vec<&String> =
            self.options.endpoints.iter().filter(|endpoint| !is_member(endpoint)).collect();
        let deadline = Deadline::after(within);
        // Any cluster, so that the node says which one it is of.
        let hello = hello(NO_SHARD, ClusterId(0), &self.options.name);
        let ask = |endpoint: &str| {
            let link = Link::open(endpoint, &hello, &deadline).ok()?;
            Some(link.greeted().cluster).filter(|cluster| *cluster != self.cluster())
        };
        thread::scope(|scope| {
            let asked: Vec<_> = others
                .iter()
                .map(|endpoint| {
                    let ask = || ask(endpoint);
                    (*endpoint, thread::Builder::new().spawn_scoped(scope, ask))
                })
                .collect();
            let answers = asked.into_iter().filter_map(|(endpoint, thread)| {
                let cluster = thread.ok()?.join();
                let cluster = cluster.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
                Some((endpoint.clone(), cluster))
            });
            answers.collect()
        })
    }
}
