//! The configuration as typed: every value with the line or the environment variable it came from.

use super::fault::{ConfigError, ConfigFault, ConfigPlace};
use super::file;
use super::keys::{self, KEYS, Key, KeyKind, MEMBER_KEYS};
use super::recover::{is_like_member, not_toml, recover, typed};
use super::text::{self, Text, shortened};
use super::unreadable::UnreadableParts;
use super::variables::PREFIX;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeInteger, DeString, DeTable, DeValue};

/// A value, of the type that its key takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Typed {
    /// For [`KeyKind::Whole`].
    Whole(u64),
    /// For [`KeyKind::Flag`].
    Flag(bool),
    /// For [`KeyKind::Text`].
    Text(String),
}

/// A value that somebody set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypedValue {
    /// The line or the variable in which it stands.
    pub place: ConfigPlace,
    /// The text as typed, for messages.
    pub found: String,
    /// The value, or nothing where its type is wrong, which is reported already.
    pub value: Option<Typed>,
}

/// One `[[member]]` as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawMember {
    /// Where it begins.
    pub place: ConfigPlace,
    /// The values of its keys, by name.
    pub keys: BTreeMap<&'static str, TypedValue>,
}

/// The whole configuration as typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawConfig {
    /// Keys outside `[[member]]`.
    pub keys: BTreeMap<&'static str, TypedValue>,
    /// Members, in the order of the file.
    pub members: Vec<RawMember>,
    /// What was found wrong so far: unknown keys, wrong types.
    pub faults: Vec<ConfigFault>,
    /// What is not TOML, whatever overrides it.
    pub syntax: Vec<ConfigFault>,
    /// What may have been set where the text cannot be read.
    pub unreadable: UnreadableParts,
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
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<RawConfig, ConfigError> {
        let bytes = file::read(path).map_err(|unread| ConfigError::Unreadable {
            file: path.display().to_string(),
            reason: unread.reason,
            may_pass: unread.may_pass,
            missing: unread.missing,
        })?;
        let mut raw = RawConfig::parse_bytes(&bytes);
        raw.override_from(variables);
        Ok(raw)
    }

    /// Reads the text of a configuration file, to its end whatever is wrong with it.
    #[must_use]
    pub fn parse(text: &str) -> RawConfig {
        RawConfig::parse_lines(text, &BTreeMap::new())
    }

    /// Reads a file's bytes as [`RawConfig::parse`] does; what is no text is a fault of its line.
    #[must_use]
    pub fn parse_bytes(bytes: &[u8]) -> RawConfig {
        let decoded = file::decode(bytes);
        let mut raw = RawConfig::parse_lines(&decoded.text, &decoded.broken);
        if let Some(rule) = decoded.rule {
            raw.unreadable.whole_file();
            let (place, rule) = (ConfigPlace::Line(1), rule.to_string());
            raw.syntax.push(ConfigFault { place, key: String::new(), found: String::new(), rule });
        }
        raw
    }

    /// Reads a text of which some lines are broken, by their index, and why.
    fn parse_lines(text: &str, broken: &BTreeMap<usize, String>) -> RawConfig {
        let (document, errors) = DeTable::parse_recoverable(text);
        // `[member]` is TOML, but is meant as `[[member]]`, which only the recovery below reads it as.
        let single = matches!(member_of(&document), Some(DeValue::Table(_)));
        if errors.is_empty() && broken.is_empty() && !single {
            let mut raw = RawConfig::default();
            raw.walk(&Text::new(text), &document);
            return raw;
        }
        let recovered = recover(text, broken);
        let (document, errors) = DeTable::parse_recoverable(&recovered.text);
        let (syntax, unreadable) = (recovered.faults, recovered.unreadable);
        let mut raw = RawConfig { syntax, unreadable, ..RawConfig::default() };
        let text = Text::new(&recovered.text);
        for error in errors {
            // Each statement is TOML by itself: these errors are conflicts between two of them.
            let offset = error.span().map_or(0, |span| span.start);
            let (key, found) = typed(text.line(offset));
            let (place, rule) = (text.place(offset), not_toml(error.message()));
            raw.syntax.push(ConfigFault { place, key, found, rule });
        }
        raw.walk(&text, &document);
        raw
    }

    fn walk(&mut self, text: &Text<'_>, document: &Spanned<DeTable<'_>>) {
        for (name, value) in document.get_ref().iter() {
            let name_text = name.get_ref().as_ref();
            if name_text == "member" {
                self.parse_members(text, name, value);
            } else if let Some(key) = keys::find(KEYS, name_text) {
                let given = self.read(text, key, key.name.to_string(), value);
                self.keys.insert(key.name, given);
            } else {
                self.unknown_key(text, KEYS, "", name, value);
            }
        }
    }

    /// Lets `PAXOSD_<KEY>` override keys. A variable of that form that names no key is kept apart
    /// and does not fail the start: an orchestrator may set variables of its own by that prefix.
    pub fn override_from(&mut self, variables: impl IntoIterator<Item = (OsString, OsString)>) {
        for (variable, value) in variables {
            let variable = variable.to_string_lossy().into_owned();
            let Some(suffix) = variable.strip_prefix(PREFIX) else { continue };
            let Some(key) = keys::find(KEYS, &suffix.to_ascii_lowercase()) else {
                self.unknown_variables.push(text::visible(&variable));
                continue;
            };
            let given = self.read_variable(key, variable, &value);
            // What the file says about an overridden key is of no consequence, right or wrong.
            self.faults.retain(|f| f.key != key.name || matches!(f.place, ConfigPlace::Env(_)));
            self.keys.insert(key.name, given);
        }
    }

    fn read_variable(&mut self, key: &Key, variable: String, value: &OsStr) -> TypedValue {
        let place = ConfigPlace::Env(variable);
        let Some(value) = value.to_str() else {
            let found = shortened(&file::decode_utf8(value.as_bytes()).text);
            let rule = "is not UTF-8".to_string();
            let (at, name) = (place.clone(), key.name.to_string());
            self.faults.push(ConfigFault { place: at, key: name, found: found.clone(), rule });
            return TypedValue { place, found, value: None };
        };
        let typed = match key.kind {
            KeyKind::Whole { .. } => digits(value).map(Typed::Whole),
            KeyKind::Flag { .. } => value.parse().ok().map(Typed::Flag),
            KeyKind::Text { .. } => Some(Typed::Text(value.to_string())),
        };
        let given = TypedValue { place, found: shortened(value), value: typed };
        if given.value.is_none() {
            self.wrong_type(key, key.name.to_string(), &given);
        }
        given
    }

    fn parse_members(
        &mut self,
        text: &Text<'_>,
        name: &Spanned<DeString<'_>>,
        value: &Spanned<DeValue<'_>>,
    ) {
        let DeValue::Array(array) = value.get_ref() else {
            let rule = "must be a list of tables: write [[member]] in double brackets".to_string();
            self.unreadable.member_list = true;
            return self.member_list(text, name, value, rule);
        };
        if array.is_empty() && !self.unreadable.member_list {
            self.unreadable.member_list = true;
            let rule = "must list each member of the cluster".to_string();
            self.member_list(text, name, value, rule);
        }
        for (i, item) in array.iter().enumerate() {
            let path = format!("member[{}]", i + 1);
            let place = text.place(item.span().start);
            let DeValue::Table(table) = item.get_ref() else {
                let rule = "must be a table with id, client and peer".to_string();
                let found = text.found(item.span());
                self.faults.push(ConfigFault { place: place.clone(), key: path, found, rule });
                self.unreadable.whole_member(i);
                self.members.push(RawMember { place, keys: BTreeMap::new() });
                continue;
            };
            let mut member = RawMember { place, keys: BTreeMap::new() };
            for (name, value) in table.iter() {
                let path = format!("{path}.");
                match keys::find(MEMBER_KEYS, name.get_ref()) {
                    Some(key) => {
                        let given = self.read(text, key, path + key.name, value);
                        member.keys.insert(key.name, given);
                    }
                    None => self.unknown_key(text, MEMBER_KEYS, &path, name, value),
                }
            }
            self.members.push(member);
        }
    }

    /// A fault of the members as a whole.
    fn member_list(
        &mut self,
        text: &Text<'_>,
        name: &Spanned<DeString<'_>>,
        value: &Spanned<DeValue<'_>>,
        rule: String,
    ) {
        let (place, key) = (text.place(name.span().start), "member".to_string());
        self.faults.push(ConfigFault { place, key, found: value_of(text, name, value), rule });
    }

    fn read(
        &mut self,
        text: &Text<'_>,
        key: &Key,
        path: String,
        value: &Spanned<DeValue<'_>>,
    ) -> TypedValue {
        let place = text.place(value.span().start);
        let found = text.found(value.span());
        let typed = match (key.kind, value.get_ref()) {
            (KeyKind::Whole { .. }, DeValue::Integer(number)) => whole(number).map(Typed::Whole),
            (KeyKind::Flag { .. }, DeValue::Boolean(flag)) => Some(Typed::Flag(*flag)),
            (KeyKind::Text { .. }, DeValue::String(text)) => Some(Typed::Text(text.to_string())),
            (KeyKind::Whole { .. } | KeyKind::Flag { .. } | KeyKind::Text { .. }, _) => None,
        };
        let given = TypedValue { place, found, value: typed };
        if given.value.is_none() {
            self.wrong_type(key, path, &given);
        }
        given
    }

    fn wrong_type(&mut self, key: &Key, path: String, given: &TypedValue) {
        let is_number = matches!(key.kind, KeyKind::Whole { .. });
        let how = match given.place {
            // A variable has no quotes, and may be written as a number should not be.
            ConfigPlace::Env(_) if is_number => ", in digits alone",
            ConfigPlace::Line(_) if given.found.starts_with(['"', '\'']) => ", without quotes",
            ConfigPlace::Env(_) | ConfigPlace::Line(_) | ConfigPlace::Absent => "",
        };
        let (rule, found) = (key.kind.rule() + how, given.found.clone());
        self.faults.push(ConfigFault { place: given.place.clone(), key: path, found, rule });
    }

    fn unknown_key(
        &mut self,
        text: &Text<'_>,
        known: &'static [Key],
        path: &str,
        name: &Spanned<DeString<'_>>,
        value: &Spanned<DeValue<'_>>,
    ) {
        let typed = name.get_ref();
        let in_member = std::ptr::eq(known, MEMBER_KEYS);
        let is_table = matches!(value.get_ref(), DeValue::Array(_) | DeValue::Table(_));
        let is_list = !in_member && is_table && is_like_member(typed);
        // What stands below it would have been the members.
        self.unreadable.member_list |= is_list;
        let other = if in_member { KEYS } else { MEMBER_KEYS };
        let rule = match (keys::find(other, typed), keys::nearest(known, typed)) {
            (Some(_), _) if in_member => {
                "is not a key of a member: it belongs above the first [[member]]".to_string()
            }
            (Some(_), _) => "is not a key here: it belongs below a [[member]]".to_string(),
            (None, _) if is_list => "is not a key; did you mean [[member]]?".to_string(),
            (None, Some(near)) => format!("is not a key; did you mean {near}?"),
            (None, None) => match keys::nearest(KEYS, typed).filter(|_| in_member) {
                Some(near) => format!(
                    "is not a key; did you mean {near}, which belongs above the first [[member]]?"
                ),
                None => "is not a key".to_string(),
            },
        };
        let found = value_of(text, name, value);
        let (place, key) = (text.place(name.span().start), format!("{path}{}", text::key(typed)));
        self.faults.push(ConfigFault { place, key, found, rule });
    }
}

/// The value of a key as typed. The head of a table, or a dotted key, has none of its own.
fn value_of(text: &Text<'_>, name: &Spanned<DeString<'_>>, value: &Spanned<DeValue<'_>>) -> String {
    match value.span().contains(&name.span().start) {
        true => String::new(),
        false => text.found(value.span()),
    }
}

fn whole(number: &DeInteger<'_>) -> Option<u64> {
    u64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// A number of the environment, as the file would have it: without a sign or a leading zero.
fn digits(value: &str) -> Option<u64> {
    let plain = value.bytes().all(|byte| byte.is_ascii_digit());
    value.parse().ok().filter(|_| plain && (value == "0" || !value.starts_with('0')))
}

fn member_of<'a>(document: &'a Spanned<DeTable<'_>>) -> Option<&'a DeValue<'a>> {
    document.get_ref().get("member").map(Spanned::get_ref)
}
