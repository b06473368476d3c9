//! HTTP/1.0 and 1.1 as far as pages that are only read need it (RFC 9110, RFC 9112): the head of a
//! request in, an answer out. No sockets.

use crate::limits::{ADMIN_HEAD_BYTES_MAX, ADMIN_HEADERS_MAX};

/// A request that may be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest {
    /// The path, without the query.
    pub path: String,
    /// HEAD: the answer has no body.
    pub head_only: bool,
    /// The connection may bring another request.
    pub keep_alive: bool,
}

/// What the first bytes of a connection, or those behind a request, are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// The head has not arrived as a whole.
    Partial,
    /// A request, and the bytes of its head.
    Request(HttpRequest, usize),
    /// No request that this port answers: refused with this, and the connection closed.
    Refused(HttpStatus, String),
}

/// How a request was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpStatus {
    /// Here it is.
    Ok,
    /// The bytes make no sense.
    BadRequest,
    /// There is no such page.
    NotFound,
    /// Neither GET nor HEAD.
    MethodNotAllowed,
    /// The head did not arrive in time.
    Timeout,
    /// The request has a body.
    ContentTooLarge,
    /// The head is too long.
    HeadTooLarge,
    /// Not well, or too busy.
    Unavailable,
    /// Neither HTTP/1.0 nor HTTP/1.1.
    VersionNotSupported,
}

impl HttpStatus {
    /// The number.
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            HttpStatus::Ok => 200,
            HttpStatus::BadRequest => 400,
            HttpStatus::NotFound => 404,
            HttpStatus::MethodNotAllowed => 405,
            HttpStatus::Timeout => 408,
            HttpStatus::ContentTooLarge => 413,
            HttpStatus::HeadTooLarge => 431,
            HttpStatus::Unavailable => 503,
            HttpStatus::VersionNotSupported => 505,
        }
    }

    fn reason(self) -> &'static str {
        match self {
            HttpStatus::Ok => "OK",
            HttpStatus::BadRequest => "Bad Request",
            HttpStatus::NotFound => "Not Found",
            HttpStatus::MethodNotAllowed => "Method Not Allowed",
            HttpStatus::Timeout => "Request Timeout",
            HttpStatus::ContentTooLarge => "Content Too Large",
            HttpStatus::HeadTooLarge => "Request Header Fields Too Large",
            HttpStatus::Unavailable => "Service Unavailable",
            HttpStatus::VersionNotSupported => "HTTP Version Not Supported",
        }
    }
}

/// Looks at what a connection sent.
#[must_use]
pub fn parse(bytes: &[u8]) -> Parsed {
    let mut headers = [httparse::EMPTY_HEADER; ADMIN_HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let refused = |status, text: &str| Parsed::Refused(status, text.to_string());
    let too_long = || {
        let text = format!("a request's head has at most {ADMIN_HEAD_BYTES_MAX} bytes");
        Parsed::Refused(HttpStatus::HeadTooLarge, text)
    };
    match request.parse(bytes) {
        Ok(httparse::Status::Partial) if bytes.len() >= ADMIN_HEAD_BYTES_MAX => too_long(),
        Ok(httparse::Status::Partial) => Parsed::Partial,
        Ok(httparse::Status::Complete(length)) if length > ADMIN_HEAD_BYTES_MAX => too_long(),
        Ok(httparse::Status::Complete(length)) => judge(&request, length),
        Err(httparse::Error::TooManyHeaders) => {
            let text = format!("a request has at most {ADMIN_HEADERS_MAX} header lines");
            Parsed::Refused(HttpStatus::HeadTooLarge, text)
        }
        Err(httparse::Error::Version) => {
            refused(HttpStatus::VersionNotSupported, "this port speaks HTTP/1.0 and HTTP/1.1")
        }
        Err(error) => Parsed::Refused(HttpStatus::BadRequest, format!("not HTTP: {error}")),
    }
}

fn judge(request: &httparse::Request<'_, '_>, length: usize) -> Parsed {
    let refused = |status, text: &str| Parsed::Refused(status, text.to_string());
    let head_only = match request.method {
        Some("GET") => false,
        Some("HEAD") => true,
        Some(_) | None => {
            return refused(
                HttpStatus::MethodNotAllowed,
                "only GET and HEAD: nothing changes here",
            );
        }
    };
    let newer = request.version == Some(1);
    let mut keep_alive = newer;
    let mut hosts = 0;
    for header in request.headers.iter() {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        let value = header.value.trim_ascii();
        if is("transfer-encoding") || (is("content-length") && value != b"0") {
            return refused(HttpStatus::ContentTooLarge, "a request to this port has no body");
        } else if is("host") {
            hosts += 1;
        } else if is("connection") {
            for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            }
            let closes = |option: &[u8]| option.trim_ascii().eq_ignore_ascii_case(b"close");
            keep_alive &= !value.split(|byte| *byte == b',').any(closes);
        }
    }
    if hosts > 1 || (newer && hosts == 0) {
        return refused(HttpStatus::BadRequest, "a request of HTTP/1.1 has one Host header");
    }
    let target = request.path.unwrap_or_default();
    Parsed::Request(HttpRequest { path: path_of(target), head_only, keep_alive }, length)
}

/// The path of a request's target: without the query, and without scheme and host where it is
/// written in full.
fn path_of(target: &str) -> String {
    let full = target.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http://"));
    let local = match full {
        true => target[7..].find('/').map_or("/", |at| &target[7 + at..]),
        false => target,
    };
    local.split(['?', '#']).next().unwrap_or_default().to_string()
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// How it went.
    pub status: HttpStatus,
    /// What the body is.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
}

impl Response {
    /// An answer in words, on a line of its own.
    #[must_use]
    pub fn text(status: HttpStatus, text: &str) -> Response {
        let body = format!("{}\n", text.trim_end());
        Response { status, content_type: "text/plain; charset=utf-8", body }
    }

    /// Appends the answer as it goes on the wire.
    pub fn write(&self, out: &mut Vec<u8>, head_only: bool, keep_alive: bool) {
        let Response { status, content_type, body } = self;
        let (code, reason, length) = (status.code(), status.reason(), body.len());
        let connection = if keep_alive { "keep-alive" } else { "close" };
        let extra = match status {
            HttpStatus::MethodNotAllowed => "Allow: GET, HEAD\r\n",
            HttpStatus::Unavailable => "Retry-After: 1\r\n",
            HttpStatus::Ok
            | HttpStatus::BadRequest
            | HttpStatus::NotFound
            | HttpStatus::Timeout
            | HttpStatus::ContentTooLarge
            | HttpStatus::HeadTooLarge
            | HttpStatus::VersionNotSupported => "",
        };
        let head = format!(
            "HTTP/1.1 {code} {reason}\r\nContent-Type: {content_type}\r\n\
             Content-Length: {length}\r\nCache-Control: no-store\r\n\
             X-Content-Type-Options: nosniff\r\n{extra}Connection: {connection}\r\n\r\n"
        );
        out.extend_from_slice(head.as_bytes());
        if !head_only {
            out.extend_from_slice(body.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Parsed {
        parse(text.as_bytes())
    }

    #[track_caller]
    fn request(text: &str) -> HttpRequest {
        match parsed(text) {
            Parsed::Request(request, length) => {
                assert_eq!(length, text.len());
                request
            }
            other => panic!("{text:?}: {other:?}"),
        }
    }

    #[track_caller]
    fn refused(text: &str) -> u16 {
        match parsed(text) {
            Parsed::Refused(status, _) => status.code(),
            other => panic!("{text:?}: {other:?}"),
        }
    }

    /// Connections are kept or closed as the request's version and header say.
    #[test]
    fn connections_are_kept_as_asked_for() {
        let keeps = |line: &str| request(line).keep_alive;
        assert!(keeps("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert!(!keeps("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
        assert!(!keeps("GET / HTTP/1.1\r\nHost: x\r\nCONNECTION: foo , Close\r\n\r\n"));
        assert!(!keeps("GET / HTTP/1.1\r\nHost: x\r\nConnection: close, keep-alive\r\n\r\n"));
        assert!(!keeps("GET / HTTP/1.0\r\n\r\n"));
        assert!(keeps("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
    }

    /// A target is a path, with or without host and query.
    #[test]
    fn targets_are_paths() {
        let path = |target: &str| request(&format!("HEAD {target} HTTP/1.0\r\n\r\n")).path;
        assert_eq!(path("/metrics?format=x"), "/metrics");
        assert_eq!(path("HTTP://node:7422/livez?x"), "/livez");
        assert_eq!(path("http://node"), "/");
        assert_eq!(path("http://ä"), "/");
        assert_eq!(path("*"), "*");
    }

    /// R37: whatever is no request for a page is refused by the number that says why.
    #[test]
    fn r37_what_is_no_request_is_refused() {
        assert_eq!(refused("POST / HTTP/1.1\r\nHost: x\r\n\r\n"), 405);
        assert_eq!(refused("GET / HTTP/1.1\r\n\r\n"), 400);
        assert_eq!(refused("GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"), 400);
        assert_eq!(refused("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n"), 413);
        assert_eq!(refused("GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: x\r\n\r\n"), 413);
        assert_eq!(refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505);
        assert_eq!(refused("\u{16}\u{3}\u{1}\u{2}"), 400);
        assert_eq!(refused("GET / HTTP/1.1\r\nbad header\r\n\r\n"), 400);
        let many = "a: b\r\n".repeat(ADMIN_HEADERS_MAX + 1);
        assert_eq!(refused(&format!("GET / HTTP/1.0\r\n{many}\r\n")), 431);
        let long = "a".repeat(ADMIN_HEAD_BYTES_MAX);
        assert_eq!(refused(&format!("GET /{long}")), 431);
        assert_eq!(refused(&format!("GET /{long} HTTP/1.0\r\n\r\n")), 431);
        assert_eq!(parsed("GET / HTTP/1.1\r\nHost: x\r\n"), Parsed::Partial);
        assert_eq!(parsed(""), Parsed::Partial);
    }

    /// The answer to HEAD is that to GET without its body.
    #[test]
    fn head_says_what_get_would() {
        let answer = Response::text(HttpStatus::Unavailable, "no");
        let (mut get, mut head) = (Vec::new(), Vec::new());
        answer.write(&mut get, false, true);
        answer.write(&mut head, true, true);
        assert_eq!(get, [&head[..], b"no\n"].concat());
        let text = String::from_utf8(head).expect("ASCII");
        assert!(text.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{text}");
        assert!(text.contains("\r\nContent-Length: 3\r\n") && text.ends_with("\r\n\r\n"), "{text}");
    }

    /// R37: no bytes make the parser panic, or take a head for longer than it is.
    #[test]
    fn r37_mutated_heads_are_survived() {
        let good = b"GET /metrics?x=1 HTTP/1.1\r\nHost: node:7422\r\nAccept: */*\r\n\r\nGET / ";
        let mut random = crate::types::Random::new(7);
        let mut refused = 0;
        for _ in 0..100_000 {
            let mut bytes = good.to_vec();
            for _ in 0..=random.below(4) {
                let at = random.below(bytes.len() as u64) as usize;
                match random.below(3) {
                    0 => bytes[at] = random.below(256) as u8,
                    1 => bytes.truncate(at + 1),
                    _ => bytes.insert(at, random.below(256) as u8),
                }
            }
            match parse(&bytes) {
                Parsed::Request(_, length) => assert!(length <= bytes.len(), "{bytes:?}"),
                Parsed::Refused(..) => refused += 1,
                Parsed::Partial => {}
            }
        }
        assert!(refused > 10_000, "only {refused} were refused: too few were mutated");
    }
}
