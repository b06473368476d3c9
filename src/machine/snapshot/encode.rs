//! Taking a snapshot: begun at a slot, encoded in bounded steps while later slots are applied.

use super::header::Header;
use super::progress::SnapshotProgress;
use super::record::{self, RECORD_HEADER_BYTES, SnapshotPiece, SnapshotRecordKind};
use crate::machine::state::Machine;
use crate::wire::codec::Writer;

/// Bytes of the last record.
const END_BYTES: usize = RECORD_HEADER_BYTES + 8;

/// What a step of a snapshot came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotStep {
    /// There is more to encode.
    More,
    /// The snapshot is whole, and no longer under way.
    Done,
}

impl Machine {
    /// Begins a snapshot of the state as it is. Until it is done or dropped, [`Machine::apply`] copies
    /// what it changes, once, where it is not encoded yet: O(log n) more for a command.
    ///
    /// # Panics
    /// When a snapshot is under way.
    pub fn begin_snapshot(&mut self) {
        let upto = self.applied_upto;
        assert!(self.snapshot.is_none(), "a snapshot is under way: applied_upto={upto}");
        let header = Header {
            home: self.home,
            applied_upto: self.applied_upto,
            applying_leadership: self.applying_leadership,
            stamp_ms: self.stamp_ms,
        };
        let (digest, level) = (self.digest(), self.levels().level());
        let mut begun = Vec::new();
        record::put_record(&mut begun, SnapshotRecordKind::Machine, |out| header.put(level, out));
        self.features.begin_snapshot(&mut begun);
        self.snapshot = Some(SnapshotProgress { digest, begun });
    }

    /// Encodes the next piece of the state as it was when the snapshot began, behind what `out` holds:
    /// whole records of `bytes_max` bytes at most, but one at least where it is larger. The work is
    /// bounded by `bytes_max`, not by the state; a piece may be empty where only logs were passed over
    /// that are younger than the snapshot.
    ///
    /// # Panics
    /// When no snapshot is under way.
    pub fn snapshot_step(&mut self, bytes_max: usize, out: &mut Vec<u8>) -> SnapshotStep {
        let upto = self.applied_upto;
        let snapshot = self.snapshot.as_mut();
        let snapshot = snapshot.unwrap_or_else(|| panic!("no snapshot: applied_upto={upto}"));
        let digest = snapshot.digest;
        let mut piece = SnapshotPiece::new(out, bytes_max);
        piece.put(&std::mem::take(&mut snapshot.begun));
        if !self.features.snapshot_step(&mut piece) || !piece.has_room_for(END_BYTES) {
            return SnapshotStep::More;
        }
        piece.put_record(SnapshotRecordKind::End, |out| out.put_u64(digest));
        self.snapshot = None;
        SnapshotStep::Done
    }

    /// Ends a snapshot that is not needed any more; nothing where none is under way. The work grows with
    /// what was kept for it.
    pub fn drop_snapshot(&mut self) {
        self.snapshot = None;
        self.features.drop_snapshot();
    }

    /// The digest of the state that the snapshot under way is of.
    #[must_use]
    pub fn snapshot_digest(&self) -> Option<u64> {
        self.snapshot.as_ref().map(|snapshot| snapshot.digest)
    }

    /// Bytes of memory that the snapshot under way holds for what was changed since it began.
    #[must_use]
    pub fn snapshot_overlay_bytes(&self) -> usize {
        self.features.snapshot_overlay_bytes()
    }
}
