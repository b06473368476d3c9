//! Segment files that are shorter than they were made, as a copy or a repair of the file system may
//! leave them. One that was in use refuses the start. One that never held a record is as good as one
//! that is missing behind the last one in use: it is made anew.

use crate::journal::format::layout::{BLOCK, DATA_START, file_name, is_zero};
use crate::journal::format::open_error::OpenError;
use crate::journal::recover::recovered::FindingKind;
use crate::journal::recover::replay::FilePlace;
use crate::journal::recover::tail::Ending;
use crate::limits::BLOCK_BYTES;
use crate::storage::{Storage, read_some};
use crate::types::SegmentId;

/// The first segment that is too short, where nothing but zeros is left of it and of all behind it.
#[derive(Debug)]
pub(crate) struct ShortSegment {
    id: SegmentId,
    /// Why the start is refused, if it was in use after all.
    error: OpenError,
    /// Its first block of data is there: it would hold a batch's header, had there ever been one.
    never_used: bool,
}

impl ShortSegment {
    /// Judges a file of a wrong length. What shows that it was in use is the error itself.
    pub(crate) fn judge(
        storage: &dyn Storage,
        id: SegmentId,
        bytes: u64,
        error: OpenError,
    ) -> Result<ShortSegment, OpenError> {
        let name = file_name(id);
        let mut at = DATA_START;
        while at < bytes {
            let mut block = [0; BLOCK_BYTES];
            let part = &mut block[..BLOCK.min(bytes - at) as usize];
            let read = read_some(storage, &name, at, part)?;
            if read.is_err() || !is_zero(part) {
                return Err(error);
            }
            at += BLOCK;
        }
        Ok(ShortSegment { id, error, never_used: bytes >= DATA_START + BLOCK })
    }

    /// Another segment lies behind it: nothing may be in it either.
    pub(crate) fn before(self, is_used: bool) -> Result<ShortSegment, OpenError> {
        if is_used { Err(self.error) } else { Ok(self) }
    }

    /// The start is refused for it.
    pub(crate) fn refuse(self) -> OpenError {
        self.error
    }

    /// Whether the journal can do without it, now that its end is known, and whether an empty segment
    /// lies before this one: a segment is begun only behind one that is sealed, or whose torn end it
    /// names itself.
    pub(crate) fn accept_if_unused(
        self,
        ending: &Ending,
        after_spare: bool,
    ) -> Result<(String, FindingKind, String), OpenError> {
        let is_unused = match ending {
            _ if after_spare => true,
            Ending::Clean => true,
            Ending::Sealed => false,
            Ending::Torn(_) | Ending::Suspect { .. } => self.never_used,
        };
        if !is_unused {
            return Err(self.error);
        }
        let text = "the file is cut short; nothing was ever written to it, and it is made anew";
        Ok((file_name(self.id).to_string(), FindingKind::Mended, text.to_string()))
    }
}

/// Where a finding about a file as a whole belongs.
pub(crate) fn place(file: &str) -> FilePlace<'_> {
    FilePlace { file, offset: 0 }
}
