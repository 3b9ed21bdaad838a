//! Standard output and error of a worker: [`WorkerOutput`] writes, [`OutputLines`] reads what is piped.
//!
//! Node sends what a worker prints through the parent's event loop, where it waits while the parent computes and is
//! lost when the worker exits. Here a worker writes to the process's own output itself, in whole lines, at once.

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::time::Duration;

use crate::port::queue::Queue;
use crate::port::{Closed, PostError};

/// Bytes without a line end after which they are passed on all the same, and the most that one piece of a line has.
const LONGEST_PIECE: usize = 8 * 1024;
/// Lines that wait for the parent.
const PIPED_LINES: usize = 1000;
/// How long a worker waits for a parent that does not read what it piped.
const PIPE_DEADLINE: Duration = Duration::from_secs(30);

/// Where the standard output or error of a worker goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Output {
    /// Straight to that of the process: whole lines, written at once. The default.
    #[default]
    Inherit,
    /// To the parent, who reads lines from [`Worker::stdout`](crate::Worker::stdout) or
    /// [`stderr`](crate::Worker::stderr).
    Piped,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// The lines on their way to the parent, if he wants them.
pub(crate) type Pipe = Option<Arc<Queue<Vec<u8>>>>;

impl Output {
    pub(crate) fn pipe(self) -> Pipe {
        match self {
            Output::Inherit => None,
            Output::Piped => Some(Arc::new(Queue::new(PIPED_LINES))),
        }
    }
}

/// Standard output or error of a worker, from [`WorkerScope::stdout`](crate::WorkerScope::stdout) or
/// [`stderr`](crate::WorkerScope::stderr).
///
/// Whole lines are passed on at once and never mixed with those of other threads. What has no line end waits for one,
/// for [`flush`](Write::flush), for 8 KiB, or for the drop; so nothing is lost by an exit or a panic.
///
/// When it is [piped](Output::Piped) and 1 000 lines are unread, writing blocks the worker, as a pipe does.
///
/// Errors: whatever the process's output gives; piped: [`BrokenPipe`](ErrorKind::BrokenPipe) if nobody reads any more,
/// [`TimedOut`](ErrorKind::TimedOut) if the parent has read nothing for 30 s.
pub struct WorkerOutput {
    unended: Vec<u8>,
    stream: Stream,
    pipe: Pipe,
}

impl WorkerOutput {
    pub(crate) fn new(stream: Stream, pipe: Pipe) -> WorkerOutput {
        WorkerOutput { unended: Vec::new(), stream, pipe }
    }

    /// Passes on the first `bytes` of what was written.
    fn pass_on(&mut self, bytes: usize) -> io::Result<()> {
        let rest = self.unended.split_off(bytes);
        let whole = std::mem::replace(&mut self.unended, rest);
        match &self.pipe {
            None => self.stream.write(&whole),
            Some(pipe) => pieces(&whole).try_for_each(|piece| {
                pipe.post_blocking(piece.to_vec(), PIPE_DEADLINE).map_err(|refused| match refused {
                    PostError::Closed(_) => io::Error::new(ErrorKind::BrokenPipe, "nobody reads the worker's output"),
                    PostError::Full(_) => {
                        io::Error::new(ErrorKind::TimedOut, "the parent does not read the worker's output")
                    }
                })
            }),
        }
    }
}

/// Lines with their ends; long ones in several pieces.
fn pieces(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n').flat_map(|line| line.chunks(LONGEST_PIECE))
}

impl Stream {
    fn write(self, bytes: &[u8]) -> io::Result<()> {
        fn whole(mut output: impl Write, bytes: &[u8]) -> io::Result<()> {
            output.write_all(bytes)?;
            output.flush()
        }
        match self {
            Stream::Stdout => whole(io::stdout().lock(), bytes),
            Stream::Stderr => whole(io::stderr().lock(), bytes),
        }
    }
}

impl Write for WorkerOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.unended.extend_from_slice(bytes);
        if let Some(last_end) = bytes.iter().rposition(|byte| *byte == b'\n') {
            let unended = bytes.len() - (last_end + 1);
            self.pass_on(self.unended.len() - unended)?;
        }
        if self.unended.len() >= LONGEST_PIECE {
            self.pass_on(self.unended.len())?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.unended.is_empty() { Ok(()) } else { self.pass_on(self.unended.len()) }
    }
}

impl Drop for WorkerOutput {
    fn drop(&mut self) {
        let unended = std::mem::take(&mut self.unended);
        match &self.pipe {
            _ if unended.is_empty() => {}
            None => {
                // Nobody is left to hear of an error.
                let _ = self.stream.write(&unended);
            }
            // One piece more than the bound: a drop does not wait.
            Some(pipe) if !pipe.lane().is_closed() => pipe.lane().force(unended),
            Some(_) => {}
        }
    }
}

impl fmt::Debug for WorkerOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerOutput").field("stream", &self.stream).finish_non_exhaustive()
    }
}

/// What a worker writes to a [piped](Output::Piped) output, line by line, each with its line end. Lines longer than 8
/// KiB come in pieces. Ends when the worker has ended and everything that it wrote has been received.
pub struct OutputLines {
    lines: Arc<Queue<Vec<u8>>>,
}

impl OutputLines {
    pub(crate) fn of(pipe: &Pipe) -> Option<OutputLines> {
        pipe.as_ref().map(|lines| OutputLines { lines: Arc::clone(lines) })
    }

    /// Waits for the next line; `None` is the end. Cancelling it loses nothing.
    pub async fn recv(&self) -> Option<Vec<u8>> {
        self.lines.recv().await
    }

    /// The next line, if one is there; `Ok(None)` if not. Never waits.
    ///
    /// Errors: [`Closed`] is the end.
    pub fn try_recv(&self) -> Result<Option<Vec<u8>>, Closed> {
        self.lines.try_recv()
    }

    /// Blocks this thread for at most `deadline` until a line is there; `Ok(None)` if none came.
    ///
    /// Errors: [`Closed`] is the end.
    pub fn recv_blocking(&self, deadline: Duration) -> Result<Option<Vec<u8>>, Closed> {
        self.lines.recv_blocking(deadline)
    }
}

impl Drop for OutputLines {
    fn drop(&mut self) {
        drop(self.lines.lane().close_and_take());
    }
}

impl fmt::Debug for OutputLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutputLines").field("queued", &self.lines.lane().len()).finish()
    }
}
