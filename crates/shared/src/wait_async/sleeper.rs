//! [`Sleeper`]: the thread that sleeps for the pending waits.

use std::ffi::c_void;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use rustix::thread::futex::{ClockId, Wait, WaitFlags, WaitPtr, WaitvFlags, waitv};

use super::pending::Pending;
use super::room::Room;
use super::settle::{Standing, Verdict, settle};
use crate::Error;
use crate::buffer::Reading;
use crate::error::system;
use crate::futex::{self, Deadline, Slept};

/// Threads that sleep, each for up to 126 waits: more only if more are pending.
const MOST_SLEEPERS: usize = 64;
/// The least that all of them have space for, when every wait has a counter of its own.
const LEAST_WAITS: usize = MOST_SLEEPERS * 63;
/// A thread without waits stays so long, so that a wait now and then does not start one each time.
const IDLE: Duration = Duration::from_secs(1);
/// It calls wakers, and nothing else that is not ours.
const STACK_BYTES: usize = 256 * 1024;

static SLEEPERS: Mutex<Vec<Arc<Sleeper>>> = Mutex::new(Vec::new());

/// What others see of a sleeping thread.
#[derive(Default)]
pub(super) struct Sleeper {
    /// Changes when there is something new for the thread to see.
    control: AtomicU32,
    inbox: Mutex<Inbox>,
}

#[derive(Default)]
struct Inbox {
    new: Vec<Arc<Pending>>,
    room: Room,
}

/// A wait that the thread has taken over.
struct Kept {
    pending: Arc<Pending>,
    /// All notifies up to here were not for it.
    seen: Reading,
}

/// Hands a wait to a thread that has room, or to a new one.
pub(super) fn take_in(pending: &Arc<Pending>) -> Result<(), Error> {
    let mut sleepers = SLEEPERS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(sleeper) = sleepers.iter().find(|sleeper| sleeper.accept(pending)) {
        sleeper.kick();
        return Ok(());
    }
    if sleepers.len() >= MOST_SLEEPERS {
        return Err(Error::TooManyWaits { limit: LEAST_WAITS });
    }
    let sleeper = Arc::new(Sleeper::default());
    let thread = Arc::clone(&sleeper);
    std::thread::Builder::new()
        .name("phalanx-waits".into())
        .stack_size(STACK_BYTES)
        .spawn(move || thread.run())
        .map_err(|source| system("start the thread for asynchronous waits", source))?;
    sleeper.accept(pending);
    sleeper.kick();
    sleepers.push(sleeper);
    Ok(())
}

impl Sleeper {
    /// Makes the thread look.
    pub(super) fn kick(&self) {
        self.control.fetch_add(1, Ordering::SeqCst);
        // Nobody sleeps there, or the word is gone with the thread: both are fine.
        let _ = futex::wake(&self.control, 1);
    }

    fn accept(self: &Arc<Self>, pending: &Arc<Pending>) -> bool {
        let mut inbox = self.inbox();
        let has_room = inbox.room.take(counter_of(pending));
        if has_room {
            pending.kept_by(Arc::clone(self));
            inbox.new.push(Arc::clone(pending));
        }
        has_room
    }

    fn run(&self) {
        let mut kept: Vec<Kept> = Vec::new();
        loop {
            let control = self.control.load(Ordering::SeqCst);
            let new = std::mem::take(&mut self.inbox().new);
            kept.extend(new.into_iter().map(|pending| Kept { seen: pending.begun_at, pending }));
            // What has changed before they are armed, so that waits with one counter agree on what it says.
            self.settle(&mut kept, None);
            if kept.is_empty() {
                let slept = futex::sleep(&self.control, control, Deadline::after(IDLE).as_ref());
                if !matches!(slept, Ok(Slept::Woken | Slept::NotEqual)) && self.retire() {
                    return;
                }
                continue;
            }
            match sleep_on_all(&self.control, control, &kept) {
                Ok(named) => self.settle(&mut kept, named),
                Err(error) => {
                    for Kept { pending, .. } in kept.drain(..) {
                        self.let_go(&pending);
                        pending.end(Err(system("wait on elements of shared buffers", error)));
                    }
                }
            }
        }
    }

    /// Ends the waits that have ended, and forgets those whose future was dropped.
    fn settle(&self, kept: &mut Vec<Kept>, named: Option<usize>) {
        let standing: Vec<Standing> = kept.iter().map(Kept::standing).collect();
        let mut verdicts = settle(&standing, named).into_iter();
        kept.retain_mut(|wait| match verdicts.next() {
            Some(Verdict::Stays(reading)) if !wait.pending.is_given_up() => {
                wait.seen = reading;
                true
            }
            Some(verdict) => {
                self.let_go(&wait.pending);
                if let Verdict::Ends(waited) = verdict {
                    wait.pending.end(Ok(waited));
                }
                false
            }
            None => true,
        });
    }

    fn let_go(&self, pending: &Arc<Pending>) {
        self.inbox().room.give_back(counter_of(pending));
    }

    /// Takes itself out of the list; false if a wait came meanwhile.
    fn retire(&self) -> bool {
        let mut sleepers = SLEEPERS.lock().unwrap_or_else(PoisonError::into_inner);
        let unused = self.inbox().room.is_unused();
        if unused {
            sleepers.retain(|sleeper| !std::ptr::eq(&**sleeper, self));
        }
        unused
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn standing(&self) -> Standing {
        let Pending { place, deadline, .. } = &*self.pending;
        // The counters before the element and the clock: what they count is looked at again, what they do not will be.
        let now = place.notified().read();
        Standing {
            word: std::ptr::from_ref(place.futex()).addr(),
            counter: counter_of(&self.pending),
            still_equal: self.pending.still_equal(),
            overdue: deadline.is_some_and(Deadline::has_passed),
            seen: self.seen,
            now,
        }
    }
}

/// Sleeps until one of the waits is woken, a counter or the control word changes, or a deadline passes. The place of the
/// last wait that was woken.
fn sleep_on_all(control: &AtomicU32, control_seen: u32, kept: &[Kept]) -> Result<Option<usize>, Errno> {
    let mut words = Vec::with_capacity(2 * kept.len() + 1);
    // First, because the last woken word is named: a kick must not hide a wait.
    words.push(word(control, control_seen));
    words.extend(kept.iter().map(|wait| word(wait.pending.place.futex(), wait.pending.expected)));
    // Behind the waits, in which order the kernel looks at them: see the head of the module.
    let mut counters: Vec<(usize, &Kept)> = kept.iter().map(|wait| (counter_of(&wait.pending), wait)).collect();
    counters.sort_by_key(|(counter, _)| *counter);
    counters.dedup_by_key(|(counter, _)| *counter);
    words.extend(counters.iter().map(|(_, wait)| word(wait.pending.place.notified().begun(), wait.seen.begun)));

    let earliest = kept.iter().filter_map(|wait| wait.pending.deadline).min();
    match waitv(&words, WaitvFlags::empty(), earliest.as_ref().map(Deadline::at), ClockId::Monotonic) {
        Ok(index) => Ok(index.checked_sub(1).filter(|place| *place < kept.len())),
        Err(Errno::AGAIN | Errno::TIMEDOUT | Errno::INTR) => Ok(None),
        Err(other) => Err(other),
    }
}

fn word(futex: &AtomicU32, expected: u32) -> Wait {
    let mut wait = Wait::new();
    wait.val = expected.into();
    wait.uaddr = WaitPtr::new(std::ptr::from_ref(futex).cast::<c_void>().cast_mut());
    // Shared, not private to this process.
    wait.flags = WaitFlags::SIZE_U32;
    wait
}

fn counter_of(pending: &Pending) -> usize {
    std::ptr::from_ref(pending.place.notified().begun()).addr()
}
