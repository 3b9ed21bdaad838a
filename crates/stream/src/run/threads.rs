//! [`Threads`]: hands on threads of our own, and the threads of ends that block beside one that is polled.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use phalanx_thread::Sleepers;

use crate::Error;
use crate::part::{Step, locked};
use crate::run::{Crew, Found, Run};

/// Names of threads in `top -H` and debuggers.
const HAND_NAME: &str = "stream";
const END_NAME: &str = "stream-end";

pub(super) struct Threads {
    most: usize,
    started: AtomicUsize,
    pub(super) asleep: Sleepers,
}

/// What was started, to be joined.
#[derive(Default)]
pub(super) struct Started(Mutex<Vec<JoinHandle<()>>>);

impl Started {
    /// Starts one; it counts as present.
    fn start(&self, run: &Arc<Run>, name: &str, body: impl FnOnce(&Arc<Run>) + Send + 'static) -> std::io::Result<()> {
        run.present.fetch_add(1, Ordering::SeqCst);
        let its_run = run.clone();
        let started = thread::Builder::new().name(name.to_owned()).spawn(move || {
            body(&its_run);
            its_run.tell_parts();
            its_run.leave();
        });
        match started {
            Ok(handle) => locked(&self.0).push(handle),
            Err(error) => {
                run.present.fetch_sub(1, Ordering::SeqCst);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Waits for the very end of all, which have left; or lets them be.
    pub(super) fn join(&self, have_left: bool) {
        let handles = std::mem::take(&mut *locked(&self.0));
        if have_left {
            handles.into_iter().for_each(|handle| drop(handle.join()));
        }
    }
}

impl Threads {
    pub(super) fn new(most: usize) -> Threads {
        Threads { most: most.max(1), started: AtomicUsize::new(0), asleep: Sleepers::default() }
    }

    pub(super) fn could_come(&self) -> bool {
        self.started.load(Ordering::SeqCst) < self.most || self.asleep.is_anybody_asleep()
    }

    /// Wakes one, or starts one more. That the system has no thread for us is an error only if we have none at all.
    pub(super) fn call(&self, run: &Arc<Run>) {
        if self.asleep.wake_one() {
            return;
        }
        let one_more = |started: usize| (started < self.most).then_some(started + 1);
        let Ok(before) = self.started.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more) else { return };
        if let Err(error) = run.started.start(run, HAND_NAME, hand)
            && before == 0
        {
            run.fail(Error::NoThread { why: error.to_string() });
        }
    }
}

fn hand(run: &Arc<Run>) {
    let Crew::Threads(threads) = &run.crew else { return };
    loop {
        match run.work() {
            Found::Work => {}
            Found::TheEnd => return,
            Found::Nothing if run.look_on() => {}
            Found::Nothing => {
                let longest = run.next_due().map(|due| due.saturating_duration_since(Instant::now()));
                threads.asleep.sleep(longest, || run.is_work_for_hands());
            }
        }
    }
}

/// Starts the threads of ends that block beside one that is polled.
pub(super) fn start_ends(run: &Arc<Run>) {
    for index in 0..run.alone.len() {
        let started = run.started.start(run, END_NAME, move |run| end(run, index));
        if let Err(error) = started {
            run.fail(Error::NoThread { why: error.to_string() });
            return;
        }
    }
}

fn end(run: &Arc<Run>, index: usize) {
    let alone = &run.alone[index];
    let part = &run.parts[alone.part];
    while !run.is_over() {
        if !part.is_ready() {
            alone.asleep.sleep(None::<Duration>, || run.is_over() || part.is_ready());
        } else if run.step(alone.part) != Step::Waiting {
            run.tell_ends();
            run.call_hand(0);
        }
    }
}
