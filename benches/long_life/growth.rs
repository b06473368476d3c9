//! Whether appends become slower as a cluster grows: two clusters, one that holds little and one that holds
//! much, take the same load in turns. And what a checkpoint, and the making of a segment,
//! cost those who append meanwhile.

use crate::admin::Metrics;
use crate::cost;
use crate::fill::Filling;
use crate::generator::{Generator, Load, ManyLogs};
use crate::in_making::{InMaking, Watch};
use crate::rig::{Cluster, Plan};
use clap::Args;
use hdrhistogram::Histogram;
use paxosd::api::entries::Entries;
use paxosd::types::ShardId;
use std::path::Path;
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
    watch: Watch,
    /// Latencies, by what was made meanwhile.
    latencies: [Histogram<u64>; 3],
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
    (small.latencies, large.latencies) = (no_latencies(), no_latencies());
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
        Side { cluster, generator, watch: Watch::begin(journals), latencies: no_latencies() }
    }

    /// Appends a second, and processor time of the nodes for each, in microseconds.
    fn measure(&mut self, time: Duration) -> (f64, f64) {
        let spent = |cluster: &Cluster| -> Duration {
            cluster.ids().map(|id| cost::processor_time(cluster.node(id).pid())).sum()
        };
        let (before, begun, mut count) = (spent(&self.cluster), Instant::now(), 0_u64);
        let Side { generator, watch, latencies, .. } = self;
        let mut note = |_, latency| {
            count += 1;
            cost::record(&mut latencies[watch.seen() as usize], latency);
        };
        generator.run_noting(time, &mut note).expect("the leader answers");
        let took = begun.elapsed().as_secs_f64();
        let each = (spent(&self.cluster) - before).as_micros() as f64 / count.max(1) as f64;
        (count as f64 / took, each)
    }

    /// Latencies by what was made meanwhile, and the longest turns of the shards' loops.
    fn report(&self, what: &str) {
        let p99 = |made: InMaking| self.latencies[made as usize].value_at_quantile(0.99);
        let all: u64 = self.latencies.iter().map(Histogram::len).sum();
        for made in InMaking::ALL {
            println!(
                "{what}: p99 {} us {} ({:.1} % of appends), ratio {:.2}",
                p99(made),
                made.name(),
                self.latencies[made as usize].len() as f64 * 100.0 / all.max(1) as f64,
                p99(made) as f64 / p99(InMaking::Nothing).max(1) as f64
            );
        }
        for id in self.cluster.ids() {
            let Ok(metrics) = Metrics::of(&self.cluster.admin(id)) else { continue };
            println!("{what}: node {id}: {}", turns(&metrics));
        }
    }
}

fn no_latencies() -> [Histogram<u64>; 3] {
    InMaking::ALL.map(|_| cost::latencies())
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
