//! In which slots entries are live: spans, each with a row that shows that it still has some.
//!
//! An entry is live while its log exists, its index is not below the log's first one, and it is not declared
//! lost; what is dead never becomes live again. So of every span one row is remembered, its *witness*, of which an entry
//! is live. When that row is dead, the next live one is looked for behind it; rows before are never
//! looked at again. A span without a live row is dead, and that for every state from then on.

use crate::index::{Span, SpanRow};
use crate::types::{LogId, Slot, SlotRanges};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

/// The spans of a shard. Slots that none is of have no live entry.
#[derive(Debug, Default)]
pub struct Spans {
    /// By their last slots.
    spans: BTreeMap<Slot, Entry>,
    /// All that is behind this slot is to be looked at.
    pass: Option<Slot>,
}

/// One span.
#[derive(Debug)]
struct Entry {
    /// Its slots lie above this one.
    after: Slot,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Its file is lost: nothing is known of its entries.
    Missing,
    /// It has a live entry, as far as is known.
    Live(Reading),
    /// No entry is live in the state after this slot, nor in a later one.
    Dead(Slot, Arc<Span>),
}

/// How far a span was read.
#[derive(Debug)]
struct Reading {
    span: Arc<Span>,
    /// Rows of blocks before this one are dead …
    block: u64,
    /// … and so are those of logs up to this one.
    dead_upto: Option<LogId>,
    /// The row that shows that the span is live.
    witness: Option<SpanRow>,
}

/// What is known of the entries in some slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// Some are live, or may be.
    Live,
    /// None is live in the state after this slot, nor in a later one.
    DeadSince(Slot),
}

/// Rows of a span that are to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowsWanted {
    /// The span.
    pub span: Arc<Span>,
    /// The first block.
    pub block: u64,
}

impl Spans {
    /// Those that a start found. Where one is missing of the slots up to `upto`, its slots stay live until
    /// it is made anew.
    pub(super) fn start(mut found: Vec<Arc<Span>>, upto: Slot) -> Spans {
        found.sort_by_key(|span| span.spec().upto);
        let (mut spans, mut end) = (Spans::default(), Slot(0));
        for span in found {
            let (after, upto) = (span.spec().after, span.spec().upto);
            spans.miss(end, after);
            spans.add(span);
            end = end.max(upto);
        }
        spans.miss(end, upto);
        spans.look_again();
        spans
    }

    /// There is no span of these slots.
    fn miss(&mut self, after: Slot, upto: Slot) {
        if after < upto {
            self.spans.insert(upto, Entry { after, state: State::Missing });
        }
    }

    /// A span was written.
    pub(super) fn add(&mut self, span: Arc<Span>) {
        let (after, upto) = (span.spec().after, span.spec().upto);
        let reading = Reading { span, block: 0, dead_upto: None, witness: None };
        self.spans.insert(upto, Entry { after, state: State::Live(reading) });
    }

    /// A span was made anew; of no use where none is missing there any more.
    pub(super) fn made(&mut self, span: Arc<Span>) {
        let (after, upto) = (span.spec().after, span.spec().upto);
        let missing = self.spans.get(&upto);
        let is_missing =
            |entry: &Entry| entry.after == after && matches!(entry.state, State::Missing);
        if missing.is_some_and(is_missing) {
            self.add(span);
        }
    }

    /// A checkpoint was installed: there is no span of the slots up to its own. Returns the names of the
    /// files of all that there were.
    pub(super) fn installed(&mut self, upto: Slot) -> Vec<String> {
        let before = std::mem::replace(self, Spans::start(Vec::new(), upto));
        let name = |entry: Entry| match entry.state {
            State::Missing => None,
            State::Live(Reading { span, .. }) | State::Dead(_, span) => {
                Some(span.name().to_string())
            }
        };
        before.spans.into_values().filter_map(name).collect()
    }

    /// Logs were trimmed or deleted, or entries lost: witnesses are to be looked at again.
    pub(super) fn look_again(&mut self) {
        self.pass = Some(Slot(0));
    }

    /// Looks at witnesses, so many at most. What is to be read next of a span whose witness is dead; nothing
    /// when all were looked at, or when the rest has to wait for the next turn.
    ///
    /// A span that has no row at all is dead in the state after slot `applied`.
    pub(super) fn look(
        &mut self,
        applied: Slot,
        most: usize,
        is_live: impl Fn(&SpanRow) -> bool,
    ) -> Option<RowsWanted> {
        let pass = self.pass?;
        let mut left = most;
        for (upto, entry) in self.spans.range_mut(pass.next()..) {
            if left == 0 {
                return None;
            }
            left -= 1;
            if let State::Live(reading) = &mut entry.state {
                if reading.witness.is_some_and(|row| is_live(&row)) {
                    self.pass = Some(*upto);
                    continue;
                }
                if let Some(row) = reading.witness.take() {
                    reading.dead_upto = Some(row.log);
                }
                if reading.block < reading.span.blocks() {
                    return Some(RowsWanted {
                        span: Arc::clone(&reading.span),
                        block: reading.block,
                    });
                }
                entry.state = State::Dead(applied, Arc::clone(&reading.span));
            }
            self.pass = Some(*upto);
        }
        self.pass = None;
        None
    }

    /// Bytes of memory that it takes, about.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.spans.len() * (size_of::<(Slot, Entry)>() + size_of::<Span>())
    }

    /// Not all witnesses were looked at.
    pub(super) fn is_looking(&self) -> bool {
        self.pass.is_some()
    }

    /// These rows were read of the span that ends with slot `upto`, block by block.
    pub(super) fn read(
        &mut self,
        upto: Slot,
        blocks: &[Vec<SpanRow>],
        is_live: impl Fn(&SpanRow) -> bool,
    ) {
        let Some(Entry { state: State::Live(reading), .. }) = self.spans.get_mut(&upto) else {
            return;
        };
        for rows in blocks {
            for row in rows {
                if Some(row.log) <= reading.dead_upto {
                    continue;
                }
                if is_live(row) {
                    reading.witness = Some(*row);
                    return;
                }
                reading.dead_upto = Some(row.log);
            }
            reading.block += 1;
        }
    }

    /// The file of a span does not serve; false where there was none.
    pub(super) fn lost(&mut self, upto: Slot) -> bool {
        let Some(entry) = self.spans.get_mut(&upto) else { return false };
        let had_one = !matches!(entry.state, State::Missing);
        entry.state = State::Missing;
        had_one
    }

    /// What is known of the entries in these slots, both included.
    #[must_use]
    pub fn liveness(&self, (lowest, highest): (Slot, Slot)) -> Liveness {
        let all =
            self.overlapping((lowest, highest)).try_fold(Slot(0), |since, (_, entry)| match &entry
                .state
            {
                State::Missing | State::Live(_) => ControlFlow::Break(()),
                State::Dead(slot, _) => ControlFlow::Continue(since.max(*slot)),
            });
        match all {
            ControlFlow::Continue(since) => Liveness::DeadSince(since),
            ControlFlow::Break(()) => Liveness::Live,
        }
    }

    /// Those of these slots in which entries may be live.
    #[must_use]
    pub fn live_slots(&self, slots: &SlotRanges) -> SlotRanges {
        let mut live = SlotRanges::default();
        for (lowest, highest) in slots.as_slice() {
            for (upto, entry) in self.overlapping((*lowest, *highest)) {
                let has_some = match &entry.state {
                    State::Missing | State::Live(_) => true,
                    State::Dead(..) => false,
                };
                if has_some {
                    live.add(entry.after.next().max(*lowest), upto.min(*highest));
                }
            }
        }
        live
    }

    /// The slots of the first span that is missing among those that have some of these: above the first
    /// one, up to the second one.
    #[must_use]
    pub fn missing(&self, slots: (Slot, Slot)) -> Option<(Slot, Slot)> {
        let missing = |(_, entry): &(Slot, &Entry)| matches!(entry.state, State::Missing);
        self.overlapping(slots).find(missing).map(|(upto, entry)| (entry.after, upto))
    }

    /// The spans that may have an entry in these slots.
    fn overlapping(&self, (lowest, highest): (Slot, Slot)) -> impl Iterator<Item = (Slot, &Entry)> {
        let behind = self.spans.range(lowest..).map(|(upto, entry)| (*upto, entry));
        let near = behind.take_while(move |(_, entry)| entry.after < highest);
        near.filter(move |(_, entry)| match entry.slots() {
            Some((first, last)) => first <= highest && lowest <= last,
            None => matches!(entry.state, State::Missing),
        })
    }

    /// Forgets spans of whose slots nothing is kept any more, as far as is known: neither in these ranges
    /// nor above slot `above`. They have been dead in the state after slot `dead_in`, so that it is right
    /// for a start from there to know nothing of them. Returns the names of their files.
    pub(super) fn forget(
        &mut self,
        dead_in: Slot,
        kept: &[(Slot, Slot)],
        above: Slot,
    ) -> Vec<String> {
        let mut names = Vec::new();
        self.spans.retain(|_, entry| {
            let State::Dead(since, span) = &entry.state else { return true };
            let is_kept = *since > dead_in
                || span.slots().is_some_and(|(first, last)| {
                    let overlaps =
                        |(lowest, highest): &(Slot, Slot)| first <= *highest && *lowest <= last;
                    last > above || kept.iter().any(overlaps)
                });
            if !is_kept {
                names.push(span.name().to_string());
            }
            is_kept
        });
        names
    }

    /// Checks that spans lie on each other, and none beyond what is applied.
    ///
    /// # Panics
    /// When they do not.
    pub fn check(&self, applied: Slot) {
        let mut end = Slot(0);
        for (upto, entry) in &self.spans {
            let after = entry.after;
            assert!(end <= after, "a span above {after} up to {upto} behind one up to {end}");
            if let State::Dead(since, _) = &entry.state {
                assert!(*since <= applied, "dead since {since}, applied is {applied}");
            }
            end = *upto;
        }
        assert!(end <= applied, "a span up to {end}, applied is {applied}");
    }
}

impl Entry {
    /// The lowest and the highest slot of its entries; nothing where that is not known, or there is none.
    fn slots(&self) -> Option<(Slot, Slot)> {
        match &self.state {
            State::Missing => None,
            State::Live(Reading { span, .. }) | State::Dead(_, span) => span.slots(),
        }
    }
}
