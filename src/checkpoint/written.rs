//! The bytes of a checkpoint's file, piece by piece.

use super::file::{PIECE_OVERHEAD_BYTES, piece_bytes};
use super::footer::CheckpointFooter;
use super::manifest::Manifest;
use crate::limits::BLOCK_BYTES;
use std::fmt;
use xxhash_rust::xxh3::Xxh3;

/// How far a checkpoint's file is: what its next piece and its footer must say.
pub struct Written {
    /// Bytes of the file.
    pub offset: u64,
    pieces: u32,
    /// Bytes of the state.
    pub state_bytes: u64,
    content: Box<Xxh3>,
    /// The last piece of the state was encoded.
    pub is_whole: bool,
}

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Written { offset, pieces, is_whole, .. } = self;
        write!(f, "Written {{ offset: {offset}, pieces: {pieces}, is_whole: {is_whole} }}")
    }
}

impl Written {
    /// The header is written.
    #[must_use]
    pub fn header() -> Written {
        let (offset, content) = (BLOCK_BYTES as u64, Box::new(Xxh3::new()));
        Written { offset, pieces: 0, state_bytes: 0, content, is_whole: false }
    }

    /// Makes the next piece of these bytes, which stand behind [`PIECE_OVERHEAD_BYTES`] of space; where it
    /// goes, and what is written.
    #[must_use]
    pub fn add(&mut self, bytes: Vec<u8>, seed: u64) -> (u64, Vec<u8>) {
        let state = &bytes[PIECE_OVERHEAD_BYTES..];
        self.content.update(state);
        self.state_bytes += state.len() as u64;
        let (offset, number) = (self.offset, self.pieces);
        let piece = piece_bytes(bytes, seed, number);
        self.offset += piece.len() as u64;
        self.pieces += 1;
        (offset, piece)
    }

    /// The end of the file: the node's own part, and the footer.
    #[must_use]
    pub fn end(&self, digest: u64, manifest: &Manifest, seed: u64) -> Vec<u8> {
        let mut bytes = vec![0; PIECE_OVERHEAD_BYTES];
        manifest.put(&mut bytes);
        let ending = CheckpointFooter {
            manifest_at: self.offset,
            pieces: u64::from(self.pieces),
            state_bytes: self.state_bytes,
            content: self.content.digest(),
            digest,
        };
        let mut end = piece_bytes(bytes, seed, self.pieces);
        end.extend(ending.to_bytes(seed));
        end
    }
}
