//! The pages: `/livez`, `/readyz`, `/status`, `/metrics`.

use super::http::{HttpStatus, Response};
use crate::api::status::{InstallProgress, PeerStatus, Role};
use crate::daemon::metrics::process::Sampler;
use crate::daemon::metrics::{Moment, role_name};
use crate::daemon::node::context::{NodeContext, VERSION};
use crate::daemon::watch::status_board::ShardNumbers;
use crate::daemon::watch::unformed;
use crate::types::{Ballot, ShardId, Tick};
use serde_json::{Value, json};

/// What the pages are made from.
#[derive(Debug, Default)]
pub struct AdminPages {
    sampler: Sampler,
}

impl AdminPages {
    /// The answer to a request for a path.
    pub fn answer(
        &mut self,
        path: &str,
        context: &NodeContext,
        admin: usize,
        now: Tick,
    ) -> Response {
        match path {
            "/livez" => health("live", context.board.loops_turn(now).err().into_iter().collect()),
            "/readyz" => health("ready", unready(context, now)),
            "/status" => {
                let moment = self.moment(context, admin, now);
                let body = format!("{:#}\n", status(&moment));
                Response { status: HttpStatus::Ok, content_type: "application/json", body }
            }
            "/metrics" => {
                let body = self.moment(context, admin, now).metrics();
                let content_type = "text/plain; version=0.0.4; charset=utf-8";
                Response { status: HttpStatus::Ok, content_type, body }
            }
            _ => {
                let text = "there is no such page; there are /livez, /readyz, /status and /metrics";
                Response::text(HttpStatus::NotFound, text)
            }
        }
    }

    fn moment<'a>(
        &mut self,
        context: &'a NodeContext,
        admin_connections: usize,
        now: Tick,
    ) -> Moment<'a> {
        let process = self.sampler.numbers(now, &context.config.data_dir);
        let live = context.board.loops_turn(now).is_ok();
        let ready = unready(context, now).is_empty();
        Moment { context, process, admin_connections, live, ready, now }
    }
}

fn health(word: &str, reasons: Vec<String>) -> Response {
    if reasons.is_empty() {
        return Response::text(HttpStatus::Ok, word);
    }
    Response::text(HttpStatus::Unavailable, &format!("not {word}\n{}", reasons.join("\n")))
}

/// Why a write that comes now might not be chosen; nothing where it would be.
fn unready(context: &NodeContext, now: Tick) -> Vec<String> {
    let mut reasons = Vec::new();
    if context.board.is_stopping() {
        reasons.push("the node is stopping".to_string());
    }
    reasons.extend(context.board.loops_turn(now).err());
    for (shard, board) in context.board.shards() {
        let Some(numbers) = board.numbers() else {
            reasons.push(format!("shard {shard} has just been started"));
            continue;
        };
        if let Some(doubt) = numbers.doubt.as_ref().filter(|_| numbers.doubtful) {
            reasons.push(format!("shard {shard}: {doubt}"));
        }
        if board.assured_until() <= now {
            if numbers.status.formed {
                reasons.push(no_leader(shard, &numbers, context.config.timing.lease_ms));
            }
            reasons.extend(troubles(shard, &numbers));
        } else if let Some(reason) = &numbers.want_of_room {
            reasons.push(format!("shard {shard}: {reason}"));
        }
    }
    // Behind the links that are refused or broken, which may be why.
    reasons.extend(unformed::reasons(&context.board));
    reasons
}

/// What keeps a shard from its peers.
fn troubles(shard: ShardId, numbers: &ShardNumbers) -> impl Iterator<Item = String> {
    let troubled = numbers.status.peers.iter().filter(|peer| !peer.trouble.is_empty());
    troubled.map(move |peer| {
        format!("shard {shard}: no link with node {}: {}", peer.node, peer.trouble)
    })
}

fn no_leader(shard: ShardId, numbers: &ShardNumbers, lease_ms: u64) -> String {
    match (numbers.status.role, numbers.status.leader) {
        (Role::Leader, _) => {
            format!(
                "shard {shard}: this node leads, and no quorum confirmed it within {lease_ms} ms"
            )
        }
        (_, Some(leader)) => {
            format!(
                "shard {shard}: nothing was heard of its leader, node {leader}, for {lease_ms} ms"
            )
        }
        (_, None) => format!("shard {shard}: no leader is known"),
    }
}

/// The page of `/status`; docs/METRICS.md explains every field.
fn status(moment: &Moment<'_>) -> Value {
    let (context, now) = (moment.context, moment.now);
    let config = &context.config;
    let member = |member: &crate::config::MemberConfig| {
        json!({
            "node": member.id.0,
            "client": member.client.to_string(),
            "peer": member.peer.to_string(),
        })
    };
    let shards: Vec<Value> = context
        .board
        .shards()
        .filter_map(|(_, board)| {
            let heard = board.assured_until() > now;
            board.numbers().map(|numbers| shard_status(&numbers, heard))
        })
        .collect();
    json!({
        "node": config.node.0,
        "cluster": config.cluster.to_string(),
        "incarnation": format!("{:016x}", context.identity.incarnation.0),
        "version": VERSION,
        "uptime_ms": now.since(context.board.started) / 1000,
        "live": moment.live,
        "ready": moment.ready,
        "stopping": context.board.is_stopping(),
        "reasons": unready(context, now),
        "members": config.members.values().map(member).collect::<Vec<_>>(),
        "quorum_prepare": config.quorums.prepare,
        "quorum_accept": config.quorums.accept,
        "client_connections": context.admission.in_all(),
        "memory_bytes": moment.process.resident_bytes,
        "threads": moment.process.threads,
        "disk_free_bytes": moment.process.disk_free_bytes,
        "disk_total_bytes": moment.process.disk_total_bytes,
        "shards": shards,
    })
}

fn install_progress(installing: Option<InstallProgress>) -> Value {
    json!({
        "source": installing.map(|installing| installing.source.0),
        "slot": installing.map(|installing| installing.slot.0),
        "phase": installing.map(|installing| installing.phase.name()),
        "bytes": installing.map(|installing| installing.bytes),
        "part_bytes": installing.map(|installing| installing.part_bytes),
    })
}

fn shard_status(numbers: &ShardNumbers, leader_heard: bool) -> Value {
    let ballot = |ballot: Ballot| json!({ "round": ballot.round, "node": ballot.node.0 });
    let peer = |peer: &PeerStatus| {
        json!({
            "node": peer.node.0,
            "connected": peer.connected,
            "chosen_upto": peer.progress.map(|progress| progress.chosen_upto.0),
            "lag": peer.progress.map(|progress| progress.lag),
            "trouble": peer.trouble,
        })
    };
    let status = &numbers.status;
    json!({
        "shard": status.shard.0,
        "role": role_name(status.role),
        "leader": status.leader.map(|node| node.0),
        "leader_heard": leader_heard,
        "epoch": ballot(status.epoch),
        "promised": ballot(status.promised),
        "durable_upto": status.durable_upto,
        "chosen_upto": status.chosen_upto.0,
        "applied_upto": status.applied_upto.0,
        "trimmed_upto": status.trimmed_upto.0,
        "catch_up_slots": numbers.backlog.catch_up_slots,
        "digest": format!("{:016x}", status.digest),
        "format_level": status.level.0,
        "known_format_level": status.known_level.0,
        "logs": status.logs,
        "damaged_slots": status.damaged_slots,
        "segments": status.segments,
        "journal_bytes": status.disk_bytes,
        "dead_bytes": status.dead_bytes,
        "reserve_bytes": status.reserve_bytes,
        "kept_for": status.kept_for,
        "installing": install_progress(status.installing),
        "absent_slots": status.absent_slots,
        "fetched_values": status.fetched_values,
        "has_room": status.has_room,
        "caught_up": status.caught_up && leader_heard,
        "syncs": status.syncs,
        "sync_us": status.sync_us,
        "slots_in_flight": numbers.backlog.slots_in_flight,
        "queue_bytes": numbers.backlog.queue_bytes,
        "connections": numbers.connections,
        "formed": status.formed,
        "unmet": status.unmet.iter().map(|node| node.0).collect::<Vec<_>>(),
        "peers": status.peers.iter().map(peer).collect::<Vec<_>>(),
    })
}
