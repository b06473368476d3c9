//! Ending in order: a signal, or a reader that went away, ends the reading of standard input, and
//! what is under way is waited for and reported.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;
use signal_hook::SigId;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::low_level::{pipe, unregister};
use std::cell::Cell;
use std::ffi::c_int;
use std::io::{self, Read};
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Why reading ends before the input does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halt {
    /// A signal asked for it.
    Signal(c_int),
    /// Nobody reads standard output any more.
    OutputClosed,
}

/// What a poll says of an output that nobody reads any more.
const GONE: PollFlags = PollFlags::ERR.union(PollFlags::HUP);

/// True for a pipe or a connection whose reader has gone away.
#[must_use]
pub fn is_gone(output: BorrowedFd<'_>) -> bool {
    // Errors are reported unasked.
    let mut watched = [PollFd::from_borrowed_fd(output, PollFlags::empty())];
    let looked = poll(&mut watched, Some(&Timespec::default()));
    looked.is_ok() && watched[0].revents().intersects(GONE)
}

/// The name of a signal that is caught.
#[must_use]
pub fn signal_name(signal: c_int) -> &'static str {
    match signal {
        SIGINT => "SIGINT",
        SIGTERM => "SIGTERM",
        SIGHUP => "SIGHUP",
        _ => "a signal",
    }
}

/// Signals that ask the process to end, caught: the first is noted, the second ends the process as
/// it would without this. Caught for as long as the value lives.
#[derive(Debug)]
struct Signals {
    caught: Arc<AtomicUsize>,
    wake: UnixStream,
    registered: Vec<SigId>,
}

impl Signals {
    fn catch() -> io::Result<Signals> {
        let (wake, write) = UnixStream::pair()?;
        let mut signals =
            Signals { caught: Arc::new(AtomicUsize::new(0)), wake, registered: Vec::new() };
        let again = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            let number = usize::try_from(signal).expect("signals have positive numbers");
            // In this order, so that only the second one finds the flag up.
            let each = [
                flag::register_conditional_default(signal, Arc::clone(&again)),
                flag::register(signal, Arc::clone(&again)),
                flag::register_usize(signal, Arc::clone(&signals.caught), number),
                pipe::register(signal, write.try_clone()?),
            ];
            for id in each {
                signals.registered.push(id?);
            }
        }
        Ok(signals)
    }

    fn first(&self) -> Option<c_int> {
        c_int::try_from(self.caught.load(Ordering::SeqCst)).ok().filter(|signal| *signal != 0)
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for id in self.registered.drain(..) {
            unregister(id);
        }
    }
}

/// An input that ends early where there is a reason to. Each read first waits until there is
/// something to read, or such a reason.
pub struct Stoppable<'a> {
    inner: &'a mut dyn Read,
    /// Where `inner` reads from.
    input: BorrowedFd<'a>,
    /// Where the results go.
    output: BorrowedFd<'a>,
    signals: Signals,
    output_closed: Cell<bool>,
}

impl<'a> Stoppable<'a> {
    /// An input that ends when a signal comes, or when `output` is a pipe that nobody reads any more.
    ///
    /// # Errors
    /// When the signals cannot be caught.
    pub fn new(
        inner: &'a mut dyn Read,
        input: BorrowedFd<'a>,
        output: BorrowedFd<'a>,
    ) -> io::Result<Stoppable<'a>> {
        let output_closed = Cell::new(false);
        Ok(Stoppable { inner, input, output, signals: Signals::catch()?, output_closed })
    }

    /// Why the input ended early, if it did or is about to.
    #[must_use]
    pub fn halt(&self) -> Option<Halt> {
        match self.signals.first() {
            Some(signal) => Some(Halt::Signal(signal)),
            None => self.output_closed.get().then_some(Halt::OutputClosed),
        }
    }

    /// Waits until something can be read, or until nothing more is to be.
    fn wait(&self) -> io::Result<()> {
        while self.halt().is_none() {
            let mut watched = [
                PollFd::from_borrowed_fd(self.input, PollFlags::IN),
                PollFd::new(&self.signals.wake, PollFlags::IN),
                // Errors are reported unasked: a pipe has one when its reader is gone.
                PollFd::from_borrowed_fd(self.output, PollFlags::empty()),
            ];
            match poll(&mut watched, None) {
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            let [input, _, output] = watched.map(|watched| watched.revents());
            if output.intersects(GONE) {
                self.output_closed.set(true);
            }
            if !input.is_empty() {
                break;
            }
        }
        Ok(())
    }
}

impl Read for Stoppable<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.wait()?;
        if self.halt().is_some() { Ok(0) } else { self.inner.read(buffer) }
    }
}
