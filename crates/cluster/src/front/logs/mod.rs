//! What the workers write: line by line, with the worker's number, into one place.
//!
//! ```text
//!   worker 3 ─ stdout, stderr ─ pipe ─► Lines ─► mark ─┬─► Writer (a thread) ─► file, or standard error
//!   worker 4 ─ …                                       ├─► Recent: the last MiB, for GET /logs
//!   events, commands ──────────────────────────────────┴─► followers of GET /logs?follow=1
//! ```
//!
//! Nothing here waits for whoever reads the log: what does not fit is dropped and counted.

mod awaited;
mod file;
mod lines;
mod mark;
mod pipes;
mod recent;
mod settings;
mod writer;

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Notify;

use awaited::Awaited;
pub(crate) use pipes::log_pipe;
use pipes::{Found, Pipe};
use recent::Recent;
pub use settings::Logs;
use writer::Writer;

use super::outbox::{Outbox, Subscribers};
use crate::WorkerId;

/// Bytes that are read at once.
const READ_BYTES: usize = 64 * 1024;
/// Most time spent with a pipe that is full again and again, when the front leaves.
const LAST_READ: Duration = Duration::from_millis(300);
/// Most time for what is still to be written then.
const LAST_WRITE: Duration = Duration::from_millis(300);

/// The log of the cluster.
pub(super) struct LogBook {
    writer: Writer,
    events: bool,
    name: String,
    recent: RefCell<Recent>,
    followers: RefCell<Subscribers<Option<WorkerId>>>,
    pipes: RefCell<Vec<Rc<Pipe>>>,
    awaited: Awaited,
    /// A pipe has ended.
    ended: Notify,
    buffer: RefCell<Vec<u8>>,
}

impl LogBook {
    /// Begins the log.
    pub(super) fn begin(settings: Logs) -> std::io::Result<LogBook> {
        Ok(LogBook {
            events: settings.events,
            name: settings.name.clone(),
            writer: Writer::start(settings)?,
            recent: RefCell::default(),
            followers: RefCell::default(),
            pipes: RefCell::default(),
            awaited: Awaited::default(),
            ended: Notify::new(),
            buffer: RefCell::new(vec![0; READ_BYTES]),
        })
    }

    /// Reads what a worker writes, until its end.
    pub(super) fn follow_worker(self: &Rc<Self>, worker: WorkerId, end: OwnedFd) -> std::io::Result<()> {
        let pipe = Rc::new(Pipe::new(worker, end)?);
        self.pipes.borrow_mut().push(Rc::clone(&pipe));
        let book = Rc::clone(self);
        tokio::task::spawn_local(async move {
            loop {
                match pipe.wait_and_read(&book.buffer, |line| book.worker_says(worker, line)).await {
                    // The other pipes, and the clients, have their turn.
                    Found::Some => tokio::task::yield_now().await,
                    Found::Nothing => {}
                    Found::End => break,
                }
            }
            pipe.finish(|line| book.worker_says(worker, line));
            book.pipes.borrow_mut().retain(|other| !Rc::ptr_eq(other, &pipe));
            book.ended.notify_one();
        });
        Ok(())
    }

    /// Looks for a line of this worker that holds this text.
    pub(super) fn await_line(&self, worker: WorkerId, text: String) {
        self.awaited.begin(worker, text);
    }

    /// Looks for none of this worker any more.
    pub(super) fn await_no_line(&self, worker: WorkerId) {
        self.awaited.end(worker);
    }

    /// The next worker whose line was seen.
    pub(super) async fn line_seen(&self) -> WorkerId {
        self.awaited.seen().await
    }

    /// A line of our own: what was asked of the cluster, and by whom.
    pub(super) fn note(&self, source: &str, text: &str) {
        for line in text.lines() {
            self.add(None, format!("{source} | {line}\n").into_bytes());
        }
    }

    /// An event of the cluster, if events belong into the log.
    pub(super) fn event(&self, text: &str) {
        if self.events {
            self.note("primary", text);
        }
    }

    fn worker_says(&self, worker: WorkerId, line: &[u8]) {
        self.awaited.look(worker, line);
        self.add(Some(worker), mark::marked(&self.name, worker, line));
    }

    fn add(&self, worker: Option<WorkerId>, line: Vec<u8>) {
        self.writer.push(&line);
        let line = Bytes::from(line);
        self.followers.borrow_mut().publish(&line, |wanted| wanted.is_none() || *wanted == worker);
        self.recent.borrow_mut().add(worker, line);
    }

    /// The last lines.
    pub(super) fn last(&self, most: usize, worker: Option<WorkerId>) -> Vec<Bytes> {
        self.recent.borrow().last(most, worker)
    }

    /// The last lines, and those that follow.
    pub(super) fn subscribe(&self, most: usize, worker: Option<WorkerId>) -> Outbox {
        let outbox = self.followers.borrow_mut().subscribe(worker, |lost| {
            format!("phalanx | {lost} lines are missing here: this client read too slowly\n")
        });
        for line in self.last(most, worker) {
            outbox.push(line);
        }
        outbox
    }

    /// Lines dropped since the front began.
    pub(super) fn dropped(&self) -> u64 {
        self.writer.dropped()
    }

    /// Somebody has moved the log file.
    pub(super) fn reopen(&self) {
        self.writer.reopen();
    }

    /// Resolves when no pipe is left.
    pub(super) async fn all_ended(&self) {
        while !self.pipes.borrow().is_empty() {
            self.ended.notified().await;
        }
    }

    /// Takes what is in the pipes now and waits, within bounds, until it is written.
    pub(super) fn finish(&self) {
        let until = Instant::now() + LAST_READ;
        for pipe in self.pipes.take() {
            let says = |line: &[u8]| self.worker_says(pipe.worker, line);
            while Instant::now() < until && pipe.read(&mut self.buffer.borrow_mut(), says) == Found::Some {}
            pipe.finish(says);
        }
        self.writer.flush(LAST_WRITE);
    }
}
