//! [`ProcessPool`]: the handle.

use std::fmt;
use std::fs::File;
use std::sync::{Arc, PoisonError, mpsc};
use std::time::{Duration, Instant};

use phalanx_process::sandbox::available;
use phalanx_process::{Confinement, Sandbox};
use phalanx_thread::line::Terms;
use rustix::event::EventfdFlags;

use crate::pool::admission::Admission;
use crate::pool::builder::Builder;
use crate::pool::drain::{self, Drain, Leftover};
use crate::pool::floor::Floor;
use crate::pool::inner::Inner;
use crate::pool::keeper::Keeper;
use crate::pool::parcel::Parcel;
use crate::pool::pending::{Awaited, Read, unpack};
use crate::pool::state::{NewJob, Rules, Share, State};
use crate::pool::station::Outfit;
use crate::pool::table::Table;
use crate::pool::{PoolError, PoolMetrics};
use crate::{
    Attempt, Blob, Executor, Packed, PackedTask, Refusal, Registry, SandboxPolicy, Submission, SubmitOptions, Task,
    TaskError, TaskId, span,
};

/// How long building a pool waits for the first process.
const FIRST_HELLO: Duration = Duration::from_secs(10);

/// Job processes for work that may crash, hang, or is not to be trusted.
///
/// Cheap to clone; when the last clone is dropped, tasks that wait are [refused](Refusal::ShuttingDown), those that run are
/// cancelled, and the processes are killed.
#[derive(Clone)]
pub struct ProcessPool {
    handle: Arc<Handle>,
}

struct Handle {
    inner: Arc<Inner>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.inner.give_up();
    }
}

impl ProcessPool {
    /// Settings to start from.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(super) fn build(builder: Builder) -> Result<ProcessPool, PoolError> {
        let size = builder.checked()?;
        if phalanx_process::role() == Some(crate::desk::ROLE) {
            return Err(PoolError::InJobProcess);
        }
        let registry = crate::registered().ok_or(PoolError::NotInitialized)?;
        let names: Vec<_> = registry.names().collect();
        if names.is_empty() {
            return Err(PoolError::NoTasks);
        }
        let level = |name: &&str| match builder.sandbox {
            SandboxPolicy::Off => Sandbox::None,
            SandboxPolicy::Prefer | SandboxPolicy::Require => registry.sandbox(name).unwrap_or_default(),
        };
        let levels: Vec<_> = names.iter().map(level).collect();
        if builder.sandbox == SandboxPolicy::Require {
            check_sandboxes(&levels)?;
        }
        let (cores, now) = (phalanx_memory::usable_cores(), Instant::now());
        let rules = Rules {
            least: size.least,
            most: size.most,
            cores,
            queue_limit: builder.queue_limit,
            max_wait: builder.max_wait,
            standing_wait: builder.standing_wait,
            idle_timeout: builder.idle_timeout,
            max_jobs: builder.max_jobs,
            max_memory: builder.max_memory,
            kill_grace: builder.kill_grace,
            ahead: builder.ahead,
        };
        let state = State::new(rules, &levels, Share::new(builder.permits), now);
        let floor = Floor::new(state, Table::new(size.most, names), cores);
        let ringer = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|source| PoolError::system("create the bell of its keeper", source))?;
        let nothing = File::options()
            .read(true)
            .write(true)
            .open("/dev/null")
            .map_err(|source| PoolError::system("open /dev/null", source))?;
        let outfit = Outfit {
            name: builder.name.clone(),
            niceness: builder.niceness,
            data_limit: builder.data_limit,
            cpu_limit: builder.cpu_limit,
            open_files: builder.open_files,
            policy: builder.sandbox,
            max_input: builder.max_input,
            max_output: builder.max_output,
            nothing,
        };
        let listener = builder.listener.clone();
        let inner = Inner::new(floor, ringer, registry, builder.max_input, builder.poison_after, listener);
        let inner = Arc::new(inner);
        let (first, told) = mpsc::sync_channel(1);
        let keeper = Keeper::new(inner.clone(), outfit, size.most, first)
            .map_err(|source| PoolError::system("create the keeper's epoll", source))?;
        std::thread::Builder::new()
            .name(format!("{}-keeper", builder.name))
            .spawn(move || keeper.run_to_the_end())
            .map_err(|source| PoolError::system("start the keeper's thread", source))?;
        // From now on dropping it ends the keeper and all processes.
        let pool = ProcessPool { handle: Arc::new(Handle { inner }) };
        let silent = || PoolError::Start { reason: "the first process said nothing for 10 s".to_owned() };
        told.recv_timeout(FIRST_HELLO).map_err(|_| silent())??;
        Ok(pool)
    }

    fn inner(&self) -> &Arc<Inner> {
        &self.handle.inner
    }

    /// Lets in a task of this cost that is submitted a little later: a check before the body of a request is even read. What was
    /// let in counts as waiting until the [`Admission`] is dropped, but for a quarter of a second at most.
    pub fn admit(&self, cost: Duration) -> Result<Admission, Refusal> {
        let number = self.inner().lock().state.admit(cost, Instant::now())?;
        Ok(Admission::new(self.inner().clone(), number))
    }

    /// How long a heavy task would wait for a process if it came now: zero while one is free.
    pub fn predicted_wait(&self) -> Duration {
        self.inner().lock().state.predicted_wait(Instant::now())
    }

    /// What the pool has done and does.
    pub fn metrics(&self) -> PoolMetrics {
        self.inner().metrics()
    }

    /// What the processes are truly denied, as they said themselves before their first task: one entry per sandbox level that
    /// has had a process, the strictest first.
    pub fn confinement(&self) -> Vec<Confinement> {
        self.inner().confinements.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stops taking tasks, at once; ready when all that were taken are done and the processes have ended, or after
    /// `within`, when those that still wait are refused and those that run are killed.
    ///
    /// To drop the future before it is ready changes nothing: the pool goes on draining, without an end.
    pub fn drain(&self, within: Duration) -> Drain {
        Drain::begin(self.inner().clone(), within)
    }

    /// As [`drain`](ProcessPool::drain), but blocks the calling thread.
    pub fn drain_blocking(&self, within: Duration) -> Leftover {
        drain::block_on(self.drain(within))
    }

    /// The tasks that its processes know.
    pub(crate) fn registry(&self) -> &'static Registry {
        self.inner().registry
    }

    /// Runs a packed task, as a queue's runner does: nothing is unpacked on the way.
    pub(crate) fn submit_packed(
        &self,
        name: &'static str,
        task: PackedTask<'_>,
        options: SubmitOptions,
    ) -> Submission<Packed> {
        let PackedTask { id, mut input, attempt, .. } = task;
        if let Some(details) = attempt.earlier() {
            input.blobs.push(Blob::from(details.to_vec()));
        }
        self.submission(id, self.take(name, id, input, attempt, options, Ok))
    }

    fn submission<T: 'static>(&self, id: TaskId, taken: Result<Awaited<T>, TaskError>) -> Submission<T> {
        match taken {
            Ok(awaited) => {
                let progress = awaited.parcel.progress.clone();
                Submission::taken(id, awaited, progress)
            }
            Err(error) => {
                self.inner().refused(&error);
                Submission::failed(id, error)
            }
        }
    }

    /// Takes the task, or says why not.
    fn take<T>(
        &self,
        name: &'static str,
        id: TaskId,
        input: Packed,
        attempt: Arc<Attempt>,
        options: SubmitOptions,
        read: Read<T>,
    ) -> Result<Awaited<T>, TaskError> {
        let inner = self.inner();
        let kind = inner.names.binary_search(&name).unwrap_or_default();
        let bytes = input.len() as u64;
        if bytes > inner.max_input {
            return Err(Refusal::TooBig { bytes, limit: inner.max_input }.into());
        }
        let SubmitOptions { priority, from_submit, from_start, idempotency_key, cost } = options;
        let key = match idempotency_key {
            None => None,
            Some(key) => Some(inner.keys.take(&key).ok_or(Refusal::Duplicate)?),
        };
        let span = span::named(name, id, attempt.number());
        let parcel = Arc::new(Parcel::new(kind, input, attempt, id, key, span));
        let now = Instant::now();
        if let Some(crashes) = inner.poison.verdict(&parcel, now) {
            return Err(Refusal::Poison { crashes }.into());
        }
        let due = from_submit.and_then(|time| now.checked_add(time));
        let terms = Terms { priority, cost, due };
        // That of a queue's job need not be the only one of its kind here.
        let number = TaskId::next().get();
        let new = NewJob { id: number, payload: parcel.clone(), kind, terms, from_start };
        let mut guard = inner.lock();
        let floor = &mut *guard;
        let taken = floor.state.submit(new, &mut floor.table, now);
        inner.settle(guard);
        match taken {
            Ok(key) => Ok(Awaited { inner: inner.clone(), parcel, key, read }),
            Err((_, refusal)) => Err(refusal.into()),
        }
    }
}

/// Whether every level is whole on this machine. The processes look once more, each for itself.
fn check_sandboxes(levels: &[Sandbox]) -> Result<(), PoolError> {
    let incomplete = levels.iter().map(|level| available(*level)).find(|confinement| !confinement.is_complete());
    match incomplete {
        Some(confinement) => {
            Err(PoolError::Sandbox { level: confinement.level, missing: confinement.missing.join("; ") })
        }
        None => Ok(()),
    }
}

impl Executor for ProcessPool {
    fn submit_with<T: Task>(&self, task: T, mut options: SubmitOptions) -> Submission<T::Output> {
        let id = TaskId::next();
        options.cost = options.cost.or_else(|| task.cost());
        let taken = if self.registry().knows::<T>() {
            let packed = Packed::of(&task).map_err(TaskError::failed);
            packed.and_then(|input| self.take(T::NAME, id, input, Attempt::first(), options, unpack))
        } else {
            Err(Refusal::Unknown { task: T::NAME.to_owned() }.into())
        };
        self.submission(id, taken)
    }
}

impl fmt::Debug for ProcessPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (queued, placed) = {
            let floor = self.inner().lock();
            (floor.state.queued(), floor.state.placed())
        };
        f.debug_struct("ProcessPool").field("queued", &queued).field("running", &placed).finish_non_exhaustive()
    }
}
