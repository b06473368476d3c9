//! Frames that a node refuses, and what it answers. The bytes are those of good frames, spoilt.

use crate::client;
use crate::model::LIMIT;
use byteorder::{ByteOrder, LittleEndian};
use paxosd::api::error::RequestError;
use paxosd::limits::FRAME_BYTES_MAX;
use paxosd::wire::client::read_request;
use paxosd::wire::frame::FrameBuffer;

/// A frame that a node refuses.
pub struct Refused {
    pub name: &'static str,
    pub text: &'static str,
    pub bytes: Vec<u8>,
}

/// What the node answers to a connection's bytes, in one line.
pub fn verdict(bytes: &[u8]) -> String {
    let mut buffer = FrameBuffer::new();
    buffer.set_limit(FRAME_BYTES_MAX);
    let mut input = bytes;
    let (error, close) = match buffer.next(&mut input) {
        Err(error) => (RequestError::from(&error), true),
        Ok(None) => return "nothing yet: the frame is incomplete".to_string(),
        Ok(Some(frame)) => match read_request(&frame, &LIMIT) {
            Ok(request) => return format!("accepted: {request:?}"),
            Err(refusal) => (refusal.error, refusal.close),
        },
    };
    let goes_on = if close { "the connection is closed" } else { "the connection goes on" };
    format!("{} {}, {}; {goes_on}", error.code.number(), error.code, error.outcome)
}

fn good(name: &str) -> Vec<u8> {
    let vectors = client::vectors();
    let vector = vectors.iter().find(|vector| vector.name == name).expect("a vector of this name");
    vector.message.encode()
}

/// Spoils a good frame and makes its length and checksum fit again.
fn spoilt(name: &str, spoil: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = good(name);
    spoil(&mut bytes);
    let body = u32::try_from(bytes.len() - 24).expect("a small frame");
    LittleEndian::write_u32(&mut bytes[..4], body);
    let crc = crc32c::crc32c(&bytes[8..]);
    LittleEndian::write_u32(&mut bytes[4..8], crc);
    bytes
}

/// The append of the examples by log id, with bit 0 of its options.
fn by_id_created() -> Vec<u8> {
    spoilt("append", |bytes| {
        let mut body = vec![1, 1, 0, 0, 0, 0, 0, 0, 0];
        body.extend_from_slice(&bytes[24 + 9..]);
        body[9 + 4] |= 1;
        bytes.truncate(24);
        bytes.extend_from_slice(&body);
    })
}

fn refused(name: &'static str, text: &'static str, bytes: Vec<u8>) -> Refused {
    Refused { name, text, bytes }
}

pub fn vectors() -> Vec<Refused> {
    let mut flipped = good("ping");
    flipped[16] ^= 1;
    let mut huge = good("ping");
    LittleEndian::write_u32(&mut huge[..4], FRAME_BYTES_MAX as u32 + 1);
    vec![
        refused("bad-frame-checksum", "A Ping with one bit of its correlation flipped.", flipped),
        refused("frame-too-large", "A Ping that announces a body of 8388609 bytes.", huge),
        refused("trailing-byte", "A Ping with a body.", spoilt("ping", |bytes| bytes.push(0))),
        refused(
            "cut-body",
            "A Delete that ends inside the log id.",
            spoilt("delete", |bytes| {
                bytes.pop();
            }),
        ),
        refused(
            "correlation-zero",
            "A Ping whose correlation is 0.",
            spoilt("ping", |bytes| {
                bytes[16] = 0;
            }),
        ),
        refused("create-by-id", "An Append by log id, with bit 0 set.", by_id_created()),
        refused(
            "unknown-kind",
            "A request of kind 0x0777.",
            spoilt("ping", |bytes| {
                bytes[8..10].copy_from_slice(&[0x77, 0x07]);
            }),
        ),
        refused(
            "critical-flag",
            "A Ping with flag 0x0080.",
            spoilt("ping", |bytes| {
                bytes[10] = 0x80;
            }),
        ),
        refused(
            "unknown-option",
            "An append with option bit 2.",
            spoilt("append", |bytes| {
                bytes[24 + 9 + 4] = 4;
            }),
        ),
        refused(
            "bad-name",
            "A Create of a name with a tab in it.",
            spoilt("create", |bytes| {
                bytes[26] = b'\t';
            }),
        ),
        refused(
            "bad-entry-checksum",
            "An append whose entry does not fit its own checksum, in a frame that fits its.",
            spoilt("append", |bytes| *bytes.last_mut().expect("an entry") ^= 1),
        ),
        refused(
            "no-entries",
            "An append of no entries.",
            spoilt("append", |bytes| {
                bytes.truncate(24 + 9 + 4 + 2 + 8);
                bytes.extend_from_slice(&[0; 8]);
            }),
        ),
    ]
}

// A flag of the upper byte is ignored, as the document says: no refusal.
#[test]
fn an_ignorable_flag_is_ignored() {
    let bytes = spoilt("ping", |bytes| bytes[11] = 0x80);
    assert_eq!(verdict(&bytes), "accepted: Ping");
}
