//! How a client is set up, and how callers name logs.

use super::error::Invalid;
use crate::types::{ClusterId, LogId};
use crate::wire::client::LogRef;
use crate::wire::name::{LogName, NameError};
use std::time::Duration;

/// How a client is set up.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Nodes to ask first, as `host:port`; one that answers is enough to find the others.
    pub endpoints: Vec<String>,
    /// How long an operation may take, its retries included.
    pub timeout: Duration,
    /// How long one node may take to be connected to, and to answer what can safely be asked of
    /// another node instead.
    pub attempt_timeout: Duration,
    /// The cluster that is meant; none for whichever answers first. From then on it is that one.
    pub cluster: Option<ClusterId>,
    /// The program's name, for the nodes' logs.
    pub name: String,
}

impl ClientOptions {
    /// The default of [`ClientOptions::timeout`]: several elections long.
    pub const TIMEOUT: Duration = Duration::from_secs(10);
    /// The default of [`ClientOptions::attempt_timeout`]: a node that lives answers well within.
    pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(1);

    /// The defaults, for these endpoints.
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
        }
    }

    /// Checks the endpoints' form; names are resolved when they are connected to.
    ///
    /// # Errors
    /// [`Invalid::NoEndpoint`] and [`Invalid::Endpoint`].
    pub fn check(&self) -> Result<(), Invalid> {
        if self.endpoints.is_empty() {
            return Err(Invalid::NoEndpoint);
        }
        for endpoint in &self.endpoints {
            let port = endpoint.rsplit_once(':').filter(|(host, _)| !host.is_empty());
            if !port.is_some_and(|(_, port)| port.parse::<u16>().is_ok_and(|port| port > 0)) {
                return Err(Invalid::Endpoint(endpoint.clone()));
            }
        }
        Ok(())
    }
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
        assert_eq!(ClientOptions::new(["127.0.0.1:7420", "[::1]:7420"]).check(), Ok(()));
        assert_eq!(ClientOptions::new(Vec::<String>::new()).check(), Err(Invalid::NoEndpoint));
        for wrong in ["localhost", ":7420", "host:", "host:0", "host:70000", ""] {
            let wrong = wrong.to_string();
            let checked = ClientOptions::new([wrong.clone()]).check();
            assert_eq!(checked, Err(Invalid::Endpoint(wrong)));
        }
    }
}
