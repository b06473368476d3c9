//! How a client is set up, and how callers name logs.

use super::error::Invalid;
use super::waiting::OnWait;
use crate::api::LogRef;
use crate::api::name::{LogName, NameError};
use crate::types::{Address, CLIENT_PORT, ClusterId, LogId};
use std::net::SocketAddr;
use std::time::Duration;

/// How a client is set up.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Nodes to ask first, as `host:port`, or `host` for port 7420; one that answers is enough to
    /// find the others. An IPv6 address with a port stands in brackets.
    pub endpoints: Vec<String>,
    /// How long an operation may take, its retries included.
    pub timeout: Duration,
    /// How long one node may take to be connected to, and to answer what can safely be asked of
    /// another node instead.
    pub attempt_timeout: Duration,
    /// The cluster that is meant; none, or an id of zeros, for whichever answers first. From then on it
    /// is that one.
    pub cluster: Option<ClusterId>,
    /// The program's name, for the nodes' logs.
    pub name: String,
    /// Called while an operation that failed so far tries again; none to wait in silence.
    pub on_wait: Option<OnWait>,
}

impl ClientOptions {
    /// The default of [`ClientOptions::timeout`]: several elections long.
    pub const TIMEOUT: Duration = Duration::from_secs(10);
    /// The default of [`ClientOptions::attempt_timeout`]: a node that lives answers well within.
    pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(1);

    /// Returns the defaults for these endpoints, each `host` or `host:port`.
    pub fn new<I>(endpoints: I) -> ClientOptions
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        ClientOptions {
            endpoints: endpoints.into_iter().map(Into::into).collect(),
            timeout: ClientOptions::TIMEOUT,
            attempt_timeout: ClientOptions::ATTEMPT_TIMEOUT,
            cluster: None,
            name: concat!("paxosd-client/", env!("CARGO_PKG_VERSION")).to_string(),
            on_wait: None,
        }
    }

    /// Checks the endpoints' form, and returns each with its port; names are resolved when they are
    /// connected to.
    ///
    /// # Errors
    /// [`Invalid::NoEndpoint`] and [`Invalid::Endpoint`].
    pub fn check(&self) -> Result<Vec<String>, Invalid> {
        if self.endpoints.is_empty() {
            return Err(Invalid::NoEndpoint);
        }
        let whole = |endpoint: &String| {
            // With the zone of a link-local address, too, which an address of a member has not.
            if endpoint.parse::<SocketAddr>().is_ok_and(|address| address.port() > 0) {
                return Ok(endpoint.clone());
            }
            let address = match misunderstood(endpoint) {
                Some(rule) => Err(rule.to_string()),
                None => Address::parse(endpoint, CLIENT_PORT),
            };
            let wrong = |rule| Invalid::Endpoint { endpoint: endpoint.clone(), rule };
            address.map(|address| address.to_string()).map_err(wrong)
        };
        self.endpoints.iter().map(whole).collect()
    }
}

impl Default for ClientOptions {
    /// For a node on this machine, at the port where nodes listen unless configured otherwise.
    fn default() -> ClientOptions {
        ClientOptions::new([format!("127.0.0.1:{CLIENT_PORT}")])
    }
}

/// What is wrong with an endpoint that was written as something else is.
fn misunderstood(endpoint: &str) -> Option<&'static str> {
    if endpoint.is_empty() {
        return Some("it is empty: there is a comma too many, or a variable that is not set");
    }
    if endpoint.contains("://") {
        return Some("it has a scheme; an endpoint is host:port without one");
    }
    if endpoint.contains(char::is_whitespace) {
        return Some("it has a blank; endpoints are separated by commas, without blanks");
    }
    endpoint.contains('/').then_some("it has a path; an endpoint is host:port and no more")
}

/// What names a log: its name, or its identity, which is never used again. By name, a log that was
/// deleted and created anew is the new one.
pub trait ToLog {
    /// The log.
    ///
    /// # Errors
    /// [`NameError`] when the text cannot be a name.
    fn to_log(&self) -> Result<LogRef, NameError>;
}

impl ToLog for str {
    fn to_log(&self) -> Result<LogRef, NameError> {
        LogName::new(self).map(LogRef::Name)
    }
}

impl ToLog for String {
    fn to_log(&self) -> Result<LogRef, NameError> {
        self.as_str().to_log()
    }
}

impl ToLog for LogName {
    fn to_log(&self) -> Result<LogRef, NameError> {
        Ok(LogRef::Name(self.clone()))
    }
}

impl ToLog for LogId {
    fn to_log(&self) -> Result<LogRef, NameError> {
        Ok(LogRef::Id(*self))
    }
}

impl ToLog for LogRef {
    fn to_log(&self) -> Result<LogRef, NameError> {
        Ok(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An endpoint that cannot be one is named before anything is sent.
    #[test]
    fn endpoints_are_checked_by_form() {
        assert_eq!(ClientOptions::new(Vec::<String>::new()).check(), Err(Invalid::NoEndpoint));
        let check = |endpoint: &str| ClientOptions::new([endpoint]).check();
        for wrong in [
            ":7420",
            "host:",
            "host:0",
            "host:70000",
            "",
            "http://127.0.0.1:7420",
            "https://host",
            "2001:db8::3:x",
            "[2001:db8::3",
            "[127.0.0.1]:7420",
            "a b",
        ] {
            let checked = check(wrong);
            let refused =
                matches!(&checked, Err(Invalid::Endpoint { endpoint, .. }) if endpoint == wrong);
            assert!(refused, "{wrong:?}: {checked:?}");
        }
        let scheme = check("http://127.0.0.1:7420").expect_err("no scheme is an endpoint's");
        assert!(scheme.to_string().contains("host:port without"), "{scheme}");
        for (wrong, part) in [
            ("a:1 b:2", "separated by commas"),
            ("a:1\tb:2", "separated by commas"),
            ("", "a comma too many"),
            ("a:7420/", "has a path"),
        ] {
            let refused = check(wrong).expect_err("no endpoint").to_string();
            assert!(refused.contains(part), "{wrong:?}: {refused}");
        }
    }

    /// What nobody set has a default that works; for a client, a node on this machine.
    #[test]
    fn all_options_have_defaults() {
        use super::super::*;
        assert_eq!(ClientOptions::default().check(), Ok(vec!["127.0.0.1:7420".to_string()]));
        assert!(AppenderOptions::default().window > 1 && ReaderOptions::default().window > 1);
        let (append, read) = (AppendOptions::default(), ReadOptions::default());
        assert_eq!((append.expect, append.create), (None, false));
        assert_eq!((read.consistency, read.wait), (Consistency::Linearizable, Duration::ZERO));
        assert_eq!(FollowOptions::default().idle, None);
    }

    /// Where no port is written it is the clients' one, whichever way the host is.
    #[test]
    fn the_port_has_a_default() {
        for (typed, whole) in [
            ("127.0.0.1:9000", "127.0.0.1:9000"),
            ("127.0.0.1", "127.0.0.1:7420"),
            ("db1.example.com", "db1.example.com:7420"),
            ("db1.example.com:9000", "db1.example.com:9000"),
            ("localhost", "localhost:7420"),
            ("::1", "[::1]:7420"),
            ("[::1]", "[::1]:7420"),
            ("[::1]:9000", "[::1]:9000"),
            ("[fe80::1%2]:9000", "[fe80::1%2]:9000"),
            ("2001:db8::3", "[2001:db8::3]:7420"),
        ] {
            assert_eq!(ClientOptions::new([typed]).check(), Ok(vec![whole.to_string()]), "{typed}");
        }
    }
}
