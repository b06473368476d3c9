//! `bench`: a load on the cluster, and what became of it.

pub mod args;
mod drive;
mod lane;
mod logs;
mod output;
mod pipes;
mod plot;
mod report;
mod schedule;
mod tally;
mod volume;

use super::Streams;
use super::args::Format;
use super::exit::CommandFailure;
use super::values::ConsistencyArg;
use super::write_json;
use crate::client::{
    AppenderOptions, Client, ClientOptions, ClusterStatus, Consistency as Freshness, ReadOptions,
    ReaderOptions,
};
use crate::daemon::clock::wall_ms;
use crate::types::{Count, Index};
use args::{Bench, BenchOperation, Load};
use drive::{BenchRun, drive};
use lane::{Lane, Pipe};
use logs::BenchLog;
use pipes::{Appends, Noise, ReadPipe, random_of};
use report::BenchReport;
use rustix::time::{ClockId, clock_gettime};
use schedule::Pacer;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};
use tally::{BenchTally, Period, Work};

/// How often the threads are looked after, and a terminal shows how far the run is.
const LOOK: Duration = Duration::from_millis(100);
/// Every so many looks the terminal shows it.
const LOOKS_SHOWN: u32 = 5;

/// Measures, and reports; fails when nothing was executed.
pub fn bench<C>(
    connect: C,
    bench: &Bench,
    format: Format,
    streams: &mut Streams<'_>,
) -> Result<(), CommandFailure>
where
    C: Fn() -> Result<Client, CommandFailure>,
{
    let (load, operation) = match &bench.operation {
        BenchOperation::Append(append) => (&append.load, "append"),
        BenchOperation::Read(read) => (&read.load, "read"),
    };
    let mut plot = load.plot.as_deref().map(create).transpose()?;
    let mut client = connect()?;
    // A cluster that does not report its state can be measured all the same.
    let before = client.status().ok();
    let (logs, filled) = prepare(&mut client, bench, load, before.as_ref(), streams)?;
    let mut clients = Vec::new();
    for _ in 0..load.connections {
        clients.push(connect()?);
    }
    let ran = match &bench.operation {
        BenchOperation::Append(_) => appends(&mut clients, &logs, load, streams)?,
        BenchOperation::Read(read) => reads(&mut clients, &logs, read, streams)?,
    };
    let appended = match &bench.operation {
        BenchOperation::Append(_) => ran.tally.whole,
        BenchOperation::Read(_) => filled,
    };
    if appended.entries > 0 {
        let left = volume::left(before.as_ref(), client.status().ok().as_ref(), appended);
        let _nobody_reads_it = writeln!(streams.err, "{left}");
    }
    let report = BenchReport {
        operation,
        load,
        logs: logs.into_iter().map(|log| log.name).collect(),
        shards: client.shards(),
        elapsed: ran.elapsed,
        processor: ran.processor,
        interrupted: ran.interrupted,
        began_ms: wall_ms().saturating_sub(ran.elapsed.as_millis() as u64),
        tally: ran.tally,
    };
    match format {
        Format::Json => write_json(streams.out, &report.document())?,
        Format::Table | Format::Jsonl | Format::Raw => {
            report.write_table(streams.out).map_err(CommandFailure::Output)?;
        }
    }
    if let (Some(file), Some(path)) = (&mut plot, &load.plot) {
        let drawing = plot::svg(&report);
        file.write_all(drawing.as_bytes()).map_err(|error| cannot_write(path, &error))?;
    }
    report.verdict()
}

/// Creates the plot's file before the run, so that no run is wasted on a wrong path.
fn create(path: &Path) -> Result<File, CommandFailure> {
    File::create(path).map_err(|error| cannot_write(path, &error))
}

fn cannot_write(path: &Path, error: &std::io::Error) -> CommandFailure {
    let path = path.display();
    CommandFailure::Other(format!(
        "cannot write the plot to {path}: {error}; choose another --plot"
    ))
}

/// Finds, creates and fills the logs, and says so; returns also what filled them.
fn prepare(
    client: &mut Client,
    bench: &Bench,
    load: &Load,
    status: Option<&ClusterStatus>,
    streams: &mut Streams<'_>,
) -> Result<(Vec<BenchLog>, Work), CommandFailure> {
    let most = client.limits().entry_bytes_max;
    if load.size > most {
        return Err(CommandFailure::BadInput(format!(
            "--size {}: not executed: it is more than {most} bytes, which is the cluster's limit for an \
             entry; next: give a smaller one",
            load.size
        )));
    }
    let count = load.logs.unwrap_or(client.shards());
    let (mut logs, created) = logs::prepare(client, &load.prefix, count)?;
    let mut say = |text: String| {
        let _nobody_reads_it = writeln!(streams.err, "{text}");
    };
    if !created.is_empty() {
        let names = if created.len() > 8 { &created[..8] } else { &created[..] };
        let more = if created.len() > 8 { " …" } else { "" };
        let how_many = Count(created.len() as u64, "log");
        say(format!("created {how_many}: {}{more}", names.join(" ")));
    }
    if let Some(warning) = status.and_then(|status| volume::warning(status, bench, &logs)) {
        say(warning);
    }
    let mut filled = Work::default();
    if let BenchOperation::Read(read) = &bench.operation {
        let mut noise = Noise::new(load.seed, load.size as usize);
        for log in &mut logs {
            let added = logs::fill(client, log, read.fill, || noise.entry().to_vec())?;
            if added > 0 {
                say(format!("appended {} to {}", count_entries(added), log.name));
                filled.entries += added;
                filled.bytes += added * u64::from(load.size);
            }
        }
    }
    Ok((logs, filled))
}

fn count_entries(count: u64) -> String {
    format!("{count} entr{}", if count == 1 { "y" } else { "ies" })
}

fn appends(
    clients: &mut [Client],
    logs: &[BenchLog],
    load: &Load,
    streams: &mut Streams<'_>,
) -> Result<Ran, CommandFailure> {
    let noise = Noise::new(load.seed, load.size as usize);
    let window = usize::from(load.window);
    let timeout = clients.first().map_or(ClientOptions::TIMEOUT, Client::timeout);
    let mut pipes = Vec::new();
    for (number, client) in clients.iter_mut().enumerate() {
        let log = &logs[number % logs.len()];
        // Connections are made before the clock runs.
        client.stat(&log.name)?;
        let options = AppenderOptions { window, ..AppenderOptions::default() };
        let noise = noise.for_connection(load.seed, number as u64);
        let appender = client.appender(&log.name, options)?;
        pipes.push((log.shard.0, Appends { appender, noise }));
    }
    Ok(run(pipes, load, (timeout, timeout), streams))
}

fn reads(
    clients: &mut [Client],
    logs: &[BenchLog],
    read: &args::ReadBench,
    streams: &mut Streams<'_>,
) -> Result<Ran, CommandFailure> {
    let load = &read.load;
    let consistency = match read.consistency {
        ConsistencyArg::Linearizable => Freshness::Linearizable,
        ConsistencyArg::Local => Freshness::Local,
    };
    let (window, max_entries) = (usize::from(load.window), Some(read.entries));
    let timeout = clients.first().map_or(ClientOptions::TIMEOUT, Client::timeout);
    let mut pipes = Vec::new();
    for (number, client) in clients.iter_mut().enumerate() {
        let log = &logs[number % logs.len()];
        // Connections are made before the clock runs.
        let once = ReadOptions { max_entries: Some(1), consistency, ..ReadOptions::default() };
        client.read(&log.name, Index(0), once)?;
        let options = ReaderOptions { window, max_entries, consistency };
        let random = random_of(load.seed, number as u64);
        let reader = client.reader(&log.name, options)?;
        pipes.push((log.shard.0, ReadPipe { reader, random, below: log.entries }));
    }
    Ok(run(pipes, load, (timeout.min(ClientOptions::ATTEMPT_TIMEOUT), timeout), streams))
}

/// What a run brought.
struct Ran {
    tally: BenchTally,
    elapsed: Duration,
    processor: Duration,
    interrupted: bool,
}

/// Runs the load on these connections, each with its shard. An operation is waited for as long as
/// the first of `times` before the library is asked about it; the second is how long it may take.
fn run<P: Pipe + Send>(
    pipes: Vec<(u16, P)>,
    load: &Load,
    times: (Duration, Duration),
    streams: &mut Streams<'_>,
) -> Ran {
    let period = Period::new(load.warmup, load.seconds);
    let connections = pipes.len() as u64;
    let pipes = pipes.into_iter().zip(0..);
    let lanes = pipes.map(|((shard, pipe), number)| {
        let pacer = match load.rate {
            None => Pacer::closed(period.end),
            Some(rate) => Pacer::open(rate, number, connections, period.end),
        };
        (shard, Lane::new(pipe, pacer))
    });
    let mut groups = groups(lanes.collect(), processors());
    let stop = Arc::new(AtomicBool::new(false));
    let _signals = catch_signals(&stop);
    let run = BenchRun {
        start: Instant::now(),
        period,
        patience: times.0,
        drain: times.1,
        stop,
        ok: AtomicU64::new(0),
        failed: AtomicU64::new(0),
    };
    let mut tally = BenchTally::new(period);
    let (processor, interrupted) = thread::scope(|scope| {
        let run = &run;
        let start = |lanes| scope.spawn(move || drive(lanes, run));
        let threads: Vec<_> = groups.iter_mut().map(|lanes| start(lanes.as_mut_slice())).collect();
        let watched = watch(&threads, run, streams);
        for thread in threads {
            match thread.join() {
                Ok(part) => tally.add(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        watched
    });
    let until = interrupted.unwrap_or(period.end).min(period.end).max(tally.last);
    let elapsed = until.saturating_sub(period.from);
    Ran { tally, elapsed, processor, interrupted: interrupted.is_some() }
}

/// Spreads connections over threads. Those of one thread belong to one shard: when its leader is
/// gone, the thread waits for the next one, and holds up nobody else.
fn groups<P>(lanes: Vec<(u16, Lane<P>)>, processors: usize) -> Vec<Vec<Lane<P>>> {
    let mut shards: BTreeMap<u16, Vec<Lane<P>>> = BTreeMap::new();
    for (shard, lane) in lanes {
        shards.entry(shard).or_default().push(lane);
    }
    let threads = (processors / shards.len().max(1)).max(1);
    let split = shards.into_values().flat_map(|lanes| {
        let mut parts: Vec<Vec<Lane<P>>> = (0..threads).map(|_| Vec::new()).collect();
        lanes.into_iter().zip((0..threads).cycle()).for_each(|(lane, at)| parts[at].push(lane));
        parts
    });
    split.filter(|part| !part.is_empty()).collect()
}

fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// The first SIGINT or SIGTERM ends the run, with a report; the second ends the process.
fn catch_signals(stop: &Arc<AtomicBool>) -> Vec<Result<signal_hook::SigId, std::io::Error>> {
    let caught = [SIGINT, SIGTERM].into_iter().flat_map(|signal| {
        // Without a handler the signal ends the process: nothing is lost but the report.
        let second = flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(stop));
        [second, flag::register(signal, Arc::clone(stop))]
    });
    caught.collect()
}

/// Waits for the threads and shows on a terminal how far the run is. Returns the processor time of
/// the measured part, and when the run was ended early, if it was.
fn watch(
    threads: &[ScopedJoinHandle<'_, BenchTally>],
    run: &BenchRun,
    streams: &mut Streams<'_>,
) -> (Duration, Option<Duration>) {
    let terminal = std::io::stderr().is_terminal();
    let (mut before, mut stopped) = (processor_time(), None);
    let (mut shown, mut shown_at) = (0, Duration::ZERO);
    for look in 0u32.. {
        let now = run.now();
        if now < run.period.from {
            before = processor_time();
        }
        if stopped.is_none() && run.stop.load(Ordering::Relaxed) {
            stopped = Some(now);
        }
        if threads.iter().all(ScopedJoinHandle::is_finished) {
            break;
        }
        if terminal && look % LOOKS_SHOWN == 0 {
            let ok = run.ok.load(Ordering::Relaxed);
            let rate = (ok - shown) as f64 / (now - shown_at).as_secs_f64().max(1e-3);
            (shown, shown_at) = (ok, now);
            let _nobody_reads_it = write!(
                streams.err,
                "\r{:5.1} of {:.1} s  {ok} done, {rate:.0}/s, {} failed\x1b[K",
                now.as_secs_f64(),
                run.period.end.as_secs_f64(),
                run.failed.load(Ordering::Relaxed)
            );
            let _nobody_reads_it = streams.err.flush();
        }
        thread::sleep(LOOK);
    }
    if terminal {
        let _nobody_reads_it = write!(streams.err, "\r\x1b[K");
    }
    (processor_time().saturating_sub(before), stopped)
}

/// Processor time that this process has used.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A thread's connections are of one shard, each connection is in one thread, and no more
    /// threads are made than there are processors, unless there are more shards.
    #[test]
    fn threads_do_not_mix_shards() {
        let sizes = |connections: u16, shards: u16, processors| {
            let pacer = || Pacer::closed(Duration::ZERO);
            let lanes = (0..connections).map(|n| (n % shards, Lane::new(n % shards, pacer())));
            let groups = groups(lanes.collect(), processors);
            for group in &groups {
                assert!(group.iter().all(|lane| lane.pipe == group[0].pipe), "shards are mixed");
            }
            groups.iter().map(Vec::len).collect::<Vec<_>>()
        };
        assert_eq!(sizes(64, 1, 2), [32, 32]);
        assert_eq!(sizes(64, 2, 2), [32, 32]);
        assert_eq!(sizes(5, 4, 2), [2, 1, 1, 1]);
        assert_eq!(sizes(1, 1, 8), [1]);
        assert_eq!(sizes(6, 2, 4), [2, 1, 2, 1]);
    }
}
