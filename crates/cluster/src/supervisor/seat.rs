//! One place for a worker: whether somebody is to sit there, and what its history says about the next start.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Now, Policy, RecycleReason};

/// Whether a place has, or will have, a worker of its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Rest {
    /// It has none, and nobody wants one.
    Vacant,
    /// It has one.
    Taken,
    /// None until its successor is there: it left first, because there was no memory for both.
    MakingRoom,
    /// None until the back-off is over.
    Waiting { until: Now },
    /// None until the breaker lets a probe through.
    Broken { probe_at: Now },
    /// None until a reload: the last one asked not to be started again.
    GivenUp,
}

impl Rest {
    pub(super) fn wakes_at(&self) -> Option<Now> {
        match self {
            Rest::Waiting { until: at } | Rest::Broken { probe_at: at } => Some(*at),
            Rest::Vacant | Rest::Taken | Rest::MakingRoom | Rest::GivenUp => None,
        }
    }
}

/// A place for a worker.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) rest: Rest,
    /// The generation of the workers that are started here.
    pub(super) generation: u32,
    /// Consecutive deaths that the back-off counts.
    pub(super) failures: u32,
    /// After a successor that failed: no recycling before.
    pub(super) recycled_not_before: Now,
    /// After a recycling for a leak: none for another leak before.
    pub(super) leak_recycled_not_before: Now,
    /// Recent deaths before ready, for the breaker; never more than it needs.
    early_deaths: VecDeque<Now>,
}

impl Seat {
    pub(super) fn vacant(generation: u32) -> Seat {
        Seat {
            rest: Rest::Vacant,
            generation,
            failures: 0,
            recycled_not_before: Now::ZERO,
            leak_recycled_not_before: Now::ZERO,
            early_deaths: VecDeque::new(),
        }
    }

    /// Whether it has, or is to have, a worker.
    pub(super) fn wanted(&self) -> bool {
        self.rest != Rest::Vacant
    }

    /// What was bad is forgotten: a worker has shown that it can serve here.
    pub(super) fn heal(&mut self) {
        self.failures = 0;
        self.early_deaths.clear();
    }

    /// When its worker may be recycled for this reason.
    pub(super) fn not_recycled_before(&self, reason: Option<RecycleReason>) -> Now {
        match reason {
            Some(RecycleReason::Leak(_)) => self.recycled_not_before.max(self.leak_recycled_not_before),
            _ => self.recycled_not_before,
        }
    }

    /// Counts a death before ready; true if the breaker opens.
    pub(super) fn breaker_opens(&mut self, now: Now, policy: &Policy) -> bool {
        self.early_deaths.push_back(now);
        while self.early_deaths.front().is_some_and(|death| now.saturating_sub(*death) > policy.breaker_window)
            || self.early_deaths.len() > policy.breaker_deaths
        {
            self.early_deaths.pop_front();
        }
        self.early_deaths.len() >= policy.breaker_deaths
    }

    /// The wait before the next start: doubling, bounded, with jitter.
    pub(super) fn next_back_off(&mut self, policy: &Policy, jitter: f64) -> Duration {
        let doubled = policy.back_off_first.saturating_mul(1u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        self.failures = (self.failures + 1).min(31);
        doubled.min(policy.back_off_limit).mul_f64(jitter)
    }
}
