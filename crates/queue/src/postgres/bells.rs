//! [`Bells`]: who sleeps until there is something in a queue, and the waking of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// A bell nobody has slept at for so long is given back: until then, the server goes on ringing.
const GIVEN_BACK: Duration = Duration::from_secs(2);

/// The bells of a handle: by `r` and a queue (jobs), `m` and a queue (messages), `a` (to announce).
#[derive(Debug, Default)]
pub(super) struct Bells(Mutex<HashMap<String, Bell>>);

#[derive(Debug)]
struct Bell {
    rings: Arc<Notify>,
    used: Instant,
    /// The server knows it.
    told: bool,
}

impl Bells {
    /// The bell of this name, and whether the server knows it: if not, it is to be told before anybody trusts in it.
    pub(super) fn at(&self, name: &str) -> (Arc<Notify>, bool) {
        let mut bells = self.bells();
        match bells.get_mut(name) {
            Some(bell) => {
                bell.used = Instant::now();
                (bell.rings.clone(), bell.told)
            }
            None => {
                let rings = Arc::new(Notify::new());
                bells.insert(name.to_owned(), Bell { rings: rings.clone(), used: Instant::now(), told: false });
                (rings, false)
            }
        }
    }

    /// Wakes who sleeps there.
    pub(super) fn ring(&self, name: &str) {
        if let Some(bell) = self.bells().get(name) {
            bell.rings.notify_waiters();
        }
    }

    /// Wakes all: nobody knows what was missed.
    pub(super) fn ring_all(&self) {
        for bell in self.bells().values() {
            bell.rings.notify_waiters();
        }
    }

    /// What the server is to know.
    pub(super) fn names(&self) -> Vec<String> {
        self.bells().keys().cloned().collect()
    }

    /// The server knows these.
    pub(super) fn are_told(&self, names: &[String]) {
        let mut bells = self.bells();
        for name in names {
            if let Some(bell) = bells.get_mut(name) {
                bell.told = true;
            }
        }
    }

    /// Gives back those that nobody uses; whether there were any.
    pub(super) fn give_back(&self) -> bool {
        let mut bells = self.bells();
        let before = bells.len();
        bells.retain(|_, bell| Arc::strong_count(&bell.rings) > 1 || bell.used.elapsed() < GIVEN_BACK);
        bells.len() < before
    }

    fn bells(&self) -> MutexGuard<'_, HashMap<String, Bell>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bell_is_told_to_the_server_once_and_kept_while_somebody_sleeps_at_it() {
        let bells = Bells::default();
        let (bell, told) = bells.at("rq");
        assert!(!told);
        bells.are_told(&bells.names());
        assert!(bells.at("rq").1);
        assert!(!bells.give_back());
        assert_eq!(bells.names(), ["rq"]);
        drop(bell);
        assert!(!bells.give_back(), "not used for two seconds");
    }
}
