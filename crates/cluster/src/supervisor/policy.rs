//! The numbers of supervision, each with its reason.

use std::time::Duration;

/// How patient the supervisor is. The defaults are those of the design.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// From the start of a worker until it says that it is ready (60 s; puma and tableflip use the same).
    pub boot_deadline: Duration,
    /// From the word to leave until the worker has to be gone (30 s; gunicorn and puma use the same).
    pub drain_deadline: Duration,
    /// What a worker gets beyond its drain deadline to exit by itself (1 s), before SIGKILL.
    pub drain_grace: Duration,
    /// Seconds without a turn of the event loop until a worker counts as hung (30).
    pub liveness_ticks: u32,
    /// A tick that comes this late (1.5 s after the last) counts for nobody.
    pub late_tick: Duration,
    /// First wait after a death before ready (100 ms); it doubles each time.
    pub back_off_first: Duration,
    /// Longest wait (30 s).
    pub back_off_limit: Duration,
    /// A worker that served this long (30 s) has proven its slot healthy: the back-off begins anew.
    pub healthy_after: Duration,
    /// A death within this time of ready (1 s), not by an outside SIGKILL, is treated as one before ready by the
    /// back-off (but not by the breaker).
    pub too_soon: Duration,
    /// Deaths before ready within [`breaker_window`](Self::breaker_window) that open the breaker of a slot (5).
    pub breaker_deaths: usize,
    /// See [`breaker_deaths`](Self::breaker_deaths) (60 s).
    pub breaker_window: Duration,
    /// From the opening of the breaker to the next attempt (60 s).
    pub probe_interval: Duration,
    /// Without a serving worker for this long (5 s), the listeners are closed.
    pub idle_close: Duration,
    /// When a worker that replaces another may accept connections (as soon as it is ready).
    pub admission: Admission,
    /// From [`Action::Probe`](super::Action::Probe) to its answer (10 s).
    pub gate_deadline: Duration,
    /// How long the first new worker of a reload serves beside the old one before that has to leave, and the last one
    /// before the reload counts as done (1 s): what dies right after it was ready does not replace what works.
    pub proof: Duration,
    /// What a hung worker gets to write down where it hangs (2 s), before SIGKILL.
    pub hung_grace: Duration,
    /// Requests after which a worker is recycled (no limit). Like the next two it is drawn for each worker anew, 10 %
    /// around this value, and never more than one worker of the cluster is recycled at once.
    pub max_requests: Option<u64>,
    /// Time of service after which a worker is recycled (no limit).
    pub max_lifetime: Option<Duration>,
    /// Resident memory in bytes above which a worker is recycled (no limit).
    pub soft_memory: Option<u64>,
    /// Resident memory in bytes above which a worker is killed (no limit). No jitter: it is the last line.
    pub hard_memory: Option<u64>,
    /// Whether a worker and the one that replaces it may live at the same time (they may).
    pub overlap: Overlap,
    /// How long a replacement waits for enough memory to be free for both workers (10 s); then the old one leaves first.
    pub room_patience: Duration,
    /// Whether a worker that seems to leak is recycled (no: it is only said).
    pub recycle_leaks: bool,
    /// What the workers are for (to serve, if there is something to listen on).
    pub purpose: Purpose,
}

/// Whether a worker and the one that replaces it may live at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// The new one is ready before the old one leaves, wherever there is memory for both.
    NewFirst,
    /// The old one is gone before the new one starts: both need what only one can have.
    OldFirst,
}

/// What the workers of a cluster are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To serve until they are told to leave: one that ends before it is ready has failed, whatever its exit code.
    Serve,
    /// To do something that comes to its end: an exit code of 0 says that it has.
    Finish,
}

/// What a worker that replaces another must have done before it gets connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It has said that it is ready: its own word.
    Ready,
    /// It is held when it is ready, and [`Action::Probe`](super::Action::Probe) has to find it healthy.
    Probed,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            boot_deadline: Duration::from_secs(60),
            drain_deadline: Duration::from_secs(30),
            drain_grace: Duration::from_secs(1),
            liveness_ticks: 30,
            late_tick: Duration::from_millis(1500),
            back_off_first: Duration::from_millis(100),
            back_off_limit: Duration::from_secs(30),
            healthy_after: Duration::from_secs(30),
            too_soon: Duration::from_secs(1),
            breaker_deaths: 5,
            breaker_window: Duration::from_secs(60),
            probe_interval: Duration::from_secs(60),
            idle_close: Duration::from_secs(5),
            admission: Admission::Ready,
            gate_deadline: Duration::from_secs(10),
            proof: Duration::from_secs(1),
            hung_grace: Duration::from_secs(2),
            max_requests: None,
            max_lifetime: None,
            soft_memory: None,
            hard_memory: None,
            room_patience: Duration::from_secs(10),
            overlap: Overlap::NewFirst,
            recycle_leaks: false,
            purpose: Purpose::Finish,
        }
    }
}

impl Policy {
    /// Part of a back-off by which it may be longer or shorter, so that places that failed together do not return
    /// together.
    pub(super) const BACK_OFF_JITTER: f64 = 0.2;
}

/// A reproducible source of chance.
///
/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA 2014).
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub(super) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A factor that is at most `part` below or above 1.
    pub(super) fn around(&mut self, part: f64) -> f64 {
        let unit = (self.bits() >> 11) as f64 / (1u64 << 53) as f64;
        1.0 - part + 2.0 * part * unit
    }
}
