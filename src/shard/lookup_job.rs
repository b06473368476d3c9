//! Lookups in the runs of the index: reads of the disk, and so for a thread that may block.

use crate::index::{EntryIndex, InMemory, RunDamage, RunError, RunSet, Search};
use crate::storage::{Storage, StorageError};
use crate::types::{Extent, LogId};

/// A lookup in the runs.
#[derive(Clone, Debug)]
pub struct LookupJob {
    pub(super) token: u64,
    pub(super) runs: RunSet,
    pub(super) log: LogId,
    /// An extent is looked up for each of these.
    pub(super) questions: Vec<Question>,
}

/// An extent that is looked for, and what memory says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    by: Search,
    known: InMemory,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct LookupDone {
    /// The lookup's token.
    pub token: u64,
    /// The answers.
    pub found: Result<Answers, RunDamage>,
}

/// The answers to a lookup: of each question in turn.
pub type Answers = Vec<Option<Extent>>;

impl Question {
    /// A question of a log, asked of memory first.
    pub(super) fn ask(index: &EntryIndex, log: LogId, by: Search) -> Question {
        Question { by, known: index.find(log, by) }
    }

    /// What memory says, where that is all there is to say.
    fn answer(&self) -> Option<Option<Extent>> {
        match self.known {
            InMemory::Here(found) => Some(found),
            InMemory::OnDisk(_) => None,
        }
    }

    /// The answers to all questions, where memory has them.
    pub(super) fn answers(questions: &[Question]) -> Option<Answers> {
        questions.iter().map(Question::answer).collect()
    }
}

impl LookupJob {
    /// Looks it up. Fails only where the system is short of something.
    pub(super) fn run(&self, storage: &dyn Storage) -> Result<LookupDone, StorageError> {
        let token = self.token;
        match self.look_up(storage) {
            Ok(found) => Ok(LookupDone { token, found: Ok(found) }),
            Err(RunError::Damaged(damage)) => Ok(LookupDone { token, found: Err(damage) }),
            Err(RunError::Storage(error)) => Err(error),
        }
    }

    fn look_up(&self, storage: &dyn Storage) -> Result<Answers, RunError> {
        let LookupJob { runs, log, questions, .. } = self;
        let answer = |question: &Question| match question.known {
            InMemory::Here(found) => Ok(found),
            InMemory::OnDisk(otherwise) => {
                let found = runs.search(storage, *log, question.by)?;
                Ok(found.or(otherwise))
            }
        };
        questions.iter().map(answer).collect()
    }
}
