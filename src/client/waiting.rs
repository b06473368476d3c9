//! What an operation waits for, reported while it does: ten seconds of silence look like a hang.

use super::error::{Cause, Operation};
use super::link::LinkFault;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// An operation that failed so far and is about to try again.
#[derive(Debug)]
pub struct RetryWait<'a> {
    /// The operation that waits.
    pub operation: &'a Operation,
    /// The node that the last attempt asked, as `host:port`; empty when it ended before any.
    pub endpoint: &'a str,
    /// Why that attempt failed.
    pub cause: &'a Cause,
    /// How long the operation has taken so far.
    pub waited: Duration,
    /// How long it goes on trying.
    pub left: Duration,
}

impl fmt::Display for RetryWait<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.operation)?;
        if !self.endpoint.is_empty() {
            write!(f, "{}: ", self.endpoint)?;
        }
        write!(f, "{}; trying for another {:.1} s", self.cause, self.left.as_secs_f64())
    }
}

/// Is called before each further attempt of an operation, on the thread that waits for it.
#[derive(Clone)]
pub struct OnWait(Arc<dyn Fn(&RetryWait<'_>) + Send + Sync>);

impl OnWait {
    /// Makes a report of `report`, which must not block for long: the operation waits for it.
    pub fn new(report: impl Fn(&RetryWait<'_>) + Send + Sync + 'static) -> OnWait {
        OnWait(Arc::new(report))
    }

    /// The operation failed with this fault, and goes on trying.
    pub(super) fn report(
        &self,
        operation: &Operation,
        fault: &LinkFault,
        waited: Duration,
        left: Duration,
    ) {
        let LinkFault { endpoint, cause, .. } = fault;
        (self.0)(&RetryWait { operation, endpoint, cause, waited, left });
    }
}

impl fmt::Debug for OnWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnWait(…)")
    }
}
