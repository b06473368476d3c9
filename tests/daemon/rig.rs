//! A daemon in a directory of its own, and a socket to it with nothing in between.

use paxosd::api::entries::Entries;
use paxosd::api::name::LogName;
use paxosd::api::{Append, LogRef, Read as ReadRequest, Reply, Request};
use paxosd::limits::FRAME_BYTES_MAX;
use paxosd::types::{ClusterId, ShardId};
use paxosd::wire::client::hello::{
    Hello, HelloAnswer, HelloReply, VERSION_MAX, VERSION_MIN, read_hello_answer, write_hello,
};
use paxosd::wire::client::{read_reply, write_request};
use paxosd::wire::frame::FrameBuffer;
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::SIGTERM;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;
use tempfile::TempDir;

/// How long an answer may take that a healthy machine gives at once.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The `paxosd` of this build, without what the environment of the tests says.
pub fn paxosd() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_paxosd"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PAXOSD_") {
            command.env_remove(name);
        }
    }
    command.env_remove("JOURNAL_STREAM");
    command
}

/// Runs a command that ends by itself.
pub fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    paxosd().args(arguments).envs(environment.iter().copied()).output().unwrap()
}

/// What a command said on standard error.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A running node.
pub struct Daemon {
    child: Child,
    /// Where it listens for clients.
    pub address: String,
    /// Reads what it logs, where a test asked for that.
    reader: Option<JoinHandle<String>>,
    _dir: Option<TempDir>,
}

impl Daemon {
    /// A daemon with a fresh directory.
    pub fn start(environment: &[(&str, &str)]) -> Daemon {
        let dir = tempfile::tempdir().unwrap();
        let mut daemon = Daemon::start_in(&dir.path().join("data"), environment);
        daemon._dir = Some(dir);
        daemon
    }

    /// A daemon in a directory that outlives it.
    pub fn start_in(dir: &Path, environment: &[(&str, &str)]) -> Daemon {
        Daemon::start_at(dir, &["--listen", "127.0.0.1:0"], environment)
    }

    /// Likewise, with these arguments.
    pub fn start_at(dir: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Daemon {
        let mut child = paxosd()
            .args(["dev", "--dir"])
            .arg(dir)
            .args(arguments)
            .env("PAXOSD_SEGMENT_BYTES", "8388608")
            .env("PAXOSD_MIN_FREE_BYTES", "0")
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
        Daemon { child, address: address.trim().to_string(), reader: None, _dir: None }
    }

    /// A node of a cluster, started with `paxosd run`; where it listens for clients is known.
    pub fn run(file: &str, client: &str, environment: &[(&str, &str)]) -> Daemon {
        let mut command = paxosd();
        command.args(["run", "--config", file]).envs(environment.iter().copied());
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        Daemon { child, address: client.to_string(), reader: None, _dir: None }
    }

    /// Reads its log from here on, so that no line of it is dropped because nobody does.
    pub fn read_log(&mut self) {
        let mut errors = self.child.stderr.take().unwrap();
        self.reader = Some(std::thread::spawn(move || {
            let mut log = String::new();
            errors.read_to_string(&mut log).unwrap();
            log
        }));
    }

    /// Sends a signal.
    pub fn signal(&self, signal: i32) {
        let signal = Signal::from_named_raw(signal).unwrap();
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Its exit code and all that it logged. Ends it first if nobody asked it to.
    pub fn finish(mut self) -> (Option<i32>, String) {
        if self.reader.is_none() {
            self.read_log();
        }
        let log = self.reader.take().unwrap().join().unwrap();
        (self.child.wait().unwrap().code(), log)
    }

    /// Its exit code, without anybody reading what it logged.
    pub fn ended_unread(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// Stops it in order.
    pub fn stop(self) -> (Option<i32>, String) {
        self.signal(SIGTERM);
        self.finish()
    }

    /// Bytes of memory that it holds.
    pub fn memory(&self) -> usize {
        let path = format!("/proc/{}/statm", self.child.id());
        let statm = std::fs::read_to_string(path).unwrap();
        statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
    }

    /// Time that it has spent on processors.
    pub fn processor_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // The name before is in brackets, and may hold blanks.
        let (_, rest) = stat.rsplit_once(") ").unwrap();
        let ticks = |at: usize| rest.split(' ').nth(at).unwrap().parse::<u64>().unwrap();
        // A tick of /proc is a hundredth of a second, whatever the kernel's own is.
        Duration::from_millis((ticks(11) + ticks(12)) * 10)
    }

    /// Sockets that it has open: connections, beside a fixed number of listeners. Files do not count:
    /// the journal opens its spare segments whenever it comes to it.
    pub fn sockets(&self) -> usize {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap();
        let target =
            |entry: std::io::Result<std::fs::DirEntry>| entry.ok()?.path().read_link().ok();
        open.filter_map(target).filter(|to| to.to_string_lossy().starts_with("socket:")).count()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Gone already after `finish`; a test that failed leaves nobody behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A greeting of any cluster.
pub fn hello(shard: u16) -> Hello {
    Hello {
        version_min: VERSION_MIN,
        version_max: VERSION_MAX,
        cluster: ClusterId(0),
        shard: ShardId(shard),
        features: 0,
        credential_kind: 0,
        credential: Vec::new(),
        client: "tests".to_string(),
    }
}

/// A socket to a node.
pub struct Raw {
    pub stream: TcpStream,
    frames: FrameBuffer,
    pending: Vec<u8>,
}

impl Raw {
    /// Connects and says nothing.
    #[track_caller]
    pub fn connect(address: &str) -> Raw {
        Raw::over(TcpStream::connect(address).unwrap())
    }

    /// Over a connection that was made already.
    #[track_caller]
    pub fn over(stream: TcpStream) -> Raw {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut frames = FrameBuffer::new();
        frames.set_limit(FRAME_BYTES_MAX);
        Raw { stream, frames, pending: Vec::new() }
    }

    /// Connects and greets; the node's answer.
    #[track_caller]
    pub fn greet(address: &str, hello: &Hello) -> (Raw, HelloAnswer) {
        let mut raw = Raw::connect(address);
        let mut bytes = Vec::new();
        write_hello(&mut bytes, 1, hello);
        raw.stream.write_all(&bytes).unwrap();
        let answer = raw.next(|frame| read_hello_answer(frame).unwrap()).expect("an answer");
        (raw, answer)
    }

    /// Connects and is welcome.
    #[track_caller]
    pub fn open(address: &str, shard: u16) -> (Raw, HelloReply) {
        match Raw::greet(address, &hello(shard)) {
            (raw, HelloAnswer::Welcome(_, reply)) => (raw, reply),
            (_, HelloAnswer::Refused(_, error)) => panic!("refused: {error}"),
        }
    }

    /// Sends bytes.
    #[track_caller]
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Asks and waits for the answer.
    #[track_caller]
    pub fn ask(&mut self, correlation: u64, request: &Request) -> Reply {
        let mut bytes = Vec::new();
        write_request(&mut bytes, correlation, request);
        self.send(&bytes);
        let (answered, reply) = self.reply().expect("an answer");
        assert_eq!(answered, correlation);
        reply
    }

    /// Asks until a leader is there to answer.
    #[track_caller]
    pub fn ask_leader(&mut self, request: &Request) -> Reply {
        for correlation in 1000.. {
            match self.ask(correlation, request) {
                Reply::Error(error) if error.retry_after_ms > 0 => {}
                reply => return reply,
            }
        }
        unreachable!("correlations do not run out")
    }

    /// The next reply and its correlation; none when the node closed the connection.
    #[track_caller]
    pub fn reply(&mut self) -> Option<(u64, Reply)> {
        self.next(|frame| (frame.correlation, read_reply(frame).unwrap().1))
    }

    /// Reads until the node closes the connection; fails if it does not.
    #[track_caller]
    pub fn expect_closed(&mut self) {
        let mut rest = [0; 4096];
        loop {
            match self.stream.read(&mut rest) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return,
                // A child of the test stopped or went on meanwhile.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("the connection is still open: {error}"),
            }
        }
    }

    /// The next frame.
    #[track_caller]
    pub fn next<T>(&mut self, take: impl Fn(&paxosd::wire::frame::Frame<'_>) -> T) -> Option<T> {
        let mut chunk = vec![0; 256 << 10];
        loop {
            let bytes = std::mem::take(&mut self.pending);
            let mut input = &bytes[..];
            let taken = self.frames.next(&mut input).unwrap().map(|frame| take(&frame));
            self.pending = input.to_vec();
            if taken.is_some() {
                return taken;
            }
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(count) => self.pending = chunk[..count].to_vec(),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("no answer: {error}"),
            }
        }
    }
}

/// The log of that name.
pub fn log(name: &str) -> LogRef {
    LogRef::Name(LogName::new(name).unwrap())
}

/// Appends one entry, creating the log where needed.
pub fn append(name: &str, data: &[u8]) -> Request {
    Request::Append(Append {
        log: log(name),
        expect: None,
        chain: 0,
        create: true,
        entries: Entries::from_slices([data]).unwrap(),
    })
}

/// Reads as much as a node gives, from the first entry on.
pub fn read(name: &str) -> Request {
    Request::Read(ReadRequest {
        log: log(name),
        from: paxosd::types::Index(0),
        max_entries: 0,
        max_bytes: 0,
        wait_ms: 0,
        consistency: paxosd::api::Consistency::Linearizable,
    })
}
