//! [`heap`]: what the allocators of this process hold; [`give_back`]: free memory goes back to the system.
//!
//! ```text
//!   the program ── allocated ──┐
//!                              │ active: whole pages in memory that serve it      ─┐
//!   freed, kept for later ─────┘                                                   ├─ address space
//!   freed, given back to the system: retained                                     ─┘
//! ```
//!
//! With another allocator than the system's, C libraries may still use the system's: what is compiled in is added up.

#[cfg(feature = "mimalloc")]
pub(crate) mod count;
#[cfg(feature = "jemalloc")]
mod jemalloc;
#[cfg(feature = "mimalloc")]
mod mimalloc;
mod system;

use std::fmt;

/// What the allocators of this process say. All sizes are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Heap {
    /// What the program has allocated and not freed: live bytes. Some allocators count what lies in the caches of their
    /// threads as well.
    pub allocated: u64,
    /// Memory that the allocator holds to serve them, in whole pages. What exceeds `allocated` is free and kept for later.
    pub active: u64,
    /// Address space that it keeps for later and has given back to the system; it costs no memory.
    pub retained: u64,
    /// Who says so: the one that serves the program's own allocations.
    pub source: HeapSource,
}

impl Heap {
    /// Memory that is free and was not given back.
    pub fn idle(&self) -> u64 {
        self.active.saturating_sub(self.allocated)
    }
}

/// An allocator that can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeapSource {
    /// The C library's (`mallinfo2`).
    System,
    /// mimalloc, by what our [`Allocator`](crate::Allocator) counts.
    Mimalloc,
    /// jemalloc (`stats.*`).
    Jemalloc,
}

impl fmt::Display for HeapSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HeapSource::System => "system allocator",
            HeapSource::Mimalloc => "mimalloc",
            HeapSource::Jemalloc => "jemalloc",
        })
    }
}

/// What the allocators of this process hold; `None` where they cannot be asked (a C library without `mallinfo2`: musl).
///
/// It is cheap, but takes the locks of the allocator for a moment: once in 50 ms, not once a request.
///
/// ```
/// if let Some(heap) = phalanx_memory::heap() {
///     println!("{} live bytes in {} ({})", heap.allocated, heap.active, heap.source);
/// }
/// ```
pub fn heap() -> Option<Heap> {
    let asked = [
        system::heap(),
        #[cfg(feature = "mimalloc")]
        mimalloc::heap(),
        #[cfg(feature = "jemalloc")]
        jemalloc::heap(),
    ];
    asked.into_iter().flatten().filter(|heap| heap.allocated > 0).reduce(|sum, heap| Heap {
        allocated: sum.allocated.saturating_add(heap.allocated),
        active: sum.active.saturating_add(heap.active),
        retained: sum.retained.saturating_add(heap.retained),
        source: heap.source,
    })
}

/// Hands memory that is free back to the system. To be called when a burst of work is over and nothing is under way: the
/// next burst pays for it with page faults.
///
/// What the caches of *other* threads hold stays where it is.
///
/// ```
/// phalanx_memory::give_back();
/// ```
pub fn give_back() {
    system::give_back();
    #[cfg(feature = "mimalloc")]
    mimalloc::give_back();
    #[cfg(feature = "jemalloc")]
    jemalloc::give_back();
}
