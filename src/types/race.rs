//! The addresses of one name, tried while others of them are still under way: an address that
//! swallows what is sent to it costs a fraction of a second, and not all the time there is (RFC
//! 8305, "Happy Eyeballs").

use super::Tick;
use crate::limits::{ADDRESSES_MAX, RACE_STAGGER_MS};
use std::collections::VecDeque;

/// Attempts on the addresses of one name; at most one of them is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Race<A> {
    /// Not tried yet, the next one first.
    left: VecDeque<A>,
    /// Tried, and neither failed nor taken.
    under_way: Vec<A>,
    /// The one that got through. While it may still serve, no other is begun.
    taken: Option<A>,
    /// When the next one begins, though none has failed.
    next_at: Tick,
}

impl<A: Copy + Eq> Race<A> {
    /// Attempts that begin now, in this order but for the families, which take turns: one that
    /// does not work at all then delays the other by one step. An address that comes twice is tried
    /// once, and no more than [`ADDRESSES_MAX`] are.
    #[must_use]
    pub fn new<F: Eq>(addresses: &[A], family: impl Fn(&A) -> F, now: Tick) -> Race<A> {
        let mut rest: Vec<A> = Vec::new();
        for address in addresses {
            if !rest.contains(address) {
                rest.push(*address);
            }
        }
        let mut left: VecDeque<A> = VecDeque::new();
        while !rest.is_empty() && left.len() < ADDRESSES_MAX {
            let last = left.back().map(&family);
            let other = rest.iter().position(|next| Some(family(next)) != last);
            left.push_back(rest.remove(other.unwrap_or(0)));
        }
        Race { left, under_way: Vec::new(), taken: None, next_at: now }
    }

    /// Returns the address to try now, if it is time for one; it counts as tried from here on.
    pub fn due(&mut self, now: Tick) -> Option<A> {
        if self.next_deadline()? > now {
            return None;
        }
        let next = self.left.pop_front()?;
        self.under_way.push(next);
        self.next_at = now.after(RACE_STAGGER_MS * 1000);
        Some(next)
    }

    /// Returns the time at which [`due`](Race::due) next has an address.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Tick> {
        let waits = self.taken.is_none() && !self.left.is_empty();
        waits.then_some(self.next_at)
    }

    /// An attempt failed: the next one begins at once.
    pub fn failed(&mut self, address: A, now: Tick) {
        self.under_way.retain(|tried| *tried != address);
        if self.taken == Some(address) {
            self.taken = None;
        }
        self.next_at = now;
    }

    /// An attempt got through. The others are to be given up, and are returned: they are tried
    /// again should this one come to nothing.
    pub fn take(&mut self, address: A) -> Vec<A> {
        self.taken = Some(address);
        let mut others = std::mem::take(&mut self.under_way);
        others.retain(|tried| *tried != address);
        for other in others.iter().rev() {
            self.left.push_front(*other);
        }
        others
    }

    /// Returns true when an address is left to be tried should the one that got through fail.
    #[must_use]
    pub fn has_more(&self) -> bool {
        !self.left.is_empty()
    }

    /// Returns true when every attempt has failed.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.left.is_empty() && self.under_way.is_empty() && self.taken.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: u64 = RACE_STAGGER_MS * 1000;

    /// Addresses as letters: those in capitals are of another family.
    fn race(addresses: &str) -> Race<char> {
        let addresses: Vec<char> = addresses.chars().collect();
        Race::new(&addresses, |address| address.is_uppercase(), Tick(0))
    }

    /// All that are due by then.
    fn due(race: &mut Race<char>, now: u64) -> String {
        std::iter::from_fn(|| race.due(Tick(now))).collect()
    }

    /// An address that swallows everything delays the next by a step; one that fails, not at all.
    #[test]
    fn silence_delays_by_a_step_and_failure_not_at_all() {
        let mut race = race("abc");
        assert_eq!(due(&mut race, 0), "a");
        assert_eq!(race.next_deadline(), Some(Tick(STEP)));
        assert_eq!(due(&mut race, STEP - 1), "");
        assert_eq!(due(&mut race, STEP), "b");
        race.failed('b', Tick(STEP + 5));
        assert_eq!(due(&mut race, STEP + 5), "c");
        assert_eq!(race.next_deadline(), None);
        race.failed('c', Tick(STEP + 9));
        assert!(!race.is_lost(), "the first one may still get through");
        race.failed('a', Tick(STEP + 10));
        assert!(race.is_lost());
    }

    /// The first to get through stands alone; if it comes to nothing, those given up are tried anew.
    #[test]
    fn the_first_to_get_through_is_taken() {
        let mut race = race("abc");
        assert_eq!(due(&mut race, 0) + &due(&mut race, STEP), "ab");
        assert_eq!(race.take('b'), ['a']);
        assert!(race.has_more());
        assert_eq!(due(&mut race, 9 * STEP), "", "one connection at a time greets");
        race.failed('a', Tick(9 * STEP));
        assert_eq!(due(&mut race, 9 * STEP), "", "what was given up has not failed");
        race.failed('b', Tick(9 * STEP));
        assert_eq!(due(&mut race, 9 * STEP) + &due(&mut race, 10 * STEP), "ac");
        assert!(!race.has_more() && !race.is_lost());
        for address in "ac".chars() {
            race.failed(address, Tick(11 * STEP));
        }
        assert!(race.is_lost());
    }

    /// Families take turns, nothing is tried twice, and a name with very many addresses has a bound.
    #[test]
    fn families_take_turns() {
        let order = |addresses: &str| -> String { race(addresses).left.iter().collect() };
        assert_eq!(order("abcXY"), "aXbYc");
        assert_eq!(order("XYa"), "XaY");
        assert_eq!(order("aab"), "ab");
        assert_eq!(order("abcdefghijkl"), "abcdefgh");
        assert!(race("").is_lost());
    }
}
