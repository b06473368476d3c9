//! What time it is for the values that a leader builds: its own clock, held to those of its peers (C28).
//!
//! Retention by age goes by the stamps of values, and stamps never fall. So one wrong clock could do two
//! kinds of harm: a year ahead it would let everything go, and once it is set right no stamp would rise for a
//! year. Peers therefore tell each other what their clocks show, and a leader stays within a bound of the
//! median. Stamps are no proof of anything else: no lease and no vote goes by them.
//!
//! # The reference
//! - With three voices or more, its own included, it is their median; of an even number the lower one, as
//!   what is kept too long is less of a loss than what went too early.
//! - With fewer, it is the last time that was believed, carried on by the clock that counts from the boot: a
//!   jump is held back. Where there is no such time yet, two voices believe each other where they agree, and
//!   the lower one counts where they do not. A voice that is alone among three members or more is not
//!   believed: its stamps stand still. In a cluster of one or two there can be no third voice, and the first
//!   reading is believed.

use crate::types::{NodeId, Tick};
use std::collections::BTreeMap;
use std::fmt;

/// A reading is carried on for so long at most. A clock does not go wrong because its node is silent.
const READING_US: u64 = 600_000_000;
/// From so many voices on the median outvotes one wrong clock.
const VOICES_MIN: usize = 3;
/// A clock that stays wrong is complained of this often.
const COMPLAINT_US: u64 = 600_000_000;
/// The own clock is looked at this often where nothing is stamped.
const LOOK_US: u64 = 1_000_000;

/// A wall clock's reading, and when it was taken or heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reading {
    at: Tick,
    wall_ms: u64,
}

impl Reading {
    /// What the clock shows by now, if it is right.
    fn carried_on(&self, now: Tick) -> u64 {
        self.wall_ms.saturating_add(now.since(self.at) / 1000)
    }
}

/// The leader's clock is too far from the others, or jumped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldBack {
    /// What the own clock shows.
    pub wall_ms: u64,
    /// What it is held to.
    pub reference_ms: u64,
    /// How far from that a stamp may be.
    pub skew_ms: u64,
    /// What says so.
    pub by: Judge,
}

/// By what a clock is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judge {
    /// The median of so many clocks, the own one included.
    Median(usize),
    /// The time since the boot, added to the last time that was believed.
    BootClock,
    /// The lower of two clocks that do not agree.
    OneOther,
}

impl fmt::Display for HeldBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let HeldBack { wall_ms, reference_ms, skew_ms, by } = self;
        let seconds = wall_ms.abs_diff(*reference_ms) / 1000;
        let side = if wall_ms > reference_ms { "ahead of" } else { "behind" };
        write!(f, "this node's clock is {seconds} s {side} {by}: ")?;
        write!(f, "values are stamped within {skew_ms} ms of that")
    }
}

impl fmt::Display for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Judge::Median(voices) => write!(f, "the median of {voices} nodes' clocks"),
            Judge::BootClock => f.write_str(
                "the clock that counts from the boot (once restarted, the node believes its clock anew)",
            ),
            Judge::OneOther => f.write_str("the only other clock that is known"),
        }
    }
}

/// What the own clock is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reference {
    /// This time.
    Known(u64, Judge),
    /// Nothing: it is believed as it is.
    Believed,
    /// Nobody bears it out yet: this time at most, and it is not believed later on.
    Unproven(u64),
}

/// The clocks of the members, as this node hears them.
#[derive(Debug)]
pub struct PeerClocks {
    members: usize,
    skew_ms: u64,
    /// What each peer's clock showed when it was last heard.
    heard: BTreeMap<NodeId, Reading>,
    /// The last time that was believed.
    believed: Option<Reading>,
    /// The own clock was held back when it was last looked at.
    holds_back: bool,
    /// When that was last complained of.
    complained: Option<Tick>,
    /// When the own clock is to be looked at again.
    look_at: Option<Tick>,
}

impl PeerClocks {
    /// Of a cluster of so many members, this node included.
    #[must_use]
    pub fn new(members: usize, skew_ms: u64) -> PeerClocks {
        PeerClocks {
            members,
            skew_ms,
            heard: BTreeMap::new(),
            believed: None,
            holds_back: false,
            complained: None,
            look_at: None,
        }
    }

    /// Sets how far from the reference a stamp may be.
    pub fn set_skew_ms(&mut self, skew_ms: u64) {
        self.skew_ms = skew_ms;
    }

    /// A peer says what its clock shows; 0 where it does not know.
    pub fn heard(&mut self, now: Tick, node: NodeId, wall_ms: u64) {
        if wall_ms > 0 {
            self.heard.insert(node, Reading { at: now, wall_ms });
        }
    }

    /// The own clock is held back.
    #[must_use]
    pub fn holds_back(&self) -> bool {
        self.holds_back
    }

    /// The time by this node's clock, as far as others bear it out; 0 where nobody does yet. To be asked
    /// from time to time also where no value is to be stamped, so that a jump of the clock is seen as one.
    pub fn time_ms(&mut self, now: Tick, wall_ms: u64) -> (u64, Option<HeldBack>) {
        if wall_ms == 0 {
            return (0, None); // Nobody has set the clock.
        }
        let (reference_ms, by) = match self.reference(now, wall_ms) {
            Reference::Known(reference_ms, by) => (reference_ms, by),
            Reference::Believed => {
                self.believed = Some(Reading { at: now, wall_ms });
                self.holds_back = false;
                return (wall_ms, None);
            }
            Reference::Unproven(time_ms) => return (time_ms, None),
        };
        let earliest = reference_ms.saturating_sub(self.skew_ms);
        let latest = reference_ms.saturating_add(self.skew_ms);
        let time_ms = wall_ms.clamp(earliest, latest);
        self.holds_back = time_ms != wall_ms;
        if !self.holds_back {
            self.believed = Some(Reading { at: now, wall_ms });
            self.complained = None;
            return (time_ms, None);
        }
        // Not the clamped time: it would creep by the bound each time that it is asked for.
        if by != Judge::OneOther {
            self.believed = Some(Reading { at: now, wall_ms: reference_ms });
        }
        if self.complained.is_some_and(|at| now.since(at) < COMPLAINT_US) {
            return (time_ms, None);
        }
        self.complained = Some(now);
        (time_ms, Some(HeldBack { wall_ms, reference_ms, skew_ms: self.skew_ms, by }))
    }

    /// As [`PeerClocks::time_ms`], as often as is enough where no value is to be stamped.
    pub fn look(&mut self, now: Tick, wall_ms: u64) -> Option<HeldBack> {
        if self.look_at.is_some_and(|at| now < at) {
            return None;
        }
        self.look_at = Some(now.after(LOOK_US));
        self.time_ms(now, wall_ms).1
    }

    /// The stamp of a value that a leader builds behind one of `last_ms`: never before that, and what must
    /// be said of the own clock.
    pub fn stamp(&mut self, now: Tick, wall_ms: u64, last_ms: u64) -> (u64, Option<HeldBack>) {
        let (time_ms, held_back) = self.time_ms(now, wall_ms);
        (time_ms.max(last_ms), held_back)
    }

    /// What the own clock is held to.
    fn reference(&mut self, now: Tick, wall_ms: u64) -> Reference {
        self.heard.retain(|_, reading| now.since(reading.at) <= READING_US);
        let mut voices: Vec<u64> =
            self.heard.values().map(|reading| reading.carried_on(now)).collect();
        voices.push(wall_ms);
        voices.sort_unstable();
        let lower_median = voices[(voices.len() - 1) / 2];
        if voices.len() >= VOICES_MIN {
            return Reference::Known(lower_median, Judge::Median(voices.len()));
        }
        match (&self.believed, voices.len()) {
            (Some(believed), _) => Reference::Known(believed.carried_on(now), Judge::BootClock),
            (None, _) if self.members < VOICES_MIN => Reference::Believed,
            (None, 2) if voices[1] - voices[0] <= self.skew_ms => Reference::Believed,
            (None, 2) if wall_ms > voices[0] => Reference::Known(voices[0], Judge::OneOther),
            (None, 2) => Reference::Unproven(wall_ms),
            (None, _) => Reference::Unproven(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: u64 = 1_800_000_000_000;
    const YEAR: u64 = 365 * 86_400_000;
    /// One second in 2099.
    const IN_2099: u64 = 4_070_908_800_000;
    const SKEW: u64 = 5_000;

    fn at(seconds: u64) -> Tick {
        Tick(1_000_000_000 + seconds * 1_000_000)
    }

    /// A leader of `members` that has heard those clocks at second 0.
    fn leader(members: usize, clocks: &[u64]) -> PeerClocks {
        let mut leader = PeerClocks::new(members, SKEW);
        for (node, clock) in (2..).zip(clocks) {
            leader.heard(at(0), NodeId(node), *clock);
        }
        leader
    }

    /// C28, one second in 2099: a leader whose clock is wrong for a moment stamps no value that far ahead,
    /// and says so; once its clock is right again stamps go on as if nothing had been.
    #[test]
    fn c28_one_second_in_2099_moves_no_stamp_there() {
        let mut leader = leader(3, &[TODAY, TODAY + 20]);
        assert_eq!(leader.stamp(at(0), TODAY + 10, 0), (TODAY + 10, None));
        let (stamp, complaint) = leader.stamp(at(1), IN_2099, TODAY + 10);
        assert_eq!(stamp, TODAY + 1_020 + SKEW, "the median of three, and no more than the bound");
        let text = complaint.expect("it must be said").to_string();
        assert!(text.contains("ahead of the median of 3 nodes' clocks"), "{text}");
        assert!(leader.holds_back());
        assert_eq!(leader.stamp(at(1), IN_2099, stamp), (stamp, None), "it is said once");
        assert_eq!(leader.stamp(at(60), TODAY + 60_000, stamp), (TODAY + 60_000, None));
        assert!(!leader.holds_back());
    }

    /// C28: a clock that is a year behind stops no retention: stamps go on by the others' clocks.
    #[test]
    fn c28_a_clock_that_is_behind_stops_no_stamps() {
        let mut leader = leader(3, &[TODAY, TODAY + 20]);
        let (stamp, complaint) = leader.stamp(at(0), TODAY - YEAR, 0);
        assert_eq!(stamp, TODAY - SKEW);
        assert!(complaint.expect("it must be said").to_string().contains("behind the median"));
        let (later, _) = leader.stamp(at(100), TODAY - YEAR + 100_000, stamp);
        assert_eq!(later, stamp + 100_000);
    }

    /// C28: one wrong clock among the peers moves no stamp, however many there are and however it is wrong.
    #[test]
    fn c28_one_wrong_peer_moves_no_stamp() {
        for members in 3..=7 {
            for wrong in [0, 1, TODAY - YEAR, TODAY + YEAR, IN_2099, u64::MAX] {
                let mut clocks = vec![TODAY; members - 2];
                clocks.push(wrong);
                let mut leader = leader(members, &clocks);
                for seconds in [0, 1, 300] {
                    let clock = TODAY + seconds * 1000;
                    let stamp = leader.stamp(at(seconds), clock, 0);
                    assert_eq!(stamp, (clock, None), "{members} members, one at {wrong}");
                }
            }
        }
    }

    /// C28: stamps never fall, whatever the clocks do.
    #[test]
    fn c28_stamps_never_fall() {
        let mut leader = leader(3, &[TODAY, TODAY]);
        let mut last = 0;
        for (seconds, clock) in
            [(0, TODAY), (1, TODAY + YEAR), (2, TODAY - YEAR), (3, 1), (4, TODAY + 4_000), (5, 0)]
        {
            let (stamp, _) = leader.stamp(at(seconds), clock, last);
            assert!(stamp >= last, "{stamp} behind {last} at second {seconds}");
            last = stamp;
        }
        assert!(last <= TODAY + 5_000 + SKEW, "{last}");
    }

    /// C28: where two are left of three, a jump is held back by the clock that counts from the boot.
    #[test]
    fn c28_a_jump_with_fewer_than_three_voices_is_held_back() {
        let mut leader = leader(3, &[TODAY, TODAY]);
        assert_eq!(leader.stamp(at(0), TODAY, 0).0, TODAY);
        // Both peers fall silent; after ten minutes their clocks are known no longer.
        let clock = TODAY + 700_000;
        assert_eq!(leader.stamp(at(700), clock, TODAY), (clock, None));
        let (stamp, complaint) = leader.stamp(at(701), IN_2099, clock);
        assert_eq!(stamp, clock + 1_000 + SKEW);
        assert_eq!(complaint.map(|complaint| complaint.by), Some(Judge::BootClock));
        // It does not creep there by the bound each time that it is asked.
        for seconds in 702..800 {
            let (stamp, _) = leader.stamp(at(seconds), IN_2099, stamp);
            assert!(stamp <= TODAY + seconds * 1000 + SKEW, "{stamp} at second {seconds}");
        }
    }

    /// C28: a node that starts in 2099 and leads before it has heard others stamps nothing ahead; once it has
    /// heard one of them it goes by the lower clock, once it has heard both by the median.
    #[test]
    fn c28_a_start_in_2099_is_not_believed() {
        let mut leader = PeerClocks::new(3, SKEW);
        assert_eq!(leader.stamp(at(0), IN_2099, TODAY), (TODAY, None), "time stands still");
        leader.heard(at(1), NodeId(2), TODAY + 1_000);
        let (stamp, complaint) = leader.stamp(at(1), IN_2099, TODAY);
        assert_eq!((stamp, complaint.map(|c| c.by)), (TODAY + 1_000 + SKEW, Some(Judge::OneOther)));
        leader.heard(at(2), NodeId(3), TODAY + 2_000);
        assert_eq!(leader.stamp(at(2), IN_2099, 0).0, TODAY + 2_000 + SKEW);
        assert_eq!(leader.stamp(at(3), TODAY + 3_000, 0), (TODAY + 3_000, None));
    }

    /// C28: in a cluster of one the clock of the start is believed, and no jump after it.
    #[test]
    fn c28_a_lone_node_believes_its_start_and_no_jump() {
        let mut lone = PeerClocks::new(1, SKEW);
        assert_eq!(lone.time_ms(at(0), TODAY), (TODAY, None));
        let (time, complaint) = lone.time_ms(at(3_600), IN_2099);
        assert_eq!(time, TODAY + 3_600_000 + SKEW);
        let text = complaint.expect("it must be said").to_string();
        assert!(text.contains("once restarted, the node believes its clock anew"), "{text}");
        let (time, complaint) = lone.time_ms(at(7_200), TODAY);
        assert_eq!(time, TODAY + 7_200_000 - SKEW, "nor one back");
        assert!(complaint.is_some(), "it is said again after a while");
        // A clock that is slewed, as daemons do, is no jump.
        for minutes in 120..240 {
            let clock = TODAY + minutes * 60_000 + (minutes - 120) * 30;
            assert_eq!(lone.time_ms(at(minutes * 60), clock), (clock, None), "{minutes}");
        }
    }

    /// C28: what nobody has set is no time, and bounds nobody.
    #[test]
    fn c28_a_clock_that_nobody_set_is_no_voice() {
        let mut leader = leader(3, &[0, 0]);
        assert_eq!(leader.stamp(at(0), 0, 7), (7, None));
        assert_eq!(leader.stamp(at(0), TODAY, 7), (7, None), "alone among three");
    }
}
