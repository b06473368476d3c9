//! `wait`: until the cluster has a quorum, or until all of it is there.

use super::args::{self, Format, Global};
use super::connect::{one_cluster, options};
use super::exit::Failure;
use super::health::{Problem, problems, sentence};
use super::progress::Line;
use super::{WAIT_TIMEOUT, endpoints, write_json};
use crate::client::{Client, ClientOptions};
use crate::types::ShardId;
use serde_json::json;
use std::io::Write;
use std::time::{Duration, Instant};

/// How long to wait before looking at a cluster again that is not ready.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest that one look at a part of the cluster may take.
const LOOK: Duration = Duration::from_secs(2);
/// No look begins with less time than this: it would only learn that the time is up.
const LOOK_MIN: Duration = Duration::from_millis(50);
/// A look with less time than this may miss an answer that is only slow.
const LOOK_FAIR: Duration = Duration::from_secs(1);
/// What to do where there was no time to see more.
const MORE_TIME: &str = "give it more time (--timeout)";
/// What to do where parts of a cluster are missing that answers.
const LOOK_THERE: &str =
    "look in the logs of the nodes that are named, or give it more time (--timeout)";

/// What is wrong, and what can be done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wrong {
    what: String,
    next: String,
}

impl Wrong {
    fn new(what: impl Into<String>, next: impl Into<String>) -> Wrong {
        Wrong { what: what.into(), next: next.into() }
    }
}

/// What the looks so far found wrong.
#[derive(Debug)]
struct Findings {
    last: Wrong,
    /// The most time that a look had which found something, up to [`LOOK_FAIR`].
    had: Duration,
}

impl Findings {
    fn new() -> Findings {
        Findings { last: Wrong::new("not looked at yet", MORE_TIME), had: Duration::ZERO }
    }

    /// Takes what a look found that had so much time. A look that was cut short by the end of the
    /// command takes a slow answer for none: it does not replace what a longer one saw.
    fn note(&mut self, found: Wrong, had: Duration) {
        let had = had.min(LOOK_FAIR);
        if had >= self.had {
            (self.last, self.had) = (found, had);
        }
    }
}

/// Waits until every shard's leader serves; with `--ready`, until nothing is missing. When the time
/// is up it fails as unhealthy, with what was last seen to be wrong; at once where time changes
/// nothing. As JSON, what it came to is printed either way.
///
/// # Errors
/// [`Failure::Unhealthy`]; another one where waiting cannot help.
pub fn wait(
    global: &Global,
    wait: &args::Wait,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let started = Instant::now();
    let wrong = until_good(global, wait, started)?;
    if matches!(format, Format::Json | Format::Jsonl) {
        let mut document = json!({
            "waited_for": if wait.ready { "ready" } else { "quorum" },
            "reached": wrong.is_none(),
            "seconds": (started.elapsed().as_secs_f64() * 1000.0).round() / 1000.0,
        });
        if let Some(Wrong { what, next }) = &wrong {
            document["wrong"] = json!(what);
            document["next"] = json!(next);
        }
        write_json(out, &document)?;
    }
    let Some(Wrong { what, next }) = wrong else { return Ok(()) };
    let seconds = allowed(global).as_secs_f64();
    Err(Failure::Unhealthy(format!("not ready after {seconds:.1} s: {what}; next: {next}")))
}

fn allowed(global: &Global) -> Duration {
    global.timeout.unwrap_or(WAIT_TIMEOUT)
}

/// Looks again and again; none once nothing is wrong.
fn until_good(
    global: &Global,
    wait: &args::Wait,
    started: Instant,
) -> Result<Option<Wrong>, Failure> {
    let allowed = allowed(global);
    let mut client = None;
    let mut findings = Findings::new();
    let mut progress = Line::new();
    let whom = if wait.ready { "every node" } else { "a leader of every shard" };
    let seconds = allowed.as_secs_f64();
    loop {
        let (passed, what) = (started.elapsed().as_secs_f64(), &findings.last.what);
        progress.say(|| format!("waiting for {whom}, {passed:.1} of {seconds:.1} s: {what}"));
        let left = allowed.saturating_sub(started.elapsed());
        // The first look is taken however short the time is.
        if left < LOOK_MIN && client.is_some() {
            break;
        }
        let time = left.clamp(LOOK_MIN, LOOK);
        match look(&mut client, global, wait.ready, time)? {
            None => return Ok(None),
            Some(found) => findings.note(found, time),
        }
        if allowed.saturating_sub(started.elapsed()) < PAUSE + LOOK_MIN {
            break;
        }
        std::thread::sleep(PAUSE);
    }
    Ok(Some(findings.last))
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
                Ok(found) => {
                    one_cluster(&found, global)?;
                    found
                }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A last look with no time to speak of does not replace what a longer one saw; the first look
    /// is taken as it is.
    #[test]
    fn a_hurried_look_replaces_no_longer_one() {
        let wrong = |what: &str| Wrong::new(what, "wait");
        let ms = Duration::from_millis;
        let mut findings = Findings::new();
        findings.note(wrong("hurried"), ms(60));
        assert_eq!(findings.last, wrong("hurried"));
        findings.note(wrong("node 3 is behind"), ms(2000));
        findings.note(wrong("node 2 does not answer"), ms(150));
        assert_eq!(findings.last, wrong("node 3 is behind"));
        // One second is enough for every answer: the later of two such looks counts.
        findings.note(wrong("node 1 does not answer"), ms(1200));
        assert_eq!(findings.last, wrong("node 1 does not answer"));
    }
}
