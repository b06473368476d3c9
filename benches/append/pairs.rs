//! One client, one append at a time: what the protocol adds to the floor, measured side by side,
//! because the disk of a shared machine is never the same for long.

use crate::cost::{self, Quantiles};
use crate::floor::Floor;
use crate::rig::{Cluster, Plan};
use clap::Args;
use paxosd::client::Client;
use std::path::Path;
use std::time::{Duration, Instant};

/// How much is measured.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Pairs: the floor, then paxosd, and the other way round in every second one
    #[arg(long, default_value_t = 15)]
    pairs: usize,
    /// Seconds of each half of a pair
    #[arg(long, default_value_t = 2)]
    seconds: u64,
    /// Keys of paxosd.toml, such as sync_inline=true
    #[arg(long, value_name = "KEY=VALUE")]
    key: Vec<String>,
}

impl Default for Options {
    fn default() -> Options {
        Options { pairs: 15, seconds: 2, key: Vec::new() }
    }
}

/// Measures and prints.
pub fn run(dir: &Path, size: usize, options: &Options) {
    let mut cluster = Cluster::laid_out_in(dir, Plan::of(3).keys(&options.key));
    cluster.start_all();
    let mut client = cluster.client();
    client.create("pairs").expect("a new cluster has no logs");
    let mut floor = Floor::start(dir, size).expect("the floor's processes start");
    let entry = vec![7; size];
    let time = Duration::from_secs(options.seconds);
    let mut of_floor = |time| floor.measure(time).expect("the floor's processes answer");
    // Segments, connections and clocks of processors warm up.
    of_floor(Duration::from_secs(1));
    measure(&mut client, &entry, Duration::from_secs(1));
    println!(
        "one client, window 1, {size} B, default configuration; machine load {}",
        cost::machine_load()
    );
    println!("{:>4}  {:>12}  {:>12}  {:>6}", "pair", "floor p50 us", "paxosd p50 us", "ratio");
    let mut ratios = Vec::new();
    for pair in 1..=options.pairs {
        let (floor, ours) = if pair % 2 == 1 {
            let floor = of_floor(time);
            (floor, measure(&mut client, &entry, time))
        } else {
            let ours = measure(&mut client, &entry, time);
            (of_floor(time), ours)
        };
        let ratio = ours.p50_us as f64 / floor.p50_us as f64;
        println!("{pair:>4}  {:>12}  {:>13}  {ratio:>6.2}", floor.p50_us, ours.p50_us);
        ratios.push(ratio);
    }
    println!("median ratio {:.2}; machine load {}\n", cost::median(ratios), cost::machine_load());
}

/// Appends one after the other for that long.
fn measure(client: &mut Client, entry: &[u8], time: Duration) -> Quantiles {
    let mut latencies = cost::latencies();
    let end = Instant::now() + time;
    loop {
        let sent = Instant::now();
        if sent >= end {
            return Quantiles::of(&latencies);
        }
        if let Err(error) = client.append("pairs", [entry]) {
            eprintln!("left out: {error}");
            continue;
        }
        cost::record(&mut latencies, sent.elapsed());
    }
}
