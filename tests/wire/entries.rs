//! Entries: one encoding from the client to the disk and back.

use paxosd::api::entries::{Entries, EntriesError, EntriesLimit, EntriesRef};
use paxosd::wire::codec::{BodyReader, Writer};

fn sample() -> Entries {
    Entries::from_slices([&b"one"[..], b"", b"three"]).expect("small entries")
}

// The encoding is length, CRC-32C, bytes, and the CRC is Castagnoli's: its known value for
// "123456789" is 0xE3069283.
#[test]
fn the_encoding_is_what_the_document_says() {
    let entries = Entries::from_slices(["123456789"]).expect("a small entry");
    assert_eq!(entries.raw()[..8], [9, 0, 0, 0, 0x83, 0x92, 0x06, 0xE3]);
    assert_eq!(&entries.raw()[8..], b"123456789");
}

// What was pushed comes out in order, empty entries included; lengths add up.
#[test]
fn entries_come_out_as_they_went_in() {
    let entries = sample();
    let data: Vec<&[u8]> = entries.iter().map(|entry| entry.data).collect();
    assert_eq!(data, [&b"one"[..], b"", b"three"]);
    assert_eq!((entries.count(), entries.byte_len()), (3, 3 * 8 + 8));
    assert_eq!(entries.as_ref().data_len(), 8);
    let mut twice = Entries::new();
    twice.extend(entries.as_ref()).expect("small");
    twice.extend(entries.as_ref().window(1, 1, usize::MAX)).expect("small");
    assert_eq!(twice.iter().map(|entry| entry.data.len()).collect::<Vec<_>>(), [3, 0, 5, 0]);
    assert_eq!(Entries::from_raw(twice.raw().to_vec(), 4), Ok(twice));
}

// A loop over entries needs no method, whether they are borrowed or given away; how many are left is
// known, and what was read is appended as it is.
#[test]
fn entries_are_a_collection() {
    let entries = sample();
    assert_eq!((entries.len(), entries.iter().len()), (3, 3));
    let mut lengths = Vec::new();
    for entry in &entries {
        lengths.push(entry.data.len());
    }
    assert_eq!(lengths, [3, 0, 5]);
    let mut behind_first = entries.iter();
    behind_first.next();
    assert_eq!(behind_first.len(), 2);
    assert_eq!(entries.as_ref().window(1, 1, usize::MAX).into_iter().len(), 1);
    assert_eq!(Entries::from_slices(&entries).as_ref(), Ok(&entries));
    let mut owned = entries.into_iter();
    assert_eq!(owned.len(), 3);
    assert_eq!(owned.by_ref().collect::<Vec<_>>(), [&b"one"[..], b"", b"three"]);
    assert_eq!((owned.len(), owned.next()), (0, None));
}

// A window skips, and stops at the count or before the byte that is too much; its first entry
// comes whatever its size, so that a reader always makes progress.
#[test]
fn a_window_is_bounded_and_makes_progress() {
    let entries = sample();
    let lengths = |skip, entries_max, bytes_max| {
        let window = entries.as_ref().window(skip, entries_max, bytes_max);
        assert_eq!(window.count() as usize, window.iter().count());
        window.iter().map(|entry| entry.data.len()).collect::<Vec<_>>()
    };
    assert_eq!(lengths(0, 10, 1000), [3, 0, 5]);
    assert_eq!(lengths(1, 10, 1000), [0, 5]);
    assert_eq!(lengths(0, 2, 1000), [3, 0]);
    assert_eq!(lengths(0, 10, 11 + 8), [3, 0]);
    assert_eq!(lengths(0, 10, 11 + 7), [3]);
    assert_eq!(lengths(0, 10, 0), [3]);
    assert_eq!(lengths(0, 0, 1000), [0; 0]);
    assert_eq!(lengths(3, 10, 1000), [0; 0]);
    assert_eq!(lengths(99, 10, 1000), [0; 0]);
}

// Every way in which encoded entries can be wrong is distinguished, and the entry is named.
#[test]
fn wrong_encodings_are_distinguished() {
    let good = sample();
    let raw = good.raw();
    assert_eq!(EntriesRef::parse(raw, 3).map(EntriesRef::to_owned), Ok(sample()));
    assert_eq!(EntriesRef::parse(raw, 4), Err(EntriesError::Truncated { entry: 3 }));
    assert_eq!(EntriesRef::parse(raw, 2), Err(EntriesError::Trailing { bytes: 13 }));
    assert_eq!(EntriesRef::parse(&raw[..31], 3), Err(EntriesError::Truncated { entry: 2 }));
    let mut flipped = raw.to_vec();
    flipped[31] ^= 1;
    let refused = EntriesRef::parse(&flipped, 3);
    assert!(matches!(refused, Err(EntriesError::Checksum { entry: 2, .. })), "{refused:?}");
    assert!(EntriesRef::structured(&flipped, 3).is_ok());
    let mut endless = raw.to_vec();
    endless[0..4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(EntriesRef::parse(&endless, 3), Err(EntriesError::Truncated { entry: 0 }));
}

// Each limit passes at its exact value and refuses one below it.
#[test]
fn limits_are_exact() {
    let exact = EntriesLimit { entries_max: 3, entry_bytes_max: 5, bytes_max: 32 };
    assert_eq!(sample().validate(&exact), Ok(()));
    let refused = |limit| sample().validate(&limit).expect_err("over a limit");
    assert_eq!(
        refused(EntriesLimit { entries_max: 2, ..exact }),
        EntriesError::TooMany { entries: 3, limit: 2 }
    );
    assert_eq!(
        refused(EntriesLimit { entry_bytes_max: 4, ..exact }),
        EntriesError::EntryTooLarge { entry: 2, bytes: 5, limit: 4 }
    );
    assert_eq!(
        refused(EntriesLimit { bytes_max: 31, ..exact }),
        EntriesError::TooLarge { bytes: 32, limit: 31 }
    );
    assert_eq!(Entries::new().validate(&exact), Err(EntriesError::Empty));
}

// A text too long for its length field is cut off at a character, and stays a text.
#[test]
fn a_long_text_is_cut_at_a_character() {
    let mut body = Vec::new();
    body.put_text(&"é".repeat(40_000));
    let mut reader = BodyReader::new(&body);
    let text = reader.text("text").expect("UTF-8");
    assert_eq!((text.len(), reader.left()), (65_534, 0));
}
