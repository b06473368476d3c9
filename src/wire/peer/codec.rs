//! The messages of replicas as bytes: their numbers, and the fields of the small ones. Pages and values
//! are in [`super::pages`].

use super::message::{
    Accepted, Announce, Canvass, CanvassAnswer, ChosenUpto, Digest, Eligibility, Fetch, Grant,
    HandOver, Heartbeat, Learn, LeaseRefusal, Message, Nack, Prepare, Release, Resend,
};
use crate::limits::{LEASE_MS_MAX, LIVES_MAX, MEMBERS_MAX};
use crate::types::{Configuration, Incarnation, Life, LifeId, NodeId, Slot, Witness};
use crate::wire::codec::{BodyReader, DecodeError};
use crate::wire::field::{AtMost, Field, ListLimit, message, tuple};
use crate::wire::frame::{FLAGS_CRITICAL, Frame, write_frame};
use crate::wire::kind::kinds;

/// Members come and go, but few of them are known at any time.
const NODES: ListLimit = ListLimit { items_max: 16 * MEMBERS_MAX, item_bytes_min: 10 };
const MEMBERS: ListLimit = ListLimit { items_max: MEMBERS_MAX, item_bytes_min: 2 };
/// A lease that is asked for or granted, and what is left of one, in microseconds.
const LEASE: AtMost = AtMost(LEASE_MS_MAX * 1000);
const LIVES: ListLimit = ListLimit { items_max: LIVES_MAX, item_bytes_min: 32 };

/// Makes [`PeerKind`] and both directions of a [`Message`] by one row a message: the name that
/// variant, struct and kind have in common, and the kind's number.
macro_rules! messages {
    ($($name:ident = $number:literal;)*) => {
        kinds! {
            /// What replicas say to each other. Numbers are never used again for anything else.
            PeerKind:
            $(#[doc = concat!("[`Message::", stringify!($name), "`].")] $name = $number;)*
        }

        impl Message {
            /// The message's kind.
            #[must_use]
            pub fn kind(&self) -> PeerKind {
                match self {
                    $(Message::$name(_) => PeerKind::$name,)*
                }
            }
        }

        fn put(message: &Message, body: &mut Vec<u8>) {
            match message {
                $(Message::$name(message) => message.put(body),)*
            }
        }

        fn take(kind: PeerKind, body: &mut BodyReader<'_>) -> Result<Message, DecodeError> {
            Ok(match kind {
                $(PeerKind::$name => Message::$name(Field::take(body, stringify!($name))?),)*
            })
        }
    };
}

messages! {
    Announce = 0x1010;
    Canvass = 0x1011;
    CanvassAnswer = 0x1012;
    Prepare = 0x1013;
    Promise = 0x1014;
    LeaseRefusal = 0x1015;
    Nack = 0x1016;
    Fetch = 0x1017;
    Fetched = 0x1018;
    Accept = 0x1019;
    Accepted = 0x101A;
    Heartbeat = 0x101B;
    Grant = 0x101C;
    ChosenUpto = 0x1021;
    Resend = 0x1022;
    Learn = 0x101D;
    Learned = 0x101E;
    HandOver = 0x101F;
    Release = 0x1020;
    Eligibility = 0x1023;
    InstallFetch = 0x1024;
    InstallChunk = 0x1025;
    ValuesFetch = 0x1026;
    ValuesChunk = 0x1027;
    LossAsk = 0x1028;
    LossAnswer = 0x1029;
}

message! {
    Announce {
        incarnation, known as NODES, formed, configuration, lives as LIVES, durable,
        witness as NODES, digest, known_level,
    }
    Canvass { attempt, chosen_upto }
    CanvassAnswer { attempt, yes, promised, chosen_upto }
    Prepare { ballot, chosen_upto, released }
    LeaseRefusal { ballot, wait_us as LEASE }
    Nack { ballot, promised }
    Fetch { ballot, slot, of }
    Accepted { ballot, upto, chosen_upto, durable, has_room }
    Resend { ballot, from, chosen_upto }
    Heartbeat {
        ballot, sent_at, lease_us as LEASE, first, chosen_upto, has_room, witness as NODES, digest,
        agreeing as MEMBERS, wall_ms,
    }
    Grant {
        ballot, sent_at, lease_us as LEASE, chosen_upto, accepted_upto, durable, has_room,
        digest, wall_ms,
    }
    ChosenUpto { ballot, chosen_upto }
    Learn { from, upto }
    HandOver { ballot, chosen_upto }
    Release { ballot }
    Eligibility { leaving, ready, linked, lacks_entries }

    Configuration { number, members as MEMBERS, prepare, accept, window_slots }
    LifeId { boots, nonce }
    Life { id, start, accounted }
    Witness { life, durable }
}

tuple! {
    (node: NodeId, incarnation: Incarnation)
    (node: NodeId, witness: Witness)
}

/// Slot 0 stands for "nothing applied": a digest is of the state after a slot.
impl Field for Option<Digest> {
    fn put(&self, body: &mut Vec<u8>) {
        let Digest { slot, state } = self.unwrap_or(Digest { slot: Slot(0), state: 0 });
        slot.put(body);
        state.put(body);
    }

    fn take(body: &mut BodyReader<'_>, _: &'static str) -> Result<Option<Digest>, DecodeError> {
        let slot = Field::take(body, "digest slot")?;
        let state = Field::take(body, "digest state")?;
        Ok((slot != Slot(0)).then_some(Digest { slot, state }))
    }
}

/// Appends one message's frame to `out`. Order on the connection pairs nothing: correlation is 0.
pub fn write_message(out: &mut Vec<u8>, message: &Message) {
    write_frame(out, message.kind().number(), 0, |body| put(message, body));
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
    let mut body = BodyReader::new(frame.body);
    let message = take(kind, &mut body)?;
    body.finish()?;
    Ok(message)
}
