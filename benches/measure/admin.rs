//! What a node tells on its admin pages.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A page: its status, and what it says.
pub fn page(admin: &str, path: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(admin)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or(ErrorKind::InvalidData)?;
    let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok());
    Ok((status.ok_or(ErrorKind::InvalidData)?, body.to_string()))
}

/// True while the node says that it is ready.
pub fn is_ready(admin: &str) -> bool {
    page(admin, "/readyz").is_ok_and(|(status, _)| status == 200)
}

/// The numbers of a node at one moment, by name and labels as the page has them.
#[derive(Clone, Debug, Default)]
pub struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// Those of a node.
    pub fn of(admin: &str) -> io::Result<Metrics> {
        let (_, text) = page(admin, "/metrics")?;
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let pairs = lines.filter_map(|line| line.rsplit_once(' '));
        let numbers =
            pairs.filter_map(|(name, value)| Some((name.to_string(), value.parse().ok()?)));
        Ok(Metrics(numbers.collect()))
    }

    /// The sum over all labels of a name.
    pub fn sum(&self, name: &str) -> f64 {
        self.with_labels(name).map(|(_, value)| value).sum()
    }

    /// The numbers of a name, each with its labels.
    pub fn with_labels<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
        let of_name = move |key: &'a str| {
            let labels = key.strip_prefix(name)?;
            (labels.is_empty() || labels.starts_with('{')).then_some(labels)
        };
        self.0.iter().filter_map(move |(key, value)| Some((of_name(key)?, *value)))
    }
}
