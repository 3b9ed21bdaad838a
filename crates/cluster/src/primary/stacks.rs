//! Where a hung worker stands: the stacks of all its threads, before it is killed.
//!
//! Another process asks the threads and finds the names of their functions; the primary only starts it, and hands on the
//! text when it has ended.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use phalanx_process::{Process, Signal, stack_dump};
use rustix::event::epoll;

use super::{Primary, Source, system};
use crate::{Error, Event, WorkerId};

/// Longest text that is handed on, in bytes: some hundred threads.
const MOST_TEXT: usize = 256 * 1024;
/// How long the names of the functions may take to find. The worker is long gone then.
const DEADLINE: Duration = Duration::from_secs(30);
/// Part of the worker's grace in which its threads have to answer.
const ANSWERS_WITHIN: u32 = 2;

/// A dump that is being made.
pub(super) struct Dumper {
    child: Process,
    text: OwnedFd,
    until: Instant,
}

impl Primary {
    /// A worker hangs.
    pub(super) fn dump_stacks(&mut self, worker: WorkerId) {
        self.emit(Event::Hung { worker });
        if let Err(error) = self.try_dump_stacks(worker) {
            self.emit(Event::Stacks { worker, text: format!("they could not be written down: {error}") });
        }
    }

    fn try_dump_stacks(&mut self, worker: WorkerId) -> Result<(), Error> {
        let Some(running) = self.workers.get(&worker) else { return Ok(()) };
        let Some(stacks) = &running.stacks else { return Ok(()) };
        let text = rustix::fs::memfd_create("phalanx-stacks", rustix::fs::MemfdFlags::CLOEXEC)
            .map_err(system("create a file for stacks"))?;
        let within = self.hung_grace / ANSWERS_WITHIN;
        let child = stack_dump::dumper(&running.child, stacks.as_fd(), text.as_fd(), within).spawn()?;
        epoll::add(&self.epoll, &child, Source::Dumper(worker).data(), epoll::EventFlags::IN)
            .map_err(system("watch the process that writes down stacks"))?;
        self.dumpers.insert(worker, Dumper { child, text, until: Instant::now() + DEADLINE });
        Ok(())
    }

    /// A dump is made, or failed.
    pub(super) fn dump_ended(&mut self, worker: WorkerId) {
        let ended = |dumper: &Dumper| !matches!(dumper.child.try_wait(), Ok(None));
        if !self.dumpers.get(&worker).is_some_and(ended) {
            return;
        }
        let Some(dumper) = self.dumpers.remove(&worker) else { return };
        let mut bytes = vec![0; MOST_TEXT];
        let length = std::fs::File::from(dumper.text).read_at(&mut bytes, 0).unwrap_or(0);
        bytes.truncate(length);
        let text = match length {
            0 => "the process that was to write them down failed".to_owned(),
            _ => String::from_utf8_lossy(&bytes).trim_end().to_owned(),
        };
        self.emit(Event::Stacks { worker, text });
    }

    /// Dumps that take too long are given up.
    pub(super) fn expire_dumps(&mut self) {
        let now = Instant::now();
        for dumper in self.dumpers.values().filter(|dumper| dumper.until <= now) {
            let _ = dumper.child.kill(Signal::Kill);
        }
    }
}
