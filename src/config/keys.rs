//! The table of keys: name, type, bounds and default in one place. The sample `paxosd.toml` is
//! compared with this table by a test.

use crate::limits;

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// A whole number within bounds, both included. No default: required, or derived from others.
    Whole {
        /// The smallest value allowed.
        min: u64,
        /// The largest value allowed.
        max: u64,
        /// The value that holds where the key is absent.
        default: Option<u64>,
    },
    /// True or false.
    Flag {
        /// The value that holds where the key is absent.
        default: bool,
    },
    /// A text. No default: required, or derived from others.
    Text {
        /// The value that holds where the key is absent.
        default: Option<&'static str>,
    },
}

impl KeyKind {
    /// The rule that a value of another type breaks.
    pub(super) fn rule(self) -> String {
        match self {
            KeyKind::Whole { min, max, .. } => {
                format!("must be a whole number from {min} to {max}")
            }
            KeyKind::Flag { .. } => "must be true or false".to_string(),
            KeyKind::Text { .. } => "must be a text in quotes".to_string(),
        }
    }
}

/// One key of `paxosd.toml`.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Name, also that of `PAXOSD_<NAME>`.
    pub name: &'static str,
    /// What it takes.
    pub kind: KeyKind,
}

const fn whole(name: &'static str, min: u64, max: u64, default: u64) -> Key {
    Key { name, kind: KeyKind::Whole { min, max, default: Some(default) } }
}

const fn number(name: &'static str, min: u64, max: u64) -> Key {
    Key { name, kind: KeyKind::Whole { min, max, default: None } }
}

const fn flag(name: &'static str, default: bool) -> Key {
    Key { name, kind: KeyKind::Flag { default } }
}

const fn text(name: &'static str) -> Key {
    Key { name, kind: KeyKind::Text { default: None } }
}

const MIB: u64 = 1 << 20;

/// Every key outside `[[member]]`.
pub const KEYS: &[Key] = &[
    text("cluster_id"),
    number("node_id", 1, 65_535),
    text("data_dir"),
    whole("shards", 1, limits::SHARDS_MAX as u64, 1),
    text("listen"),
    text("listen_peer"),
    text("listen_admin"),
    flag("insecure_listen", false),
    number("quorum_prepare", 1, limits::MEMBERS_MAX as u64),
    number("quorum_accept", 1, limits::MEMBERS_MAX as u64),
    flag("leases", true),
    whole("lease_ms", 50, limits::LEASE_MS_MAX, 300),
    whole("lease_drift_percent", 0, 50, 10),
    whole("heartbeat_ms", 5, 20_000, 60),
    whole("election_jitter_ms", 10, 60_000, 100),
    whole("disk_stall_ms", 0, 600_000, 2_000),
    whole("clock_skew_max_ms", 100, limits::CLOCK_SKEW_MS_MAX, limits::CLOCK_SKEW_MS_DEFAULT),
    whole("window_slots", 1, limits::WINDOW_SLOTS, limits::WINDOW_SLOTS),
    whole("window_bytes", MIB, limits::WINDOW_BYTES_MAX as u64, limits::WINDOW_BYTES_MAX as u64),
    whole(
        "entry_bytes_max",
        1,
        limits::ENTRY_BYTES_CEILING as u64,
        limits::ENTRY_BYTES_DEFAULT as u64,
    ),
    whole(
        "append_bytes_max",
        1024,
        limits::APPEND_BYTES_MAX as u64,
        limits::APPEND_BYTES_MAX as u64,
    ),
    whole(
        "segment_bytes",
        limits::SEGMENT_BYTES_MIN,
        limits::SEGMENT_BYTES_MAX,
        limits::SEGMENT_BYTES_DEFAULT,
    ),
    whole("min_free_bytes", 0, 1 << 50, 256 * MIB),
    whole("catchup_bytes", 0, 1 << 50, limits::CATCHUP_BYTES_DEFAULT),
    flag("pin", false),
    flag("sync_inline", false),
    whole("connections_max", 16, 1_000_000, 10_000),
    whole("connections_per_address_max", 1, 1_000_000, 4096),
    whole("stop_timeout_ms", limits::STOP_MS_MIN, limits::STOP_MS_MAX, 5_000),
    whole("slow_sync_ms", 0, 600_000, 500),
    whole("slow_request_ms", 0, 600_000, 1_000),
    Key { name: "on_dispute", kind: KeyKind::Text { default: Some("stop") } },
    Key { name: "log_level", kind: KeyKind::Text { default: Some("info") } },
];

/// The keys of a `[[member]]`.
pub const MEMBER_KEYS: &[Key] = &[number("id", 1, 65_535), text("client"), text("peer")];

/// Longest name that is compared with those of keys: a longer one is not a mistyped key.
const TYPED_CHARS_MAX: usize = 40;

/// The key of that name.
#[must_use]
pub fn find(keys: &'static [Key], name: &str) -> Option<&'static Key> {
    keys.iter().find(|key| key.name == name)
}

/// The name most like a mistyped one, where one is close. Case is no difference.
#[must_use]
pub fn nearest(keys: &'static [Key], typed: &str) -> Option<&'static str> {
    let typed = typed.to_ascii_lowercase();
    let best = keys.iter().map(|key| (distance(key.name, &typed), key.name)).min()?;
    let close = typed.chars().count() <= TYPED_CHARS_MAX && best.0 <= 1 + typed.len() / 5;
    close.then_some(best.1)
}

/// Edits (insert, delete, replace a letter) that turn one text into the other.
pub(super) fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
