//! [`collect`]: asks every thread of a process and gathers the answers.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use super::dump::{Dump, Stack, ThreadDump};
use super::handler::{Queued, signal_number};
use super::modules::Modules;
use super::record::Record;
use super::task::{self, Task};
use crate::Error;

/// Between two looks whether those who have not answered still can.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// How long we wait for a thread that holds back signals: every thread does for a moment while it starts, and some always do.
const HELD_BACK: Duration = Duration::from_millis(200);

/// Bytes that are read at once: as much as a pipe holds.
const CHUNK: usize = 65_536;

/// Asks every thread of the process where it stands, and gathers what comes out of its pipe until all have answered or
/// the time is over. Threads that did not answer are told of with what `/proc` knows.
///
/// `pid` must be certain: a child that was not reaped, or a process whose pidfd is held. A process that did not
/// [`install`](super::install) the handler is not signalled. Needs the rights to signal the process.
///
/// Errors: there is no such process; it may not be signalled.
pub fn collect(pid: u32, read_end: BorrowedFd<'_>, within: Duration) -> Result<Dump, Error> {
    let begun = Instant::now();
    let threads = task::threads(pid);
    if threads.is_empty() {
        return Err(Error::system(format!("read the threads of process {pid}"), Errno::SRCH));
    }
    let name = Task { process: pid, thread: pid }.name();
    let mut asking = Asking {
        process: pid,
        request: request_number(),
        pipe: read_end,
        pending: Vec::new(),
        waiting: BTreeMap::new(),
        answered: Vec::new(),
    };
    // Answers that nobody waited for any more.
    asking.read()?;
    asking.pending.clear();
    let modules = Modules::of(pid);
    let mut silent: Vec<(u32, String)> = Vec::new();
    let handles = task::handles(pid, signal_number());
    for thread in threads {
        let task = Task { process: pid, thread };
        if handles {
            asking.ask(task)?;
            // So that a thousand answers never have to fit into the pipe at once.
            asking.read()?;
        } else {
            silent.push((thread, task.name()));
        }
    }
    asking.gather(begun + within)?;
    let Asking { waiting, answered, .. } = asking;
    silent.extend(waiting);
    let unheard = silent.into_iter().map(|(thread, name)| {
        let silence = Task { process: pid, thread }.silence(signal_number());
        let silence = if handles { silence } else { format!("{silence}; the process has no handler for stack dumps") };
        ThreadDump { tid: thread, name, stack: Stack::Silent(silence) }
    });
    let mut threads: Vec<ThreadDump> = answered.into_iter().chain(unheard).collect();
    threads.sort_by_key(|thread| thread.tid);
    Ok(Dump::new(pid, name, threads, modules, begun.elapsed()))
}

/// Tells the answers to this call from late ones to an earlier one. Never 0, which a plain signal has.
fn request_number() -> u32 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    (now.tv_nsec as u32 ^ (now.tv_sec as u32).rotate_left(16)).max(1)
}

struct Asking<'a> {
    process: u32,
    request: u32,
    pipe: BorrowedFd<'a>,
    /// Bytes of a record that is not whole yet.
    pending: Vec<u8>,
    /// Names of those who have not answered yet.
    waiting: BTreeMap<u32, String>,
    answered: Vec<ThreadDump>,
}

impl Asking<'_> {
    fn ask(&mut self, task: Task) -> Result<(), Error> {
        let info = Queued::request(self.request);
        // SAFETY: the kernel copies the `siginfo_t`, which has its layout and lives until the call returns.
        let sent = unsafe {
            libc::syscall(libc::SYS_rt_tgsigqueueinfo, self.process, task.thread, signal_number(), &raw const info)
        };
        let refused = std::io::Error::last_os_error();
        match refused.raw_os_error() {
            _ if sent == 0 => {}
            // It has ended meanwhile.
            Some(libc::ESRCH) => return Ok(()),
            // As many signals wait as may: it is told of as one that did not answer.
            Some(libc::EAGAIN) => {}
            _ => return Err(Error::system(format!("ask process {} for its stacks", self.process), refused)),
        }
        self.waiting.insert(task.thread, task.name());
        Ok(())
    }

    fn gather(&mut self, until: Instant) -> Result<(), Error> {
        let patient_until = Instant::now() + HELD_BACK;
        loop {
            self.read()?;
            let left = until.saturating_duration_since(Instant::now());
            let patient = Instant::now() < patient_until;
            let can_answer = |thread: &u32| {
                let task = Task { process: self.process, thread: *thread };
                task.can_answer() && (patient || !task.blocks(signal_number()))
            };
            if left.is_zero() || !self.waiting.keys().any(can_answer) {
                // Whoever ended while it was asked may have answered before.
                return self.read();
            }
            let pipe = self.pipe.as_fd();
            let timeout = crate::time::timespec(left.min(LOOK_AGAIN));
            match rustix::event::poll(&mut [PollFd::from_borrowed_fd(pipe, PollFlags::IN)], Some(&timeout)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(source) => return Err(Error::system("wait for the stacks of a process", source)),
            }
        }
    }

    /// Takes what is in the pipe.
    fn read(&mut self) -> Result<(), Error> {
        let mut chunk = vec![0; CHUNK];
        // A writer that never stops would keep us here: one pipe full at a time.
        match rustix::io::read(self.pipe, &mut chunk) {
            Ok(count) => self.pending.extend(chunk.get(..count).unwrap_or_default()),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(source) => return Err(Error::system("read the stacks of a process", source)),
        }
        loop {
            match Record::parse(&mut self.pending) {
                Ok(Some(record)) => self.take(&record),
                Ok(None) => return Ok(()),
                Err(_) => {
                    let why = std::io::Error::other("what it wrote is no record of ours");
                    return Err(Error::system(format!("read the stacks of process {}", self.process), why));
                }
            }
        }
    }

    fn take(&mut self, record: &Record) {
        if record.request != self.request {
            return;
        }
        if let Some(name) = self.waiting.remove(&record.thread) {
            let stack = Stack::Addresses(record.addresses().to_vec());
            self.answered.push(ThreadDump { tid: record.thread, name, stack });
        }
    }
}
