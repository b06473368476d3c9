//! The configuration as typed: every value with the line or the environment variable it came from.

use super::fault::{ConfigError, Fault, Place};
use super::keys::{self, KEYS, Key, Kind, MEMBER_KEYS};
use std::collections::BTreeMap;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

/// Longest value that a fault repeats in full.
const FOUND_CHARS_MAX: usize = 80;

/// A value, of the type that its key takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Typed {
    /// For [`Kind::Whole`].
    Whole(u64),
    /// For [`Kind::Flag`].
    Flag(bool),
    /// For [`Kind::Text`].
    Text(String),
}

/// A value that somebody set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Where.
    pub place: Place,
    /// As typed.
    pub found: String,
    /// The value, or nothing where its type is wrong, which is reported already.
    pub value: Option<Typed>,
}

/// One `[[member]]` as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawMember {
    /// Where it begins.
    pub place: Place,
    /// Its keys.
    pub keys: BTreeMap<&'static str, Given>,
}

/// The whole configuration as typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawConfig {
    /// Keys outside `[[member]]`.
    pub keys: BTreeMap<&'static str, Given>,
    /// Members, in the order of the file.
    pub members: Vec<RawMember>,
    /// What was found wrong so far: syntax, unknown keys, wrong types.
    pub faults: Vec<Fault>,
    /// The text is not TOML, so that keys may be missing for that reason alone.
    pub broken_syntax: bool,
    /// `PAXOSD_…` variables that name no key.
    pub unknown_variables: Vec<String>,
}

impl RawConfig {
    /// Reads a configuration file and what the environment overrides.
    ///
    /// # Errors
    /// The file cannot be read. What is wrong in it stands in `faults`.
    pub fn from_file(
        path: &Path,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<RawConfig, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Unreadable {
            file: path.display().to_string(),
            reason: error.to_string(),
        })?;
        let mut raw = RawConfig::parse(&text);
        raw.override_from(variables);
        Ok(raw)
    }

    /// Reads the text of a configuration file, to its end whatever is wrong with it.
    #[must_use]
    pub fn parse(text: &str) -> RawConfig {
        let (document, errors) = DeTable::parse_recoverable(text);
        let mut raw = RawConfig { broken_syntax: !errors.is_empty(), ..RawConfig::default() };
        for error in errors {
            let place = error.span().map_or(Place::Absent, |span| place_of(text, span.start));
            let rule = format!("is not valid TOML: {}", error.message().trim());
            raw.faults.push(Fault { place, key: String::new(), found: String::new(), rule });
        }
        for (name, value) in document.get_ref().iter() {
            let name_text = name.get_ref().as_ref();
            if name_text == "member" {
                raw.parse_members(text, value);
            } else if let Some(key) = keys::find(KEYS, name_text) {
                let given = raw.read(text, key, key.name.to_string(), value);
                raw.keys.insert(key.name, given);
            } else {
                raw.unknown_key(text, KEYS, name_text.to_string(), name_text, name);
            }
        }
        raw
    }

    /// Lets `PAXOSD_<KEY>` override keys. A variable of that form that names no key is kept apart
    /// and does not fail the start: an orchestrator may set variables of its own by that prefix.
    pub fn override_from(&mut self, variables: impl IntoIterator<Item = (String, String)>) {
        for (variable, value) in variables {
            let Some(suffix) = variable.strip_prefix("PAXOSD_") else { continue };
            let Some(key) = keys::find(KEYS, &suffix.to_ascii_lowercase()) else {
                self.unknown_variables.push(variable);
                continue;
            };
            let typed = match key.kind {
                Kind::Whole { .. } => value.replace('_', "").parse().ok().map(Typed::Whole),
                Kind::Flag { .. } => value.parse().ok().map(Typed::Flag),
                Kind::Text { .. } => Some(Typed::Text(value.clone())),
            };
            let place = Place::Env(variable);
            let given = Given { place, found: shortened(&value), value: typed };
            if given.value.is_none() {
                self.wrong_type(key, key.name.to_string(), &given);
            }
            // What the file says about an overridden key is of no consequence, right or wrong.
            self.faults.retain(|f| f.key != key.name || matches!(f.place, Place::Env(_)));
            self.keys.insert(key.name, given);
        }
    }

    fn parse_members(&mut self, text: &str, value: &Spanned<DeValue<'_>>) {
        let DeValue::Array(array) = value.get_ref() else {
            let rule = "must be a list of tables: write [[member]] in double brackets".to_string();
            let place = place_of(text, value.span().start);
            let key = "member".to_string();
            return self.faults.push(Fault { place, key, found: String::new(), rule });
        };
        for (i, item) in array.iter().enumerate() {
            let path = format!("member[{}]", i + 1);
            let place = place_of(text, item.span().start);
            let DeValue::Table(table) = item.get_ref() else {
                let rule = "must be a table with id, client and peer".to_string();
                let found = shortened(text.get(item.span()).unwrap_or_default());
                self.faults.push(Fault { place, key: path, found, rule });
                continue;
            };
            let mut member = RawMember { place, keys: BTreeMap::new() };
            for (name, value) in table.iter() {
                let name_text = name.get_ref().as_ref();
                let path = format!("{path}.{name_text}");
                match keys::find(MEMBER_KEYS, name_text) {
                    Some(key) => {
                        let given = self.read(text, key, path, value);
                        member.keys.insert(key.name, given);
                    }
                    None => self.unknown_key(text, MEMBER_KEYS, path, name_text, name),
                }
            }
            self.members.push(member);
        }
    }

    fn read(&mut self, text: &str, key: &Key, path: String, value: &Spanned<DeValue<'_>>) -> Given {
        let place = place_of(text, value.span().start);
        let found = shortened(text.get(value.span()).unwrap_or_default());
        let typed = match (key.kind, value.get_ref()) {
            (Kind::Whole { .. }, DeValue::Integer(number)) => whole(number).map(Typed::Whole),
            (Kind::Flag { .. }, DeValue::Boolean(flag)) => Some(Typed::Flag(*flag)),
            (Kind::Text { .. }, DeValue::String(text)) => Some(Typed::Text(text.to_string())),
            (Kind::Whole { .. } | Kind::Flag { .. } | Kind::Text { .. }, _) => None,
        };
        let given = Given { place, found, value: typed };
        if given.value.is_none() {
            self.wrong_type(key, path, &given);
        }
        given
    }

    fn wrong_type(&mut self, key: &Key, path: String, given: &Given) {
        // Quotes are of the file; a variable has none.
        let quotes = if matches!(given.place, Place::Env(_)) { "" } else { ", without quotes" };
        let rule = match key.kind {
            Kind::Whole { min, max, .. } => {
                format!("must be a whole number from {min} to {max}{quotes}")
            }
            Kind::Flag { .. } => format!("must be true or false{quotes}"),
            Kind::Text { .. } => "must be a text in quotes".to_string(),
        };
        let found = given.found.clone();
        self.faults.push(Fault { place: given.place.clone(), key: path, found, rule });
    }

    fn unknown_key(
        &mut self,
        text: &str,
        known: &'static [Key],
        path: String,
        typed: &str,
        name: &Spanned<toml::de::DeString<'_>>,
    ) {
        let rule = match keys::nearest(known, typed) {
            Some(near) => format!("is not a key; did you mean {near}?"),
            None => "is not a key".to_string(),
        };
        let place = place_of(text, name.span().start);
        self.faults.push(Fault { place, key: path, found: String::new(), rule });
    }
}

fn whole(number: &DeInteger<'_>) -> Option<u64> {
    u64::from_str_radix(number.as_str(), number.radix()).ok()
}

fn place_of(text: &str, offset: usize) -> Place {
    let before = &text.as_bytes()[..offset.min(text.len())];
    let lines = before.iter().filter(|byte| **byte == b'\n').count();
    Place::Line(u32::try_from(lines + 1).unwrap_or(u32::MAX))
}

/// One line of at most [`FOUND_CHARS_MAX`] characters, so that a report stays readable.
fn shortened(found: &str) -> String {
    let line = found.lines().next().unwrap_or_default();
    if line.chars().count() <= FOUND_CHARS_MAX && line.len() == found.len() {
        return line.to_string();
    }
    let head: String = line.chars().take(FOUND_CHARS_MAX).collect();
    format!("{head} …")
}
