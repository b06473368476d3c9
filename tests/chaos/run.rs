//! One run: a cluster, its clients, a killer, and the verdict.

use crate::clients::{self, CLIENTS, Mode};
use crate::killer::Killer;
use crate::rig::history::{History, Stopwatch};
use crate::rig::random::Random;
use crate::rig::verdict::judge;
use crate::rig::writer::RunLog;
use crate::rig::{Cluster, Plan};
use crate::watchers::Watcher;
use paxosd::types::ShardId;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SHARDS: u16 = 2;
/// Logs that several clients share.
const SHARED_LOGS: usize = 8;
/// Faults shown of a run that has more.
const FAULTS_SHOWN: usize = 20;

/// What the environment asks for.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long the clients append.
    pub seconds: u64,
    /// Nodes of the cluster.
    pub nodes: u16,
    /// Decides what the killer does, and when.
    pub seed: u64,
    /// Runs, one after the other.
    pub runs: u64,
}

impl Settings {
    /// `PAXOS_CHAOS_SECONDS`, `_NODES`, `_SEED` and `_RUNS`, or short and random where not given.
    pub fn from_environment() -> Settings {
        let number = |name: &str| {
            let text = std::env::var(format!("PAXOS_CHAOS_{name}")).ok()?;
            Some(text.parse::<u64>().unwrap_or_else(|_| panic!("PAXOS_CHAOS_{name}={text}")))
        };
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Settings {
            seconds: number("SECONDS").unwrap_or(10),
            nodes: u16::try_from(number("NODES").unwrap_or(3)).unwrap(),
            seed: number("SEED").unwrap_or(clock.as_micros() as u64 % 1_000_000_000),
            runs: number("RUNS").unwrap_or(1),
        }
    }
}

/// Runs once, and panics unless all is as it was promised.
pub fn once(settings: &Settings, run: u64) {
    let seed = settings.seed + run;
    println!("chaos: {} nodes, {} s, seed {seed}", settings.nodes, settings.seconds);
    let plan = Plan::small(settings.nodes).shards(SHARDS).key("segment_bytes", 4 << 20);
    let mut cluster = Cluster::up(plan);
    let logs = make_logs(&cluster);
    let random = Random::new(seed);
    let stop = Arc::new(AtomicBool::new(false));
    let threads = start(&cluster, &logs, &random, &stop);
    let mut killer = Killer::new(random.part(1 << 32));
    killer.rage(&mut cluster, Duration::from_secs(settings.seconds));
    stop.store(true, Ordering::Relaxed);
    let mut history = History::default();
    for thread in threads {
        history.add(thread.join().expect("a client's thread does not panic"));
    }
    cluster.wait_ready();
    let names: Vec<&str> = logs.iter().map(|log| log.name.as_str()).collect();
    let outcomes = cluster.outcomes(&names);
    let (acknowledged, unknown, refused) = history.outcomes();
    let entries: usize = outcomes.iter().map(|outcome| outcome.linearizable.len()).sum();
    println!(
        "chaos: {killer}; appends: {acknowledged} acknowledged, {unknown} unknown, {refused} not \
         executed; {} reads; {entries} entries in {} logs",
        history.glimpses.len(),
        logs.len()
    );
    assert!(acknowledged > 100, "too little was acknowledged for this run to show anything");
    let faults = judge(&history, &outcomes);
    assert!(
        faults.is_empty(),
        "seed {seed}, {} nodes: {} faults, the first:\n{}",
        settings.nodes,
        faults.len(),
        faults[..faults.len().min(FAULTS_SHOWN)].join("\n")
    );
    (0..SHARDS).for_each(|shard| cluster.wait_same_digest(shard));
}

/// Starts the clients, and for each node and shard a watcher.
fn start(
    cluster: &Cluster,
    logs: &[RunLog],
    random: &Random,
    stop: &Arc<AtomicBool>,
) -> Vec<JoinHandle<History>> {
    let watch = Stopwatch::start();
    let mut threads = Vec::new();
    for id in 0..CLIENTS {
        let own = SHARED_LOGS + usize::from(id);
        let logs = match Mode::of(id) {
            Mode::Private => logs[own..=own].to_vec(),
            Mode::Single | Mode::Pipelined | Mode::Conditional => logs[..SHARED_LOGS].to_vec(),
        };
        let client = clients::Start { id, watch, random: random.part(u64::from(id)), logs };
        let (options, stop) = (clients::options(cluster), Arc::clone(stop));
        threads.push(thread::spawn(move || client.run(options, &stop)));
    }
    for node in cluster.ids() {
        for shard in 0..SHARDS {
            // The first logs are on the shards in turn.
            let log = &logs[usize::from(shard)];
            let (watcher, stop) =
                (Watcher::new(cluster, node, shard, log, watch), Arc::clone(stop));
            threads.push(thread::spawn(move || watcher.run(&stop)));
        }
    }
    threads
}

/// Creates the logs: shared ones and one for each client, about as many on each shard.
fn make_logs(cluster: &Cluster) -> Vec<RunLog> {
    let mut client = cluster.client();
    let count = SHARED_LOGS + usize::from(CLIENTS);
    let mut names = (0..).map(|n| format!("log-{n}"));
    let mut logs = Vec::new();
    for number in 0..count {
        let wanted = ShardId(u16::try_from(number).unwrap() % SHARDS);
        let name = names.find(|name| ShardId::of_name(name, SHARDS) == wanted).unwrap();
        client.create(&name).unwrap_or_else(|error| panic!("{error}"));
        logs.push(RunLog { number, name });
    }
    logs
}
