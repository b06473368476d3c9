//! Time and entropy, which the pure layers below are handed.

use crate::types::Tick;
use rustix::time::{ClockId, clock_gettime};

/// Now, on the clock that goes on while the machine sleeps (R20).
#[must_use]
pub fn now() -> Tick {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let micros = u64::try_from(time.tv_nsec).unwrap_or(0) / 1000;
    Tick(seconds.saturating_mul(1_000_000).saturating_add(micros))
}

/// The time of day, in milliseconds since 1970: for people, never for a lease.
#[must_use]
pub fn wall_ms() -> u64 {
    let time = clock_gettime(ClockId::RealtimeCoarse);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let millis = u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000_000;
    seconds.saturating_mul(1000).saturating_add(millis)
}

/// 64 bits from the system's generator.
///
/// # Panics
/// When the system has none to give, which no supported kernel does after its start.
#[must_use]
pub fn entropy() -> u64 {
    let mut bytes = [0; 8];
    let flags = rustix::rand::GetRandomFlags::empty();
    let got = rustix::io::retry_on_intr(|| rustix::rand::getrandom(&mut bytes, flags));
    let got = got.expect("the kernel gives random bytes");
    assert_eq!(got, bytes.len(), "the kernel gave {got} random bytes of {}", bytes.len());
    u64::from_le_bytes(bytes)
}

/// Seeded numbers for jitter (Steele, Lea and Flood, "Fast splittable pseudorandom number
/// generators", 2014); nothing that must be hard to guess.
#[derive(Clone, Debug)]
pub struct Jitter(u64);

impl Jitter {
    /// A generator of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Jitter {
        Jitter(seed)
    }

    /// A number from 0 to `bound`, both included.
    pub fn upto(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        match bound.checked_add(1) {
            Some(count) => mixed % count,
            None => mixed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The clock goes forward, in microseconds.
    #[test]
    fn clock_goes_forward() {
        let before = now();
        // Sleeps because the passing of time itself is what is tested.
        std::thread::sleep(std::time::Duration::from_millis(5));
        let passed = now().since(before);
        assert!((5_000..5_000_000).contains(&passed), "{passed} µs passed during 5 ms");
    }

    /// Jitter keeps its bound and is not constant.
    #[test]
    fn jitter_keeps_its_bound() {
        let mut jitter = Jitter::new(7);
        let drawn: std::collections::BTreeSet<u64> = (0..1000).map(|_| jitter.upto(9)).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), (0..=9).collect::<Vec<_>>());
        assert_eq!(jitter.upto(0), 0);
    }
}
