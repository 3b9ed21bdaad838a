//! [`Stderr`]: what a process writes to its standard error: passed on line by line, within a bound, and its end kept.

use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

/// Bytes that are kept for the error of a task.
const TAIL: usize = 4096;
/// Bytes that are read at once.
const CHUNK: usize = 16 * 1024;
/// Reads of one turn, so that a process that writes without end holds nobody up.
const READS_PER_TURN: usize = 4;
/// Longest line that is passed on in one piece: what a pipe takes without a reader, in one piece.
const LONGEST_LINE: usize = 2048;
/// Bytes that are passed on between two tasks; the rest is counted.
const PASSED_ON_PER_TASK: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Stderr {
    pipe: OwnedFd,
    /// In front of each line.
    prefix: String,
    tail: Vec<u8>,
    /// That of the task before: which of two wrote last is not always clear.
    previous: Vec<u8>,
    /// What has no end of line yet.
    line: Vec<u8>,
    passed_on: usize,
    /// Bytes that were not passed on.
    left_out: u64,
    /// The task that wrote last.
    task: u64,
}

/// Whether there will be more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    GoesOn,
    Ended,
}

impl Stderr {
    pub(super) fn new(pipe: OwnedFd, prefix: String) -> Stderr {
        Stderr {
            pipe,
            prefix,
            tail: Vec::new(),
            previous: Vec::new(),
            line: Vec::new(),
            passed_on: 0,
            left_out: 0,
            task: 0,
        }
    }

    pub(super) fn pipe(&self) -> &OwnedFd {
        &self.pipe
    }

    /// Reads some of what is there. `task`: how many tasks the process has answered; each begins with an empty tail.
    pub(super) fn read(&mut self, task: u64) -> Reading {
        if task != self.task {
            self.flush();
            self.task = task;
            self.previous = std::mem::take(&mut self.tail);
            (self.passed_on, self.left_out) = (0, 0);
        }
        let mut chunk = [0; CHUNK];
        for _ in 0..READS_PER_TURN {
            match rustix::io::read(&self.pipe, &mut chunk[..]) {
                Ok(0) => return Reading::Ended,
                Ok(count) => self.take(&chunk[..count]),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Reading::GoesOn,
                Err(_) => return Reading::Ended,
            }
        }
        Reading::GoesOn
    }

    /// Reads what a process that is gone has left in the pipe. Others that hold the pipe do not hold us up.
    pub(super) fn read_rest(&mut self, task: u64) {
        // A pipe holds 64 KiB, so this is enough for what was there when it ended.
        for _ in 0..2 {
            if self.read(task) == Reading::Ended {
                return;
            }
        }
    }

    /// The end of what it wrote, as text; what is left of the last line is passed on.
    pub(super) fn into_tail(mut self) -> String {
        self.flush();
        let tail = if self.tail.is_empty() { &self.previous } else { &self.tail };
        let mut text = harmless(tail);
        let surplus = text.len().saturating_sub(TAIL);
        let from = (surplus..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or_default();
        text.drain(..from);
        text
    }

    fn take(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
        if self.tail.len() > TAIL {
            self.tail.drain(..self.tail.len() - TAIL);
        }
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(&piece[..piece.len().min(LONGEST_LINE)]);
            if piece.ends_with(b"\n") || self.line.len() >= LONGEST_LINE {
                self.pass_on();
            }
        }
    }

    fn flush(&mut self) {
        self.pass_on();
        if self.left_out > 0 {
            let words = format!("… {} more bytes of this task were not passed on\n", self.left_out);
            self.left_out = 0;
            write_if_possible(&self.prefix, words.as_bytes());
        }
    }

    fn pass_on(&mut self) {
        let mut line = std::mem::take(&mut self.line);
        if line.is_empty() {
            return;
        }
        if self.passed_on + line.len() > PASSED_ON_PER_TASK {
            self.left_out += line.len() as u64;
            return;
        }
        self.passed_on += line.len();
        if line.last() != Some(&b'\n') {
            line.push(b'\n');
        }
        write_if_possible(&self.prefix, harmless(&line).as_bytes());
    }
}

/// As text that commands no terminal: whoever sent the input of a task may have chosen these bytes.
fn harmless(bytes: &[u8]) -> String {
    let is_command = |c: char| c.is_control() && c != '\n' && c != '\t';
    String::from_utf8_lossy(bytes).replace(is_command, "\u{FFFD}")
}

/// Writes a line to our own standard error unless that would block: the keeper has other things to do.
fn write_if_possible(prefix: &str, line: &[u8]) {
    let stderr = std::io::stderr();
    let mut polled = [PollFd::from_borrowed_fd(stderr.as_fd(), PollFlags::OUT)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    if rustix::event::poll(&mut polled, Some(&now)).is_ok_and(|ready| ready > 0) {
        let _ = rustix::io::write(stderr.as_fd(), &[prefix.as_bytes(), line].concat());
    }
}
