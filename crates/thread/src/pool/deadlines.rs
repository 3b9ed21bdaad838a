//! The thread that keeps deadlines: a caller hears of a passed deadline at once, also while every thread is stuck.
//!
//! It is started by the first deadline. An alarm that is set later than the one it sleeps for does not wake it, and one
//! that is taken back leaves nothing behind, so in the usual case (jobs end long before their deadline) it sleeps
//! nearly always.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Instant;

use crate::panic;
use crate::sync::lock;

/// Something to be told when its time has come.
pub(crate) trait Alarm: Send + Sync {
    fn ring(self: Arc<Self>);
}

/// Names a set alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AlarmKey(Instant, u64);

pub(crate) struct Deadlines {
    shared: Arc<Shared>,
    name: String,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    alarms: BTreeMap<AlarmKey, Weak<dyn Alarm>>,
    next_number: u64,
    keeper: Keeper,
}

/// What the thread does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keeper {
    NotStarted,
    SleepsUntil(Option<Instant>),
    Ended,
}

impl Deadlines {
    pub(crate) fn new(name: String) -> Deadlines {
        let state = State { alarms: BTreeMap::new(), next_number: 0, keeper: Keeper::NotStarted };
        Deadlines { shared: Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() }), name }
    }

    /// Rings `alarm` at `time`, unless it is taken back or gone by then.
    pub(crate) fn set(&self, time: Instant, alarm: Weak<dyn Alarm>) -> AlarmKey {
        let mut state = lock(&self.shared.state);
        let key = AlarmKey(time, state.next_number);
        state.next_number += 1;
        state.alarms.insert(key, alarm);
        match state.keeper {
            Keeper::NotStarted => {
                state.keeper = Keeper::SleepsUntil(Some(time));
                let shared = self.shared.clone();
                // Without the thread, deadlines are still kept where the job is: when it is reached and in
                // `is_cancelled`.
                if thread::Builder::new().name(self.name.clone()).spawn(move || shared.keep()).is_err() {
                    state.keeper = Keeper::NotStarted;
                }
            }
            Keeper::SleepsUntil(until) if until.is_none_or(|until| time < until) => {
                // So that the next alarm does not wake it again.
                state.keeper = Keeper::SleepsUntil(Some(time));
                drop(state);
                self.shared.changed.notify_one();
            }
            Keeper::SleepsUntil(_) | Keeper::Ended => {}
        }
        key
    }

    /// Takes an alarm back.
    pub(crate) fn take_back(&self, key: AlarmKey) {
        let alarm = lock(&self.shared.state).alarms.remove(&key);
        drop(alarm);
    }

    #[cfg(all(test, not(loom)))]
    pub(crate) fn pending(&self) -> usize {
        lock(&self.shared.state).alarms.len()
    }
}

impl Drop for Deadlines {
    fn drop(&mut self) {
        let mut state = lock(&self.shared.state);
        state.keeper = Keeper::Ended;
        let alarms = std::mem::take(&mut state.alarms);
        drop(state);
        drop(alarms);
        self.shared.changed.notify_one();
    }
}

impl Shared {
    fn keep(&self) {
        let mut state = lock(&self.state);
        while state.keeper != Keeper::Ended {
            let now = Instant::now();
            match state.alarms.first_key_value().map(|(key, _)| key.0) {
                Some(time) if time <= now => {
                    let alarm = state.alarms.pop_first().and_then(|(_, alarm)| alarm.upgrade());
                    drop(state);
                    // It wakes a task, which is foreign code; the keeper outlives its panic.
                    let _ = panic::catch(|| alarm.map(<dyn Alarm>::ring));
                    state = lock(&self.state);
                }
                Some(time) => {
                    state.keeper = Keeper::SleepsUntil(Some(time));
                    let waited = self.changed.wait_timeout(state, time - now);
                    state = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                None => {
                    state.keeper = Keeper::SleepsUntil(None);
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    const GIVE_UP: Duration = Duration::from_secs(20);

    struct Bell(&'static str, mpsc::Sender<&'static str>);

    impl Alarm for Bell {
        fn ring(self: Arc<Self>) {
            let _ = self.1.send(self.0);
            assert_ne!(self.0, "panics", "the keeper must survive this");
        }
    }

    #[test]
    fn alarms_ring_in_the_order_of_their_times_whichever_was_set_first() {
        let deadlines = Deadlines::new("test-clock".to_owned());
        let (sender, rung) = mpsc::channel();
        let now = Instant::now();
        let alarms: Vec<Arc<dyn Alarm>> = [("third", 60), ("panics", 20), ("second", 40), ("never", 60_000)]
            .map(|(name, after)| {
                let bell: Arc<dyn Alarm> = Arc::new(Bell(name, sender.clone()));
                deadlines.set(now + Duration::from_millis(after), Arc::downgrade(&bell));
                bell
            })
            .into();
        let order: Vec<_> = (0..3).map(|_| rung.recv_timeout(GIVE_UP).unwrap()).collect();
        assert_eq!(order, ["panics", "second", "third"]);
        assert_eq!(deadlines.pending(), 1);
        drop(alarms);
    }

    #[test]
    fn an_alarm_that_is_taken_back_leaves_nothing_and_never_rings() {
        let deadlines = Deadlines::new("test-clock".to_owned());
        let (sender, rung) = mpsc::channel();
        let bells: [Arc<dyn Alarm>; 2] = ["taken back", "kept"].map(|name| Arc::new(Bell(name, sender.clone())) as _);
        let soon = Instant::now() + Duration::from_millis(30);
        let first = deadlines.set(soon, Arc::downgrade(&bells[0]));
        deadlines.set(soon, Arc::downgrade(&bells[1]));
        deadlines.take_back(first);
        assert_eq!(rung.recv_timeout(GIVE_UP).unwrap(), "kept");
        assert_eq!(deadlines.pending(), 0);
    }
}
