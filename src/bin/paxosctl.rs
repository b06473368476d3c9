//! The paxosctl command line client. The commands live in `ctl/`.

use rustix::io::{Errno, fcntl_getfd};
use rustix::stdio::stdout;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

/// Standard output was closed when the process began.
static STDOUT_WAS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Looks whether standard output is open, before Rust's runtime opens /dev/null in its place: an index
/// that nobody gets must not pass for printed.
extern "C" fn look() {
    let closed = fcntl_getfd(stdout()) == Err(Errno::BADF);
    STDOUT_WAS_CLOSED.store(closed, Ordering::Relaxed);
}

/// What the loader calls before `main`.
#[used]
#[allow(
    unsafe_code,
    reason = "the section holds pointers to functions that take what the loader gives and return \
              nothing; this one is such a pointer, and the function needs no part of the runtime"
)]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = look;

fn main() -> ExitCode {
    let stdout_is_open = !STDOUT_WAS_CLOSED.load(Ordering::Relaxed);
    ExitCode::from(paxosd::ctl::main(std::env::args_os(), stdout_is_open))
}
