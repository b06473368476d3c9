//! `wait`: until the cluster has a quorum, or until all of it is there.

use super::args::{self, Global};
use super::exit::Failure;
use super::health::{Problem, problems, sentence};
use super::progress::Line;
use super::{WAIT_TIMEOUT, options};
use crate::client::{Client, ClientError, ClientOptions};
use crate::types::ShardId;
use std::time::{Duration, Instant};

/// How long to wait before looking at a cluster again that is not ready.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest that one look at a part of the cluster may take.
const LOOK: Duration = Duration::from_secs(2);
/// No look begins with less time than this: it would only learn that the time is up.
const LOOK_MIN: Duration = Duration::from_millis(50);

/// What is wrong before the first look.
const NOT_LOOKED: &str = "not looked at yet";

/// Waits until every shard's leader serves; with `--ready`, until nothing is missing. When the time
/// is up it fails as unhealthy, with what was last seen to be wrong.
pub fn wait(global: &Global, wait: &args::Wait) -> Result<(), Failure> {
    let allowed = global.timeout.unwrap_or(WAIT_TIMEOUT);
    let started = Instant::now();
    let mut client = None;
    let mut wrong = NOT_LOOKED.to_string();
    let mut progress = Line::new();
    let what = if wait.ready { "every node" } else { "a leader of every shard" };
    let seconds = allowed.as_secs_f64();
    loop {
        let passed = started.elapsed().as_secs_f64();
        progress.say(|| format!("waiting for {what}, {passed:.1} of {seconds:.1} s: {wrong}"));
        let left = allowed.saturating_sub(started.elapsed());
        // The first look is taken however short the time is.
        if left < LOOK_MIN && client.is_some() {
            break;
        }
        match look(&mut client, global, wait.ready, left.clamp(LOOK_MIN, LOOK))? {
            None => return Ok(()),
            Some(found) => wrong = found,
        }
        if allowed.saturating_sub(started.elapsed()) < PAUSE + LOOK_MIN {
            break;
        }
        std::thread::sleep(PAUSE);
    }
    Err(Failure::Unhealthy(format!("not ready after {seconds:.1} s: {wrong}")))
}

/// Looks once: what is wrong, or nothing. Fails only where waiting cannot help.
fn look(
    client: &mut Option<Client>,
    global: &Global,
    ready: bool,
    allowed: Duration,
) -> Result<Option<String>, Failure> {
    let since = Instant::now();
    let mut found = match client.take() {
        Some(found) => found,
        None => {
            let options = ClientOptions { timeout: allowed, ..options(global, WAIT_TIMEOUT) };
            match Client::connect_once(options)? {
                Ok(found) => found,
                Err(failed) => return Ok(Some(none_answers(&failed))),
            }
        }
    };
    found.end_all_within(since, allowed);
    let wrong = judge(&mut found, ready);
    *client = Some(found);
    Ok(wrong)
}

fn none_answers(failed: &[(String, ClientError)]) -> String {
    let each: Vec<String> = failed
        .iter()
        .map(|(endpoint, error)| format!("{endpoint}: {}: {}", error.stage, error.cause))
        .collect();
    format!("no endpoint answers: {}", each.join("; "))
}

fn judge(client: &mut Client, ready: bool) -> Option<String> {
    for shard in (0..client.shards()).map(ShardId) {
        if let Err(error) = client.probe(shard) {
            return Some(format!(
                "no leader serves shard {shard} ({}: {})",
                error.stage, error.cause
            ));
        }
    }
    if !ready {
        return None;
    }
    match client.status() {
        Ok(status) => {
            let problems = problems(&status);
            let all: Vec<&Problem> = problems.iter().collect();
            (!all.is_empty()).then(|| sentence(&all))
        }
        Err(error) => Some(error.to_string()),
    }
}
