//! How far a round is believed that a peer names (R37).
//!
//! A round that is promised can never be taken back, and the next campaign goes one above it. So one
//! number, mistaken or forged, must not use up the rounds that the codec takes (2⁶²): a candidate past
//! them would be heard by nobody, and no start of the node would cure that. Rounds rise by one with
//! each campaign. One that lies [`ROUND_JUMP_MAX`] above all that was seen here is not promised; it
//! shows at most that so many rounds have gone by. What was true is repeated, by heartbeats and
//! prepares, and reached after as many of them as there are such steps: one, unless rounds were
//! forged. What was not would have to be repeated for 2⁴² times before no campaign could follow.

use super::replica::Replica;
use crate::limits::ROUND_JUMP_MAX;
use crate::wire::peer::Message;

/// The highest round that a message makes its receiver promise, exceed or write down.
fn round_of(message: &Message) -> u64 {
    match message {
        Message::CanvassAnswer(answer) => answer.promised.round,
        Message::Prepare(prepare) => prepare.ballot.round,
        Message::Nack(nack) => nack.promised.round,
        Message::Accept(accept) => accept.ballot.round,
        Message::Heartbeat(heartbeat) => heartbeat.ballot.round,
        Message::Fetched(fetched) => fetched.of.round,
        Message::Learned(learned) => {
            learned.values.iter().map(|(_, ballot, _)| ballot.round).max().unwrap_or(0)
        }
        // Of these none, or only in a ballot that is promised here already.
        Message::Announce(_)
        | Message::Canvass(_)
        | Message::Promise(_)
        | Message::LeaseRefusal(_)
        | Message::Fetch(_)
        | Message::Accepted(_)
        | Message::Resend(_)
        | Message::Grant(_)
        | Message::ChosenUpto(_)
        | Message::Learn(_)
        | Message::HandOver(_)
        | Message::Release(_)
        | Message::Eligibility(_)
        | Message::InstallFetch(_)
        | Message::InstallChunk(_)
        | Message::ValuesFetch(_)
        | Message::ValuesChunk(_)
        | Message::LossAsk(_)
        | Message::LossAnswer(_) => 0,
    }
}

impl Replica {
    /// The message names no round that is too far above those seen here. One that does is not taken,
    /// and brings its round nearer.
    pub(super) fn reaches_round(&mut self, message: &Message) -> bool {
        let believed = self.round_seen.saturating_add(ROUND_JUMP_MAX);
        let reached = round_of(message) <= believed;
        if !reached {
            self.round_seen = believed;
        }
        reached
    }
}
