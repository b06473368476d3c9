//! One `paxosd` process: started, signalled, watched, and killed when the test lets go of it.

use super::poll;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// Lines of a node's log that a failed test shows.
const LINES_SHOWN: usize = 40;

/// A node of a cluster, running or not.
#[derive(Debug)]
pub struct Node {
    /// Its id.
    pub id: u16,
    folder: PathBuf,
    process: Option<Child>,
    paused: bool,
}

/// A command without anything of this process's environment that could change what it does.
pub fn clean_command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().stdin(Stdio::null());
    for kept in ["PATH", "TMPDIR", "RUST_BACKTRACE", "LLVM_PROFILE_FILE"] {
        if let Some(value) = std::env::var_os(kept) {
            command.env(kept, value);
        }
    }
    command
}

impl Node {
    /// A node whose files lie in `folder`, not started.
    pub fn new(id: u16, folder: PathBuf) -> Node {
        Node { id, folder, process: None, paused: false }
    }

    /// Its configuration.
    pub fn config(&self) -> PathBuf {
        self.folder.join("paxosd.toml")
    }

    /// Its data directory.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Its journal of one shard.
    pub fn journal(&self, shard: u16) -> PathBuf {
        self.data().join(format!("shard-{shard:03}"))
    }

    /// What it logged, in all its lives.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.log_path()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The end of what it logged.
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n")
    }

    fn log_path(&self) -> PathBuf {
        self.folder.join("paxosd.log")
    }

    /// `paxosd WORD --config …`, its output in the node's log.
    pub fn command(&self, word: &str) -> Command {
        self.command_under(&[], word)
    }

    /// Likewise, as the arguments of another program.
    fn command_under(&self, other: &[&str], word: &str) -> Command {
        let log = OpenOptions::new().create(true).append(true).open(self.log_path());
        let log = log.expect("the test's own folder takes a file");
        let errors = log.try_clone().expect("a file just opened can be shared");
        let words = [other, &[env!("CARGO_BIN_EXE_paxosd"), word]].concat();
        let mut command = clean_command(words[0]);
        command.args(&words[1..]).arg("--config").arg(self.config()).stdout(log).stderr(errors);
        command
    }

    /// Starts it; it need not be ready when this returns.
    #[track_caller]
    pub fn start(&mut self) {
        self.start_under(&[]);
    }

    /// Likewise, by a program that becomes it.
    #[track_caller]
    pub fn start_under(&mut self, other: &[&str]) {
        assert!(self.process.is_none(), "node {} runs already", self.id);
        let process = self.command_under(other, "run").spawn();
        self.process = Some(process.expect("paxosd was built and can be started"));
        self.paused = false;
    }

    /// True when it was started and neither killed nor stopped since; it may be paused.
    pub fn is_started(&self) -> bool {
        self.process.is_some()
    }

    /// True while it is frozen.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Its process id.
    #[track_caller]
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("only a started node has a process").id()
    }

    /// Sends it a signal.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        let pid = pid.expect("the system gave this process id");
        // A process that ended and was not waited for yet still takes signals, so this is ours.
        kill_process(pid, signal).expect("a child can be signalled");
    }

    /// `kill -9`: it ends without a chance to do anything.
    #[track_caller]
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.wait();
    }

    /// Asks it to stop in order, and waits until it has; returns how it ended.
    #[track_caller]
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Freezes it.
    #[track_caller]
    pub fn pause(&mut self) {
        self.signal(Signal::STOP);
        self.paused = true;
    }

    /// Lets it go on.
    #[track_caller]
    pub fn resume(&mut self) {
        self.signal(Signal::CONT);
        self.paused = false;
    }

    /// Waits until it has ended by itself or on a signal.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let id = self.id;
        poll::until(&format!("node {id} has ended"), || self.ended())
    }

    /// Waits until it has ended, but no longer than that.
    pub fn wait_within(&mut self, time: Duration) -> Option<ExitStatus> {
        poll::within(time, || self.ended())
    }

    /// How it ended, if it has.
    #[track_caller]
    pub fn ended(&mut self) -> Option<ExitStatus> {
        let process = self.process.as_mut().expect("only a started node can end");
        let status = process.try_wait().expect("a child can be asked for its end")?;
        self.process = None;
        self.paused = false;
        Some(status)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // A frozen process dies of this as well; it has ended at worst.
            let _ended_at_worst = process.kill();
            let _ended_now = process.wait();
        }
    }
}

/// Files below a folder whose names begin like that, in order.
pub fn files(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
    let named = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix))
    };
    let mut found: Vec<PathBuf> = paths.filter(named).collect();
    found.sort();
    found
}
