//! Randomness that comes from a seed alone: the same on every run and every machine.

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014): good
/// enough to spread elections and retries, and nothing that must be hard to guess. It is written out
/// here because a replica's state is compared and hashed: the generators of `rand_xoshiro`,
/// `rand_pcg`, `oorandom` and `fastrand` cannot be hashed. What a seed means must not change with a
/// version of theirs either, as seeds are kept that repeat a run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Random(u64);

impl Random {
    /// A generator that gives the same numbers for the same seed.
    #[must_use]
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; zero when the bound is zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.draw() % bound }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seeds are kept in files: what one means is that of the published generator, for good.
    #[test]
    fn a_seed_gives_the_published_numbers() {
        let mut random = Random::new(1_234_567);
        let drawn = [(); 3].map(|()| random.draw());
        let published =
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(drawn, published);
    }

    /// A number keeps its bound and is not constant.
    #[test]
    fn numbers_keep_their_bound() {
        let mut random = Random::new(7);
        let drawn: std::collections::BTreeSet<u64> = (0..1000).map(|_| random.below(10)).collect();
        assert_eq!(drawn, (0..10).collect());
        assert_eq!(random.below(0), 0);
    }
}
