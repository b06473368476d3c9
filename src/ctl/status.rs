//! `status`: nodes, shards, leaders, watermarks, lag.

use super::args::Format;
use super::calendar::duration;
use super::endpoints::{self, standing, why};
use super::exit::CommandFailure;
use super::health::{NodeStanding, Problem, lag, leader, leads_text, lines, problems};
use super::table::{Align, TextTable};
use super::units::bytes;
use super::write_json;
use crate::client::{
    Client, ClientError, ClusterStatus, DiskSpace, InstallPhase, InstallProgress, NodeReport, Role,
    ShardStatus,
};
use crate::types::{NodeId, ShardId};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::time::Duration;

/// How often a cluster is looked at again that may be electing.
const LOOKS: usize = 4;
/// The pause before each of these looks.
const PAUSE: Duration = Duration::from_millis(500);
/// No look begins with less time than this: it would take living nodes for dead ones.
const LOOK_MIN: Duration = Duration::from_millis(250);

/// Shows the cluster; fails as unhealthy when something is missing, as damaged when something is.
pub fn status(
    client: &mut Client,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), CommandFailure> {
    let cluster = client.cluster().to_string();
    let status = settled(client)?;
    match format {
        Format::Table => table(&status, out).map_err(CommandFailure::Output)?,
        Format::Json => write_json(out, &document(&cluster, &status))?,
        Format::Jsonl => {
            for (report, state) in rows(&status) {
                write_json(out, &row_value(&status, report, state))?;
            }
        }
        Format::Raw => raw(&status, out).map_err(CommandFailure::Output)?,
    }
    verdict(&problems(&status))
}

/// The state of the cluster; looked at again while all that is wrong may be an election under way,
/// so that a short one is no alarm and a node that nobody lets in is one.
fn settled(client: &mut Client) -> Result<ClusterStatus, CommandFailure> {
    let mut status = client.status()?;
    for _ in 0..LOOKS {
        let problems = problems(&status);
        let mut lasting = problems.iter().filter(|problem| !problem.is_passing()).peekable();
        if lasting.peek().is_none() || !lasting.all(Problem::may_be_an_election) {
            break;
        }
        if client.time_left() < PAUSE + LOOK_MIN {
            break;
        }
        std::thread::sleep(PAUSE);
        match client.status() {
            Ok(looked) => status = looked,
            // What was seen before says more than that there was no time to see more.
            Err(_) => break,
        }
    }
    Ok(status)
}

/// `status` where no endpoint answers as a node of the cluster: each is shown as dead, or as what it is
/// instead, with the reason.
pub fn nobody(
    failed: &[(String, ClientError)],
    format: Format,
    out: &mut dyn Write,
) -> Result<(), CommandFailure> {
    match format {
        Format::Table => {
            let mut table = TextTable::new(&[
                ("ENDPOINT", Align::Left),
                ("STATE", Align::Left),
                ("", Align::Left),
            ]);
            for (endpoint, error) in failed {
                table.row(vec![endpoint.clone(), standing(error).0.to_string(), why(error)]);
            }
            table.write(out).map_err(CommandFailure::Output)?;
        }
        Format::Json | Format::Jsonl => {
            let node = |(endpoint, error): &(String, ClientError)| json!({ "address": endpoint, "state": standing(error).1, "up": false, "error": why(error) });
            let nodes: Vec<Value> = failed.iter().map(node).collect();
            if format == Format::Json {
                let problem = "no endpoint answers";
                write_json(out, &json!({ "nodes": nodes, "problems": [problem] }))?;
            } else {
                nodes.iter().try_for_each(|node| write_json(out, node))?;
            }
        }
        Format::Raw => {
            for (endpoint, error) in failed {
                let (state, dashes) = (standing(error).1, ["-"; 6].join("\t"));
                writeln!(out, "-\t{endpoint}\t{state}\t{dashes}")
                    .map_err(CommandFailure::Output)?;
            }
        }
    }
    let count = failed.len();
    let advice = endpoints::advice(failed);
    let text = format!("none of {count} endpoints is a node that answers; next: {advice}");
    Err(CommandFailure::Unhealthy(text))
}

/// What the exit code says of the problems.
fn verdict(problems: &[Problem]) -> Result<(), CommandFailure> {
    let lasting: Vec<&Problem> = problems.iter().filter(|problem| !problem.is_passing()).collect();
    if lasting.iter().any(|problem| matches!(problem, Problem::Damaged { .. })) {
        return Err(CommandFailure::Damage(lines(&lasting)));
    }
    if lasting.is_empty() {
        return Ok(());
    }
    Err(CommandFailure::Unhealthy(lines(&lasting)))
}

fn table(status: &ClusterStatus, out: &mut dyn Write) -> io::Result<()> {
    nodes(status).write(out)?;
    writeln!(out)?;
    shards(status).write(out)
}

fn nodes(status: &ClusterStatus) -> TextTable {
    let mut nodes = TextTable::new(&[
        ("NODE", Align::Right),
        ("ADDRESS", Align::Left),
        ("STATE", Align::Left),
        ("VERSION", Align::Left),
        ("UPTIME", Align::Right),
        ("FREE", Align::Right),
        ("LEADS", Align::Left),
        ("", Align::Left),
    ]);
    let unknown = || "-".to_string();
    for NodeReport { member, state } in &status.nodes {
        let (version, uptime, free, leads, why) = match state {
            Ok(state) => (
                state.version.clone(),
                duration(state.uptime_ms),
                free(&state.disk),
                leads(status, member.node),
                String::new(),
            ),
            Err(error) => (unknown(), unknown(), unknown(), unknown(), why(error)),
        };
        nodes.row(vec![
            member.node.to_string(),
            member.address.clone(),
            NodeStanding::of(status, member.node).text().to_string(),
            version,
            uptime,
            free,
            leads,
            why,
        ]);
    }
    nodes
}

/// Free space of a node's disk.
pub(super) fn free(disk: &DiskSpace) -> String {
    if disk.total_bytes == 0 { "-".to_string() } else { bytes(disk.free_bytes) }
}

/// The shards that a node leads.
fn leads(status: &ClusterStatus, node: NodeId) -> String {
    let mine =
        |shard: &u16| leader(status, ShardId(*shard)).is_some_and(|(leads, _)| leads == node);
    leads_text((0..status.shards).filter(mine))
}

fn shards(status: &ClusterStatus) -> TextTable {
    let mut shards = TextTable::new(&[
        ("SHARD", Align::Right),
        ("NODE", Align::Right),
        ("ROLE", Align::Left),
        ("LEADER", Align::Right),
        ("EPOCH", Align::Right),
        ("DURABLE LSN", Align::Right),
        ("CHOSEN SLOT", Align::Right),
        ("APPLIED SLOT", Align::Right),
        ("LAG SLOTS", Align::Right),
        ("LOGS", Align::Right),
        ("DISK", Align::Right),
        ("GARBAGE", Align::Right),
        ("", Align::Left),
    ]);
    for (report, state) in rows(status) {
        let node = report.member.node.to_string();
        let Some(state) = state else { continue };
        shards.row(vec![
            state.shard.to_string(),
            node,
            role(state.role).to_string(),
            state.leader.map_or_else(|| "-".to_string(), |leader| leader.to_string()),
            state.epoch.to_string(),
            state.durable_upto.to_string(),
            state.chosen_upto.to_string(),
            state.applied_upto.to_string(),
            lag(status, state).to_string(),
            state.logs.to_string(),
            bytes(state.disk_bytes),
            bytes(state.dead_bytes),
            notes(state),
        ]);
    }
    shards
}

/// Every shard on every node, shard by shard; a dead node's without a state.
fn rows(status: &ClusterStatus) -> impl Iterator<Item = (&NodeReport, Option<&ShardStatus>)> {
    (0..status.shards).flat_map(move |shard| {
        status.nodes.iter().map(move |report| {
            let shards = report.state.as_ref().map_or(&[][..], |state| &state.shards);
            (report, shards.iter().find(|state| state.shard == ShardId(shard)))
        })
    })
}

fn notes(state: &ShardStatus) -> String {
    let mut notes = Vec::new();
    if !state.formed {
        notes.push("not formed".to_string());
    }
    if state.damaged_slots > 0 {
        notes.push(format!("{} DAMAGED slots", state.damaged_slots));
    }
    if !state.has_room {
        notes.push(format!("disk full, the oldest segment stays: {}", state.kept_for));
    }
    if state.level != state.known_level {
        notes.push(format!("format level {}, knows {}", state.level, state.known_level));
    }
    notes.extend(catching_up(state));
    notes.join(", ")
}

/// How far a shard of a node is with what it takes over from others.
pub(super) fn catching_up(state: &ShardStatus) -> Option<String> {
    if let Some(InstallProgress { source, slot, phase, bytes: here, part_bytes }) = state.installing
    {
        let what = format!("installs the checkpoint at slot {slot} of node {source}");
        return Some(match (phase, part_bytes) {
            (InstallPhase::Making, _) => format!("{what}: makes its own of it"),
            (InstallPhase::State | InstallPhase::Extents, 0) => what,
            (InstallPhase::State | InstallPhase::Extents, all) => {
                let (here, all) = (bytes(here), bytes(all.max(here)));
                format!("{what}: {}, {here} of about {all}", phase.name())
            }
        });
    }
    let (absent, fetched) = (state.absent_slots, state.fetched_values);
    (absent > 0).then(|| format!("fetches values of {absent} absent slots, has fetched {fetched}"))
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Follower => "follower",
        Role::Candidate => "candidate",
        Role::Leader => "leader",
    }
}

/// Tab-separated, without a head: node, address, `up`, `cut_off` or `dead`, shard, role, leader, chosen,
/// applied, lag; `-` for what is not known.
fn raw(status: &ClusterStatus, out: &mut dyn Write) -> io::Result<()> {
    for (at, (report, state)) in rows(status).enumerate() {
        let shard = at / status.nodes.len().max(1);
        let alive = NodeStanding::of(status, report.member.node).name();
        let fields = match state {
            Some(state) => [
                role(state.role).to_string(),
                state.leader.map_or_else(|| "-".to_string(), |leader| leader.to_string()),
                state.chosen_upto.to_string(),
                state.applied_upto.to_string(),
                lag(status, state).to_string(),
            ],
            None => [(); 5].map(|()| "-".to_string()),
        };
        let member = &report.member;
        let fields = fields.join("\t");
        writeln!(out, "{}\t{}\t{alive}\t{shard}\t{fields}", member.node, member.address)?;
    }
    Ok(())
}

fn document(cluster: &str, status: &ClusterStatus) -> Value {
    let nodes = status.nodes.iter().map(|report| {
        let shards: Vec<Value> = rows(status)
            .filter(|(of, _)| of.member == report.member)
            .filter_map(|(_, state)| state.map(|state| shard_value(status, state)))
            .collect();
        let mut node = node_value(status, report);
        node["shards"] = Value::from(shards);
        node
    });
    let leaders = (0..status.shards).map(|shard| {
        let leader = leader(status, ShardId(shard)).map(|(node, _)| node.0);
        json!({ "shard": shard, "leader": leader })
    });
    let problems: Vec<String> = problems(status).iter().map(ToString::to_string).collect();
    json!({
        "cluster": cluster,
        "shards": leaders.collect::<Vec<Value>>(),
        "nodes": nodes.collect::<Vec<Value>>(),
        "problems": problems,
    })
}

fn node_value(status: &ClusterStatus, report: &NodeReport) -> Value {
    let NodeReport { member, state } = report;
    let standing = NodeStanding::of(status, member.node);
    let mut value = match state {
        Ok(state) => json!({
            "version": state.version,
            "uptime_ms": state.uptime_ms,
            "disk_free_bytes": state.disk.free_bytes,
            "disk_total_bytes": state.disk.total_bytes,
            "disk_min_free_bytes": state.disk.min_free_bytes,
        }),
        Err(error) => json!({ "error": error.to_string() }),
    };
    value["node"] = json!(member.node.0);
    value["address"] = json!(member.address);
    value["state"] = json!(standing.name());
    value["up"] = json!(standing == NodeStanding::Up);
    value
}

fn row_value(status: &ClusterStatus, report: &NodeReport, state: Option<&ShardStatus>) -> Value {
    let mut value = state.map_or_else(|| json!({}), |state| shard_value(status, state));
    value["node"] = json!(report.member.node.0);
    value["address"] = json!(report.member.address);
    let standing = NodeStanding::of(status, report.member.node);
    value["state"] = json!(standing.name());
    value["up"] = json!(standing == NodeStanding::Up);
    value
}

/// Digests are texts: many readers of JSON cannot hold 64-bit numbers.
fn shard_value(status: &ClusterStatus, state: &ShardStatus) -> Value {
    json!({
        "shard": state.shard.0,
        "role": role(state.role),
        "leader": state.leader.map(|leader| leader.0),
        "epoch": state.epoch.to_string(),
        "promised": state.promised.to_string(),
        "durable_upto": state.durable_upto,
        "chosen_upto": state.chosen_upto.0,
        "applied_upto": state.applied_upto.0,
        "trimmed_upto": state.trimmed_upto.0,
        "lag": lag(status, state),
        "digest": format!("{:016x}", state.digest),
        "format_level": state.level.0,
        "known_format_level": state.known_level.0,
        "logs": state.logs,
        "damaged_slots": state.damaged_slots,
        "segments": state.segments,
        "disk_bytes": state.disk_bytes,
        "dead_bytes": state.dead_bytes,
        "reserve_bytes": state.reserve_bytes,
        "kept_for": state.kept_for,
        "has_room": state.has_room,
        "caught_up": state.caught_up,
        "syncs": state.syncs,
        "sync_us": state.sync_us,
        "formed": state.formed,
        "unmet": state.unmet.iter().map(|node| node.0).collect::<Vec<_>>(),
        "installing": state.installing.map(|installing| json!({
            "source": installing.source.0,
            "slot": installing.slot.0,
            "phase": installing.phase.name(),
            "bytes": installing.bytes,
            "part_bytes": installing.part_bytes,
        })),
        "absent_slots": state.absent_slots,
        "fetched_values": state.fetched_values,
    })
}

#[cfg(test)]
mod tests {
    use super::super::health::tests::{healthy, kill, shard};
    use super::*;

    /// A dead node is shown as such, with the reason, beside the others.
    #[test]
    fn a_dead_node_is_shown_as_dead() {
        let mut status = healthy();
        kill(&mut status, 1);
        let mut out = Vec::new();
        table(&status, &mut out).expect("a vector takes everything");
        let text = String::from_utf8(out).expect("text");
        let dead: Vec<&str> = text.lines().filter(|line| line.contains("  DEAD  ")).collect();
        assert!(dead.len() == 1 && dead[0].contains("n2:7420  DEAD"), "{text}");
        let cells: Vec<&str> = dead[0].split_whitespace().collect();
        assert_eq!(cells[3..7], ["-"; 4], "nothing of before is shown of it: {text}");
        for (node, wanted) in [(1, "40.0 GiB  shard 0"), (3, "40.0 GiB  none")] {
            let row = text.lines().find(|line| line.contains(&format!("n{node}:7420")));
            assert!(row.is_some_and(|row| row.ends_with(wanted)), "{wanted}:\n{text}");
        }
        assert!(dead[0].contains("it closed the connection"), "{text}");
        assert_eq!(text.lines().filter(|line| line.contains("follower")).count(), 1, "{text}");

        let mut out = Vec::new();
        raw(&status, &mut out).expect("a vector takes everything");
        let text = String::from_utf8(out).expect("text");
        assert!(text.contains("2\tn2:7420\tdead\t0\t-\t-\t-\t-\t-\n"), "{text}");
        let value = document("c", &status);
        assert_eq!(
            (&value["nodes"][1]["up"], &value["nodes"][0]["up"]),
            (&json!(false), &json!(true))
        );
    }

    /// What a node takes over is shown: of which node, which part, and how much of it is here; then what it
    /// still fetches. It is no problem.
    #[test]
    fn c29_progress_is_shown() {
        let mut status = healthy();
        let progress = InstallProgress {
            source: NodeId(1),
            slot: crate::types::Slot(4711),
            phase: InstallPhase::Extents,
            bytes: 3 << 20,
            part_bytes: 12 << 20,
        };
        let text = |state: &ShardStatus| catching_up(state).unwrap_or_default();
        shard(&mut status, 2).installing = Some(progress);
        let said = text(shard(&mut status, 2));
        assert_eq!(
            said,
            "installs the checkpoint at slot 4711 of node 1: extents, 3.0 MiB of about 12.0 MiB"
        );
        let value = shard_value(&healthy(), shard(&mut status, 2));
        assert_eq!(value["installing"]["bytes"], json!(3 << 20));
        let mut out = Vec::new();
        table(&status, &mut out).expect("a vector takes everything");
        assert!(String::from_utf8(out).expect("text").contains(&said));
        assert_eq!(verdict(&problems(&status)).map_err(|failure| failure.exit()), Ok(()));
        shard(&mut status, 2).installing = Some(InstallProgress { part_bytes: 0, ..progress });
        let said = text(shard(&mut status, 2));
        assert_eq!(said, "installs the checkpoint at slot 4711 of node 1");
        let state = shard(&mut status, 2);
        (state.installing, state.absent_slots, state.fetched_values) = (None, 7, 2);
        assert_eq!(text(state), "fetches values of 7 absent slots, has fetched 2");
        assert_eq!(shard_value(&healthy(), state)["absent_slots"], json!(7));
    }

    /// Healthy is 0, something missing is 10, damage is 11 even beside it; lag alone is no alarm.
    #[test]
    fn the_verdict_follows_the_problems() {
        let exit = |status: &ClusterStatus| {
            verdict(&problems(status)).map_err(|failure| failure.exit().number())
        };
        let mut status = healthy();
        assert_eq!(exit(&status), Ok(()));
        shard(&mut status, 2).applied_upto = crate::types::Slot(3);
        assert_eq!(exit(&status), Ok(()));
        kill(&mut status, 1);
        assert_eq!(exit(&status), Err(10));
        shard(&mut status, 2).damaged_slots = 1;
        assert_eq!(exit(&status), Err(11));
    }
}
