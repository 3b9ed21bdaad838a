//! The life of a worker's thread: from its first word to its last.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::runtime::{Builder, LocalOptions};

use crate::JobError;
use crate::panic::catch;
use crate::port::waiters::Ticket;
use crate::worker::builder::EventLoop;
use crate::worker::environment::{self, Environment};
use crate::worker::event::{WorkerError, WorkerEvent};
use crate::worker::exit::{ExitValue, FAILURE};
use crate::worker::link::Link;
use crate::worker::main_thread;
use crate::worker::outcome::Ended;
use crate::worker::parent_port;
use crate::worker::scope::WorkerScope;
use crate::worker::stop::{Request, Stop};

/// What a thread needs to become a worker.
pub(crate) struct Birth<In, Out, D, F> {
    pub(crate) link: Arc<Link<In, Out>>,
    pub(crate) environment: Environment,
    pub(crate) event_loop: EventLoop,
    pub(crate) data: D,
    pub(crate) body: F,
}

impl<In, Out, D, F, R> Birth<In, Out, D, F>
where
    In: Send + 'static,
    Out: Send + 'static,
    F: AsyncFnOnce(WorkerScope<In, Out, D>) -> R,
    R: ExitValue,
{
    pub(crate) fn live(self) {
        let Birth { link, environment, event_loop, data, body } = self;
        main_thread::take_number(link.number);
        environment::adopt(environment);
        parent_port::install(&link);
        link.events.lane().force(WorkerEvent::Online);
        let ended = run(&link, event_loop, data, body);
        parent_port::remove();
        link.finish(ended);
    }
}

/// Runs the body in an event loop of its own, until it has ended, shall end, or panics.
fn run<In, Out, D, F, R>(link: &Arc<Link<In, Out>>, event_loop: EventLoop, data: D, body: F) -> Ended
where
    F: AsyncFnOnce(WorkerScope<In, Out, D>) -> R,
    R: ExitValue,
{
    let mut builder = Builder::new_current_thread();
    match event_loop {
        EventLoop::Timers => builder.enable_time(),
        EventLoop::TimersAndIo => builder.enable_all(),
    };
    let runtime = match builder.build_local(LocalOptions::default()) {
        Ok(runtime) => runtime,
        Err(error) => {
            let message = format!("cannot start the event loop: {error}; raise the limit of open files (ulimit -n)");
            return Ended::with_error(WorkerError { message, location: None });
        }
    };
    let scope = WorkerScope::new(Arc::clone(link), data);
    let ended = runtime.block_on(async {
        let mut future = match catch(|| Box::pin(body(scope))) {
            Ok(future) => future,
            Err(panic) => return verdict(link.stop.requested(), How::Panicked(panic)),
        };
        let how = drive(&link.stop, future.as_mut()).await;
        // What was asked of it while it lived, not while it is cleared away.
        let request = link.stop.requested();
        match catch(|| drop(future)) {
            Err(panic) => verdict(request, How::Panicked(panic)),
            Ok(()) => verdict(request, how),
        }
    });
    // Drops its tasks. Its blocking calls may go on for as long as they like: nobody waits for them.
    match catch(|| runtime.shutdown_background()) {
        Err(panic) if ended.error.is_none() => verdict(None, How::Panicked(panic)),
        _ => ended,
    }
}

/// Why the body is not polled any more.
enum How {
    Returned(Result<i32, String>),
    Stopped,
    Panicked(JobError),
}

async fn drive<R: ExitValue>(stop: &Stop, mut body: Pin<&mut impl Future<Output = R>>) -> How {
    let mut bell = Bell { stop, ticket: Ticket::default(), rung: false };
    poll_fn(|context| {
        // Asked before the body is polled: what waits for the same word has one more turn, up to its next await.
        let stopped = bell.poll(context);
        match catch(|| body.as_mut().poll(context).map(ExitValue::exit_code)) {
            Ok(Poll::Ready(code)) => Poll::Ready(How::Returned(code)),
            Ok(Poll::Pending) if stopped => Poll::Ready(How::Stopped),
            Ok(Poll::Pending) => Poll::Pending,
            Err(panic) => Poll::Ready(How::Panicked(panic)),
        }
    })
    .await
}

/// Rings when the worker shall end. Its thread has one waker as long as it lives: standing in line once is enough.
struct Bell<'a> {
    stop: &'a Stop,
    ticket: Ticket,
    rung: bool,
}

impl Bell<'_> {
    fn poll(&mut self, context: &mut Context<'_>) -> bool {
        if !self.rung {
            self.rung = if self.ticket.is_used() {
                self.stop.is_requested()
            } else {
                self.stop.poll(context, &mut self.ticket).is_ready()
            };
        }
        self.rung
    }
}

fn verdict(request: Option<Request>, how: How) -> Ended {
    match (request, how) {
        // `exit` unwinds the stack as a panic does.
        (Some(Request::Exit(code)), _) => Ended::with_code(code),
        (_, How::Panicked(JobError::Panicked { message, location })) => {
            Ended::with_error(WorkerError { message, location })
        }
        (_, How::Panicked(other)) => Ended::with_error(WorkerError { message: other.to_string(), location: None }),
        (Some(Request::Terminate), _) | (None, How::Stopped) => Ended::with_code(FAILURE),
        (None, How::Returned(Ok(code))) => Ended::with_code(code),
        (None, How::Returned(Err(message))) => Ended::with_error(WorkerError { message, location: None }),
    }
}
