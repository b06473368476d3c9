//! A log as a small file: its last entry is what it holds.

use super::api::{AppendOptions, ReadOptions};
use super::core::Client;
use super::error::ClientError;
use super::options::ToLog;
use crate::api::{Appended, LogRef};
use crate::types::{Index, LogId};
use std::time::Instant;

/// The last entry of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastEntry {
    /// The log's identity.
    pub id: LogId,
    /// The entry's index. Whoever puts with the index behind it changes what they saw, or nothing.
    pub index: Index,
    /// The entry.
    pub data: Vec<u8>,
}

impl Client {
    /// Returns the last entry of a log, linearizably; none where it has no entry that is not trimmed.
    ///
    /// # Errors
    /// [`ClientError`] with the code `UnknownLog` when there is no such log.
    pub fn get(&mut self, log: &(impl ToLog + ?Sized)) -> Result<Option<LastEntry>, ClientError> {
        let begun = Instant::now();
        let options = ReadOptions { max_entries: Some(1), ..ReadOptions::default() };
        // Past the end there is no entry, and the answer says where the end is.
        let mut end = self.read(log, Index(u64::MAX), options)?;
        loop {
            if end.next <= end.first {
                return Ok(None);
            }
            // By its id: a log that has the name by then is another one.
            let (log, index) = (LogRef::Id(end.id), Index(end.next.0 - 1));
            match self.read(&log, index, options) {
                Ok(done) => {
                    let data = done.entries.into_iter().next();
                    return Ok(data.map(|data| LastEntry { id: done.id, index, data }));
                }
                // Others were appended since, and this one was trimmed: there is a later one.
                Err(error) if error.first_left().is_some() && begun.elapsed() < self.timeout() => {
                    end = self.read(&log, Index(u64::MAX), options)?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Appends one entry, which a log is read as from now on ([`Client::get`]); the log is created if its
    /// name is not taken. With `expect` only if the log's next index is that one: if it still holds what was
    /// seen.
    ///
    /// # Errors
    /// As [`Client::append_with`].
    pub fn put(
        &mut self,
        log: &str,
        data: impl AsRef<[u8]>,
        expect: Option<Index>,
    ) -> Result<Appended, ClientError> {
        self.append_with(log, [data], AppendOptions { expect, create: true })
    }
}
