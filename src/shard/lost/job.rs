//! The reads of the index for a declaration, on a thread that may block.

use crate::checkpoint::install::{Verified, VerifyValues, verify};
use crate::index::{RunDamage, RunError, RunSet};
use crate::limits::LOST_ROWS_MAX;
use crate::storage::{Storage, StorageError};
use crate::types::{Extent, LogId, LostRange};

/// Work for a declaration.
#[derive(Clone, Debug)]
pub enum LossJob {
    /// Finds the rows of the index that have these entries.
    Rows {
        /// Which declaration asks.
        attempt: u64,
        /// The runs.
        runs: RunSet,
        /// The log.
        log: LogId,
        /// The entries.
        range: LostRange,
    },
    /// Holds values that this node has against the index: they may be others than were chosen.
    Verify {
        /// Which check asks.
        token: u64,
        /// The values.
        values: Box<VerifyValues>,
    },
}

/// What was found.
#[derive(Clone, Debug)]
pub enum LossDone {
    /// The rows that have the entries, and the one behind, by rising index; one more at most than a declaration
    /// may have. Or the damage of a run.
    Rows {
        /// Which declaration asked.
        attempt: u64,
        /// The rows.
        rows: Result<Vec<Extent>, RunDamage>,
    },
    /// What the values are.
    Verified {
        /// Which check asked.
        token: u64,
        /// Those that are right, and the first one that is not.
        verified: Verified,
    },
}

impl LossJob {
    /// Does it. Fails only where the system is short of something.
    pub(in crate::shard) fn run(&self, storage: &dyn Storage) -> Result<LossDone, StorageError> {
        match self {
            LossJob::Rows { attempt, runs, log, range } => {
                let rows = match runs.extents_from(storage, *log, range.from, LOST_ROWS_MAX + 1) {
                    Ok(rows) => Ok(rows),
                    Err(RunError::Damaged(damage)) => Err(damage),
                    Err(RunError::Storage(error)) => return Err(error),
                };
                let rows = rows.map(|mut rows| {
                    let of_it = rows.partition_point(|row| row.first < range.before);
                    rows.truncate(of_it + 1);
                    rows
                });
                Ok(LossDone::Rows { attempt: *attempt, rows })
            }
            LossJob::Verify { token, values } => {
                let verified = verify(storage, values)?;
                Ok(LossDone::Verified { token: *token, verified })
            }
        }
    }
}
