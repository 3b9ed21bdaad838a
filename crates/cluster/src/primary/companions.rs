//! The companions: started before the workers, started again when they end, ended after the workers.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use phalanx_process::{Process, Role, Signal};
use phalanx_shared::Blob;
use rustix::event::epoll;

use super::{Primary, Source, generations, system};
use crate::Error;
use crate::companion::{COMPANION_ROLE, descriptor};

/// Wait before one that died young is started again; it doubles each time.
const RESTART_FIRST: Duration = Duration::from_millis(100);
/// Longest wait.
const RESTART_LIMIT: Duration = Duration::from_secs(5);
/// One that lived this long has proven itself.
const HEALTHY_AFTER: Duration = Duration::from_secs(10);
/// What all of them together get between SIGTERM and SIGKILL.
const LAST_DEEDS: Duration = Duration::from_secs(5);

/// All of them, in the order in which they were named.
#[derive(Debug, Default)]
pub(super) struct Companions(Vec<Seat>);

#[derive(Debug)]
struct Seat {
    name: String,
    running: Option<Running>,
    /// When it is to be started, while it does not run.
    start_at: Instant,
    /// Short lives, one after the other.
    failures: u32,
    starts: u64,
    /// How the last one ended.
    ended: Option<String>,
}

#[derive(Debug)]
struct Running {
    child: Process,
    started: Instant,
}

/// How a companion is, for whoever asks.
#[cfg(feature = "control")]
pub(super) struct Standing<'a> {
    pub(super) name: &'a str,
    pub(super) pid: Option<u32>,
    pub(super) restarts: u64,
    pub(super) alive_for: Option<Duration>,
    pub(super) ended: Option<&'a str>,
}

impl Companions {
    pub(super) fn of(names: impl IntoIterator<Item = String>) -> Companions {
        let start_at = Instant::now();
        let seat = |name| Seat { name, running: None, start_at, failures: 0, starts: 0, ended: None };
        Companions(names.into_iter().map(seat).collect())
    }

    /// When one is to be started.
    pub(super) fn wakes_at(&self) -> Option<Instant> {
        self.0.iter().filter(|seat| seat.running.is_none()).map(|seat| seat.start_at).min()
    }

    #[cfg(feature = "control")]
    pub(super) fn standings(&self) -> impl Iterator<Item = Standing<'_>> {
        self.0.iter().map(|seat| Standing {
            name: &seat.name,
            pid: seat.running.as_ref().map(|running| running.child.pid()),
            restarts: seat.starts.saturating_sub(1),
            alive_for: seat.running.as_ref().map(|running| running.started.elapsed()),
            ended: seat.ended.as_deref(),
        })
    }

    /// Another image of the primary starts its own: these end, and are reaped there.
    pub(super) fn dismiss(&self) {
        for running in self.0.iter().filter_map(|seat| seat.running.as_ref()) {
            let _ = running.child.kill(Signal::Terminate);
        }
    }

    /// The cluster has ended: so do they.
    pub(super) fn finish(&mut self) {
        self.dismiss();
        let deadline = Instant::now() + LAST_DEEDS;
        for seat in &mut self.0 {
            let Some(running) = seat.running.take() else { continue };
            super::wait_until_readable(running.child.as_fd(), deadline);
            if !matches!(running.child.try_wait(), Ok(Some(_))) {
                tracing::warn!("the companion \"{}\" did not end within {LAST_DEEDS:?}; it is killed", seat.name);
                let _ = running.child.kill(Signal::Kill);
                super::wait_until_readable(running.child.as_fd(), Instant::now() + LAST_DEEDS);
                let _ = running.child.try_wait();
            }
        }
    }
}

impl Seat {
    /// It does not run (any more): when the next one is started.
    fn start_later(&mut self, lived: Duration) {
        if lived >= HEALTHY_AFTER {
            self.failures = 0;
            self.start_at = Instant::now();
            return;
        }
        self.start_at = Instant::now() + RESTART_FIRST.saturating_mul(1 << self.failures.min(10)).min(RESTART_LIMIT);
        self.failures += 1;
    }
}

impl Primary {
    /// Starts those that are due.
    pub(super) fn start_companions(&mut self) {
        for index in 0..self.companions.0.len() {
            let seat = &self.companions.0[index];
            if seat.running.is_some() || seat.start_at > Instant::now() {
                continue;
            }
            let started = self.start_companion(index, &seat.name);
            let seat = &mut self.companions.0[index];
            match started {
                Ok(child) => {
                    seat.starts += 1;
                    seat.running = Some(Running { child, started: Instant::now() });
                }
                Err(error) => {
                    tracing::error!("the companion \"{}\" cannot be started: {error}; it is tried again", seat.name);
                    seat.ended = Some(error.to_string());
                    seat.start_later(Duration::ZERO);
                }
            }
            self.companions_changed();
        }
    }

    fn start_companion(&self, index: usize, name: &str) -> Result<Process, Error> {
        let of_name = Blob::from(name.as_bytes().to_vec()).descriptor().map_err(generations::shared)?;
        let newest = self.generations.living().last().and_then(|(_, settings)| settings.snapshot.as_ref());
        let settings: Option<OwnedFd> =
            newest.map(|blob| blob.descriptor()).transpose().map_err(generations::shared)?;
        let arguments = [format!("phalanx: {name}").into()].into_iter().chain(std::env::args_os().skip(1));
        let mut role = Role::new(COMPANION_ROLE).arguments(arguments).descriptor(descriptor::NAME, of_name.as_fd());
        if let Some(settings) = &settings {
            role = role.descriptor(descriptor::SETTINGS, settings.as_fd());
        }
        let child = self.confinement.of_companion(role).spawn()?;
        let source = Source::Companion(index as u32);
        match epoll::add(&self.epoll, &child, source.data(), epoll::EventFlags::IN) {
            Ok(()) => Ok(child),
            Err(error) => {
                let _ = child.kill(Signal::Kill);
                super::wait_until_readable(child.as_fd(), Instant::now() + LAST_DEEDS);
                let _ = child.try_wait();
                Err(system("watch a companion")(error))
            }
        }
    }

    /// The process of this companion has ended, or not: looks.
    pub(super) fn reap_companion(&mut self, index: u32) {
        let Some(seat) = self.companions.0.get_mut(index as usize) else { return };
        let Some(running) = &seat.running else { return };
        let status = match running.child.try_wait() {
            Ok(None) => return,
            Ok(Some(status)) => match running.child.refusal() {
                Some(refusal) => refusal.to_string(),
                None => status.to_string(),
            },
            Err(error) => error.to_string(),
        };
        let lived = running.started.elapsed();
        seat.running = None;
        seat.start_later(lived);
        let wait = seat.start_at.saturating_duration_since(Instant::now());
        tracing::warn!("the companion \"{}\" ended ({status}); it is started again in {wait:.1?}", seat.name);
        seat.ended = Some(status);
        self.companions_changed();
    }

    fn companions_changed(&mut self) {
        if let Some(front) = &mut self.front {
            front.status_changed();
        }
    }
}
