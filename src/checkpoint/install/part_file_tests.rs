//! Part files: what is damaged or missing of one is noticed, and what stands before it is whole.

use super::job::{InstallDone, InstallJob, Received, execute};
use super::part_file::{Frames, frame, part_file_name, part_file_names, part_file_slot};
use crate::storage::{MemStorage, Storage};
use crate::types::{InstallPlace, Slot};

const SLOT: Slot = Slot(77);
const PARTS: [&[u8]; 3] = [b"first", b"the second", b"x"];

/// A part file of the state, of three frames, and where each of them ends.
fn part_file() -> (MemStorage, Vec<u64>) {
    let (storage, name) = (MemStorage::new(), part_file_name(SLOT, InstallPlace::STATE));
    storage.create_empty(&name).expect("a fresh directory");
    let ends = PARTS.iter().zip(0..).map(|(bytes, number)| {
        storage.extend(&name, &frame(SLOT, number, bytes)).expect("it takes them");
        storage.len(&name).expect("it is there")
    });
    let ends = ends.collect();
    storage.sync(&name).expect("it is there");
    (storage, ends)
}

/// The frames that are whole, and whether nothing lies behind them.
fn whole(storage: &MemStorage, slot: Slot) -> (Vec<Vec<u8>>, bool) {
    let mut frames = Frames::open(storage, slot, InstallPlace::STATE).expect("it is read");
    let mut found = Vec::new();
    while let Some(bytes) = frames.next().expect("nothing fails here") {
        found.push(bytes.to_vec());
    }
    (found, frames.is_at_end())
}

fn look(storage: &MemStorage, slot: Slot, anew: bool) -> Received {
    match execute(storage, InstallJob::Look { slot, anew }).expect("nothing fails here") {
        InstallDone::Looked(received) => received,
        other => panic!("{other:?}"),
    }
}

/// C29: each flipped bit is noticed, and the frames before it are whole.
#[test]
fn c29_every_flipped_bit_is_noticed() {
    let (storage, ends) = part_file();
    let name = part_file_name(SLOT, InstallPlace::STATE);
    assert!(whole(&storage, SLOT).1);
    for bit in 0..8 * ends[2] {
        let (storage, at) = (storage.duplicate(), bit / 8);
        storage.rot(&name, at..at + 1, |bytes| bytes[0] ^= 1 << (bit % 8));
        storage.forget(&name).expect("it is there");
        let before = ends.iter().filter(|end| **end <= at).count();
        let expected: Vec<_> = PARTS[..before].iter().map(|part| part.to_vec()).collect();
        assert_eq!(whole(&storage, SLOT), (expected, false), "bit {bit}");
    }
}

/// C29: a file that is cut off anywhere has the frames before the cut, and goes on behind the last whole one: what
/// lies behind that goes, and what arrives next stands in its place.
#[test]
fn c29_every_cut_is_noticed() {
    let (storage, ends) = part_file();
    let name = part_file_name(SLOT, InstallPlace::STATE);
    for bytes in 0..=ends[2] {
        let storage = storage.duplicate();
        storage.truncate(&name, bytes);
        let before = ends.iter().filter(|end| **end <= bytes).count();
        let at_end = bytes == 0 || ends.contains(&bytes);
        let expected: Vec<_> = PARTS[..before].iter().map(|part| part.to_vec()).collect();
        assert_eq!(whole(&storage, SLOT), (expected, at_end), "{bytes} bytes");
        let had: u64 = PARTS[..before].iter().map(|part| part.len() as u64).sum();
        let received = look(&storage, SLOT, false);
        let place = InstallPlace::State(had);
        assert_eq!(received.state, (before as u32, place), "{bytes} bytes");
        let (slot, number, bytes) = (SLOT, before as u32, b"next".to_vec());
        let append = InstallJob::Append { slot, place, number, bytes, min_free_bytes: 0 };
        let appended = execute(&storage, append).expect("nothing fails here");
        let next = InstallPlace::State(had + 4);
        assert!(matches!(appended, InstallDone::Appended(at, 4) if at == next), "{appended:?}");
        let mut expected: Vec<_> = PARTS[..before].iter().map(|part| part.to_vec()).collect();
        expected.push(b"next".to_vec());
        assert_eq!(whole(&storage, SLOT), (expected, true));
    }
}

/// C29: a crash while the whole frames of a file are kept leaves them: the next look does it again.
#[test]
fn c29_a_crash_while_whole_frames_are_kept_loses_none() {
    let (storage, ends) = part_file();
    storage.truncate(&part_file_name(SLOT, InstallPlace::STATE), ends[2] - 1);
    let had = (PARTS[0].len() + PARTS[1].len()) as u64;
    let (mut crashes, mut steps) = (0, 1);
    loop {
        let storage = storage.duplicate();
        storage.halt_at(storage.steps() + steps);
        let looked = execute(&storage, InstallJob::Look { slot: SLOT, anew: false });
        storage.halt_at(u64::MAX);
        storage.restart_process();
        let received = look(&storage, SLOT, false);
        assert_eq!(received.state, (2, InstallPlace::State(had)), "cut at step {steps}");
        if looked.is_ok() {
            break;
        }
        (crashes, steps) = (crashes + 1, steps + 1);
    }
    assert!(crashes > 3, "{crashes} steps");
}

/// C29: the frames of another checkpoint are none of this one's, and neither are those that stand in another
/// order.
#[test]
fn c29_frames_belong_to_their_place() {
    let (storage, ends) = part_file();
    let name = part_file_name(SLOT, InstallPlace::STATE);
    let mut bytes = vec![0; ends[2] as usize];
    storage.rot(&name, 0..ends[2], |found| bytes.copy_from_slice(found));
    let moved = part_file_name(Slot(78), InstallPlace::STATE);
    storage.create_empty(&moved).expect("there is none");
    storage.extend(&moved, &bytes).expect("it takes them");
    assert_eq!(whole(&storage, Slot(78)), (Vec::new(), false));

    let swapped = MemStorage::new();
    swapped.create_empty(&name).expect("a fresh directory");
    swapped.extend(&name, &bytes[ends[0] as usize..]).expect("it takes them");
    assert_eq!(whole(&swapped, SLOT), (Vec::new(), false));
}

/// C29: what has arrived of other checkpoints goes, and of this one where it is of no use.
#[test]
fn c29_what_is_of_no_use_goes() {
    let (storage, _) = part_file();
    assert_eq!(look(&storage, SLOT, false).state, (3, InstallPlace::State(16)));
    let names = part_file_names(SLOT);
    assert_eq!(names.map(|name| part_file_slot(&name)), [Some(SLOT); 2]);
    assert_eq!(look(&storage.duplicate(), SLOT, true).state, (0, InstallPlace::STATE));
    assert_eq!(look(&storage, Slot(78), false).state, (0, InstallPlace::STATE));
    assert_eq!(storage.list().expect("a list"), Vec::<String>::new());
}
