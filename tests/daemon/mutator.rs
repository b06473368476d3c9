//! Frames that are almost right: real ones with something wrong.

use crate::random::Random;
use paxosd::api::RequestKind;
use paxosd::limits::{FRAME_BYTES_BEFORE_HELLO, FRAME_BYTES_MAX, FRAME_HEADER_BYTES};
use paxosd::wire::client::ReplyKind;
use paxosd::wire::kind::GreetingKind;
use paxosd::wire::peer::PeerKind;

/// Where the checksum lies, and where what it covers begins.
const CRC: std::ops::Range<usize> = 4..8;
/// Where the kind lies.
const KIND: std::ops::Range<usize> = 8..10;
/// Where a greeting has its magic and its versions.
const MAGIC_AND_VERSIONS: std::ops::Range<usize> = 24..32;

/// Numbers at which counting, signs, lengths and limits turn.
const NUMBERS: [u64; 18] = [
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFF,
    FRAME_BYTES_BEFORE_HELLO as u64,
    FRAME_BYTES_MAX as u64,
    0x7FFF_FFFF,
    0x8000_0000,
    0xFFFF_FFFF,
    1 << 62,
    (1 << 62) + 1,
    1 << 63,
    u64::MAX,
];

/// Lengths that a header may announce, whatever follows it.
const LENGTHS: [u32; 8] = [
    0,
    1,
    FRAME_BYTES_BEFORE_HELLO as u32,
    FRAME_BYTES_BEFORE_HELLO as u32 + 1,
    FRAME_BYTES_MAX as u32,
    FRAME_BYTES_MAX as u32 + 1,
    u32::MAX / 2,
    u32::MAX,
];

/// The frames of docs/protocol-vectors.txt, in the order of the file.
pub fn vectors() -> Vec<Vec<u8>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/protocol-vectors.txt");
    let text = std::fs::read_to_string(path).unwrap();
    let mut frames: Vec<Vec<u8>> = Vec::new();
    for line in text.lines() {
        if line.starts_with("== ") {
            frames.push(Vec::new());
        } else if !line.is_empty() && !line.starts_with("# ") && !line.starts_with("-- ") {
            let bytes = line.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap());
            frames.last_mut().unwrap().extend(bytes);
        }
    }
    assert!(frames.len() > 60, "only {} vectors were found", frames.len());
    frames
}

/// The kind of a frame.
pub fn kind_of(frame: &[u8]) -> u16 {
    u16::from_le_bytes([frame[KIND.start], frame[KIND.start + 1]])
}

/// Makes mutants of real frames.
pub struct Mutator {
    pub random: Random,
    seeds: Vec<Vec<u8>>,
    kinds: Vec<u16>,
}

impl Mutator {
    /// Of these frames.
    pub fn new(random: Random, seeds: Vec<Vec<u8>>) -> Mutator {
        let requests = RequestKind::ALL.iter().map(|kind| kind.number());
        let replies = ReplyKind::ALL.iter().map(|kind| kind.number());
        let peers = PeerKind::ALL.iter().map(|kind| kind.number());
        let greetings = GreetingKind::ALL.iter().map(|kind| kind.number());
        let kinds = requests.chain(replies).chain(peers).chain(greetings).collect();
        Mutator { random, seeds, kinds }
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        self.random.below(end as u64) as usize
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.random.next() as u8).collect()
    }

    fn seed(&mut self) -> Vec<u8> {
        let at = self.below(self.seeds.len());
        self.seeds[at].clone()
    }

    /// A frame that differs from the one that it was made of, and is not empty.
    pub fn frame(&mut self) -> Vec<u8> {
        loop {
            let seed = self.seed();
            let mut frame = seed.clone();
            for _ in 0..=self.below(3) {
                self.mutate(&mut frame);
            }
            self.repair(&mut frame);
            if frame != seed && !frame.is_empty() {
                return frame;
            }
        }
    }

    fn mutate(&mut self, frame: &mut Vec<u8>) {
        match self.below(12) {
            0 | 1 => self.flip_bits(frame),
            2 | 3 => self.put_number(frame),
            4 => {
                let length = self.pick(&LENGTHS);
                put(frame, 0, &length.to_le_bytes());
            }
            5 => {
                let at = MAGIC_AND_VERSIONS.start + self.below(MAGIC_AND_VERSIONS.len());
                let byte = self.bytes(1);
                put(frame, at, &byte);
            }
            6 => {
                let keep = self.below(frame.len() + 1);
                frame.truncate(keep);
            }
            7 => {
                let most = if self.random.percent(3) { 2 * FRAME_BYTES_BEFORE_HELLO } else { 40 };
                let count = 1 + self.below(most);
                let tail = self.bytes(count);
                frame.extend(tail);
            }
            8 => {
                let other = self.seed();
                let (keep, from) = (self.below(frame.len() + 1), self.below(other.len()));
                frame.truncate(keep);
                frame.extend_from_slice(&other[from..]);
            }
            9 => {
                let at = self.below(self.kinds.len());
                let kind = self.kinds[at];
                put(frame, KIND.start, &kind.to_le_bytes());
            }
            10 => {
                // Flags, reserved bytes and correlation are the header's rest.
                let at = KIND.end + self.below(FRAME_HEADER_BYTES - KIND.end);
                let value = self.pick(&[0, 1, 0x80, 0xFF]);
                put(frame, at, &[value]);
            }
            _ => {
                let count = self.below(200);
                *frame = self.bytes(count);
            }
        }
    }

    fn flip_bits(&mut self, frame: &mut [u8]) {
        for _ in 0..=self.below(8) {
            if !frame.is_empty() {
                let at = self.below(frame.len());
                frame[at] ^= 1 << self.below(8);
            }
        }
    }

    fn put_number(&mut self, frame: &mut [u8]) {
        let at = self.below(frame.len() + 1);
        let (number, width) = (self.pick(&NUMBERS), self.pick(&[1, 2, 4, 8]));
        put(frame, at, &number.to_le_bytes()[..width]);
    }

    /// Makes checksum and length right again, mostly, so that what is wrong gets as far as it can.
    fn repair(&mut self, frame: &mut [u8]) {
        let chance = self.below(10);
        if frame.len() < FRAME_HEADER_BYTES || chance < 2 {
            return;
        }
        if chance < 9 {
            let length = (frame.len() - FRAME_HEADER_BYTES) as u32;
            put(frame, 0, &length.to_le_bytes());
        }
        let crc = crc32c::crc32c(&frame[CRC.end..]);
        put(frame, CRC.start, &crc.to_le_bytes());
    }
}

/// Writes over a frame, as far as it goes.
fn put(frame: &mut [u8], at: usize, bytes: &[u8]) {
    for (place, byte) in frame.iter_mut().skip(at).zip(bytes) {
        *place = *byte;
    }
}
