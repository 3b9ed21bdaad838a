//! The thread that keeps deadlines: a caller hears of a passed deadline also while every thread is stuck.
//!
//! It costs jobs that are in time next to nothing: no entry is made for them and none is taken back. The keeper sleeps
//! until the earliest deadline that it knows of; then it walks over what still waits and runs, tells those that are too
//! late, and notes the earliest of the rest. A new job only has to look whether its deadline is earlier than that (one
//! load); with equal time limits it never is.
//!
//! A walk is made at most every [`GRANULARITY`], and takes at most a twentieth of the time: with thousands in the queue
//! deadlines are told some milliseconds late, with the usual queue one.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use crate::line::{NEVER, Nanos, nanos};
use crate::sync::lock;

/// How late a deadline is told at most, if the walk is short.
const GRANULARITY: Duration = Duration::from_millis(1);
/// The rest after a walk, as a multiple of its length.
const REST: u32 = 19;

/// What has deadlines.
pub(crate) trait Watched: Send + Sync + 'static {
    /// Tells all for which it is too late at `now`; the earliest deadline of the others, and how long the walk took.
    fn tell_overdue(&self, now: Nanos) -> (Nanos, Duration);
}

pub(crate) struct Keeper {
    epoch: Instant,
    name: String,
    /// When the next walk is due. [`NEVER`] while a walk is made, so that deadlines that come meanwhile are noted.
    until: AtomicU64,
    ended: AtomicBool,
    thread: Mutex<Option<Thread>>,
}

impl Keeper {
    pub(crate) fn new(name: String, epoch: Instant) -> Arc<Keeper> {
        let (until, ended) = (AtomicU64::new(NEVER), AtomicBool::new(false));
        Arc::new(Keeper { epoch, name, until, ended, thread: Mutex::new(None) })
    }

    pub(crate) fn now(&self) -> Nanos {
        nanos(self.epoch.elapsed())
    }

    /// Makes sure that there is a walk at `due`. The deadline must be where the walk finds it already.
    ///
    /// Why none is missed: a walk first sets `until` to never, then looks. A deadline that it did not see was put there
    /// after it had looked; so whoever put it sees `until` as never, or what was noted since.
    pub(crate) fn note<W: Watched>(self: &Arc<Self>, due: Nanos, watched: &Arc<W>) {
        if due < self.until.load(Ordering::SeqCst) && due < self.until.fetch_min(due, Ordering::SeqCst) {
            self.rouse(watched);
        }
    }

    #[cold]
    fn rouse<W: Watched>(self: &Arc<Self>, watched: &Arc<W>) {
        let mut thread = lock(&self.thread);
        if let Some(thread) = &*thread {
            thread.unpark();
            return;
        }
        let (keeper, watched) = (self.clone(), Arc::downgrade(watched));
        match thread::Builder::new().name(self.name.clone()).spawn(move || keeper.keep(&watched)) {
            Ok(started) => *thread = Some(started.thread().clone()),
            // Without the thread, deadlines are still kept where the job is: when it is reached and in `is_cancelled`.
            // The next deadline tries again.
            Err(_) => self.until.store(NEVER, Ordering::SeqCst),
        }
    }

    fn keep<W: Watched>(&self, watched: &Weak<W>) {
        let mut rest_until = 0;
        while !self.ended.load(Ordering::Acquire) {
            let now = self.now();
            match self.until.load(Ordering::SeqCst).max(rest_until) {
                NEVER => thread::park(),
                until if until > now => thread::park_timeout(Duration::from_nanos(until - now)),
                _ => {
                    let Some(watched) = watched.upgrade() else { return };
                    self.until.store(NEVER, Ordering::SeqCst);
                    let (earliest, walk) = watched.tell_overdue(now);
                    self.until.fetch_min(earliest, Ordering::SeqCst);
                    rest_until = now.saturating_add(nanos(GRANULARITY.max(walk * REST)));
                }
            }
        }
    }

    /// The thread ends by itself soon.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        if let Some(thread) = &*lock(&self.thread) {
            thread.unpark();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::mpsc;

    const GIVE_UP: Duration = Duration::from_secs(20);

    struct Bells {
        set: Mutex<Vec<(Nanos, &'static str)>>,
        rung: mpsc::Sender<&'static str>,
    }

    impl Watched for Bells {
        fn tell_overdue(&self, now: Nanos) -> (Nanos, Duration) {
            let mut set = lock(&self.set);
            set.sort_unstable();
            let overdue = set.partition_point(|(due, _)| *due <= now);
            let later = set.split_off(overdue);
            let overdue = std::mem::replace(&mut *set, later);
            overdue.into_iter().for_each(|(_, name)| self.rung.send(name).expect("the test listens"));
            (set.first().map_or(NEVER, |(due, _)| *due), Duration::ZERO)
        }
    }

    fn set(keeper: &Arc<Keeper>, bells: &Arc<Bells>, name: &'static str, after: Duration) {
        let due = keeper.now() + nanos(after);
        lock(&bells.set).push((due, name));
        keeper.note(due, bells);
    }

    fn bells() -> (Arc<Keeper>, Arc<Bells>, mpsc::Receiver<&'static str>) {
        let (rung, heard) = mpsc::channel();
        (Keeper::new("test-clock".to_owned(), Instant::now()), Arc::new(Bells { set: Mutex::default(), rung }), heard)
    }

    #[test]
    fn deadlines_are_told_in_their_order_whichever_was_set_first() {
        let (keeper, bells, heard) = bells();
        for (name, millis) in [("third", 60), ("first", 20), ("second", 40), ("never", 60_000)] {
            set(&keeper, &bells, name, Duration::from_millis(millis));
        }
        let order: Vec<_> = (0..3).map(|_| heard.recv_timeout(GIVE_UP).unwrap()).collect();
        assert_eq!(order, ["first", "second", "third"]);
        assert!(heard.try_recv().is_err());
        keeper.end();
    }

    #[test]
    fn no_deadline_is_missed_that_is_set_while_a_walk_is_made() {
        let (keeper, bells, heard) = bells();
        for _ in 0..200 {
            set(&keeper, &bells, "soon", Duration::from_micros(100));
            set(&keeper, &bells, "at once", Duration::ZERO);
            for _ in 0..2 {
                heard.recv_timeout(GIVE_UP).unwrap();
            }
        }
        keeper.end();
    }
}
