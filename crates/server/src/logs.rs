//! Log lines on standard error: readable on a terminal, JSON otherwise, and never a reason to wait.
//!
//! Several processes share one standard error, so a line is written with one write. A reader that is slow or stopped
//! must not stop a server: lines go to a writer thread through a bounded queue, and are counted and dropped when it is
//! full. The next line that passes tells how many were lost.

use crate::config::{LogFormat, LogLevel};
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait for the writer thread: about 200 KB.
const LINES_IN_QUEUE: usize = 1024;
/// How long the end of the process waits for the last lines.
const FLUSH_DEADLINE: Duration = Duration::from_secs(1);

enum Entry {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

/// Where log lines go; a clone goes to the same place.
#[derive(Clone)]
struct LineQueue(Arc<Shared>);

struct Shared {
    queue: SyncSender<Entry>,
    lost: AtomicU64,
    /// Taken by the writer thread when the first line comes: a worker that says nothing needs no such thread.
    unread: Mutex<Option<Receiver<Entry>>>,
}

/// Writes out what is left in the queue when it is dropped, at the end of `main`.
#[must_use = "the last lines are written when this is dropped"]
pub(crate) struct Flush(LineQueue);

/// Starts logging in this process.
pub(crate) fn start(format: LogFormat, level: LogLevel) -> Flush {
    let lines = LineQueue::new(LINES_IN_QUEUE);
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let terminal = io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_max_level(level).with_target(false).with_writer(lines.clone());
    // A second subscriber can only be an embedding program's: it stays.
    let _ = match format.resolved() {
        LogFormat::Json => tracing::subscriber::set_global_default(builder.json().flatten_event(true).finish()),
        _ => tracing::subscriber::set_global_default(builder.with_ansi(terminal).finish()),
    };
    Flush(lines)
}

impl LineQueue {
    fn new(capacity: usize) -> Self {
        let (queue, unread) = sync_channel(capacity);
        LineQueue(Arc::new(Shared { queue, lost: AtomicU64::new(0), unread: Mutex::new(Some(unread)) }))
    }

    /// Starts the writer thread unless it runs. Without a thread, lines are lost, and the server serves on.
    fn start_writer(&self) {
        let unread = self.0.unread.try_lock().ok().and_then(|mut unread| unread.take());
        if let Some(entries) = unread {
            let shared = Arc::clone(&self.0);
            let thread = std::thread::Builder::new().name("log".into()).stack_size(256 * 1024);
            let _ = thread.spawn(move || write_lines(&entries, &shared.lost));
        }
    }
}

fn write_lines(entries: &Receiver<Entry>, lost: &AtomicU64) {
    while let Ok(entry) = entries.recv() {
        match entry {
            Entry::Line(line) => {
                // Standard error may be closed: there is nobody left to tell.
                let _ = io::stderr().write_all(&line);
                let lost = lost.swap(0, Ordering::Relaxed);
                if lost > 0 {
                    tracing::warn!(lost, "log lines were lost: standard error is read too slowly");
                }
            }
            Entry::Flush(done) => {
                let _ = done.try_send(());
            }
        }
    }
}

impl Drop for Flush {
    fn drop(&mut self) {
        let (done, wait) = sync_channel(1);
        if self.0.0.queue.try_send(Entry::Flush(done)).is_ok()
            && self.0.0.unread.try_lock().is_ok_and(|unread| unread.is_none())
        {
            let _ = wait.recv_timeout(FLUSH_DEADLINE);
        }
    }
}

impl<'a> MakeWriter<'a> for LineQueue {
    type Writer = LineQueue;
    fn make_writer(&'a self) -> LineQueue {
        self.clone()
    }
}

impl Write for LineQueue {
    /// One call is one whole line: the subscriber formats an event before it writes.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.0.queue.try_send(Entry::Line(line.to_vec())).is_err() {
            self.0.lost.fetch_add(1, Ordering::Relaxed);
        }
        self.start_writer();
        Ok(line.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_loses_lines_instead_of_waiting() {
        let mut lines = LineQueue::new(2);
        // As if the writer was stuck: it runs, and takes nothing.
        let entries = lines.0.unread.lock().unwrap().take().unwrap();
        for _ in 0..5 {
            assert_eq!(lines.write(b"line\n").unwrap(), 5);
        }
        assert_eq!(lines.0.lost.load(Ordering::Relaxed), 3);
        assert_eq!(entries.try_iter().count(), 2);
    }
}
