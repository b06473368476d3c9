//! How long clients wait when the leader dies, or stops in order: from that moment to the first
//! acknowledged append, as one client with the default options sees it.

use crate::cost;
use crate::rig::history::{History, Moment, Reported, Stopwatch};
use crate::rig::writer::{RunLog, Writer};
use crate::rig::{Cluster, Plan};
use clap::Args;
use rustix::process::Signal;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// How much is measured.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// How often the leader dies
    #[arg(long, default_value_t = 50)]
    times: usize,
    /// How often it stops in order
    #[arg(long, default_value_t = 20)]
    stops: usize,
    /// Shards of the cluster; the client appends to the first one
    #[arg(long, default_value_t = 1)]
    shards: u16,
}

impl Default for Options {
    fn default() -> Options {
        Options { times: 50, stops: 20, shards: 1 }
    }
}

/// Measures and prints.
pub fn run(dir: &Path, options: &Options) {
    let mut cluster = Cluster::laid_out_in(dir, Plan::of(3).shards(options.shards));
    cluster.start_all();
    println!("failover, 3 nodes, default configuration; machine load {}", cost::machine_load());
    let kills = (0..options.times).map(|_| once(&mut cluster, Signal::KILL)).collect();
    show("kill -9 of the leader, to the next acknowledged append", kills);
    let stops = (0..options.stops).map(|_| once(&mut cluster, Signal::TERM)).collect();
    show("orderly stop of the leader, longest gap between acknowledgements", stops);
    println!("machine load {}\n", cost::machine_load());
}

fn show(what: &str, gaps: Vec<Duration>) {
    let ms: Vec<f64> = gaps.iter().map(|gap| gap.as_secs_f64() * 1000.0).collect();
    let slowest = ms.iter().copied().fold(0.0, f64::max);
    println!(
        "{what}: {} times, median {:.0} ms, slowest {slowest:.0} ms",
        ms.len(),
        cost::median(ms.clone())
    );
}

/// One end of a leader under load, and everything well again afterwards.
fn once(cluster: &mut Cluster, signal: Signal) -> Duration {
    let log = RunLog { number: 0, name: "failover".to_string() };
    let watch = Stopwatch::start();
    let mut writer = Writer::new(0, watch, cluster.options()).expect("a node answers");
    // There already but for the first time.
    let _there_already = writer.client.create(&log.name);
    cluster.wait_ready();
    let leader = cluster.leader(0);
    let stop = AtomicBool::new(false);
    let (history, at) = thread::scope(|scope| {
        let load = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                // The history has the answer.
                let _noted = writer.append(&log, 1, None);
            }
            writer.history
        });
        crate::rig::poll::pass(Duration::from_millis(300));
        let node = cluster.node_mut(leader);
        let at = watch.now();
        node.signal(signal);
        node.wait();
        cluster.leader_other_than(0, Some(leader));
        crate::rig::poll::pass(Duration::from_millis(500));
        stop.store(true, Ordering::Relaxed);
        (load.join().expect("the load's thread does not panic"), at)
    });
    cluster.node_mut(leader).start();
    match signal {
        Signal::TERM => gap_after(&history, at),
        _ => first_after(&history, at),
    }
}

/// Acknowledged appends: when each was sent, and when its answer came.
fn acknowledged(history: &History) -> impl Iterator<Item = (Moment, Moment)> {
    let reported =
        history.attempts.iter().filter(|attempt| matches!(attempt.reported, Reported::At(_)));
    reported.map(|attempt| (attempt.started, attempt.ended))
}

/// From that moment to the answer of the first append that was sent after it.
fn first_after(history: &History, at: Moment) -> Duration {
    let sent_after = acknowledged(history).filter(|(started, _)| *started >= at);
    let first = sent_after.map(|(_, ended)| ended).min();
    Duration::from_nanos(first.expect("another leader took over") - at)
}

/// The longest time without an answer from just before that moment on.
fn gap_after(history: &History, at: Moment) -> Duration {
    let mut moments: Vec<Moment> = acknowledged(history).map(|(_, ended)| ended).collect();
    moments.sort_unstable();
    let first = moments.partition_point(|moment| *moment < at).saturating_sub(1);
    let gaps = moments[first..].windows(2).map(|pair| pair[1] - pair[0]);
    Duration::from_nanos(gaps.max().expect("another leader took over"))
}
