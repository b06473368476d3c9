//! Settling an append whose outcome is unknown, by looking at the index that it expected.

use super::api::ReadOptions;
use super::core::Client;
use super::error::{ClientError, Operation};
use super::options::ToLog;
use crate::api::Consistency;
use crate::api::entries::{Entries, EntriesError};
use crate::types::Index;

/// What became of an append that expected an index.
///
/// The answer is certain as long as the log was not deleted since: name the log by its id where
/// that may happen. An id is never used again, so a deleted log is `UnknownLog` then, while under
/// its name a new log could stand in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// The log holds exactly these entries from the expected index on. They are this append's,
    /// unless somebody else may append the very same bytes at the very same index: entries that
    /// carry something of their own (a request id, a counter) exclude that.
    Executed {
        /// The log's next index when it was looked at.
        next: Index,
    },
    /// The log holds something else at the expected index. Certain for ever: an index keeps its
    /// entry, so the condition can never hold again.
    NotExecuted {
        /// The log's next index when it was looked at.
        next: Index,
    },
    /// The log still ends at the expected index, or before it. The append can still take effect,
    /// even under another leader: its command may lie accepted on a node that was not heard, and be
    /// chosen later. To end the doubt, append *with the same `expect`* — the same entries, or
    /// others: the condition holds at most once, so at most one of the two appends takes effect.
    /// If that one is refused with `ExpectMismatch`, settling again gives a certain answer.
    Open {
        /// The log's next index when it was looked at: at most the expected one.
        next: Index,
    },
}

impl Client {
    /// Finds out what became of an append of `entries` that expected index `expect`, whose outcome
    /// was unknown: reads the log at that index, linearizably, and compares. Sends nothing that
    /// changes anything. [`Settlement`] says how certain each answer is.
    ///
    /// # Errors
    /// [`ClientError`] when the log cannot be read; nothing is settled then.
    pub fn settle<I>(
        &mut self,
        log: &(impl ToLog + ?Sized),
        expect: Index,
        entries: I,
    ) -> Result<Settlement, ClientError>
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        let invalid = |error: EntriesError| ClientError::invalid(Operation::plain("settle"), error);
        let ours = Entries::from_slices(entries).map_err(invalid)?;
        if ours.is_empty() {
            return Err(invalid(EntriesError::Empty));
        }
        let mut seen = 0u32;
        loop {
            let options = ReadOptions {
                max_entries: Some(ours.count() - seen),
                consistency: Consistency::Linearizable,
                ..ReadOptions::default()
            };
            let from = expect.plus(u64::from(seen));
            let answer = self.read(log, from, options)?;
            let (next, end) = (answer.next, expect.plus(u64::from(ours.count())));
            if next <= from || answer.entries.is_empty() {
                return Ok(Settlement::Open { next });
            }
            // The append is atomic: a log that ends inside it holds somebody else's entries.
            let theirs = answer.entries.iter().map(|entry| entry.data);
            let wanted = ours.iter().skip(seen as usize).map(|entry| entry.data);
            let same = theirs.zip(wanted).all(|(theirs, wanted)| theirs == wanted);
            if next < end || !same {
                return Ok(Settlement::NotExecuted { next });
            }
            seen = seen.saturating_add(answer.entries.count()).min(ours.count());
            if seen == ours.count() {
                return Ok(Settlement::Executed { next });
            }
        }
    }
}
