//! The node in numbers, as `/metrics` serves them. docs/METRICS.md lists every name; a test compares
//! it with what a node serves.

pub mod page;
pub mod process;
mod table;

use crate::api::status::Role;
use crate::daemon::node::context::{NodeContext, VERSION};
use crate::daemon::watch::histogram::{BOUNDS_US, Counts};
use crate::daemon::watch::loops::Loop;
use crate::daemon::watch::status_board::{PortCounters, ShardBoard, ShardNumbers};
use crate::types::{ShardId, Tick};
use page::{Label, Metric, MetricsPage};
use process::ProcessNumbers;
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The whole node at one moment.
#[derive(Debug)]
pub struct Moment<'a> {
    /// What every thread knows.
    pub context: &'a NodeContext,
    /// What the system says.
    pub process: ProcessNumbers,
    /// Connections to the admin port.
    pub admin_connections: usize,
    /// Every event loop turns.
    pub live: bool,
    /// Every shard has a leader, and a write would be chosen.
    pub ready: bool,
    /// The moment.
    pub now: Tick,
}

/// A shard and what it published; nothing right after the start.
type Shard<'a> = (ShardId, &'a ShardBoard, Option<Arc<ShardNumbers>>);

impl Moment<'_> {
    /// The page of `/metrics`.
    #[must_use]
    pub fn metrics(&self) -> String {
        let mut page = MetricsPage::default();
        self.node(&mut page);
        self.ports(&mut page);
        let board = &self.context.board;
        let shards: Vec<Shard<'_>> =
            board.shards().map(|(id, board)| (id, board, board.numbers())).collect();
        for (metric, value) in table::SHARD {
            page.family(metric);
            for (id, _, numbers) in &shards {
                if let Some(numbers) = numbers {
                    page.sample(metric, "", &[("shard", id)], value(numbers));
                }
            }
        }
        self.leaderships(&mut page, &shards);
        errors(&mut page, &shards);
        memory(&mut page, &shards);
        peers(&mut page, &shards);
        syncs(&mut page, &shards);
        turns(&mut page, &shards);
        requests(&mut page, &shards);
        page.into_text()
    }

    fn node(&self, page: &mut MetricsPage) {
        let config = &self.context.config;
        page.family(&table::INFO);
        let labels = [("version", &VERSION as _), ("cluster", &config.cluster as _)];
        page.sample(&table::INFO, "", &[labels[0], labels[1], ("node", &config.node)], 1);
        for (metric, value) in table::NODE {
            page.family(metric);
            page.sample(metric, "", &[], value(self));
        }
        page.family(&table::LOOP_SILENCE);
        for (of, silence_us) in self.context.board.loops.silences(self.now) {
            let name = match of {
                Loop::Main => "main".to_string(),
                Loop::Shard(shard) => format!("shard-{shard}"),
            };
            let seconds = silence_us as f64 / 1e6;
            page.sample(&table::LOOP_SILENCE, "", &[("loop", &name)], seconds);
        }
    }

    fn ports(&self, page: &mut MetricsPage) {
        page.family(&table::CONNECTIONS);
        let clients = self.context.admission.in_all();
        for (port, connections) in [("client", clients), ("admin", self.admin_connections)] {
            page.sample(&table::CONNECTIONS, "", &[("port", &port)], connections);
        }
        let counters = &self.context.board.counters;
        page.family(&table::REFUSED);
        let ports =
            [("client", &counters.client), ("peer", &counters.peer), ("admin", &counters.admin)];
        for (port, counters) in ports {
            for (reason, counter) in reasons(counters) {
                let value = counter.load(Ordering::Relaxed);
                page.sample(&table::REFUSED, "", &[("port", &port), ("reason", &reason)], value);
            }
        }
    }

    fn leaderships(&self, page: &mut MetricsPage, shards: &[Shard<'_>]) {
        page.family(&table::LEADER_HEARD);
        for (id, board, _) in shards {
            let heard = u8::from(board.assured_until() > self.now);
            page.sample(&table::LEADER_HEARD, "", &[("shard", id)], heard);
        }
        page.family(&table::ROLE);
        for (id, _, numbers) in shards {
            let Some(numbers) = numbers else { continue };
            for role in [Role::Follower, Role::Candidate, Role::Leader] {
                let is = u8::from(numbers.status.role == role);
                let labels = [("shard", id as _), ("role", &role_name(role) as _)];
                page.sample(&table::ROLE, "", &labels, is);
            }
        }
    }
}

/// The name of a role, as metrics and `/status` say it.
#[must_use]
pub fn role_name(role: Role) -> &'static str {
    match role {
        Role::Follower => "follower",
        Role::Candidate => "candidate",
        Role::Leader => "leader",
    }
}

/// What each shard keeps in memory, by account.
fn memory(page: &mut MetricsPage, shards: &[Shard<'_>]) {
    page.family(&table::MEMORY);
    for (id, _, numbers) in shards {
        let Some(numbers) = numbers else { continue };
        let connections = ("connections", numbers.connection_bytes);
        for (account, bytes) in numbers.backlog.memory.named().into_iter().chain([connections]) {
            let labels = [("shard", id as _), ("account", &account as _)];
            page.sample(&table::MEMORY, "", &labels, bytes);
        }
    }
}

fn reasons(counters: &PortCounters) -> [(&'static str, &AtomicU64); 6] {
    [
        ("refused", &counters.refused),
        ("garbage", &counters.garbage),
        ("slow", &counters.too_slow),
        ("turned_away", &counters.turned_away),
        ("overflowed", &counters.overflowed),
        ("cut_short", &counters.cut_short),
    ]
}

fn errors(page: &mut MetricsPage, shards: &[Shard<'_>]) {
    page.family(&table::ERRORS);
    for (id, _, numbers) in shards {
        for (code, count) in numbers.iter().flat_map(|numbers| &numbers.served.errors) {
            let code = code.name();
            page.sample(&table::ERRORS, "", &[("shard", id), ("code", &code)], count);
        }
    }
}

fn peers(page: &mut MetricsPage, shards: &[Shard<'_>]) {
    for (metric, value) in table::PEER {
        page.family(metric);
        for (id, _, numbers) in shards {
            for peer in numbers.iter().flat_map(|numbers| &numbers.status.peers) {
                page.sample(metric, "", &[("shard", id), ("peer", &peer.node)], value(peer));
            }
        }
    }
    page.family(&table::PEER_LAG);
    for (id, _, numbers) in shards {
        for peer in numbers.iter().flat_map(|numbers| &numbers.status.peers) {
            let Some(progress) = peer.progress else { continue };
            let labels = [("shard", id as _), ("peer", &peer.node as _)];
            page.sample(&table::PEER_LAG, "", &labels, progress.lag);
        }
    }
}

fn syncs(page: &mut MetricsPage, shards: &[Shard<'_>]) {
    page.family(&table::SYNCED_BYTES);
    for (id, board, _) in shards {
        let bytes = board.syncs.bytes.load(Ordering::Relaxed);
        page.sample(&table::SYNCED_BYTES, "", &[("shard", id)], bytes);
    }
    page.family(&table::SYNC_SECONDS);
    for (id, board, _) in shards {
        histogram(page, &table::SYNC_SECONDS, &[("shard", id)], &board.syncs.took.counts());
    }
}

fn turns(page: &mut MetricsPage, shards: &[Shard<'_>]) {
    page.family(&table::TURN_SECONDS);
    for (id, board, _) in shards {
        histogram(page, &table::TURN_SECONDS, &[("shard", id)], &board.turns.counts());
    }
}

fn requests(page: &mut MetricsPage, shards: &[Shard<'_>]) {
    page.family(&table::REQUEST_SECONDS);
    for (id, board, _) in shards {
        for (operation, outcome, took) in board.requests.shown() {
            let labels =
                [("shard", id as _), ("operation", &operation as _), ("outcome", &outcome as _)];
            histogram(page, &table::REQUEST_SECONDS, &labels, &took.counts());
        }
    }
}

/// The samples of one histogram of microseconds, in seconds.
fn histogram(page: &mut MetricsPage, metric: &Metric, labels: &[Label<'_>], counts: &Counts) {
    let mut bucket = |bound: &dyn Display, count: u64| {
        page.sample(metric, "_bucket", &[labels, &[("le", bound)]].concat(), count);
    };
    for (bound_us, count) in BOUNDS_US.iter().zip(&counts.upto) {
        bucket(&(*bound_us as f64 / 1e6), *count);
    }
    bucket(&"+Inf", counts.count);
    page.sample(metric, "_sum", labels, counts.sum_us as f64 / 1e6);
    page.sample(metric, "_count", labels, counts.count);
}
