//! Signals as something to read instead of something that interrupts.
//!
//! Signal handling is a trap: a handler may interrupt any instruction and may call next to nothing. Ours writes one
//! byte into a pipe and returns; everything else happens where the pipe is read. (A signalfd would need no handler, but
//! it needs the signal blocked in *every* thread, and a thread that a program started earlier would be hit by it and end
//! the process.)

use std::fmt;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::pipe::PipeFlags;

use crate::Error;

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

/// Where the handler writes; -1 before there is a pipe. Set once and never closed: a handler may run at any time.
static PIPE: AtomicI32 = AtomicI32::new(-1);

/// Signals, read one by one from a descriptor. There is one for each process.
#[derive(Debug)]
pub struct Signals {
    file: OwnedFd,
}

impl Signals {
    /// From now on `signals` do not interrupt or end this process, but are read here. Children get their default
    /// actions back when they execute.
    ///
    /// Errors: a second call in the same process.
    pub fn take(signals: &[Signal]) -> Result<Signals, Error> {
        let (file, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)
            .map_err(|source| Error::system("create a pipe for signals", source))?;
        if PIPE.compare_exchange(-1, writer.as_raw_fd(), Ordering::Release, Ordering::Relaxed).is_err() {
            return Err(Error::system("take signals", std::io::Error::other("they were taken already")));
        }
        // The handler owns this end for ever.
        let _ = writer.into_raw_fd();
        for signal in signals {
            let mut action = MaybeUninit::<libc::sigaction>::zeroed();
            // SAFETY: zeroed is a valid `sigaction` (an empty mask, no flags); the handler has the right signature, is
            // async-signal-safe (see there), and stays valid for ever; the signal number is one.
            let result = unsafe {
                let action = action.assume_init_mut();
                action.sa_sigaction = note as extern "C" fn(libc::c_int) as usize;
                action.sa_flags = libc::SA_RESTART;
                libc::sigaction(signal.number(), action, std::ptr::null_mut())
            };
            if result != 0 {
                let attempt = format!("take the signal {signal}");
                return Err(Error::system(attempt, std::io::Error::last_os_error()));
            }
        }
        Ok(Signals { file })
    }

    /// Takes one signal, if one has come. Never blocks.
    pub fn next(&self) -> Option<Signal> {
        let mut number = [0];
        match rustix::io::read(&self.file, &mut number) {
            Ok(1) => Signal::from_number(number[0].into()),
            _ => None,
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// The handler. Async-signal-safe: it loads an atomic, calls `write`, and puts `errno` back.
extern "C" fn note(number: libc::c_int) {
    // All signals have numbers below 65.
    let byte = number as u8;
    // SAFETY: `errno` is this thread's own; `write` is async-signal-safe and reads one byte that lives; the descriptor is
    // never closed. If the pipe is full, thousands of signals wait to be read, and one more says nothing new.
    unsafe {
        let errno = libc::__errno_location();
        let before = *errno;
        libc::write(PIPE.load(Ordering::Acquire), (&raw const byte).cast(), 1);
        *errno = before;
    }
}

/// Ends this process now: no destructors, no exit handlers, nothing that could wait for a lock.
pub fn die_now(code: i32) -> ! {
    // SAFETY: always safe to call; it does not return.
    unsafe { libc::_exit(code) }
}
