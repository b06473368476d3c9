//! Random numbers of a simulated world: all of them come from its seed, through here.

use crate::types::Random;

/// A seeded source of random numbers. Same seed, same numbers.
#[derive(Clone, Debug)]
pub struct Rng(Random);

impl Rng {
    /// A source for a seed. Neighbouring seeds give unrelated numbers.
    #[must_use]
    pub fn new(seed: u64) -> Rng {
        let mut random = Random::new(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x7061_786f_7364);
        random.draw();
        Rng(random)
    }

    /// 64 fresh bits.
    pub fn bits(&mut self) -> u64 {
        self.0.draw()
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0.below(bound)
    }

    /// A number from `from` to `upto`, both included.
    pub fn range(&mut self, from: u64, upto: u64) -> u64 {
        assert!(from <= upto, "an empty range: {from}..={upto}");
        from + self.0.below(upto - from + 1)
    }

    /// True in so many of a hundred cases.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.0.below(100) < percent
    }

    /// True once in so many cases.
    pub fn one_in(&mut self, cases: u64) -> bool {
        self.0.below(cases) == 0
    }

    /// One of these.
    ///
    /// # Panics
    /// When there is none.
    pub fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        assert!(!all.is_empty(), "nothing to pick from");
        &all[self.below(all.len() as u64) as usize]
    }

    /// A duration that is mostly near `typical`, seldom several times it, never zero.
    pub fn duration(&mut self, typical: u64) -> u64 {
        let spread = match self.below(16) {
            0 => 8,
            1..=3 => 3,
            _ => 1,
        };
        1 + typical / 2 + self.below(typical * spread + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A seed repeats itself, and its neighbour is another world.
    #[test]
    fn same_seed_same_numbers() {
        let numbers = |seed| {
            let mut rng = Rng::new(seed);
            [rng.bits(), rng.range(3, 9), rng.duration(100)]
        };
        assert_eq!(numbers(7), numbers(7));
        assert_ne!(numbers(7)[0], numbers(8)[0]);
    }
}
