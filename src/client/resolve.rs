//! An endpoint's addresses, within the time there is.

use super::deadline::Deadline;
use super::error::{Cause, io_cause};
use crate::limits::{ADDRESSES_MAX, RACE_STAGGER_MS};
use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Condvar, LazyLock, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Names that this process has looked up. A resolver that hangs holds up a thread for each name,
/// and not one for each attempt.
static NAMES: LazyLock<Names> = LazyLock::new(|| Names::new(system_lookup));

/// Where a lookup takes longer than this, what the name was last known to be serves meanwhile.
const OVERDUE: Duration = Duration::from_millis(RACE_STAGGER_MS);

/// The addresses of `endpoint`; none is no error here.
///
/// # Errors
/// [`Cause::Io`] when the system's resolver fails, [`Cause::Silent`] when it takes too long.
pub fn resolve(endpoint: &str, deadline: &Deadline) -> Result<Vec<SocketAddr>, Cause> {
    match endpoint.parse() {
        Ok(address) => Ok(vec![address]),
        Err(_) => NAMES.resolve(endpoint, deadline),
    }
}

type Lookup = fn(&str) -> io::Result<Vec<SocketAddr>>;

fn system_lookup(name: &str) -> io::Result<Vec<SocketAddr>> {
    Ok(name.to_socket_addrs()?.take(ADDRESSES_MAX).collect())
}

/// What is known of each name.
struct Names {
    lookup: Lookup,
    names: Mutex<BTreeMap<String, Arc<Name>>>,
}

/// One name.
#[derive(Default)]
struct Name {
    state: Mutex<State>,
    /// A lookup has ended.
    ended: Condvar,
}

#[derive(Default)]
struct State {
    /// A lookup is under way.
    since: Option<Instant>,
    /// Lookups that have ended.
    ended: u64,
    /// Why the last one failed.
    error: Option<(io::ErrorKind, String)>,
    /// What the last one that did not fail found.
    known: Option<Vec<SocketAddr>>,
}

impl Names {
    fn new(lookup: Lookup) -> Names {
        Names { lookup, names: Mutex::default() }
    }

    /// Waits for a lookup, which is begun unless one is under way.
    fn resolve(&self, endpoint: &str, deadline: &Deadline) -> Result<Vec<SocketAddr>, Cause> {
        if deadline.has_passed() {
            return Err(Cause::NoTime);
        }
        let name = {
            let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(names.entry(endpoint.to_string()).or_default())
        };
        let mut state = name.state.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = match state.since {
            Some(begun) => begun,
            None => {
                self.begin(endpoint, &name)?;
                *state.since.insert(Instant::now())
            }
        };
        let before = state.ended;
        loop {
            if state.ended > before {
                return match (&state.error, &state.known) {
                    (_, Some(known)) => Ok(known.clone()),
                    (Some((kind, text)), None) => {
                        let error = io::Error::new(*kind, text.clone());
                        Err(io_cause("cannot resolve the name", error))
                    }
                    (None, None) => Ok(Vec::new()),
                };
            }
            let Some(left) = deadline.remaining() else {
                return Err(Cause::Silent { waited: deadline.elapsed() });
            };
            let patience = match &state.known {
                Some(known) => match OVERDUE.checked_sub(begun.elapsed()) {
                    Some(patience) => patience.min(left),
                    None => return Ok(known.clone()),
                },
                None => left,
            };
            let waited = name.ended.wait_timeout(state, patience);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Asks the system on a thread of its own, for it takes no deadline. Nobody waits for longer
    /// than there is time: the thread ends by itself.
    fn begin(&self, endpoint: &str, name: &Arc<Name>) -> Result<(), Cause> {
        let (lookup, endpoint, name) = (self.lookup, endpoint.to_string(), Arc::clone(name));
        let ask = move || {
            let found = lookup(&endpoint);
            let mut state = name.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.since = None;
            state.ended += 1;
            match found {
                Ok(found) => (state.known, state.error) = (Some(found), None),
                Err(error) => state.error = Some((error.kind(), error.to_string())),
            }
            name.ended.notify_all();
        };
        let thread = thread::Builder::new().name("resolve".to_string()).spawn(ask);
        thread.map(drop).map_err(|source| io_cause("cannot start a thread", source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// Longer than anything here takes.
    const PATIENCE: Duration = Duration::from_secs(30);

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    /// Lookups of the test below: the first finds something, the second hangs until it is released.
    static LOOKUPS: AtomicU32 = AtomicU32::new(0);
    static RELEASED: AtomicU32 = AtomicU32::new(0);

    fn hangs_the_second_time(_: &str) -> io::Result<Vec<SocketAddr>> {
        match LOOKUPS.fetch_add(1, Ordering::SeqCst) {
            0 => Ok(vec![address("127.0.0.1:1")]),
            1 => {
                while RELEASED.load(Ordering::SeqCst) == 0 {
                    thread::yield_now();
                }
                Ok(vec![address("127.0.0.2:1")])
            }
            _ => Err(io::Error::new(io::ErrorKind::NotFound, "unknown")),
        }
    }

    /// While a resolver hangs, the last known address serves, and no further lookup is begun; one
    /// that fails changes nothing either.
    #[test]
    fn the_last_known_address_serves_meanwhile() {
        let names = Names::new(hangs_the_second_time);
        let ask = || names.resolve("n1:1", &Deadline::after(PATIENCE)).expect("an answer");
        assert_eq!(ask(), [address("127.0.0.1:1")]);
        for _ in 0..3 {
            assert_eq!(ask(), [address("127.0.0.1:1")], "the lookup hangs");
        }
        assert_eq!(LOOKUPS.load(Ordering::SeqCst), 2, "one lookup at a time");
        RELEASED.store(1, Ordering::SeqCst);
        let until = Deadline::after(PATIENCE);
        while names.names.lock().expect("sound")["n1:1"].state.lock().expect("sound").ended < 2 {
            assert!(!until.has_passed(), "the lookup does not end");
            thread::yield_now();
        }
        assert_eq!(ask(), [address("127.0.0.2:1")], "a failed lookup forgets nothing");
    }

    /// Without an earlier answer, nobody waits for longer than there is time.
    #[test]
    fn a_lookup_that_hangs_keeps_to_the_deadline() {
        let names = Names::new(|_| {
            loop {
                thread::park();
            }
        });
        let answer = names.resolve("n1:1", &Deadline::after(Duration::from_millis(20)));
        assert!(matches!(answer, Err(Cause::Silent { .. })), "{answer:?}");
    }
}
