//! One shard with what its thread adds to it and no socket: frames in, outputs out.

use super::conn::Outgoing;
use super::facts::Facts;
use super::table::ClientSide;
use crate::shard::{Input, Output, Shard};
use crate::types::{ConnId, ShardId, Tick};
use crate::wire::client::{Reply, ReplyHeader, Request};
use crate::wire::client_codec::read_request;
use crate::wire::error::{ErrorCode, WireError};
use crate::wire::frame::Frame;
use crate::wire::reply_codec::write_reply;
use crate::wire::status::ShardStatus;
use std::sync::Arc;

/// A shard and its outputs that were not carried out yet.
#[derive(Debug)]
pub struct Core {
    /// The shard.
    pub shard: Shard,
    /// Its id.
    pub id: ShardId,
    /// What it wants done, in order.
    pub outputs: Vec<Output>,
    facts: Arc<Facts>,
}

/// What becomes of a connection after a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flow {
    /// It goes on.
    GoOn,
    /// It is closed behind the answer, for this reason.
    Close(String),
}

impl Core {
    /// A shard that was not stepped yet.
    #[must_use]
    pub fn new(shard: Shard, id: ShardId, facts: Arc<Facts>) -> Core {
        Core { shard, id, outputs: Vec::new(), facts }
    }

    /// Hands the shard an input.
    pub fn step(&mut self, now: Tick, input: Input) {
        self.shard.step(now, input, &mut self.outputs);
    }

    /// Takes a client's frame in: answers what no shard needs to be asked for and what makes no
    /// sense, and hands the rest to the shard. `now` was read after the frame arrived, so that a
    /// lease is never judged by a time before the request (C19).
    pub fn client_frame(
        &mut self,
        now: Tick,
        conn: ConnId,
        side: &mut ClientSide,
        frame: &Frame<'_>,
        output: &mut Outgoing,
    ) -> Flow {
        let correlation = frame.correlation;
        let request = match read_request(frame, &self.facts.limits.append()) {
            Ok(request) => request,
            Err(refusal) => {
                if let Some((log, chain)) = refusal.chain {
                    self.step(now, Input::ChainFailed { conn, log, chain });
                }
                let text = refusal.error.to_string();
                self.answer(output, correlation, Reply::Error(refusal.error));
                return if refusal.close { Flow::Close(text) } else { Flow::GoOn };
            }
        };
        match request {
            Request::Ping => self.answer(output, correlation, Reply::Pong),
            Request::Status => {
                let status = self.facts.status(self.shard.status());
                self.answer(output, correlation, Reply::Status(status));
            }
            Request::Map => {
                let map = self.facts.map(&self.shard.status());
                self.answer(output, correlation, Reply::Map(map));
            }
            Request::Create(_)
            | Request::Delete(_)
            | Request::List(_)
            | Request::Stat(_)
            | Request::Append(_)
            | Request::Read(_)
                if side.node_level =>
            {
                let text = "this connection greeted no shard: it may ask for Status, Map and Ping";
                let error = WireError::new(ErrorCode::WrongShard, text);
                self.answer(output, correlation, Reply::Error(error));
            }
            Request::Create(_)
            | Request::Delete(_)
            | Request::List(_)
            | Request::Stat(_)
            | Request::Append(_)
            | Request::Read(_) => {
                side.asked(correlation, &request);
                self.step(now, Input::Client { conn, correlation, request });
            }
        }
        Flow::GoOn
    }

    /// The header of an answer that this thread gives itself.
    #[must_use]
    pub fn header(&self) -> ReplyHeader {
        header_of(&self.shard.status())
    }

    fn answer(&self, output: &mut Outgoing, correlation: u64, reply: Reply) {
        write_reply(output.buffer(), correlation, &self.header(), &reply);
    }
}

fn header_of(status: &ShardStatus) -> ReplyHeader {
    ReplyHeader {
        shard: status.shard,
        epoch: status.epoch,
        applied_upto: status.applied_upto,
    }
}
