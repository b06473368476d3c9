//! Whether appends become slower as a cluster grows: two clusters, one that holds little and one that holds
//! much, take the same load in turns. And what a checkpoint costs those who append meanwhile.

use crate::admin::Metrics;
use crate::cost;
use crate::fill::Filling;
use crate::generator::{Generator, Load, ManyLogs};
use crate::rig::node::files;
use crate::rig::{Cluster, Plan, poll};
use clap::Args;
use hdrhistogram::Histogram;
use paxosd::api::entries::Entries;
use paxosd::types::ShardId;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How much is measured.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Entries that the small cluster holds
    #[arg(long, default_value_t = 100_000)]
    small_entries: u64,
    /// Logs of the small cluster
    #[arg(long, default_value_t = 1)]
    small_logs: u64,
    /// Entries that the large cluster holds
    #[arg(long, default_value_t = 10_000_000)]
    entries: u64,
    /// Logs of the large cluster
    #[arg(long, default_value_t = 1)]
    logs: u64,
    /// Entries of each append that fills them
    #[arg(long, default_value_t = 10)]
    batch: u64,
    /// Append to all logs in turn, instead of to one
    #[arg(long)]
    spread: bool,
    /// Pairs: small, then large, and the other way round in every second one
    #[arg(long, default_value_t = 7)]
    pairs: usize,
    /// Seconds of each half of a pair
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Connections, and the window of each
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Appends under way on each connection
    #[arg(long, default_value_t = 16)]
    window: usize,
    /// Nodes of each cluster
    #[arg(long, default_value_t = 3)]
    nodes: u16,
    /// Keys of paxosd.toml, such as sync_inline=true
    #[arg(long, value_name = "KEY=VALUE")]
    key: Vec<String>,
}

/// A cluster that holds something, and the load on it.
struct Side {
    cluster: Cluster,
    generator: Generator,
    checkpoints: Checkpoints,
    /// Latencies while no checkpoint was taken, and while one was.
    without: Histogram<u64>,
    with: Histogram<u64>,
}

/// Measures and prints.
pub fn run(dir: &Path, size: usize, options: &Options) {
    let mut small = Side::new(dir, size, (options.small_logs, options.small_entries), options);
    let mut large = Side::new(dir, size, (options.logs, options.entries), options);
    let kind = if options.spread { "all logs in turn" } else { "one log" };
    println!(
        "{}x{} to {kind}, {size} B, {} nodes; small: {} entries in {} logs, large: {} in {}; machine load {}",
        options.connections,
        options.window,
        options.nodes,
        options.small_entries,
        options.small_logs,
        options.entries,
        options.logs,
        cost::machine_load()
    );
    println!(
        "{:>4}  {:>10}  {:>10}  {:>6}  {:>12}  {:>12}",
        "pair", "small/s", "large/s", "ratio", "small us cpu", "large us cpu"
    );
    let time = Duration::from_secs(options.seconds);
    small.measure(Duration::from_secs(1));
    large.measure(Duration::from_secs(1));
    (small.without, small.with) = (cost::latencies(), cost::latencies());
    (large.without, large.with) = (cost::latencies(), cost::latencies());
    let (mut ratios, mut costs) = (Vec::new(), Vec::new());
    for pair in 1..=options.pairs {
        let (one, other) = if pair % 2 == 1 {
            let one = small.measure(time);
            (one, large.measure(time))
        } else {
            let other = large.measure(time);
            (small.measure(time), other)
        };
        let ratio = other.0 / one.0;
        println!(
            "{pair:>4}  {:>10.0}  {:>10.0}  {ratio:>6.3}  {:>12.2}  {:>12.2}",
            one.0, other.0, one.1, other.1
        );
        ratios.push(ratio);
        costs.push(other.1 / one.1);
    }
    println!(
        "median ratio {:.3}, of processor time {:.3}; machine load {}",
        cost::median(ratios),
        cost::median(costs),
        cost::machine_load()
    );
    small.report("small");
    large.report("large");
}

impl Side {
    fn new(dir: &Path, size: usize, (logs, entries): (u64, u64), options: &Options) -> Side {
        let mut cluster = Cluster::laid_out_in(dir, Plan::of(options.nodes).keys(&options.key));
        cluster.start_all();
        let filling = Filling::of("log-", (logs, entries, options.batch), size);
        filling.append_to(&cluster);
        cluster.wait_ready();
        let logs = ManyLogs { count: if options.spread { logs } else { 1 }, ..filling.logs };
        let entry = Entries::from_slices([vec![7; size]]).expect("an entry of a size that fits");
        let endpoint = cluster.endpoint(cluster.leader(0));
        let load = Load::spread(&endpoint, ShardId(0), logs, &entry);
        let generator = Generator::connect(&[load], options.connections, options.window)
            .expect("the leader takes connections");
        let journals = cluster.ids().map(|id| cluster.node(id).journal(0)).collect();
        let (without, with) = (cost::latencies(), cost::latencies());
        Side { cluster, generator, checkpoints: Checkpoints::watch(journals), without, with }
    }

    /// Appends a second, and processor time of the nodes for each, in microseconds.
    fn measure(&mut self, time: Duration) -> (f64, f64) {
        let spent = |cluster: &Cluster| -> Duration {
            cluster.ids().map(|id| cost::processor_time(cluster.node(id).pid())).sum()
        };
        let (before, begun, mut count) = (spent(&self.cluster), Instant::now(), 0_u64);
        let Side { generator, checkpoints, without, with, .. } = self;
        let mut note = |_, latency| {
            count += 1;
            let latencies = if checkpoints.is_one_taken() { &mut *with } else { &mut *without };
            cost::record(latencies, latency);
        };
        generator.run_noting(time, &mut note).expect("the leader answers");
        let took = begun.elapsed().as_secs_f64();
        let each = (spent(&self.cluster) - before).as_micros() as f64 / count.max(1) as f64;
        (count as f64 / took, each)
    }

    /// Latencies with and without a checkpoint, and the longest turn of a shard's loop.
    fn report(&self, what: &str) {
        let p99 = |latencies: &Histogram<u64>| latencies.value_at_quantile(0.99);
        let (without, with) = (p99(&self.without), p99(&self.with));
        let all = (self.without.len() + self.with.len()).max(1);
        println!(
            "{what}: p99 {without} us without a checkpoint, {with} us while one is taken ({:.0} % of appends), ratio {:.2}",
            self.with.len() as f64 * 100.0 / all as f64,
            with as f64 / without.max(1) as f64
        );
        for id in self.cluster.ids() {
            let Ok(metrics) = Metrics::of(&self.cluster.admin(id)) else { continue };
            println!("{what}: node {id}: {}", turns(&metrics));
        }
    }
}

/// How many turns of a shard's loop there were since the node's start, and how many took long.
fn turns(metrics: &Metrics) -> String {
    const NAME: &str = "paxosd_loop_turn_seconds";
    let all = metrics.sum(&format!("{NAME}_count"));
    let buckets = format!("{NAME}_bucket");
    let longer = |bound: &str| {
        let label = format!("le=\"{bound}\"");
        let of_bound = metrics.with_labels(&buckets).filter(|(labels, _)| labels.contains(&label));
        all - of_bound.map(|(_, count)| count).sum::<f64>()
    };
    let [five, ten, fifty] = ["0.005", "0.01", "0.05"].map(longer);
    format!(
        "{all} turns of its loop, {five} longer than 5 ms, {ten} than 10 ms, {fifty} than 50 ms"
    )
}

/// Whether some node is taking a checkpoint, by the files that it makes.
struct Checkpoints {
    is_one_taken: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpoints {
    fn watch(journals: Vec<PathBuf>) -> Checkpoints {
        let (is_one_taken, stop) =
            (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (seen, ends) = (Arc::clone(&is_one_taken), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                let is_new = |path: &PathBuf| path.extension().is_some_and(|end| end == "new");
                let taken = journals.iter().any(|folder| files(folder, "").iter().any(is_new));
                seen.store(taken, Ordering::Relaxed);
                poll::pass(Duration::from_millis(2));
            }
        });
        Checkpoints { is_one_taken, stop, thread: Some(thread) }
    }

    fn is_one_taken(&self) -> bool {
        self.is_one_taken.load(Ordering::Relaxed)
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            eprintln!("what looks for checkpoints has panicked");
        }
    }
}
