//! What may have stood on lines that cannot be read: it is not missing, and has not its default.

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
    /// One whose head cannot be read.
    Unknown,
}

/// Keys that may have been set on lines that are lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LostKeys {
    names: BTreeSet<&'static str>,
    any: bool,
}

impl LostKeys {
    /// True when the key may have been set there.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.any || self.names.contains(name)
    }
}

/// What is lost of a whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LostParts {
    /// Keys outside `[[member]]`.
    pub top: LostKeys,
    /// Keys of members, by the member's index.
    pub members: BTreeMap<usize, LostKeys>,
    /// Nobody knows which members there are.
    pub list: bool,
}

impl LostParts {
    /// True when that key of that member may have been set.
    #[must_use]
    pub fn of_member(&self, index: usize, name: &str) -> bool {
        self.members.get(&index).is_some_and(|lost| lost.has(name))
    }

    /// Nothing is known of that member but that it is there.
    pub(super) fn whole_member(&mut self, index: usize) {
        self.members.entry(index).or_default().any = true;
    }

    /// A line of a section cannot be read; `typed` is the word that it begins with.
    pub(super) fn note(&mut self, section: Section, typed: &str) {
        match section {
            Section::Top if typed == "member" => self.list = true,
            Section::Top => match meant(KEYS, typed) {
                Some(name) => drop(self.top.names.insert(name)),
                // It may have been the members as well.
                None => (self.top.any, self.list) = (true, true),
            },
            Section::Member(index) => {
                let lost = self.members.entry(index).or_default();
                match meant(MEMBER_KEYS, typed) {
                    Some(name) => drop(lost.names.insert(name)),
                    None => lost.any |= keys::find(KEYS, typed).is_none(),
                }
            }
            Section::Other(_) => {}
            Section::Unknown => self.list = true,
        }
    }
}

/// The key that a word is, or is most like.
fn meant(known: &'static [keys::Key], typed: &str) -> Option<&'static str> {
    let exact = keys::find(known, typed).map(|key| key.name);
    exact.or_else(|| keys::nearest(known, typed))
}
