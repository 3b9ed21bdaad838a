//! How patient the cluster is with its workers: clocks and limits.

use std::time::Duration;

use super::Cluster;
use crate::HealthGate;
use crate::supervisor::{Admission, Overlap};

impl Cluster {
    /// Longest time that a worker gets to finish what it has when it is told to leave. Default 30 s.
    pub fn drain_deadline(mut self, deadline: Duration) -> Self {
        self.policy.drain_deadline = deadline;
        self
    }

    /// Longest time from the start of a worker to its being ready; then it is killed. Default 60 s.
    pub fn boot_deadline(mut self, deadline: Duration) -> Self {
        self.policy.boot_deadline = deadline;
        self
    }

    /// Time without a turn of a worker's event loop after which the worker counts as hung: the stacks of its threads are
    /// written down, and after [`hung_grace`](Self::hung_grace) it is killed and replaced. Default 30 s; whole seconds, at
    /// least 2. The primary counts seconds in which it was awake itself, so a machine that was asleep kills nobody.
    pub fn liveness(mut self, most: Duration) -> Self {
        self.policy.liveness_ticks = u32::try_from(most.as_secs()).unwrap_or(u32::MAX).max(2);
        self
    }

    /// What a hung worker gets to write down where it hangs, or to come back. Default 2 s.
    pub fn hung_grace(mut self, grace: Duration) -> Self {
        self.policy.hung_grace = grace;
        self
    }

    /// What a worker that replaces another has to prove before it may accept connections. Default [`HealthGate::Ready`]: its
    /// own word.
    pub fn health_gate(mut self, gate: HealthGate) -> Self {
        self.policy.admission = match gate {
            HealthGate::Ready => Admission::Ready,
            HealthGate::Path(_) | HealthGate::Command { .. } => Admission::Probed,
        };
        self.health_gate = gate;
        self
    }

    /// Longest time until the health gate has answered; then the new worker is killed and the old one serves on. Default
    /// 10 s.
    pub fn gate_deadline(mut self, deadline: Duration) -> Self {
        self.policy.gate_deadline = deadline;
        self
    }

    /// How long the first new worker of a reload serves beside the old one before that has to leave, and the last one before
    /// the reload counts as done. Default 1 s: what dies right after it was ready does not replace what works.
    pub fn proof(mut self, time: Duration) -> Self {
        self.policy.proof = time;
        self
    }

    /// First wait before a worker that died before it was ready, or within a second of it, is started again; it doubles each
    /// time, up to 30 s or this, whichever is longer. Default 100 ms. (A worker that had served is replaced at once.)
    pub fn back_off(mut self, first: Duration) -> Self {
        self.policy.back_off_first = first;
        self.policy.back_off_limit = self.policy.back_off_limit.max(first);
        self
    }

    /// Deaths before ready, within a minute, after which a place is only tried once a minute while the others serve on; at
    /// least 1. At the very first start, the cluster ends if that happens in every place. Default 5.
    pub fn breaker(mut self, deaths: usize) -> Self {
        self.policy.breaker_deaths = deaths.max(1);
        self
    }

    /// A worker leaves before the one that replaces it starts: for workers of which no two get along in one place, because each
    /// binds the same port or locks the same file. Until the new one is ready its place serves nobody. Default: new first.
    pub fn old_first(mut self) -> Self {
        self.policy.overlap = Overlap::OldFirst;
        self
    }

    /// Requests after which a worker is replaced, new first, ± 10 % drawn for each worker; never more than one worker of the
    /// cluster at once. Default and 0: no limit.
    pub fn max_requests(mut self, most: u64) -> Self {
        self.policy.max_requests = Some(most).filter(|most| *most > 0);
        self
    }

    /// Time of service after which a worker is replaced, as with [`max_requests`](Self::max_requests). Default and zero: no
    /// limit.
    pub fn max_lifetime(mut self, most: Duration) -> Self {
        self.policy.max_lifetime = Some(most).filter(|most| !most.is_zero());
        self
    }

    /// Resident memory in bytes above which a worker is replaced, as with [`max_requests`](Self::max_requests). Default and
    /// 0: no limit. It is the worker's own; its job processes have limits of their own, and count for
    /// [`hard_memory`](Self::hard_memory). Leave room for one worker more than the cluster has: the new one is there before
    /// the old one is gone. Where there is none, the old one leaves first ([`Event::ShortOfMemory`](crate::Event::ShortOfMemory)).
    pub fn soft_memory(mut self, bytes: u64) -> Self {
        self.policy.soft_memory = Some(bytes).filter(|bytes| *bytes > 0);
        self
    }

    /// Memory in bytes above which a worker is killed at once, and replaced. Default and 0: no limit.
    ///
    /// Where control groups can be made, each worker gets one of its own: then the kernel holds it below the limit, with
    /// all that it started, the page cache that it cannot let go, and no swap. (With control groups of version 1 the kernel
    /// ends the largest process, which may be a job process: then one job has failed, and the worker goes on.) Where not, the worker's own
    /// resident memory is looked at once a second: no wall, but much kinder to the others than the kernel's OOM killer.
    /// [`Event::HardLimit`](crate::Event::HardLimit) says at the start which it is, and the status as `active`.
    ///
    /// Groups need a control group that belongs to this process: systemd's `Delegate=yes`, or a container with a writable
    /// `/sys/fs/cgroup`.
    pub fn hard_memory(mut self, bytes: u64) -> Self {
        self.policy.hard_memory = Some(bytes).filter(|bytes| *bytes > 0);
        self
    }

    /// Whether a worker that [seems to leak](crate::Event::Leak) is replaced, as with [`max_requests`](Self::max_requests).
    /// Default: no, it is only said.
    pub fn recycle_leaks(mut self, recycle: bool) -> Self {
        self.policy.recycle_leaks = recycle;
        self
    }
}
