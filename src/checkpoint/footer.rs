//! The last bytes of a checkpoint: how much there is, and what the state comes to.

use super::file::{CheckpointFault, CheckpointFile, u64_at};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Bytes of a footer.
pub(super) const FOOTER_BYTES: usize = 64;
const MAGIC: [u8; 8] = *b"pxCend\x89\n";
const CHECKSUM_AT: usize = FOOTER_BYTES - 8;

/// What a checkpoint's footer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointFooter {
    /// Where the piece with the node's own part begins, in bytes from the file's start.
    pub manifest_at: u64,
    /// How many pieces of the state there are.
    pub pieces: u64,
    /// Bytes of the state.
    pub state_bytes: u64,
    /// The checksum of the state's bytes: the same on all nodes.
    pub content: u64,
    /// The digest of the state.
    pub digest: u64,
}

impl CheckpointFooter {
    /// The footer's bytes, in a file whose pieces have this seed.
    #[must_use]
    pub fn to_bytes(&self, seed: u64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FOOTER_BYTES);
        bytes.extend_from_slice(&MAGIC);
        let CheckpointFooter { manifest_at, pieces, state_bytes, content, digest } = *self;
        for number in [manifest_at, pieces, state_bytes, content, digest] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.resize(CHECKSUM_AT, 0);
        let checksum = xxh3_64_with_seed(&bytes, seed);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads the footer, which stands at `offset`.
    pub(super) fn decode(
        file: &CheckpointFile,
        offset: u64,
        bytes: &[u8; FOOTER_BYTES],
    ) -> Result<CheckpointFooter, CheckpointFault> {
        if bytes[..8] != MAGIC {
            return Err(file.damaged(offset, "it does not end as a checkpoint does"));
        }
        if u64_at(bytes, CHECKSUM_AT) != xxh3_64_with_seed(&bytes[..CHECKSUM_AT], file.seed) {
            return Err(file.damaged(offset, "the checksum of its footer does not verify"));
        }
        let [manifest_at, pieces, state_bytes, content, digest] =
            [8, 16, 24, 32, 40].map(|at| u64_at(bytes, at));
        Ok(CheckpointFooter { manifest_at, pieces, state_bytes, content, digest })
    }
}
