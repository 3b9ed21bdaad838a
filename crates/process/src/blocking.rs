//! The same for threads that may wait: no runtime is needed.
//!
//! ```
//! use phalanx_process::{Command, ExitStatus, Stdio, blocking};
//!
//! assert_eq!(blocking::exec("echo hello")?.stdout_text(), "hello\n");
//! assert_eq!(blocking::exec_file("echo", ["a", "b"])?.stdout_text(), "a b\n");
//! let child = blocking::spawn(Command::new("true").stdin(Stdio::Null).stdout(Stdio::Null))?;
//! assert_eq!(child.wait()?, ExitStatus::Code(0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use crate::collector::CHUNK;
use crate::ending::Ending;
use crate::exec::{Collected, LINGER};
use crate::kept::Kept;
use crate::stdio::{OurEnds, STDERR, STDIN, STDOUT};
use crate::tree::signal_tree;
use crate::{
    Command, EndReason, Error, Exec, ExecError, ExecFailure, ExitStatus, Output, OutputStream, Signal, SpawnError,
    spawner,
};

/// As [`exec`](crate::exec()), on this thread.
pub fn exec(line: impl Into<OsString>) -> Result<Output, ExecError> {
    crate::exec(line).run_blocking()
}

/// As [`exec_file`](crate::exec_file), on this thread.
pub fn exec_file<A: Into<OsString>>(
    program: impl Into<OsString>,
    arguments: impl IntoIterator<Item = A>,
) -> Result<Output, ExecError> {
    crate::exec_file(program, arguments).run_blocking()
}

/// As [`kill_tree`](crate::kill_tree()), on this thread.
pub fn kill_tree(pid: u32, signal: Signal) -> Result<usize, Error> {
    crate::tree::kill_tree_blocking(pid, signal)
}

/// Starts a program from this thread, and returns when it runs.
///
/// A timeout is kept by [`Child::wait`]. A command with a cancellation needs a runtime:
/// [`SpawnError::NoRuntime`].
pub fn spawn(command: Command) -> Result<Child, SpawnError> {
    let (kept, ours, ending) = start(command)?;
    let mut child = Child {
        stdin: None,
        stdout: None,
        stderr: None,
        pipes: Vec::new(),
        started: Instant::now(),
        kept,
        ending,
        reason: OnceLock::new(),
    };
    for (number, descriptor) in ours {
        rustix::io::ioctl_fionbio(&descriptor, false)
            .map_err(|source| SpawnError::system("make a pipe of a child blocking", source))?;
        let file = File::from(descriptor);
        match number {
            STDIN => child.stdin = Some(file),
            STDOUT => child.stdout = Some(file),
            STDERR => child.stderr = Some(file),
            _ => child.pipes.push((number, file.into())),
        }
    }
    Ok(child)
}

fn start(command: Command) -> Result<(Kept, OurEnds, Ending), SpawnError> {
    if command.ending.cancelled.is_some() {
        return Err(SpawnError::NoRuntime);
    }
    let (launch, ours, ending) = command.prepare()?;
    let (kept, pending) = spawner::start_blocking(launch)?;
    if let Some(pending) = pending {
        pending.settled_blocking()?;
    }
    Ok((kept, ours, ending))
}

/// A program that was started, for threads that may wait. Dropping it means what dropping a
/// [`Child`](crate::Child) means.
#[derive(Debug)]
pub struct Child {
    /// Its standard input, if that is a pipe.
    pub stdin: Option<File>,
    /// Its standard output, if that is a pipe.
    pub stdout: Option<File>,
    /// Its standard error, if that is a pipe.
    pub stderr: Option<File>,
    pipes: Vec<(RawFd, OwnedFd)>,
    started: Instant,
    kept: Kept,
    ending: Ending,
    reason: OnceLock<EndReason>,
}

impl Child {
    /// The process id.
    pub fn pid(&self) -> u32 {
        self.kept.pid()
    }

    /// Our end of the pipe at another descriptor number of the child; `None` if there is none, or it was taken.
    pub fn take_pipe(&mut self, number: RawFd) -> Option<OwnedFd> {
        let index = self.pipes.iter().position(|(its, _)| *its == number)?;
        Some(self.pipes.swap_remove(index).1)
    }

    /// Waits until the process has ended, however often it is called. If the command has a timeout, the process and
    /// everything below it is ended then.
    pub fn wait(&self) -> Result<ExitStatus, Error> {
        let Some(timeout) = self.ending.timeout else { return self.kept.status() };
        if let Some(status) = wait_until(&self.kept, self.started + timeout)? {
            return Ok(status);
        }
        let _ = self.reason.set(EndReason::Timeout);
        let (tree, _) = signal_tree(&self.kept, self.ending.signal, None)?;
        tree.wait_gone(Instant::now() + self.ending.grace);
        signal_tree(&self.kept, Signal::Kill, Some(tree))?;
        self.kept.status()
    }

    /// How it ended, if it has. Never waits.
    pub fn try_exited(&self) -> Result<Option<ExitStatus>, Error> {
        self.kept.try_status()
    }

    /// Sends `signal` to the process. True if it was sent; false if the process has ended.
    pub fn kill(&self, signal: Signal) -> Result<bool, Error> {
        self.kept.kill(signal)
    }

    /// As [`Child::kill_tree`](crate::Child::kill_tree).
    pub fn kill_tree(&self, signal: Signal) -> Result<usize, Error> {
        Ok(signal_tree(&self.kept, signal, None)?.1)
    }

    /// Why we ended it, if we did.
    pub fn end_reason(&self) -> Option<EndReason> {
        self.reason.get().copied()
    }
}

/// The status, unless the deadline comes first.
fn wait_until(kept: &Kept, deadline: Instant) -> Result<Option<ExitStatus>, Error> {
    loop {
        if let Some(status) = kept.try_status()? {
            return Ok(Some(status));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        let mut polled = [PollFd::new(kept, PollFlags::IN)];
        poll(&mut polled, Some(left))?;
    }
}

fn poll(polled: &mut [PollFd<'_>], most: Option<Duration>) -> Result<(), Error> {
    match rustix::event::poll(polled, most.map(crate::time::timespec).as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(source) => Err(Error::system("wait for a child", source)),
    }
}

/// A descriptor that becomes readable when the process ends.
impl AsFd for Child {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.kept.as_fd()
    }
}

impl Exec {
    /// Runs the program on this thread.
    pub fn run_blocking(mut self) -> Result<Output, ExecError> {
        self.settle_streams();
        let (shown, limit) = (self.shown, self.max_buffer);
        let nothing = Collected::nothing(limit);
        match start(self.command) {
            Ok((kept, ours, ending)) => {
                let input = self.input.unwrap_or_default();
                let mut run = Run { kept, ending, collected: nothing, streams: Streams::of(ours, input), limit };
                match run.run_to_the_end() {
                    Ok((status, None)) => run.collected.judge(shown, status, None),
                    Ok((status, Some(Stop::Late))) => run.collected.judge(shown, status, Some(EndReason::Timeout)),
                    Ok((status, Some(Stop::Overflow(stream)))) => {
                        let failure = ExecFailure::MaxBuffer { stream, limit: run.limit };
                        Err(run.collected.fail(shown, failure, Some(status)))
                    }
                    Err(why) => Err(run.collected.fail(shown, ExecFailure::System(why), None)),
                }
            }
            Err(why) => Err(nothing.fail(shown, ExecFailure::Spawn(why), None)),
        }
    }
}

/// Why a program was stopped by us.
#[derive(Debug, Clone, Copy)]
enum Stop {
    Late,
    Overflow(OutputStream),
}

/// A program that runs to its end on this thread.
struct Run {
    kept: Kept,
    ending: Ending,
    collected: Collected,
    streams: Streams,
    limit: usize,
}

struct Streams {
    stdin: Option<File>,
    stdout: Option<File>,
    stderr: Option<File>,
    input: Vec<u8>,
    written: usize,
}

impl Streams {
    fn of(ours: OurEnds, input: Vec<u8>) -> Streams {
        let mut streams = Streams { stdin: None, stdout: None, stderr: None, input, written: 0 };
        for (number, descriptor) in ours {
            match number {
                STDIN => streams.stdin = Some(descriptor.into()),
                STDOUT => streams.stdout = Some(descriptor.into()),
                STDERR => streams.stderr = Some(descriptor.into()),
                _ => {}
            }
        }
        streams
    }

    fn done(&self) -> bool {
        self.stdout.is_none() && self.stderr.is_none()
    }
}

impl Run {
    fn run_to_the_end(&mut self) -> Result<(ExitStatus, Option<Stop>), Error> {
        let deadline = self.ending.timeout.map(|most| Instant::now() + most);
        loop {
            let ended = self.kept.try_status()?;
            if let (true, Some(status)) = (self.streams.done(), ended) {
                return Ok((status, None));
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return self.stop(Stop::Late);
            }
            if let Err(stream) = self.turn(ended.is_none(), left)? {
                return self.stop(Stop::Overflow(stream));
            }
        }
    }

    /// Waits for something to happen, and reads and writes what can be.
    fn turn(&mut self, runs: bool, most: Option<Duration>) -> Result<Result<(), OutputStream>, Error> {
        let streams = &self.streams;
        let mut polled = Vec::with_capacity(4);
        if runs {
            polled.push(PollFd::new(&self.kept, PollFlags::IN));
        }
        for output in [&streams.stdout, &streams.stderr].into_iter().flatten() {
            polled.push(PollFd::from_borrowed_fd(output.as_fd(), PollFlags::IN));
        }
        if let Some(stdin) = &streams.stdin {
            polled.push(PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::OUT));
        }
        poll(&mut polled, most)?;
        drop(polled);
        self.write();
        let mut chunk = vec![0; CHUNK];
        let outputs = [
            (&mut self.streams.stdout, &mut self.collected.stdout, OutputStream::Stdout),
            (&mut self.streams.stderr, &mut self.collected.stderr, OutputStream::Stderr),
        ];
        for (stream, into, which) in outputs {
            let Some(file) = stream else { continue };
            match file.read(&mut chunk) {
                Ok(count) if count > 0 => {
                    if into.push(&chunk[..count]).is_err() {
                        return Ok(Err(which));
                    }
                }
                Err(error) if is_not_now(&error) => {}
                _ => *stream = None,
            }
        }
        Ok(Ok(()))
    }

    /// Gives the program more of its input; when it has all, or wants no more, its end.
    fn write(&mut self) {
        let Streams { stdin, input, written, .. } = &mut self.streams;
        if let Some(file) = stdin {
            match file.write(&input[*written..]) {
                Ok(count) => *written += count,
                Err(error) if is_not_now(&error) => {}
                Err(_) => *written = input.len(),
            }
            if *written == input.len() {
                *stdin = None;
            }
        }
    }

    /// Ends the program and everything below it, and collects what is left in the pipes.
    fn stop(&mut self, why: Stop) -> Result<(ExitStatus, Option<Stop>), Error> {
        let (tree, _) = signal_tree(&self.kept, self.ending.signal, None)?;
        tree.wait_gone(Instant::now() + self.ending.grace);
        signal_tree(&self.kept, Signal::Kill, Some(tree))?;
        let given_up = Instant::now() + LINGER;
        if let Stop::Late = why {
            while !self.streams.done() && Instant::now() < given_up {
                let left = given_up.saturating_duration_since(Instant::now());
                if self.turn(false, Some(left))?.is_err() {
                    break;
                }
            }
        }
        Ok((self.kept.status()?, Some(why)))
    }
}

fn is_not_now(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted)
}
