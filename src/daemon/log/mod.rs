//! Log lines: to standard error, by way of a queue that makes no caller wait, and not too many.

pub mod logger;
pub mod queue;
pub(super) mod rate_limited;
pub mod slow;
