//! The logs by id.
//!
//! Ids are counted up, so that most numbers between the lowest and the highest are in use. A map finds the page of an
//! id, and the page has its logs side by side: each append costs one lookup among few pages, and a walk over all logs
//! goes through memory in order.

use crate::types::LogId;
use std::collections::BTreeMap;

/// Ids of one page: as many as a word has bits.
const PAGE_IDS: u64 = u64::BITS as u64;

/// A value for each log, by its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LogTable<L> {
    pages: BTreeMap<u64, Page<L>>,
    count: usize,
}

/// The logs that exist among [`PAGE_IDS`] neighbouring ids, by rising id.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Page<L> {
    /// A bit for each that exists, the lowest for the lowest id.
    present: u64,
    logs: Vec<L>,
}

/// The page of an id, and its bit there.
fn place(id: LogId) -> (u64, u64) {
    (id.0 / PAGE_IDS, 1 << (id.0 % PAGE_IDS))
}

impl<L> Page<L> {
    /// Where in `logs` the log of this bit is, or would be.
    fn rank(&self, bit: u64) -> usize {
        (self.present & (bit - 1)).count_ones() as usize
    }
}

impl<L> LogTable<L> {
    /// No logs.
    pub(super) fn new() -> LogTable<L> {
        LogTable { pages: BTreeMap::new(), count: 0 }
    }

    /// How many logs there are.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// The log of this id.
    pub(super) fn get(&self, id: LogId) -> Option<&L> {
        let (page, bit) = place(id);
        let page = self.pages.get(&page).filter(|page| page.present & bit != 0)?;
        Some(&page.logs[page.rank(bit)])
    }

    /// The log of this id, to be changed.
    pub(super) fn get_mut(&mut self, id: LogId) -> Option<&mut L> {
        let (page, bit) = place(id);
        let page = self.pages.get_mut(&page).filter(|page| page.present & bit != 0)?;
        let rank = page.rank(bit);
        Some(&mut page.logs[rank])
    }

    /// Takes a log in; false, and nothing is changed, where there is one of this id.
    pub(super) fn insert(&mut self, id: LogId, log: L) -> bool {
        let (page, bit) = place(id);
        let page = self.pages.entry(page).or_insert_with(|| Page { present: 0, logs: Vec::new() });
        if page.present & bit != 0 {
            return false;
        }
        page.logs.insert(page.rank(bit), log);
        page.present |= bit;
        self.count += 1;
        true
    }

    /// Takes a log out. The page gives spare memory back once that is half of it.
    pub(super) fn remove(&mut self, id: LogId) -> Option<L> {
        let (number, bit) = place(id);
        let page = self.pages.get_mut(&number).filter(|page| page.present & bit != 0)?;
        let log = page.logs.remove(page.rank(bit));
        page.present &= !bit;
        self.count -= 1;
        if page.present == 0 {
            self.pages.remove(&number);
        } else if 2 * page.logs.len() <= page.logs.capacity() {
            page.logs.shrink_to_fit();
        }
        Some(log)
    }

    /// Gives back the spare memory of pages, where no more logs are to come for a while.
    pub(super) fn shrink(&mut self) {
        for page in self.pages.values_mut() {
            page.logs.shrink_to_fit();
        }
    }

    /// The ids, rising, each with its log.
    pub(super) fn iter(&self) -> impl Iterator<Item = (LogId, &L)> {
        self.pages.iter().flat_map(|(number, page)| {
            let bits = (0..PAGE_IDS).filter(|bit| page.present & 1 << bit != 0);
            bits.map(move |bit| LogId(number * PAGE_IDS + bit)).zip(&page.logs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::ShardId;

    fn id(counter: u64) -> LogId {
        LogId::new(ShardId(3), counter)
    }

    // Whatever the order in which logs come and go, each is found by its id and no other, by rising id.
    #[test]
    fn logs_are_found_by_their_ids() {
        let mut table = LogTable::new();
        // 97 and 1009 have no factor in common: every id once, from page to page.
        for counter in (0..1009_u64).map(|nth| 1 + nth * 97 % 1009) {
            assert!(table.insert(id(counter), counter));
        }
        assert!(!table.insert(id(500), 0));
        let is_left = |counter: &u64| counter.is_multiple_of(3) && counter / PAGE_IDS != 4;
        for counter in (1..=1009).filter(|counter| !is_left(counter)) {
            assert_eq!(table.remove(id(counter)), Some(counter));
            assert!(table.get(id(counter)).is_none() && table.remove(id(counter)).is_none());
        }
        table.shrink();
        let left: Vec<u64> = (1..=1009).filter(is_left).collect();
        assert!(table.iter().eq(left.iter().map(|counter| (id(*counter), counter))));
        assert_eq!(table.len(), left.len());
        for counter in left {
            assert_eq!(table.get(id(counter)), Some(&counter));
            assert_eq!(table.get_mut(id(counter)).copied(), Some(counter));
        }
        assert!(table.pages.values().all(|page| page.present != 0), "an empty page is gone");
    }
}
