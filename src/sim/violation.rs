//! What a check found.

use std::fmt;

/// A rule that was broken, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The check's name.
    pub check: &'static str,
    /// What was found, with the numbers.
    pub text: String,
}

/// The result of a check.
pub type CheckResult = Result<(), Violation>;

impl Violation {
    /// The check `check` failed.
    #[must_use]
    pub fn new(check: &'static str, text: impl Into<String>) -> Violation {
        Violation { check, text: text.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.check, self.text)
    }
}

/// Ends in a violation of `check` unless `holds`.
pub(super) fn ensure(
    holds: bool,
    check: &'static str,
    text: impl FnOnce() -> String,
) -> CheckResult {
    if holds { Ok(()) } else { Err(Violation { check, text: text() }) }
}
