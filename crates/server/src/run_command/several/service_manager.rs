//! [`Manager`]: the service manager that started us, which hears of all apps as of one service.

use std::time::Duration;

use phalanx::process::service::{Notify, watchdog_interval};
use phalanx::process::{Error, Signal};
use tokio::time::{Instant, sleep_until};

use super::Standing;

/// What it knows.
pub(super) struct Manager {
    notify: Option<Notify>,
    apps: Vec<Standing>,
    /// Whether the last word was that we serve.
    said_ready: bool,
    watchdog: Option<(Duration, Instant)>,
}

impl Manager {
    pub(super) fn new(apps: usize) -> Result<Manager, Error> {
        let watchdog = watchdog_interval().map(|interval| (interval, Instant::now()));
        Ok(Manager {
            notify: Notify::from_environment()?,
            apps: vec![Standing::Starting; apps],
            said_ready: false,
            watchdog,
        })
    }

    /// When the watchdog wants to hear of us again.
    pub(super) async fn wants_to_hear(&self) {
        match self.watchdog {
            Some((_, next)) => sleep_until(next).await,
            None => std::future::pending().await,
        }
    }

    /// It hears of us.
    pub(super) fn hears(&mut self) {
        if let Some((interval, next)) = &mut self.watchdog {
            *next = Instant::now() + *interval;
        }
        self.say(Notify::watchdog);
    }

    /// A signal goes to all apps.
    pub(super) fn passes_on(&mut self, signal: Signal) {
        match signal {
            Signal::Hangup => {
                for app in self.apps.iter_mut().filter(|app| **app == Standing::Serving) {
                    *app = Standing::Reloading;
                }
                self.said_ready = false;
                self.say(|notify| notify.reloading("all apps"));
                self.ready_if_all_are();
            }
            Signal::Terminate | Signal::Interrupt | Signal::Quit => {
                self.say(|notify| notify.stopping("the apps finish what they have"));
            }
            _ => {}
        }
    }

    /// An app says how it stands.
    pub(super) fn stands(&mut self, index: usize, standing: Standing) {
        if let Some(app) = self.apps.get_mut(index) {
            *app = standing;
        }
        self.ready_if_all_are();
    }

    /// Ready is when each app serves, or has failed: that one is tried again, and the others serve.
    fn ready_if_all_are(&mut self) {
        let is_under_way = |app: &Standing| matches!(app, Standing::Starting | Standing::Reloading);
        let serving = self.apps.iter().filter(|app| **app == Standing::Serving).count();
        if self.said_ready || serving == 0 || self.apps.iter().any(is_under_way) {
            return;
        }
        self.said_ready = true;
        let status = format!("{serving} of {} apps serve", self.apps.len());
        self.say(|notify| notify.ready(&status));
    }

    /// A manager that does not listen is not worth a word.
    fn say(&self, word: impl FnOnce(&Notify) -> Result<(), Error>) {
        if let Some(Err(error)) = self.notify.as_ref().map(word) {
            tracing::debug!("the service manager does not hear us: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_is_when_every_app_serves_or_has_failed() {
        let mut manager =
            Manager { notify: None, apps: vec![Standing::Starting; 3], said_ready: false, watchdog: None };
        for (index, standing, said) in
            [(0, Standing::Serving, false), (1, Standing::Down, false), (2, Standing::Serving, true)]
        {
            manager.stands(index, standing);
            assert_eq!(manager.said_ready, said);
        }
        manager.passes_on(Signal::Hangup);
        assert!(!manager.said_ready);
        manager.stands(0, Standing::Serving);
        assert!(!manager.said_ready);
        manager.stands(2, Standing::Serving);
        assert!(manager.said_ready);
    }
}
