//! What every span has: its name, its header, and its footer. Between them are blocks of rows.

use crate::index::run::fault::RunFault;
use crate::index::run::layout::{BLOCK, Block, BlockKind, FileHeader, put_block};
use crate::limits::BLOCK_BYTES;
use crate::types::{FileOwner, FormatLevel, Slot};

/// Suffix of a span that is not complete.
const UNFINISHED: &str = ".new";
/// The newest format version known.
const VERSION: u16 = 1;
const MAGIC: [u8; 4] = *b"pxS\x89";
const FOOTER_WORDS: usize = 6;

// What is written at any level that is known can be read.
const _: () = assert!(FormatLevel::KNOWN.versions().span <= VERSION);

/// The file name of the span that ends with a slot.
#[must_use]
pub fn span_file_name(upto: Slot) -> String {
    format!("span-{:020}.logs", upto.0)
}

/// The last slot of the span with this file name, if it is one.
#[must_use]
pub fn parse_span_file_name(name: &str) -> Option<Slot> {
    let digits = name.strip_prefix("span-")?.strip_suffix(".logs")?;
    if digits.len() != 20 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().map(Slot)
}

/// The name under which a span is written before it is complete.
pub(crate) fn unfinished_span_name(upto: Slot) -> String {
    span_file_name(upto) + UNFINISHED
}

/// What a span is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanSpec {
    /// Whose it is.
    pub owner: FileOwner,
    /// All its entries are of slots above this one …
    pub after: Slot,
    /// … up to this one, which makes up its name.
    pub upto: Slot,
}

impl SpanSpec {
    /// The header's block of a span that is written at this format level, and the seed for the checksums of
    /// all others.
    pub(crate) fn encode(&self, level: FormatLevel) -> (Vec<u8>, u64) {
        let SpanSpec { owner, after, upto } = *self;
        FileHeader { owner, number: upto.0, after, upto }.encode(MAGIC, level.versions().span)
    }

    /// Reads a header's block, and the seed.
    pub(crate) fn decode(block: &[u8; BLOCK_BYTES]) -> Result<(SpanSpec, u64), RunFault> {
        let (FileHeader { owner, number, after, upto }, seed) =
            FileHeader::decode(block, MAGIC, VERSION)?;
        if number != upto.0 {
            return Err(RunFault::Layout);
        }
        Ok((SpanSpec { owner, after, upto }, seed))
    }
}

/// What the last block says of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SpanFooter {
    /// How many logs have a row.
    pub rows: u64,
    /// How many blocks the rows take.
    pub blocks: u64,
    /// The entries of all rows.
    pub entries: u64,
    /// The lowest slot of an entry, and the highest one; zero both where there is none.
    pub slots: (Slot, Slot),
    /// The checksum of the rows.
    pub content: u64,
}

impl SpanFooter {
    /// Bytes of the file.
    pub(crate) fn file_bytes(&self) -> u64 {
        (self.blocks + 2) * BLOCK
    }

    /// Appends the block, which is the last one of the file.
    pub(crate) fn put(&self, out: &mut Vec<u8>, seed: u64) {
        let SpanFooter { rows, blocks, entries, slots: (lowest, highest), content } = self;
        let words: [u64; FOOTER_WORDS] = [*rows, *blocks, *entries, lowest.0, highest.0, *content];
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let block = Block { content: &bytes, count: 0 };
        put_block(out, seed, self.blocks + 1, BlockKind::Footer, block);
    }

    /// Reads the footer of a span of so many bytes, which it must fit.
    pub(crate) fn decode(
        block: Block<'_>,
        spec: &SpanSpec,
        file_bytes: u64,
    ) -> Result<SpanFooter, RunFault> {
        let (words, rest) = block.content.as_chunks::<8>();
        let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        let (Ok([rows, blocks, entries, lowest, highest, content]), []) =
            (<[u64; FOOTER_WORDS]>::try_from(words), rest)
        else {
            return Err(RunFault::Layout);
        };
        let slots = (Slot(lowest), Slot(highest));
        let footer = SpanFooter { rows, blocks, entries, slots, content };
        let bounded = blocks <= file_bytes / BLOCK && blocks <= rows && rows <= entries;
        let within = spec.after < slots.0 && slots.0 <= slots.1 && slots.1 <= spec.upto;
        let ranged = if rows > 0 { within && blocks > 0 } else { (lowest, highest) == (0, 0) };
        if !bounded || !ranged || footer.file_bytes() != file_bytes {
            return Err(RunFault::Layout);
        }
        Ok(footer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only names that this program gives are taken for spans.
    #[test]
    fn names_of_spans_are_exact() {
        let name = span_file_name(Slot(42));
        assert_eq!(name, "span-00000000000000000042.logs");
        assert_eq!(parse_span_file_name(&name), Some(Slot(42)));
        let others =
            ["span-42.logs", "span-0000000000000000004x.logs", "span-99999999999999999999.logs"];
        for other in others {
            assert_eq!(parse_span_file_name(other), None, "{other}");
        }
        assert_eq!(parse_span_file_name(&unfinished_span_name(Slot(42))), None);
    }
}
