//! Many connections at once, each with a window of appends under way.

use crate::cost;
use crate::generator::{Generator, Load};
use crate::rig::{Cluster, Plan};
use clap::Args;
use paxosd::types::ShardId;
use std::path::Path;
use std::str::FromStr;
use std::time::{Duration, Instant};

/// How much is measured.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Connections and window of each, as 64x16
    #[arg(default_values = ["1x1", "16x1", "64x1", "256x1", "64x16"])]
    cells: Vec<Cell>,
    /// Seconds of each cell, after one second of warming up
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Shards of the cluster; connections are spread over them
    #[arg(long, default_value_t = 1)]
    shards: u16,
    /// Nodes of the cluster
    #[arg(long, default_value_t = 3)]
    nodes: u16,
    /// Keys of paxosd.toml, such as sync_inline=true
    #[arg(long, value_name = "KEY=VALUE")]
    key: Vec<String>,
}

impl Default for Options {
    fn default() -> Options {
        let cells = [(1, 1), (16, 1), (64, 1), (256, 1), (64, 16)];
        let cells = cells.map(|(connections, window)| Cell { connections, window }).to_vec();
        Options { cells, seconds: 10, shards: 1, nodes: 3, key: Vec::new() }
    }
}

/// Connections, and appends under way on each.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    connections: usize,
    window: usize,
}

impl FromStr for Cell {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Cell, &'static str> {
        let parsed = text.split_once('x').and_then(|(connections, window)| {
            Some(Cell { connections: connections.parse().ok()?, window: window.parse().ok()? })
        });
        parsed.filter(|cell| cell.connections * cell.window > 0).ok_or("say it as 64x16")
    }
}

/// Measures and prints.
pub fn run(dir: &Path, size: usize, options: &Options) {
    let plan = Plan::of(options.nodes).shards(options.shards).keys(&options.key);
    let mut cluster = Cluster::laid_out_in(dir, plan);
    cluster.start_all();
    println!(
        "{} nodes, {} shards, {size} B; machine load {}",
        options.nodes,
        options.shards,
        cost::machine_load()
    );
    println!(
        "{:>9}  {:>9}  {:>7}  {:>7}  {:>7}  {:>9}  {:>9}",
        "cell", "appends/s", "p50 ms", "p99 ms", "max ms", "us/append", "client us"
    );
    for (number, cell) in options.cells.iter().enumerate() {
        one(&cluster, number, *cell, size, options);
    }
    println!("machine load {}\n", cost::machine_load());
}

fn one(cluster: &Cluster, number: usize, cell: Cell, size: usize, options: &Options) {
    let mut client = cluster.client();
    let mut loads = Vec::new();
    for shard in 0..options.shards {
        // One log for each shard, by names that fall on it.
        let mut names = (0..).map(|n| format!("cell-{number}-{n}"));
        let on_shard = |name: &String| ShardId::of_name(name, options.shards) == ShardId(shard);
        let name = names.find(on_shard).expect("one of endless names falls on every shard");
        let log = client.create(&name).expect("a new name in a cluster that serves");
        let leader = cluster.endpoint(cluster.leader(shard));
        loads.push(Load::appends(&leader, ShardId(shard), log, size));
    }
    let mut generator = Generator::connect(&loads, cell.connections, cell.window)
        .expect("the leaders take connections");
    generator.run(Duration::from_secs(1)).expect("the leaders answer");
    let servers = || cluster.ids().map(|id| cost::processor_time(cluster.node(id).pid()));
    let own = || cost::processor_time(std::process::id());
    let (before, own_before): (Duration, _) = (servers().sum(), own());
    let begun = Instant::now();
    let latencies =
        generator.run(Duration::from_secs(options.seconds)).expect("the leaders answer");
    let time = begun.elapsed().as_secs_f64();
    let (after, own_after): (Duration, _) = (servers().sum(), own());
    let count = latencies.len().max(1) as f64;
    let ms = |quantile: f64| latencies.value_at_quantile(quantile) as f64 / 1000.0;
    let each = |spent: Duration| spent.as_micros() as f64 / count;
    println!(
        "{:>9}  {:>9.0}  {:>7.2}  {:>7.2}  {:>7.1}  {:>9.1}  {:>9.1}",
        format!("{}x{}", cell.connections, cell.window),
        count / time,
        ms(0.5),
        ms(0.99),
        ms(1.0),
        each(after - before),
        each(own_after - own_before)
    );
}
