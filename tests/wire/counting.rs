//! Counts what this thread allocates, so that a test can say that bytes made a decoder reserve
//! memory, or what a state takes.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static NOW: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

/// What the system's allocator takes for so many bytes: a word of its own beside them, in steps of 16.
fn taken(bytes: usize) -> usize {
    bytes.saturating_add(8).next_multiple_of(16).max(32)
}

fn rise(bytes: usize) {
    let bytes = taken(bytes);
    // A thread that is going away no longer counts.
    let _ = NOW.try_with(|now| {
        now.set(now.get().saturating_add(bytes));
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(now.get())));
    });
}

fn fall(bytes: usize) {
    let bytes = taken(bytes);
    let _ = NOW.try_with(|now| now.set(now.get().saturating_sub(bytes)));
}

// SAFETY: every call goes to the system's allocator with the caller's own arguments; counting
// touches two integers of this thread and neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        rise(layout.size());
        // SAFETY: the caller's contract is the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        fall(layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        rise(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        rise(bytes);
        fall(layout.size());
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, bytes) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What `work` returns, and how many bytes were allocated at its worst moment beyond those before.
pub fn peak_of<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = NOW.with(Cell::get);
    PEAK.with(|peak| peak.set(before));
    let result = work();
    (result, PEAK.with(Cell::get).saturating_sub(before))
}

// The counter sees what is reserved and never touched: a test that relies on it could not fail
// otherwise.
#[test]
fn the_counter_sees_reserved_memory() {
    let (bytes, peak) = peak_of(|| Vec::<u8>::with_capacity(1 << 20));
    assert!(bytes.capacity() >= 1 << 20 && peak >= 1 << 20, "peak={peak}");
    let ((), peak) = peak_of(|| ());
    assert_eq!(peak, 0);
}
