//! A node is away while much is appended, and the others release what is trimmed of it: when it comes
//! back it installs a checkpoint, and fetches what it has not.

use crate::admin::Metrics;
use crate::bare;
use crate::cost::{self, Quantiles};
use crate::fill::Filling;
use crate::live::Live;
use crate::rig::{Cluster, Plan, poll};
use clap::Args;
use std::path::Path;
use std::time::{Duration, Instant};

/// What is appended first, and deleted, so that the others release it.
const GONE_BYTES: u64 = 512 << 20;
/// The longest catch-up that is waited for.
const CATCH_UP_MAX: Duration = Duration::from_secs(1800);

/// How much is measured.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// MiB of entries that are appended while the node is away, and stay
    #[arg(long, default_value_t = 5120)]
    mib: u64,
    /// Entries of each append
    #[arg(long, default_value_t = 64)]
    batch: u64,
    /// Logs that have them
    #[arg(long, default_value_t = 16)]
    logs: u64,
    /// Live appends a second meanwhile; 0 for none
    #[arg(long, default_value_t = 200)]
    live: u32,
    /// Seconds for which live appends are measured without the catch-up, before and after
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Keys of paxosd.toml, such as sync_inline=true
    #[arg(long, value_name = "KEY=VALUE")]
    key: Vec<String>,
}

/// Measures and prints.
pub fn run(dir: &Path, size: usize, options: &Options) {
    let plan = Plan::of(3).key("catchup_bytes", 64 << 20).keys(&options.key);
    let mut cluster = Cluster::laid_out_in(dir, plan);
    cluster.start_all();
    cluster.wait_ready();
    let away = cluster.follower(0);
    cluster.node_mut(away).stop();
    let fill = |prefix: &str, bytes: u64| {
        let sizes = (options.logs, bytes / size as u64, options.batch);
        Filling::of(prefix, sizes, size).append_to(&cluster)
    };
    fill("gone-", GONE_BYTES);
    let mut client = cluster.client();
    for log in 0..options.logs {
        client.delete(&format!("gone-{log}")).expect("it was created");
    }
    let rate = fill("kept-", options.mib << 20);
    println!(
        "{} MiB of {size} B in {} logs, {} in each append, while a node of 3 is away: {rate:.0} entries/s; machine load {}",
        options.mib,
        options.logs,
        options.batch,
        cost::machine_load()
    );
    let others: Vec<u16> = cluster.ids().filter(|id| *id != away).collect();
    wait_released(&cluster, &others);
    let live = (options.live > 0).then(|| Live::start(&cluster, options.live, size));
    let beside = |what: &str| {
        let live = live.as_ref()?;
        live.take();
        poll::pass(Duration::from_secs(options.seconds));
        let quantiles = Quantiles::of(&live.take());
        println!("live, {what}: {quantiles}");
        Some(quantiles.p99_us)
    };
    beside("two nodes");
    let took = catch_up(&mut cluster, away);
    let meanwhile = live.as_ref().map(|live| Quantiles::of(&live.take()));
    if let Some(meanwhile) = meanwhile {
        println!("live, during the catch-up: {meanwhile}");
    }
    let without = beside("three nodes, after it");
    if let (Some(with), Some(without)) = (meanwhile, without) {
        println!("live p99 during to after: {:.2}", with.p99_us as f64 / without as f64);
    }
    drop(live);
    compare(dir, options.mib, took);
}

/// Waits until all of these nodes released a segment.
fn wait_released(cluster: &Cluster, nodes: &[u16]) {
    let released = |id: &u16| {
        let metrics = Metrics::of(&cluster.admin(*id)).ok()?;
        let count = metrics.sum("paxosd_released_segments_total");
        (count > 0.0).then_some(count)
    };
    let all = poll::within(Duration::from_secs(120), || {
        nodes.iter().map(released).collect::<Option<Vec<f64>>>()
    });
    println!("segments released on the others: {:?}", all.expect("a cut comes, and then they go"));
}

/// Starts the node; how long it took until it had all.
fn catch_up(cluster: &mut Cluster, away: u16) -> Duration {
    let begun = Instant::now();
    cluster.node_mut(away).start();
    let admin = cluster.admin(away);
    let mut installed_after = None;
    let mut next_line = Duration::from_secs(5);
    let done = poll::within(CATCH_UP_MAX, || {
        let metrics = Metrics::of(&admin).ok()?;
        let (installs, absent) =
            (metrics.sum("paxosd_installs_total"), metrics.sum("paxosd_absent_slots"));
        if installs > 0.0 {
            installed_after.get_or_insert(begun.elapsed());
        }
        if begun.elapsed() > next_line {
            next_line += Duration::from_secs(5);
            let fetched = metrics.sum("paxosd_absent_values_fetched_total");
            println!(
                "  {:>4} s: installed {installs}, absent slots {absent}, fetched {fetched}, written {:.0} MB",
                begun.elapsed().as_secs(),
                metrics.sum("paxosd_synced_bytes_total") / 1e6
            );
        }
        let behind = metrics.sum("paxosd_catch_up_slots");
        (installs > 0.0 && absent == 0.0 && behind < 100.0).then_some(metrics)
    });
    let metrics = done.expect("the node installs and fetches all in half an hour");
    let took = begun.elapsed();
    println!(
        "caught up in {:.1} s: checkpoint of {:.1} MB installed after {:.1} s, {} values fetched, {:.0} MB written",
        took.as_secs_f64(),
        metrics.sum("paxosd_install_bytes_total") / 1e6,
        installed_after.unwrap_or(took).as_secs_f64(),
        metrics.sum("paxosd_absent_values_fetched_total"),
        metrics.sum("paxosd_synced_bytes_total") / 1e6
    );
    took
}

/// Holds what was fetched against disk and loopback.
fn compare(dir: &Path, mib: u64, took: Duration) {
    let ours = (mib << 20) as f64 / took.as_secs_f64() / 1e6;
    let disk = bare::disk_mb_s(dir).expect("a disk with space");
    let loopback = bare::loopback_mb_s().expect("every host has a loopback");
    let copy = bare::copy_mb_s(dir).expect("a disk with space, and a loopback");
    println!(
        "{ours:.0} MB/s of entries; bare: disk {disk:.0} MB/s, loopback {loopback:.0} MB/s, file to file over loopback {copy:.0} MB/s; machine load {}",
        cost::machine_load()
    );
    println!("ratio to min(disk, loopback) {:.2}", ours / disk.min(loopback));
}
