//! What a process takes over from whoever started it, set to what a node relies on: signals that may
//! be blocked, files that may not grow, a umask, few descriptors. Standard streams that are closed are
//! opened on `/dev/null` by Rust's runtime, which ignores SIGPIPE as well.

use crate::daemon::exit::{FatalError, NodeExit};
use nix::sys::signal::SigSet;
use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, umask};
use signal_hook::consts::SIGXFSZ;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What this user alone may do: data are nobody else's.
const PRIVATE: Mode = Mode::RWXG.union(Mode::RWXO);

/// Lets all signals in that the parent had blocked. Called before there is a second thread, which
/// would keep the mask of the first.
///
/// # Errors
/// Whatever the system says.
pub fn unblock_signals() -> io::Result<()> {
    Ok(SigSet::empty().thread_set_mask()?)
}

/// Sets all that `paxosd` relies on. Called before there is a second thread.
///
/// # Errors
/// 75: the system refuses.
pub fn apply() -> Result<(), FatalError> {
    unblock_signals().map_err(|error| refused("signals cannot be unblocked", &error))?;
    // A write past the limit of a file's size is an error then, and not the end of the process.
    signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))
        .map_err(|error| refused("SIGXFSZ cannot be caught", &error))?;
    umask(PRIVATE);
    for resource in [Resource::Nofile, Resource::Fsize] {
        raise(resource);
    }
    Ok(())
}

fn refused(what: &str, error: &io::Error) -> FatalError {
    FatalError::new(NodeExit::Temporary, format!("{what}: {error}"))
}

/// Raises a soft limit to the hard one. What comes of it is looked at where it matters.
fn raise(resource: Resource) {
    let Rlimit { maximum, .. } = getrlimit(resource);
    // The system may refuse what is above its own bound; the old limit holds then.
    let _ = setrlimit(resource, Rlimit { current: maximum, maximum });
}

/// The largest file that the process may write; no bound is the largest number.
fn file_bytes_max() -> u64 {
    getrlimit(Resource::Fsize).current.unwrap_or(u64::MAX)
}

/// Checks that files may grow to the size of a segment.
///
/// # Errors
/// 78 where they may not: only who starts the process can change that.
pub fn check_file_size(segment_bytes: u64) -> Result<(), FatalError> {
    let allowed = file_bytes_max();
    if allowed >= segment_bytes {
        return Ok(());
    }
    let text = format!(
        "the system lets no file of this process grow past {allowed} bytes, segment_bytes = \
         {segment_bytes}: raise LimitFSIZE= of the service, or `ulimit -f`"
    );
    Err(FatalError::new(NodeExit::Config, text))
}
