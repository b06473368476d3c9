//! Seeded chance: the same seed, the same sequence.

use paxosd::types;

/// A generator.
#[derive(Clone, Debug)]
pub struct Random {
    seed: u64,
    drawn: types::Random,
}

impl Random {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> Random {
        Random { seed, drawn: types::Random::new(seed) }
    }

    /// A generator of its own for the `n`-th part of a whole.
    pub fn part(&self, n: u64) -> Random {
        let mut part = Random::new(self.seed ^ n.wrapping_mul(0xD6E8_FEB8_6659_FD93));
        part.next();
        part
    }

    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.drawn.draw()
    }

    /// A number below `end`, which is not zero.
    pub fn below(&mut self, end: u64) -> u64 {
        self.drawn.below(end)
    }

    /// A number from the range, both ends included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// True in so many of a hundred cases.
    pub fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }
}
