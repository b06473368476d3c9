//! Log lines on standard error, by way of a queue that never makes a caller wait; with journald's
//! priority prefixes where it reads them.

use crate::daemon::log::queue::LogQueue;
use crate::limits::LOG_EXIT_MS;
use env_logger::Target;
use jiff::Timestamp;
use log::{Level, LevelFilter};
use std::io::Write;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

/// The way out, once logging was started.
static QUEUE: OnceLock<LogQueue> = OnceLock::new();

/// Starts logging. Later calls change the level only, so that commands may be run one after the
/// other in one process.
pub fn start(level: LevelFilter) {
    if QUEUE.get().is_none() {
        start_once();
    }
    set_level(level);
}

/// Changes how much is logged, from now on and for all threads.
pub fn set_level(level: LevelFilter) {
    log::set_max_level(level);
}

fn start_once() {
    let to_journal = to_journal();
    let lost = move |count: u64| {
        let text = format!("{count} log lines were dropped: standard error takes them too slowly");
        Line { level: Level::Warn, thread: "log".to_string(), text }.shown(to_journal).into_bytes()
    };
    let mut builder = env_logger::Builder::new();
    // The swappable level is that of the `log` crate; the logger itself takes everything.
    builder.filter_level(LevelFilter::Trace).format(move |out, record| {
        let text = record.args().to_string();
        write!(out, "{}", Line::of_this_thread(record.level(), text).shown(to_journal))
    });
    // Without a thread lines still come out, though they may make their callers wait.
    if let Ok(queue) = LogQueue::start(std::io::stderr(), lost)
        && QUEUE.set(queue.clone()).is_ok()
    {
        builder.target(Target::Pipe(Box::new(queue)));
    }
    // Another logger is there only in a process that is not ours alone.
    let _ = builder.try_init();
}

fn to_journal() -> bool {
    std::env::var_os("JOURNAL_STREAM").is_some()
}

/// Says on standard error why a command failed, whether or not logging was started, and returns
/// when it is written, or when standard error took nothing for [`LOG_EXIT_MS`].
pub fn complain(text: &str) {
    let line = Line { level: Level::Error, thread: "paxosd".to_string(), text: text.to_string() };
    say_last(&match to_journal() {
        true => line.for_journal(),
        false => format!("paxosd: {text}\n"),
    });
}

/// An error that ends the process, said before the call returns, like [`complain`], with time and
/// thread.
pub fn last_words(text: &str) {
    say_last(&Line::of_this_thread(Level::Error, text.to_string()).shown(to_journal()));
}

fn say_last(line: &str) {
    match QUEUE.get() {
        // Behind the lines that led to it. Where nobody reads them, the end must not wait for ever.
        Some(queue) => {
            let _ = queue.insist(line.as_bytes(), Duration::from_millis(LOG_EXIT_MS));
        }
        None => {
            // Nobody is left to report it to when standard error is gone.
            let _ = std::io::stderr().write_all(line.as_bytes());
        }
    }
}

/// Waits until every line is written, at the end of a process, but not for ever.
pub fn finish() {
    if let Some(queue) = QUEUE.get() {
        let _ = queue.flush(Duration::from_millis(LOG_EXIT_MS));
    }
}

/// What one log call says.
struct Line {
    level: Level,
    thread: String,
    text: String,
}

impl Line {
    fn of_this_thread(level: Level, text: String) -> Line {
        let thread = std::thread::current().name().unwrap_or("-").to_string();
        Line { level, thread, text }
    }

    fn shown(&self, to_journal: bool) -> String {
        match to_journal {
            true => self.for_journal(),
            false => self.for_people(SystemTime::now()),
        }
    }

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

/// UTC with milliseconds, as in RFC 3339. A clock that is set to a time without such a form is shown
/// as 1970.
fn timestamp(now: SystemTime) -> String {
    let time = Timestamp::try_from(now).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{time:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

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
