//! How long a node takes from exec to ready, after it was killed, and what memory it holds then.

use crate::admin::{self, Metrics};
use crate::cost;
use crate::fill::Filling;
use crate::generator;
use crate::rig::node::files;
use crate::rig::{Cluster, Plan, poll};
use clap::Args;
use paxosd::types::ShardId;
use rustix::fs::Advice;
use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

/// The longest start that is waited for.
const START_MAX: Duration = Duration::from_secs(300);

/// How much is measured.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Entries in all
    #[arg(long, default_value_t = 1_000_000)]
    entries: u64,
    /// Logs that have them
    #[arg(long, default_value_t = 10_000)]
    logs: u64,
    /// Entries of each append that fills the logs; the index has a row for each append
    #[arg(long, default_value_t = 10)]
    batch: u64,
    /// Nodes of the cluster
    #[arg(long, default_value_t = 1)]
    nodes: u16,
    /// Starts with a warm page cache, and as many with a cold one
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Client connections that say nothing, for the memory of a node
    #[arg(long, default_value_t = 10_000)]
    idle: usize,
    /// Keys of paxosd.toml, such as sync_inline=true
    #[arg(long, value_name = "KEY=VALUE")]
    key: Vec<String>,
}

/// Measures and prints.
pub fn run(dir: &Path, size: usize, options: &Options) {
    let connections = options.idle + 1_000;
    let plan = Plan::of(options.nodes)
        .key("connections_max", connections)
        .key("connections_per_address_max", connections)
        .keys(&options.key);
    let mut cluster = Cluster::laid_out_in(dir, plan);
    cluster.start_all();
    let sizes = (options.logs, options.entries, options.batch);
    let rate = Filling::of("log-", sizes, size).append_to(&cluster);
    let bytes: u64 = files(&cluster.node(1).journal(0), "")
        .iter()
        .filter_map(|path| path.metadata().ok())
        .map(|file| file.len())
        .sum();
    println!(
        "{} entries of {size} B in {} logs, {} in each append: {rate:.0} entries/s, {} MiB on a node; {} nodes; machine load {}",
        options.entries,
        options.logs,
        options.batch,
        bytes >> 20,
        options.nodes,
        cost::machine_load()
    );
    memory(&cluster, 1, "after the appends");
    // The same node each time: a follower, where there is one.
    let node = if options.nodes == 1 { 1 } else { cluster.follower(0) };
    println!("ms from exec to ready / until all is applied, after kill -9");
    println!("{:>5}  {:>15}  {:>15}", "round", "warm", "cold");
    let (mut warm, mut cold) = (Vec::new(), Vec::new());
    for round in 1..=options.rounds {
        let (ready, applied) = once(&mut cluster, node, false);
        let (ready_cold, applied_cold) = once(&mut cluster, node, true);
        println!("{round:>5}  {ready:>7.0} {applied:>7.0}  {ready_cold:>7.0} {applied_cold:>7.0}");
        warm.push(ready);
        cold.push(ready_cold);
    }
    println!(
        "median warm {:.0} ms, cold {:.0} ms; machine load {}",
        cost::median(warm),
        cost::median(cold),
        cost::machine_load()
    );
    memory(&cluster, node, "after a start");
    let endpoint = cluster.endpoint(node);
    let idle = generator::idle(&endpoint, ShardId(0), options.idle).expect("it takes them");
    // Its numbers are on the page a second later at most.
    poll::pass(Duration::from_secs(2));
    memory(&cluster, node, &format!("with {} idle connections", idle.len()));
}

/// Kills a node and starts it; milliseconds until it is ready, and until it has applied all that is
/// chosen.
fn once(cluster: &mut Cluster, node: u16, is_cold: bool) -> (f64, f64) {
    cluster.node_mut(node).kill();
    if is_cold {
        forget(&cluster.node(node).journal(0));
    }
    let admin = cluster.admin(node);
    let begun = Instant::now();
    cluster.node_mut(node).start();
    let is_ready = poll::within(START_MAX, || admin::is_ready(&admin).then_some(()));
    assert!(is_ready.is_some(), "node {node} is not ready\n{}", cluster.node(node).log_tail());
    let ready = begun.elapsed();
    let applied = |metrics: &Metrics| {
        let at = |name| metrics.sum(name);
        at("paxosd_applied_upto") >= at("paxosd_chosen_upto") && at("paxosd_catch_up_slots") == 0.0
    };
    let all = poll::within(START_MAX, || Metrics::of(&admin).ok().filter(applied));
    assert!(all.is_some(), "node {node} does not apply all that is chosen");
    (ready.as_secs_f64() * 1000.0, begun.elapsed().as_secs_f64() * 1000.0)
}

/// Drops the files of a folder from the page cache.
fn forget(folder: &Path) {
    for path in files(folder, "") {
        let file = File::open(path).expect("a file of a node that does not run");
        file.sync_all().expect("it can be synced");
        rustix::fs::fadvise(&file, 0, None, Advice::DontNeed)
            .expect("a file system with a page cache");
    }
}

/// What a node holds in memory, and what it counts of it.
fn memory(cluster: &Cluster, node: u16, when: &str) {
    let metrics = Metrics::of(&cluster.admin(node)).expect("a node that runs has its pages");
    let resident = cost::resident_bytes(cluster.node(node).pid());
    let mib = |bytes: f64| bytes / f64::from(1 << 20);
    let counted = mib(metrics.sum("paxosd_memory_bytes"));
    println!("memory {when}: resident {:.1} MiB, counted {counted:.1} MiB:", mib(resident as f64));
    let accounts = metrics.with_labels("paxosd_memory_bytes");
    let account = |(labels, bytes): (&str, f64)| {
        let name = labels.split("account=\"").nth(1).and_then(|rest| rest.split('"').next());
        format!("{} {:.1}", name.unwrap_or(labels), mib(bytes))
    };
    println!("    {}", accounts.map(account).collect::<Vec<_>>().join(", "));
}
