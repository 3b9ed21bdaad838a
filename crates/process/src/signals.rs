//! Signals as something to read instead of something that interrupts.
//!
//! Signal handling is a trap: a handler may interrupt any instruction and may call next to nothing. So there are no
//! handlers here. [`Signals`] blocks the signals that it stands for and reads them from a descriptor.

use std::fmt;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::Error;

macro_rules! signals {
    ($($(#[$doc:meta])* $name:ident = $number:ident, $rustix:ident;)*) => {
        /// The signals that a supervisor sends and takes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Signal {
            $($(#[$doc])* $name,)*
        }

        impl Signal {
            fn number(self) -> i32 {
                match self { $(Signal::$name => libc::$number,)* }
            }

            fn from_number(number: i32) -> Option<Signal> {
                match number { $(libc::$number => Some(Signal::$name),)* _ => None }
            }

            pub(crate) fn as_rustix(self) -> rustix::process::Signal {
                match self { $(Signal::$name => rustix::process::Signal::$rustix,)* }
            }

            fn name(self) -> &'static str {
                match self { $(Signal::$name => stringify!($number),)* }
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

/// A descriptor from which signals are read one by one.
#[derive(Debug)]
pub struct Signals {
    file: OwnedFd,
}

impl Signals {
    /// Blocks `signals` in the calling thread and in all that it starts from now on, and reads them from a
    /// descriptor instead. Call it before any other thread is started; else another thread may still be ended by one
    /// of them. Children that are spawned by `std` or by this crate get them unblocked.
    pub fn block(signals: &[Signal]) -> Result<Signals, Error> {
        let set = set_of(signals);
        // SAFETY: `set` is initialised; the old mask is not wanted.
        let result = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) };
        if result != 0 {
            return Err(Error::system("block signals", std::io::Error::from_raw_os_error(result)));
        }
        // SAFETY: `set` is initialised; -1 asks for a new descriptor.
        let file = unsafe { libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        if file < 0 {
            return Err(Error::system("open a signalfd", std::io::Error::last_os_error()));
        }
        // SAFETY: a new descriptor that nobody else owns.
        Ok(Signals { file: unsafe { OwnedFd::from_raw_fd(file) } })
    }

    /// Takes one pending signal, if there is one. Never blocks.
    pub fn next(&self) -> Option<Signal> {
        let mut info = MaybeUninit::<libc::signalfd_siginfo>::uninit();
        let size = size_of::<libc::signalfd_siginfo>();
        // SAFETY: reads at most `size` bytes into a buffer of that size.
        let read = unsafe { libc::read(self.file.as_raw_fd(), info.as_mut_ptr().cast(), size) };
        if read != size as isize {
            return None;
        }
        // SAFETY: the kernel filled the whole structure.
        let number = unsafe { info.assume_init() }.ssi_signo;
        i32::try_from(number).ok().and_then(Signal::from_number)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn set_of(signals: &[Signal]) -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: `sigemptyset` initialises the set before anything is added; all numbers are valid signals.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in signals {
            libc::sigaddset(set.as_mut_ptr(), signal.number());
        }
        set.assume_init()
    }
}

/// Ends this process now: no destructors, no exit handlers, nothing that could wait for a lock.
pub fn die_now(code: i32) -> ! {
    // SAFETY: always safe to call; it does not return.
    unsafe { libc::_exit(code) }
}
