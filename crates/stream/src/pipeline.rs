//! [`pipeline`]: source, transforms and sink put together, and run.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use phalanx_thread::ThreadPool;

use crate::chunk::CHUNK_BYTES;
use crate::file::{Identity, refuse_same};
use crate::lane::Lane;
use crate::part::Part;
use crate::progress::Course;
use crate::run::{Driver, Flowing, Reading, Run, Sending, Serial, Split, Spread, Writing, block_on};
use crate::sink::SinkEnd;
use crate::source::SourceEnd;
use crate::transform::is_weighed_in_bytes;
use crate::{AbortHandle, Error, IntoSink, IntoSource, Meter, ParallelTransform, Sink, Summary, Transform};

/// Bytes that may wait between two parts, unless said otherwise.
pub const BYTES_MARK: usize = 4 * CHUNK_BYTES;
/// Items that may wait between two parts, unless said otherwise (Node: 16 objects; ours are moved in batches).
pub const ITEMS_MARK: usize = 1024;

/// Begins a pipeline with where it reads.
pub fn pipeline<S: IntoSource>(source: S) -> Pipe<S::Item> {
    let source = source.into_source();
    let lane = Arc::new(Lane::new(mark::<S::Item>()));
    let origin = Origin { what: source.what.clone(), identity: source.identity, total: source.total };
    let part: Arc<dyn Part> = match source.end {
        SourceEnd::Blocking(reading) => Arc::new(Reading::new(source.what, reading, lane.clone())),
        SourceEnd::Async(stream) => Arc::new(Flowing::new(source.what, stream, lane.clone())),
    };
    Pipe {
        rest: Rest { origin, parts: vec![part], threads: phalanx_memory::usable_cores(), pool: None, clash: None },
        lane,
    }
}

/// Something that a pipeline can go [through](Pipe::through): a [`Transform`], or several in a row.
pub trait Stage {
    /// What goes in.
    type In: Send + 'static;
    /// What comes out.
    type Out: Send + 'static;

    /// Puts its parts at the end of the pipeline.
    fn attach(self, pipe: Pipe<Self::In>) -> Pipe<Self::Out>;
}

impl<T: Transform> Stage for T {
    type In = T::In;
    type Out = T::Out;

    fn attach(self, pipe: Pipe<T::In>) -> Pipe<T::Out> {
        pipe.serial(self)
    }
}

/// The beginning of a pipeline: what it has so far gives items of type `T`.
#[must_use = "a pipeline does nothing before it has a sink and is run"]
pub struct Pipe<T> {
    rest: Rest,
    /// What comes out of the last part.
    lane: Arc<Lane<T>>,
}

/// All of it that does not depend on the type of its items.
struct Rest {
    origin: Origin,
    parts: Vec<Arc<dyn Part>>,
    threads: usize,
    pool: Option<ThreadPool>,
    /// A sink is what is read.
    clash: Option<Error>,
}

struct Origin {
    what: String,
    identity: Option<Identity>,
    total: Option<u64>,
}

impl<T: Send + 'static> Pipe<T> {
    /// The next part.
    pub fn through<S: Stage<In = T>>(self, stage: S) -> Pipe<S::Out> {
        stage.attach(self)
    }

    /// How many threads work on this pipeline at most, which is also how many inputs a parallel transform works on at a
    /// time if it does not say it itself. Default: the cores.
    pub fn threads(mut self, threads: usize) -> Pipe<T> {
        self.rest.threads = threads.max(1);
        self
    }

    /// The pool for the work, if an end is async. Default: one of the process, with as many threads as cores.
    pub fn pool(mut self, pool: &ThreadPool) -> Pipe<T> {
        self.rest.pool = Some(pool.clone());
        self
    }

    /// The high-water mark of what waits behind the last part: bytes for chunks, texts and vectors of bytes, else items.
    /// Default: 1 MiB ([`BYTES_MARK`]) or [`ITEMS_MARK`] items. It is a threshold, as in Node: what one step gives is never cut.
    pub fn mark(self, mark: usize) -> Pipe<T> {
        self.lane.set_mark(mark);
        self
    }

    /// Where it writes.
    pub fn into(self, sink: impl IntoSink<T>) -> Pipeline {
        let sink = sink.into_sink();
        let Pipe { mut rest, lane } = self;
        rest.push_sink(sink, lane);
        let meter = Meter::new(&rest.parts, rest.origin.total);
        let run = Arc::new(Run::new(rest.parts, rest.threads, rest.pool));
        if let Some(error) = rest.clash {
            run.fail(error);
        }
        Pipeline { run, meter, course: Course::new() }
    }

    /// How many threads it has; a parallel transform that was told no number works on as many inputs.
    pub fn hands(&self) -> usize {
        self.rest.threads
    }

    /// The pool that was given.
    pub(crate) fn given_pool(&self) -> Option<&ThreadPool> {
        self.rest.pool.as_ref()
    }

    /// Puts one transform at its end, one call at a time: for [`Stage::attach`].
    pub fn serial<F: Transform<In = T>>(self, transform: F) -> Pipe<F::Out> {
        self.then(|from, to| Serial::new(transform, from, to))
    }

    /// Puts one transform at its end that works on `permits` inputs at a time, in order: for [`Stage::attach`].
    pub fn spread<P: ParallelTransform<In = T>>(self, transform: P, permits: usize) -> Pipe<P::Out> {
        self.then(|from, to| Spread::new(transform, permits, from, to))
    }

    /// Everything goes on, and to this sink as well; the run has ended when both have finished.
    pub(crate) fn branch(self, sink: Sink<T>, split: fn(T) -> (T, T)) -> Pipe<T> {
        let Pipe { mut rest, lane } = self;
        let to = [Arc::new(Lane::new(mark::<T>())), Arc::new(Lane::new(mark::<T>()))];
        rest.parts.push(Arc::new(Split::new("tee".to_owned(), split, lane, to.clone())));
        let [to, aside] = to;
        rest.push_sink(sink, aside);
        Pipe { rest, lane: to }
    }

    fn then<O: Send + 'static, P: Part + 'static>(self, part: impl FnOnce(Arc<Lane<T>>, Arc<Lane<O>>) -> P) -> Pipe<O> {
        let Pipe { mut rest, lane } = self;
        let to = Arc::new(Lane::new(mark::<O>()));
        rest.parts.push(Arc::new(part(lane, to.clone())));
        Pipe { rest, lane: to }
    }
}

impl Rest {
    fn push_sink<T: Send + 'static>(&mut self, sink: Sink<T>, from: Arc<Lane<T>>) {
        if let Err(error) = refuse_same((&self.origin.what, self.origin.identity), (&sink.what, sink.identity)) {
            self.clash.get_or_insert(error);
        }
        self.parts.push(match sink.end {
            SinkEnd::Blocking(writing) => Arc::new(Writing::new(sink.what, writing, from)),
            SinkEnd::Async(sending) => Arc::new(Sending::new(sink.what, sending, from)),
        });
    }
}

impl<T> fmt::Debug for Pipe<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Pipe").field("parts", &names(&self.rest.parts)).finish_non_exhaustive()
    }
}

/// A whole pipeline, ready to run.
#[must_use = "a pipeline does nothing before it is run"]
pub struct Pipeline {
    run: Arc<Run>,
    meter: Meter,
    pub(crate) course: Course,
}

impl Pipeline {
    /// Runs it to its end and waits for it. An error is the first thing that went wrong; every part has heard of it then.
    ///
    /// If no end is async, threads of its own do the work, at most [`threads`](Pipe::threads) of them. When this returns,
    /// no thread is left and every file is closed; but for an end that waits for somebody else for ever and cannot be
    /// interrupted, which an error leaves behind after a second, to end with its wait.
    pub fn run_blocking(self) -> Result<Summary, Error> {
        block_on(self.run())
    }

    /// Runs it to its end, on any runtime; see [`Running`].
    pub fn run(self) -> Running {
        Running { driver: Driver::new(self.run), meter: self.meter, course: self.course, began: None }
    }

    /// What ends it from outside.
    pub fn abort_handle(&self) -> AbortHandle {
        AbortHandle::new(Arc::downgrade(&self.run))
    }

    /// What it has done so far, to be asked at any time.
    pub fn meter(&self) -> Meter {
        self.meter.clone()
    }
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Pipeline").field("parts", &names(self.run.parts())).finish_non_exhaustive()
    }
}

/// A run of a [`Pipeline`], as a future: made by [`Pipeline::run`].
///
/// If no end is async, threads of its own do the work and this only awaits them. Else this polls the async ends, on
/// whatever runtime polls it, and jobs of the [pool](Pipe::pool) do the work; an end that blocks has a thread of its own.
/// Dropped before it is ready, it gives the pipeline up: every part is told, and the threads end by themselves.
#[must_use = "a pipeline does nothing before it is run"]
pub struct Running {
    driver: Driver,
    meter: Meter,
    course: Course,
    began: Option<Instant>,
}

impl Future for Running {
    type Output = Result<Summary, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let running = &mut *self;
        if running.began.is_none() {
            running.course.begin();
        }
        let began = *running.began.get_or_insert_with(Instant::now);
        let outcome = ready!(Pin::new(&mut running.driver).poll(context));
        running.course.end(outcome.is_ok());
        Poll::Ready(outcome.map(|()| running.meter.summary(began.elapsed())))
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Running").field("meter", &self.meter).finish_non_exhaustive()
    }
}

fn names(parts: &[Arc<dyn Part>]) -> Vec<&str> {
    parts.iter().map(|part| part.name()).collect()
}

/// The high-water mark for items of this type, unless said otherwise.
pub(crate) fn mark<T: 'static>() -> usize {
    if is_weighed_in_bytes::<T>() { BYTES_MARK } else { ITEMS_MARK }
}
