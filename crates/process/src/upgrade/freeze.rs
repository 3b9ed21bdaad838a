//! All other threads of this process stand still, so that none of them begins to handle a signal that the exec would take
//! from it.
//!
//! A signal for the process is handled by any thread that does not hold it back. The exec ends all threads but the one
//! that calls it: also one that has taken a signal and not noted it yet. So before the exec each gets a signal of our own,
//! whose handler holds back all others and waits. What a thread had begun to note it has noted then (handlers run to their
//! end first), and what comes from then on waits in the kernel for the next image.

use std::fs::File;
use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, Mode, OFlags, RawDir};
use rustix::thread::futex;

use crate::signal_mask::{SignalMask, bit};

/// After the first real-time signal; the keeper of a tree and the stack dump have their own.
const ABOVE_FIRST: i32 = 6;

/// How long to wait for the others. One that stands in the kernel does not come; then the exec goes on without it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Most threads that are told to stand still.
const MAX_THREADS: usize = 4096;

/// Bytes of a directory, or of the status of a thread, that are read at once.
const LISTING: usize = 4096;

/// Values of [`STATE`].
const THAWED: u32 = 0;
const FROZEN: u32 = 1;

/// What the handler waits on.
static STATE: AtomicU32 = AtomicU32::new(THAWED);

fn signal_number() -> i32 {
    libc::SIGRTMIN() + ABOVE_FIRST
}

/// A signal that nobody sends, and that only the handler of [`Signals`](crate::Signals) lets through. A thread that holds
/// this back too either stands still or will before it takes any other signal: the kernel gives a thread what was sent to
/// the thread before it gives what was sent to the process.
pub(crate) fn canary() -> i32 {
    signal_number() + 1
}

/// Everything that needs memory, done before the first thread stands still: it may hold the allocator's lock.
pub(super) struct Freezer {
    tasks: OwnedFd,
    told: Vec<i32>,
}

/// The other threads stand still as long as this lives.
pub(super) struct Frozen<'a> {
    /// False if one did not come in time.
    #[cfg_attr(not(test), expect(dead_code, reason = "an exec goes on in any case"))]
    all: bool,
    _freezer: std::marker::PhantomData<&'a Freezer>,
}

impl Freezer {
    pub(super) fn prepare() -> io::Result<Freezer> {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: zeroed is a valid `sigaction`; the handler has the right signature, is async-signal-safe (see there), and
        // stays valid for ever. All other signals wait while it runs.
        let result = unsafe {
            let action = action.assume_init_mut();
            action.sa_sigaction = stand_still as extern "C" fn(libc::c_int) as usize;
            action.sa_flags = libc::SA_RESTART;
            libc::sigfillset(&mut action.sa_mask);
            libc::sigaction(signal_number(), action, std::ptr::null_mut())
        };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Freezer { tasks: File::open("/proc/self/task")?.into(), told: Vec::with_capacity(MAX_THREADS) })
    }

    /// Tells them, and waits until they stand still. Allocates nothing.
    pub(super) fn freeze(&mut self) -> Frozen<'_> {
        let until = Instant::now() + PATIENCE;
        STATE.store(FROZEN, Ordering::SeqCst);
        let mut all = false;
        // Until a look finds nobody new: a thread that was not told yet may have started another.
        while (self.tell_the_new_ones() || !all) && Instant::now() < until {
            all = self.told.iter().all(|thread| is_out_of_the_way(*thread));
            if !all {
                std::thread::yield_now();
            }
        }
        Frozen { all, _freezer: std::marker::PhantomData }
    }

    /// False if there are none.
    fn tell_the_new_ones(&mut self) -> bool {
        let (ours, process) = (rustix::thread::gettid(), rustix::process::getpid().as_raw_nonzero().get());
        let before = self.told.len();
        if rustix::fs::seek(&self.tasks, rustix::fs::SeekFrom::Start(0)).is_err() {
            return false;
        }
        let mut buffer = [MaybeUninit::uninit(); LISTING];
        let mut entries = RawDir::new(self.tasks.as_fd(), &mut buffer);
        while let Some(Ok(entry)) = entries.next() {
            let Some(thread) = entry.file_name().to_str().ok().and_then(|name| name.parse::<i32>().ok()) else {
                continue;
            };
            let known = thread == ours.as_raw_nonzero().get() || self.told.contains(&thread);
            if known || self.told.len() == self.told.capacity() {
                continue;
            }
            // SAFETY: sends a signal that we handle to a thread of this very process; one that is gone gives ESRCH.
            if unsafe { libc::syscall(libc::SYS_tgkill, process, thread, signal_number()) } == 0 {
                self.told.push(thread);
            }
        }
        self.told.len() > before
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        STATE.store(THAWED, Ordering::SeqCst);
        let _ = futex::wake(&STATE, futex::Flags::PRIVATE, i32::MAX.unsigned_abs());
    }
}

/// Whether this thread can take no signal of the process any more: it holds back even the [`canary`], or has ended.
/// Allocates nothing.
fn is_out_of_the_way(thread: i32) -> bool {
    let mut path = [0; 64];
    let mut rest = &mut path[..];
    if write!(rest, "/proc/self/task/{thread}/status").is_err() {
        return false;
    }
    let length = path.iter().position(|byte| *byte == 0).unwrap_or(path.len());
    let Ok(file) = rustix::fs::openat(CWD, &path[..length], OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) else {
        return true;
    };
    let mut status = [0; LISTING];
    let Ok(count) = rustix::io::read(&file, &mut status) else { return true };
    // A name may be no text; the lines that matter are.
    status[..count].utf8_chunks().any(|text| blocked(text.valid()).is_some_and(|mask| mask.0 & bit(canary()) != 0))
}

/// The handler. Async-signal-safe: an atomic, and a system call that waits; `errno` is not touched by it.
extern "C" fn stand_still(_number: libc::c_int) {
    while STATE.load(Ordering::SeqCst) == FROZEN {
        // Returns at once if it has changed; `rustix` reports errors as values.
        let _ = futex::wait(&STATE, futex::Flags::PRIVATE, FROZEN, None);
    }
}

fn blocked(status: &str) -> Option<SignalMask> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:"))?;
    u64::from_str_radix(mask.trim(), 16).ok().map(SignalMask)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;

    use super::*;

    #[test]
    fn other_threads_stand_still_until_they_are_let_go() {
        let (count, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU32::new(0)));
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let (count, stop) = (Arc::clone(&count), Arc::clone(&stop));
                std::thread::spawn(move || {
                    while stop.load(Ordering::Relaxed) == 0 {
                        // Also with the allocator in use.
                        count.fetch_add(vec![1u8; 100].len() as u64, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        while count.load(Ordering::Relaxed) == 0 {
            std::thread::yield_now();
        }
        for _ in 0..20 {
            let mut freezer = Freezer::prepare().unwrap();
            let frozen = freezer.freeze();
            let all_stand = frozen.all;
            let before = count.load(Ordering::Relaxed);
            (0..100).for_each(|_| std::thread::yield_now());
            let after = count.load(Ordering::Relaxed);
            drop(frozen);
            // (Under a heavy load one may not have come in time.)
            assert!(!all_stand || before == after, "a thread ran on");
            while count.load(Ordering::Relaxed) == after {
                std::thread::yield_now();
            }
        }
        stop.store(1, Ordering::Relaxed);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }

    #[test]
    fn held_back_signals_are_read_from_the_status() {
        assert_eq!(blocked("Name:\tx\nSigBlk:\t0000000000000400\n"), Some(SignalMask(0x400)));
        assert_eq!(blocked(""), None);
    }
}
