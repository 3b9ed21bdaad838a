//! Heap profiles: which functions allocated the bytes that live now.
//!
//! ```text
//!   start() ──► the allocator notes the stack of about one allocation in 512 KiB, and forgets it when it is freed
//!   take() ───► dump ─► addresses ─► names (symbol tables, debug information) ─► HeapProfile ─┬─ to_pprof()
//!   stop() ───► notes nothing more, and forgets what it noted                                 └─ to_flame_graph()
//! ```
//!
//! They need the feature `heap-profile`: jemalloc serves the whole process then, C libraries too, and can sample. Without the
//! feature everything here is [`Error::Unavailable`], so that callers need no feature of their own. Sampling is off until
//! [`start`]; until then an allocation and its end cost about 1 ns more than without the feature (BENCHMARKS.md).
//!
//! What lived before [`start`] is not in a profile: to find a leak, start, let the program work, take.
//!
//! ```
//! use phalanx_memory::profile;
//!
//! match profile::start() {
//!     Ok(()) => {
//!         let kept = vec![1_u8; 32 << 20];
//!         let profile = profile::take()?;
//!         assert!(profile.bytes() > 16 << 20);
//!         std::fs::write(std::env::temp_dir().join("heap.pb.gz"), profile.to_pprof())?; // go tool pprof heap.pb.gz
//!         drop(kept);
//!         profile::stop()?;
//!     }
//!     Err(why) => println!("{why}"), // it was built without
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **What it does not do.** It counts bytes that were allocated, not pages that are resident: what the allocator keeps and what
//! is mapped by hand is not in it. It is a sample: a stack that holds 512 KiB is in it with a probability of 63 %, one that
//! holds 4 MiB with 99.97 %. Other processes (those of a pool of job processes) have profiles of their own.

use std::{fmt, io};

#[cfg(not(feature = "heap-profile"))]
mod absent;
#[cfg(feature = "heap-profile")]
mod dump;
#[cfg(feature = "heap-profile")]
mod flame;
#[cfg(feature = "heap-profile")]
mod graph;
#[cfg(feature = "heap-profile")]
mod modules;
#[cfg(feature = "heap-profile")]
mod pprof;
#[cfg(feature = "heap-profile")]
mod sampler;
#[cfg(feature = "heap-profile")]
mod symbols;

#[cfg(not(feature = "heap-profile"))]
use absent as sampler;

#[cfg(not(feature = "heap-profile"))]
pub use absent::HeapProfile;
#[cfg(feature = "heap-profile")]
pub use graph::HeapProfile;

/// Why there is no profile of the heap.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The program was built without.
    Unavailable,
    /// The allocator was told in the environment (`MALLOC_CONF`) not to be ready for it.
    Disabled,
    /// Sampling is off: nothing is known of what lives.
    Off,
    /// It did not work out.
    Failed {
        /// What was attempted.
        what: &'static str,
        /// What came back.
        source: io::Error,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Unavailable => f.write_str(
                "this program was built without heap profiles; build it with the feature heap-profile \
                 (cargo build --release --features heap-profile)",
            ),
            Error::Disabled => f.write_str(
                "heap profiles are switched off by MALLOC_CONF in the environment; start the program without prof:false",
            ),
            Error::Off => f.write_str("the heap is not sampled; switch sampling on, let the program work, then try again"),
            Error::Failed { what, source } => {
                write!(f, "cannot {what}: {source}; a heap profile needs /proc and a few MiB of memory")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Failed { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Whether this process can be profiled.
pub fn is_available() -> bool {
    sampler::availability().is_ok()
}

/// Whether allocations are sampled.
pub fn is_on() -> bool {
    sampler::availability().is_ok() && sampler::is_on()
}

/// Begins to sample; nothing new if it already does.
///
/// # Errors
/// [`Error::Unavailable`], [`Error::Disabled`].
pub fn start() -> Result<(), Error> {
    sampler::availability()?;
    sampler::start()
}

/// Stops sampling and forgets what was sampled; nothing new if it is off.
///
/// # Errors
/// As [`start`].
pub fn stop() -> Result<(), Error> {
    sampler::availability()?;
    sampler::stop()
}

/// What lives now of what was allocated since [`start`]. Reads the symbol tables of the program and its libraries: some tens of
/// milliseconds, some MiB. Other threads go on meanwhile.
///
/// # Errors
/// As [`start`], and [`Error::Off`], [`Error::Failed`].
pub fn take() -> Result<HeapProfile, Error> {
    sampler::availability()?;
    if !sampler::is_on() {
        return Err(Error::Off);
    }
    sampler::take()
}

/// [`take`], as `go tool pprof` reads it: see [`HeapProfile::to_pprof`].
///
/// # Errors
/// As [`take`].
pub fn pprof() -> Result<Vec<u8>, Error> {
    Ok(take()?.to_pprof())
}

/// [`take`], as a picture: see [`HeapProfile::to_flame_graph`].
///
/// # Errors
/// As [`take`].
pub fn flame_graph() -> Result<Vec<u8>, Error> {
    Ok(take()?.to_flame_graph("heap"))
}
