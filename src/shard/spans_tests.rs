//! Spans against a plain model of what is live.

#![allow(clippy::unwrap_used)] // A test that cannot go on has failed.

use super::spans::{Liveness, RowsWanted, Spans};
use crate::checkpoint::{SpanDone, SpanJob, execute_span};
use crate::index::{Span, SpanPart, SpanRow, SpanSpec, write_span};
use crate::storage::MemStorage;
use crate::types::{
    ClusterId, FileOwner, FormatLevel, Incarnation, Index, LogId, NodeId, Random, ShardId, Slot,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const OWNER: FileOwner = FileOwner {
    cluster: ClusterId(7),
    node: NodeId(1),
    incarnation: Incarnation(9),
    shard: ShardId(0),
};

/// Spans of ten slots each, and the first index of each log that exists.
struct Rig {
    storage: MemStorage,
    spans: Spans,
    rows: BTreeMap<Slot, Vec<SpanRow>>,
    first: BTreeMap<LogId, Index>,
    /// Logs that were deleted: their ids are not given again.
    gone: BTreeSet<LogId>,
    applied: Slot,
    /// Blocks that were read.
    blocks_read: u64,
}

impl Rig {
    fn new() -> Rig {
        Rig {
            storage: MemStorage::new(),
            spans: Spans::start(Vec::new(), Slot(0)),
            rows: BTreeMap::new(),
            first: BTreeMap::new(),
            gone: BTreeSet::new(),
            applied: Slot(0),
            blocks_read: 0,
        }
    }

    /// One more span, of these logs; each goes on by ten entries.
    fn span(&mut self, logs: impl Iterator<Item = u64>) -> Arc<Span> {
        let (after, upto) = (self.applied, self.applied.plus(10));
        let last = Index(upto.0 - 1);
        let part = |log| SpanPart {
            row: SpanRow { log: LogId(log), last, entries: 1 },
            slots: (after.plus(2), after.plus(8)),
        };
        let parts: Vec<SpanPart> =
            logs.filter(|log| !self.gone.contains(&LogId(*log))).map(part).collect();
        for part in &parts {
            self.first.entry(part.row.log).or_insert(Index(0));
        }
        let spec = SpanSpec { owner: OWNER, after, upto };
        let mut all = parts.iter().map(|part| Ok(*part));
        let span =
            Arc::new(write_span(&self.storage, (&spec, FormatLevel::FIRST), &mut all).unwrap());
        self.rows.insert(upto, parts.iter().map(|part| part.row).collect());
        self.spans.add(Arc::clone(&span));
        self.applied = upto;
        span
    }

    /// Looks at all witnesses, and reads what is to be read for that.
    fn look(&mut self) {
        self.spans.look_again();
        while self.spans.is_looking() {
            let first = &self.first;
            let is_live = |row: &SpanRow| first.get(&row.log).is_some_and(|at| *at <= row.last);
            let wanted = self.spans.look(self.applied, 3, is_live);
            let Some(RowsWanted { span, block }) = wanted else { continue };
            let upto = span.spec().upto;
            let job = SpanJob::Read { span, block };
            let SpanDone::Rows(blocks) = execute_span(&self.storage, job).unwrap() else {
                panic!("rows were asked for");
            };
            self.blocks_read += blocks.len() as u64;
            self.spans.read(upto, &blocks, is_live);
        }
        self.spans.check(self.applied);
    }

    fn is_live(&self, row: &SpanRow) -> bool {
        self.first.get(&row.log).is_some_and(|first| *first <= row.last)
    }

    /// What is known of each span is what the model says.
    fn check(&self, context: &str) {
        for (upto, rows) in &self.rows {
            let slots = (Slot(upto.0 - 9), *upto);
            let live = rows.iter().any(|row| self.is_live(row));
            let found = self.spans.liveness(slots) == Liveness::Live;
            assert_eq!(found, live, "{context}, the span up to {upto}");
        }
    }
}

/// C26: after spans were looked at, one is dead when no entry of it is live, and only then; whatever is
/// trimmed and deleted, in whatever order.
#[test]
fn c26_a_span_is_dead_when_no_entry_of_it_is_live() {
    for seed in 0..60 {
        let mut random = Random::new(seed);
        let mut rig = Rig::new();
        for step in 0..40 {
            if rig.rows.len() < 12 {
                let keep = 1 + random.below(4);
                let logs: Vec<u64> = (1..60).filter(|_| random.below(keep) == 0).collect();
                rig.span(logs.into_iter());
            }
            for _ in 0..random.below(30) {
                let log = LogId(1 + random.below(60));
                match random.below(6) {
                    0 => {
                        rig.first.remove(&log);
                        rig.gone.insert(log);
                    }
                    _ => {
                        let upto = rig.applied.0 + 1;
                        let to = Index(random.below(upto));
                        if let Some(first) = rig.first.get_mut(&log) {
                            *first = (*first).max(to);
                        }
                    }
                }
            }
            rig.look();
            rig.check(&format!("seed {seed}, step {step}"));
        }
    }
}

/// Each row is read once, and that of a witness once more, however often spans are looked at.
#[test]
fn c26_rows_of_a_span_are_read_once() {
    let mut rig = Rig::new();
    let span = rig.span((1..6_000).map(|log| 3 * log));
    for _ in 0..3 {
        rig.look();
    }
    let logs: Vec<LogId> = rig.first.keys().copied().collect();
    for (gone, log) in (1u64..).zip(logs) {
        rig.first.remove(&log);
        if gone % 100 == 0 {
            rig.look();
            rig.check(&format!("{gone} logs are gone"));
        }
    }
    rig.look();
    assert_eq!(rig.spans.liveness((Slot(1), Slot(10))), Liveness::DeadSince(rig.applied));
    let (read, blocks) = (rig.blocks_read, span.blocks());
    assert!(read <= 2 * 60 + 2 * blocks, "{read} blocks read of a span of {blocks}");
}

/// C26: of what no file says anything, all is live until the file is made anew; what lies between spans
/// that are there is dead where no span was of it, and unknown where one is missing.
#[test]
fn c26_a_span_that_is_missing_is_live() {
    let mut rig = Rig::new();
    let spans: Vec<Arc<Span>> = (0..4).map(|_| rig.span(1..9)).collect();
    rig.first.clear();
    rig.look();
    assert_eq!(rig.spans.liveness((Slot(1), Slot(40))), Liveness::DeadSince(Slot(40)));
    let found = vec![Arc::clone(&spans[3]), Arc::clone(&spans[1])];
    rig.applied = Slot(50);
    rig.spans = Spans::start(found, Slot(50));
    rig.look();
    let live = |from, upto| rig.spans.liveness((Slot(from), Slot(upto))) == Liveness::Live;
    let found = [live(1, 10), live(11, 20), live(20, 21), live(31, 40), live(41, 41), live(51, 60)];
    assert_eq!(found, [true, false, true, false, true, false]);
    assert_eq!(rig.spans.missing((Slot(11), Slot(30))), Some((Slot(20), Slot(30))));
    assert_eq!(rig.spans.missing((Slot(11), Slot(20))), None);
    rig.spans.add(Arc::clone(&spans[2]));
    rig.look();
    assert_eq!(rig.spans.liveness((Slot(11), Slot(40))), Liveness::DeadSince(Slot(50)));
}

/// C26: a span is forgotten when it is dead for a start from the older checkpoint as well, and when nothing
/// of its slots is kept.
#[test]
fn c26_a_span_is_forgotten_once_nothing_of_it_is_kept() {
    let mut rig = Rig::new();
    let spans: Vec<Arc<Span>> = (1..5).map(|log| rig.span([log].into_iter())).collect();
    rig.first.remove(&LogId(1));
    rig.first.remove(&LogId(2));
    rig.first.remove(&LogId(4));
    rig.look();
    assert_eq!(rig.spans.forget(Slot(39), &[], Slot(40)), Vec::<String>::new());
    let kept = [(Slot(12), Slot(12)), (Slot(33), Slot(39))];
    assert_eq!(rig.spans.forget(Slot(40), &kept, Slot(37)), [spans[0].name().to_string()]);
    assert_eq!(rig.spans.forget(Slot(40), &[], Slot(37)), [spans[1].name().to_string()]);
    assert_eq!(rig.spans.liveness((Slot(1), Slot(20))), Liveness::DeadSince(Slot(0)));
    assert_eq!(rig.spans.liveness((Slot(21), Slot(30))), Liveness::Live);
}
