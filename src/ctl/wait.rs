//! `wait`: until the cluster has a quorum, or until all of it is there.

use super::args::{self, Global};
use super::exit::Failure;
use super::health::{Problem, problems, sentence};
use super::progress::Line;
use super::{WAIT_TIMEOUT, endpoints, options};
use crate::client::{Client, ClientOptions};
use crate::types::ShardId;
use std::time::{Duration, Instant};

/// How long to wait before looking at a cluster again that is not ready.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest that one look at a part of the cluster may take.
const LOOK: Duration = Duration::from_secs(2);
/// No look begins with less time than this: it would only learn that the time is up.
const LOOK_MIN: Duration = Duration::from_millis(50);
/// What to do where there was no time to see more.
const MORE_TIME: &str = "give it more time (--timeout)";
/// What to do where parts of a cluster are missing that answers.
const LOOK_THERE: &str =
    "look in the logs of the nodes that are named, or give it more time (--timeout)";

/// What is wrong, and what can be done about it.
struct Wrong {
    what: String,
    next: String,
}

impl Wrong {
    fn new(what: impl Into<String>, next: impl Into<String>) -> Wrong {
        Wrong { what: what.into(), next: next.into() }
    }
}

/// Waits until every shard's leader serves; with `--ready`, until nothing is missing. When the time
/// is up it fails as unhealthy, with what was last seen to be wrong; at once where time changes
/// nothing.
pub fn wait(global: &Global, wait: &args::Wait) -> Result<(), Failure> {
    let allowed = global.timeout.unwrap_or(WAIT_TIMEOUT);
    let started = Instant::now();
    let mut client = None;
    let mut wrong = Wrong::new("not looked at yet", MORE_TIME);
    let mut progress = Line::new();
    let whom = if wait.ready { "every node" } else { "a leader of every shard" };
    let seconds = allowed.as_secs_f64();
    loop {
        let (passed, what) = (started.elapsed().as_secs_f64(), &wrong.what);
        progress.say(|| format!("waiting for {whom}, {passed:.1} of {seconds:.1} s: {what}"));
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
    let Wrong { what, next } = wrong;
    Err(Failure::Unhealthy(format!("not ready after {seconds:.1} s: {what}; next: {next}")))
}

/// Looks once: what is wrong, or nothing. Fails only where waiting cannot help.
fn look(
    client: &mut Option<Client>,
    global: &Global,
    ready: bool,
    allowed: Duration,
) -> Result<Option<Wrong>, Failure> {
    let since = Instant::now();
    let mut found = match client.take() {
        Some(found) => found,
        None => {
            let options = ClientOptions { timeout: allowed, ..options(global, WAIT_TIMEOUT) };
            match Client::connect_once(options)? {
                Ok(found) => found,
                Err(failed) => {
                    let what = format!("no endpoint answers: {}", endpoints::whys(&failed));
                    let wrong = Wrong::new(what, endpoints::advice(&failed));
                    return match endpoints::for_good(failed) {
                        Some(error) => Err(error.into()),
                        None => Ok(Some(wrong)),
                    };
                }
            }
        }
    };
    found.end_all_within(since, allowed);
    let wrong = judge(&mut found, ready)?;
    *client = Some(found);
    Ok(wrong)
}

fn judge(client: &mut Client, ready: bool) -> Result<Option<Wrong>, Failure> {
    for shard in (0..client.shards()).map(ShardId) {
        if let Err(error) = client.probe(shard) {
            if error.is_for_good() {
                return Err(error.into());
            }
            let what = format!("no leader serves shard {shard} ({})", endpoints::why(&error));
            return Ok(Some(Wrong::new(what, error.next_step())));
        }
    }
    if !ready {
        return Ok(None);
    }
    Ok(match client.status() {
        Ok(status) => {
            let problems = problems(&status);
            let all: Vec<&Problem> = problems.iter().collect();
            (!all.is_empty()).then(|| Wrong::new(sentence(&all), LOOK_THERE))
        }
        Err(error) => Some(Wrong::new(endpoints::why(&error), error.next_step())),
    })
}
