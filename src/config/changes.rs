//! The keys that differ between two configurations as typed: for a file that was edited while the node
//! runs.

use super::keys::{self, KEYS, KeyKind};
use super::raw::{RawConfig, RawMember, Typed, TypedValue};
use std::collections::BTreeMap;

/// The keys whose value differs, in the order of the table, `member` last. A key set to its default
/// is the same as one left out.
#[must_use]
pub fn changes(before: &RawConfig, after: &RawConfig) -> Vec<&'static str> {
    let differs = |name: &&'static str| value(before, name) != value(after, name);
    let mut changed: Vec<&'static str> = KEYS.iter().map(|key| key.name).filter(differs).collect();
    if values(&before.members) != values(&after.members) {
        changed.push("member");
    }
    changed
}

fn value(raw: &RawConfig, name: &str) -> Option<Typed> {
    if let Some(given) = raw.keys.get(name) {
        return given.value.clone();
    }
    match keys::find(KEYS, name)?.kind {
        KeyKind::Whole { default, .. } => default.map(Typed::Whole),
        KeyKind::Flag { default } => Some(Typed::Flag(default)),
        KeyKind::Text { default } => default.map(|text| Typed::Text(text.to_string())),
    }
}

/// The values of the members, without their places in the file.
fn values(members: &[RawMember]) -> Vec<BTreeMap<&'static str, Option<Typed>>> {
    let of = |keys: &BTreeMap<&'static str, TypedValue>| {
        keys.iter().map(|(name, given)| (*name, given.value.clone())).collect()
    };
    members.iter().map(|member| of(&member.keys)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Defaults that are written out and lines that moved are no changes; all else is named once.
    #[test]
    fn changes_are_named() {
        let before = RawConfig::parse("node_id = 1\nlease_ms = 400\n[[member]]\nid = 1\n");
        let same = "# moved\nlease_ms = 400\nnode_id = 1\npin = false\nlog_level = \"info\"\n\
                    [[member]]\nid = 1\n";
        assert_eq!(changes(&before, &RawConfig::parse(same)), [""; 0]);
        let other = "node_id = 1\npin = true\nlog_level = \"debug\"\n[[member]]\nid = 2\n";
        let changed = changes(&before, &RawConfig::parse(other));
        assert_eq!(changed, ["lease_ms", "pin", "log_level", "member"]);
    }
}
