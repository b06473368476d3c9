//! What replicas say to each other, as bytes. Small messages here, pages and values in
//! [`super::pages`].

use super::message::{
    Accepted, Canvass, CanvassAnswer, Digest, Fetch, Grant, HandOver, Heartbeat, Learn,
    LeaseRefusal, Mark, Meet, Message, Nack, Prepare, Release, Resend, Standing,
};
use super::pages::{
    accept, fetched, learned, promise, put_accept, put_fetched, put_learned, put_promise,
};
use crate::limits::{LIVES_MAX, MEMBERS_MAX};
use crate::types::{Configuration, Incarnation, Life, LifeId, Lsn, NodeId, Slot, Tick, Witness};
use crate::wire::codec::{DecodeError, ListLimit, Reader, Writer, ballot, chosen};
use crate::wire::frame::{FLAGS_CRITICAL, Frame, write_frame};
use crate::wire::kind::PeerKind;

/// Members come and go, but few of them are known at any time.
const NODES: ListLimit = ListLimit { items_max: 16 * MEMBERS_MAX, item_bytes_min: 10 };
const MEMBERS: ListLimit = ListLimit { items_max: MEMBERS_MAX, item_bytes_min: 2 };
const LIVES: ListLimit = ListLimit { items_max: LIVES_MAX, item_bytes_min: 32 };

impl Message {
    /// The message's kind.
    #[must_use]
    pub fn kind(&self) -> PeerKind {
        match self {
            Message::Meet(_) => PeerKind::Meet,
            Message::Canvass(_) => PeerKind::Canvass,
            Message::CanvassAnswer(_) => PeerKind::CanvassAnswer,
            Message::Prepare(_) => PeerKind::Prepare,
            Message::Promise(_) => PeerKind::Promise,
            Message::LeaseRefusal(_) => PeerKind::LeaseRefusal,
            Message::Nack(_) => PeerKind::Nack,
            Message::Fetch(_) => PeerKind::Fetch,
            Message::Fetched(_) => PeerKind::Fetched,
            Message::Accept(_) => PeerKind::Accept,
            Message::Accepted(_) => PeerKind::Accepted,
            Message::Heartbeat(_) => PeerKind::Heartbeat,
            Message::Grant(_) => PeerKind::Grant,
            Message::Mark(_) => PeerKind::Mark,
            Message::Resend(_) => PeerKind::Resend,
            Message::Learn(_) => PeerKind::Learn,
            Message::Learned(_) => PeerKind::Learned,
            Message::HandOver(_) => PeerKind::HandOver,
            Message::Release(_) => PeerKind::Release,
            Message::Standing(_) => PeerKind::Standing,
        }
    }
}

/// Appends one message's frame to `out`. Order on the connection pairs nothing: correlation is 0.
pub fn write_message(out: &mut Vec<u8>, message: &Message) {
    write_frame(out, message.kind().number(), 0, |body| match message {
        Message::Meet(meet) => put_meet(body, meet),
        Message::Canvass(canvass) => {
            body.put_u64(canvass.attempt);
            body.put_u64(canvass.chosen_upto.0);
        }
        Message::CanvassAnswer(answer) => {
            body.put_u64(answer.attempt);
            body.put_bool(answer.yes);
            body.put_ballot(answer.promised);
            body.put_u64(answer.chosen_upto.0);
        }
        Message::Mark(mark) => {
            body.put_ballot(mark.ballot);
            body.put_u64(mark.chosen_upto.0);
        }
        Message::Resend(resend) => {
            body.put_ballot(resend.ballot);
            body.put_u64(resend.from.0);
            body.put_u64(resend.chosen_upto.0);
        }
        Message::Prepare(prepare) => {
            body.put_ballot(prepare.ballot);
            body.put_u64(prepare.chosen_upto.0);
            body.put_ballot(prepare.released);
        }
        Message::Promise(promise) => put_promise(body, promise),
        Message::LeaseRefusal(refusal) => {
            body.put_ballot(refusal.ballot);
            body.put_u64(refusal.wait_us);
        }
        Message::Nack(nack) => {
            body.put_ballot(nack.ballot);
            body.put_ballot(nack.promised);
        }
        Message::Fetch(fetch) => {
            body.put_ballot(fetch.ballot);
            body.put_u64(fetch.slot.0);
            body.put_ballot(fetch.of);
        }
        Message::Fetched(fetched) => put_fetched(body, fetched),
        Message::Accept(accept) => put_accept(body, accept),
        Message::Accepted(accepted) => put_accepted(body, accepted),
        Message::Heartbeat(heartbeat) => put_heartbeat(body, heartbeat),
        Message::Grant(grant) => put_grant(body, grant),
        Message::Learn(learn) => {
            body.put_u64(learn.from.0);
            body.put_u64(learn.upto.0);
        }
        Message::Learned(learned) => put_learned(body, learned),
        Message::HandOver(hand_over) => {
            body.put_ballot(hand_over.ballot);
            body.put_u64(hand_over.chosen_upto.0);
        }
        Message::Release(Release { ballot }) => body.put_ballot(*ballot),
        Message::Standing(standing) => {
            body.put_bool(standing.leaving);
            body.put_bool(standing.ready);
            body.put_u16(standing.linked);
        }
    });
}

fn put_meet(body: &mut Vec<u8>, meet: &Meet) {
    body.put_u64(meet.incarnation.0);
    body.put_list(&meet.known, |body, (node, incarnation)| {
        body.put_u16(node.0);
        body.put_u64(incarnation.0);
    });
    body.put_bool(meet.formed);
    put_configuration(body, &meet.configuration);
    body.put_list(&meet.lives, |body, life| {
        put_life_id(body, life.id);
        body.put_u64(life.start.0);
        body.put_u64(life.accounted.0);
    });
    put_witness(body, meet.durable);
    put_table(body, &meet.witness);
    put_digest(body, meet.digest);
}

fn put_configuration(body: &mut Vec<u8>, configuration: &Configuration) {
    let members: Vec<NodeId> = configuration.members.iter().copied().collect();
    body.put_list(&members, |body, node| body.put_u16(node.0));
    body.put_u16(configuration.prepare);
    body.put_u16(configuration.accept);
    body.put_u64(configuration.window_slots);
}

fn put_life_id(body: &mut Vec<u8>, life: LifeId) {
    body.put_u64(life.boots);
    body.put_u64(life.nonce);
}

fn put_witness(body: &mut Vec<u8>, witness: Witness) {
    put_life_id(body, witness.life);
    body.put_u64(witness.durable.0);
}

fn put_table(body: &mut Vec<u8>, table: &[(NodeId, Witness)]) {
    body.put_list(table, |body, (node, witness)| {
        body.put_u16(node.0);
        put_witness(body, *witness);
    });
}

/// Slot 0 stands for "nothing applied": a digest is of the state after a slot.
fn put_digest(body: &mut Vec<u8>, digest: Option<Digest>) {
    body.put_u64(digest.map_or(0, |digest| digest.slot.0));
    body.put_u64(digest.map_or(0, |digest| digest.state));
}

fn put_accepted(body: &mut Vec<u8>, accepted: &Accepted) {
    body.put_ballot(accepted.ballot);
    body.put_u64(accepted.upto.0);
    body.put_u64(accepted.chosen_upto.0);
    body.put_u64(accepted.durable.0);
    body.put_bool(accepted.has_room);
}

fn put_heartbeat(body: &mut Vec<u8>, heartbeat: &Heartbeat) {
    body.put_ballot(heartbeat.ballot);
    body.put_u64(heartbeat.sent_at.0);
    body.put_u64(heartbeat.lease_us);
    body.put_u64(heartbeat.first.0);
    body.put_u64(heartbeat.chosen_upto.0);
    body.put_bool(heartbeat.has_room);
    put_table(body, &heartbeat.witness);
    put_digest(body, heartbeat.digest);
    body.put_list(&heartbeat.agreeing, |body, node| body.put_u16(node.0));
}

fn put_grant(body: &mut Vec<u8>, grant: &Grant) {
    body.put_ballot(grant.ballot);
    body.put_u64(grant.sent_at.0);
    body.put_u64(grant.lease_us);
    body.put_u64(grant.chosen_upto.0);
    body.put_u64(grant.accepted_upto.0);
    body.put_u64(grant.durable.0);
    body.put_bool(grant.has_room);
    put_digest(body, grant.digest);
}

/// Reads a peer's message.
///
/// # Errors
/// [`DecodeError`]: the connection cannot be trusted any further.
pub fn read_message(frame: &Frame<'_>) -> Result<Message, DecodeError> {
    if frame.flags & FLAGS_CRITICAL != 0 {
        return Err(DecodeError::Flags { flags: frame.flags });
    }
    let kind = PeerKind::from_number(frame.kind).ok_or(DecodeError::Kind { kind: frame.kind })?;
    let mut body = Reader::new(frame.body);
    let message = message(kind, &mut body)?;
    body.finish()?;
    Ok(message)
}

fn message(kind: PeerKind, body: &mut Reader<'_>) -> Result<Message, DecodeError> {
    Ok(match kind {
        PeerKind::Meet => Message::Meet(meet(body)?),
        PeerKind::Canvass => {
            Message::Canvass(Canvass { attempt: body.u64("attempt")?, chosen_upto: chosen(body)? })
        }
        PeerKind::CanvassAnswer => Message::CanvassAnswer(CanvassAnswer {
            attempt: body.u64("attempt")?,
            yes: body.bool("yes")?,
            promised: body.ballot("promised")?,
            chosen_upto: chosen(body)?,
        }),
        PeerKind::Prepare => Message::Prepare(Prepare {
            ballot: ballot(body)?,
            chosen_upto: chosen(body)?,
            released: body.ballot("released")?,
        }),
        PeerKind::Promise => Message::Promise(promise(body)?),
        PeerKind::LeaseRefusal => Message::LeaseRefusal(LeaseRefusal {
            ballot: ballot(body)?,
            wait_us: body.u64("wait_us")?,
        }),
        PeerKind::Nack => {
            Message::Nack(Nack { ballot: ballot(body)?, promised: body.ballot("promised")? })
        }
        PeerKind::Fetch => Message::Fetch(Fetch {
            ballot: ballot(body)?,
            slot: body.slot("slot")?,
            of: body.ballot("of")?,
        }),
        PeerKind::Fetched => Message::Fetched(fetched(body)?),
        PeerKind::Accept => Message::Accept(accept(body)?),
        PeerKind::Accepted => Message::Accepted(accepted(body)?),
        PeerKind::Heartbeat => Message::Heartbeat(heartbeat(body)?),
        PeerKind::Grant => Message::Grant(grant(body)?),
        PeerKind::Mark => Message::Mark(Mark { ballot: ballot(body)?, chosen_upto: chosen(body)? }),
        PeerKind::Resend => Message::Resend(Resend {
            ballot: ballot(body)?,
            from: body.slot("from")?,
            chosen_upto: chosen(body)?,
        }),
        PeerKind::Learn => {
            Message::Learn(Learn { from: body.slot("from")?, upto: body.slot("upto")? })
        }
        PeerKind::Learned => Message::Learned(learned(body)?),
        PeerKind::HandOver => {
            Message::HandOver(HandOver { ballot: ballot(body)?, chosen_upto: chosen(body)? })
        }
        PeerKind::Release => Message::Release(Release { ballot: ballot(body)? }),
        PeerKind::Standing => Message::Standing(Standing {
            leaving: body.bool("leaving")?,
            ready: body.bool("ready")?,
            linked: body.u16("linked")?,
        }),
    })
}

fn meet(body: &mut Reader<'_>) -> Result<Meet, DecodeError> {
    Ok(Meet {
        incarnation: Incarnation(body.u64("incarnation")?),
        known: body.list("known", NODES, |body| {
            Ok((NodeId(body.u16("node")?), Incarnation(body.u64("incarnation")?)))
        })?,
        formed: body.bool("formed")?,
        configuration: configuration(body)?,
        lives: body.list("lives", LIVES, |body| {
            Ok(Life {
                id: life_id(body)?,
                start: Lsn(body.u64("start")?),
                accounted: Lsn(body.u64("accounted")?),
            })
        })?,
        durable: witness(body)?,
        witness: table(body)?,
        digest: digest(body)?,
    })
}

fn configuration(body: &mut Reader<'_>) -> Result<Configuration, DecodeError> {
    let members = body.list("members", MEMBERS, |body| Ok(NodeId(body.u16("node")?)))?;
    Ok(Configuration {
        members: members.into_iter().collect(),
        prepare: body.u16("prepare")?,
        accept: body.u16("accept")?,
        window_slots: body.u64("window_slots")?,
    })
}

fn life_id(body: &mut Reader<'_>) -> Result<LifeId, DecodeError> {
    Ok(LifeId { boots: body.u64("boots")?, nonce: body.u64("nonce")? })
}

fn witness(body: &mut Reader<'_>) -> Result<Witness, DecodeError> {
    Ok(Witness { life: life_id(body)?, durable: Lsn(body.u64("durable")?) })
}

fn table(body: &mut Reader<'_>) -> Result<Vec<(NodeId, Witness)>, DecodeError> {
    body.list("witness", NODES, |body| Ok((NodeId(body.u16("node")?), witness(body)?)))
}

fn digest(body: &mut Reader<'_>) -> Result<Option<Digest>, DecodeError> {
    let (slot, state) = (body.slot("digest slot")?, body.u64("digest state")?);
    Ok((slot != Slot(0)).then_some(Digest { slot, state }))
}

fn accepted(body: &mut Reader<'_>) -> Result<Accepted, DecodeError> {
    Ok(Accepted {
        ballot: ballot(body)?,
        upto: body.slot("upto")?,
        chosen_upto: chosen(body)?,
        durable: Lsn(body.u64("durable")?),
        has_room: body.bool("has_room")?,
    })
}

fn heartbeat(body: &mut Reader<'_>) -> Result<Heartbeat, DecodeError> {
    Ok(Heartbeat {
        ballot: ballot(body)?,
        sent_at: Tick(body.u64("sent_at")?),
        lease_us: body.u64("lease_us")?,
        first: body.slot("first")?,
        chosen_upto: chosen(body)?,
        has_room: body.bool("has_room")?,
        witness: table(body)?,
        digest: digest(body)?,
        agreeing: body.list("agreeing", MEMBERS, |body| Ok(NodeId(body.u16("node")?)))?,
    })
}

fn grant(body: &mut Reader<'_>) -> Result<Grant, DecodeError> {
    Ok(Grant {
        ballot: ballot(body)?,
        sent_at: Tick(body.u64("sent_at")?),
        lease_us: body.u64("lease_us")?,
        chosen_upto: chosen(body)?,
        accepted_upto: Slot(body.u64("accepted_upto")?),
        durable: Lsn(body.u64("durable")?),
        has_room: body.bool("has_room")?,
        digest: digest(body)?,
    })
}
