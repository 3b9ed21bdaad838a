//! mimalloc. As its crate builds it, it counts what it has committed, not what lives: our [`Allocator`](crate::Allocator)
//! counts that.

#![allow(unsafe_code)]

use std::ptr;

// Links it.
use mimalloc as _;

use super::{Heap, HeapSource, count};

unsafe extern "C" {
    /// Of `mimalloc.h`: figures of the process; each parameter may be null.
    fn mi_process_info(
        elapsed_milliseconds: *mut usize,
        user_milliseconds: *mut usize,
        system_milliseconds: *mut usize,
        resident: *mut usize,
        most_resident: *mut usize,
        committed: *mut usize,
        most_committed: *mut usize,
        page_faults: *mut usize,
    );
    /// Of `mimalloc.h`: frees what can be freed; at once and to the system if it is forced.
    fn mi_collect(force: bool);
}

/// Costs a sum of 16 words, `getrusage` (which we cannot leave out) and `/proc/self/statm`: 4 µs.
pub(super) fn heap() -> Option<Heap> {
    let allocated = count::live();
    let mut committed = 0;
    let none = ptr::null_mut();
    // SAFETY: every parameter may be null; `committed` is valid for a write.
    unsafe { mi_process_info(none, none, none, none, none, &raw mut committed, none, none) };
    let committed = (committed as u64).max(allocated);
    let in_memory = crate::usage::anonymous().unwrap_or(committed).max(allocated);
    let active = committed.min(in_memory);
    Some(Heap { allocated, active, retained: committed - active, source: HeapSource::Mimalloc })
}

/// Collects what the calling thread has freed and gives back all free pages: 10 ms for 256 MiB.
pub(super) fn give_back() {
    // SAFETY: no preconditions.
    unsafe { mi_collect(true) };
}
