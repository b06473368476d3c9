//! R37 over sockets, at the admin port: requests with something wrong. What a node makes of one is
//! what it answers, so that its counters are held against its own answers.

use crate::mutants::Story;
use crate::random::Random;
use crate::raw_callers::{Call, Ending, Heard, exchange};
use crate::watched::Watched;
use crate::well_behaved::WellBehaved;
use paxosd::limits::ADMIN_HEAD_BYTES_MAX;

/// Connections at a time: with those of the batch before, which the node may still hold, fewer
/// than it takes.
const BATCH: usize = 16;
/// Most requests of a connection.
const HEADS_OF_ONE: u64 = 6;

/// Real requests.
const HEADS: [&str; 9] = [
    "GET /livez HTTP/1.1\r\nHost: node:7422\r\n\r\n",
    "GET /readyz HTTP/1.1\r\nHost: node\r\nUser-Agent: kube-probe/1.34\r\nAccept: */*\r\n\r\n",
    "HEAD /livez?verbose=1 HTTP/1.1\r\nHost: [::1]:7422\r\nConnection: keep-alive\r\n\r\n",
    "GET http://node:7422/livez HTTP/1.1\r\nHost: node:7422\r\nConnection: close, TE\r\n\r\n",
    "GET /livez HTTP/1.0\r\n\r\n",
    "GET /livez HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
    "POST /livez HTTP/1.1\r\nHost: node\r\nContent-Length: 5\r\n\r\nhello",
    "PUT /livez HTTP/1.1\r\nHost: node\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "GET /nowhere HTTP/1.1\r\nHost: node\r\nContent-Length: 0\r\nCookie: a=b; c=d\r\n\r\n",
];
/// Pages whose making takes longer: one request in fifty asks for one.
const PAGES: [&str; 2] = [
    "GET /metrics HTTP/1.1\r\nHost: node\r\nAccept: text/plain; version=0.0.4; q=0.5\r\n\r\n",
    "GET /status HTTP/1.1\r\nHost: node\r\nAccept-Encoding: gzip\r\n\r\n",
];
/// What means something to those who read heads.
const TOKENS: [&str; 22] = [
    "\r\n",
    "\n",
    "\r",
    "\r\n\r\n",
    " ",
    ": ",
    "\0",
    "\t",
    "GET ",
    "HEAD ",
    "OPTIONS * ",
    "CONNECT node:1 ",
    "HTTP/1.1",
    "HTTP/2.0",
    "HTTP/0.9",
    "Host: other\r\n",
    "Content-Length: 18446744073709551616\r\n",
    "Content-Length: -1\r\n",
    "Transfer-Encoding: identity\r\n",
    "Connection: close\r\n",
    "Expect: 100-continue\r\n",
    "%00/../../",
];
/// Behind it every connection is closed, whatever came before: it ends each head that is under way.
const LAST: &str = "GET /livez HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n";

/// Makes mutants of real requests.
struct Heads(Random);

impl Heads {
    fn below(&mut self, end: usize) -> usize {
        self.0.below(end as u64) as usize
    }

    fn seed(&mut self) -> Vec<u8> {
        let of: &[&str] = if self.0.percent(2) { &PAGES } else { &HEADS };
        of[self.below(of.len())].as_bytes().to_vec()
    }

    /// A request that differs from the one that it was made of, and is not empty.
    fn head(&mut self) -> Vec<u8> {
        loop {
            let seed = self.seed();
            let mut head = seed.clone();
            for _ in 0..=self.below(3) {
                self.mutate(&mut head);
            }
            if self.0.percent(50) && !head.ends_with(b"\r\n\r\n") {
                // Whole again, so that it is judged and not waited for.
                head.extend_from_slice(b"\r\n\r\n");
            }
            if head != seed && !head.is_empty() {
                return head;
            }
        }
    }

    fn mutate(&mut self, head: &mut Vec<u8>) {
        let at = self.below(head.len() + 1);
        match self.below(10) {
            0 | 1 if at < head.len() => head[at] ^= 1 << self.below(8),
            2 if at < head.len() => head[at] = self.0.next() as u8,
            3 | 4 => {
                let token = TOKENS[self.below(TOKENS.len())];
                head.splice(at..at, token.bytes());
            }
            5 => {
                let upto = (at + 1 + self.below(8)).min(head.len());
                head.drain(at..upto);
            }
            6 => head.truncate(at),
            7 => {
                let other = self.seed();
                let from = self.below(other.len());
                head.truncate(at);
                head.extend_from_slice(&other[from..]);
            }
            8 => {
                // Up to more than the longest head, and to more than the most lines.
                let (token, most) = match self.below(10) {
                    0 => ("a".repeat(100), ADMIN_HEAD_BYTES_MAX / 80),
                    1 => ("X-Line: 1\r\n".to_string(), 100),
                    _ => (TOKENS[self.below(TOKENS.len())].to_string(), 5),
                };
                let many = token.repeat(1 + self.below(most));
                head.splice(at..at, many.bytes());
            }
            _ => {
                let count = self.below(100);
                *head = (0..count).map(|_| self.0.next() as u8).collect();
            }
        }
    }
}

/// R37: 100,000 mutants of what probes and scrapers send. Each is answered, or waited for; what is
/// refused is answered with a number, counted by it, and the last answer of its connection.
#[test]
fn r37_mutants_at_the_admin_port() {
    let mut node = Watched::start();
    node.daemon.read_log();
    let good = WellBehaved::start(&[node.daemon.address.clone()]);
    let mut story = Story::new(node.daemon.memory());
    let mut heads = Heads(Random::new(story.seed));
    let address = node.admin.parse().unwrap();
    while story.goes_on(&node.daemon) {
        let calls: Vec<_> = (0..BATCH).map(|_| admin_call(&mut story, &mut heads)).collect();
        let sent: Vec<Call> = calls.iter().map(|(call, _)| call.clone()).collect();
        for ((call, mutants), heard) in calls.iter().zip(exchange(address, &sent)) {
            let codes = check_answers(call, &heard);
            // Those behind the one that closed the connection were not looked at.
            story.sent((*mutants).min(codes.len() + 1));
            for code in codes {
                match code {
                    400 | 431 | 505 => story.expected.garbage += 1,
                    405 | 413 => story.expected.refused += 1,
                    200 | 404 => {}
                    other => panic!("an answer of {other}: {call:?}"),
                }
            }
        }
        assert_eq!(node.get("/readyz").body, "ready\n", "seed {}", story.seed);
    }
    story.end(node.refusals("admin"), good, node.daemon);
}

/// A visitor: some mutants, and in half of all cases a last request that ends whatever they began,
/// so that the node closes the connection by itself.
fn admin_call(story: &mut Story, heads: &mut Heads) -> (Call, usize) {
    let mutants = 1 + heads.0.below(HEADS_OF_ONE) as usize;
    let mut bytes: Vec<u8> = (0..mutants).flat_map(|_| heads.head()).collect();
    let mut ending = Ending::Hasty;
    if heads.0.percent(50) {
        bytes.extend_from_slice(LAST.as_bytes());
        ending = Ending::Node;
    }
    let first = heads.below(bytes.len());
    (Call { ending, ..story.call(bytes, first) }, mutants)
}

/// The numbers of all answers; fails on bytes that are none, and on what follows a last answer.
fn check_answers(call: &Call, heard: &Heard) -> Vec<u16> {
    assert!(!heard.reset, "closed over bytes that were not read: {call:?}");
    let (mut rest, mut codes, mut closed) = (&heard.bytes[..], Vec::new(), false);
    while !rest.is_empty() {
        let said = String::from_utf8_lossy(rest);
        assert!(!closed, "an answer behind the last one: {said}\n{call:?}");
        let (code, length, closes, head) =
            answer(rest).unwrap_or_else(|| panic!("{said} {call:?}"));
        rest = &rest[head..];
        // What answers a HEAD has no body; no page begins like an answer.
        if !rest.is_empty() && !rest.starts_with(b"HTTP/1.1 ") {
            rest = rest.get(length..).unwrap_or_else(|| panic!("half a page: {said} {call:?}"));
        }
        closed = closes;
        assert!(closed || matches!(code, 200 | 404), "{code} goes on: {call:?}");
        codes.push(code);
    }
    assert!(closed || call.ending != Ending::Node, "closed without a word: {call:?}");
    codes
}

/// Number, length of the body, whether it is the last one, and length of the head.
fn answer(bytes: &[u8]) -> Option<(u16, usize, bool, usize)> {
    let mut headers = [httparse::EMPTY_HEADER; 16];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(bytes).ok()? else { return None };
    let value = |name: &str| {
        let found = response.headers.iter().find(|header| header.name == name)?;
        std::str::from_utf8(found.value).ok()
    };
    let closes = value("Connection")? == "close";
    Some((response.code?, value("Content-Length")?.parse().ok()?, closes, head))
}
