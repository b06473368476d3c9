//! Where the text of an entry stands on a disk, and what becomes of it there.

use paxosd::storage::{MemStorage, Storage};

/// The files of segments, in order.
pub fn segments(storage: &MemStorage) -> Vec<String> {
    let mut names = storage.list().expect("a directory");
    names.retain(|name| name.ends_with(".wal"));
    names.sort_unstable();
    names
}

/// Where segments have this text: the file, and the offset in it.
pub fn copies(storage: &MemStorage, text: &str) -> Vec<(String, u64)> {
    let mut copies = Vec::new();
    for name in segments(storage) {
        let mut bytes = vec![0; storage.len(&name).expect("it is there") as usize];
        storage.read_at(&name, 0, &mut bytes).expect("it is read");
        let found = bytes.windows(text.len()).enumerate();
        let found = found.filter(|(_, part)| *part == text.as_bytes());
        copies.extend(found.map(|(at, _)| (name.clone(), at as u64)));
    }
    copies
}

/// A bit of what stands so many bytes behind a place is another.
pub fn flip(storage: &MemStorage, (name, at): &(String, u64), behind: i64) {
    let at = at.checked_add_signed(behind).expect("a place in the file");
    storage.rot(name, at..at + 1, |bytes| bytes[0] ^= 1);
}

/// Every copy of a text rots; how many there were.
pub fn rot(storage: &MemStorage, text: &str) -> usize {
    let copies = copies(storage, text);
    copies.iter().for_each(|copy| flip(storage, copy, 100));
    copies.len()
}

/// The first copy of a text rots.
pub fn rot_first(storage: &MemStorage, text: &str) {
    flip(storage, copies(storage, text).first().expect("a segment holds it"), 100);
}
