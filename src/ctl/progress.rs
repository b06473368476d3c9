//! Bars on standard error for long work, where that is a terminal; nothing anywhere else.

use indicatif::{ProgressBar, ProgressStyle};
use std::time::{Duration, Instant};

/// The shortest time between two texts of a line.
const LINE_PAUSE: Duration = Duration::from_millis(100);

/// A bar that goes away when dropped. Drawn by the caller's thread alone, and only where standard
/// error is a terminal.
pub struct TransientBar(ProgressBar);

impl TransientBar {
    /// For so many bytes to read.
    #[must_use]
    pub fn of_bytes(what: &str, bytes: u64) -> TransientBar {
        let shape = "{msg} [{wide_bar}] {bytes} of {total_bytes}, {eta} left";
        TransientBar::new(what, bytes, shape)
    }

    /// For so much time to pass.
    #[must_use]
    pub fn of_time(what: &str, duration: Duration) -> TransientBar {
        TransientBar::new(what, whole_ms(duration), "{msg} [{wide_bar}] {percent} %, {eta} left")
    }

    fn new(what: &str, total: u64, shape: &str) -> TransientBar {
        let style =
            ProgressStyle::with_template(shape).expect("the template is one of the two above");
        TransientBar(ProgressBar::new(total).with_message(what.to_string()).with_style(style))
    }

    /// So many bytes more are done; what goes beyond the total counts as the total.
    pub fn add_bytes(&self, bytes: u64) {
        let room = self.0.length().unwrap_or(0).saturating_sub(self.0.position());
        self.0.inc(bytes.min(room));
    }

    /// So much time has passed since the start.
    pub fn at_time(&self, passed: Duration) {
        self.0.set_position(whole_ms(passed).min(self.0.length().unwrap_or(0)));
    }
}

impl Drop for TransientBar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A line for work whose end is not known: it says how far the work is, and goes away when dropped.
/// Drawn by the caller's thread alone, and only where standard error is a terminal.
pub struct Line {
    bar: ProgressBar,
    shown_at: Option<Instant>,
}

impl Line {
    /// A line that says nothing yet.
    #[must_use]
    pub fn new() -> Line {
        let style = ProgressStyle::with_template("{wide_msg}")
            .expect("the template is the one that stands here");
        Line { bar: ProgressBar::no_length().with_style(style), shown_at: None }
    }

    /// Says `text`, which is asked for only now and then, and only where somebody sees it.
    pub fn say(&mut self, text: impl FnOnce() -> String) {
        if self.bar.is_hidden() || self.shown_at.is_some_and(|at| at.elapsed() < LINE_PAUSE) {
            return;
        }
        self.bar.set_message(text());
        self.bar.tick();
        self.shown_at = Some(Instant::now());
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
