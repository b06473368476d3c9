//! One connection to the admin port.

use super::http::{HttpRequest, HttpStatus, Parsed, Response, parse};
use crate::daemon::net::conn::{Conn, Taken};
use crate::limits::{
    ADMIN_IDLE_MS, ADMIN_REQUESTS_PER_TURN, ADMIN_WRITE_MS, HANDSHAKE_MS, LINGER_MS,
};
use crate::types::Tick;

/// A connection to the admin port: what came and was not looked at, and what is still to be sent.
#[derive(Debug)]
pub struct AdminConnection {
    /// The connection.
    pub conn: Conn,
    /// The next step must be done by then.
    pub deadline: Tick,
    /// When it came, or was answered last.
    pub idle_since: Tick,
    /// Bytes of a request's head.
    head: Vec<u8>,
    /// No further request is taken.
    closing: bool,
    /// The answer has left, and what comes is thrown away until the other side closes.
    lingering: bool,
    /// Something was answered on it.
    answered: bool,
}

/// What a connection needs of its port.
pub trait AdminHost {
    /// The answer to a request.
    fn answer(&mut self, request: &HttpRequest) -> Response;
    /// The caller closed in the middle of a head.
    fn cut_short(&mut self);
    /// A request was refused.
    fn refused(&mut self, status: HttpStatus, reason: &str);
}

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionOutcome {
    /// It waits for its socket.
    Wait,
    /// It has more to do once others had their turn.
    Again,
    /// It is over.
    Over,
}

impl AdminConnection {
    /// A connection that has not said anything.
    #[must_use]
    pub fn new(conn: Conn, now: Tick) -> AdminConnection {
        AdminConnection {
            conn,
            deadline: now.after(HANDSHAKE_MS * 1000),
            idle_since: now,
            head: Vec::new(),
            closing: false,
            lingering: false,
            answered: false,
        }
    }

    /// Does what its socket allows.
    pub fn step(
        &mut self,
        now: Tick,
        scratch: &mut [u8],
        host: &mut impl AdminHost,
    ) -> ConnectionOutcome {
        for _ in 0..ADMIN_REQUESTS_PER_TURN {
            if !self.lingering && !self.conn.output.is_empty() {
                match self.conn.flush() {
                    Ok(true) => self.sent(now),
                    Ok(false) => return ConnectionOutcome::Wait,
                    Err(_) => return ConnectionOutcome::Over,
                }
            }
            if !self.lingering && self.serve(now, host) {
                continue;
            }
            if !self.conn.readable {
                return ConnectionOutcome::Wait;
            }
            match self.conn.take(scratch) {
                Ok(Taken::Bytes(_)) if self.lingering => {}
                Ok(Taken::Bytes(count)) => self.take(now, &scratch[..count]),
                Ok(Taken::Nothing) => {}
                Ok(Taken::Closed) | Err(_) => {
                    if !self.lingering && !self.head.is_empty() {
                        host.cut_short();
                    }
                    return ConnectionOutcome::Over;
                }
            }
        }
        ConnectionOutcome::Again
    }

    fn take(&mut self, now: Tick, bytes: &[u8]) {
        if self.head.is_empty() && self.answered {
            self.deadline = now.after(HANDSHAKE_MS * 1000);
        }
        self.head.extend_from_slice(bytes);
    }

    /// Answers the request that has arrived, if one has.
    fn serve(&mut self, now: Tick, host: &mut impl AdminHost) -> bool {
        if self.head.is_empty() || self.closing {
            return false;
        }
        match parse(&self.head) {
            Parsed::Partial => return false,
            Parsed::Request(request, length) => {
                self.head.drain(..length);
                self.closing = !request.keep_alive;
                let answer = host.answer(&request);
                answer.write(self.conn.output.buffer(), request.head_only, request.keep_alive);
            }
            Parsed::Refused(status, reason) => self.refuse(status, &reason, host),
        }
        self.deadline = now.after(ADMIN_WRITE_MS * 1000);
        true
    }

    fn refuse(&mut self, status: HttpStatus, reason: &str, host: &mut impl AdminHost) {
        host.refused(status, reason);
        self.head = Vec::new();
        self.closing = true;
        Response::text(status, reason).write(self.conn.output.buffer(), false, false);
    }

    /// The whole answer has left.
    fn sent(&mut self, now: Tick) {
        self.answered = true;
        self.idle_since = now;
        self.deadline = now.after(ADMIN_IDLE_MS * 1000);
        if self.head.is_empty() {
            // An idle connection holds no buffer.
            self.head = Vec::new();
        } else {
            self.deadline = now.after(HANDSHAKE_MS * 1000);
        }
        if self.closing {
            // Closed at once, bytes that were not read would take the answer away from the caller.
            self.conn.finish_writing();
            self.lingering = true;
            self.head = Vec::new();
            self.deadline = now.after(LINGER_MS * 1000);
        }
    }

    /// The deadline has passed. True where the caller is still sent the reason.
    pub fn expire(&mut self, now: Tick, host: &mut impl AdminHost) -> bool {
        let reading = !self.lingering && self.conn.output.is_empty();
        let idle = reading && self.answered && self.head.is_empty();
        if !self.lingering && !idle {
            let reason = "the head of a request did not arrive in time, or an answer was not read";
            host.refused(HttpStatus::Timeout, reason);
        }
        if !reading || self.head.is_empty() {
            return false;
        }
        let text = format!("a request's head has {HANDSHAKE_MS} ms to arrive");
        self.closing = true;
        Response::text(HttpStatus::Timeout, &text).write(self.conn.output.buffer(), false, false);
        match self.conn.flush() {
            Ok(true) => {
                self.sent(now);
                true
            }
            Ok(false) | Err(_) => false,
        }
    }
}
