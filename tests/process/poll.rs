//! Waiting for facts: the one place where tests of processes sleep.

use std::thread;
use std::time::{Duration, Instant};

/// How long a fact may take that a healthy machine sees at once: cores are shared, disks stall.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// Waits until `look` finds something, and returns it.
///
/// # Panics
/// When it finds nothing within [`PATIENCE`].
#[track_caller]
pub fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    match within(PATIENCE, look) {
        Some(found) => found,
        None => panic!("after {PATIENCE:?} still not: {what}"),
    }
}

/// Waits until `look` finds something, but no longer than that.
pub fn within<T>(time: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + time;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() >= deadline {
            return None;
        }
        thread::sleep(PAUSE);
    }
}

/// Lets time pass, where the passing of time is what is tested.
pub fn pass(time: Duration) {
    thread::sleep(time);
}
