//! The page of the cluster: what the primary counts, for everybody to read.

use std::time::{SystemTime, UNIX_EPOCH};

use phalanx_shared::{ClusterField, ClusterPage};

use super::Primary;
use crate::Event;
use crate::supervisor::{KillReason, RecycleReason};

impl Primary {
    /// Counts what has happened.
    pub(super) fn count(&self, event: &Event) {
        let field = match event {
            Event::Fork { .. } => ClusterField::Starts,
            Event::Exit { reason, .. } if !reason.voluntary => ClusterField::Crashes,
            Event::Killed { why, .. } => match why {
                KillReason::Boot => ClusterField::KilledBoot,
                KillReason::Gate => ClusterField::KilledGate,
                KillReason::Hung => ClusterField::KilledHung,
                KillReason::Memory => ClusterField::KilledMemory,
                KillReason::Drain => ClusterField::KilledDrain,
                KillReason::OldGeneration => ClusterField::KilledOldGeneration,
                KillReason::StopNow => ClusterField::KilledStop,
                KillReason::Unneeded => ClusterField::KilledUnneeded,
            },
            Event::BackOff { .. } => ClusterField::BackOffs,
            Event::BreakerOpen { .. } => ClusterField::BreakersOpened,
            Event::GaveUp { .. } => ClusterField::GivenUp,
            Event::Recycle { why, .. } => match why {
                RecycleReason::Requests(_) => ClusterField::RecycledRequests,
                RecycleReason::Lifetime(_) => ClusterField::RecycledLifetime,
                RecycleReason::Memory(_) => ClusterField::RecycledMemory,
                RecycleReason::Leak(_) => ClusterField::RecycledLeak,
            },
            Event::Ended { kind, failure, .. } => match (*kind, failure.is_none()) {
                ("reload", true) => {
                    self.cluster.set(ClusterField::LastReloadAt, unix_seconds());
                    ClusterField::ReloadsDone
                }
                ("reload", false) => ClusterField::ReloadsFailed,
                ("upgrade", true) => ClusterField::UpgradesDone,
                ("upgrade", false) => ClusterField::UpgradesFailed,
                ("rollback", true) => ClusterField::Rollbacks,
                _ => return,
            },
            Event::Stacks { .. } => ClusterField::StackDumps,
            Event::OutOfMemory { processes, .. } => {
                return self.cluster.add(ClusterField::OutOfMemoryKills, *processes);
            }
            Event::Stopping => return self.cluster.set(ClusterField::Stopping, 1),
            _ => return,
        };
        self.cluster.add(field, 1);
    }

    /// Writes down how many there are of what.
    pub(super) fn update_gauges(&self) {
        let counts = self.supervisor.counts();
        let set = |field, count: usize| self.cluster.set(field, count as u64);
        set(ClusterField::Wanted, counts.wanted);
        set(ClusterField::Serving, counts.serving);
        set(ClusterField::Draining, counts.draining);
        set(ClusterField::Booting, self.workers.len().saturating_sub(counts.serving + counts.draining));
        set(ClusterField::Broken, counts.broken);
        self.cluster.set(ClusterField::Generation, self.supervisor.generation().into());
    }
}

/// The page of a cluster that begins now, or that an earlier image of this process began.
pub(super) fn begun(page: ClusterPage) -> ClusterPage {
    if page.get(ClusterField::StartedAt) == 0 {
        page.set(ClusterField::StartedAt, unix_seconds());
    }
    page.set(ClusterField::PrimaryPid, std::process::id().into());
    page
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
