//! [`Builder`]: the settings of a runner.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use phalanx_task::{Packed, Place, Priority, ProcessPool, Registry};
use phalanx_thread::ThreadPool;
use tokio::sync::{Notify, watch};

use super::metrics::Counters;
use super::pulse::Pulse;
use super::reports::Reports;
use super::room::Room;
use super::{Gate, Held, JobRunner, Owned, Shared, claims, pulse, reports, sweep};
use crate::{Error, JobId, Queue, QueueName};

/// What SIGTERM leaves of what runs: as Sidekiq has it.
const DEFAULT_DRAIN: Duration = Duration::from_secs(25);
/// Longer than what dead jobs are kept (7 days), and than most wait.
const DEFAULT_UNUSED: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// A job that was claimed waits in the pool as long as it takes: what it may wait was decided by the queue.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// Where the tasks run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Isolate {
    /// In job processes: a crash costs one attempt, and a deadline kills.
    #[default]
    Processes,
    /// On threads of this process: a crash takes the runner with it, and all that it runs.
    Threads,
}

/// Settings of a [`JobRunner`], made by [`JobRunner::builder`].
#[derive(Debug, Clone)]
#[must_use = "nothing happens before build()"]
pub struct Builder {
    queue: Queue,
    queues: Vec<QueueName>,
    kinds: Option<Vec<String>>,
    registry: Option<Registry>,
    isolate: Isolate,
    place: Option<Place>,
    priority: Priority,
    concurrency: Option<usize>,
    prefetch: Option<usize>,
    drain: Duration,
    blobs_unused_for: Duration,
    gate: Option<Gate>,
}

impl Builder {
    pub(super) fn new(queue: &Queue) -> Builder {
        Builder {
            queue: queue.clone(),
            queues: Vec::new(),
            kinds: None,
            registry: None,
            isolate: Isolate::default(),
            place: None,
            priority: Priority::default(),
            concurrency: None,
            prefetch: None,
            drain: DEFAULT_DRAIN,
            blobs_unused_for: DEFAULT_UNUSED,
            gate: None,
        }
    }

    /// From these queues, with the same right for all of them. Default: `default`.
    pub fn queues(mut self, queues: impl IntoIterator<Item = QueueName>) -> Self {
        self.queues = queues.into_iter().collect();
        self
    }

    /// Only jobs of these kinds. Default: all that it knows.
    pub fn kinds<S: Into<String>>(mut self, kinds: impl IntoIterator<Item = S>) -> Self {
        self.kinds = Some(kinds.into_iter().map(Into::into).collect());
        self
    }

    /// The tasks that it runs on [threads](Isolate::Threads). Default, and always so in job processes: those of `init_with`.
    pub fn registry(mut self, registry: Registry) -> Self {
        self.registry = Some(registry);
        self
    }

    /// Where the tasks run. Default: [`Isolate::Processes`].
    pub fn isolate(mut self, isolate: Isolate) -> Self {
        self.isolate = isolate;
        self
    }

    /// On the processes of a pool that is there already, beside what else it does.
    pub fn on_processes(mut self, pool: ProcessPool) -> Self {
        self.place = Some(Place::Processes(pool));
        self
    }

    /// On the threads of a pool that is there already, beside what else it does.
    pub fn on_threads(mut self, pool: ThreadPool, registry: Registry) -> Self {
        self.place = Some(Place::Threads(pool, Arc::new(registry)));
        self
    }

    /// With which priority its tasks wait in the pool: lower than that of requests, say. (The priorities of the jobs decide which ones
    /// are claimed.)
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// How many jobs run at once, at least 1. Default: the number of cores.
    pub fn concurrency(mut self, jobs: usize) -> Self {
        self.concurrency = Some(jobs.max(1));
        self
    }

    /// How many jobs more are claimed, so that the next one is there when one ends. What waits here waits for this runner alone. Default:
    /// up to four for each that runs as long as they are done within some milliseconds, none otherwise.
    pub fn prefetch(mut self, jobs: usize) -> Self {
        self.prefetch = Some(jobs);
        self
    }

    /// How long what runs may go on after SIGTERM. Default 25 s.
    pub fn drain(mut self, time: Duration) -> Self {
        self.drain = time;
        self
    }

    /// Large payloads and results that nobody has used for so long are thrown away: longer than any job waits or is kept. Looked for every
    /// hour. Default: 30 days.
    pub fn sweep_blobs_unused_for(mut self, time: Duration) -> Self {
        self.blobs_unused_for = time;
        self
    }

    /// Asks before each attempt, with the name of the task and its input, whether there is room for it: memory, say. What `admit`
    /// gives is held until the attempt has ended. `None` hands the job back uncounted, and nothing is claimed for a while: 20 ms
    /// at first, 5 s at most. Called on the thread of the queue's handle: it must not block. Default: there is room.
    pub fn admission<G: Send + 'static>(
        mut self,
        admit: impl Fn(&str, &Packed) -> Option<G> + Send + Sync + 'static,
    ) -> Self {
        self.gate = Some(Gate(Arc::new(move |name, input| admit(name, input).map(|held| Box::new(held) as Held))));
        self
    }

    /// Starts it. Errors: [`Error::Refused`] if there is no pool to run on (`init_with` was not called, a sandbox is missing, …) or no task
    /// to run.
    pub fn build(self) -> Result<JobRunner, Error> {
        let concurrency =
            self.concurrency.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
        let place = match self.place {
            Some(place) => place,
            None => place(self.isolate, self.registry, concurrency)?,
        };
        let mut kinds: Vec<String> = place.names().into_iter().map(str::to_owned).collect();
        if let Some(wanted) = &self.kinds {
            kinds.retain(|kind| wanted.contains(kind));
        }
        if kinds.is_empty() {
            return Err(refused("it knows no task to run; name them in tasks![…]"));
        }
        let queues = if self.queues.is_empty() { vec![QueueName::default()] } else { self.queues };
        let io = self.queue.io()?;
        let (pulse, beats) = Pulse::new();
        let (reports, said) = Reports::new();
        let shared = Arc::new(Shared {
            id: JobId::new(),
            name: format!("{}:{}", host(), std::process::id()),
            store: self.queue.store().clone(),
            blobs: self.queue.blobs().cloned(),
            queue: self.queue,
            place,
            priority: self.priority,
            queues,
            kinds,
            room: Room::new(concurrency, self.prefetch),
            gate: self.gate,
            running: Mutex::new(HashMap::new()),
            pulse,
            reports,
            counters: Counters::default(),
            stopping: watch::Sender::new(false),
            freed: Notify::new(),
            begun: Notify::new(),
            emptied: Notify::new(),
            loops: Mutex::default(),
            io,
        });
        let unused_for = self.blobs_unused_for;
        let loops = [
            shared.io.spawn(claims::run(shared.clone())).abort_handle(),
            shared.io.spawn(pulse::beat(shared.clone(), beats)).abort_handle(),
            shared.io.spawn(pulse::listen(shared.clone())).abort_handle(),
            shared.io.spawn(sweep::run(shared.clone(), unused_for)).abort_handle(),
            shared.io.spawn(reports::run(shared.clone(), said)).abort_handle(),
        ];
        shared.loops.lock().unwrap_or_else(PoisonError::into_inner).extend(loops);
        Ok(JobRunner { handle: Arc::new(Owned { shared, drain: self.drain }) })
    }
}

fn place(isolate: Isolate, registry: Option<Registry>, concurrency: usize) -> Result<Place, Error> {
    match isolate {
        Isolate::Processes => {
            // What kills its process is counted by the queue, for each job.
            let pool = ProcessPool::builder().name("queue").max_processes(concurrency).poison_after(u32::MAX);
            let pool = pool.queue_limit(usize::MAX / 2).max_wait(LONGEST_WAIT).standing_wait(LONGEST_WAIT).build();
            pool.map(Place::Processes).map_err(refused)
        }
        Isolate::Threads => {
            let registry = registry.or_else(|| phalanx_task::registered().cloned());
            let registry = registry.ok_or_else(|| refused("it was given no tasks; name them in tasks![…]"))?;
            let registry = registry.checked().map_err(refused)?;
            let pool = ThreadPool::builder().name("queue").threads(concurrency).queue_limit(usize::MAX / 2);
            let pool = pool.max_wait(LONGEST_WAIT).standing_wait(LONGEST_WAIT).build();
            pool.map(|pool| Place::Threads(pool, Arc::new(registry))).map_err(refused)
        }
    }
}

fn refused(reason: impl std::fmt::Display) -> Error {
    Error::Refused { broker: "the job runner".to_owned(), reason: reason.to_string() }
}

/// The name of this machine, for people.
fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "localhost".to_owned(),
        name => name.to_owned(),
    }
}
