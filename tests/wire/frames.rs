//! How frames are cut out of a connection's bytes.

use crate::counting::peak_of;
use paxosd::limits::{FRAME_BYTES_BEFORE_HELLO, FRAME_HEADER_BYTES};
use paxosd::wire::frame::{FrameBuffer, FrameError, write_frame};

fn ping(correlation: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_frame(&mut bytes, 2, correlation, |_| {});
    bytes
}

// Frames that lie whole in the connection's input are given out where they lie: no copy, no memory.
#[test]
fn whole_frames_are_not_copied() {
    let input: Vec<u8> = (1..=3).flat_map(ping).collect();
    let (read, peak) = peak_of(|| {
        let mut buffer = FrameBuffer::new();
        let mut rest = &input[..];
        let mut read = [0; 3];
        for correlation in &mut read {
            *correlation = buffer.next(&mut rest).expect("valid").expect("whole").correlation;
        }
        assert_eq!(buffer.next(&mut rest), Ok(None));
        read
    });
    assert_eq!((read, peak), ([1, 2, 3], 0));
}

// A connection holds bytes only while a frame is incomplete, and gives the memory back behind it.
#[test]
fn an_idle_connection_holds_no_buffer() {
    let mut bytes = Vec::new();
    write_frame(&mut bytes, 2, 1, |body| body.extend_from_slice(&[7; 1000]));
    let mut buffer = FrameBuffer::new();
    let (mut early, mut late) = bytes.split_at(500);
    assert_eq!(buffer.next(&mut early), Ok(None));
    assert_eq!(buffer.held_bytes(), 500);
    assert!(buffer.next(&mut late).expect("valid").is_some());
    assert_eq!(buffer.next(&mut late), Ok(None));
    assert_eq!((buffer.held_bytes(), buffer.capacity()), (0, 0));
}

// A frame that ends in this input does not swallow the one behind it.
#[test]
fn a_completed_frame_leaves_the_next_one_alone() {
    let bytes: Vec<u8> = (1..=2).flat_map(ping).collect();
    let mut buffer = FrameBuffer::new();
    let (mut early, mut late) = bytes.split_at(10);
    assert_eq!(buffer.next(&mut early), Ok(None));
    assert_eq!(buffer.next(&mut late).map(|frame| frame.map(|f| f.correlation)), Ok(Some(1)));
    assert_eq!(late.len(), FRAME_HEADER_BYTES);
    assert_eq!(buffer.next(&mut late).map(|frame| frame.map(|f| f.correlation)), Ok(Some(2)));
}

// The largest body before Hello passes; one byte more is refused, be it in one piece or in two.
#[test]
fn the_limit_is_exact() {
    let frame = |body_bytes: usize| {
        let mut bytes = Vec::new();
        write_frame(&mut bytes, 1, 1, |body| body.extend(vec![0; body_bytes]));
        bytes
    };
    let largest = frame(FRAME_BYTES_BEFORE_HELLO);
    assert!(FrameBuffer::new().next(&mut &largest[..]).expect("valid").is_some());
    let larger = frame(FRAME_BYTES_BEFORE_HELLO + 1);
    let refused = Err(FrameError::TooLarge { bytes: 4097, limit: 4096 });
    assert_eq!(FrameBuffer::new().next(&mut &larger[..]), refused);
    let mut buffer = FrameBuffer::new();
    assert_eq!(buffer.next(&mut &larger[..3]), Ok(None));
    assert_eq!(buffer.next(&mut &larger[3..]), refused);
}

// Many frames are written behind one another into one buffer, whatever stands in it already.
#[test]
fn frames_are_written_behind_what_is_there() {
    let mut bytes = ping(1);
    write_frame(&mut bytes, 3, 2, |body| body.push(9));
    assert_eq!(&bytes[..FRAME_HEADER_BYTES], &ping(1)[..]);
    let mut rest = &bytes[FRAME_HEADER_BYTES..];
    let mut buffer = FrameBuffer::new();
    let frame = buffer.next(&mut rest).expect("valid").expect("whole");
    assert_eq!((frame.kind, frame.correlation, frame.body), (3, 2, &[9u8][..]));
}
