//! [`Child`]: a process that we started, held by its pidfd, so that no signal and no wait can hit a stranger.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions};

use crate::{Error, Signal};

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExitStatus::Code(code) => write!(f, "code {code}"),
            ExitStatus::Signal(number) => match Signal::name_of(*number) {
                Some(name) => write!(f, "{name}"),
                None => write!(f, "signal {number}"),
            },
        }
    }
}

/// A child process. Its descriptor becomes readable when the process ends.
///
/// Dropping it neither ends nor reaps the process: who spawned it supervises it.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    pidfd: OwnedFd,
}

impl Child {
    pub(crate) fn of(pid: Pid) -> Result<Child, Error> {
        // The child is not reaped yet, so its number cannot have been given to another process.
        let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::NONBLOCK)
            .map_err(|source| Error::system(format!("open a pidfd of child {}", pid.as_raw_nonzero()), source))?;
        Ok(Child { pid, pidfd })
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

    /// Reaps the process if it has ended. Never blocks.
    pub fn try_wait(&self) -> Result<Option<ExitStatus>, Error> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        loop {
            return match rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), options) {
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

impl AsFd for Child {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}
