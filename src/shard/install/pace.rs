//! How fast a node takes over what it lacks: as fast as it goes while nobody else needs network and disks, and
//! for a share of the time while clients are active (C29).

use crate::limits::{
    INSTALL_ACTIVE_US, INSTALL_ASK_TIMEOUTS, INSTALL_REST_US_MAX, INSTALL_SHARE_PERCENT,
    INSTALL_UNSYNCED_ANSWERS,
};
use crate::shard::core::Core;
use crate::types::{Lsn, Slot, Tick};
use std::collections::VecDeque;

/// An answer is waited for so long, in microseconds.
pub(super) fn answer_us(core: &Core) -> u64 {
    INSTALL_ASK_TIMEOUTS * core.options.paxos.timing.election_us
}

/// The pace of one kind of requests. Where several are under way at a time, the time that each takes counts from the
/// end of the one before.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct InstallPace {
    /// When the present request was sent, or the one before was answered.
    begun: Tick,
    /// Up to where slots were known to be chosen, and when that rose last.
    known: Slot,
    rose_at: Tick,
    /// The next request is sent no sooner.
    rest_until: Tick,
}

impl InstallPace {
    /// A request is sent.
    pub(super) fn begin(&mut self, now: Tick, known: Slot) {
        self.note(now, known);
        self.begun = now;
    }

    /// All that it brought is dealt with. While clients append, the next one waits for as long as the share
    /// asks for: what a request takes goes by what the others leave it.
    pub(super) fn end(&mut self, now: Tick, known: Slot) {
        let is_active = self.look(now, known);
        let took = now.since(self.begun);
        let rest = took.saturating_mul(100 - INSTALL_SHARE_PERCENT) / INSTALL_SHARE_PERCENT;
        let rest = if is_active { rest.min(INSTALL_REST_US_MAX) } else { 0 };
        self.rest_until = now.after(rest);
        self.begun = now; // For a second one that is under way.
    }

    /// Takes in up to where slots are known to be chosen. True while clients append, as far as that shows it.
    pub(super) fn look(&mut self, now: Tick, known: Slot) -> bool {
        self.note(now, known);
        self.rose_at > Tick(0) && now.since(self.rose_at) < INSTALL_ACTIVE_US
    }

    fn note(&mut self, now: Tick, known: Slot) {
        if known > self.known {
            let is_first = self.known == Slot(0);
            self.known = known;
            self.rose_at = if is_first { self.rose_at } else { now };
        }
    }

    /// Until when nothing is asked for.
    pub(super) fn rests_until(&self, now: Tick) -> Option<Tick> {
        Some(self.rest_until).filter(|until| *until > now)
    }
}

/// Answers whose records may not be durable yet. While clients are active they are few: whatever waits for the disk
/// lies in front of the next batch of appends, in this journal and in all others on the same disk.
#[derive(Debug, Default)]
pub(super) struct UnsyncedAnswers {
    /// The last record of each, by rising number.
    last: VecDeque<Lsn>,
}

impl UnsyncedAnswers {
    /// The records of an answer were handed to the journal; this is the last one.
    pub(super) fn add(&mut self, lsn: Lsn) {
        self.last.push_back(lsn);
    }

    /// As many wait for the disk as may, where records are durable up to `durable`. Drops those that wait no more.
    pub(super) fn is_full(&mut self, durable: Lsn) -> bool {
        while self.last.pop_front_if(|lsn| *lsn <= durable).is_some() {}
        self.last.len() >= INSTALL_UNSYNCED_ANSWERS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// C29: as many answers wait for the disk as may, and the next one until the first of them is durable.
    #[test]
    fn c29_few_answers_wait_for_the_disk() {
        let mut unsynced = UnsyncedAnswers::default();
        for nth in 1..=INSTALL_UNSYNCED_ANSWERS as u64 {
            assert!(!unsynced.is_full(Lsn(0)), "{nth}");
            unsynced.add(Lsn(10 * nth));
        }
        assert!(unsynced.is_full(Lsn(9)));
        assert!(!unsynced.is_full(Lsn(10)));
    }

    /// C29: nobody waits while nobody appends; beside clients the rest is what the share asks for, at least a
    /// tenth of the time is taken, and a request that took long does not stop it for long.
    #[test]
    fn c29_what_is_taken_over_leaves_clients_their_share() {
        let mut pace = InstallPace::default();
        pace.begin(Tick(1_000_000), Slot(10));
        pace.end(Tick(1_004_000), Slot(10));
        assert_eq!(pace.rests_until(Tick(1_004_000)), None);
        pace.begin(Tick(1_004_000), Slot(11));
        pace.end(Tick(1_008_000), Slot(12));
        let until = pace.rests_until(Tick(1_008_000)).expect("clients are active");
        let rest = until.since(Tick(1_008_000));
        assert_eq!(rest, 4_000 * (100 - INSTALL_SHARE_PERCENT) / INSTALL_SHARE_PERCENT);
        assert!(4_000 * 10 >= 4_000 + rest, "at least a tenth of the time: {rest}");
        assert_eq!(pace.rests_until(until), None);
        pace.begin(until, Slot(12));
        pace.end(until.after(100 * INSTALL_REST_US_MAX), Slot(13));
        let now = until.after(100 * INSTALL_REST_US_MAX);
        assert_eq!(pace.rests_until(now), Some(now.after(INSTALL_REST_US_MAX)));
        // A while after the last append nobody waits any more.
        let later = now.after(INSTALL_ACTIVE_US);
        pace.begin(later, Slot(13));
        pace.end(later.after(4_000), Slot(13));
        assert_eq!(pace.rests_until(later.after(4_000)), None);
    }
}
