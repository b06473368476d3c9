//! An endpoint's addresses, within the time there is.

use super::deadline::Deadline;
use super::error::Cause;
use super::link::io_cause;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;

/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;

/// The addresses of `endpoint`; none is no error here.
///
/// # Errors
/// [`Cause::Io`] when the system's resolver fails, [`Cause::Silent`] when it takes too long.
pub fn resolve(endpoint: &str, deadline: &Deadline) -> Result<Vec<SocketAddr>, Cause> {
    if let Ok(address) = endpoint.parse() {
        return Ok(vec![address]);
    }
    let Some(left) = deadline.remaining() else { return Err(Cause::NoTime) };
    let (answer, answered) = channel();
    let name = endpoint.to_string();
    // The system's resolver takes no deadline. Nobody waits for a thread that it keeps for longer
    // than there is time: it ends by itself.
    let ask = move || {
        let found = name.to_socket_addrs().map(|all| all.take(ADDRESSES_MAX).collect());
        let _nobody_waits_any_more = answer.send(found);
    };
    thread::Builder::new()
        .name("resolve".to_string())
        .spawn(ask)
        .map_err(|source| io_cause("cannot start a thread", source))?;
    match answered.recv_timeout(left) {
        Ok(found) => found.map_err(|source| io_cause("cannot resolve the name", source)),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
            Err(Cause::Silent { waited: deadline.elapsed() })
        }
    }
}
