//! Standard output of `paxosd`.

use crate::daemon::exit::{FatalError, NodeExit};
use std::io::{self, Write};

/// Says on standard output what a command was asked for. A reader that went away has what it
/// wanted.
///
/// # Errors
/// 74 where standard output cannot be written.
pub fn say(text: &str) -> Result<(), FatalError> {
    write(format!("{text}\n").as_bytes())
}

pub fn write(bytes: &[u8]) -> Result<(), FatalError> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(FatalError::new(
            NodeExit::Disk,
            format!("cannot write to standard output: {error}"),
        )),
        Ok(()) | Err(_) => Ok(()),
    }
}
