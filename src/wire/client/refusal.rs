//! What a node answers to bytes that it will not take.

use crate::api::LogRef;
use crate::api::entries::EntriesError;
use crate::api::error::{Detail, ErrorCode, RequestError};
use crate::wire::codec::DecodeError;
use crate::wire::frame::FrameError;

/// A request that is refused by its bytes alone: the answer, and what follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The answer.
    pub error: RequestError,
    /// The connection is closed behind the answer: its bytes make no sense.
    pub close: bool,
    /// An append in this chain failed: those behind it are refused too.
    pub chain: Option<(LogRef, u32)>,
}

impl Refusal {
    /// The refusal of a request that cannot be read. Where the body's structure holds, the
    /// connection goes on.
    pub(in crate::wire) fn new(error: &DecodeError, chain: Option<(LogRef, u32)>) -> Refusal {
        let (code, close, detail) = verdict(error);
        let error = RequestError::new(code, error.to_string()).with_detail(detail);
        Refusal { error, close, chain }
    }

    /// The refusal of a first frame that is no greeting for this port, or is one that is wrong.
    pub(in crate::wire) fn greeting(error: RequestError) -> Refusal {
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
impl From<&FrameError> for RequestError {
    fn from(error: &FrameError) -> RequestError {
        match error {
            FrameError::TooLarge { limit, .. } => {
                RequestError::new(ErrorCode::TooLarge, error.to_string())
                    .with_detail(Detail::Limit(*limit as u64))
            }
            FrameError::Checksum { .. } => {
                RequestError::new(ErrorCode::BadRequest, error.to_string())
            }
        }
    }
}
