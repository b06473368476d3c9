//! What lies on disk: 128-byte *items*, little endian, each with magic, version, identity and a
//! checksum of its own (R03). `docs/JOURNAL.md` is the specification.
//!
//! One layout serves every item: headers of segments, batches and records, their copies in the
//! descriptor area, and the two copies of the hard state. What differs are the six words.

use crate::journal::format::identity::Identity;
use crate::types::{Ballot, FormatLevel, Lsn, NodeId, RecordKind, SegmentId, ShardId, Slot};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Bytes of an item. Divides a sector, so that no descriptor lies in two sectors.
pub(crate) const ITEM_BYTES: usize = 128;
/// The newest format version known.
pub(crate) const VERSION: u16 = 1;
/// The version written. A segment holds items of one version only; so where a level has another one, each
/// segment must carry the level at which it was prepared.
const WRITTEN: u16 = FormatLevel::FIRST.versions().journal;
/// Where records begin: a record's header starts at a multiple of this.
pub(crate) const ALIGN_BYTES: usize = 8;
/// The batch is the last one of its segment.
pub(crate) const FLAG_SEAL: u8 = 1;
/// Runs of zero sectors that one item names.
pub(crate) const RUNS_PER_ITEM: usize = 5;

// No level that this program knows has another version.
const _: () = assert!(FormatLevel::KNOWN.versions().journal == WRITTEN && WRITTEN <= VERSION);

const MAGIC: [u8; 4] = *b"pxJ\x89";
const WORDS_AT: usize = 72;
const CHECKSUM_AT: usize = 120;

/// The kind of an item: kinds of records ([`RecordKind`]) from 1, the journal's own from 32.
pub(crate) mod kind {
    /// A batch's header.
    pub(crate) const BATCH: u8 = 32;
    /// Runs of sectors that a batch leaves zero.
    pub(crate) const ZERO_RUNS: u8 = 33;
    /// A segment's header.
    pub(crate) const SEGMENT: u8 = 34;
    /// The header of a copy of the hard state.
    pub(crate) const HARD_STATE: u8 = 35;
    /// The header of a file of places.
    pub(crate) const PLACES: u8 = 36;
}

/// Whose items these are. Part of every item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JournalId {
    pub cluster: u128,
    pub incarnation: u64,
    pub node: u16,
    pub shard: u16,
}

impl JournalId {
    pub(crate) fn new(identity: &Identity, shard: ShardId) -> JournalId {
        JournalId {
            cluster: identity.cluster.0,
            incarnation: identity.incarnation.0,
            node: identity.node.0,
            shard: shard.0,
        }
    }
}

impl std::fmt::Display for JournalId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let JournalId { cluster, incarnation, node, shard } = self;
        write!(f, "cluster {cluster:032x} node {node} incarnation {incarnation:016x} shard {shard}")
    }
}

/// One item, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MetadataItem {
    pub kind: u8,
    pub flags: u8,
    /// Bytes of what belongs to the item: a record's body, a batch's data.
    pub bytes: u32,
    /// A record's ordinal in its batch; how many records a batch has.
    pub count: u32,
    pub segment: SegmentId,
    /// Where in the data area the item (or the batch it speaks of) lies, in bytes.
    pub offset: u64,
    pub lsn: Lsn,
    pub words: [u64; 6],
}

/// Why bytes are not an item of ours. Checked in this order (R03).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ItemFault {
    Magic,
    /// Another version. Every version keeps the checksum where it is: `intact` knows a newer
    /// item from one whose version field rotted.
    Version {
        found: u16,
        intact: bool,
    },
    Checksum,
    Foreign(JournalId),
}

fn u16_at(bytes: &[u8; ITEM_BYTES], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8; ITEM_BYTES], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8; ITEM_BYTES], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

impl MetadataItem {
    /// An item of this kind with all else zero.
    pub(crate) fn of_kind(kind: u8) -> MetadataItem {
        MetadataItem {
            kind,
            flags: 0,
            bytes: 0,
            count: 0,
            segment: SegmentId(0),
            offset: 0,
            lsn: Lsn(0),
            words: [0; 6],
        }
    }

    pub(crate) fn encode(&self, journal_id: &JournalId) -> [u8; ITEM_BYTES] {
        let mut out = [0; ITEM_BYTES];
        out[0..4].copy_from_slice(&MAGIC);
        out[4..6].copy_from_slice(&WRITTEN.to_le_bytes());
        out[6] = self.kind;
        out[7] = self.flags;
        out[8..12].copy_from_slice(&self.bytes.to_le_bytes());
        out[12..16].copy_from_slice(&self.count.to_le_bytes());
        out[16..32].copy_from_slice(&journal_id.cluster.to_le_bytes());
        out[32..40].copy_from_slice(&journal_id.incarnation.to_le_bytes());
        out[40..42].copy_from_slice(&journal_id.node.to_le_bytes());
        out[42..44].copy_from_slice(&journal_id.shard.to_le_bytes());
        out[48..56].copy_from_slice(&self.segment.0.to_le_bytes());
        out[56..64].copy_from_slice(&self.offset.to_le_bytes());
        out[64..72].copy_from_slice(&self.lsn.0.to_le_bytes());
        for (word, at) in self.words.iter().zip((WORDS_AT..).step_by(8)) {
            out[at..at + 8].copy_from_slice(&word.to_le_bytes());
        }
        let checksum = xxh3_64(&out[..CHECKSUM_AT]);
        out[CHECKSUM_AT..].copy_from_slice(&checksum.to_le_bytes());
        out
    }

    /// Decodes an item of ours: magic, version, checksum and identity are checked in that order.
    pub(crate) fn decode(
        bytes: &[u8; ITEM_BYTES],
        journal_id: &JournalId,
    ) -> Result<MetadataItem, ItemFault> {
        if bytes[0..4] != MAGIC {
            return Err(ItemFault::Magic);
        }
        let intact = xxh3_64(&bytes[..CHECKSUM_AT]) == u64_at(bytes, CHECKSUM_AT);
        let found = u16_at(bytes, 4);
        if found != VERSION {
            return Err(ItemFault::Version { found, intact });
        }
        if !intact {
            return Err(ItemFault::Checksum);
        }
        let found = JournalId {
            cluster: u128::from(u64_at(bytes, 16)) | u128::from(u64_at(bytes, 24)) << 64,
            incarnation: u64_at(bytes, 32),
            node: u16_at(bytes, 40),
            shard: u16_at(bytes, 42),
        };
        if found != *journal_id {
            return Err(ItemFault::Foreign(found));
        }
        let mut words = [0; 6];
        for (word, at) in words.iter_mut().zip((WORDS_AT..).step_by(8)) {
            *word = u64_at(bytes, at);
        }
        Ok(MetadataItem {
            kind: bytes[6],
            flags: bytes[7],
            bytes: u32_at(bytes, 8),
            count: u32_at(bytes, 12),
            segment: SegmentId(u64_at(bytes, 48)),
            offset: u64_at(bytes, 56),
            lsn: Lsn(u64_at(bytes, 64)),
            words,
        })
    }

    /// Decodes the item at the front of a slice.
    pub(crate) fn decode_slice(
        bytes: &[u8],
        journal_id: &JournalId,
    ) -> Result<MetadataItem, ItemFault> {
        match bytes.first_chunk() {
            Some(bytes) => MetadataItem::decode(bytes, journal_id),
            None => Err(ItemFault::Magic),
        }
    }
}

/// The checksum of a record's body: its own function and its own place (C10), bound to the record
/// by the LSN as seed.
pub(crate) fn body_checksum(body: &[u8], lsn: Lsn) -> u64 {
    xxh3_64_with_seed(body, lsn.0)
}

/// A record's header; its descriptor is the very same item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordHead {
    pub kind: RecordKind,
    pub lsn: Lsn,
    pub slot: Slot,
    pub ballot: Ballot,
    pub chosen_upto: Slot,
    pub segment: SegmentId,
    /// Where the header lies.
    pub offset: u64,
    /// Position in its batch, from 0.
    pub ordinal: u32,
    pub body_bytes: u32,
    pub body_checksum: u64,
    /// How many segments a record of what was released names; 0 in all others.
    pub named: u64,
}

impl RecordHead {
    pub(crate) fn item(&self) -> MetadataItem {
        MetadataItem {
            kind: self.kind as u8,
            flags: 0,
            bytes: self.body_bytes,
            count: self.ordinal,
            segment: self.segment,
            offset: self.offset,
            lsn: self.lsn,
            words: [
                self.slot.0,
                self.ballot.round,
                u64::from(self.ballot.node.0),
                self.chosen_upto.0,
                self.body_checksum,
                self.named,
            ],
        }
    }

    /// Nothing for items that are no records, and for kinds of records this version never wrote.
    pub(crate) fn from_item(item: &MetadataItem) -> Option<RecordHead> {
        let kind = match item.kind {
            1 => RecordKind::HardState,
            2 => RecordKind::Accepted,
            3 => RecordKind::Learned,
            4 => RecordKind::Chosen,
            5 => RecordKind::Released,
            6 => RecordKind::Checkpoint,
            7 => RecordKind::Witnessed,
            8 => RecordKind::Remnant,
            _ => return None,
        };
        Some(RecordHead {
            kind,
            lsn: item.lsn,
            slot: Slot(item.words[0]),
            ballot: Ballot::new(item.words[1], NodeId(item.words[2] as u16)),
            chosen_upto: Slot(item.words[3]),
            segment: item.segment,
            offset: item.offset,
            ordinal: item.count,
            body_bytes: item.bytes,
            body_checksum: item.words[4],
            named: item.words[5],
        })
    }

    /// Bytes of the record in the data area: header, body, padding.
    pub(crate) fn span(&self) -> u64 {
        record_span(self.body_bytes as usize) as u64
    }
}

/// Bytes that a record with a body of this length takes in the data area.
pub(crate) fn record_span(body_bytes: usize) -> usize {
    (ITEM_BYTES + body_bytes).next_multiple_of(ALIGN_BYTES)
}

/// How the segment before ended, as every batch of the next one repeats (C11).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Previous {
    /// The first LSN of *this* segment: what the previous one holds ends right before it.
    pub first_lsn: Lsn,
    /// End of the previous segment's data, in blocks from the file's start. Beyond lies nothing.
    pub data_end: u32,
    /// Start of the previous segment's descriptors, in blocks from the file's start.
    pub desc_start: u32,
    /// So many records before `first_lsn` were never known to be durable: those of them that do
    /// not verify are suspect, not damaged.
    pub unsure: u32,
}

/// A batch's header; stored at the batch's start and as its first descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchHead {
    pub segment: SegmentId,
    /// Where the batch's data starts; a multiple of the block.
    pub offset: u64,
    /// Where the batch's descriptors end, in blocks; they grow downward from here.
    pub desc_top: u32,
    /// Bytes of the batch's data, this header included, padding at the end excluded.
    pub data_bytes: u32,
    pub first_lsn: Lsn,
    pub records: u32,
    /// Items after the records' descriptors that name sectors left zero.
    pub zero_items: u32,
    /// Rises by one with every batch of the journal.
    pub number: u64,
    /// The durability mark: every record up to here was durable when this batch was built (C11).
    pub mark: Lsn,
    pub previous: Previous,
    /// Nothing follows in this segment.
    pub seal: bool,
}

impl BatchHead {
    pub(crate) fn item(&self) -> MetadataItem {
        let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        MetadataItem {
            kind: kind::BATCH,
            flags: if self.seal { FLAG_SEAL } else { 0 },
            bytes: self.data_bytes,
            count: self.records,
            segment: self.segment,
            offset: self.offset,
            lsn: self.first_lsn,
            words: [
                self.number,
                self.mark.0,
                pair(self.desc_top, self.zero_items),
                self.previous.first_lsn.0,
                pair(self.previous.data_end, self.previous.desc_start),
                u64::from(self.previous.unsure),
            ],
        }
    }

    pub(crate) fn from_item(item: &MetadataItem) -> Option<BatchHead> {
        if item.kind != kind::BATCH {
            return None;
        }
        let (low, high) = (|word: u64| word as u32, |word: u64| (word >> 32) as u32);
        let [number, mark, descs, first_lsn, ends, unsure] = item.words;
        Some(BatchHead {
            segment: item.segment,
            offset: item.offset,
            desc_top: low(descs),
            data_bytes: item.bytes,
            first_lsn: item.lsn,
            records: item.count,
            zero_items: high(descs),
            number,
            mark: Lsn(mark),
            previous: Previous {
                first_lsn: Lsn(first_lsn),
                data_end: low(ends),
                desc_start: high(ends),
                unsure: low(unsure),
            },
            seal: item.flags & FLAG_SEAL != 0,
        })
    }
}

/// The item that names up to [`RUNS_PER_ITEM`] runs of zero sectors of the batch at `offset`.
pub(crate) fn zero_runs_item(head: &BatchHead, ordinal: u32, runs: &[(u32, u32)]) -> MetadataItem {
    let mut item = MetadataItem {
        count: ordinal,
        segment: head.segment,
        offset: head.offset,
        lsn: head.first_lsn,
        ..MetadataItem::of_kind(kind::ZERO_RUNS)
    };
    for (word, (first, sectors)) in item.words.iter_mut().zip(runs.iter().take(RUNS_PER_ITEM)) {
        *word = u64::from(*first) | u64::from(*sectors) << 32;
    }
    item.words[RUNS_PER_ITEM] = runs.len() as u64;
    item
}

/// The runs that an item names, as (first sector within the batch's data, how many).
pub(crate) fn zero_runs(item: &MetadataItem) -> impl Iterator<Item = (u32, u32)> + '_ {
    let count = (item.words[RUNS_PER_ITEM] as usize).min(RUNS_PER_ITEM);
    item.words[..count].iter().map(|word| (*word as u32, (*word >> 32) as u32))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    const STAMP: JournalId =
        JournalId { cluster: 7 << 100 | 3, incarnation: 99, node: 2, shard: 1 };

    fn any_record() -> impl Strategy<Value = RecordHead> {
        (any::<[u64; 8]>(), any::<[u32; 2]>(), any::<u16>(), 0..6usize).prop_map(
            |(w, n, node, k)| {
                use RecordKind::{Accepted, Checkpoint, Chosen, HardState, Learned, Released};
                RecordHead {
                    kind: [HardState, Accepted, Learned, Chosen, Checkpoint, Released][k],
                    lsn: Lsn(w[0]),
                    slot: Slot(w[1]),
                    ballot: Ballot::new(w[2], NodeId(node)),
                    chosen_upto: Slot(w[3]),
                    segment: SegmentId(w[4]),
                    offset: w[5],
                    ordinal: n[0],
                    body_bytes: n[1],
                    body_checksum: w[6],
                    named: w[7],
                }
            },
        )
    }

    proptest! {
        /// A record's header reads back as written, and any flipped bit is noticed.
        #[test]
        fn r03_record_heads_notice_every_flip(head in any_record(), bit in 0..1024usize) {
            let mut bytes = head.item().encode(&STAMP);
            let item = MetadataItem::decode(&bytes, &STAMP).unwrap();
            prop_assert_eq!(RecordHead::from_item(&item), Some(head));
            prop_assert_eq!(BatchHead::from_item(&item), None);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(MetadataItem::decode(&bytes, &STAMP).is_err());
        }

        /// A batch's header reads back as written.
        #[test]
        fn batch_heads_read_back(w in any::<[u64; 6]>(), n in any::<[u32; 7]>(), seal: bool) {
            let previous = Previous {
                first_lsn: Lsn(w[4]), data_end: n[4], desc_start: n[5], unsure: n[6],
            };
            let head = BatchHead {
                segment: SegmentId(w[0]), offset: w[1], desc_top: n[0], data_bytes: n[1],
                first_lsn: Lsn(w[2]), records: n[2], zero_items: n[3], number: w[3],
                mark: Lsn(w[5]), previous, seal,
            };
            let item = MetadataItem::decode(&head.item().encode(&STAMP), &STAMP).unwrap();
            prop_assert_eq!(BatchHead::from_item(&item), Some(head));
            prop_assert_eq!(RecordHead::from_item(&item), None);
        }
    }

    /// R03: magic, version and checksum are distinguished, and so is another owner.
    #[test]
    fn r03_faults_are_distinguished_in_order() {
        let bytes = MetadataItem::of_kind(kind::SEGMENT).encode(&STAMP);
        let fault = |at: usize| {
            let mut bytes = bytes;
            bytes[at] ^= 0x40;
            MetadataItem::decode(&bytes, &STAMP).unwrap_err()
        };
        assert_eq!(fault(0), ItemFault::Magic);
        assert_eq!(fault(4), ItemFault::Version { found: 0x41, intact: false });
        assert_eq!(fault(50), ItemFault::Checksum);
        let other = JournalId { incarnation: 98, ..STAMP };
        assert_eq!(MetadataItem::decode(&bytes, &other), Err(ItemFault::Foreign(STAMP)));
    }
}
