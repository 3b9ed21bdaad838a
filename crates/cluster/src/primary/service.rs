//! The service manager that started us, and the file with our process id.
//!
//! | when | what systemd hears |
//! |---|---|
//! | the first worker serves | `READY=1`: the sockets are open since the start, and now somebody answers |
//! | a reload or an upgrade begins, and ends | `RELOADING=1`, and `READY=1` again whether or not it changed anything |
//! | a stop begins | `STOPPING=1` |
//! | at half the watchdog's interval | `WATCHDOG=1`: from the loop itself, so a loop that stands still says nothing |

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use phalanx_process::service::{Notify, PidFile, watchdog_interval};

use super::Primary;
use crate::{Error, Event};

/// What the world outside knows of this process.
#[derive(Debug, Default)]
pub(super) struct Service {
    manager: Option<Notify>,
    watchdog: Option<(Duration, Instant)>,
    /// Whether it was told that we serve.
    ready: bool,
    pid_file: Option<PidFile>,
}

impl Service {
    /// Creates the pid file, or goes on with that of the image before this one, and looks for a service manager.
    pub(super) fn begin(pid_file: Option<&Path>, kept: Option<OwnedFd>) -> Result<Service, Error> {
        let pid_file = match (pid_file, kept) {
            (Some(path), Some(kept)) => Some(PidFile::resume(path, kept).or_else(|_| PidFile::create(path))),
            (Some(path), None) => Some(PidFile::create(path)),
            (None, _) => None,
        };
        let interval = watchdog_interval();
        Ok(Service {
            manager: Notify::from_environment()?,
            watchdog: interval.map(|interval| (interval, Instant::now())),
            ready: false,
            pid_file: pid_file.transpose().map_err(Error::PidFile)?,
        })
    }

    /// The pid file's descriptor, for the next image.
    pub(super) fn kept(&self) -> Option<BorrowedFd<'_>> {
        self.pid_file.as_ref().map(AsFd::as_fd)
    }

    /// When the watchdog wants to hear of us again.
    pub(super) fn wakes_at(&self) -> Option<Instant> {
        self.watchdog.map(|(_, next)| next)
    }

    /// Tells the manager. One that does not listen is not worth a word: it watches us by other means.
    fn say(&self, word: impl FnOnce(&Notify) -> Result<(), phalanx_process::Error>) {
        if let Some(Err(error)) = self.manager.as_ref().map(word) {
            tracing::debug!("the service manager does not hear us: {error}");
        }
    }
}

impl Primary {
    /// Tells the service manager what has happened.
    pub(super) fn tell_manager(&mut self, event: &Event) {
        match event {
            Event::Began { kind, .. } if replaces(kind) => {
                self.service.say(|manager| manager.reloading(kind));
            }
            Event::Ended { kind, failure, .. } if replaces(kind) => {
                self.service.ready = true;
                let status = match failure {
                    None => self.summary(),
                    Some(why) => format!("{}; the last {kind} failed: {why}", self.summary()),
                };
                self.service.say(|manager| manager.ready(&status));
            }
            Event::BreakerOpen { .. } | Event::GaveUp { .. } => {
                let status = format!("{}; {event}", self.summary());
                self.service.say(|manager| manager.status(&status));
            }
            Event::Stopping => self.service.say(|manager| manager.stopping("the workers finish what they have")),
            _ => {}
        }
    }

    /// The first worker serves.
    pub(super) fn announce(&mut self) {
        if self.service.ready || self.operations.running().is_some() || self.supervisor.counts().serving == 0 {
            return;
        }
        self.service.ready = true;
        let status = self.summary();
        self.service.say(|manager| manager.ready(&status));
    }

    /// The watchdog hears from the loop itself.
    pub(super) fn feed_watchdog(&mut self) {
        let now = Instant::now();
        if let Some((interval, next)) = &mut self.service.watchdog
            && *next <= now
        {
            *next = now + *interval;
            self.service.say(Notify::watchdog);
        }
    }

    fn summary(&self) -> String {
        let counts = self.supervisor.counts();
        let addresses: Vec<String> = self.listeners.addresses().iter().map(ToString::to_string).collect();
        format!("{} of {} workers serve {}", counts.serving, counts.wanted, addresses.join(", "))
    }
}

/// Whether this kind of operation replaces the workers.
fn replaces(kind: &str) -> bool {
    matches!(kind, "reload" | "upgrade" | "rollback")
}
