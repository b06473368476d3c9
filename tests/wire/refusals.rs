//! Requests that a node will not take: which error, does the connection go on, is a chain lost.

use crate::roundtrip::frame;
use paxosd::api::entries::{Entries, EntriesLimit};
use paxosd::api::error::{Detail, ErrorCode, Outcome};
use paxosd::api::{Append, LogRef, Request, RequestKind};
use paxosd::types::LogId;
use paxosd::wire::client::{Refusal, read_request, write_request};
use paxosd::wire::codec::Writer;
use paxosd::wire::frame::{Frame, write_frame};

const LIMIT: EntriesLimit = EntriesLimit { entries_max: 3, entry_bytes_max: 10, bytes_max: 40 };

fn refusal_of(bytes: &[u8]) -> Refusal {
    read_request(&frame(bytes), &LIMIT).expect_err("must be refused")
}

fn append(entries: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let entries = Entries::from_slices(entries).expect("small entries");
    let log = LogRef::Id(LogId(5));
    let append = Append { log, expect: None, chain: 9, create: false, entries };
    write_request(&mut bytes, 1, &Request::Append(append));
    bytes
}

fn raw(kind: RequestKind, correlation: u64, body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_frame(&mut bytes, kind.number(), correlation, body);
    bytes
}

// An append over a limit is refused with the limit, the connection goes on, and its chain has
// failed.
#[test]
fn appends_over_a_limit_fail_their_chain() {
    let ten: &[u8] = &[0; 10];
    assert!(read_request(&frame(&append(&[ten, ten])), &LIMIT).is_ok());
    let cases: [(&[&[u8]], u64); 3] =
        [(&[&[0; 11]], 10), (&[b"", b"", b"", b""], 3), (&[ten; 3], 40)];
    for (entries, limit) in cases {
        let refusal = refusal_of(&append(entries));
        assert_eq!(refusal.error.code, ErrorCode::TooLarge, "{}", refusal.error);
        assert_eq!(refusal.error.outcome, Outcome::NotExecuted);
        assert_eq!(refusal.error.detail, Detail::Limit(limit));
        assert!(!refusal.close);
        assert_eq!(refusal.chain, Some((LogRef::Id(LogId(5)), 9)));
    }
}

// An entry that does not fit its own checksum is refused even where the frame's checksum fits.
#[test]
fn an_entry_is_held_against_its_own_checksum() {
    let good = append(&[b"abc"]);
    let mut body = good[24..].to_vec();
    *body.last_mut().expect("an entry") ^= 1;
    let refusal =
        read_request(&Frame { body: &body, ..frame(&good) }, &LIMIT).expect_err("must be refused");
    assert_eq!(refusal.error.code, ErrorCode::BadChecksum);
    assert!(!refusal.close && refusal.chain.is_some());
}

// An append of nothing is refused and the connection goes on.
#[test]
fn an_append_of_nothing_is_refused() {
    let refusal = refusal_of(&append(&[]));
    assert_eq!((refusal.error.code, refusal.close), (ErrorCode::BadRequest, false));
}

// What a later version may know is refused as unsupported, and the connection goes on.
#[test]
fn what_is_not_known_is_unsupported() {
    let unknown_kind = {
        let mut bytes = Vec::new();
        write_frame(&mut bytes, 0x0777, 1, |_| {});
        bytes
    };
    let unknown_consistency = raw(RequestKind::Stat, 1, |body| {
        body.put_u8(1);
        body.put_u64(5);
        body.put_u8(7);
    });
    let unknown_option = {
        let good = append(&[b"x"]);
        raw(RequestKind::Append, 1, |body| {
            body.extend_from_slice(&good[24..]);
            body[24 + 9 + 4] |= 4;
        })
    };
    let create_by_id = {
        let good = append(&[b"x"]);
        raw(RequestKind::Append, 1, |body| {
            body.extend_from_slice(&good[24..]);
            body[24 + 9 + 4] |= 1;
        })
    };
    for bytes in [&unknown_kind, &unknown_consistency, &unknown_option, &create_by_id] {
        let refusal = refusal_of(bytes);
        assert_eq!((refusal.error.code, refusal.close), (ErrorCode::Unsupported, false));
    }
    // The text names the unknown bit, not the known ones; and of a known one, what it goes with.
    assert_eq!(
        refusal_of(&unknown_option).error.text,
        "`options` has the bits 0x4, which this version does not know"
    );
    assert_eq!(
        refusal_of(&create_by_id).error.text,
        "bit 0 of `options` creates the log by its name: it does not go with a log id"
    );
    let ping = raw(RequestKind::Ping, 1, |_| {});
    let critical = Frame { flags: 0x0080, ..frame(&ping) };
    let refusal = read_request(&critical, &LIMIT).expect_err("must be refused");
    assert_eq!((refusal.error.code, refusal.close), (ErrorCode::Unsupported, false));
    assert!(read_request(&Frame { flags: 0x0100, ..frame(&ping) }, &LIMIT).is_ok());
}

// Bytes that make no sense close the connection: too few, too many, a number that means nothing.
#[test]
fn nonsense_closes_the_connection() {
    let cut = raw(RequestKind::Read, 1, |body| body.put_u8(1));
    let trailing = raw(RequestKind::Ping, 1, |body| body.put_u8(0));
    let bad_tag = raw(RequestKind::Delete, 1, |body| body.put_u8(2));
    let no_correlation = raw(RequestKind::Ping, 0, |_| {});
    for bytes in [&cut, &trailing, &bad_tag, &no_correlation] {
        let refusal = refusal_of(bytes);
        assert_eq!((refusal.error.code, refusal.close), (ErrorCode::BadRequest, true));
    }
}

// A bad name is the user's mistake, not the connection's: it goes on.
#[test]
fn a_bad_name_leaves_the_connection_alone() {
    for name in [&b""[..], b"tab\there", b"\xff", &[b'x'; 256]] {
        let bytes = raw(RequestKind::Create, 1, |body| body.put_bytes16(name));
        let refusal = refusal_of(&bytes);
        assert_eq!((refusal.error.code, refusal.close), (ErrorCode::BadName, false));
    }
    let long = raw(RequestKind::List, 1, |body| {
        body.put_bytes16(&[b'x'; 256]);
        body.put_bytes16(b"");
        body.put_u32(0);
        body.put_u8(0);
    });
    assert_eq!(refusal_of(&long).error.code, ErrorCode::BadName);
}
