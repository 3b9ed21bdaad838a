//! SIGINT, SIGTERM and SIGHUP: the work of `phalanx pipe` or `phalanx image` is given up, the exit code says which it was.
//!
//! A signal that was ignored when we were started (`nohup`, a job in the background of a script) stays ignored.

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use phalanx::process::{Signal, Signals, die_now};
use rustix::event::{PollFd, PollFlags, poll};

use crate::ending::Ending;

/// For the work to take back what it began; then we end whatever it does.
const GRACE: Duration = Duration::from_millis(500);
/// A shell's exit code of a program that a signal ended is this and the signal's number.
const SIGNALLED: i32 = 128;

/// The signal that has come; 0 is none.
static CAME: AtomicI32 = AtomicI32::new(0);
/// Gives the work up, once it runs; and where its end is awaited.
type Running = (Box<dyn FnOnce(&'static str) + Send>, Receiver<()>);
/// What a signal ends.
static RUNNING: Mutex<Option<Running>> = Mutex::new(None);

/// From now on these signals end the process, which is `phalanx COMMAND`, in order; `first` is done at once.
pub(crate) fn watch(command: &'static str, first: fn()) -> Result<(), String> {
    let ignored = ignored();
    // A file that may not grow any more (`ulimit -f`) is an error like others: its signal is only heard.
    let signals: Vec<Signal> = [Signal::Interrupt, Signal::Terminate, Signal::Hangup, Signal::FileLimit]
        .into_iter()
        .filter(|signal| ignored & (1 << (signal.number() - 1)) == 0)
        .collect();
    let signals = Signals::take(&signals).map_err(|error| error.to_string())?;
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            loop {
                let _ = poll(&mut [PollFd::new(&signals, PollFlags::IN)], None);
                if let Some(signal) = signals.next().filter(|signal| *signal != Signal::FileLimit) {
                    first();
                    end(signal, command, &signals);
                }
            }
        })
        .map(|_| ())
        .map_err(|error| format!("cannot start a thread: {error}"))
}

/// The work runs: a signal aborts it. What is given back is dropped when it has ended.
pub(crate) fn running(abort: impl FnOnce(&'static str) + Send + 'static) -> Sender<()> {
    let (ended, awaited) = mpsc::channel();
    *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) = Some((Box::new(abort), awaited));
    ended
}

/// The signal that has come, as an ending.
pub(crate) fn came() -> Option<Ending> {
    let number = CAME.load(Ordering::Acquire);
    Signal::from_number(number).map(|signal| Ending::new(SIGNALLED as u8 + number as u8, told(signal)))
}

fn told(signal: Signal) -> String {
    format!("ended by {signal}; nothing half-done was left")
}

fn end(signal: Signal, command: &str, signals: &Signals) {
    CAME.store(signal.number(), Ordering::Release);
    let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some((abort, ended)) = running {
        abort(signal.name());
        // It ends, and with it the process; or it hangs in something that nobody can interrupt.
        let _ = ended.recv_timeout(GRACE);
        let _ = poll(&mut [PollFd::new(signals, PollFlags::IN)], Some(&GRACE_OF_MAIN));
    }
    eprintln!("phalanx {command}: {}", told(signal));
    die_now(SIGNALLED + signal.number())
}

/// For the main thread to say the last words, once the work has ended.
const GRACE_OF_MAIN: rustix::event::Timespec = rustix::event::Timespec { tv_sec: 1, tv_nsec: 0 };

/// The signals that are ignored, as bits.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or(0)
}
