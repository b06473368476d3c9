//! From what was typed to what may be used: every rule, all faults at once.

mod admin_default;
mod cross_rules;
mod listeners;
mod members;

use super::fault::{ConfigFault, ConfigPlace};
use super::keys::{self, KEYS, Key, KeyKind};
use super::raw::{RawConfig, Typed, TypedValue};
use super::{Address, Config, KnownMember, MemberConfig};
use crate::types::ClusterId;

/// Checks a configuration as a whole.
///
/// # Errors
/// Every broken rule, in the order of the file, what is missing last.
pub fn check(raw: RawConfig) -> Result<Config, Vec<ConfigFault>> {
    let mut checker =
        Checker { faults: [raw.syntax.clone(), raw.faults.clone()].concat(), raw: &raw };
    let config = checker.config();
    let mut faults = checker.faults;
    faults.sort();
    faults.dedup();
    match config {
        Some(config) if faults.is_empty() => Ok(config),
        Some(_) | None => {
            assert!(!faults.is_empty(), "a configuration without faults was not built");
            Err(faults)
        }
    }
}

/// A checked value and where it came from, for the rules between keys.
#[derive(Clone, Debug)]
struct Sourced<T> {
    value: T,
    place: ConfigPlace,
    found: String,
}

struct Checker<'a> {
    raw: &'a RawConfig,
    faults: Vec<ConfigFault>,
}

impl Checker<'_> {
    /// Checks every key and rule; none where a fault makes the configuration unusable.
    fn config(&mut self) -> Option<Config> {
        let cluster = self.cluster();
        let known = self.members();
        let node = self.node();
        let own = node.and_then(|node| known.iter().find(|member| member.id == Some(node)));
        let data_dir = self.data_dir();
        let shards = self.whole("shards");
        let listeners = self.listeners(&known, own);
        let quorums = self.quorums();
        let timing = self.timing();
        let bounds = self.bounds();
        let pin = self.flag("pin");
        let sync_inline = self.flag("sync_inline");
        let stop_timeout = self.whole("stop_timeout_ms");
        let slow_sync = self.whole("slow_sync_ms");
        let slow_request = self.whole("slow_request_ms");
        let appends_in_dispute = self.appends_in_dispute();
        let log_level = self.log_level();
        let listeners = listeners?;
        let members: Option<Vec<MemberConfig>> = known.iter().map(KnownMember::whole).collect();
        let members = members?.into_iter().map(|member| (member.id, member)).collect();
        Some(Config {
            cluster: cluster?,
            node: node?,
            data_dir: data_dir?,
            shards: u16::try_from(shards?.value).ok()?,
            members,
            listen: listeners.client,
            listen_peer: listeners.peer,
            listen_admin: listeners.admin,
            quorums: quorums?,
            timing: timing?,
            bounds: bounds?,
            pin: pin?,
            sync_inline: sync_inline?,
            stop_timeout_ms: stop_timeout?.value,
            slow_sync_ms: slow_sync?.value,
            slow_request_ms: slow_request?.value,
            appends_in_dispute: appends_in_dispute?,
            log_level: log_level?,
        })
    }

    fn fault(&mut self, place: ConfigPlace, key: &str, found: &str, rule: impl Into<String>) {
        let (key, found, rule) = (key.to_string(), found.to_string(), rule.into());
        self.faults.push(ConfigFault { place, key, found, rule });
    }

    fn broken<T>(&mut self, key: &str, value: &Sourced<T>, rule: impl Into<String>) {
        self.fault(value.place.clone(), key, &value.found, rule);
    }

    fn given(&self, name: &str) -> Option<&TypedValue> {
        self.raw.keys.get(name)
    }

    /// True when a key is not set, and not on a line that cannot be read either.
    fn is_absent(&self, name: &str) -> bool {
        self.given(name).is_none() && !self.raw.unreadable.top.has(name)
    }

    /// A number within its bounds: as given, or its default. Nothing where it is absent without a
    /// default, faulty, or unreadable.
    fn whole(&mut self, name: &'static str) -> Option<Sourced<u64>> {
        let key = keys::find(KEYS, name).expect("the checker asks for keys of the table");
        match (self.given(name).cloned(), key.kind) {
            (Some(given), _) => self.in_bounds(key, name, &given),
            (None, KeyKind::Whole { default, .. }) => {
                let value = default.filter(|_| self.is_absent(name))?;
                Some(Sourced { value, place: ConfigPlace::Absent, found: value.to_string() })
            }
            (None, KeyKind::Flag { .. } | KeyKind::Text { .. }) => None,
        }
    }

    fn in_bounds(&mut self, key: &Key, path: &str, given: &TypedValue) -> Option<Sourced<u64>> {
        let (Some(Typed::Whole(value)), KeyKind::Whole { min, max, .. }) = (&given.value, key.kind)
        else {
            return None;
        };
        if *value < min || *value > max {
            let rule = format!("must be from {min} to {max}");
            self.fault(given.place.clone(), path, &given.found, rule);
            return None;
        }
        Some(Sourced { value: *value, place: given.place.clone(), found: given.found.clone() })
    }

    fn flag(&mut self, name: &'static str) -> Option<bool> {
        let key = keys::find(KEYS, name).expect("the checker asks for keys of the table");
        match (self.given(name), key.kind) {
            (Some(TypedValue { value: Some(Typed::Flag(flag)), .. }), _) => Some(*flag),
            (Some(_), _) => None,
            (None, KeyKind::Flag { default }) => self.is_absent(name).then_some(default),
            (None, KeyKind::Whole { .. } | KeyKind::Text { .. }) => None,
        }
    }

    fn text(&self, name: &str) -> Option<Sourced<String>> {
        sourced_text(self.given(name)?)
    }

    /// A text that must be there: a fault where it is absent.
    fn required(&mut self, name: &'static str, rule: &str) -> Option<Sourced<String>> {
        if self.is_absent(name) {
            self.fault(ConfigPlace::Absent, name, "", format!("is missing; {rule}"));
        }
        self.text(name)
    }

    fn cluster(&mut self) -> Option<ClusterId> {
        let rule = "must be 32 hexadecimal digits, the same on all nodes of the cluster and on no \
                    other; `openssl rand -hex 16` draws one";
        let text = self.required("cluster_id", rule)?;
        match text.value.parse::<ClusterId>() {
            Ok(ClusterId(0)) => {
                self.broken("cluster_id", &text, "must not be all zeros, which means any cluster");
                None
            }
            Ok(cluster) => Some(cluster),
            Err(reason) => {
                self.broken("cluster_id", &text, format!("{reason}; {rule}"));
                None
            }
        }
    }

    fn data_dir(&mut self) -> Option<std::path::PathBuf> {
        let text = self.required("data_dir", "names the directory that holds the node's data")?;
        if text.value.is_empty() || text.value.contains('\0') {
            self.broken("data_dir", &text, "must name a directory");
            return None;
        }
        if let Some(rule) = unexpanded(&text.value) {
            self.broken("data_dir", &text, rule);
            return None;
        }
        Some(text.value.into())
    }

    fn appends_in_dispute(&mut self) -> Option<bool> {
        let Some(given) = self.given("on_dispute") else { return Some(false) };
        let text = sourced_text(given)?;
        match text.value.as_str() {
            "stop" => Some(false),
            "append" => Some(true),
            _ => {
                self.broken("on_dispute", &text, "must be stop or append");
                None
            }
        }
    }

    fn log_level(&mut self) -> Option<log::LevelFilter> {
        let Some(given) = self.given("log_level") else { return Some(log::LevelFilter::Info) };
        let text = sourced_text(given)?;
        match text.value.as_str() {
            "error" => Some(log::LevelFilter::Error),
            "warn" => Some(log::LevelFilter::Warn),
            "info" => Some(log::LevelFilter::Info),
            "debug" => Some(log::LevelFilter::Debug),
            "trace" => Some(log::LevelFilter::Trace),
            _ => {
                self.broken("log_level", &text, "must be error, warn, info, debug or trace");
                None
            }
        }
    }
    fn address(&mut self, key: &str, text: &Sourced<String>, port: u16) -> Option<Address> {
        match Address::parse(&text.value, port) {
            Ok(address) => Some(address),
            Err(rule) => {
                self.broken(key, text, rule);
                None
            }
        }
    }
}

/// Why a path is none that anybody means: a shell would have put something else in place of a part.
fn unexpanded(path: &str) -> Option<&'static str> {
    if path.starts_with('~') {
        return Some(
            "no shell reads this file, so that ~ is not a home directory: write the path out (or ./~… \
             where the name does begin with ~)",
        );
    }
    let variable = path.split('$').skip(1).any(|rest| {
        rest.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '{' | '('))
    });
    variable.then_some(
        "no shell reads this file, so that $… stands for nothing: write the path out, or set \
         PAXOSD_DATA_DIR in the environment",
    )
}

fn sourced_text(given: &TypedValue) -> Option<Sourced<String>> {
    let Some(Typed::Text(value)) = &given.value else { return None };
    Some(Sourced { value: value.clone(), place: given.place.clone(), found: given.found.clone() })
}
