//! What every run has: its name, its header, and blocks that are good for one place only.
//!
//! A run is made of blocks of 4 KiB: the header, blocks of rows, blocks of fences, blocks of the
//! filter, and the footer. The checksum of every block but the header is seeded with the header's own
//! and the block's number, so that a block of another place, run or node never passes (R03).

use crate::index::run::fault::RunFault;
use crate::limits::BLOCK_BYTES;
use crate::types::{ClusterId, FileOwner, FormatLevel, Incarnation, NodeId, RunId, ShardId, Slot};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Bytes of a block, as an offset.
pub(crate) const BLOCK: u64 = BLOCK_BYTES as u64;
/// The newest format version known.
const VERSION: u16 = 1;
/// Bytes in front of each block's content: checksum, kind, bytes, count.
pub(crate) const HEAD_BYTES: usize = 16;
/// Most bytes of content in a block.
pub(crate) const CONTENT_BYTES: usize = BLOCK_BYTES - HEAD_BYTES;
/// Suffix of a run that is not complete.
const UNFINISHED: &str = ".new";
const MAGIC: [u8; 4] = *b"pxR\x89";
const CHECKSUM_AT: usize = 120;
const HEADER_BYTES: usize = 128;

// What is written at any level that is known can be read.
const _: () = assert!(FormatLevel::KNOWN.versions().run <= VERSION);

/// The file name of a run.
#[must_use]
pub fn run_file_name(run: RunId) -> String {
    format!("run-{:020}.run", run.0)
}

/// The run of a file name, if it is one.
#[must_use]
pub fn parse_run_file_name(name: &str) -> Option<RunId> {
    let digits = name.strip_prefix("run-")?.strip_suffix(".run")?;
    if digits.len() != 20 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().map(RunId)
}

/// True for the name of a run that was never completed. Nothing needs it: it may be removed.
#[must_use]
pub fn is_unfinished_run(name: &str) -> bool {
    name.strip_suffix(UNFINISHED).and_then(parse_run_file_name).is_some()
}

/// The name under which a run is written before it is complete.
pub(crate) fn unfinished_name(run: RunId) -> String {
    run_file_name(run) + UNFINISHED
}

/// What a file of the index is: the first block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileHeader {
    pub owner: FileOwner,
    /// Which file of its kind it is.
    pub number: u64,
    /// All that it has is of slots above this one …
    pub after: Slot,
    /// … up to this one.
    pub upto: Slot,
}

impl FileHeader {
    /// The header's block of a file of this format version, and the seed for the checksums of all others.
    pub(crate) fn encode(&self, magic: [u8; 4], version: u16) -> (Vec<u8>, u64) {
        let mut out = vec![0; BLOCK_BYTES];
        out[0..4].copy_from_slice(&magic);
        out[4..6].copy_from_slice(&version.to_le_bytes());
        out[8..16].copy_from_slice(&self.number.to_le_bytes());
        out[16..32].copy_from_slice(&self.owner.cluster.0.to_le_bytes());
        out[32..40].copy_from_slice(&self.owner.incarnation.0.to_le_bytes());
        out[40..42].copy_from_slice(&self.owner.node.0.to_le_bytes());
        out[42..44].copy_from_slice(&self.owner.shard.0.to_le_bytes());
        out[48..56].copy_from_slice(&self.after.0.to_le_bytes());
        out[56..64].copy_from_slice(&self.upto.0.to_le_bytes());
        let seed = xxh3_64(&out[..CHECKSUM_AT]);
        out[CHECKSUM_AT..HEADER_BYTES].copy_from_slice(&seed.to_le_bytes());
        (out, seed)
    }

    /// Reads a header's block, and the seed. Magic, version, checksum and owner are checked apart; versions
    /// up to `known` can be read.
    pub(crate) fn decode(
        block: &[u8; BLOCK_BYTES],
        magic: [u8; 4],
        known: u16,
    ) -> Result<(FileHeader, u64), RunFault> {
        if block[0..4] != magic {
            return Err(RunFault::Magic);
        }
        let seed = u64_at(block, CHECKSUM_AT);
        let verifies = xxh3_64(&block[..CHECKSUM_AT]) == seed;
        let version = u16_at(block, 4);
        if verifies && version > known {
            return Err(RunFault::Newer { found: version, known });
        }
        // Bits that mean nothing are zero: one that is not has rotted, or means something elsewhere.
        let zero = block[HEADER_BYTES..].iter().all(|byte| *byte == 0);
        if !verifies || version == 0 || !zero {
            return Err(RunFault::Checksum);
        }
        let owner = FileOwner {
            cluster: ClusterId(u128::from(u64_at(block, 16)) | u128::from(u64_at(block, 24)) << 64),
            incarnation: Incarnation(u64_at(block, 32)),
            node: NodeId(u16_at(block, 40)),
            shard: ShardId(u16_at(block, 42)),
        };
        let (after, upto) = (Slot(u64_at(block, 48)), Slot(u64_at(block, 56)));
        if after > upto {
            return Err(RunFault::Layout);
        }
        Ok((FileHeader { owner, number: u64_at(block, 8), after, upto }, seed))
    }
}

/// What a run is: the first block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunHeader {
    pub owner: FileOwner,
    pub run: RunId,
    /// All rows are of slots above this one …
    pub after: Slot,
    /// … up to this one.
    pub upto: Slot,
}

impl RunHeader {
    /// The header's block of a run that is written at this format level, and the seed for the checksums of
    /// all others.
    pub(crate) fn encode(&self, level: FormatLevel) -> (Vec<u8>, u64) {
        let RunHeader { owner, run, after, upto } = *self;
        FileHeader { owner, number: run.0, after, upto }.encode(MAGIC, level.versions().run)
    }

    /// Reads a header's block, and the seed.
    pub(crate) fn decode(block: &[u8; BLOCK_BYTES]) -> Result<(RunHeader, u64), RunFault> {
        let (FileHeader { owner, number, after, upto }, seed) =
            FileHeader::decode(block, MAGIC, VERSION)?;
        Ok((RunHeader { owner, run: RunId(number), after, upto }, seed))
    }
}

/// What a block holds; part of it, so that none passes for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlockKind {
    Rows = 1,
    Fences = 2,
    Filter = 3,
    Footer = 4,
}

/// The content of a block that verifies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block<'a> {
    pub content: &'a [u8],
    /// How many things the content is made of: rows, fences, words of the filter.
    pub count: u32,
}

/// Appends a block to `out`, which has place `number` in the file.
pub(crate) fn put_block(
    out: &mut Vec<u8>,
    seed: u64,
    number: u64,
    kind: BlockKind,
    block: Block<'_>,
) {
    let bytes = block.content.len();
    assert!(bytes <= CONTENT_BYTES, "content of {bytes} bytes, a block has {CONTENT_BYTES}");
    let start = out.len();
    out.extend_from_slice(&[0; 8]);
    out.push(kind as u8);
    out.push(0);
    out.extend_from_slice(&(bytes as u16).to_le_bytes());
    out.extend_from_slice(&block.count.to_le_bytes());
    out.extend_from_slice(block.content);
    out.resize(start + BLOCK_BYTES, 0);
    let checksum = xxh3_64_with_seed(&out[start + 8..], seed.wrapping_add(number));
    out[start..start + 8].copy_from_slice(&checksum.to_le_bytes());
}

/// Checks a block that was read from place `number`.
pub(crate) fn check_block(
    block: &[u8],
    seed: u64,
    number: u64,
    kind: BlockKind,
) -> Result<Block<'_>, RunFault> {
    let Some((block, [])) = block.split_first_chunk::<BLOCK_BYTES>() else {
        return Err(RunFault::Length(block.len() as u64));
    };
    let checksum = xxh3_64_with_seed(&block[8..], seed.wrapping_add(number));
    if u64_at(block, 0) != checksum {
        return Err(RunFault::Checksum);
    }
    let bytes = usize::from(u16_at(block, 10));
    if block[8] != kind as u8 || bytes > CONTENT_BYTES {
        return Err(RunFault::Kind);
    }
    Ok(Block { content: &block[HEAD_BYTES..HEAD_BYTES + bytes], count: u32_at(block, 12) })
}

fn u16_at(block: &[u8; BLOCK_BYTES], at: usize) -> u16 {
    u16::from_le_bytes([block[at], block[at + 1]])
}

fn u32_at(block: &[u8; BLOCK_BYTES], at: usize) -> u32 {
    u32::from(u16_at(block, at)) | u32::from(u16_at(block, at + 2)) << 16
}

fn u64_at(block: &[u8; BLOCK_BYTES], at: usize) -> u64 {
    u64::from(u32_at(block, at)) | u64::from(u32_at(block, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const HEADER: RunHeader = RunHeader {
        owner: FileOwner {
            cluster: ClusterId(0x1234_5678_9abc_def0_1234_5678_9abc_def0),
            node: NodeId(3),
            incarnation: Incarnation(0xfeed),
            shard: ShardId(2),
        },
        run: RunId(7),
        after: Slot(100),
        upto: Slot(250),
    };

    fn decode(block: &[u8]) -> Result<(RunHeader, u64), RunFault> {
        RunHeader::decode(block.first_chunk().unwrap())
    }

    /// A header comes back as it was written, and every flipped bit of its block is noticed.
    #[test]
    fn c31_a_rotten_header_is_refused() {
        let (block, seed) = HEADER.encode(FormatLevel::FIRST);
        assert_eq!(decode(&block), Ok((HEADER, seed)));
        for bit in 0..block.len() * 8 {
            let mut rotten = block.clone();
            rotten[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&rotten).is_err(), "bit {bit}");
        }
    }

    /// A header of a newer version that verifies is no damage: it says which program can read it.
    #[test]
    fn a_newer_version_is_distinguished_from_rot() {
        let (mut block, _) = HEADER.encode(FormatLevel::FIRST);
        block[4] = 2;
        assert_eq!(decode(&block), Err(RunFault::Checksum));
        let checksum = xxh3_64(&block[..CHECKSUM_AT]);
        block[CHECKSUM_AT..HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(decode(&block), Err(RunFault::Newer { found: 2, known: 1 }));
    }

    /// A block passes at its own place, in its own run and as what it is, and nowhere else.
    #[test]
    fn c31_a_block_of_another_place_or_run_is_refused() {
        let mut bytes = Vec::new();
        let block = Block { content: b"rows", count: 1 };
        put_block(&mut bytes, 99, 5, BlockKind::Rows, block);
        let found = check_block(&bytes, 99, 5, BlockKind::Rows).unwrap();
        assert_eq!((found.content, found.count), (&b"rows"[..], 1));
        let fault = |seed, number, kind| check_block(&bytes, seed, number, kind).unwrap_err();
        assert_eq!(fault(98, 5, BlockKind::Rows), RunFault::Checksum);
        assert_eq!(fault(99, 6, BlockKind::Rows), RunFault::Checksum);
        assert_eq!(fault(99, 5, BlockKind::Fences), RunFault::Kind);
    }

    /// Only names that this program gives are taken for runs.
    #[test]
    fn names_of_runs_are_exact() {
        let name = run_file_name(RunId(42));
        assert_eq!(name, "run-00000000000000000042.run");
        assert_eq!(parse_run_file_name(&name), Some(RunId(42)));
        assert!(is_unfinished_run(&unfinished_name(RunId(42))) && !is_unfinished_run(&name));
        for other in ["run-42.run", "run-0000000000000000004x.run", "run-99999999999999999999.run"]
        {
            assert_eq!(parse_run_file_name(other), None, "{other}");
        }
    }
}
