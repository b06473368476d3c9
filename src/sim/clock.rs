//! Clocks that run at rates of their own (R20).

use crate::limits::CLOCK_SKEW_MS_DEFAULT;
use crate::types::Tick;

/// Parts per million in one.
const WHOLE: u64 = 1_000_000;

/// One machine's clock: a rate, and an offset that a power cut changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Local microseconds per real second.
    rate: u64,
    offset: u64,
}

impl Clock {
    /// A clock of this rate, in local microseconds per real second.
    #[must_use]
    pub fn new(rate: u64, offset: u64) -> Clock {
        Clock { rate, offset }
    }

    /// What the clock shows at a real time.
    #[must_use]
    pub fn local(&self, real: u64) -> Tick {
        let whole = real / WHOLE * self.rate;
        Tick(self.offset + whole + real % WHOLE * self.rate / WHOLE)
    }

    /// The first real time at which the clock shows at least `local`.
    #[must_use]
    pub fn real(&self, local: Tick) -> u64 {
        let elapsed = local.0.saturating_sub(self.offset).min(1 << 40);
        let mut real = elapsed / self.rate * WHOLE + elapsed % self.rate * WHOLE / self.rate;
        while self.local(real) < local && real < 1 << 50 {
            real += 1;
        }
        real
    }
}

/// When a run begins, by clocks that are right: milliseconds since 1970.
const BEGIN_MS: u64 = 1_800_000_000_000;
/// By how much a wrong wall clock is wrong.
const YEAR_MS: u64 = 365 * 86_400_000;

/// What the wall clocks of a run show: that of one node may be a year ahead or behind, by the seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WallClocks {
    wrong: Option<(usize, WrongBy)>,
}

/// To which side a clock is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WrongBy {
    Ahead,
    Behind,
}

impl WallClocks {
    /// The clocks of so many nodes. Of fewer than three none is wrong: nobody would outvote it.
    #[must_use]
    pub fn of_seed(seed: u64, nodes: usize) -> WallClocks {
        let side = match seed % 3 {
            _ if nodes < 3 => None,
            0 => None,
            1 => Some(WrongBy::Ahead),
            _ => Some(WrongBy::Behind),
        };
        let node = (seed / 3 % nodes as u64) as usize;
        WallClocks { wrong: side.map(|side| (node, side)) }
    }

    /// What the clock of a node shows at a real time, in milliseconds since 1970.
    #[must_use]
    pub fn shown_ms(&self, node: usize, real: u64) -> u64 {
        let right = WallClocks::right_ms(real);
        match self.wrong {
            Some((wrong, WrongBy::Ahead)) if wrong == node => right + YEAR_MS,
            Some((wrong, WrongBy::Behind)) if wrong == node => right - YEAR_MS,
            Some(_) | None => right,
        }
    }

    /// The latest stamp that a value may have that is chosen at a real time: the bound, and what a clock that
    /// runs too fast has added to readings since the begin, lies between it and the right time.
    #[must_use]
    pub fn latest_stamp_ms(real: u64) -> u64 {
        WallClocks::right_ms(real) + CLOCK_SKEW_MS_DEFAULT + real / 1000 / 10
    }

    /// What a clock that is right shows at a real time.
    #[must_use]
    pub fn right_ms(real: u64) -> u64 {
        BEGIN_MS + real / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A deadline read back from the clock is never early, and at most a step late.
    #[test]
    fn real_time_of_a_deadline_is_never_early() {
        for rate in [950_000, 1_000_000, 1_050_000] {
            let clock = Clock::new(rate, 12_345);
            for real in (0..10_000_000).step_by(77_777) {
                let local = clock.local(real);
                let back = clock.real(local);
                assert!(back <= real && clock.local(back) >= local, "{rate} {real} {back}");
            }
        }
    }
}
