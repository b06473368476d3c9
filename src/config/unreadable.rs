//! What may have been set on lines that cannot be read. Such a key is not reported as missing, and its
//! default is not assumed.

use super::keys::{self, KEYS, MEMBER_KEYS};
use std::collections::{BTreeMap, BTreeSet};

/// The table that a line belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Section {
    /// Above all tables.
    Top,
    /// A `[[member]]`, counted from 0.
    Member(usize),
    /// Another table, by its line, counted from 0.
    Other(usize),
    /// A table whose head cannot be read.
    Unknown,
}

/// Keys of one table that may have been set on unreadable lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnreadableKeys {
    /// The keys that such lines begin with.
    names: BTreeSet<&'static str>,
    /// Every key of the table.
    all: bool,
}

impl UnreadableKeys {
    /// True when the key may have been set there.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.all || self.names.contains(name)
    }
}

/// What may have been set on the unreadable lines of a whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnreadableParts {
    /// Keys outside `[[member]]`.
    pub top: UnreadableKeys,
    /// Keys of members, by the member's index.
    pub members: BTreeMap<usize, UnreadableKeys>,
    /// The list of members: how many there are is not known.
    pub member_list: bool,
}

impl UnreadableParts {
    /// True when that key of that member may have been set.
    #[must_use]
    pub fn of_member(&self, index: usize, name: &str) -> bool {
        self.members.get(&index).is_some_and(|keys| keys.has(name))
    }

    /// Nothing of that member can be read: any of its keys may have been set.
    pub(super) fn whole_member(&mut self, index: usize) {
        self.members.entry(index).or_default().all = true;
    }

    /// The file is in another encoding: what seems to be missing may only not have been recognised.
    pub(super) fn whole_file(&mut self) {
        (self.top.all, self.member_list) = (true, true);
    }

    /// Notes that a line of a section cannot be read; `typed` is the word that it begins with.
    pub(super) fn note(&mut self, section: Section, typed: &str) {
        match section {
            Section::Top if typed == "member" => self.member_list = true,
            Section::Top => match meant(KEYS, typed) {
                Some(name) => drop(self.top.names.insert(name)),
                // The word is like no key: it may have been any key, or the head of a member.
                None => (self.top.all, self.member_list) = (true, true),
            },
            Section::Member(index) => {
                let member = self.members.entry(index).or_default();
                match meant(MEMBER_KEYS, typed) {
                    Some(name) => drop(member.names.insert(name)),
                    None => member.all |= keys::find(KEYS, typed).is_none(),
                }
            }
            Section::Other(_) => {}
            Section::Unknown => self.member_list = true,
        }
    }
}

/// The key of that name, or the one whose name is most like it.
fn meant(known: &'static [keys::Key], typed: &str) -> Option<&'static str> {
    let exact = keys::find(known, typed).map(|key| key.name);
    exact.or_else(|| keys::nearest(known, typed))
}
