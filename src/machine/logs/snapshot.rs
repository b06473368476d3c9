//! The logs in a snapshot: a section with an item for each log, in the order of their names.
//!
//! The head is `created u64, count u64`. An item is `id u64, first u64, next u64, appended_bytes u64,
//! trimmed_bytes u64, created_ms u64, content u64, flags u8`, then, with flag 1, `version u64,
//! retain_bytes u64, retain_entries u64, retain_age_ms u64`, and the name to the item's end. Flag 1 says that the attributes
//! are not those of a fresh log, flag 2 that the log is sealed; without flag 1 there is no flag 2.

use super::capture::Capture;
use super::digest::LogFacts;
use super::state::Logs;
use crate::api::LogAttributes;
use crate::api::name::LogName;
use crate::machine::snapshot::record::{
    self, Feature, RECORD_HEADER_BYTES, SnapshotPiece, SnapshotRecordKind,
};
use crate::wire::codec::Writer;
use std::borrow::Cow;
use std::ops::Bound;

/// The section's number and version.
pub(in crate::machine) const FEATURE: Feature = Feature { number: 2, version: 1 };

/// Bytes of an item's record without attributes and name.
const ITEM_BYTES_MIN: usize = RECORD_HEADER_BYTES + 7 * 8 + 1;
/// Bytes that attributes add to it.
const ATTRIBUTES_BYTES: usize = 4 * 8;

/// Flag: the attributes are not those of a fresh log.
pub(super) const FLAG_ATTRIBUTES: u8 = 1;
/// Flag: the log is sealed.
pub(super) const FLAG_SEALED: u8 = 2;

impl Logs {
    /// Begins a snapshot of the logs as they are, and encodes the section's head.
    pub(in crate::machine) fn begin_snapshot(&mut self, out: &mut Vec<u8>) {
        let (created, count) = (self.created, self.count() as u64);
        record::put_section(out, FEATURE, |out| {
            out.put_u64(created);
            out.put_u64(count);
        });
        self.capture = Some(Capture::new(created, count));
    }

    /// Encodes as many logs as `piece` has room for; true when no log is left.
    pub(in crate::machine) fn snapshot_step(&mut self, piece: &mut SnapshotPiece<'_>) -> bool {
        let Some(mut capture) = self.capture.take() else { return true };
        let is_whole = self.encode(&mut capture, piece);
        if is_whole {
            capture.check_whole();
        } else {
            self.capture = Some(capture);
        }
        is_whole
    }

    fn encode(&self, capture: &mut Capture, piece: &mut SnapshotPiece<'_>) -> bool {
        let passed = capture.passed().cloned();
        let start = passed.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut names = self.names.range::<str, _>((start, Bound::Unbounded)).peekable();
        let mut last: Option<Cow<'_, LogName>> = None;
        // Logs that are younger than the snapshot are passed over, which takes time, too.
        let visits_max = 1 + piece.bytes_max() / ITEM_BYTES_MIN;
        let mut is_whole = false;
        for _ in 0..visits_max {
            let (live, kept) = (names.peek().copied(), capture.first_kept());
            match (live, kept) {
                (None, None) => {
                    is_whole = true;
                    break;
                }
                (Some((name, id)), kept) if kept.is_none_or(|(kept, _)| name < kept) => {
                    if capture.covers(*id) {
                        if !put_item(piece, name, &self.facts(*id)) {
                            break;
                        }
                        capture.count_encoded();
                    }
                    last = Some(Cow::Borrowed(name));
                    names.next();
                }
                // Deleted since, or changed; another log may have its name by now.
                (_, Some((kept, facts))) => {
                    if !put_item(piece, kept, facts) {
                        break;
                    }
                    let kept = capture.take_first().expect("the first of them was just encoded");
                    names.next_if(|(live, _)| **live == kept);
                    last = Some(Cow::Owned(kept));
                }
                (Some(_), None) => unreachable!("a live name without a kept one comes first"),
            }
        }
        if let Some(last) = last {
            capture.pass(last.into_owned());
        }
        is_whole
    }

    /// Ends a snapshot that is under way.
    pub(in crate::machine) fn drop_snapshot(&mut self) {
        self.capture = None;
    }

    /// Memory that a snapshot under way takes for logs that were changed since.
    pub(in crate::machine) fn snapshot_overlay_bytes(&self) -> usize {
        self.capture.as_ref().map_or(0, Capture::kept_bytes)
    }
}

fn item_bytes(name: &str, facts: &LogFacts) -> usize {
    let is_fresh = facts.attributes == LogAttributes::default();
    ITEM_BYTES_MIN + name.len() + if is_fresh { 0 } else { ATTRIBUTES_BYTES }
}

/// Encodes a log, if the piece has room for it.
fn put_item(piece: &mut SnapshotPiece<'_>, name: &str, facts: &LogFacts) -> bool {
    let has_room = piece.has_room_for(item_bytes(name, facts));
    if has_room {
        piece.put_record(SnapshotRecordKind::Item, |out| put_facts(out, name, facts));
    }
    has_room
}

fn put_facts(out: &mut Vec<u8>, name: &str, facts: &LogFacts) {
    // Every field is named, so that a new one cannot be forgotten; the name's hash is computed anew.
    let LogFacts {
        id,
        name: _,
        first,
        next,
        appended_bytes,
        trimmed_bytes,
        created_ms,
        content,
        attributes,
    } = *facts;
    for number in [id.0, first.0, next.0, appended_bytes, trimmed_bytes, created_ms, content] {
        out.put_u64(number);
    }
    if attributes == LogAttributes::default() {
        out.put_u8(0);
    } else {
        let LogAttributes { version, retention, sealed } = attributes;
        out.put_u8(FLAG_ATTRIBUTES | if sealed { FLAG_SEALED } else { 0 });
        out.put_u64(version);
        out.put_u64(retention.bytes);
        out.put_u64(retention.entries);
        out.put_u64(retention.age_ms);
    }
    out.extend_from_slice(name.as_bytes());
}
