//! Addresses as typed: a host and a port, resolved only when they are used.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr}; // Addresses only: std::net has sockets, too.
use std::fmt;

/// Port of clients where none is written.
pub const CLIENT_PORT: u16 = 7420;
/// Port of peers where none is written.
pub const PEER_PORT: u16 = 7421;

/// Port of the admin pages where none is written.
pub const ADMIN_PORT: u16 = 7422;

const PORT_RULE: &str = "the port must be a number from 1 to 65535";

/// A host (name, IPv4 or IPv6 address) and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// Host name in lower case, or IP address; an IPv6 address without its brackets.
    pub host: String,
    /// Port, never zero in a checked configuration.
    pub port: u16,
}

impl Address {
    /// Reads `host`, `host:port`, `::1`, `[::1]` or `[::1]:port`.
    ///
    /// # Errors
    /// The rule that the text breaks.
    pub fn parse(text: &str, default_port: u16) -> Result<Address, String> {
        if let Ok(ip) = text.parse::<IpAddr>() {
            return match with_port(text) {
                Some((host, port)) => Err(format!(
                    "may be an IPv6 address or one with a port: with brackets it is [{host}]:{port} \
                     or [{text}]:{default_port}"
                )),
                None => Address::of(ip, default_port),
            };
        }
        if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            return Address::in_brackets(inner, default_port);
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, number(port).ok_or(PORT_RULE)?),
            None => (text, default_port),
        };
        if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            return Address::in_brackets(inner, port);
        }
        if host.contains(':') {
            return Err("is an IPv6 address with a port, which needs brackets: [::1]:7420".into());
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if host.is_empty() || host.len() > 253 || !host.chars().all(allowed) {
            return Err("must be host or host:port, a name or an IP address".into());
        }
        match host.parse::<IpAddr>() {
            Ok(ip) => Address::of(ip, port),
            Err(_) if host.chars().all(|c| c.is_ascii_digit() || c == '.') => {
                Err("is neither an IP address nor a host name".into())
            }
            // To the resolver case makes no difference: two spellings are one address.
            Err(_) => Ok(Address { host: host.to_ascii_lowercase(), port }),
        }
    }

    fn in_brackets(inner: &str, port: u16) -> Result<Address, String> {
        match inner.parse::<IpAddr>() {
            Ok(ip @ IpAddr::V6(_)) => Address::of(ip, port),
            Ok(IpAddr::V4(_)) | Err(_) => Err("only an IPv6 address stands in brackets".into()),
        }
    }

    /// An IP address at which one host can listen, and others connect to it.
    fn of(ip: IpAddr, port: u16) -> Result<Address, String> {
        if let IpAddr::V6(six) = ip {
            if let Some(four) = six.to_ipv4_mapped() {
                return Err(format!("is an IPv4 address written as IPv6: write {four}:{port}"));
            }
            if six.is_unicast_link_local() {
                return Err("is a link-local address, which means nothing without an interface; \
                            take another of that host"
                    .into());
            }
        }
        if ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST) {
            return Err("is an address of many hosts; it must be one of a single host".into());
        }
        Ok(Address { host: ip.to_string(), port })
    }

    /// Returns the host as an IP address, or nothing where it is a name.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// Returns true when nobody outside this machine can reach it, by the text alone.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self.ip() {
            Some(ip) => ip.is_loopback(),
            None => self.host == "localhost" || self.host.ends_with(".localhost"),
        }
    }

    /// Returns true when two listeners at these addresses would want the same port of the same
    /// interface.
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

/// A port: digits and nothing else.
fn number(port: &str) -> Option<u16> {
    let plain = port.bytes().all(|byte| byte.is_ascii_digit()) && !port.starts_with('0');
    port.parse().ok().filter(|_| plain)
}

/// Address and port of a text that is an IPv6 address as a whole, and also without its last group.
fn with_port(text: &str) -> Option<(Ipv6Addr, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    Some((host.parse().ok()?, number(port)?))
}
