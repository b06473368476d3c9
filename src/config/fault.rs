//! Faults of a configuration: each names its key, where it was set, what was found and the rule.

use std::fmt;

/// Most faults that are shown: whoever has more gave another file than a configuration, and a
/// screen full of them hides that.
const FAULTS_SHOWN_MAX: usize = 20;

/// Where a value was set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigPlace {
    /// A line of the configuration file, counted from 1.
    Line(u32),
    /// An environment variable.
    Env(String),
    /// Nowhere: the key is missing, or the value is a default.
    Absent,
}

impl ConfigPlace {
    /// True when, of two values that conflict, the one that was set here gets the fault: a variable
    /// before the file, and either before a default.
    #[must_use]
    pub fn is_nearer(&self, other: &ConfigPlace) -> bool {
        let rank = |place: &ConfigPlace| match place {
            ConfigPlace::Absent => 0,
            ConfigPlace::Line(_) => 1,
            ConfigPlace::Env(_) => 2,
        };
        rank(self) > rank(other)
    }
}

/// One broken rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigFault {
    /// Where the value was set.
    pub place: ConfigPlace,
    /// The key, as a path: `lease_ms`, `member[2].peer`.
    pub key: String,
    /// The value found, as typed; empty when there is none.
    pub found: String,
    /// The rule that it breaks, in words.
    pub rule: String,
}

impl ConfigFault {
    /// The fault as one line, with the name of the file.
    #[must_use]
    pub fn line(&self, file: &str) -> String {
        let found = match (self.key.is_empty(), self.found.is_empty()) {
            (true, true) => String::new(),
            (true, false) => format!("{}: ", self.found),
            (false, true) => format!("{}: ", self.key),
            (false, false) => format!("{} = {}: ", self.key, self.found),
        };
        match &self.place {
            ConfigPlace::Line(line) => format!("{file}:{line}: {found}{}", self.rule),
            ConfigPlace::Env(name) => format!("environment {name}: {found}{}", self.rule),
            ConfigPlace::Absent => format!("{file}: {found}{}", self.rule),
        }
    }
}

/// A configuration that cannot be used, with everything that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{file}: cannot be read: {reason}")]
    Unreadable {
        /// The path of the configuration, as given.
        file: String,
        /// The system's reason.
        reason: String,
        /// The system was only short of something: the same file may be read later.
        may_pass: bool,
        /// There is no such file.
        missing: bool,
    },
    /// Rules are broken.
    #[error(transparent)]
    Faults(#[from] ConfigFaults),
}

/// All faults of one configuration, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFaults {
    /// The configuration file.
    pub file: String,
    /// At least one fault.
    pub faults: Vec<ConfigFault>,
}

impl fmt::Display for ConfigFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.faults.iter().take(FAULTS_SHOWN_MAX);
        for (i, fault) in shown.enumerate() {
            let end = if i + 1 == self.faults.len() { "" } else { "\n" };
            write!(f, "{}{end}", fault.line(&self.file))?;
        }
        match self.faults.len().saturating_sub(FAULTS_SHOWN_MAX) {
            0 => Ok(()),
            more => {
                write!(f, "{}: and {more} more; is this the configuration of a node?", self.file)
            }
        }
    }
}

impl std::error::Error for ConfigFaults {}
