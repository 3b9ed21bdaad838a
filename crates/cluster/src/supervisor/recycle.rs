//! Recycling: a worker that has had its share of requests, time or memory is replaced, new first, by one of its own
//! generation. One at a time in the whole cluster, from the start of the successor until the old worker is gone; and not
//! while an operation runs.

use std::time::Duration;

use phalanx_memory::Resource;

use super::policy::Random;
use super::process::{Part, Process, State};
use super::replacement::Purpose;
use super::room::{Haste, Order};
use super::{Action, Now, Policy, RecycleReason, Supervisor, Vitals, place};
use crate::WorkerId;

/// Part of a limit by which a worker's own may be larger or smaller, so that workers that began together do not end
/// together.
const JITTER: f64 = 0.1;

/// A place is recycled for a leak once in this time: a successor that leaks as well may be found out within a second.
pub(super) const BETWEEN_LEAKS: Duration = Duration::from_secs(60);

/// A worker's own limits.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Share {
    requests: Option<u64>,
    lifetime: Option<Duration>,
    memory: Option<u64>,
}

impl Share {
    pub(super) fn draw(policy: &Policy, random: &mut Random) -> Share {
        let around = |limit: u64, random: &mut Random| (limit as f64 * random.around(JITTER)) as u64;
        Share {
            requests: policy.max_requests.map(|limit| around(limit, random).max(1)),
            lifetime: policy.max_lifetime.map(|limit| limit.mul_f64(random.around(JITTER))),
            memory: policy.soft_memory.map(|limit| around(limit, random)),
        }
    }

    /// Whether a worker that has served so long has had it.
    pub(super) fn is_used_up(&self, vitals: &Vitals, served: Duration) -> Option<RecycleReason> {
        let requests = self.requests.filter(|limit| vitals.requests >= *limit);
        let lifetime = self.lifetime.filter(|limit| served >= *limit);
        let memory = self.memory.filter(|limit| vitals.resident_bytes > *limit);
        memory
            .map(|_| RecycleReason::Memory(vitals.resident_bytes))
            .or(requests.map(|_| RecycleReason::Requests(vitals.requests)))
            .or(lifetime.map(|_| RecycleReason::Lifetime(served)))
    }
}

impl Supervisor {
    /// A worker seems to leak: it is due at the next tick, if that is wanted.
    pub(super) fn leaks(&mut self, worker: WorkerId, resource: Resource) {
        if let Some(process) = self.processes.iter_mut().find(|process| process.birth.worker == worker) {
            process.leaks.get_or_insert(resource);
        }
    }

    /// Begins to recycle the oldest worker that is due, unless another one is still at it.
    pub(super) fn recycle_next(&mut self, now: Now, out: &mut Vec<Action>) {
        if self.leaves_recycled.is_some_and(|worker| self.process(worker).is_some()) {
            return self.room.is_not_needed();
        }
        let may = |process: &&Process| {
            process.part == Part::Current
                && matches!(process.state, State::Serving { .. })
                && now >= self.seats[process.seat()].not_recycled_before(process.due)
        };
        let due = self.processes.iter().filter(may).filter_map(|process| Some((process.birth, process.due?)));
        let Some((birth, reason)) = due.min_by_key(|(birth, _)| birth.worker) else {
            return self.room.is_not_needed();
        };
        let seat = usize::from(birth.place.0);
        match self.order_of_replacement(seat, Haste::Patient, now, out) {
            Order::Later => {}
            order => {
                out.push(Action::Recycle(birth.worker, reason));
                if matches!(reason, RecycleReason::Leak(_)) {
                    self.seats[seat].leak_recycled_not_before = now + BETWEEN_LEAKS;
                }
                self.replace(seat, birth.generation, order, Purpose::Recycle, now, out);
            }
        }
    }

    /// The old worker serves on; the next attempt waits, longer each time.
    pub(super) fn recycling_failed(&mut self, seat: usize, now: Now, out: &mut Vec<Action>) {
        let jitter = self.random.around(Policy::BACK_OFF_JITTER);
        let its = &mut self.seats[seat];
        let wait = its.next_back_off(&self.policy, jitter);
        its.recycled_not_before = now + wait;
        out.push(Action::BackOff(place(seat), wait));
    }
}
