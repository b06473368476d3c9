//! What is said of damage that the other nodes settled: each slot of a few, a summary of many.

use crate::types::{NodeId, Slot};

/// So many slots are logged one by one.
const SINGLE_MAX: usize = 8;
/// Of more than those there is a line for each so many, and one at the end.
const SUMMARY_EVERY: usize = 256;

/// Counts the slots that were damaged at the start and are settled.
#[derive(Debug, Default)]
pub struct RepairLog {
    /// Settled since the start.
    repaired_slots: usize,
    /// The last slot whose value is there again, until it is logged.
    slot: Option<Slot>,
}

impl RepairLog {
    /// The value of a damaged slot is there again.
    pub fn note_repaired(&mut self, slot: Slot) {
        self.slot = Some(slot);
    }

    /// A message of `node` came where `before` slots were damaged, and `left` are now: what is to be
    /// said of it, if anything.
    pub fn summary(&mut self, before: usize, left: usize, node: NodeId) -> Option<String> {
        let slot = self.slot.take();
        let count = before.checked_sub(left).filter(|count| *count > 0)?;
        let summaries = self.repaired_slots / SUMMARY_EVERY;
        self.repaired_slots += count;
        if self.repaired_slots <= SINGLE_MAX {
            let what = match slot.filter(|_| count == 1) {
                Some(slot) => format!("slot {slot}"),
                None => format!("damage of {count} slots"),
            };
            return Some(format!("{what} settled with node {node}; {left} damaged slots left"));
        }
        let due = left == 0 || self.repaired_slots / SUMMARY_EVERY > summaries;
        due.then(|| {
            let repaired_slots = self.repaired_slots;
            format!(
                "{repaired_slots} damaged slots settled so far, the last with node {node}; {left} left"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each of a few settled slots is named; of many there are some lines, the last of them always.
    #[test]
    fn many_settled_slots_are_summed_up() {
        let mut repair_log = RepairLog::default();
        assert_eq!(repair_log.summary(5, 5, NodeId(1)), None, "nothing was settled");
        repair_log.note_repaired(Slot(3159));
        let text = repair_log.summary(1000, 999, NodeId(1)).expect("the first is logged");
        assert!(text.starts_with("slot 3159 settled with node 1"), "{text}");
        let mut lines = 0;
        let mut last = None;
        for left in (0..999).rev() {
            last = repair_log.summary(left + 1, left, NodeId(2));
            lines += usize::from(last.is_some());
        }
        assert!(lines < 20, "{lines} lines for 1000 slots");
        let last = last.expect("the end is logged");
        assert!(last.starts_with("1000 damaged slots settled"), "{last}");
    }
}
