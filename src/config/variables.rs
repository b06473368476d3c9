//! Variables of the environment that begin with our prefix and name no key: a mistyped one is reported,
//! and those that others set with that prefix cause one line at most.

use super::keys::{self, KEYS};

/// What our variables begin with.
pub const PREFIX: &str = "PAXOSD_";

/// Warnings of variables that name no key: a line for each that is probably a mistyped key, and one
/// line for all the rest. There is none for those that Kubernetes sets for a service of our name: no
/// person set them, and there are seven for each port.
#[must_use]
pub fn warnings(unknown: &[String]) -> Vec<String> {
    let (mut lines, mut foreign) = (Vec::new(), Vec::new());
    for variable in unknown.iter().filter(|variable| !is_service_link(variable)) {
        match keys::nearest(KEYS, variable.strip_prefix(PREFIX).unwrap_or(variable)) {
            Some(key) => lines.push(format!(
                "warning: environment {variable} names no key: it is ignored; did you mean {PREFIX}{}?",
                key.to_ascii_uppercase()
            )),
            None => foreign.push(variable.as_str()),
        }
    }
    match foreign.as_slice() {
        [] => {}
        [one] => lines.push(format!("warning: environment {one} names no key: it is ignored")),
        [..] => lines.push(format!(
            "warning: environment {} name no key: they are ignored",
            foreign.join(", ")
        )),
    }
    lines
}

/// True for `…_SERVICE_HOST`, `…_SERVICE_PORT…`, `…_PORT` and `…_PORT_7420_TCP…`.
fn is_service_link(variable: &str) -> bool {
    let words: Vec<&str> = variable.split('_').collect();
    let is_number = |word: &str| word.parse::<u16>().is_ok();
    let of_port = |rest: &[&str]| match rest {
        [] => true,
        [port, "TCP" | "UDP" | "SCTP", end @ ..] => {
            is_number(port) && matches!(end, [] | ["ADDR" | "PORT" | "PROTO"])
        }
        [..] => false,
    };
    let at = |i: usize| words.get(i..).unwrap_or_default();
    (1..words.len()).any(|i| match at(i) {
        ["SERVICE", "HOST"] | ["SERVICE", "PORT", ..] => true,
        ["PORT", rest @ ..] => of_port(rest),
        [..] => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(unknown: &[&str]) -> Vec<String> {
        warnings(&unknown.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    /// A mistyped key is reported with the right one; others are named together, in one line.
    #[test]
    fn mistyped_keys_are_reported_and_foreign_ones_named_once() {
        let mistyped = lines(&["PAXOSD_LEASE_M"]);
        assert_eq!(mistyped.len(), 1, "{mistyped:?}");
        assert!(mistyped[0].ends_with("did you mean PAXOSD_LEASE_MS?"), "{mistyped:?}");
        assert_eq!(
            lines(&["PAXOSD_BINARY", "PAXOSD_SHARD", "PAXOSD_IMAGE_TAG"]),
            [
                "warning: environment PAXOSD_SHARD names no key: it is ignored; did you mean PAXOSD_SHARDS?",
                "warning: environment PAXOSD_BINARY, PAXOSD_IMAGE_TAG name no key: they are ignored",
            ]
        );
        assert_eq!(lines(&[]), [""; 0]);
    }

    /// What Kubernetes sets beside each container for a service of our name is not reported.
    #[test]
    fn links_of_services_are_no_news() {
        let links = [
            "PAXOSD_SERVICE_HOST",
            "PAXOSD_SERVICE_PORT",
            "PAXOSD_SERVICE_PORT_CLIENT",
            "PAXOSD_PORT",
            "PAXOSD_PORT_7420_TCP",
            "PAXOSD_PORT_7420_TCP_ADDR",
            "PAXOSD_CLIENT_SERVICE_HOST",
            "PAXOSD_CLIENT_PORT_7420_UDP_PROTO",
        ];
        assert_eq!(lines(&links), [""; 0]);
        assert_eq!(lines(&["PAXOSD_PORT_MAX", "PAXOSD_HOST"]).len(), 1, "but these are");
    }
}
