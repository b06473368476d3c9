//! Disks that stall or fail, by what is put between a process and the system.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// A process whose syncs are tampered with, until this is dropped.
#[derive(Debug)]
pub struct Injected(Child);

impl Injected {
    /// Its syncs take for ever.
    pub fn stalled(pid: u32) -> Injected {
        Injected::attach(pid, "delay_enter=600000000")
    }

    /// In each of its threads, the sync of this number from now on fails, and so does what follows.
    pub fn failing(pid: u32, number: u32) -> Injected {
        Injected::attach(pid, &format!("error=EIO:when={number}+"))
    }

    fn attach(pid: u32, how: &str) -> Injected {
        let mut strace = Command::new("strace")
            .args(["-f", "-e", "trace=fdatasync", "-e", &format!("inject=fdatasync:{how}")])
            .args(["-p", &pid.to_string()])
            .stderr(Stdio::piped())
            .spawn()
            .expect("strace is installed; .ci/run tools does it");
        let errors = strace.stderr.take().expect("asked for right above");
        let mut said = BufReader::new(errors).lines();
        let first = said.next().and_then(Result::ok).expect("strace says what it attached to");
        assert!(first.contains("attached"), "{first}");
        // Read to the end, or it would stall itself.
        std::thread::spawn(move || said.count());
        Injected(strace)
    }
}

impl Drop for Injected {
    fn drop(&mut self) {
        // The process goes on without its tracer.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
