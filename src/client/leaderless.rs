//! Why a shard has no leader: a map only shows that there is none, and the node that gave it knows
//! more, such as which member a new cluster waits for.

use super::core::Client;
use super::deadline::Deadline;
use super::error::{Cause, Stage};
use super::link::LinkFault;
use crate::api::error::ErrorCode;
use crate::api::{Consistency, List, Request};
use crate::types::ShardId;

impl Client {
    /// What the node at `asked` says of a shard of which its map named no leader: its refusal of a
    /// request that only a leader answers, or no more than that it knows of none.
    pub(super) fn why_nobody_leads(
        &mut self,
        shard: ShardId,
        asked: String,
        deadline: &Deadline,
    ) -> LinkFault {
        let question = Request::List(List {
            prefix: String::new(),
            after: String::new(),
            limit: 1,
            consistency: Consistency::Linearizable,
        });
        let attempt = deadline.attempt(self.options.attempt_timeout);
        let answer = self
            .connect_to(&asked, shard, &attempt)
            .and_then(|mut link| link.call(&question, &attempt, Stage::Leader));
        match answer {
            Err(fault) if says_why(&fault.cause) => fault,
            // It leads by now, or says no more: the map's word stands until the next attempt.
            Ok(_) | Err(_) => LinkFault {
                stage: Stage::Leader,
                endpoint: asked,
                cause: Cause::NoLeader { shard },
            },
        }
    }
}

/// A refusal says why; that the node does not lead was known before.
fn says_why(cause: &Cause) -> bool {
    matches!(cause, Cause::Refused(error) if error.code != ErrorCode::NotLeader)
}
