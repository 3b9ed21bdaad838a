//! Live bytes of an allocator that does not count them itself: sums in several words, so that threads seldom share one.

#![allow(unsafe_code)]
#![cfg_attr(feature = "jemalloc", allow(dead_code, reason = "with both features jemalloc is the one"))]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Words among which the threads are spread.
const SHARDS: usize = 16;

/// Alone in its cache line.
#[repr(align(64))]
struct Shard(AtomicU64);

static SHARES: [Shard; SHARDS] = [const { Shard(AtomicU64::new(0)) }; SHARDS];
static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Made at compile time and without a destructor, so that it can be used inside an allocator.
    static SHARD: Cell<usize> = const { Cell::new(SHARDS) };
}

fn shard() -> &'static AtomicU64 {
    let index = SHARD.with(|shard| {
        if shard.get() == SHARDS {
            shard.set(THREADS.fetch_add(1, Ordering::Relaxed) % SHARDS);
        }
        shard.get()
    });
    &SHARES[index].0
}

/// So many bytes were allocated.
fn grow(bytes: usize) {
    shard().fetch_add(bytes as u64, Ordering::Relaxed);
}

/// So many bytes were freed. By another thread than the one that allocated them, perhaps: one share may be below zero, the
/// sum is not.
fn shrink(bytes: usize) {
    shard().fetch_sub(bytes as u64, Ordering::Relaxed);
}

/// Bytes that live now.
pub(super) fn live() -> u64 {
    let sum = SHARES.iter().fold(0_u64, |sum, share| sum.wrapping_add(share.0.load(Ordering::Relaxed)));
    // The shares are not read at one moment: what moved between them meanwhile may be missing.
    if sum > i64::MAX as u64 { 0 } else { sum }
}

/// An allocator whose live bytes are counted: one addition to memory for each call.
pub(crate) struct Counted<A>(pub(crate) A);

// SAFETY: every call goes, unchanged, to the allocator inside, which keeps the contract of the trait; counting allocates nothing.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Counted<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of the trait, and it is the same one.
        let pointer = unsafe { self.0.alloc(layout) };
        if !pointer.is_null() {
            grow(layout.size());
        }
        pointer
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        let pointer = unsafe { self.0.alloc_zeroed(layout) };
        if !pointer.is_null() {
            grow(layout.size());
        }
        pointer
    }

    #[inline]
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        shrink(layout.size());
        // SAFETY: as above.
        unsafe { self.0.dealloc(pointer, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        let moved = unsafe { self.0.realloc(pointer, layout, size) };
        if !moved.is_null() {
            grow(size);
            shrink(layout.size());
        }
        moved
    }
}
