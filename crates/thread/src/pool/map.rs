//! [`Map`]: one closure over many items, in parallel, in order, in bounded memory.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use futures_core::Stream;

use crate::pool::context::JobContext;
use crate::pool::error::JobError;
use crate::pool::handle::ThreadPool;
use crate::pool::job::{Awaited, Job};
use crate::pool::submission::Submission;
use crate::pool::terms::Terms;

/// In flight for each thread: one that runs, one that is ready for it.
const IN_FLIGHT_PER_THREAD: usize = 2;

/// The results of [`ThreadPool::map`], in the order of the items: a [`Stream`], or [`next`](Map::next) by hand.
///
/// It works while it is polled: at most [`in_flight`](Map::in_flight) items are taken from the iterator and not yet
/// handed out as results, so that neither the queue nor the results pile up, however many items there are. A queue that is full
/// holds it up and refuses nothing; each item has exactly one result. Dropped, it cancels what is left.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let pool = phalanx_thread::ThreadPool::builder().build().unwrap();
/// let mut lengths = pool.map(["one", "three"], |_, word| word.len());
/// assert_eq!(lengths.next().await, Some(Ok(3)));
/// assert_eq!(lengths.next().await, Some(Ok(5)));
/// assert_eq!(lengths.next().await, None);
/// # });
/// ```
#[must_use = "nothing runs before it is polled"]
pub struct Map<I: Iterator, F, T: Send + 'static> {
    pool: ThreadPool,
    terms: Terms,
    items: std::iter::Fuse<I>,
    work: Arc<F>,
    most_in_flight: usize,
    in_flight: VecDeque<Submission<T>>,
    /// For the next one there was no room.
    held_up: Option<(Job, Submission<T>)>,
}

/// The items are never pinned.
impl<I: Iterator, F, T: Send + 'static> Unpin for Map<I, F, T> {}

impl<I, F, T> Map<I, F, T>
where
    I: Iterator,
    I::Item: Send + 'static,
    F: Fn(&JobContext, I::Item) -> T + Send + Sync + 'static,
    T: Send + 'static,
{
    pub(crate) fn new(pool: ThreadPool, terms: Terms, items: I, work: F) -> Map<I, F, T> {
        let most_in_flight = pool.core().size.most * IN_FLIGHT_PER_THREAD;
        let (items, work) = (items.fuse(), Arc::new(work));
        Map { pool, terms, items, work, most_in_flight, in_flight: VecDeque::new(), held_up: None }
    }

    /// How many items are under way at most; 0 is taken for 1. Default: twice the most threads.
    pub fn in_flight(mut self, items: usize) -> Self {
        self.most_in_flight = items.max(1);
        self
    }

    /// The result of the next item; `None` after the last. Dropping this future loses nothing.
    pub async fn next(&mut self) -> Option<Result<T, JobError>> {
        poll_fn(|context| self.poll_result(context)).await
    }

    fn poll_result(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<T, JobError>>> {
        self.fill(context);
        let Some(first) = self.in_flight.front_mut() else {
            // One that is held up can end only by being cancelled.
            let Some((_, submission)) = &mut self.held_up else { return Poll::Ready(None) };
            let result = ready!(Pin::new(submission).poll(context));
            self.held_up = None;
            return Poll::Ready(Some(result));
        };
        match Pin::new(first).poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(result) => {
                self.in_flight.pop_front();
                // The threads go on while the caller looks at this one.
                self.fill(context);
                Poll::Ready(Some(result))
            }
        }
    }

    /// Takes items while there is room for them.
    fn fill(&mut self, context: &mut Context<'_>) {
        while self.in_flight.len() < self.most_in_flight {
            let Some((job, submission)) = self.held_up.take().or_else(|| self.draw_up()) else { return };
            let core = self.pool.core();
            match core.dispatcher.push_or_wait(&job, self.terms.cost(), Instant::now(), context.waker()) {
                Ok(call) => {
                    core.answer(call);
                    core.keeper.note(job.0.ticket().due, core);
                    self.in_flight.push_back(submission);
                }
                Err(error) if error.is_for_now() && !submission.is_finished() => {
                    self.held_up = Some((job, submission));
                    return;
                }
                Err(error) => {
                    job.0.clone().stop(error);
                    self.in_flight.push_back(submission);
                }
            }
        }
    }

    fn draw_up(&mut self) -> Option<(Job, Submission<T>)> {
        let item = self.items.next()?;
        let work = self.work.clone();
        let job = move |context: &JobContext| work(context, item);
        let cell: Arc<dyn Awaited<T>> = self.terms.draw_up(self.pool.core(), Instant::now(), job);
        let job = Job(cell.clone());
        // Also one for which there is no room yet.
        self.terms.watch(&job);
        Some((job, Submission::taken(cell)))
    }
}

impl<I, F, T> Stream for Map<I, F, T>
where
    I: Iterator,
    I::Item: Send + 'static,
    F: Fn(&JobContext, I::Item) -> T + Send + Sync + 'static,
    T: Send + 'static,
{
    type Item = Result<T, JobError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_result(context)
    }
}

impl<I: Iterator, F, T: Send + 'static> fmt::Debug for Map<I, F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map").field("in_flight", &self.in_flight.len()).finish_non_exhaustive()
    }
}
