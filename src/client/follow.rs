//! A log as an iterator, which waits at its end for what comes next.

use super::api::ReadOptions;
use super::core::{Client, Target};
use super::error::ClientError;
use super::options::ToLog;
use crate::api::entries::{Entries, IntoEntries};
use crate::api::{Consistency, LogRef};
use crate::types::Index;
use std::iter::FusedIterator;
use std::time::{Duration, Instant};

/// How a log is followed; the default is linearizable and never ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FollowOptions {
    /// How fresh the entries must be.
    pub consistency: Consistency,
    /// End when no entry came for so long: with zero at the log's end. None for never.
    pub idle: Option<Duration>,
}

/// The entries of one log in order, each with its index, as they come.
///
/// It follows one log and no other: once it has found the log by its name it goes by its id, so
/// that one which is deleted is missed, and one created anew in its place is not mixed up with it.
///
/// A failure is handed out, and the next call goes on at the same entry: whoever wants to wait for
/// longer than an operation may take ([`super::ClientOptions::timeout`]) just goes on. Nothing is
/// left out and nothing comes twice.
#[derive(Debug)]
pub struct Follow {
    /// A client of its own, with its own connection.
    client: Client,
    log: LogRef,
    options: FollowOptions,
    /// Index of the next entry that is handed out.
    next: Index,
    /// What was read and not handed out.
    read: IntoEntries,
    /// No entry came for the time in which one had to.
    ended: bool,
}

impl Client {
    /// Iterates over the entries of a log from `from` on, with a connection of its own. Nothing is
    /// asked before the first entry is wanted.
    ///
    /// # Errors
    /// [`ClientError`] when the name cannot be one.
    pub fn follow(
        &mut self,
        log: &(impl ToLog + ?Sized),
        from: Index,
        options: FollowOptions,
    ) -> Result<Follow, ClientError> {
        let (log, shard) = self.place("read log", log)?;
        let target = match options.consistency {
            Consistency::Linearizable => Target::Leader,
            Consistency::Local => Target::Any,
        };
        let client = self.fork(shard, target);
        let read = Entries::new().into_iter();
        Ok(Follow { client, log, options, next: from, read, ended: false })
    }
}

impl Follow {
    /// Returns the index of the next entry: where to go on in another process.
    #[must_use]
    pub fn next_index(&self) -> Index {
        self.next
    }

    /// Waits until there are entries to hand out, or until none came for the time in which one had
    /// to.
    fn fill(&mut self) -> Result<(), ClientError> {
        // A node that has gone silent costs this much and the time of one attempt.
        let patience = self.client.options.attempt_timeout;
        let begun = Instant::now();
        loop {
            let left = self.options.idle.map(|idle| idle.saturating_sub(begun.elapsed()));
            let wait = left.map_or(patience, |left| left.min(patience));
            let consistency = self.options.consistency;
            let options = ReadOptions { wait, consistency, ..ReadOptions::default() };
            let done = self.client.read(&self.log, self.next, options)?;
            self.log = LogRef::Id(done.id);
            if !done.entries.is_empty() {
                self.read = done.entries.into_iter();
                return Ok(());
            }
            if self.options.idle.is_some_and(|idle| begun.elapsed() >= idle) {
                self.ended = true;
                return Ok(());
            }
        }
    }
}

impl Iterator for Follow {
    type Item = Result<(Index, Vec<u8>), ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.read.len() == 0
            && !self.ended
            && let Err(error) = self.fill()
        {
            return Some(Err(error));
        }
        let data = self.read.next()?;
        let index = self.next;
        self.next = index.next();
        Some(Ok((index, data)))
    }
}

impl FusedIterator for Follow {}
