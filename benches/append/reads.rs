//! Old entries: at random places over many connections, and in order over one, each beside the same reads of
//! the same files without a server. Both halves of a round find the page cache as the options say.

use crate::cost;
use crate::fill::Filling;
use crate::generator::{Generator, Load};
use crate::rig::{Cluster, Plan};
use clap::Args;
use paxosd::client::{Client, ReadOptions};
use paxosd::types::{Index, LogId, Random, ShardId};
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// Places that each connection reads at, again and again.
const PLACES: usize = 4096;
/// Bytes of one bare read in order.
const BARE_BYTES: usize = 1 << 20;

/// How much is measured.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Entries of the log; what they take should be far more than a node keeps in memory, which is 32 MiB
    #[arg(long, default_value_t = 400_000)]
    entries: u64,
    /// Logs beside it, with an entry each before and behind its own
    #[arg(long, default_value_t = 0)]
    other_logs: u64,
    /// Connections, and threads of bare reads
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Rounds, each of both kinds of reads
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of each half of a round
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Leave the files in the page cache, instead of dropping them before each half
    #[arg(long)]
    cached: bool,
    /// Read in order, too
    #[arg(long)]
    scan: bool,
    /// Keys of paxosd.toml, such as sync_inline=true
    #[arg(long, value_name = "KEY=VALUE")]
    key: Vec<String>,
}

/// A node with one long log, and the files that hold it.
struct Rig {
    cluster: Cluster,
    log: LogId,
    files: Vec<PathBuf>,
    size: usize,
    options: Options,
}

/// Measures and prints.
pub fn run(dir: &Path, size: usize, options: &Options) {
    let rig = Rig::filled(dir, size, options);
    let cache = if options.cached { "kept" } else { "dropped before each half" };
    println!(
        "{} entries of {size} B beside {} other logs, in {} files, page cache {cache}; {} connections; machine load {}",
        options.entries,
        options.other_logs,
        rig.files.len(),
        options.connections,
        cost::machine_load()
    );
    println!(
        "{:>5}  {:>11}  {:>9}  {:>6}  {:>7}  {:>7}  {:>8}",
        "round", "bare pread/s", "reads/s", "ratio", "p50 us", "p99 us", "us/read"
    );
    let ratios = (1..=options.rounds).map(|round| rig.random_round(round)).collect();
    println!("median ratio {:.3}; machine load {}", cost::median(ratios), cost::machine_load());
    if options.scan {
        println!("{:>5}  {:>9}  {:>9}  {:>6}", "round", "bare MB/s", "scan MB/s", "ratio");
        let ratios = (1..=options.rounds).map(|round| rig.scan_round(round)).collect();
        println!("median ratio {:.3}; machine load {}", cost::median(ratios), cost::machine_load());
    }
}

impl Rig {
    /// Fills the log, and starts the node anew: nothing of it is in its memory then.
    fn filled(dir: &Path, size: usize, options: &Options) -> Rig {
        let mut cluster = Cluster::laid_out_in(dir, Plan::of(1).keys(&options.key));
        cluster.start_all();
        let fill_others = |cluster: &Cluster| {
            if options.other_logs > 0 {
                let sizes = (options.other_logs, options.other_logs, 1);
                Filling::of("other-", sizes, size).append_to(cluster);
            }
        };
        fill_others(&cluster);
        let log = cluster.client().create("reads").expect("a new cluster has no such log");
        let load = Load::appends(&cluster.endpoint(1), ShardId(0), log, size);
        let mut appends =
            Generator::connect(&[load], options.connections, 16).expect("it takes connections");
        let next = |cluster: &Cluster| {
            cluster.client().stat("reads").expect("the log is there").next_index.0
        };
        while next(&cluster) < options.entries {
            appends.run(Duration::from_secs(1)).expect("the node appends");
        }
        drop(appends);
        fill_others(&cluster);
        cluster.node_mut(1).stop();
        cluster.start_all();
        let folder = cluster.node(1).journal(0);
        let names = std::fs::read_dir(folder).expect("the shard has a folder").flatten();
        let mut files: Vec<PathBuf> = names.map(|file| file.path()).collect();
        files.retain(|path| path.extension().is_some_and(|end| end == "wal"));
        files.sort();
        files.truncate(files.len().saturating_sub(3)); // The last ones may be spares.
        Rig { cluster, log, files, size, options: options.clone() }
    }

    fn time(&self) -> Duration {
        Duration::from_secs(self.options.seconds)
    }

    /// Drops the files from the page cache, or has them in it.
    fn prepare(&self) {
        for path in &self.files {
            let mut file = File::open(path).expect("a segment that nobody removes");
            if self.options.cached {
                io::copy(&mut file, &mut io::sink()).expect("a segment can be read");
            } else {
                rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)
                    .expect("a file system with a page cache");
            }
        }
    }

    /// Reads at random places: bare, and from the node. Returns the ratio.
    fn random_round(&self, round: usize) -> f64 {
        self.prepare();
        let bare = self.bare_random(round);
        self.prepare();
        let loads = (0..self.options.connections).map(|number| {
            let mut random = Random::new((round << 16 | number) as u64);
            let places = (0..PLACES).map(|_| Index(random.below(self.options.entries)));
            Load::reads(&self.cluster.endpoint(1), ShardId(0), self.log, places)
        });
        let loads: Vec<Load> = loads.collect();
        let mut reads = Generator::connect(&loads, loads.len(), 1).expect("it takes connections");
        let pid = self.cluster.node(1).pid();
        let (before, begun) = (cost::processor_time(pid), Instant::now());
        let latencies = reads.run(self.time()).expect("the node answers");
        let (spent, time) = (cost::processor_time(pid) - before, begun.elapsed());
        let ours = latencies.len() as f64 / time.as_secs_f64();
        println!(
            "{round:>5}  {bare:>11.0}  {ours:>9.0}  {:>6.3}  {:>7}  {:>7}  {:>8.1}",
            ours / bare,
            latencies.value_at_quantile(0.5),
            latencies.value_at_quantile(0.99),
            spent.as_micros() as f64 / latencies.len().max(1) as f64
        );
        ours / bare
    }

    /// Bare reads a second, of as many bytes as an entry has, by as many threads as there are connections.
    fn bare_random(&self, round: usize) -> f64 {
        let files: Vec<File> =
            self.files.iter().map(|path| File::open(path).expect("it is there")).collect();
        let bytes = files[0].metadata().expect("an open file").len() - self.size as u64;
        let (begun, end) = (Instant::now(), Instant::now() + self.time());
        let count: u64 = thread::scope(|scope| {
            let reads = |number: usize| {
                let (mut buf, mut count) = (vec![0; self.size], 0);
                let mut random = Random::new((round << 16 | number) as u64);
                while Instant::now() < end {
                    let file = &files[random.below(files.len() as u64) as usize];
                    file.read_exact_at(&mut buf, random.below(bytes))
                        .expect("a segment can be read");
                    count += 1;
                }
                count
            };
            let threads: Vec<_> = (0..self.options.connections)
                .map(|number| scope.spawn(move || reads(number)))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("a thread that reads files it has opened"))
                .sum()
        });
        count as f64 / begun.elapsed().as_secs_f64()
    }

    /// Reads in order: files through a socket, and the log by a client that reads on from where it
    /// ended. Returns the ratio.
    fn scan_round(&self, round: usize) -> f64 {
        self.prepare();
        let bare = bare_scan(&self.files).expect("files and loopback");
        self.prepare();
        let ours = self.scan(&mut self.cluster.client());
        println!("{round:>5}  {bare:>9.0}  {ours:>9.0}  {:>6.3}", ours / bare);
        ours / bare
    }

    /// MB a second.
    fn scan(&self, client: &mut Client) -> f64 {
        let (mut next, mut bytes, begun) = (Index(0), 0, Instant::now());
        while next.0 < self.options.entries {
            let read = client
                .read("reads", next, ReadOptions::default())
                .expect("the node answers, and nothing is trimmed");
            bytes += read.entries.byte_len();
            next = next.plus(u64::from(read.entries.count()));
        }
        bytes as f64 / begun.elapsed().as_secs_f64() / 1e6
    }
}

/// MB a second of files that one thread reads and sends, and another takes.
fn bare_scan(files: &[PathBuf]) -> io::Result<f64> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut takes = TcpStream::connect(listener.local_addr()?)?;
    let (mut sends, _) = listener.accept()?;
    let begun = Instant::now();
    let bytes = thread::scope(|scope| {
        let sender = scope.spawn(move || -> io::Result<()> {
            let mut buf = vec![0; BARE_BYTES];
            for path in files {
                let mut file = File::open(path)?;
                loop {
                    let count = file.read(&mut buf)?;
                    if count == 0 {
                        break;
                    }
                    sends.write_all(&buf[..count])?;
                }
            }
            Ok(())
        });
        let (mut buf, mut bytes) = (vec![0; BARE_BYTES], 0);
        loop {
            match takes.read(&mut buf)? {
                0 => break,
                count => bytes += count,
            }
        }
        sender.join().expect("a thread whose errors are values")?;
        io::Result::Ok(bytes)
    })?;
    Ok(bytes as f64 / begun.elapsed().as_secs_f64() / 1e6)
}
