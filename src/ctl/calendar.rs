//! Milliseconds since 1970 as a date people can read, in UTC.

use jiff::Timestamp;

/// `2026-11-22T20:46:00Z` for milliseconds since 1970. What is later than the year 9999, which such a
/// date cannot hold, is shown as the end of that year.
#[must_use]
pub fn utc(ms: u64) -> String {
    let seconds = i64::try_from(ms / 1000).unwrap_or(i64::MAX);
    let time = Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
    format!("{time:.0}")
}

/// `3d 4h`, `5m 6s`: the two largest units of a duration in milliseconds.
#[must_use]
pub fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes, seconds % 60) {
        (0, 0, 0, seconds) => format!("{seconds}s"),
        (0, 0, minutes, seconds) => format!("{minutes}m {seconds}s"),
        (0, hours, minutes, _) => format!("{hours}h {minutes}m"),
        (days, hours, ..) => format!("{days}d {hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Dates that are easily got wrong: the epoch, leap days, the turn of a century.
    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, date) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_709_164_800, "2024-02-29T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (u64::MAX / 1000 - 1, "9999-12-30T22:00:00Z"),
        ] {
            assert_eq!(utc(seconds * 1000 + 999), date);
        }
    }

    /// A duration shows its two largest units.
    #[test]
    fn durations_are_short() {
        for (seconds, text) in
            [(7, "7s"), (65, "1m 5s"), (7260, "2h 1m"), (90_000, "1d 1h"), (0, "0s")]
        {
            assert_eq!(duration(seconds * 1000), text);
        }
    }
}
