//! How fast the state of a checkpoint is written: at a bounded rate, so that a large one leaves disk and cores to
//! appends. Meanwhile memory grows: logs that change before they are written are kept twice, and extents gather, for no
//! other checkpoint begins. Where either takes much, the rest is written without a pause (C24).

use crate::limits::{
    CHECKPOINT_BYTES_PER_SECOND, CHECKPOINT_OVERLAY_BYTES, CHECKPOINT_PIECE_BYTES,
};
use crate::types::Tick;

/// When the next piece of a state may be written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WritePace {
    rest_until: Tick,
}

impl WritePace {
    /// A piece of so many bytes is being written. One that is not full is the last one, or nearly so: no pause follows
    /// it.
    pub(super) fn wrote(&mut self, now: Tick, bytes: usize) {
        let is_full = bytes >= CHECKPOINT_PIECE_BYTES / 2;
        let rest_us = bytes as u64 * 1_000_000 / CHECKPOINT_BYTES_PER_SECOND;
        self.rest_until = if is_full { now.after(rest_us) } else { now };
    }

    /// When the next piece may be written: at once where logs that are kept twice take more bytes than they may, or
    /// where it is crowded, that is, more extents have gathered than are to lie between two cuts.
    pub(super) fn rests_until(&self, overlay_bytes: usize, is_crowded: bool) -> Tick {
        let is_urgent = is_crowded || overlay_bytes > CHECKPOINT_OVERLAY_BYTES;
        if is_urgent { Tick(0) } else { self.rest_until }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// C24: so many bytes a second are written, and all at once where memory would run short.
    #[test]
    fn c24_a_state_is_written_at_its_pace() {
        let mut pace = WritePace::default();
        assert_eq!(pace.rests_until(0, false), Tick(0));
        let (mut now, mut bytes) = (Tick(5_000_000), 0);
        while bytes < CHECKPOINT_BYTES_PER_SECOND {
            pace.wrote(now, CHECKPOINT_PIECE_BYTES);
            bytes += CHECKPOINT_PIECE_BYTES as u64;
            now = pace.rests_until(CHECKPOINT_OVERLAY_BYTES, false);
        }
        let took = now.since(Tick(5_000_000));
        assert!((990_000..=1_000_000).contains(&took), "{took} us");
        assert_eq!(pace.rests_until(CHECKPOINT_OVERLAY_BYTES + 1, false), Tick(0));
        assert_eq!(pace.rests_until(0, true), Tick(0));
        pace.wrote(now, 100);
        assert_eq!(pace.rests_until(0, false), now);
    }
}
