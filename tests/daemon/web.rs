//! A visitor of the admin pages, with nothing between it and the socket.

#![allow(dead_code)] // Each program that includes this uses another part of it.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// How long an answer may take that a healthy machine gives at once.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection to the admin port.
pub struct Web {
    stream: BufReader<TcpStream>,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub code: u16,
    head: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    /// The value of a header line.
    pub fn header(&self, name: &str) -> &str {
        let found = self.head.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }
}

impl Web {
    /// Connects and says nothing.
    #[track_caller]
    pub fn connect(address: &str) -> Web {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Web { stream: BufReader::new(stream) }
    }

    /// Sends bytes.
    #[track_caller]
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).unwrap();
    }

    /// Asks for a page on this connection, which is kept.
    #[track_caller]
    pub fn get(&mut self, path: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: node\r\n\r\n").as_bytes());
        self.answer(true)
    }

    /// The next answer, with its body where one follows.
    #[track_caller]
    pub fn answer(&mut self, has_body: bool) -> Answer {
        let mut line = || {
            let mut line = String::new();
            self.stream.read_line(&mut line).unwrap();
            line.trim_end().to_string()
        };
        let status = line();
        let code = status.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        let code = code.unwrap_or_else(|| panic!("no status line: {status:?}"));
        let mut head = Vec::new();
        loop {
            let line = line();
            let Some((name, value)) = line.split_once(": ") else { break };
            head.push((name.to_string(), value.to_string()));
        }
        let mut answer = Answer { code, head, body: String::new() };
        if has_body {
            let mut body = vec![0; answer.header("Content-Length").parse().unwrap()];
            self.stream.read_exact(&mut body).unwrap();
            answer.body = String::from_utf8(body).unwrap();
        }
        answer
    }

    /// Reads until the node closes the connection; what it sent until then.
    #[track_caller]
    pub fn rest(&mut self) -> usize {
        let (mut taken, mut chunk) = (0, [0; 4096]);
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return taken,
                Ok(count) => taken += count,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return taken,
                Err(error) => panic!("the connection is still open: {error}"),
            }
        }
    }
}

/// Asks for a page on a connection of its own.
#[track_caller]
pub fn get(address: &str, path: &str) -> Answer {
    let mut web = Web::connect(address);
    let request = format!("GET {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n");
    web.send(request.as_bytes());
    let answer = web.answer(true);
    assert_eq!(answer.header("Connection"), "close");
    assert_eq!(web.rest(), 0, "more than the answer came");
    answer
}

/// The value of a sample, by its name and labels as they stand on the page.
#[track_caller]
pub fn sample(page: &str, name: &str) -> f64 {
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no sample {name} on the page:\n{page}")).parse().unwrap()
}
