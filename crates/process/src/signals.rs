//! Signals as something to read instead of something that interrupts.
//!
//! Signal handling is a trap: a handler may interrupt any instruction and may call next to nothing. Ours writes one
//! byte into a pipe and returns; everything else happens where the pipe is read. (A signalfd would need no handler, but
//! it needs the signal blocked in *every* thread, and a thread that a program started earlier would be hit by it and end
//! the process.)

use std::fmt;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};

use rustix::pipe::PipeFlags;

use crate::Error;
use crate::signal_mask::{SignalMask, bit};
use crate::upgrade::canary;

macro_rules! signals {
    ($($(#[$doc:meta])* $name:ident = $number:ident, $rustix:ident;)*) => {
        /// The signals of Linux that have a fixed meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Signal {
            $($(#[$doc])* $name,)*
        }

        impl Signal {
            /// Its number.
            pub fn number(self) -> i32 {
                match self { $(Signal::$name => libc::$number,)* }
            }

            /// The signal of this number, if it is one of these.
            pub fn from_number(number: i32) -> Option<Signal> {
                match number { $(libc::$number => Some(Signal::$name),)* _ => None }
            }

            pub(crate) fn as_rustix(self) -> rustix::process::Signal {
                match self { $(Signal::$name => rustix::process::Signal::$rustix,)* }
            }

            /// Its usual name, such as `SIGTERM`.
            pub fn name(self) -> &'static str {
                match self { $(Signal::$name => stringify!($number),)* }
            }

            /// The signal of this usual name, such as `SIGTERM`; `None` if it is none of these.
            pub fn from_name(name: &str) -> Option<Signal> {
                match name { $(stringify!($number) => Some(Signal::$name),)* _ => None }
            }
        }
    };
}

signals! {
    /// Stop and finish what is under way.
    Terminate = SIGTERM, TERM;
    /// As [`Signal::Terminate`], from the keyboard.
    Interrupt = SIGINT, INT;
    /// Stop at once.
    Quit = SIGQUIT, QUIT;
    /// The terminal is gone, or: reload.
    Hangup = SIGHUP, HUP;
    /// End now; cannot be refused.
    Kill = SIGKILL, KILL;
    /// Stand still.
    Stop = SIGSTOP, STOP;
    /// Go on after [`Signal::Stop`].
    Continue = SIGCONT, CONT;
    /// Free for the program.
    User1 = SIGUSR1, USR1;
    /// Free for the program.
    User2 = SIGUSR2, USR2;
    /// Abort with a core dump.
    Abort = SIGABRT, ABORT;
    /// A wild pointer.
    Segv = SIGSEGV, SEGV;
    /// A mapping without memory behind it.
    Bus = SIGBUS, BUS;
    /// No such instruction.
    Illegal = SIGILL, ILL;
    /// A breakpoint.
    Trap = SIGTRAP, TRAP;
    /// An impossible division.
    Arithmetic = SIGFPE, FPE;
    /// A write to something that nobody reads.
    Pipe = SIGPIPE, PIPE;
    /// A timer.
    Alarm = SIGALRM, ALARM;
    /// A child has ended or stopped.
    Child = SIGCHLD, CHILD;
    /// A reader in the background wants the terminal, or: one worker more.
    TtyIn = SIGTTIN, TTIN;
    /// A writer in the background wants the terminal, or: one worker less.
    TtyOut = SIGTTOU, TTOU;
    /// The terminal has another size.
    Window = SIGWINCH, WINCH;
    /// The limit of processor time is reached.
    ProcessorLimit = SIGXCPU, XCPU;
    /// The limit of the file size is reached.
    FileLimit = SIGXFSZ, XFSZ;
    /// A system call that is not allowed.
    BadCall = SIGSYS, SYS;
}

impl Signal {
    /// The usual name of a signal number, for the signals of this enum.
    pub fn name_of(number: i32) -> Option<&'static str> {
        Signal::from_number(number).map(Signal::name)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The pipe that the handler writes into. Created once and never closed: a handler may run at any time.
static PIPE: OnceLock<Pipe> = OnceLock::new();
/// The end of [`PIPE`] that the handler writes to; -1 before there is one.
static WRITER: AtomicI32 = AtomicI32::new(-1);
/// Signals that are in the pipe: each at most once, so it is never full. Bits as in [`SignalMask`].
static PENDING: AtomicU64 = AtomicU64::new(0);
/// Signals whose handler is ours.
static HANDLED: AtomicU64 = AtomicU64::new(0);
/// Whether there is a [`Signals`].
static TAKEN: AtomicBool = AtomicBool::new(false);

#[derive(Debug)]
struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
}

/// Signals, read one by one from a descriptor. There is one for each process.
///
/// A signal that comes again before it was read counts once, as in the kernel: a storm of thousands loses none of the
/// kinds, and takes no more room than one of each.
#[derive(Debug)]
pub struct Signals {
    pipe: &'static Pipe,
}

impl Signals {
    /// From now on `signals` do not interrupt or end this process, but are read here. Children get their default
    /// actions back when they execute. After an [exec in place](crate::upgrade) it also tells of those that came
    /// meanwhile.
    ///
    /// Errors: a second call in the same process.
    pub fn take(signals: &[Signal]) -> Result<Signals, Error> {
        if TAKEN.swap(true, Ordering::AcqRel) {
            return Err(Error::system("take signals", std::io::Error::other("they were taken already")));
        }
        let pipe = match PIPE.get() {
            Some(pipe) => pipe,
            None => {
                let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)
                    .map_err(|source| Error::system("create a pipe for signals", source))?;
                open(reader, writer)
            }
        };
        let wanted = signals.iter().fold(0, |all, signal| all | bit(signal.number()));
        let before = HANDLED.fetch_or(wanted, Ordering::AcqRel);
        for signal in signals {
            handle(signal.number())?;
        }
        // Those that the image before this one took, and we do not.
        for number in SignalMask(before & !wanted).numbers() {
            // SAFETY: gives a signal its default action back.
            unsafe { libc::signal(number, libc::SIG_DFL) };
        }
        HANDLED.store(wanted, Ordering::Release);
        Ok(Signals { pipe })
    }

    /// Takes one signal, if one has come. Never blocks.
    pub fn next(&self) -> Option<Signal> {
        let mut number = [0];
        while let Ok(1) = rustix::io::read(&self.pipe.reader, &mut number) {
            let bit = bit(number[0].into());
            // Before it is handled: one that comes from here on is told anew.
            PENDING.fetch_and(!bit, Ordering::AcqRel);
            if let (true, Some(signal)) =
                (HANDLED.load(Ordering::Acquire) & bit != 0, Signal::from_number(number[0].into()))
            {
                return Some(signal);
            }
        }
        None
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.reader.as_fd()
    }
}

fn open(reader: OwnedFd, writer: OwnedFd) -> &'static Pipe {
    let pipe = PIPE.get_or_init(|| Pipe { reader, writer });
    WRITER.store(pipe.writer.as_raw_fd(), Ordering::Release);
    pipe
}

/// What an image that executes another in its place hands over: the pipe, with what is in it, and whose handlers are ours.
pub(crate) fn carried() -> Option<(BorrowedFd<'static>, BorrowedFd<'static>, SignalMask)> {
    let pipe = PIPE.get()?;
    Some((pipe.reader.as_fd(), pipe.writer.as_fd(), SignalMask(HANDLED.load(Ordering::Acquire))))
}

/// Takes over from the image before this one: its signals are noted from now on, until [`Signals::take`] reads them.
pub(crate) fn resume(reader: OwnedFd, writer: OwnedFd, handled: SignalMask) -> Result<(), Error> {
    open(reader, writer);
    HANDLED.store(handled.0, Ordering::Release);
    handled.numbers().try_for_each(handle)
}

fn handle(number: libc::c_int) -> Result<(), Error> {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // All other signals wait until one is noted: also that by which an exec in place lets threads stand still. By the canary
    // it sees that we are at it.
    // SAFETY: zeroed is a valid `sigaction`; the handler has the right signature, is
    // async-signal-safe (see there), and stays valid for ever; a number that is no signal is refused.
    let result = unsafe {
        let action = action.assume_init_mut();
        action.sa_sigaction = note as extern "C" fn(libc::c_int) as usize;
        action.sa_flags = libc::SA_RESTART;
        libc::sigfillset(&mut action.sa_mask);
        libc::sigdelset(&mut action.sa_mask, canary());
        libc::sigaction(number, action, std::ptr::null_mut())
    };
    if result == 0 {
        return Ok(());
    }
    let name = Signal::name_of(number).map_or_else(|| format!("signal {number}"), str::to_owned);
    Err(Error::system(format!("take {name}"), std::io::Error::last_os_error()))
}

/// The handler. Async-signal-safe: it changes atomics, calls `write`, and puts `errno` back.
extern "C" fn note(number: libc::c_int) {
    if PENDING.fetch_or(bit(number), Ordering::AcqRel) & bit(number) != 0 {
        // It waits to be read, and once more says nothing new.
        return;
    }
    // All signals have numbers below 65.
    let byte = number as u8;
    // SAFETY: `errno` is this thread's own; `write` is async-signal-safe and reads one byte that lives; the descriptor is
    // never closed, and the pipe holds each signal once (twice after an exec in place), so there is room.
    unsafe {
        let errno = libc::__errno_location();
        let before = *errno;
        libc::write(WRITER.load(Ordering::Acquire), (&raw const byte).cast(), 1);
        *errno = before;
    }
}

/// Ends this process now: no destructors, no exit handlers, nothing that could wait for a lock.
pub fn die_now(code: i32) -> ! {
    // SAFETY: always safe to call; it does not return.
    unsafe { libc::_exit(code) }
}
