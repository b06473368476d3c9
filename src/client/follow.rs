//! A log as an iterator, which waits at its end for what comes next.

use super::api::ReadOptions;
use super::core::{Client, Target};
use super::error::ClientError;
use super::lost::{Gap, GapReason};
use super::options::ToLog;
use crate::api::entries::{Entries, IntoEntries};
use crate::api::{Consistency, LogRef};
use crate::types::Index;
use std::iter::FusedIterator;
use std::time::{Duration, Instant};

/// How a log is followed; the default is linearizable, never ends, and goes on behind gaps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FollowOptions {
    /// How fresh the entries must be.
    pub consistency: Consistency,
    /// End when no entry came for so long: with zero at the log's end. None for never.
    pub idle: Option<Duration>,
    /// What to do where entries were trimmed before they were read, or are lost.
    pub on_gap: OnGap,
}

/// What a follower does that comes to trimmed or lost entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnGap {
    /// Hand out a [`Followed::Gap`], and go on behind it.
    #[default]
    Continue,
    /// Hand out the error `Trimmed` or `Lost`, each time that it is asked.
    Fail,
}

/// What comes next in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Followed {
    /// An entry, and its index.
    Entry(Index, Vec<u8>),
    /// Entries that were trimmed before they were read, or that are lost.
    Gap {
        /// The first of them.
        from: Index,
        /// The index behind the last of them, at which it goes on.
        first: Index,
        /// Why they are gone.
        why: GapReason,
    },
}

/// The entries of one log in order, each with its index, as they come.
///
/// It follows one log and no other: once it has found the log by its name it goes by its id, so
/// that one which is deleted is missed, and one created anew in its place is not mixed up with it.
///
/// A failure is handed out, and the next call goes on at the same entry: whoever wants to wait for
/// longer than an operation may take ([`super::ClientOptions::timeout`]) just goes on. Nothing is
/// left out but what was trimmed or is lost, which is reported ([`Followed::Gap`]), and nothing comes twice.
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
    /// Entries that are gone, and not reported yet.
    gap: Option<Gap>,
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
        Ok(Follow { client, log, options, next: from, read, gap: None, ended: false })
    }
}

impl Follow {
    /// Returns the index of the next entry: where to go on in another process.
    #[must_use]
    pub fn next_index(&self) -> Index {
        self.next
    }

    /// Returns true when the next item is here already: asking for it waits for nobody.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ended || self.gap.is_some() || self.read.len() > 0
    }

    /// Waits for so long at most until the next item is here, and says whether it is.
    ///
    /// # Errors
    /// As the iterator hands them out.
    pub fn wait(&mut self, longest: Duration) -> Result<bool, ClientError> {
        if !self.is_ready() {
            self.fill(Some(longest))?;
        }
        Ok(self.is_ready())
    }

    /// Returns true when the log is sealed and all of its entries were handed out: no other one will come. It is asked
    /// again each time, with the consistency of the reads; while nobody can say it the answer is false.
    pub fn is_at_end(&mut self) -> bool {
        if self.is_ready() {
            return false;
        }
        let stat = match self.options.consistency {
            Consistency::Linearizable => self.client.stat(&self.log),
            Consistency::Local => self.client.stat_local(&self.log),
        };
        // What fails here the next read says.
        stat.is_ok_and(|stat| stat.attributes.sealed && stat.next_index <= self.next)
    }

    /// Waits until there are entries to hand out, or until none came for so long.
    fn fill(&mut self, longest: Option<Duration>) -> Result<(), ClientError> {
        // A node that has gone silent costs this much and the time of one attempt.
        let patience = self.client.options.attempt_timeout;
        let begun = Instant::now();
        loop {
            let left = longest.map(|longest| longest.saturating_sub(begun.elapsed()));
            let wait = left.map_or(patience, |left| left.min(patience));
            let consistency = self.options.consistency;
            let options = ReadOptions { wait, consistency, ..ReadOptions::default() };
            let done = match self.client.read(&self.log, self.next, options) {
                Ok(done) => done,
                Err(error) => match (error.gap(), self.options.on_gap) {
                    (Some(gap), OnGap::Continue) => {
                        self.gap = Some(gap);
                        return Ok(());
                    }
                    (Some(_), OnGap::Fail) | (None, _) => return Err(error),
                },
            };
            self.log = LogRef::Id(done.id);
            if !done.entries.is_empty() {
                self.read = done.entries.into_iter();
                return Ok(());
            }
            if longest.is_some_and(|longest| begun.elapsed() >= longest) {
                return Ok(());
            }
        }
    }
}

impl Iterator for Follow {
    type Item = Result<Followed, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        if !self.is_ready() {
            if let Err(error) = self.fill(self.options.idle) {
                return Some(Err(error));
            }
            self.ended = !self.is_ready();
        }
        let from = self.next;
        if let Some(Gap { upto: first, why }) = self.gap.take() {
            self.next = first;
            return Some(Ok(Followed::Gap { from, first, why }));
        }
        let data = self.read.next()?;
        self.next = from.next();
        Some(Ok(Followed::Entry(from, data)))
    }
}

impl FusedIterator for Follow {}
