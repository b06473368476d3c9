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
}
