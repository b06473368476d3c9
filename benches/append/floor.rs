//! The floor: a replicated append without a protocol, on this machine, now. One leader and two
//! followers, each a process with a zero-written file; the leader forwards the bytes while it syncs
//! its own, and answers when two of the three disks have them. With one append at a time nothing
//! that replicates to a majority can be faster.

use crate::cost::{self, Quantiles};
use clap::Args;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, Instant};

/// Size of each process's file, which is written round and round.
const FILE_BYTES: u64 = 64 << 20;
/// Disks that must have an append before it is answered.
const QUORUM: usize = 2;

/// How long the floor is measured.
#[derive(Debug, Args)]
pub struct Options {
    /// Seconds
    #[arg(long, default_value_t = 5)]
    seconds: u64,
}

/// What one process of the floor is.
#[derive(Debug, Args)]
pub struct Part {
    /// Its file
    file: PathBuf,
    /// Bytes of an append
    bytes: usize,
    /// Ports of the followers, if it is the leader
    followers: Vec<u16>,
}

/// Three processes that wait for appends; they end when this is dropped.
#[derive(Debug)]
pub struct Floor {
    client: TcpStream,
    entry: Vec<u8>,
    processes: Vec<Child>,
    _folder: tempfile::TempDir,
}

impl Floor {
    /// Starts the processes; their files are written with zeros first.
    pub fn start(dir: &Path, size: usize) -> io::Result<Floor> {
        let folder = tempfile::Builder::new().prefix("floor-").tempdir_in(dir)?;
        let mut processes = Vec::new();
        let mut spawn = |name: &str, followers: &[u16]| {
            let mut command = Command::new(std::env::current_exe()?);
            command.arg("floor-process").arg(folder.path().join(name)).arg(size.to_string());
            command.args(followers.iter().map(u16::to_string)).stdout(Stdio::piped());
            let mut child = command.spawn()?;
            let out = child.stdout.take().expect("standard output is a pipe");
            processes.push(child);
            let mut port = String::new();
            BufReader::new(out).read_line(&mut port)?;
            port.trim().parse::<u16>().map_err(io::Error::other)
        };
        let followers = [spawn("follower-1", &[])?, spawn("follower-2", &[])?];
        let leader = spawn("leader", &followers)?;
        let client = connect(leader)?;
        Ok(Floor { client, entry: vec![7; size], processes, _folder: folder })
    }

    /// Appends one after the other for that long.
    pub fn measure(&mut self, time: Duration) -> io::Result<Quantiles> {
        let mut latencies = cost::latencies();
        let end = Instant::now() + time;
        let mut byte = [0];
        loop {
            let sent = Instant::now();
            if sent >= end {
                return Ok(Quantiles::of(&latencies));
            }
            self.client.write_all(&self.entry)?;
            self.client.read_exact(&mut byte)?;
            cost::record(&mut latencies, sent.elapsed());
        }
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        for child in &mut self.processes {
            let _ended_at_worst = child.kill();
            let _ended_now = child.wait();
        }
    }
}

/// Measures the floor alone.
pub fn run(dir: &Path, size: usize, options: &Options) {
    let mut floor = Floor::start(dir, size).expect("the floor's processes start");
    let mut measure = |seconds| {
        floor.measure(Duration::from_secs(seconds)).expect("the floor's processes answer")
    };
    measure(1);
    println!("floor, {size} B: {}", measure(options.seconds));
}

/// Runs one process until its client is gone.
pub fn process(part: &Part) {
    let ended = match part.followers.is_empty() {
        true => follower(part),
        false => leader(part),
    };
    if let Err(error) = ended {
        eprintln!("floor: {}: {error}", part.file.display());
        std::process::exit(1);
    }
}

/// A file that was written with zeros from end to end before it is used.
struct Disk {
    file: File,
    at: u64,
}

impl Disk {
    fn create(path: &Path) -> io::Result<Disk> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        let zeros = vec![0; 1 << 20];
        for at in (0..FILE_BYTES).step_by(zeros.len()) {
            file.write_all_at(&zeros, at)?;
        }
        file.sync_all()?;
        Ok(Disk { file, at: 0 })
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.at + bytes.len() as u64 > FILE_BYTES {
            self.at = 0;
        }
        self.file.write_all_at(bytes, self.at)?;
        self.at += bytes.len() as u64;
        self.file.sync_data()
    }
}

fn connect(port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Says its port, and waits for the one who connects.
fn accept() -> io::Result<TcpStream> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("{}", listener.local_addr()?.port());
    let (stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn follower(part: &Part) -> io::Result<()> {
    let mut disk = Disk::create(&part.file)?;
    let mut leader = accept()?;
    let mut bytes = vec![0; part.bytes];
    while leader.read_exact(&mut bytes).is_ok() {
        disk.append(&bytes)?;
        if leader.write_all(&[1]).is_err() {
            break;
        }
    }
    Ok(())
}

fn leader(part: &Part) -> io::Result<()> {
    let (durable, acknowledged) = mpsc::channel();
    let mut followers = Vec::new();
    for port in &part.followers {
        let stream = connect(*port)?;
        listen(stream.try_clone()?, durable.clone());
        followers.push(stream);
    }
    let (jobs, work) = mpsc::channel::<Vec<u8>>();
    let mut disk = Disk::create(&part.file)?;
    thread::spawn(move || {
        for (round, bytes) in (1..).zip(work) {
            disk.append(&bytes).expect("without its disk the floor shows nothing");
            let _gone_at_the_end = durable.send(round);
        }
    });
    let mut client = accept()?;
    let mut bytes = vec![0; part.bytes];
    for round in 1u64.. {
        if client.read_exact(&mut bytes).is_err() {
            break;
        }
        for follower in &mut followers {
            follower.write_all(&bytes)?;
        }
        let sent = jobs.send(bytes.clone());
        sent.expect("the disk's thread lives as long as its channel");
        let mut disks = 0;
        while disks < QUORUM {
            let durable: u64 = acknowledged.recv().map_err(io::Error::other)?;
            disks += usize::from(durable == round);
        }
        client.write_all(&[1])?;
    }
    Ok(())
}

/// Counts a follower's answers.
fn listen(mut follower: TcpStream, durable: Sender<u64>) {
    thread::spawn(move || {
        let mut byte = [0];
        for round in 1u64.. {
            if follower.read_exact(&mut byte).is_err() || durable.send(round).is_err() {
                break;
            }
        }
    });
}
