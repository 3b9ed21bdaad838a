//! [`Kept`]: a child that has a reaper, whatever happens to who started it.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::{Mutex, PoisonError};

use crate::ending::OnDrop;
use crate::{Error, ExitStatus, Process, Signal, launcher, spawner};

/// A child process whose end is collected: by us when it is asked for, else by the spawner thread after the drop.
#[derive(Debug)]
pub(crate) struct Kept {
    /// `None` only while it is dropped.
    process: Option<Process>,
    pid: u32,
    descriptor: RawFd,
    status: Mutex<Option<ExitStatus>>,
    care: Care,
}

/// What there is to know about a child besides its process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Care {
    pub(crate) on_drop: OnDrop,
    /// It leads a process group.
    pub(crate) leads_group: bool,
    /// It is the keeper of a tree.
    pub(crate) keeper: bool,
}

impl Kept {
    pub(crate) fn new(process: Process, care: Care) -> Kept {
        let (pid, descriptor) = (process.pid(), process.as_raw_fd());
        Kept { process: Some(process), pid, descriptor, status: Mutex::new(None), care }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    pub(crate) fn care(&self) -> Care {
        self.care
    }

    /// Sends `signal`; false if the process has ended. A keeper that is to be killed takes its tree with it.
    pub(crate) fn kill(&self, signal: Signal) -> Result<bool, Error> {
        let Some(process) = &self.process else { return Ok(false) };
        if self.care.keeper && signal == Signal::Kill {
            process.kill_by_number(launcher::end_tree_signal())?;
            return process.kill(Signal::Continue);
        }
        process.kill(signal)
    }

    /// Sends `signal` to the group that the process leads; false if nobody is left in it.
    pub(crate) fn kill_group(&self, signal: Signal) -> Result<bool, Error> {
        self.process.as_ref().map_or(Ok(false), |process| process.kill_group(signal))
    }

    /// How it ended, if it has. May be asked again and again.
    pub(crate) fn try_status(&self) -> Result<Option<ExitStatus>, Error> {
        self.collect(Process::try_wait)
    }

    /// Waits without a deadline.
    pub(crate) fn status(&self) -> Result<ExitStatus, Error> {
        let status = self.collect(|process| process.wait().map(Some))?;
        status.ok_or_else(|| Error::system(format!("wait for child {}", self.pid), rustix::io::Errno::CHILD))
    }

    fn collect(
        &self,
        ask: impl FnOnce(&Process) -> Result<Option<ExitStatus>, Error>,
    ) -> Result<Option<ExitStatus>, Error> {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        if status.is_none() {
            *status = match &self.process {
                Some(process) => ask(process)?,
                None => None,
            };
            if status.is_some() {
                spawner::note_end();
            }
        }
        Ok(*status)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if self.care.on_drop == OnDrop::Kill {
            let _ = self.kill(Signal::Kill);
        }
        if matches!(self.try_status(), Ok(None))
            && let Some(process) = self.process.take()
        {
            spawner::adopt(process);
        }
    }
}

impl AsRawFd for Kept {
    fn as_raw_fd(&self) -> RawFd {
        self.descriptor
    }
}

impl AsFd for Kept {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is that of `process`, which is there as long as `self` can be borrowed.
        unsafe { BorrowedFd::borrow_raw(self.descriptor) }
    }
}
