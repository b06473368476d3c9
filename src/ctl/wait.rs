//! `wait`: until the cluster has a quorum, or until all of it is there.

use super::args::{self, Global};
use super::exit::Failure;
use super::health::{Problem, problems, sentence};
use super::{WAIT_TIMEOUT, connect};
use std::time::{Duration, Instant};

/// How long to wait before looking at a cluster again that is not ready.
const PAUSE: Duration = Duration::from_millis(100);

/// Waits until every shard's leader serves; with `--ready`, until nothing is missing.
pub fn wait(global: &Global, wait: &args::Wait) -> Result<(), Failure> {
    let allowed = global.timeout.unwrap_or(WAIT_TIMEOUT);
    let started = Instant::now();
    let mut client = connect(global, WAIT_TIMEOUT)?;
    for shard in 0..client.shards() {
        client.set_timeout(left(started, allowed));
        client.probe(crate::types::ShardId(shard))?;
    }
    if !wait.ready {
        return Ok(());
    }
    loop {
        client.set_timeout(left(started, allowed));
        let status = client.status()?;
        let problems = problems(&status);
        if problems.is_empty() {
            return Ok(());
        }
        if started.elapsed() + PAUSE >= allowed {
            let all: Vec<&Problem> = problems.iter().collect();
            let text =
                format!("not ready after {:.1} s: {}", allowed.as_secs_f64(), sentence(&all));
            return Err(Failure::Unhealthy(text));
        }
        std::thread::sleep(PAUSE);
    }
}

/// What is left of the time; a little in any case, so that the last attempt can say what is wrong.
fn left(started: Instant, allowed: Duration) -> Duration {
    allowed.saturating_sub(started.elapsed()).max(Duration::from_millis(1))
}
