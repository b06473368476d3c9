//! Clocks that run at rates of their own (R20).

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
