//! What fits on the terminal that standard output is: a long cell is cut there, and nowhere else.

use rustix::termios::tcgetwinsize;
use std::io::{self, IsTerminal};

/// Columns of a terminal that does not say how many it has.
const COLUMNS: usize = 80;
/// No terminal is taken for narrower.
const COLUMNS_MIN: usize = 40;

/// What is said below a table of which something was cut.
pub const HINT: &str =
    "(… marks what was cut to the terminal's width; -o json and -o raw print all)";

/// Columns of the terminal; none where standard output is none.
#[must_use]
pub fn width() -> Option<usize> {
    let stdout = io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    let columns = tcgetwinsize(&stdout).map_or(0, |size| usize::from(size.ws_col));
    Some(if columns == 0 { COLUMNS } else { columns.max(COLUMNS_MIN) })
}

/// A text of at most so many characters, and whether it was longer; then it ends with `…`.
#[must_use]
pub fn cut(text: &str, most: usize) -> (String, bool) {
    let is_longer = text.chars().nth(most).is_some();
    if !is_longer {
        return (text.to_string(), false);
    }
    let mut kept: String = text.chars().take(most.saturating_sub(1)).collect();
    kept.push('…');
    (kept, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What fits is left alone, to the last character; what does not ends with an ellipsis.
    #[test]
    fn texts_are_cut_to_characters() {
        assert_eq!(cut("größe", 5), ("größe".to_string(), false));
        assert_eq!(cut("größer", 5), ("größ…".to_string(), true));
        assert_eq!(cut("", 0), (String::new(), false));
    }
}
