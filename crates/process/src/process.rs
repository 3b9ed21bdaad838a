//! [`Process`]: a process that we started, held by its pidfd, so that no signal and no wait can hit a stranger.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions};

use crate::{Error, ExitStatus, Signal, refusal};

/// A child process and nothing else: no streams, no deadline. Its descriptor becomes readable when the process ends.
///
/// Dropping it neither ends nor reaps the process: who spawned it supervises it. [`Child`](crate::Child) looks after
/// itself.
#[derive(Debug)]
pub struct Process {
    pid: Pid,
    pidfd: OwnedFd,
    /// Where the child tells which of its settings was refused, if it has any.
    refusal: Option<OwnedFd>,
}

impl Process {
    pub(crate) fn of(pid: Pid) -> Result<Process, Error> {
        // The child is not reaped yet, so its number cannot have been given to another process.
        let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::NONBLOCK)
            .map_err(|source| Error::system(format!("open a pidfd of child {}", pid.as_raw_nonzero()), source))?;
        Ok(Process { pid, pidfd, refusal: None })
    }

    pub(crate) fn with_refusal(self, refusal: OwnedFd) -> Process {
        Process { refusal: Some(refusal), ..self }
    }

    /// Takes the word of a child whose settings ([`Role::nice`](crate::Role::nice) and so on) were refused: which one, why,
    /// and what to do. `None` if there is none. Never blocks; it is there when the child has ended.
    pub fn refusal(&self) -> Option<String> {
        self.refusal.as_ref().and_then(refusal::read)
    }

    /// A child of this process by its number: for the image that was [executed in place](crate::upgrade) of the one that
    /// spawned it. A child that has ended meanwhile is adopted too; [`try_wait`](Process::try_wait) reaps it.
    ///
    /// Errors: [`Error::NotOurChild`] if this process has no child of this number, or has reaped it.
    pub fn adopt(pid: u32) -> Result<Process, Error> {
        let not_ours = || Error::NotOurChild { pid };
        let number = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(not_ours)?;
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        // Asked by number: as long as it is our child and not reaped, nobody else can have that number.
        match rustix::process::waitid(WaitId::Pid(number), options) {
            Ok(_) => Process::of(number),
            Err(Errno::CHILD) => Err(not_ours()),
            Err(source) => Err(Error::system(format!("look for child {pid}"), source)),
        }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Sends `signal`. True if it was sent, false if the process has already ended.
    pub fn kill(&self, signal: Signal) -> Result<bool, Error> {
        match rustix::process::pidfd_send_signal(&self.pidfd, signal.as_rustix()) {
            Ok(()) => Ok(true),
            Err(Errno::SRCH) => Ok(false),
            Err(source) => Err(Error::system(format!("send {signal} to child {}", self.pid()), source)),
        }
    }

    /// Sends a signal that [`Signal`] has no name for.
    pub(crate) fn kill_by_number(&self, number: i32) -> Result<bool, Error> {
        self.send(number, 0)
            .map_err(|source| Error::system(format!("send signal {number} to child {}", self.pid()), source))
    }

    /// False if nobody is there to get it.
    fn send(&self, number: i32, flags: libc::c_uint) -> Result<bool, std::io::Error> {
        // SAFETY: the descriptor is open, no siginfo is given, and the call touches no memory of ours.
        let sent = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.pidfd.as_raw_fd(),
                number,
                std::ptr::null::<libc::siginfo_t>(),
                flags,
            )
        };
        if sent == 0 {
            return Ok(true);
        }
        let refused = std::io::Error::last_os_error();
        if refused.raw_os_error() == Some(libc::ESRCH) { Ok(false) } else { Err(refused) }
    }

    /// Sends `signal` to the process group that this process leads, as long as anybody is left in it.
    ///
    /// Only for a process that was started as the leader of its group. Exact even if the leader has ended, where the
    /// kernel can do it (Linux 6.9); before that, only while the leader was not waited for.
    pub fn kill_group(&self, signal: Signal) -> Result<bool, Error> {
        let failed = |source| Error::system(format!("send {signal} to the process group {}", self.pid()), source);
        match self.send(signal.number(), libc::PIDFD_SIGNAL_PROCESS_GROUP) {
            Ok(sent) => Ok(sent),
            Err(refused) if refused.raw_os_error() == Some(libc::EINVAL) => {
                // An older kernel. The number is the group's for certain only while it is also that of the leader.
                if !self.is_unreaped() {
                    return Ok(false);
                }
                match rustix::process::kill_process_group(self.pid, signal.as_rustix()) {
                    Ok(()) => Ok(true),
                    Err(Errno::SRCH) => Ok(false),
                    Err(source) => Err(failed(source.into())),
                }
            }
            Err(source) => Err(failed(source)),
        }
    }

    /// Whether the process still exists, running or waiting to be reaped: its number belongs to no other.
    fn is_unreaped(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), options).is_ok()
    }

    /// Waits until the process has ended, without a deadline, and reaps it.
    pub(crate) fn wait(&self) -> Result<ExitStatus, Error> {
        // By number, because the pidfd does not block. It is still the child's: who reaps it holds the same lock as we.
        self.wait_with(WaitId::Pid(self.pid), WaitIdOptions::EXITED)?
            .ok_or_else(|| Error::system(format!("wait for child {}", self.pid()), Errno::AGAIN))
    }

    /// Reaps the process if it has ended. Never blocks.
    pub fn try_wait(&self) -> Result<Option<ExitStatus>, Error> {
        self.wait_with(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG)
    }

    fn wait_with(&self, whom: WaitId<'_>, options: WaitIdOptions) -> Result<Option<ExitStatus>, Error> {
        loop {
            return match rustix::process::waitid(whom.clone(), options) {
                Ok(None) | Err(Errno::AGAIN) => Ok(None),
                Ok(Some(status)) => Ok(Some(match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => ExitStatus::Code(code),
                    (None, Some(signal)) => ExitStatus::Signal(signal),
                    (None, None) => continue,
                })),
                Err(Errno::INTR) => continue,
                Err(source) => Err(Error::system(format!("wait for child {}", self.pid()), source)),
            };
        }
    }
}

impl AsRawFd for Process {
    fn as_raw_fd(&self) -> RawFd {
        self.pidfd.as_raw_fd()
    }
}

impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}
