//! Bytes of any origin: no panic, no memory that they do not justify, no frame that is believed
//! with a flipped bit.

use crate::counting::peak_of;
use crate::roundtrip::{LIMIT, frame};
use crate::strategies::{header, reply, request};
use crate::strategies_peer::message;
use paxosd::api::entries::{Entries, EntriesLimit, EntriesRef};
use paxosd::api::error::ErrorCode;
use paxosd::api::{Append, LogRef, Request, RequestKind};
use paxosd::limits::{
    FRAME_BYTES_BEFORE_HELLO, FRAME_BYTES_MAX, FRAME_HEADER_BYTES, LEASE_MS_MAX,
    PROMISE_PAGE_SLOTS, VALUE_BYTES_MAX,
};
use paxosd::types::{Ballot, LogId, Lsn, NodeId, Slot, Tick, Value};
use paxosd::wire::client::hello::{read_hello, read_hello_answer};
use paxosd::wire::client::{ReplyKind, read_reply, read_request, write_reply, write_request};
use paxosd::wire::codec::DecodeError;
use paxosd::wire::frame::{Frame, FrameBuffer, FrameError, write_frame};
use paxosd::wire::kind::GreetingKind;
use paxosd::wire::peer::hello::{read_peer_hello, read_peer_hello_reply};
use paxosd::wire::peer::{
    Accept, Grant, Heartbeat, LeaseRefusal, Message, PeerKind, Promise, Report, Resend,
};
use paxosd::wire::peer::{read_message, write_message};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// How much memory a decoder may use for a body of so many bytes: the smallest items (a member
/// with an empty address, an empty chosen value) take a few times their bytes in memory.
fn allowance(body: usize) -> usize {
    8 * body + 4096
}

fn kinds() -> Vec<u16> {
    let requests = RequestKind::ALL.iter().map(|kind| kind.number());
    let replies = ReplyKind::ALL.iter().map(|kind| kind.number());
    let peers = PeerKind::ALL.iter().map(|kind| kind.number());
    let greetings = GreetingKind::ALL.iter().map(|kind| kind.number());
    requests.chain(replies).chain(peers).chain(greetings).chain([0, 0x7777, 0xFFFF]).collect()
}

/// Shows a frame to every decoder, and checks what each of them allocated.
fn show_to_all(frame: &Frame<'_>) {
    let ((), peak) = peak_of(|| {
        let _ = read_request(frame, &LIMIT);
    });
    let mut peaks = vec![peak];
    peaks.push(peak_of(|| drop(read_reply(frame))).1);
    peaks.push(peak_of(|| drop(read_message(frame))).1);
    peaks.push(peak_of(|| drop(read_hello(frame))).1);
    peaks.push(peak_of(|| drop(read_hello_answer(frame))).1);
    peaks.push(peak_of(|| drop(read_peer_hello(frame))).1);
    peaks.push(peak_of(|| drop(read_peer_hello_reply(frame))).1);
    let peak = peaks.into_iter().max().expect("seven decoders");
    assert!(peak <= allowance(frame.body.len()), "peak={peak} body={}", frame.body.len());
}

/// Some valid frame of any side.
fn valid() -> impl Strategy<Value = Vec<u8>> {
    let requests = request().prop_map(|request| {
        let mut bytes = Vec::new();
        write_request(&mut bytes, 7, &request);
        bytes
    });
    let replies = (header(), reply()).prop_map(|(header, reply)| {
        let mut bytes = Vec::new();
        write_reply(&mut bytes, 7, &header, &reply);
        bytes
    });
    let messages = message().prop_map(|message| {
        let mut bytes = Vec::new();
        write_message(&mut bytes, &message);
        bytes
    });
    prop_oneof![requests, replies, messages]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    // R37: a body of arbitrary bytes under any kind neither panics nor reserves memory that the
    // bytes do not justify.
    #[test]
    fn r37_arbitrary_bodies_are_refused_or_read(
        kind in select(kinds()),
        flags in prop_oneof![4 => Just(0u16), 1 => any::<u16>()],
        correlation in any::<u64>(),
        body in vec(any::<u8>(), 0..300),
    ) {
        show_to_all(&Frame { kind, flags, correlation, body: &body });
    }

    // R37: a valid body with bytes changed, cut off or added, whose checksum fits all the same,
    // neither panics nor reserves memory that the bytes do not justify.
    #[test]
    fn r37_mutated_bodies_are_refused_or_read(
        bytes in valid(),
        changes in vec((any::<Index>(), prop_oneof![Just(0u8), Just(0xFF), any::<u8>()]), 0..6),
        cut in prop_oneof![2 => Just(None), 1 => any::<Index>().prop_map(Some)],
        tail in vec(any::<u8>(), 0..4),
    ) {
        let mut body = bytes[FRAME_HEADER_BYTES..].to_vec();
        for (at, byte) in changes {
            if !body.is_empty() {
                let at = at.index(body.len());
                body[at] = byte;
            }
        }
        if let Some(cut) = cut {
            body.truncate(cut.index(body.len() + 1));
        }
        body.extend_from_slice(&tail);
        show_to_all(&Frame { body: &body, ..frame(&bytes) });
    }

    // A frame with one flipped bit is never given out: the checksum does not fit, or the length
    // is over the limit or waits for bytes that do not come.
    #[test]
    fn a_flipped_bit_is_never_believed(bytes in valid(), at in any::<Index>(), bit in 0u8..8) {
        let mut flipped = bytes.clone();
        let at = at.index(flipped.len());
        flipped[at] ^= 1 << bit;
        let mut buffer = FrameBuffer::new();
        buffer.set_limit(FRAME_BYTES_MAX);
        let mut input = &flipped[..];
        let result = buffer.next(&mut input);
        prop_assert!(!matches!(result, Ok(Some(_))), "believed with bit {bit} of byte {at} flipped");
        if at >= 4 {
            prop_assert!(matches!(result, Err(FrameError::Checksum { .. })), "{result:?}");
        }
    }

    // R37: a stream of arbitrary bytes, cut anywhere, neither panics nor makes the connection hold
    // more than twice what arrived and one first piece of room.
    #[test]
    fn r37_arbitrary_streams_hold_little(pieces in vec(vec(any::<u8>(), 0..200), 0..20)) {
        let mut buffer = FrameBuffer::new();
        buffer.set_limit(FRAME_BYTES_MAX);
        let mut arrived = 0;
        'stream: for piece in &pieces {
            arrived += piece.len();
            let mut input = &piece[..];
            loop {
                match buffer.next(&mut input) {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(_) => break 'stream,
                }
            }
            prop_assert!(buffer.capacity() <= 2 * arrived + 4096, "{}", buffer.capacity());
        }
    }

    // Arbitrary bytes read as entries neither panic nor yield more bytes than there are.
    #[test]
    fn arbitrary_bytes_as_entries(raw in vec(any::<u8>(), 0..200), count in 0u32..5) {
        if let Ok(entries) = EntriesRef::structured(&raw, count) {
            let bytes: usize = entries.iter().map(|entry| entry.data.len() + 8).sum();
            prop_assert_eq!(bytes, raw.len());
            prop_assert_eq!(entries.iter().count(), count as usize);
        }
    }
}

// R37: a list that announces four billion items in a tiny body reserves nothing for them.
#[test]
fn r37_an_announced_list_reserves_nothing() {
    let mut bytes = Vec::new();
    write_frame(&mut bytes, ReplyKind::Listed.number(), 1, |body| {
        body.extend_from_slice(&[0; 20]);
        body.extend_from_slice(&u32::MAX.to_le_bytes());
    });
    write_frame(&mut bytes, PeerKind::Announce.number(), 0, |body| {
        body.extend_from_slice(&[0; 8]);
        body.extend_from_slice(&200u32.to_le_bytes());
    });
    let (first, second) = bytes.split_at(FRAME_HEADER_BYTES + 24);
    let (result, peak) = peak_of(|| read_reply(&frame(first)).is_err());
    assert!(result && peak < 256, "peak={peak}");
    let (result, peak) = peak_of(|| read_message(&frame(second)).is_err());
    assert!(result && peak < 256, "peak={peak}");
}

// R37: before Hello a length over 4 KiB is refused from the header alone, with nothing reserved;
// after it, a length within the limit reserves only what its bytes justify as they arrive.
#[test]
fn r37_an_announced_length_reserves_nothing() {
    let mut header = [0u8; FRAME_HEADER_BYTES];
    header[..4].copy_from_slice(&(FRAME_BYTES_BEFORE_HELLO as u32 + 1).to_le_bytes());
    let (result, peak) = peak_of(|| FrameBuffer::new().next(&mut &header[..]).map(|_| ()));
    let limit = FRAME_BYTES_BEFORE_HELLO;
    assert_eq!(result, Err(FrameError::TooLarge { bytes: limit as u32 + 1, limit }));
    assert_eq!(peak, 0);

    let mut buffer = FrameBuffer::new();
    buffer.set_limit(FRAME_BYTES_MAX);
    header[..4].copy_from_slice(&(FRAME_BYTES_MAX as u32).to_le_bytes());
    let (result, peak) = peak_of(|| buffer.next(&mut &header[..]).map(|frame| frame.is_some()));
    assert_eq!(result, Ok(false));
    assert!(peak <= 4096 + 2 * FRAME_HEADER_BYTES, "peak={peak}");
    let piece = [0u8; 100_000];
    let (result, peak) = peak_of(|| buffer.next(&mut &piece[..]).map(|frame| frame.is_some()));
    assert_eq!(result, Ok(false));
    assert!(peak <= 4096 + 2 * piece.len(), "peak={peak}");
}

// R37: the entries of an append are copied when nothing is left to refuse it for, not before.
#[test]
fn r37_a_refused_append_is_not_copied() {
    let size = 1 << 20;
    let limit =
        |entry_bytes_max| EntriesLimit { entries_max: 1, entry_bytes_max, bytes_max: 2 << 20 };
    let entries = Entries::from_slices([vec![7; size]]).expect("one entry");
    let log = LogRef::Id(LogId(5));
    let append = Append { log, expect: None, chain: 9, create: false, entries };
    let mut bytes = Vec::new();
    write_request(&mut bytes, 1, &Request::Append(append));
    let read = |body: &[u8], entry_bytes_max| {
        let request = Frame { body, ..frame(&bytes) };
        let (result, peak) = peak_of(|| read_request(&request, &limit(entry_bytes_max)));
        (result.map(|_| ()).map_err(|refusal| refusal.error.code), peak)
    };
    let good = &bytes[FRAME_HEADER_BYTES..];
    assert_eq!(read(good, size as u32).0, Ok(()));
    let (result, peak) = read(good, 1000);
    assert!(result == Err(ErrorCode::TooLarge) && peak < 1000, "{result:?} peak={peak}");
    let mut rotten = good.to_vec();
    *rotten.last_mut().expect("an entry") ^= 1;
    let (result, peak) = read(&rotten, size as u32);
    assert!(result == Err(ErrorCode::BadChecksum) && peak < 1000, "{result:?} peak={peak}");
}

// A promise page or a learner's answer with more items than its limit is refused, though every
// byte is there: what a peer may make a node hold is bounded by count too (C4).
#[test]
fn lists_over_their_limit_are_refused() {
    let ballot = Ballot::new(5, NodeId(2));
    let promise = |slots: usize| {
        Message::Promise(Promise {
            ballot,
            page: 0,
            last: true,
            chosen_upto: Slot(0),
            released_upto: Slot(0),
            damage: None,
            reports: (1..=slots as u64)
                .map(|slot| (Slot(slot), Report::Accepted(ballot)))
                .collect(),
            durable: Lsn(0),
        })
    };
    let read = |message: &Message| {
        let mut bytes = Vec::new();
        write_message(&mut bytes, message);
        read_message(&frame(&bytes))
    };
    let full = promise(PROMISE_PAGE_SLOTS);
    assert_eq!(read(&full), Ok(full));
    let refused = read(&promise(PROMISE_PAGE_SLOTS + 1));
    assert!(matches!(refused, Err(DecodeError::TooLong { field: "reports", .. })), "{refused:?}");

    let accept = |bytes: usize| {
        let value = Value::new(vec![7; bytes]);
        Message::Accept(Accept {
            ballot,
            slot: Slot(1),
            first: Slot(1),
            serving_from: Slot(1),
            chosen_upto: Slot(0),
            value,
        })
    };
    let largest = accept(VALUE_BYTES_MAX);
    assert_eq!(read(&largest), Ok(largest));
    let refused = read(&accept(VALUE_BYTES_MAX + 1));
    assert!(matches!(refused, Err(DecodeError::TooLong { field: "value", .. })), "{refused:?}");
}

/// R37: a round or a slot that counting cannot reach is malformed; one more than it would overflow.
#[test]
fn r37_numbers_that_nobody_can_have_counted_are_malformed() {
    for (slot, round, fits) in
        [(1 << 62, 1 << 62, true), ((1 << 62) + 1, 1, false), (1, u64::MAX, false)]
    {
        let ballot = Ballot::new(round, NodeId(2));
        let message = Message::Resend(Resend { ballot, from: Slot(slot), chosen_upto: Slot(0) });
        let mut bytes = Vec::new();
        write_message(&mut bytes, &message);
        assert_eq!(read_message(&frame(&bytes)).is_ok(), fits, "slot {slot}, round {round}");
        bytes.clear();
        write_message(&mut bytes, &Message::Grant(grant(ballot, Slot(slot))));
        assert_eq!(read_message(&frame(&bytes)).is_ok(), fits, "accepted up to {slot}, {round}");
    }
}

/// R37: a lease that no leader can be set to ask for is malformed, and so is what would be left of it:
/// the longest one that was granted is waited for after each start.
#[test]
fn r37_a_lease_that_cannot_be_set_is_malformed() {
    let ballot = Ballot::new(1, NodeId(2));
    let longest = LEASE_MS_MAX * 1000;
    for (micros, fits) in [(longest, true), (longest + 1, false), (u64::MAX, false)] {
        let heartbeat = Heartbeat {
            ballot,
            sent_at: Tick(1),
            lease_us: micros,
            first: Slot(1),
            chosen_upto: Slot(0),
            has_room: true,
            witness: Vec::new(),
            digest: None,
            agreeing: Vec::new(),
            wall_ms: 0,
        };
        for message in [
            Message::Heartbeat(heartbeat),
            Message::Grant(Grant { lease_us: micros, ..grant(ballot, Slot(0)) }),
            Message::LeaseRefusal(LeaseRefusal { ballot, wait_us: micros }),
        ] {
            let mut bytes = Vec::new();
            write_message(&mut bytes, &message);
            assert_eq!(read_message(&frame(&bytes)).is_ok(), fits, "{message:?}");
        }
    }
}

/// A grant whose sender says that it accepted a value in so high a slot. A leader settles what is left up
/// to there.
fn grant(ballot: Ballot, accepted_upto: Slot) -> Grant {
    Grant {
        ballot,
        sent_at: Tick(1),
        lease_us: 0,
        chosen_upto: Slot(0),
        accepted_upto,
        durable: Lsn(0),
        has_room: true,
        digest: None,
        wall_ms: 0,
    }
}
