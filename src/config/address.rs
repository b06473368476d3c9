//! Addresses as typed: a host and a port, resolved only when they are used.

use std::fmt;
use std::net::IpAddr;

/// Port of clients where none is written.
pub const CLIENT_PORT: u16 = 7420;
/// Port of peers where none is written.
pub const PEER_PORT: u16 = 7421;

/// Port of the admin pages where none is written.
pub const ADMIN_PORT: u16 = 7422;

/// A host (name, IPv4 or IPv6 address) and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// Name or address, without brackets.
    pub host: String,
    /// Port, never zero in a checked configuration.
    pub port: u16,
}

impl Address {
    /// Reads `host`, `host:port`, `::1`, `[::1]` or `[::1]:port`.
    ///
    /// # Errors
    /// The rule that the text breaks.
    pub fn parse(text: &str, default_port: u16) -> Result<Address, &'static str> {
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(Address { host: ip.to_string(), port: default_port });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !text.ends_with(']') => (host, Some(port)),
            Some(_) | None => (text, None),
        };
        let port = match port {
            None => default_port,
            Some(port) => match port.parse::<u16>() {
                Ok(port) if port > 0 => port,
                Ok(_) | Err(_) => return Err("the port must be a number from 1 to 65535"),
            },
        };
        if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            return match inner.parse::<IpAddr>() {
                Ok(ip @ IpAddr::V6(_)) => Ok(Address { host: ip.to_string(), port }),
                Ok(IpAddr::V4(_)) | Err(_) => Err("only an IPv6 address stands in brackets"),
            };
        }
        if host.contains(':') {
            return Err("an IPv6 address with a port needs brackets: [::1]:7420");
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if host.is_empty() || host.len() > 253 || !host.chars().all(allowed) {
            return Err("must be host or host:port, a name or an IP address");
        }
        let digits_only = host.chars().all(|c| c.is_ascii_digit() || c == '.');
        if digits_only && host.parse::<IpAddr>().is_err() {
            return Err("is neither an IP address nor a host name");
        }
        Ok(Address { host: host.to_string(), port })
    }

    /// The host as an IP address, or nothing where it is a name.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// True when nobody outside this machine can reach it, by the text alone.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self.ip() {
            Some(ip) => ip.is_loopback(),
            None => self.host == "localhost" || self.host.ends_with(".localhost"),
        }
    }

    /// True when two listeners at these addresses would want the same port of the same interface.
    #[must_use]
    pub fn overlaps(&self, other: &Address) -> bool {
        let any = |address: &Address| address.ip().is_some_and(|ip| ip.is_unspecified());
        self.port == other.port && (self.host == other.host || any(self) || any(other))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip() {
            Some(IpAddr::V6(ip)) => write!(f, "[{ip}]:{}", self.port),
            Some(IpAddr::V4(_)) | None => write!(f, "{}:{}", self.host, self.port),
        }
    }
}
