//! Log lines on standard error; with journald's priority prefixes where it reads them.

use log::{Level, LevelFilter};
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// Starts logging. Later calls change the level only, so that commands may be run one after the
/// other in one process.
pub fn start(level: LevelFilter) {
    let to_journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let logger = env_logger::Builder::new()
        .filter_level(level)
        .format(move |out, record| {
            let line = Line {
                level: record.level(),
                thread: std::thread::current().name().unwrap_or("-").to_string(),
                text: record.args().to_string(),
            };
            match to_journal {
                true => write!(out, "{}", line.for_journal()),
                false => write!(out, "{}", line.for_people(SystemTime::now())),
            }
        })
        .try_init();
    if logger.is_err() {
        log::set_max_level(level);
    }
}

/// Says on standard error why a command failed, whether or not logging was started.
pub fn complain(text: &str) {
    let (level, thread) = (Level::Error, "paxosd".to_string());
    let line = Line { level, thread, text: text.to_string() };
    let line = match std::env::var_os("JOURNAL_STREAM") {
        Some(_) => line.for_journal(),
        None => format!("paxosd: {text}\n"),
    };
    // Nobody is left to tell when standard error is gone.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// What one log call says.
struct Line {
    level: Level,
    thread: String,
    text: String,
}

impl Line {
    /// journald adds the time itself and takes each line apart: every line has its priority.
    fn for_journal(&self) -> String {
        let priority = priority(self.level);
        let mut lines = String::new();
        for (i, text) in self.text.lines().enumerate() {
            let head = if i == 0 { format!("{}: ", self.thread) } else { "  ".to_string() };
            lines.push_str(&format!("<{priority}>{head}{text}\n"));
        }
        lines
    }

    fn for_people(&self, now: SystemTime) -> String {
        let text = self.text.replace('\n', "\n  ");
        format!("{} {:5} {}: {text}\n", timestamp(now), self.level, self.thread)
    }
}

/// The priorities of syslog, as `sd-daemon(3)` has them.
fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// UTC with milliseconds, as in RFC 3339.
fn timestamp(now: SystemTime) -> String {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, rest) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    let millis = since.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// Year, month and day of a count of days since 1970 (Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms", `civil_from_days`).
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Timestamps are the calendar's, leap days included.
    #[test]
    fn timestamps() {
        let at = |seconds, millis| {
            timestamp(UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_millis(millis))
        };
        assert_eq!(at(0, 7), "1970-01-01T00:00:00.007Z");
        assert_eq!(at(951_825_599, 0), "2000-02-29T11:59:59.000Z");
        assert_eq!(at(1_709_251_199, 999), "2024-02-29T23:59:59.999Z");
        assert_eq!(at(4_102_444_800, 0), "2100-01-01T00:00:00.000Z");
    }

    /// journald reads a priority in front of every line, of the second line of a text too.
    #[test]
    fn journal_priorities() {
        let line = |level| Line { level, thread: "main".into(), text: "a\nb".into() };
        assert_eq!(line(Level::Error).for_journal(), "<3>main: a\n<3>  b\n");
        assert_eq!(line(Level::Warn).for_journal(), "<4>main: a\n<4>  b\n");
        assert_eq!(line(Level::Debug).for_journal(), "<7>main: a\n<7>  b\n");
        let people = line(Level::Info).for_people(UNIX_EPOCH);
        assert_eq!(people, "1970-01-01T00:00:00.000Z INFO  main: a\n  b\n");
    }
}
