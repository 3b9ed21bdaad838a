//! jemalloc, by its own control names (`mallctl`).

#![allow(unsafe_code)]

use std::ffi::CStr;
use std::mem::size_of;
use std::ptr;

use tikv_jemalloc_sys::mallctl;

use super::{Heap, HeapSource};

/// The figures are of the last epoch; a new one begins first. Costs one pass over all arenas and size
/// classes.
pub(super) fn heap() -> Option<Heap> {
    next_epoch();
    Some(Heap {
        allocated: figure(c"stats.allocated")?,
        // Resident counts dirty pages as well: freed, kept for later and not yet given back.
        active: figure(c"stats.resident")?,
        retained: figure(c"stats.retained")?,
        source: HeapSource::Jemalloc,
    })
}

/// Empties the calling thread's cache and gives all free pages back.
pub(super) fn give_back() {
    act(c"thread.tcache.flush");
    // 4096 means all arenas (MALLCTL_ARENAS_ALL of jemalloc.h).
    act(c"arena.4096.purge");
}

fn next_epoch() {
    let mut epoch = 1_u64;
    // SAFETY: a NUL-terminated name, and a value of the type that jemalloc documents for it (uint64_t).
    unsafe { mallctl(c"epoch".as_ptr(), ptr::null_mut(), ptr::null_mut(), (&raw mut epoch).cast(), size_of::<u64>()) };
}

/// `None` if this jemalloc was built without statistics.
fn figure(name: &CStr) -> Option<u64> {
    let (mut value, mut size) = (0_usize, size_of::<usize>());
    // SAFETY: a NUL-terminated name, room for a value of the type that jemalloc documents for it (size_t), and its size.
    let failed = unsafe { mallctl(name.as_ptr(), (&raw mut value).cast(), &raw mut size, ptr::null_mut(), 0) };
    (failed == 0).then_some(value as u64)
}

fn act(name: &CStr) {
    // SAFETY: a NUL-terminated name; it takes and gives no value.
    unsafe { mallctl(name.as_ptr(), ptr::null_mut(), ptr::null_mut(), ptr::null_mut(), 0) };
}
