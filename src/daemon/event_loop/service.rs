//! One shard with what its thread adds to it and no socket: frames in, outputs out.

use crate::api::error::{ErrorCode, RequestError};
use crate::api::status::ShardLeader;
use crate::api::{Reply, ReplyHeader, RequestKind};
use crate::daemon::net::outgoing::Outgoing;
use crate::daemon::net::table::ClientSide;
use crate::daemon::node::context::NodeContext;
use crate::daemon::watch::status_board::Served;
use crate::shard::{Input, Output, Shard};
use crate::types::{ConnId, ShardId, Tick};
use crate::wire::client::read_request;
use crate::wire::client::write_reply;
use crate::wire::frame::Frame;
use std::sync::Arc;

/// A shard and its outputs that were not carried out yet.
#[derive(Debug)]
pub struct Service {
    /// The shard.
    pub shard: Shard,
    /// Its id.
    pub id: ShardId,
    /// What it asks its thread to do, in order.
    pub outputs: Vec<Output>,
    /// Requests handed to the shard in this turn of the loop.
    pub asked: usize,
    /// What was answered since the start.
    pub served: Served,
    context: Arc<NodeContext>,
}

/// What becomes of a connection after a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flow {
    /// It goes on.
    GoOn,
    /// It is closed behind the answer, for this reason.
    Close(String),
}

impl Service {
    /// A shard that was not stepped yet, and what its start asks for.
    #[must_use]
    pub fn new(
        shard: Shard,
        id: ShardId,
        context: Arc<NodeContext>,
        outputs: Vec<Output>,
    ) -> Service {
        Service { shard, id, outputs, asked: 0, served: Served::default(), context }
    }

    /// Hands the shard an input.
    pub fn step(&mut self, now: Tick, input: Input) {
        self.shard.step(now, input, &mut self.outputs);
    }

    /// Takes a client's frame in: answers what makes no sense, and hands the rest to the shard. `now`
    /// was read after the frame arrived, so that a lease is never judged by a time before the request
    /// (C19).
    pub fn client_frame(
        &mut self,
        now: Tick,
        conn: ConnId,
        side: &mut ClientSide,
        frame: &Frame<'_>,
        output: &mut Outgoing,
    ) -> Flow {
        let correlation = frame.correlation;
        let request = match read_request(frame, &self.context.limits.append()) {
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
        if side.node_level && !request.kind().is_node_level() {
            let text = "this connection greeted no shard: it may ask for Status, Map and Ping";
            let error = RequestError::new(ErrorCode::WrongShard, text);
            self.answer(output, correlation, Reply::Error(error));
            return Flow::GoOn;
        }
        if request.kind() == RequestKind::Map {
            self.shard.note_leaders(self.context.board.leaders());
        }
        if request.kind() == RequestKind::Status {
            let board = &self.context.board;
            self.shard.note_syncs(board.shard(self.id).sync_tally());
            self.shard.note_disk(board.space.seen(self.context.live.min_free_bytes()));
        }
        side.asked(now, correlation, &request);
        self.asked += 1;
        self.step(now, Input::Client { conn, correlation, request });
        Flow::GoOn
    }

    /// The header of an answer that this thread gives itself.
    #[must_use]
    pub fn header(&self) -> ReplyHeader {
        let ShardLeader { shard, epoch, .. } = self.shard.leader();
        ReplyHeader { shard, epoch, applied_upto: self.shard.applied_upto() }
    }

    /// An answer that this thread gives itself.
    pub fn answer(&mut self, output: &mut Outgoing, correlation: u64, reply: Reply) {
        self.served.note(&reply);
        write_reply(output.buffer(), correlation, &self.header(), &reply);
    }
}
