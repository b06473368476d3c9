//! Wakes an event loop, but only one that sleeps: a wake costs a system call, and 50 µs where the
//! other core is idle.

use mio::{Registry, Token, Waker};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Rung by whoever put something into a loop's channels.
#[derive(Clone, Debug)]
pub struct LoopWaker(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    waker: Waker,
    asleep: AtomicBool,
}

impl LoopWaker {
    /// A waker of the loop that polls `registry`.
    ///
    /// # Errors
    /// The system has no more descriptors.
    pub fn new(registry: &Registry, token: Token) -> io::Result<LoopWaker> {
        let waker = Waker::new(registry, token)?;
        Ok(LoopWaker(Arc::new(Inner { waker, asleep: AtomicBool::new(false) })))
    }

    /// Wakes the loop if it sleeps. Call it after the message was put into the channel.
    pub fn ring(&self) {
        if self.0.asleep.swap(false, Ordering::SeqCst)
            && let Err(error) = self.0.waker.wake()
        {
            // The loop still wakes at its next deadline, heartbeats at the latest.
            log::warn!("an event loop could not be woken: {error}");
        }
    }

    /// The loop is about to sleep. It must look at its channels once more after this call: what
    /// was sent before is seen there, and what is sent later rings.
    pub fn falls_asleep(&self) {
        self.0.asleep.store(true, Ordering::SeqCst);
    }

    /// The loop woke, or did not sleep after all.
    pub fn is_awake(&self) {
        self.0.asleep.store(false, Ordering::SeqCst);
    }
}
