//! Far more than the disks hold is appended to logs that trim themselves, while nodes are killed: no
//! append is refused, the disks do not fill, and at the end every entry that is to be there is right.

use crate::admin::{self, Metrics};
use crate::cost;
use crate::rig::{Cluster, Plan, poll};
use clap::Args;
use paxosd::client::{Client, ClientOptions, Consistency, Outcome, ReadOptions, Retention};
use paxosd::types::{Index, Random};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes of an entry, and entries of an append.
const ENTRY_BYTES: usize = 1024;
const BATCH: u64 = 64;
/// Where nothing was appended for so long, the run ends.
const STALL_MAX: Duration = Duration::from_secs(60);
/// A node that was started again has so long to catch up.
const CATCH_UP_MAX: Duration = Duration::from_secs(300);

/// In less time nobody can say whether disks are flat: what is kept for a node that is away comes and goes.
const FLAT_AFTER: Duration = Duration::from_secs(300);

/// How much is done.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// MiB that are appended in all
    #[arg(long, default_value_t = 20 << 10)]
    mib: u64,
    /// MiB of each node's disk
    #[arg(long, default_value_t = 3 << 10)]
    disk_mib: u64,
    /// Logs, each with a client of its own
    #[arg(long, default_value_t = 8)]
    logs: u64,
    /// Seconds between two kills
    #[arg(long, default_value_t = 20)]
    kill_every: u64,
    /// Seed of what is killed when
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Keys of paxosd.toml, such as sync_inline=true
    #[arg(long, value_name = "KEY=VALUE")]
    key: Vec<String>,
}

/// What clients and disks came to.
#[derive(Debug, Default)]
struct Run {
    appended: AtomicU64,
    refused: AtomicU64,
    unknown: AtomicU64,
    /// Clients give up: nothing goes on.
    stop: AtomicBool,
}

/// Runs and prints; ends the process with 1 where something is wrong.
pub fn run(dir: &Path, options: &Options) {
    let disk = options.disk_mib << 20;
    let segment = (disk / 64).clamp(6 << 20, 64 << 20) & !4095;
    let plan = Plan::of(3)
        .disks(disk)
        .key("segment_bytes", segment)
        .key("catchup_bytes", disk / 12)
        .key("min_free_bytes", disk / 24)
        .keys(&options.key);
    let mut cluster = Cluster::laid_out_in(dir, plan);
    cluster.start_all();
    let keep = disk / 6 / options.logs;
    println!(
        "{} MiB through disks of {} MiB, {} logs that keep {} MiB each; machine load {}",
        options.mib,
        options.disk_mib,
        options.logs,
        keep >> 20,
        cost::machine_load()
    );
    let retention = Retention { bytes: keep, ..Retention::default() };
    let mut client = cluster.client();
    for log in 0..options.logs {
        client.create_with(&name(log), retention).expect("no log of this name");
    }
    let (run, begun) = (Run::default(), Instant::now());
    let mut watch = Watch::default();
    let next: Vec<u64> = thread::scope(|scope| {
        let bytes = (options.mib << 20) / options.logs;
        let writers: Vec<_> = (0..options.logs)
            .map(|log| {
                let (run, options) = (&run, cluster.patient());
                scope.spawn(move || write(log, bytes, options, run))
            })
            .collect();
        let is_over = || writers.iter().all(thread::ScopedJoinHandle::is_finished);
        disturb(&mut cluster, options, (&run, begun), &mut watch, &is_over);
        writers.into_iter().map(|writer| writer.join().expect("a writer goes on")).collect()
    });
    let took = begun.elapsed();
    watch.report();
    if watch.is_stalled {
        drop(cluster); // Its processes and file systems, before this one ends.
        std::process::exit(1);
    }
    let faults = verify(&cluster, &next, keep);
    println!(
        "{} MiB in {:.0} s; {} kills; appends refused {}, unknown and looked up {}; {} faults at the end; machine load {}",
        run.appended.load(Ordering::Relaxed) >> 20,
        took.as_secs_f64(),
        watch.kills,
        run.refused.load(Ordering::Relaxed),
        run.unknown.load(Ordering::Relaxed),
        faults.len(),
        cost::machine_load()
    );
    faults.iter().take(20).for_each(|fault| println!("  {fault}"));
    let is_flat = took < FLAT_AFTER || watch.is_flat();
    if took < FLAT_AFTER {
        println!("too short to say whether the disks are flat: that takes {FLAT_AFTER:?}");
    }
    let is_right = faults.is_empty() && run.refused.load(Ordering::Relaxed) == 0;
    if !is_flat || !is_right {
        drop(cluster); // Its processes and file systems, before this one ends.
        std::process::exit(1);
    }
}

fn name(log: u64) -> String {
    format!("kept-{log}")
}

/// The entry of a log at an index: nothing else may be there.
fn entry(log: u64, index: u64) -> Vec<u8> {
    let mut random = Random::new(log << 48 | index);
    let words = (0..ENTRY_BYTES / 8).flat_map(|_| random.below(u64::MAX).to_le_bytes());
    words.collect()
}

/// Appends to a log until it has so many bytes, each append only where the one before ended. Returns the
/// next index.
fn write(log: u64, bytes: u64, options: ClientOptions, run: &Run) -> u64 {
    let mut client = Client::connect(options).expect("a node of the cluster answers");
    let (name, mut next) = (name(log), 0);
    while next * (ENTRY_BYTES as u64) < bytes && !run.stop.load(Ordering::Relaxed) {
        let entries: Vec<Vec<u8>> = (next..next + BATCH).map(|index| entry(log, index)).collect();
        match client.append_expect(&name, Index(next), &entries) {
            Ok(_) => {}
            Err(error) if error.outcome == Outcome::NotExecuted => {
                // Another one of the same may have been: the index says so.
                if client.stat(&name).is_ok_and(|stat| stat.next_index.0 == next) {
                    eprintln!("{name}: {error}");
                    run.refused.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
            }
            Err(_) => {
                run.unknown.fetch_add(1, Ordering::Relaxed);
                match client.stat(&name) {
                    Ok(stat) if stat.next_index.0 == next + BATCH => {}
                    _ => continue,
                }
            }
        }
        next += BATCH;
        run.appended.fetch_add(BATCH * ENTRY_BYTES as u64, Ordering::Relaxed);
    }
    next
}

/// What was seen of the nodes while clients appended.
#[derive(Debug, Default)]
struct Watch {
    kills: u64,
    /// Nothing went on, or a node did not catch up.
    is_stalled: bool,
    /// MiB that are used on each node's disk, each second.
    used: BTreeMap<u16, Vec<u64>>,
    /// Requests that a node refused for want of space, in all its lives that were seen.
    full: u64,
    /// Seconds from a start to all caught up.
    slowest: f64,
}

impl Watch {
    fn look(&mut self, cluster: &Cluster) {
        for id in cluster.ids() {
            let home = cluster.node(id).config();
            let total = fs2::total_space(&home).expect("a mounted disk");
            let free = fs2::available_space(&home).expect("a mounted disk");
            self.used.entry(id).or_default().push((total - free) >> 20);
        }
    }

    /// The most that is used in the second quarter of the time, and in the last.
    fn peaks(used: &[u64]) -> (u64, u64) {
        let quarter = used.len() / 4;
        let most = |part: &[u64]| part.iter().copied().max().unwrap_or(0);
        (most(&used[quarter..2 * quarter]), most(&used[3 * quarter..]))
    }

    /// True when no disk was fuller at the end than before the middle, by more than a tenth.
    fn is_flat(&self) -> bool {
        self.used.values().all(|used| {
            let (early, late) = Watch::peaks(used);
            late <= early + early / 10
        })
    }

    fn report(&self) {
        for (id, used) in &self.used {
            let (early, late) = Watch::peaks(used);
            let most = used.iter().max().copied().unwrap_or(0);
            println!(
                "node {id}: at most {most} MiB of its disk, {early} in the second quarter of the time, {late} in the last"
            );
        }
        println!(
            "slowest catch-up after a start {:.1} s; requests refused for want of space {}",
            self.slowest, self.full
        );
    }
}

/// Which node is away, or comes back.
#[derive(Debug, Default)]
struct Disturbed {
    /// It was killed, and starts again then.
    down: Option<(u16, Instant)>,
    /// It was started then, and is not whole again.
    behind: Option<(u16, Instant)>,
    /// The next one is killed no sooner.
    next_kill: Duration,
}

/// Kills nodes and starts them again, one at a time, until the clients are done.
fn disturb(
    cluster: &mut Cluster,
    options: &Options,
    (run, begun): (&Run, Instant),
    watch: &mut Watch,
    is_over: &dyn Fn() -> bool,
) {
    let mut random = Random::new(options.seed);
    let every = Duration::from_secs(options.kill_every);
    let mut disturbed = Disturbed { next_kill: every, ..Disturbed::default() };
    let (mut last, mut next_line) = ((0, Instant::now()), 30);
    while !is_over() {
        poll::pass(Duration::from_secs(1));
        watch.look(cluster);
        let appended = run.appended.load(Ordering::Relaxed);
        if begun.elapsed().as_secs() >= next_line {
            let used: Vec<_> = watch.used.values().filter_map(|used| used.last()).collect();
            println!("  {next_line:>5} s: {} MiB appended, used {used:?} MiB", appended >> 20);
            next_line += 30;
        }
        let is_behind_long =
            disturbed.behind.is_some_and(|(_, since)| since.elapsed() > CATCH_UP_MAX);
        if appended > last.0 {
            last = (appended, Instant::now());
        }
        if is_behind_long || last.1.elapsed() > STALL_MAX {
            println!("nothing goes on: {disturbed:?}");
            cluster.ids().for_each(|id| explain(cluster, id));
            watch.is_stalled = true;
            run.stop.store(true, Ordering::Relaxed);
            return;
        }
        disturbed.go_on(cluster, watch, (begun, every), &mut random);
    }
    if let Some((id, _)) = disturbed.down {
        cluster.node_mut(id).start();
    }
    let is_whole = |cluster: &Cluster| cluster.ids().all(|id| is_whole(cluster, id)).then_some(());
    if poll::within(CATCH_UP_MAX, || is_whole(cluster)).is_none() {
        println!("not every node catches up at the end");
        cluster.ids().for_each(|id| explain(cluster, id));
        watch.is_stalled = true;
    }
    watch.full += cluster.ids().map(|id| refused_full(cluster, id)).sum::<u64>();
}

impl Disturbed {
    /// Kills a node or starts it again, where it is time.
    fn go_on(
        &mut self,
        cluster: &mut Cluster,
        watch: &mut Watch,
        (begun, every): (Instant, Duration),
        random: &mut Random,
    ) {
        match (self.down, self.behind) {
            (Some((id, until)), _) if Instant::now() >= until => {
                cluster.node_mut(id).start();
                (self.down, self.behind) = (None, Some((id, Instant::now())));
            }
            (None, Some((id, since))) if is_whole(cluster, id) => {
                watch.slowest = watch.slowest.max(since.elapsed().as_secs_f64());
                self.behind = None;
                self.next_kill = begun.elapsed() + every;
            }
            (None, None) if begun.elapsed() >= self.next_kill => {
                let id = 1 + random.below(3) as u16;
                watch.full += refused_full(cluster, id);
                cluster.node_mut(id).kill();
                watch.kills += 1;
                let away = Duration::from_secs(1 + random.below(10));
                self.down = Some((id, Instant::now() + away));
            }
            _ => {}
        }
    }
}

/// Shows what a node says of itself that may be why nothing goes on.
fn explain(cluster: &Cluster, id: u16) {
    let page = admin::page(&cluster.admin(id), "/status");
    let Ok((_, text)) = page else { return println!("node {id} does not answer") };
    let names = [
        "role",
        "applied_upto",
        "catch_up",
        "has_room",
        "kept_for",
        "dead_bytes",
        "absent",
        "disk_free",
        "reserve_bytes",
        "phase",
        "in_flight",
        "journal_bytes",
    ];
    let shown = text.lines().filter(|line| names.iter().any(|name| line.contains(name)));
    println!("node {id}: {}", shown.map(str::trim).collect::<Vec<_>>().join(" "));
    let log = cluster.node(id).log_tail();
    log.lines().rev().take(8).for_each(|line| println!("    {line}"));
}

/// A node has applied what it knows to be chosen, in touch with a leader, and lacks nothing.
fn is_whole(cluster: &Cluster, id: u16) -> bool {
    let Ok(metrics) = Metrics::of(&cluster.admin(id)) else { return false };
    let none = ["paxosd_catch_up_slots", "paxosd_absent_slots", "paxosd_installing"];
    // Of what is chosen this very moment a follower may not know yet.
    metrics.sum("paxosd_ready") == 1.0 && none.iter().all(|name| metrics.sum(name) < 50.0)
}

/// Requests that a node refused because its disk was full.
fn refused_full(cluster: &Cluster, id: u16) -> u64 {
    let Ok(metrics) = Metrics::of(&cluster.admin(id)) else { return 0 };
    let errors = metrics.with_labels("paxosd_request_errors_total");
    errors.filter(|(labels, _)| labels.contains("DiskFull")).map(|(_, count)| count as u64).sum()
}

/// Reads all that is there on every node; returns what is wrong.
fn verify(cluster: &Cluster, next: &[u64], keep: u64) -> Vec<String> {
    let mut faults = Vec::new();
    for id in cluster.ids() {
        let mut client = cluster.client_of(id);
        for (log, next) in next.iter().enumerate() {
            let mut wrong = |what: String| faults.push(format!("node {id}, log {log}: {what}"));
            let stat = match client.stat_local(&name(log as u64)) {
                Ok(stat) => stat,
                Err(error) => {
                    wrong(error.to_string());
                    continue;
                }
            };
            let (first, end) = (stat.first_index.0, stat.next_index.0);
            if end != *next {
                wrong(format!("it ends at {end}, not at {next}"));
            }
            if (end - first) * (ENTRY_BYTES as u64) < keep {
                wrong(format!("it has entries {first} to {end} only"));
            }
            if let Err(what) = verify_log(&mut client, log as u64, first, end) {
                wrong(what);
            }
        }
    }
    faults
}

fn verify_log(client: &mut Client, log: u64, first: u64, end: u64) -> Result<(), String> {
    let options = ReadOptions { consistency: Consistency::Local, ..ReadOptions::default() };
    let mut index = first;
    while index < end {
        let read = client.read(&name(log), Index(index), options);
        let read = read.map_err(|error| format!("entry {index}: {error}"))?;
        if read.entries.is_empty() {
            return Err(format!("nothing at entry {index} of {end}"));
        }
        for found in read.entries.iter() {
            if found.data != entry(log, index) {
                return Err(format!("entry {index} has other bytes"));
            }
            index += 1;
        }
    }
    Ok(())
}
