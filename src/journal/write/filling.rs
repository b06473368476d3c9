//! How new segments come to read as zeros (A5): written with zeros ahead, or allocated and not written.
//!
//! Zeros written ahead make each sync cheap, but every byte is written twice. In a segment that is only
//! allocated nothing is written twice, but a small sync takes about twice as long, because the file system
//! notes each block's first write. So small batches want written segments, and bulk wants allocated ones.

use crate::journal::write::jobs::Fill;
use crate::limits::BULK_BYTES;

/// The mean is over about so many batches.
const BATCHES: u64 = 64;

/// What decides how the next segment is filled.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::journal) struct Filling {
    /// Bytes of a batch, in the mean of the last ones.
    batch_bytes: u64,
    /// When the last segment was begun, no other one was ready: zeros are not written as fast as
    /// records are.
    behind: bool,
}

impl Filling {
    /// A batch of so many bytes was built.
    pub(in crate::journal) fn note_batch(&mut self, bytes: u64) {
        self.batch_bytes = self.batch_bytes - self.batch_bytes / BATCHES + bytes / BATCHES;
    }

    /// A segment was begun, and so many are left that are ready.
    pub(in crate::journal) fn note_begun(&mut self, spares: usize) {
        self.behind = spares == 0;
    }

    /// How the next one is filled.
    pub(in crate::journal) fn next(&self) -> Fill {
        match self.behind || self.batch_bytes >= BULK_BYTES as u64 {
            true => Fill::Allocated,
            false => Fill::Written,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bulk is not written twice, and neither single large batches nor those before count for long.
    #[test]
    fn bulk_takes_segments_that_are_not_written() {
        let mut filling = Filling::default();
        let mut after = |bytes, batches| {
            (0..batches).for_each(|_| filling.note_batch(bytes));
            filling.next()
        };
        assert_eq!(after(8 << 10, 1000), Fill::Written);
        assert_eq!(after(4 << 20, 1), Fill::Written, "one large batch");
        assert_eq!(after(256 << 10, 200), Fill::Allocated);
        assert_eq!(after(8 << 10, 1), Fill::Allocated, "one small batch");
        assert_eq!(after(8 << 10, 200), Fill::Written);
    }

    /// Where zeros are not written as fast as records, the next segment is there at once, until one is
    /// ready in time again.
    #[test]
    fn no_batch_waits_twice_for_zeros() {
        let mut filling = Filling::default();
        filling.note_begun(1);
        assert_eq!(filling.next(), Fill::Written);
        filling.note_begun(0);
        assert_eq!(filling.next(), Fill::Allocated);
        filling.note_begun(1);
        assert_eq!(filling.next(), Fill::Written);
    }
}
