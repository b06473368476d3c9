//! What was written is read back as it was.

use crate::strategies::{header, hello, hello_reply, reply, request};
use crate::strategies_peer::{message, peer_hello, peer_hello_reply};
use paxosd::api::entries::EntriesLimit;
use paxosd::limits::FRAME_BYTES_MAX;
use paxosd::wire::client::hello::{
    HelloAnswer, read_hello, read_hello_answer, write_hello, write_hello_reply,
};
use paxosd::wire::client::{read_reply, read_request, write_reply, write_request};
use paxosd::wire::frame::{Frame, FrameBuffer};
use paxosd::wire::peer::hello::{
    read_peer_hello, read_peer_hello_reply, write_peer_hello, write_peer_hello_reply,
};
use paxosd::wire::peer::{read_message, write_message};
use proptest::collection::vec;
use proptest::prelude::*;

pub const LIMIT: EntriesLimit =
    EntriesLimit { entries_max: 100, entry_bytes_max: 1000, bytes_max: 10_000 };

/// The one frame that `bytes` are.
pub fn frame(bytes: &[u8]) -> Frame<'_> {
    let body = &bytes[24..];
    let mut input = bytes;
    let mut buffer = FrameBuffer::new();
    buffer.set_limit(FRAME_BYTES_MAX);
    let read = buffer.next(&mut input).expect("a valid frame").expect("a whole frame");
    assert!(input.is_empty(), "one frame only");
    Frame { body, ..read }
}

proptest! {
    // Every request comes back as it was, with its correlation.
    #[test]
    fn requests_round_trip(request in request(), correlation in 1..u64::MAX) {
        let mut bytes = Vec::new();
        write_request(&mut bytes, correlation, &request);
        let frame = frame(&bytes);
        prop_assert_eq!(frame.correlation, correlation);
        prop_assert_eq!(read_request(&frame, &LIMIT), Ok(request));
    }

    // Every reply comes back as it was, with its header and correlation.
    #[test]
    fn replies_round_trip(header in header(), reply in reply(), correlation in any::<u64>()) {
        let mut bytes = Vec::new();
        write_reply(&mut bytes, correlation, &header, &reply);
        let frame = frame(&bytes);
        prop_assert_eq!(frame.correlation, correlation);
        prop_assert_eq!(read_reply(&frame), Ok((header, reply)));
    }

    // Every message between replicas comes back as it was.
    #[test]
    fn peer_messages_round_trip(message in message()) {
        let mut bytes = Vec::new();
        write_message(&mut bytes, &message);
        prop_assert_eq!(read_message(&frame(&bytes)), Ok(message));
    }

    // Every greeting and its answer come back as they were.
    #[test]
    fn greetings_round_trip(
        hello in hello(),
        header in header(),
        welcome in hello_reply(),
        error in crate::strategies::error(),
        peer in peer_hello(),
        answer in peer_hello_reply(),
    ) {
        let mut bytes = Vec::new();
        write_hello(&mut bytes, 1, &hello);
        prop_assert_eq!(read_hello(&frame(&bytes)), Ok(hello));
        bytes.clear();
        write_hello_reply(&mut bytes, 1, &header, &welcome);
        let read = read_hello_answer(&frame(&bytes));
        prop_assert_eq!(read, Ok(HelloAnswer::Welcome(header, welcome)));
        bytes.clear();
        write_reply(&mut bytes, 1, &header, &paxosd::api::Reply::Error(error.clone()));
        let read = read_hello_answer(&frame(&bytes));
        prop_assert_eq!(read, Ok(HelloAnswer::Refused(header, error)));
        bytes.clear();
        write_peer_hello(&mut bytes, &peer);
        prop_assert_eq!(read_peer_hello(&frame(&bytes)), Ok(peer));
        bytes.clear();
        write_peer_hello_reply(&mut bytes, &answer);
        prop_assert_eq!(read_peer_hello_reply(&frame(&bytes)), Ok(answer));
    }

    // Frames come out whole and in order, however the network cuts their bytes; at the end the
    // connection is idle and holds no memory.
    #[test]
    fn frames_survive_any_cutting(
        requests in vec(request(), 1..8),
        cuts in vec(1usize..200, 1..40),
    ) {
        let mut bytes = Vec::new();
        for (correlation, request) in (1u64..).zip(&requests) {
            write_request(&mut bytes, correlation, request);
        }
        let mut buffer = FrameBuffer::new();
        let mut read = Vec::new();
        let mut rest = &bytes[..];
        let mut cuts = cuts.iter().cycle();
        while !rest.is_empty() {
            let cut = (*cuts.next().expect("cuts cycle")).min(rest.len());
            let (mut input, behind) = rest.split_at(cut);
            rest = behind;
            while let Some(frame) = buffer.next(&mut input).expect("valid frames") {
                prop_assert_eq!(frame.correlation, read.len() as u64 + 1);
                read.push(read_request(&frame, &LIMIT).expect("a valid request"));
            }
        }
        prop_assert_eq!(read, requests);
        prop_assert_eq!((buffer.held_bytes(), buffer.capacity()), (0, 0));
    }
}
