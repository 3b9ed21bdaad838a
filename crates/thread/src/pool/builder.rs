//! [`Builder`]: the settings of a pool, and its start.

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use phalanx_shared::{Owner, Permits, Spinner};
use rustix::thread::CpuSet;

use crate::line::{KeysInUse, LineOptions};
use crate::panic;
use crate::pool::clock::Keeper;
use crate::pool::core::Core;
use crate::pool::dispatcher::Dispatcher;
use crate::pool::error::Error;
use crate::pool::handle::ThreadPool;
use crate::pool::init::Init;
use crate::pool::share::CoreShare;
use crate::pool::spin::FOR_A_RESULT;
use crate::pool::staff::Size;
use crate::pool::start::Outfit;
use crate::sync::Apart;

/// Jobs that may wait.
const DEFAULT_QUEUE_LIMIT: usize = 1024;
/// How long a job may wait by prediction.
const DEFAULT_MAX_WAIT: Duration = Duration::from_secs(1);
/// What nobody notices beside the work itself.
const DEFAULT_STANDING_WAIT: Duration = Duration::from_millis(100);
/// Long enough for the pause between two bursts, short enough to give memory back.
const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// The event loop goes first, but does not interrupt a job for each small result: with 5, a thread that shares its core
/// with the event loop is preempted at every completion and empty jobs come to a quarter of the rate.
const DEFAULT_NICENESS: u8 = 1;
/// The lowest priority that Linux knows (setpriority(2)).
const MOST_NICENESS: u8 = 19;
/// More threads than any machine has cores are a mistake.
const MOST_THREADS: usize = 8192;

/// Settings of a [`ThreadPool`], made by [`ThreadPool::builder`].
#[derive(Debug, Clone)]
pub struct Builder {
    name: String,
    least_threads: Option<usize>,
    most_threads: Option<usize>,
    idle_timeout: Duration,
    queue_limit: usize,
    max_wait: Duration,
    standing_wait: Duration,
    permits: Option<(Permits, Owner)>,
    niceness: u8,
    affinity: Option<Vec<usize>>,
    init: Option<Init>,
}

impl Builder {
    pub(crate) fn new() -> Builder {
        Builder {
            name: "pool".to_owned(),
            least_threads: None,
            most_threads: None,
            idle_timeout: DEFAULT_IDLE_TIMEOUT,
            queue_limit: DEFAULT_QUEUE_LIMIT,
            max_wait: DEFAULT_MAX_WAIT,
            standing_wait: DEFAULT_STANDING_WAIT,
            permits: None,
            niceness: DEFAULT_NICENESS,
            affinity: None,
            init: None,
        }
    }

    /// The name of its threads ("NAME-0", "NAME-1", …) in `top -H` and debuggers. Default "pool".
    pub fn name(mut self, name: impl Into<String>) -> Builder {
        self.name = name.into();
        self
    }

    /// How many threads, 1 to 8192, always. Default: [`phalanx_memory::usable_cores`].
    pub fn threads(mut self, threads: usize) -> Builder {
        (self.least_threads, self.most_threads) = (Some(threads), Some(threads));
        self
    }

    /// How many threads there are at least, from the start: 1 to [`max_threads`](Self::max_threads). Default: one for
    /// each usable core, but no more than the most.
    pub fn min_threads(mut self, threads: usize) -> Builder {
        self.least_threads = Some(threads);
        self
    }

    /// How many threads there may be: one more is started when jobs wait and no thread is idle.
    /// Default: one for each usable core, but no fewer than the least.
    ///
    /// ```
    /// # use std::time::Duration;
    /// let pool = phalanx_thread::ThreadPool::builder()
    ///     .min_threads(1)
    ///     .max_threads(8)
    ///     .idle_timeout(Duration::from_secs(30))
    ///     .build()?;
    /// assert_eq!(pool.metrics().max_threads, 8);
    /// # Ok::<(), phalanx_thread::Error>(())
    /// ```
    pub fn max_threads(mut self, threads: usize) -> Builder {
        self.most_threads = Some(threads);
        self
    }

    /// A thread beyond the least number that had nothing to do for so long ends. Default 10 s.
    pub fn idle_timeout(mut self, timeout: Duration) -> Builder {
        self.idle_timeout = timeout;
        self
    }

    /// On which processors (numbers as in `/proc/cpuinfo`) the threads may run. Default: wherever the thread may that
    /// starts them.
    pub fn affinity(mut self, cpus: impl IntoIterator<Item = usize>) -> Builder {
        self.affinity = Some(cpus.into_iter().collect());
        self
    }

    /// What each thread makes before its first job and lends to its jobs, by
    /// [`with_state`](crate::JobContext::with_state): a decoder, a connection, a model.
    ///
    /// If it fails or panics, the thread is replaced: after 10, 20, 40 and 80 ms, while jobs wait. After five failures in
    /// a row, jobs that have no other thread to run them end with [`NoThread`](crate::JobError::NoThread), which says
    /// why; the first job after a second tries again.
    pub fn init<S, E>(mut self, init: impl Fn() -> Result<S, E> + Send + Sync + 'static) -> Builder
    where
        S: 'static,
        E: fmt::Display,
    {
        self.init = Some(Init::new(init));
        self
    }

    /// How many jobs may wait, at least 1. Default 1024.
    pub fn queue_limit(mut self, jobs: usize) -> Builder {
        self.queue_limit = jobs;
        self
    }

    /// A job that would wait longer than this, by what the pool measures of its own speed, is refused. Default 1 s.
    /// This is for bursts; see [`standing_wait`](Self::standing_wait).
    pub fn max_wait(mut self, max_wait: Duration) -> Builder {
        self.max_wait = max_wait;
        self
    }

    /// Once the predicted wait was above this for 100 ms, the queue no longer carries a burst but makes every job late:
    /// then nothing is taken that would wait longer than this, until a thread is free again. Default 100 ms; never more
    /// than [`max_wait`](Self::max_wait).
    pub fn standing_wait(mut self, standing_wait: Duration) -> Builder {
        self.standing_wait = standing_wait;
        self
    }

    /// Shares the cores with the other processes of a cluster: each job that runs holds one of the permits, for
    /// `owner`. Default: none, the pool uses all its threads whenever it has jobs.
    ///
    /// A pool may always run one job without a permit (so give a process one pool); for more it waits at most 20 ms,
    /// then the job runs all the same and is counted in
    /// [`Metrics::ran_without_permit`](crate::Metrics::ran_without_permit).
    pub fn permits(mut self, permits: Permits, owner: Owner) -> Builder {
        self.permits = Some((permits, owner));
        self
    }

    /// By how much the priority of the pool's threads is lowered (0 to 19), so that the event loop goes first. Default
    /// 1. Where the system does not allow it, the threads keep theirs.
    pub fn niceness(mut self, increment: u8) -> Builder {
        self.niceness = increment;
        self
    }

    /// Starts the least number of threads. Fails if not even one can be started; those that are missing are tried again
    /// when there is work for them.
    pub fn build(self) -> Result<ThreadPool, Error> {
        let cores = phalanx_memory::usable_cores();
        let size = self.size(cores)?;
        self.check()?;
        let affinity = self.affinity.as_deref().map(cpu_set).transpose()?;
        panic::install_hook();
        // Under a quota spinning eats what jobs need; on one core it keeps the caller from submitting.
        let may_spin = cores > 1 && phalanx_memory::cpu_quota().is_none();
        let line = LineOptions {
            servers: size.most,
            cores,
            limit: self.queue_limit,
            max_wait: self.max_wait,
            standing_wait: self.standing_wait,
        };
        let started = Instant::now();
        let core = Arc::new(Core {
            dispatcher: Apart(Dispatcher::new(size, line)),
            keeper: Keeper::new(format!("{}-clock", self.name), started),
            counters: Apart::default(),
            keys: KeysInUse::default(),
            share: self.permits.map(|(permits, owner)| CoreShare::new(permits, owner)),
            size,
            outfit: Outfit { name: self.name, niceness: self.niceness, affinity },
            init: self.init,
            given_up: AtomicBool::new(false),
            queue_limit: self.queue_limit,
            records: (0..size.most).map(|_| OnceLock::new()).collect(),
            spin_cores: if may_spin { cores } else { 0 },
            submissions: Apart::default(),
            awaiting: Apart(Spinner::new(FOR_A_RESULT)),
            spinning: Apart::default(),
            started,
            draining: Mutex::new(Vec::new()),
        });
        let pool = ThreadPool::new(core);
        for number in 0..size.least {
            let Some(worker) = pool.core().dispatcher.hire() else { break };
            if let Err(source) = pool.core().spawn(worker, Duration::ZERO) {
                pool.core().cannot_start(worker, &source);
                if number == 0 {
                    return Err(Error::Spawn { thread: pool.core().outfit.thread_name(worker), source });
                }
            }
        }
        Ok(pool)
    }

    fn size(&self, cores: usize) -> Result<Size, Error> {
        let most = self.most_threads.unwrap_or(cores.max(self.least_threads.unwrap_or(0)));
        let least = self.least_threads.unwrap_or(cores.min(most));
        if !(1..=MOST_THREADS).contains(&most) {
            return Err(wrong("threads", format!("{most} is not in 1 to {MOST_THREADS}")));
        }
        if !(1..=most).contains(&least) {
            return Err(wrong("min_threads", format!("{least} is not in 1 to max_threads, which is {most}")));
        }
        Ok(Size { least, most, idle_timeout: self.idle_timeout })
    }

    fn check(&self) -> Result<(), Error> {
        match self {
            Builder { queue_limit: 0, .. } => {
                Err(wrong("queue_limit", "no job could ever wait; give at least 1".to_owned()))
            }
            Builder { niceness, .. } if *niceness > MOST_NICENESS => {
                Err(wrong("niceness", format!("{niceness} is not in 0 to {MOST_NICENESS}")))
            }
            Builder { name, .. } if name.contains('\0') => Err(wrong("name", "it contains a zero byte".to_owned())),
            _ => Ok(()),
        }
    }
}

fn wrong(name: &'static str, problem: String) -> Error {
    Error::Setting { name, problem }
}

/// The processors of these numbers, all of which the calling thread may use.
fn cpu_set(cpus: &[usize]) -> Result<CpuSet, Error> {
    let wrong = |problem| wrong("affinity", problem);
    let allowed = rustix::thread::sched_getaffinity(None)
        .map_err(|error| wrong(format!("the system does not tell which processors there are: {error}")))?;
    let mut set = CpuSet::new();
    for cpu in cpus {
        if *cpu >= CpuSet::MAX_CPU || !allowed.is_set(*cpu) {
            let allowed: Vec<_> = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).collect();
            return Err(wrong(format!("processor {cpu} is not one of those that may be used: {allowed:?}")));
        }
        set.set(*cpu);
    }
    if cpus.is_empty() { Err(wrong("no processor is given; leave it out to use all".to_owned())) } else { Ok(set) }
}
