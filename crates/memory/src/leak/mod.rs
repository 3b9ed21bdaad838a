//! [`LeakDetector`]: whether something grows with the work that is done, and how sure that is.
//!
//! ```text
//!   looks ──► scale 0: the quietest look of each 64 units of work  ▪▪▪▪▪▪▪▪▪▪ the last 48 ─► trend, shape ─► Leak
//!               └─ two become one ─► scale 1: of each 128          ▪▪▪▪▪▪▪▪▪▪ the last 48 ─► trend, shape ─► Leak
//!                    └─ two become one ─► scale 2 …      up to 2^24 × 64 units; memory is bounded
//! ```
//!
//! **What is compared.** The value (live bytes, descriptors) against the *work* done, not against the clock: what grows
//! while nothing is done is not a leak of requests. Of many looks the one at the lowest *load* is kept, because what is
//! under way holds memory rightly; and two looks are compared only if the later one is at no more load than the earlier:
//! what grows with the load alone, as connections that only become more, is never evidence.
//!
//! **The trend** ([`trend`]) is the median of the slopes of all such pairs (Theil 1950, Sen 1968): a third of the looks may be
//! nonsense and it stands. Its confidence comes from Kendall's test with the variance of exactly those pairs.
//!
//! **The shape** ([`shape`]) tells a leak from what only looks like one for a while: a cache that fills and levels off, a
//! large allocation that stays, a saw-tooth, a height that was reached before. All of it is looked at on each scale, so that
//! a fast leak is found in some thousand requests and a slow one in some ten thousand, and one that begins after
//! a week as well as one that was there from the start.
//!
//! **Promises**, each with a simulation in `tests/leaks`. 1 KiB a request is found within 5 000 requests, at 1 to 10 000
//! requests a second, if what comes and goes at the same load stays below some 100 KiB (standard deviation); else when the
//! growth is about 15 times that. What levels off within 4 000 requests raises no alarm, however much it is; nor does
//! what holds less than 1.5 MiB, or less than 32 descriptors.
//!
//! **What it cannot do.** A cache that fills evenly, so many bytes a request, is a leak until it is full: if that takes
//! more than 2 000 requests and 2 MiB, it may be said once. So may what is freed only every 2 000 requests or less often
//! (the first time), and what drifts by many MiB for minutes with nothing that is done.

mod evidence;
mod scale;
mod shape;
mod trend;

use std::fmt;
use std::time::Instant;

pub use evidence::Leak;
use scale::Scales;

/// Work before the first look that counts: whatever is made at the first use (threads, buffers, tables) is made then.
const WARM_UP_WORK: u64 = 500;

/// Live bytes must have grown by so much: more than connections, threads' own caches and buffers that find their size
/// come to in a server at rest.
const LEAST_GROWTH_BYTES: f64 = 2.0 * 1024.0 * 1024.0;

/// Descriptors must have grown by so many: more than a pool of connections to a database usually holds (10).
const LEAST_GROWTH_DESCRIPTORS: f64 = 32.0;

/// What can leak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Resource {
    /// Live bytes: allocated and not freed.
    Memory,
    /// Open file descriptors.
    Descriptors,
}

impl Resource {
    /// Growth below which nothing is said.
    fn least_growth(self) -> f64 {
        match self {
            Resource::Memory => LEAST_GROWTH_BYTES,
            Resource::Descriptors => LEAST_GROWTH_DESCRIPTORS,
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Resource::Memory => "memory",
            Resource::Descriptors => "file descriptors",
        })
    }
}

/// One look at a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// When. Only told in the evidence: the trend is over work.
    pub at: Instant,
    /// Work done since the process began: requests, jobs. Only grows.
    pub work: u64,
    /// What is under way now, and so may hold something rightly: requests in work and open connections.
    pub load: u64,
    /// Bytes, or descriptors.
    pub value: u64,
}

/// Finds a leak of one resource in one process. Its memory is bounded (50 KiB), however long it looks.
///
/// Look often: the more looks in a stretch of work, the quieter is the quietest of them. Ten in 5 000 units of work are the
/// least that is enough for a verdict.
///
/// ```
/// use std::time::{Duration, Instant};
/// use phalanx_memory::{LeakDetector, Resource, Sample};
///
/// let (mut detector, began) = (LeakDetector::new(Resource::Memory), Instant::now());
/// let look = |request: u64| Sample {
///     at: began + Duration::from_millis(request),
///     work: request,
///     load: 0,
///     value: 20_000_000 + request * 1024, // each request forgets 1 KiB
/// };
/// let leak = (0..5000).find_map(|request| detector.add(look(request))).expect("found");
/// assert_eq!(leak.per_work, 1024.0);
/// println!("{leak}");
/// ```
#[derive(Debug)]
pub struct LeakDetector {
    resource: Resource,
    first_work: Option<u64>,
    /// `None` when everything is said.
    scales: Option<Scales>,
}

impl LeakDetector {
    /// A detector that has seen nothing.
    pub fn new(resource: Resource) -> LeakDetector {
        LeakDetector { resource, first_work: None, scales: Some(Scales::default()) }
    }

    /// Takes a look into account; the evidence as soon as it suffices, and then never again.
    ///
    /// Nearly always some nanoseconds; every 64 units of work or more some ten microseconds.
    pub fn add(&mut self, sample: Sample) -> Option<Leak> {
        let first = *self.first_work.get_or_insert(sample.work);
        if sample.work < first.saturating_add(WARM_UP_WORK) {
            return None;
        }
        let leak = self.scales.as_mut()?.add(sample, self.resource)?;
        self.scales = None;
        Some(leak)
    }
}
