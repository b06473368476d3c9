//! What is said where none of the endpoints is a node that answers.

use crate::client::{Cause, ClientError, Elsewhere, ErrorCode, Stage};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Each endpoint with its own failure, as [`crate::client::Client::connect_once`] gives them.
pub type Failed = [(String, ClientError)];

/// How far an endpoint came, and why no further. What failed before a node could be greeted says by
/// itself what was tried.
#[must_use]
pub fn why(error: &ClientError) -> String {
    match error.cause {
        Cause::NoAddress => error.cause.to_string(),
        Cause::Io { .. } if error.stage <= Stage::Connect => error.cause.to_string(),
        Cause::Io { .. }
        | Cause::Refused(_)
        | Cause::Closed
        | Cause::Silent { .. }
        | Cause::Protocol(_)
        | Cause::NoLeader { .. }
        | Cause::NoTime
        | Cause::PriorFailed
        | Cause::Invalid(_) => format!("{}: {}", error.stage, error.cause),
    }
}

/// What an endpoint that does not answer as a node of the cluster is, for people and for programs.
#[must_use]
pub fn standing(error: &ClientError) -> (&'static str, &'static str) {
    let strangers = [
        (ErrorCode::WrongPort, ("WRONG PORT", "wrong_port")),
        (ErrorCode::WrongCluster, ("OTHER CLUSTER", "other_cluster")),
        (ErrorCode::VersionMismatch, ("OTHER VERSION", "other_version")),
    ];
    let refused = strangers.into_iter().find(|(code, _)| error.code() == Some(*code));
    let is_foreign = matches!(error.cause, Cause::Protocol(_));
    let unnamed = if is_foreign { ("NOT A NODE", "not_a_node") } else { ("DEAD", "dead") };
    refused.map_or(unnamed, |(_, standing)| standing)
}

/// How far each endpoint came, and why no further, in one line.
#[must_use]
pub fn whys(failed: &Failed) -> String {
    let each = failed.iter().map(|(endpoint, error)| format!("{endpoint}: {}", why(error)));
    each.collect::<Vec<_>>().join("; ")
}

/// What can be done now: one thing, or one for each kind of failure.
#[must_use]
pub fn advice(failed: &Failed) -> String {
    let mut steps: BTreeMap<Cow<'_, str>, Vec<&str>> = BTreeMap::new();
    for (endpoint, error) in failed {
        steps.entry(error.next_step()).or_default().push(endpoint);
    }
    if steps.len() == 1 {
        return steps.into_keys().map(Cow::into_owned).collect();
    }
    let each = steps.into_iter().map(|(step, of)| format!("{}: {step}", of.join(", ")));
    each.collect::<Vec<_>>().join("; ")
}

/// The failure of all of them, where each refuses for good: asking again cannot help.
#[must_use]
pub fn for_good(mut failed: Vec<(String, ClientError)>) -> Option<ClientError> {
    if !failed.iter().all(|(_, error)| error.is_for_good()) {
        return None;
    }
    let (_, last) = failed.pop()?;
    let mut failure = last.into_failure();
    failure.elsewhere = failed
        .into_iter()
        .map(|(endpoint, error)| Elsewhere {
            endpoint,
            stage: error.stage,
            why: error.cause.to_string(),
        })
        .collect();
    Some(ClientError::new(failure))
}
