//! What a node answers to bytes that it will not take.

use super::client::LogRef;
use super::codec::DecodeError;
use super::entries::EntriesError;
use super::error::{Detail, ErrorCode, WireError};
use super::frame::FrameError;

/// A request that is refused by its bytes alone: the answer, and what follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The answer.
    pub error: WireError,
    /// The connection is closed behind the answer: its bytes make no sense.
    pub close: bool,
    /// An append in this chain failed: those behind it are refused too.
    pub chain: Option<(LogRef, u32)>,
}

impl Refusal {
    /// The refusal of a request that cannot be read. Where the body's structure holds, the
    /// connection goes on.
    pub(super) fn new(error: &DecodeError, chain: Option<(LogRef, u32)>) -> Refusal {
        let (code, close, detail) = verdict(error);
        let error = WireError::new(code, error.to_string()).with_detail(detail);
        Refusal { error, close, chain }
    }

    /// The refusal of a first frame that is no greeting for this port, or is one that is wrong.
    pub(super) fn greeting(error: WireError) -> Refusal {
        Refusal { error, close: true, chain: None }
    }
}

fn verdict(error: &DecodeError) -> (ErrorCode, bool, Detail) {
    match error {
        DecodeError::Name(_) | DecodeError::TooLong { .. } => {
            (ErrorCode::BadName, false, Detail::None)
        }
        DecodeError::Kind { .. }
        | DecodeError::Flags { .. }
        | DecodeError::Unsupported { .. }
        | DecodeError::UnknownBits { .. }
        | DecodeError::CreateById => (ErrorCode::Unsupported, false, Detail::None),
        DecodeError::Entries(error) => match error {
            EntriesError::Empty => (ErrorCode::BadRequest, false, Detail::None),
            EntriesError::Checksum { .. } => (ErrorCode::BadChecksum, false, Detail::None),
            EntriesError::EntryTooLarge { limit, .. }
            | EntriesError::TooMany { limit, .. }
            | EntriesError::TooLarge { limit, .. } => {
                (ErrorCode::TooLarge, false, Detail::Limit(u64::from(*limit)))
            }
            EntriesError::Truncated { .. } | EntriesError::Trailing { .. } => {
                (ErrorCode::BadRequest, true, Detail::None)
            }
        },
        DecodeError::Truncated { .. }
        | DecodeError::Trailing { .. }
        | DecodeError::Number { .. }
        | DecodeError::Magic { .. }
        | DecodeError::NotUtf8 { .. } => (ErrorCode::BadRequest, true, Detail::None),
    }
}

/// The answer, with correlation 0, to bytes that are no frame; the connection is closed behind it.
impl From<&FrameError> for WireError {
    fn from(error: &FrameError) -> WireError {
        match error {
            FrameError::TooLarge { limit, .. } => {
                WireError::new(ErrorCode::TooLarge, error.to_string())
                    .with_detail(Detail::Limit(*limit as u64))
            }
            FrameError::Checksum { .. } => WireError::new(ErrorCode::BadRequest, error.to_string()),
        }
    }
}
