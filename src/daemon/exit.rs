//! How the process ends: exit codes, and the promise that nothing leaves the node after a failure.

use crate::types::FailureKind;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

/// Why the process ended, as systemd and scripts see it (the numbers of `sysexits.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum NodeExit {
    /// Wrong arguments.
    Usage = 64,
    /// Damaged or foreign data: a restart does not help.
    Data = 65,
    /// A broken invariant (R25).
    Invariant = 70,
    /// A disk failure (R01).
    Disk = 74,
    /// A failure that may pass: a restart may help.
    Temporary = 75,
    /// A faulty configuration.
    Config = 78,
}

impl NodeExit {
    /// The exit code.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl From<FailureKind> for NodeExit {
    fn from(kind: FailureKind) -> NodeExit {
        match kind {
            FailureKind::Data => NodeExit::Data,
            FailureKind::Invariant => NodeExit::Invariant,
            FailureKind::Disk => NodeExit::Disk,
            FailureKind::Temporary => NodeExit::Temporary,
        }
    }
}

/// The end of the process, with a sentence that says what happened and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct FatalError {
    /// How the process ends.
    pub exit: NodeExit,
    /// What happened.
    pub text: String,
}

impl FatalError {
    /// A failure.
    #[must_use]
    pub fn new(exit: NodeExit, text: impl fmt::Display) -> FatalError {
        FatalError { exit, text: text.to_string() }
    }

    /// The last words of a node, where logging has begun; they are out when this returns.
    pub fn say(&self) {
        if log::log_enabled!(log::Level::Error) {
            // Not a log line: it must not be dropped, and must be out before the process ends.
            crate::daemon::log::logger::last_words(&format!("{self} (exit {})", self.exit.code()));
        } else {
            crate::daemon::log::logger::complain(&self.text);
        }
    }
}

/// Set once, before the process ends on a failure: no thread writes to a socket afterwards (R01).
static SILENCED: AtomicBool = AtomicBool::new(false);

/// True once the process is about to end on a failure: nothing may leave the node any more.
#[must_use]
pub fn silenced() -> bool {
    SILENCED.load(Ordering::Acquire)
}

/// Ends the whole process at once, from any thread. Nothing leaves the node afterwards, no retry.
pub fn die(failure: &FatalError) -> ! {
    SILENCED.store(true, Ordering::Release);
    failure.say();
    std::process::exit(i32::from(failure.exit.code()))
}

/// Makes a panic in any thread end the process with exit 70 (R25): a thread that is gone while
/// the others go on would be a node that half lives.
pub fn install_panic_hook() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("unnamed");
        die(&FatalError::new(NodeExit::Invariant, format!("thread {name}: {panic}")));
    }));
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::process::Command;

    /// Set for the processes of their own that some tests need: they end, or fall silent for good.
    pub const ALONE: &str = "DAEMON_TEST_ALONE";

    /// Runs one test of this binary in a process of its own.
    pub fn alone(test: &str) -> std::process::Output {
        Command::new(std::env::current_exe().expect("own path"))
            .args(["--exact", test, "--nocapture"])
            .env(ALONE, "1")
            .env("RUST_BACKTRACE", "0")
            .output()
            .expect("runs")
    }

    /// Ends nothing, but lets nothing leave this process any more.
    pub fn fall_silent() {
        SILENCED.store(true, Ordering::Release);
    }

    /// The body of the test below, which runs it in a process of its own.
    #[test]
    fn panics_in_a_thread() {
        if std::env::var_os(ALONE).is_none() {
            return;
        }
        install_panic_hook();
        let thread = std::thread::Builder::new().name("shard-0".into());
        let _ = thread.spawn(|| panic!("chosen=5 applied=6")).expect("spawned").join();
        std::process::exit(0);
    }

    /// R25: a panic in any thread ends the whole process with exit 70.
    #[test]
    fn r25_panic_in_a_thread_ends_the_process() {
        let output = alone("daemon::exit::tests::panics_in_a_thread");
        assert_eq!(output.status.code(), Some(70), "{output:?}");
    }
}
