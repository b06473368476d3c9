//! What can be wrong with a run or another file of the index, and where.

use crate::storage::{Storage, StorageError, StorageOp};
use crate::types::Trouble;
use std::fmt;
use std::io;

/// A run, or a part of one, that cannot be believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file} at offset {offset}: {fault}")]
pub struct RunDamage {
    /// The file, by its name in the shard's directory.
    pub file: String,
    /// Where in the file, in bytes: the block that is concerned.
    pub offset: u64,
    /// What is wrong there.
    pub fault: RunFault,
}

/// What is wrong with a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunFault {
    /// There is no such file.
    Missing,
    /// The medium does not deliver it, and says why.
    Unreadable(String),
    /// The name is none that a run can have.
    Name,
    /// The file has so many bytes, which no run has.
    Length(u64),
    /// It does not begin as a run does.
    Magic,
    /// A newer program wrote it, in a format that is not known here.
    Newer {
        /// The version that the file names.
        found: u16,
        /// The newest version known here.
        known: u16,
    },
    /// A checksum does not verify.
    Checksum,
    /// It belongs to another shard, node or cluster.
    Foreign(String),
    /// It is another run than its name says, or than the one that was opened.
    Other,
    /// A block of another kind belongs here, or the block's own lengths contradict each other.
    Kind,
    /// What the footer counts does not make up the file.
    Layout,
    /// A block's rows do not decode, or are not in order.
    Rows,
    /// The fences are not in order, or a block does not begin with the row that its fence names.
    Fence,
    /// The filter denies a log that the run has.
    Filter,
    /// The rows are not as many, or not of as many logs, as the footer says.
    Counts,
    /// The rows are not those that the footer's checksum is of.
    Content,
}

impl fmt::Display for RunFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunFault::Missing => f.write_str("the file is missing"),
            RunFault::Unreadable(why) => write!(f, "it cannot be read: {why}"),
            RunFault::Name => f.write_str("it has a name that is given to no such file"),
            RunFault::Length(bytes) => write!(f, "no such file has {bytes} bytes"),
            RunFault::Magic => f.write_str("it does not begin as such a file does"),
            RunFault::Newer { found, known } => write!(
                f,
                "it has format version {found}, this program knows versions up to {known}; run the newer \
                 program"
            ),
            RunFault::Checksum => f.write_str("the checksum does not verify"),
            RunFault::Foreign(found) => write!(f, "it belongs to {found}"),
            RunFault::Other => f.write_str("it is another file"),
            RunFault::Kind => f.write_str("a block of another kind belongs there"),
            RunFault::Layout => f.write_str("what its footer counts does not make up the file"),
            RunFault::Rows => f.write_str("its rows are not in order"),
            RunFault::Fence => f.write_str("its fences do not fit its rows"),
            RunFault::Filter => f.write_str("its filter denies a log that it has"),
            RunFault::Counts => f.write_str("it has more rows, or fewer, than its footer says"),
            RunFault::Content => {
                f.write_str("its rows are not those that its footer was written for")
            }
        }
    }
}

/// Why something could not be done with a run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The run is damaged. Its rows are facts of the sequence: a peer has them, too.
    #[error(transparent)]
    Damaged(#[from] RunDamage),
    /// The system failed, or was short of something: this says nothing about the run.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl RunError {
    /// The damage of a place.
    pub(crate) fn damaged(file: &str, offset: u64, fault: RunFault) -> RunError {
        RunError::Damaged(RunDamage { file: file.to_string(), offset, fault })
    }
}

/// What a failed question for a file, or for a part of it, stands for: a shortage says nothing about the
/// run, all else is damage.
pub(crate) fn read_failed(file: &str, offset: u64, error: io::Error) -> RunError {
    if Trouble::is_shortage(&error) {
        return RunError::Storage(StorageError::at(StorageOp::Read, file, offset)(error));
    }
    let fault = match error.kind() {
        io::ErrorKind::NotFound => RunFault::Missing,
        _ => RunFault::Unreadable(error.to_string()),
    };
    RunError::damaged(file, offset, fault)
}

/// Fills `buf` from the file.
pub(crate) fn read_run(
    storage: &dyn Storage,
    file: &str,
    offset: u64,
    buf: &mut [u8],
) -> Result<(), RunError> {
    storage.read_at(file, offset, buf).map_err(|error| read_failed(file, offset, error))
}
