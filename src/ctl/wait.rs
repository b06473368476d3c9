//! `wait`: until the cluster has a quorum, or until all of it is there.

use super::args::{self, Format, Global};
use super::connect::{one_cluster, options};
use super::exit::CommandFailure;
use super::health::{Problem, leader, problems, sentence};
use super::progress::Line;
use super::{WAIT_TIMEOUT, endpoints, write_json};
use crate::client::{Cause, Client, ClientError, ClientOptions, ClusterStatus, NodeReport};
use crate::types::{NodeId, Nodes, ShardId, Shards};
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
/// [`CommandFailure::Unhealthy`]; another one where waiting cannot help.
pub fn wait(
    global: &Global,
    wait: &args::Wait,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), CommandFailure> {
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
    Err(CommandFailure::Unhealthy(format!("not ready after {seconds:.1} s: {what}; next: {next}")))
}

fn allowed(global: &Global) -> Duration {
    global.timeout.unwrap_or(WAIT_TIMEOUT)
}

/// Looks again and again; none once nothing is wrong.
fn until_good(
    global: &Global,
    wait: &args::Wait,
    started: Instant,
) -> Result<Option<Wrong>, CommandFailure> {
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
) -> Result<Option<Wrong>, CommandFailure> {
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
    let wrong = judge(&mut found, ready, since, allowed)?;
    *client = Some(found);
    Ok(wrong)
}

fn judge(
    client: &mut Client,
    ready: bool,
    since: Instant,
    allowed: Duration,
) -> Result<Option<Wrong>, CommandFailure> {
    // A shard that nobody serves is asked for until the time is up: some of it is for the others.
    client.end_all_within(since, allowed - allowed / 4);
    for shard in (0..client.shards()).map(ShardId) {
        if let Err(error) = client.probe(shard) {
            if error.is_for_good() {
                return Err(error.into());
            }
            client.end_all_within(since, allowed);
            let status = client.status().ok();
            // All the same nobody leads where every node that answers says so, and the others refuse to.
            let is_seen = status.as_ref().is_some_and(|status| {
                leader(status, shard).is_none() && !status.nodes.iter().any(is_silent)
            });
            if allowed < LOOK_FAIR && is_late(&error.cause) && !is_seen {
                let had = allowed.as_secs_f64();
                let what = format!("shard {shard} had not answered after {had:.1} s");
                return Ok(Some(Wrong::new(what, MORE_TIME)));
            }
            return Ok(Some(unserved(shard, &error, status.as_ref())));
        }
    }
    client.end_all_within(since, allowed);
    if !ready {
        return Ok(None);
    }
    Ok(match client.status() {
        Ok(status) => missing(&status, allowed),
        Err(error) => Some(Wrong::new(endpoints::why(&error), error.next_step())),
    })
}

/// What is wrong with a cluster whose shards are all served. A look that was short takes a slow answer
/// for none: then no more is claimed than that it had not come.
fn missing(status: &ClusterStatus, had: Duration) -> Option<Wrong> {
    let problems = problems(status);
    let unheard: Vec<NodeId> = match had < LOOK_FAIR {
        true => status.nodes.iter().filter(|node| is_silent(node)).map(|n| n.member.node).collect(),
        false => Vec::new(),
    };
    if unheard.is_empty() {
        let all: Vec<&Problem> = problems.iter().collect();
        // Causes come first.
        return all.first().map(|first| Wrong::new(sentence(&all), first.step()));
    }
    // That nobody leads follows where the leader may be among them.
    let is_seen = |problem: &&Problem| match problem {
        Problem::Dead { node, .. } => !unheard.contains(node),
        Problem::NoLeader(_) => false,
        Problem::Diverged { .. }
        | Problem::Damaged { .. }
        | Problem::NoLink { .. }
        | Problem::NoRoom { .. }
        | Problem::Unformed { .. }
        | Problem::Outside(..)
        | Problem::Astray(..)
        | Problem::Behind { .. } => true,
    };
    let seen: Vec<&Problem> = problems.iter().filter(is_seen).collect();
    let had = had.as_secs_f64();
    let mut what = format!("{} had not answered after {had:.1} s", Nodes(&unheard));
    if !seen.is_empty() {
        what = format!("{}; {what}", sentence(&seen));
    }
    Some(Wrong::new(what, MORE_TIME))
}

/// True for a node of which no more is known than that it did not answer in time.
fn is_silent(report: &NodeReport) -> bool {
    match &report.state {
        Ok(_) => false,
        Err(error) => is_late(&error.cause),
    }
}

/// True where more time might have brought an answer.
fn is_late(cause: &Cause) -> bool {
    matches!(cause, Cause::Silent { .. } | Cause::NoTime)
}

/// What is wrong where this shard has no leader that serves: which other ones have none, who said why,
/// and who answers at all.
fn unserved(shard: ShardId, error: &ClientError, status: Option<&ClusterStatus>) -> Wrong {
    let mut shards = vec![shard];
    let mut answers = String::new();
    if let Some(status) = status {
        // Whoever is only slow may lead the others.
        if !status.nodes.iter().any(is_silent) {
            let is_headless = |shard: &ShardId| leader(status, *shard).is_none();
            shards.extend((0..status.shards).map(ShardId).filter(is_headless));
        }
        answers = who_answers(status);
    }
    let shards: Shards = shards.into_iter().collect();
    let by = error.endpoint.as_deref().map(|endpoint| format!("{endpoint}: ")).unwrap_or_default();
    let what = format!("no leader serves {shards} ({by}{}){answers}", endpoints::why(error));
    Wrong::new(what, error.next_step())
}

/// Which nodes answer, which do not, and which have not yet.
fn who_answers(status: &ClusterStatus) -> String {
    let ids = |wanted: &dyn Fn(&NodeReport) -> bool| -> Vec<NodeId> {
        let nodes = status.nodes.iter().filter(|report| wanted(report));
        nodes.map(|report| report.member.node).collect()
    };
    let up = ids(&|report| report.state.is_ok());
    let down = ids(&|report| report.state.is_err() && !is_silent(report));
    let mut text = String::new();
    for (nodes, one, many) in [
        (up, "answers", "answer"),
        (down, "does not", "do not"),
        (ids(&is_silent), "has not yet", "have not yet"),
    ] {
        if !nodes.is_empty() {
            let between = if text.is_empty() { ";" } else { "," };
            let verb = if nodes.len() > 1 { many } else { one };
            text.push_str(&format!("{between} {} {verb}", Nodes(&nodes)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::health::tests::{healthy, kill, shard};
    use super::*;
    use crate::api::error::Detail;
    use crate::client::{ErrorCode, Operation, Outcome, RequestError, Stage};

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

    /// In a hurry a slow node is no dead one, and no cluster is without leaders for it; with time enough
    /// it is.
    #[test]
    fn a_hurried_look_calls_no_node_dead() {
        let ms = Duration::from_millis;
        let mut status = healthy();
        for at in [0, 2] {
            let mut failure = failed(&mut status, at);
            failure.cause = Cause::Silent { waited: ms(100) };
            status.nodes[at].state = Err(ClientError::new(failure));
        }
        let Wrong { what, next } = missing(&status, ms(300)).expect("something is");
        assert_eq!(what, "nodes 1 and 3 had not answered after 0.3 s");
        assert_eq!(next, MORE_TIME);
        let Wrong { what, .. } = missing(&status, ms(2000)).expect("something is");
        assert!(what.contains("node 1 at n1:7420 does not answer") && what.contains("no leader"));
        // A node that refuses connections is not slow, however short the look.
        let mut status = healthy();
        kill(&mut status, 2);
        let Wrong { what, .. } = missing(&status, ms(100)).expect("node 3 is");
        assert_eq!(what, "node 3 at n3:7420 does not answer");
        assert_eq!(missing(&healthy(), ms(100)), None);
    }

    /// The step is about the first thing that is wrong.
    #[test]
    fn each_problem_has_its_step() {
        let mut status = healthy();
        kill(&mut status, 2);
        let step = |status: &ClusterStatus| missing(status, LOOK).expect("something is").next;
        assert!(step(&status).starts_with("start node 3;"), "{}", step(&status));
        let mut status = healthy();
        status.nodes[1].state.as_mut().expect("it answers").shards[0].has_room = false;
        assert!(step(&status).starts_with("make inodes or quota free on node 2;"));
        status.nodes[1].state.as_mut().expect("it answers").disk.free_bytes = 1 << 20;
        assert!(step(&status).starts_with("make space free on node 2;"), "{}", step(&status));
    }

    /// Makes a node dead, and returns how it failed.
    fn failed(status: &mut ClusterStatus, at: usize) -> crate::client::Failure {
        kill(status, at);
        let state = std::mem::replace(&mut status.nodes[at].state, Err(nobody()));
        state.expect_err("it is dead").into_failure()
    }

    fn nobody() -> ClientError {
        ClientError::invalid(Operation::plain("status"), crate::client::Invalid::NoEndpoint)
    }

    /// Where nobody serves, all shards concerned are named, who said so, who answers and who does
    /// not; and what to do follows from what was said.
    #[test]
    fn shards_without_a_leader_are_all_named_with_who_answers() {
        let mut status = healthy();
        status.shards = 2;
        kill(&mut status, 2);
        for at in [0, 1] {
            shard(&mut status, at).role = crate::client::Role::Follower;
        }
        let refusal = RequestError::new(ErrorCode::NoQuorum, "it waits")
            .with_detail(Detail::Unformed(vec![NodeId(3)]));
        let error = ClientError::new(crate::client::Failure {
            operation: Operation::plain("list"),
            outcome: Outcome::NotExecuted,
            stage: Stage::Quorum,
            endpoint: Some("n1:7420".to_string()),
            cause: Cause::Refused(refusal),
            attempts: 1,
            gave_up_after: None,
            elsewhere: Vec::new(),
        });
        let Wrong { what, next } = unserved(ShardId(0), &error, Some(&status));
        assert_eq!(
            what,
            "no leader serves shards 0 and 1 (n1:7420: quorum: it answered NoQuorum (it waits)); \
             nodes 1 and 2 answer, node 3 does not"
        );
        assert!(next.starts_with("start node 3;"), "{next}");
        let Wrong { what, .. } = unserved(ShardId(1), &error, None);
        assert!(what.starts_with("no leader serves shard 1 (n1:7420: "), "{what}");
    }
}
