//! What may be done after a node refused a request. The one place that decides what is safe to
//! send again (R32).

use crate::api::Request;
use crate::api::error::{Outcome, RequestError, Retry};
use std::time::Duration;

/// Whether doing a request twice is the same as doing it once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idempotence {
    /// It changes nothing: an unknown outcome is no more than a missing answer.
    Repeatable,
    /// It changes something: it is sent again only when it is certain that it was not executed.
    Once,
}

impl Idempotence {
    /// Returns whether a request may be sent twice.
    #[must_use]
    pub fn of(request: &Request) -> Idempotence {
        // A second create would find the first one's log, a second delete might find a newer log of
        // the same name, a second append would append a second time, and attributes set again might undo
        // what somebody set in between. What is trimmed is trimmed however often.
        if request.takes_effect_twice() { Idempotence::Once } else { Idempotence::Repeatable }
    }

    /// The outcome of a request of which nobody knows whether the node got it.
    #[must_use]
    pub fn outcome_if_lost(self) -> Outcome {
        match self {
            Idempotence::Repeatable => Outcome::NotExecuted,
            Idempotence::Once => Outcome::Unknown,
        }
    }
}

/// What to do after a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryDecision {
    /// Give up, and report the refusal to the caller.
    Final,
    /// Ask the same node again, after a pause of at least this length.
    Here(Duration),
    /// Look for another node, after a pause of at least this length.
    Elsewhere(Duration),
}

/// Decides what a refusal allows, by its outcome and retry hint.
#[must_use]
pub fn judge(error: &RequestError, safety: Idempotence) -> RetryDecision {
    let pause = Duration::from_millis(u64::from(error.retry_after_ms));
    match (error.outcome, safety) {
        (Outcome::NotExecuted, Idempotence::Once | Idempotence::Repeatable) => match error.retry {
            Retry::No => RetryDecision::Final,
            Retry::Here => RetryDecision::Here(pause),
            Retry::Elsewhere => RetryDecision::Elsewhere(pause),
        },
        // The hint speaks of what changes something; this is no more than a missing answer.
        (Outcome::Unknown, Idempotence::Repeatable) => RetryDecision::Elsewhere(pause),
        (Outcome::Unknown, Idempotence::Once) | (Outcome::Executed, _) => RetryDecision::Final,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::error::ErrorCode;

    /// R32: whatever a node answers, an append whose outcome is not "not executed" is never sent
    /// again, and a hint to retry does not change that.
    #[test]
    fn r32_what_changes_something_is_repeated_only_when_not_executed() {
        for code in ErrorCode::ALL {
            for outcome in [Outcome::NotExecuted, Outcome::Executed, Outcome::Unknown] {
                for retry in [Retry::No, Retry::Here, Retry::Elsewhere] {
                    let error = RequestError { outcome, retry, ..RequestError::new(*code, "") };
                    let again = judge(&error, Idempotence::Once) != RetryDecision::Final;
                    let may = outcome == Outcome::NotExecuted && retry != Retry::No;
                    assert_eq!(again, may, "{code} {outcome} {retry:?}");
                }
            }
        }
    }

    /// A read that was under way when leadership was lost is asked again elsewhere.
    #[test]
    fn what_changes_nothing_is_repeated_when_the_node_says_it_helps() {
        let lost = RequestError::new(ErrorCode::LeadershipLost, "");
        assert_eq!(judge(&lost, Idempotence::Repeatable), RetryDecision::Elsewhere(Duration::ZERO));
        assert_eq!(judge(&lost, Idempotence::Once), RetryDecision::Final);
        let full = RequestError::new(ErrorCode::DiskFull, "");
        assert_eq!(judge(&full, Idempotence::Once), RetryDecision::Here(Duration::from_secs(1)));
        let unknown = RequestError::new(ErrorCode::UnknownLog, "");
        assert_eq!(judge(&unknown, Idempotence::Repeatable), RetryDecision::Final);
    }
}
