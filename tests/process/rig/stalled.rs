//! A disk that stalls: syncs that neither fail nor end.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// Every sync of a process takes for ever, until this is dropped.
#[derive(Debug)]
pub struct Stalled(Child);

impl Stalled {
    /// Stalls the syncs of a process from now on.
    pub fn of(pid: u32) -> Stalled {
        let mut strace = Command::new("strace")
            .args(["-f", "-e", "trace=fdatasync", "-e", "inject=fdatasync:delay_enter=600000000"])
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
        Stalled(strace)
    }
}

impl Drop for Stalled {
    fn drop(&mut self) {
        // The process goes on without its tracer.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
