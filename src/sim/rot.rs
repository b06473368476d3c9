//! Disks that lose what they hold, in one place at a time.

use super::disk::SimDisk;
use super::rng::Rng;
use crate::limits::{BLOCK_BYTES, SECTOR_BYTES};
use crate::storage::Storage;
use std::ops::Range;

/// Most blocks, and so batches, that are lost at the end of a journal.
const RECENT_BLOCKS: u64 = 3;

impl SimDisk {
    /// Something that was written is no more what it was; with `anywhere`, the hard state, too. Says
    /// what.
    pub(super) fn rot(&mut self, anywhere: bool, rng: &mut Rng) -> String {
        let names = self.storage().list().unwrap_or_default();
        let segments: Vec<&String> = names.iter().filter(|name| name.ends_with(".wal")).collect();
        let is_derived = |name: &&String| {
            ["checkpoint-", "run-", "span-", "places-", "install-"]
                .iter()
                .any(|kind| name.starts_with(kind))
        };
        let derived: Vec<&String> = names.iter().filter(is_derived).collect();
        let file = if segments.is_empty() || (anywhere && rng.one_in(8)) {
            "hard-state".to_string()
        } else if !derived.is_empty() && rng.one_in(3) {
            (*rng.pick(&derived)).clone()
        } else {
            (*rng.pick(&segments)).clone()
        };
        // Derived files end anywhere.
        let bytes = self.storage().len(&file).unwrap_or(0);
        let sectors = bytes.div_ceil(SECTOR_BYTES as u64);
        if sectors == 0 {
            return "nothing".to_string();
        }
        let mut place = 0..0;
        for _ in 0..40 {
            // A place where something was written, if one is found soon.
            let at = rng.below(sectors) * SECTOR_BYTES as u64;
            place = at..bytes.min(at + SECTOR_BYTES as u64);
            let mut sector = vec![0; (place.end - at) as usize];
            if self.storage().read_at(&file, at, &mut sector).is_ok()
                && sector.iter().any(|b| *b > 0)
            {
                break;
            }
        }
        let (kind, bits, at) = (rng.below(4), rng.bits(), place.start);
        match kind {
            0 => self.storage().make_unreadable(&file, place),
            1 => self.storage().rot(&file, place, |sector| sector.fill(0)),
            2 => self.storage().rot(&file, place, |sector| {
                let byte = (bits % sector.len() as u64) as usize;
                sector[byte] ^= 1 << (bits >> 32 & 7);
            }),
            _ => self.storage().rot(&file, place, |sector| sector.fill(bits as u8 | 1)),
        }
        format!("{file} at {at}, kind {kind}")
    }

    /// What was written last is no more what it was: the end of the data, the newest descriptors,
    /// or, mostly, both, so that nothing shows what was there. Says what.
    pub(super) fn rot_recent(&mut self, rng: &mut Rng) -> String {
        let mut names = self.storage().list().unwrap_or_default();
        names.retain(|name| name.ends_with(".wal"));
        names.sort_unstable();
        for file in names.iter().rev() {
            let (data, descriptors) = self.written(file);
            if data.is_empty() || descriptors.is_empty() {
                continue;
            }
            // Small batches take a block of either: the last one, or some before it.
            let (lost, kept) = (rng.range(1, RECENT_BLOCKS), rng.below(RECENT_BLOCKS));
            let newest = data.end.saturating_sub(kept).max(data.start + 1);
            let data = newest.saturating_sub(lost).max(data.start)..newest;
            let oldest = (descriptors.start + kept).min(descriptors.end - 1);
            let descriptors = oldest..(oldest + lost).min(descriptors.end);
            let byte = rng.bits() as u8 | 1;
            let (of_data, of_descriptors) =
                *rng.pick(&[(true, true), (true, true), (true, false), (false, true)]);
            if of_data {
                self.spoil(file, &data, byte);
            }
            if of_descriptors {
                self.spoil(file, &descriptors, byte);
            }
            return format!(
                "{file}: blocks {data:?} of data ({of_data}), {descriptors:?} of descriptors \
                 ({of_descriptors})"
            );
        }
        "nothing".to_string()
    }

    /// The blocks of a segment that hold data, from its start on, and descriptors, to its end.
    fn written(&self, file: &str) -> (Range<u64>, Range<u64>) {
        let blocks = self.storage().len(file).unwrap_or(0) / BLOCK_BYTES as u64;
        let is_written = |block: &u64| {
            let mut bytes = [0; BLOCK_BYTES];
            let read = self.storage().read_at(file, block * BLOCK_BYTES as u64, &mut bytes);
            read.is_err() || bytes.iter().any(|byte| *byte > 0)
        };
        // The first block is the segment's header.
        let data_end = (1..blocks).find(|block| !is_written(block)).unwrap_or(blocks);
        let descriptors = (data_end..blocks).rev().take_while(is_written).last().unwrap_or(blocks);
        (1..data_end.max(1), descriptors..blocks)
    }

    fn spoil(&self, file: &str, blocks: &Range<u64>, byte: u8) {
        let bytes = blocks.start * BLOCK_BYTES as u64..blocks.end * BLOCK_BYTES as u64;
        self.storage().rot(file, bytes, |sector| sector.fill(byte));
    }
}
