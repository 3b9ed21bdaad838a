//! [`Allocator`]: the allocator that a binary names as its own, chosen by feature.
//!
//! ```text
//!   #[global_allocator] static ALLOCATOR: Allocator
//!           │
//!           ├─ feature `jemalloc` (and `heap-profile`) ─► jemalloc   of several features the first in this list wins:
//!           ├─ feature `mimalloc` ──────────────────────► mimalloc   builds of a whole workspace unite all features
//!           └─ neither ─────────────────────────────────► the C library's
//! ```

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};

use crate::HeapSource;

#[cfg(feature = "jemalloc")]
const CHOSEN: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
#[cfg(all(feature = "mimalloc", not(feature = "jemalloc")))]
const CHOSEN: crate::heap::count::Counted<mimalloc::MiMalloc> = crate::heap::count::Counted(mimalloc::MiMalloc);
#[cfg(not(any(feature = "mimalloc", feature = "jemalloc")))]
const CHOSEN: std::alloc::System = std::alloc::System;

/// The system's allocator, or mimalloc (feature `mimalloc`), or jemalloc (features `jemalloc` and `heap-profile`).
///
/// A library does not choose the allocator of the program that uses it: nothing changes until the binary names this one.
///
/// ```
/// #[global_allocator]
/// static ALLOCATOR: phalanx_memory::Allocator = phalanx_memory::Allocator;
///
/// fn main() {
///     println!("allocations are served by the {}", phalanx_memory::Allocator::SOURCE);
/// }
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Allocator;

impl Allocator {
    /// Who serves the allocations of a program that names this allocator.
    pub const SOURCE: HeapSource = if cfg!(feature = "jemalloc") {
        HeapSource::Jemalloc
    } else if cfg!(feature = "mimalloc") {
        HeapSource::Mimalloc
    } else {
        HeapSource::System
    };

    /// The same in one word, for logs and figures: `system`, `mimalloc` or `jemalloc`.
    pub const NAME: &'static str = match Self::SOURCE {
        HeapSource::System => "system",
        HeapSource::Mimalloc => "mimalloc",
        HeapSource::Jemalloc => "jemalloc",
    };
}

// SAFETY: every call goes, unchanged, to one and the same allocator, which keeps the contract of the trait.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of the trait, and it is the same one.
        unsafe { CHOSEN.alloc(layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { CHOSEN.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above; `pointer` came from `CHOSEN`, for there is no other.
        unsafe { CHOSEN.dealloc(pointer, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        unsafe { CHOSEN.realloc(pointer, layout, size) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_allocates_is_aligned_zeroed_when_asked_and_kept_when_it_grows() {
        for (size, align) in [(1, 1), (24, 8), (100, 64), (5_000, 4_096), (3 << 20, 16)] {
            let layout = Layout::from_size_align(size, align).unwrap();
            // SAFETY: the layout has a size, all accesses stay within it, and it is freed once with what it then has.
            unsafe {
                let pointer = Allocator.alloc_zeroed(layout);
                assert!(!pointer.is_null() && pointer.addr().is_multiple_of(align));
                assert!(std::slice::from_raw_parts(pointer, size).iter().all(|byte| *byte == 0));
                pointer.write_bytes(7, size);
                let grown = Allocator.realloc(pointer, layout, size * 2);
                assert!(!grown.is_null() && grown.addr().is_multiple_of(align));
                assert!(std::slice::from_raw_parts(grown, size).iter().all(|byte| *byte == 7));
                Allocator.dealloc(grown, Layout::from_size_align(size * 2, align).unwrap());
            }
        }
    }
}
