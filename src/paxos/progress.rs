//! How far a follower has come, as the leader of one ballot sees it (`tracker.Progress` of etcd's Raft;
//! Paxos Made Moderately Complex, the commander's `waitfor`).

use super::replica::{Replica, Role};
use crate::types::{NodeId, Slot, Tick};
use crate::wire::peer::{Accepted, Grant, Resend};

/// What a follower said of itself counts for so many election timeouts after the heartbeat that it
/// answered: longer than a lost packet delays
/// the next answer, and too short for an operator to read a figure that is out of date.
const FRESH_TIMEOUTS: u64 = 4;

/// A follower's progress in one ballot. It changes by what the follower says, by what is sent, and by
/// the connection, each of which is a method here.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FollowerProgress {
    /// Acknowledged: every slot from the leadership's first one to here is durable there, or known to
    /// be chosen (C3).
    upto: Slot,
    /// The last slot sent on the present connection.
    sent: Slot,
    /// Its chosen watermark. Only rises.
    chosen_upto: Slot,
    /// The stamp of the last heartbeat that it answered with a grant.
    granted_at: Tick,
    /// The stamp of the last heartbeat that it answered.
    confirmed_at: Tick,
    /// Whether its disk has space, once it has said so in this ballot.
    has_room: Option<bool>,
    /// When `upto` last rose, or the sending last began anew.
    moved_at: Tick,
}

impl FollowerProgress {
    /// A leadership begins with slot `first`: nothing of it is sent or acknowledged.
    pub(super) fn new(first: Slot, chosen_upto: Slot, now: Tick) -> FollowerProgress {
        FollowerProgress {
            upto: first.prev(),
            sent: first.prev(),
            chosen_upto,
            granted_at: Tick(0),
            confirmed_at: Tick(0),
            has_room: None,
            moved_at: now,
        }
    }

    /// It acknowledged. Slots that it knows as chosen beyond those `proposed` were proposed in a
    /// higher ballot; they say nothing of this one.
    pub(super) fn accepted(&mut self, now: Tick, a: &Accepted, proposed: Slot) {
        self.knows_chosen(a.chosen_upto);
        self.has_room = Some(a.has_room);
        let upto = a.upto.min(proposed);
        if upto > self.upto {
            self.upto = upto;
            self.moved_at = now;
        }
    }

    /// It answered a heartbeat, with a grant where that asked for one.
    pub(super) fn granted(&mut self, g: &Grant) {
        self.knows_chosen(g.chosen_upto);
        self.has_room = Some(g.has_room);
        self.confirmed_at = self.confirmed_at.max(g.sent_at);
        if g.lease_us > 0 {
            self.granted_at = self.granted_at.max(g.sent_at);
        }
    }

    /// It misses accepts: they are sent again from there.
    pub(super) fn misses(&mut self, now: Tick, r: &Resend) {
        self.knows_chosen(r.chosen_upto);
        self.sent = self.sent.min(r.from.prev());
        self.moved_at = now;
    }

    /// What was in flight on the old connection is gone: sending begins anew behind what is durable
    /// there (C3).
    pub(super) fn reconnected(&mut self) {
        self.sent = self.upto;
    }

    /// What it acknowledged and granted counts no more: its disk has lost some of it (C13).
    pub(super) fn refuted(&mut self, first: Slot) {
        (self.upto, self.sent) = (first.prev(), first.prev());
        (self.granted_at, self.confirmed_at) = (Tick(0), Tick(0));
    }

    /// The slots to send now, up to the last one `proposed`, which count as sent from here on. What is
    /// chosen already is learned, not accepted: the follower asks for it (C9). Of slots further than
    /// 2α beyond its watermark it would take none (C4).
    pub(super) fn send(
        &mut self,
        now: Tick,
        chosen_upto: Slot,
        proposed: Slot,
        window_slots: u64,
    ) -> impl Iterator<Item = Slot> + use<> {
        self.sent = self.sent.max(chosen_upto);
        let last = proposed.min(self.chosen_upto.plus(2 * window_slots));
        let first = self.sent.next();
        if self.sent < last {
            if self.upto >= self.sent {
                self.moved_at = now; // The pipeline to this follower was empty until now.
            }
            self.sent = last;
        }
        (first.0..=last.0).map(Slot)
    }

    /// What was sent and not acknowledged for so long is to be sent again: true if there is any. A
    /// full disk asks by itself when it has space again, but for slots up to `election`, which an
    /// election found.
    pub(super) fn resend_if_stalled(&mut self, now: Tick, retry_us: u64, election: Slot) -> bool {
        let waits = self.upto < self.sent && (!self.is_full() || self.upto < election);
        let stalled = waits && now.since(self.moved_at) >= retry_us;
        if stalled {
            self.sent = self.upto;
            self.moved_at = now;
        }
        stalled
    }

    /// Acknowledged up to here.
    pub(super) fn upto(&self) -> Slot {
        self.upto
    }

    /// Its chosen watermark.
    pub(super) fn chosen_upto(&self) -> Slot {
        self.chosen_upto
    }

    /// The stamp of the last heartbeat that it answered with a grant; zero if there is none.
    pub(super) fn granted_at(&self) -> Tick {
        self.granted_at
    }

    /// The stamp of the last heartbeat that it answered; zero if there is none.
    pub(super) fn confirmed_at(&self) -> Tick {
        self.confirmed_at
    }

    /// It said that its disk is full.
    pub(super) fn is_full(&self) -> bool {
        self.has_room == Some(false)
    }

    /// It said that its disk has space.
    pub(super) fn has_room(&self) -> bool {
        self.has_room == Some(true)
    }

    fn knows_chosen(&mut self, upto: Slot) {
        self.chosen_upto = self.chosen_upto.max(upto);
    }
}

impl Replica {
    /// How far a member has come, if this replica leads and hears of it: followers hear nothing of
    /// each other, and what they once heard would only grow old. For status and metrics.
    #[must_use]
    pub fn progress_of(&self, node: NodeId, now: Tick) -> Option<Slot> {
        let Role::Leader(leadership) = self.role() else { return None };
        let progress = leadership.followers.get(&node)?;
        let fresh_us = FRESH_TIMEOUTS * self.config().timing.election_us;
        let up = self.peers().get(&node).is_some_and(|peer| peer.up);
        let confirmed_at = progress.confirmed_at();
        let heard = confirmed_at > Tick(0) && now.since(confirmed_at) <= fresh_us;
        (up && heard).then_some(progress.chosen_upto())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Ballot, Lsn};

    const WINDOW: u64 = 4;

    fn accepted(upto: u64, chosen_upto: u64) -> Accepted {
        let (upto, chosen_upto) = (Slot(upto), Slot(chosen_upto));
        let ballot = Ballot::new(1, NodeId(1));
        Accepted { ballot, upto, chosen_upto, durable: Lsn(1), has_room: true }
    }

    fn send(progress: &mut FollowerProgress, now: u64, proposed: u64) -> Vec<u64> {
        progress.send(Tick(now), Slot(10), Slot(proposed), WINDOW).map(|slot| slot.0).collect()
    }

    /// C3, C4: each slot is sent once a connection, and none that the follower would refuse.
    #[test]
    fn c04_no_more_is_sent_than_is_taken() {
        let mut progress = FollowerProgress::new(Slot(11), Slot(8), Tick(1));
        assert_eq!(send(&mut progress, 2, 13), [11, 12, 13]);
        assert!(send(&mut progress, 2, 13).is_empty());
        assert_eq!(send(&mut progress, 2, 30), [14, 15, 16]);
        progress.accepted(Tick(3), &accepted(12, 10), Slot(30));
        assert_eq!(send(&mut progress, 3, 30), [17, 18]);
        progress.reconnected();
        assert_eq!(send(&mut progress, 4, 30), [13, 14, 15, 16, 17, 18]);
    }

    /// C3: an acknowledgement never falls, and says nothing of slots that were not proposed.
    #[test]
    fn c03_an_acknowledgement_only_rises() {
        let mut progress = FollowerProgress::new(Slot(11), Slot(8), Tick(1));
        progress.accepted(Tick(3), &accepted(40, 40), Slot(13));
        assert_eq!((progress.upto(), progress.chosen_upto()), (Slot(13), Slot(40)));
        progress.accepted(Tick(4), &accepted(12, 9), Slot(13));
        assert_eq!((progress.upto(), progress.chosen_upto()), (Slot(13), Slot(40)));
        progress.refuted(Slot(11));
        assert_eq!(progress.upto(), Slot(10));
    }

    /// R11: what stalls is sent again, but not to a full disk, which asks by itself.
    #[test]
    fn r11_a_full_disk_is_sent_nothing_again() {
        let mut progress = FollowerProgress::new(Slot(11), Slot(10), Tick(1));
        assert_eq!(send(&mut progress, 2, 13), [11, 12, 13]);
        assert!(!progress.resend_if_stalled(Tick(6), 5, Slot(11)), "too early");
        assert!(progress.resend_if_stalled(Tick(7), 5, Slot(11)));
        assert_eq!(send(&mut progress, 7, 13), [11, 12, 13]);
        progress.accepted(Tick(8), &Accepted { has_room: false, ..accepted(11, 10) }, Slot(13));
        assert!(!progress.resend_if_stalled(Tick(99), 5, Slot(11)), "full");
        assert!(progress.resend_if_stalled(Tick(99), 5, Slot(12)), "an election waits for it");
    }
}
