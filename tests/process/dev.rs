//! `paxosd dev`: one node, without a configuration.

use crate::rig::ctl::Ran;
use crate::rig::node::clean_command;
use crate::rig::poll;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A node that runs.
#[derive(Debug)]
pub struct Dev {
    process: Child,
    endpoint: String,
}

/// `paxosd dev` on that directory, at a free port, with small files.
pub fn command(data: &Path) -> Command {
    let mut command = clean_command(env!("CARGO_BIN_EXE_paxosd"));
    command.arg("dev").arg("--dir").arg(data).args(["--listen", "127.0.0.1:0"]);
    command
        .env("PAXOSD_SEGMENT_BYTES", "1048576")
        .env("PAXOSD_APPEND_BYTES_MAX", "65536")
        .env("PAXOSD_ENTRY_BYTES_MAX", "32768")
        .env("PAXOSD_MIN_FREE_BYTES", "0");
    command
}

/// Starts one that must not start; returns how it ended.
#[track_caller]
pub fn refused(data: &Path) -> Ran {
    let mut command = command(data);
    let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let ended = poll::within(poll::PATIENCE, || process.try_wait().unwrap());
    if ended.is_none() {
        process.kill().unwrap();
    }
    let output = process.wait_with_output().unwrap();
    Ran::new(format!("{command:?}"), &output)
}

impl Dev {
    /// Starts one, and waits until it says where it listens.
    #[track_caller]
    pub fn start(data: &Path) -> Dev {
        let mut process = command(data).stdout(Stdio::piped()).spawn().unwrap();
        let mut endpoint = String::new();
        let out = process.stdout.take().unwrap();
        BufReader::new(out).read_line(&mut endpoint).unwrap();
        let endpoint = endpoint.trim().to_string();
        assert!(endpoint.starts_with("127.0.0.1:"), "dev says {endpoint:?}");
        let dev = Dev { process, endpoint };
        dev.ctl(&["wait", "--quorum", "--timeout", "30"]);
        dev
    }

    /// What `paxosctl` prints, which must succeed.
    #[track_caller]
    pub fn ctl(&self, arguments: &[&str]) -> String {
        let mut command = clean_command(env!("CARGO_BIN_EXE_paxosctl"));
        command.env("PAXOSCTL_ENDPOINTS", &self.endpoint).args(arguments);
        Ran::new(format!("{command:?}"), &command.output().unwrap()).expect(0).out
    }

    /// Stops it in order; returns its exit code.
    #[track_caller]
    pub fn stop(mut self) -> Option<i32> {
        let pid = Pid::from_raw(i32::try_from(self.process.id()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        poll::until("dev has ended", || self.process.try_wait().unwrap()).code()
    }

    /// Kills it.
    #[track_caller]
    pub fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ended_at_worst = self.process.kill();
        let _ended_now = self.process.wait();
    }
}
