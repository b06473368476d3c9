//! Values on their way to the disk: how many, and how large.

use crate::types::Lsn;
use std::collections::VecDeque;

/// Values persisted and not durable yet, oldest first, each with its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Unsynced {
    values: VecDeque<(Lsn, usize)>,
    bytes: usize,
}

impl Unsynced {
    /// A record with a value of so many bytes was handed out; LSNs rise.
    pub(super) fn push(&mut self, lsn: Lsn, bytes: usize) {
        self.values.push_back((lsn, bytes));
        self.bytes += bytes;
    }

    /// Every record up to `durable` is on disk.
    pub(super) fn synced(&mut self, durable: Lsn) {
        while let Some((_, bytes)) = self.values.pop_front_if(|(lsn, _)| *lsn <= durable) {
            self.bytes -= bytes;
        }
    }

    /// How many values wait.
    pub(super) fn values(&self) -> u64 {
        self.values.len() as u64
    }

    /// Their bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is durable waits no more, and nothing else is forgotten.
    #[test]
    fn durable_values_wait_no_more() {
        let mut unsynced = Unsynced::default();
        for lsn in [3, 4, 7] {
            unsynced.push(Lsn(lsn), lsn as usize * 10);
        }
        unsynced.synced(Lsn(2));
        assert_eq!((unsynced.values(), unsynced.bytes()), (3, 140));
        unsynced.synced(Lsn(6));
        assert_eq!((unsynced.values(), unsynced.bytes()), (1, 70));
        unsynced.synced(Lsn(7));
        assert_eq!((unsynced.values(), unsynced.bytes()), (0, 0));
    }
}
