//! A walk over the values of one segment: first to see how much of it is live, then to copy that.

use super::job::ReadValues;
use crate::journal::{ListedSlots, ReadDamage, SegmentSlots};
use crate::limits::{
    COMPACTION_LIVE_RANGES, COMPACTION_LIVE_SHARE, COMPACTION_MEND_US, RECORD_OVERHEAD_BYTES,
};
use crate::types::{Ballot, SegmentId, Slot, SlotRanges, Tick, Value};
use std::collections::{BTreeSet, VecDeque};

/// What a walk is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// It is found out how much is live.
    Survey,
    /// What is live is written down again.
    Copy,
}

/// A value that was read, in which ballot it was written down, and its slot.
pub(super) type ReadValue = (Slot, Ballot, Value);

/// A walk, and how far it is.
#[derive(Debug)]
pub(super) struct SegmentWalk {
    pub of: SegmentSlots,
    /// Bytes of the segment's file.
    bytes: u64,
    pub pass: Pass,
    /// Slots in which entries may be live: no other one is looked at.
    pub among: SlotRanges,
    /// From where on slots are listed next.
    pub list_from: Option<Slot>,
    /// Those to be read next.
    listed: VecDeque<Slot>,
    /// What was found to be live, or may be; nothing where it is too scattered.
    live: Option<SlotRanges>,
    /// Bytes that copies of it take, as far as it was read.
    live_bytes: u64,
    /// Copies to be written down.
    pub copies: VecDeque<ReadValue>,
    /// Of these slots, which are being held against the index, a remnant in another segment counts: they are copied only
    /// where the segment's record has more.
    elsewhere: BTreeSet<Slot>,
    /// Slots whose values were not to be had here: they are fetched from peers.
    pub mends: BTreeSet<Slot>,
    /// These are waited for until then.
    pub mend_until: Option<Tick>,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Slots are listed, from this one on.
    List(Slot),
    /// The values of these are read.
    Read(Vec<Slot>),
    /// The pass is finished.
    End,
}

impl SegmentWalk {
    /// The walk of a segment of so many bytes, among slots in which entries may be live.
    pub(super) fn new(of: SegmentSlots, bytes: u64, among: SlotRanges) -> SegmentWalk {
        SegmentWalk {
            of,
            bytes,
            pass: Pass::Survey,
            among,
            list_from: Some(Slot(0)),
            listed: VecDeque::new(),
            live: Some(SlotRanges::default()),
            live_bytes: 0,
            copies: VecDeque::new(),
            elsewhere: BTreeSet::new(),
            mends: BTreeSet::new(),
            mend_until: None,
        }
    }

    pub(super) fn segment(&self) -> SegmentId {
        self.of.segment()
    }

    pub(super) fn next(&self) -> Next {
        if !self.listed.is_empty() {
            return Next::Read(self.listed.iter().copied().collect());
        }
        self.list_from.map_or(Next::End, Next::List)
    }

    /// More of the segment is live than is worth a copy.
    pub(super) fn is_too_live(&self) -> bool {
        self.live_bytes.saturating_mul(COMPACTION_LIVE_SHARE) > self.bytes
    }

    /// Slots were listed.
    pub(super) fn listed(&mut self, listed: ListedSlots) {
        self.listed.extend(listed.slots);
        self.list_from = listed.next;
    }

    /// Values were read: those that are to be held against the index, and those that could not be had here. What lies
    /// beside them stays as it is.
    pub(super) fn read(
        &mut self,
        read: ReadValues,
        is_absent: impl Fn(Slot) -> bool,
    ) -> (Vec<ReadValue>, Vec<(Slot, ReadDamage)>) {
        self.listed.drain(..read.slots.min(self.listed.len()));
        self.elsewhere = read.elsewhere;
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for (slot, result) in read.values {
            match (result, self.pass) {
                // What the journal has of an absent slot may be another value than was chosen (C29).
                _ if is_absent(slot) => self.lacks(slot),
                (Ok((ballot, value)), _) => good.push((slot, ballot, value)),
                (Err(_), Pass::Survey) => self.found_live(slot, 0),
                (Err(damage), Pass::Copy) => {
                    self.lacks(slot);
                    bad.push((slot, damage));
                }
            }
        }
        (good, bad)
    }

    /// A value is to come from a peer.
    fn lacks(&mut self, slot: Slot) {
        match self.pass {
            Pass::Survey => self.found_live(slot, 0),
            Pass::Copy => {
                self.mends.insert(slot);
            }
        }
    }

    fn found_live(&mut self, slot: Slot, bytes: u64) {
        self.live_bytes += bytes;
        if let Some(live) = &mut self.live {
            live.add(slot, slot);
        }
        self.live.take_if(|live| live.as_slice().len() > COMPACTION_LIVE_RANGES);
    }

    /// These values hold live entries, and are the very ones that the index knows; what is dead of them was cut off.
    pub(super) fn verified(&mut self, mut values: Vec<ReadValue>, beside: &BTreeSet<Slot>) {
        values.retain(|(slot, ..)| !self.elsewhere.contains(slot) || beside.contains(slot));
        match self.pass {
            Pass::Survey => {
                for (slot, _, value) in &values {
                    self.found_live(*slot, copy_bytes(value));
                }
            }
            Pass::Copy => self.copies.extend(values),
        }
    }

    /// What is live is known: it is copied now.
    pub(super) fn begin_copy(&mut self) {
        self.pass = Pass::Copy;
        self.list_from = Some(Slot(0));
        if let Some(live) = self.live.take() {
            self.among = live;
        }
    }

    /// All that was missing here is here, as far as it is needed.
    pub(super) fn is_mended(&mut self, is_absent: impl Fn(Slot) -> bool) -> bool {
        self.mends.retain(|slot| is_absent(*slot));
        self.mends.is_empty()
    }

    /// Until when what is missing is waited for.
    pub(super) fn mend_until(&mut self, now: Tick) -> Tick {
        *self.mend_until.get_or_insert(now.after(COMPACTION_MEND_US))
    }
}

/// Bytes that a copy of a value, or of what is left of it, takes beside others in one batch.
fn copy_bytes(value: &Value) -> u64 {
    value.len() as u64 + RECORD_OVERHEAD_BYTES
}

/// Bytes of the values that were read.
pub(super) fn read_bytes(read: &ReadValues) -> u64 {
    let values = read.values.iter().filter_map(|(_, result)| result.as_ref().ok());
    let values = values.chain(read.beside.values().flatten());
    values.map(|(_, value)| value.len() as u64).sum()
}
