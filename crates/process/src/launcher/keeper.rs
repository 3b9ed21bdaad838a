//! The keeper: a small process between us and a child, which lets nothing of the child's tree outlive it.
//!
//! It is the launcher, split in two while it has a single thread: one side becomes the program, the other stays. It is
//! the *subreaper* of everything below: a process whose parent ends becomes its child, not that of process 1.

use std::mem::MaybeUninit;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions};

use crate::die_now;
use crate::signal_mask::SignalMask;
use crate::tree::Tree;

/// How long the keeper tries to end what is left. SIGKILL needs no more, unless a process hangs in the kernel.
const LAST_DEADLINE: Duration = Duration::from_secs(10);

/// Shells report a death by signal as this plus its number.
const SIGNAL_CODE: i32 = 128;

/// The signal that tells a keeper to end everything at once: SIGKILL itself would end the keeper only.
pub(crate) fn end_tree_signal() -> i32 {
    libc::SIGRTMIN()
}

/// Which side of the split this is.
pub(super) enum Side {
    /// To become the program.
    Program {
        /// Process id of the keeper, now the parent.
        keeper: u32,
    },
    /// To stay.
    Keeper(Keeper),
}

pub(super) struct Keeper {
    program: Pid,
    parent: u32,
}

/// Splits this process, which must have a single thread.
pub(super) fn split(parent: u32) -> Result<Side, (String, Errno)> {
    let set = |what: &str| {
        let what = what.to_owned();
        move |errno| (what, errno)
    };
    // SIGTERM comes through `sigwait`, like everything else.
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))
        .map_err(set("a signal at the parent's death"))?;
    if std::os::unix::process::parent_id() != parent {
        die_now(0);
    }
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).map_err(set("a keeper for the tree"))?;
    let keeper = std::process::id();
    let blocked = SignalMask::block_all();
    // SAFETY: this process has one thread (`init` is the first line of main), so no lock is held by another one, and both
    // sides may go on with everything.
    match unsafe { libc::fork() } {
        0 => {
            blocked.restore();
            Ok(Side::Program { keeper })
        }
        pid => match Pid::from_raw(pid) {
            Some(program) if pid > 0 => Ok(Side::Keeper(Keeper { program, parent })),
            _ => {
                let errno = Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::AGAIN);
                Err(("a keeper for the tree".into(), errno))
            }
        },
    }
}

impl Keeper {
    /// Stays until the program has ended or the parent has; then ends what is left, and itself as the program did.
    pub(super) fn keep(self) -> ! {
        self.let_go_of_descriptors();
        let status = loop {
            match next_signal() {
                (libc::SIGCHLD, _) => {
                    if let Some(status) = self.reap() {
                        break Some(status);
                    }
                }
                _ if std::os::unix::process::parent_id() != self.parent => break None,
                (number, _) if number == end_tree_signal() => break Some(Ended::Signal(libc::SIGKILL)),
                // What the terminal sends, it sends to the whole process group: the program has it already.
                (_, libc::SI_KERNEL) => {}
                (number, _) => {
                    // SAFETY: the program is our child and not reaped, so the number is its own.
                    unsafe { libc::kill(self.program.as_raw_nonzero().get(), number) };
                }
            }
        };
        end_what_is_left();
        match status {
            None => die_now(0),
            Some(Ended::Code(code)) => die_now(code),
            Some(Ended::Signal(number)) => die_by(number),
        }
    }

    /// What the program was given is its own: who waits for the end of a stream must not wait for us.
    fn let_go_of_descriptors(&self) {
        if let Ok(null) = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null") {
            let _ = rustix::stdio::dup2_stdin(&null);
            let _ = rustix::stdio::dup2_stdout(&null);
            let _ = rustix::stdio::dup2_stderr(&null);
        }
        // SAFETY: nothing in this process uses a descriptor above the standard streams from here on: it only waits for
        // signals, and reads /proc with descriptors that it opens then.
        unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, 0u32) };
    }

    /// Reaps whoever has ended; how the program ended, if it is among them.
    fn reap(&self) -> Option<Ended> {
        let mut program = None;
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            if pid == self.program {
                program = match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => Some(Ended::Code(code)),
                    (None, Some(number)) => Some(Ended::Signal(number)),
                    (None, None) => None,
                };
            }
        }
        program
    }
}

enum Ended {
    Code(i32),
    Signal(i32),
}

/// Ends all descendants. Each whose parent ends becomes our child, so the end is when we have none.
fn end_what_is_left() {
    let deadline = Instant::now() + LAST_DEADLINE;
    while Instant::now() < deadline {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Err(Errno::CHILD) => return,
            Ok(Some(_)) | Err(Errno::INTR) => {}
            _ => {
                let mut below = Tree::below_this_process();
                let _ = below.freeze(deadline);
                below.signal(crate::Signal::Kill);
                below.wait_gone(deadline);
            }
        }
    }
}

/// Waits for the next signal, and says who sent it (`si_code`); all are blocked, so none is lost.
fn next_signal() -> (i32, i32) {
    let mut all = MaybeUninit::uninit();
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    loop {
        // SAFETY: the set is initialised by the first call before the second reads it; zeroed is a valid `siginfo_t`.
        let (number, info) = unsafe {
            libc::sigfillset(all.as_mut_ptr());
            (libc::sigwaitinfo(all.as_ptr(), info.as_mut_ptr()), info.assume_init_ref())
        };
        if number > 0 {
            return (number, info.si_code);
        }
    }
}

/// Ends this process by the signal that ended the program, without a core dump of its own.
fn die_by(number: i32) -> ! {
    let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    let _ = rustix::process::setrlimit(rustix::process::Resource::Core, none);
    // SAFETY: the default action of a signal, the empty mask, and a signal to ourselves: nothing of ours is touched.
    unsafe {
        libc::signal(number, libc::SIG_DFL);
        let mut none = MaybeUninit::uninit();
        libc::sigemptyset(none.as_mut_ptr());
        libc::raise(number);
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut());
    }
    die_now(SIGNAL_CODE + number)
}
