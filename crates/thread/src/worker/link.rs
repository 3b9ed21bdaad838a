//! [`Link`]: what a worker and its parent share.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::panic::discard;
use crate::port::queue::Queue;
use crate::worker::event::{WorkerError, WorkerEvent};
use crate::worker::outcome::{Ended, Outcome};
use crate::worker::output::Pipe;
use crate::worker::stop::{Request, Stop};

pub(crate) struct Link<In, Out> {
    pub(crate) number: u64,
    pub(crate) name: String,
    pub(crate) inbox: Queue<In>,
    pub(crate) events: Queue<WorkerEvent<Out>>,
    pub(crate) stdout: Pipe,
    pub(crate) stderr: Pipe,
    pub(crate) stop: Arc<Stop>,
    pub(crate) outcome: Arc<Outcome>,
    /// The parent has let go: nobody will ask how it ended.
    pub(crate) unattended: AtomicBool,
    /// Somebody has been told of the error.
    error_seen: AtomicBool,
}

impl<In, Out> Link<In, Out> {
    pub(crate) fn new(number: u64, name: String, bound: usize, stdout: Pipe, stderr: Pipe) -> Link<In, Out> {
        Link {
            number,
            name,
            inbox: Queue::new(bound),
            events: Queue::new(bound),
            stdout,
            stderr,
            stop: Arc::default(),
            outcome: Arc::default(),
            unattended: AtomicBool::new(false),
            error_seen: AtomicBool::new(false),
        }
    }

    /// Tells the worker to end, and wakes whatever it waits for. What it has posted can still be received.
    pub(crate) fn terminate(&self) {
        self.stop.request(Request::Terminate);
        self.inbox.lane().close();
        // Its last words are still to come.
        self.events.lane().shut();
        self.close_output();
    }

    /// The worker's last words, in the promised order. Nothing of the worker runs any more, except threads of its own.
    pub(crate) fn finish(&self, ended: Ended) {
        discard(self.inbox.lane().close_and_take());
        self.close_output();
        let events = self.events.lane();
        events.shut();
        if let Some(error) = &ended.error {
            events.force(WorkerEvent::Error(error.clone()));
        }
        let code = ended.code;
        self.outcome.note(ended);
        events.force(WorkerEvent::Exit(code));
        events.close();
        self.outcome.announce();
        if self.unattended.load(Ordering::SeqCst) {
            self.report_unseen_error();
        }
    }

    /// The parent lets go of the worker.
    pub(crate) fn leave_unattended(&self) -> VecDeque<WorkerEvent<Out>> {
        self.unattended.store(true, Ordering::SeqCst);
        let unread = self.events.lane().close_and_take();
        self.inbox.lane().close();
        self.report_unseen_error();
        unread
    }

    pub(crate) fn saw_error(&self) {
        self.error_seen.store(true, Ordering::SeqCst);
    }

    /// An error that nobody was told of goes where a panic of any other thread goes.
    fn report_unseen_error(&self) {
        let Some(Ended { error: Some(error), .. }) = self.outcome.get() else { return };
        if !self.error_seen.swap(true, Ordering::SeqCst) {
            let WorkerError { message, location } = error;
            let place = location.as_ref().map(|location| format!(" at {location}")).unwrap_or_default();
            // There is nobody left to tell if this fails.
            let _ = writeln!(
                std::io::stderr().lock(),
                "worker {} ({}) ended with an error{place}, and nobody asked for it: {message}",
                self.number,
                self.name
            );
        }
    }

    fn close_output(&self) {
        for pipe in [&self.stdout, &self.stderr].into_iter().flatten() {
            pipe.lane().close();
        }
    }
}
