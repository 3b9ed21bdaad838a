//! [`Builder`]: the settings of a pool, and its start.

use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use phalanx_shared::{Owner, Permits};

use crate::panic;
use crate::pool::core::Core;
use crate::pool::deadlines::Deadlines;
use crate::pool::dispatcher::Dispatcher;
use crate::pool::error::Error;
use crate::pool::handle::ThreadPool;
use crate::pool::metrics::{Counters, ThreadRecord};
use crate::pool::share::CoreShare;
use crate::pool::standing::Standing;

/// Jobs that may wait.
const DEFAULT_QUEUE_LIMIT: usize = 1024;
/// How long a job may wait by prediction.
const DEFAULT_MAX_WAIT: Duration = Duration::from_secs(1);
/// The event loop goes first, but does not interrupt a job for each small result: with 5, a thread that shares its core
/// with the event loop is preempted at every completion and empty jobs come to a quarter of the rate.
/// What nobody notices beside the work itself.
const DEFAULT_STANDING_WAIT: Duration = Duration::from_millis(100);
const DEFAULT_NICENESS: u8 = 1;
/// The lowest priority that Linux knows (setpriority(2)).
const MOST_NICENESS: u8 = 19;
/// More threads than any machine has cores are a mistake.
const MOST_THREADS: usize = 8192;

/// Settings of a [`ThreadPool`], made by [`ThreadPool::builder`].
#[derive(Debug, Clone)]
pub struct Builder {
    name: String,
    threads: usize,
    queue_limit: usize,
    max_wait: Duration,
    standing_wait: Duration,
    permits: Option<(Permits, Owner)>,
    niceness: u8,
}

impl Builder {
    pub(crate) fn new() -> Builder {
        Builder {
            name: "pool".to_owned(),
            threads: phalanx_memory::usable_cores(),
            queue_limit: DEFAULT_QUEUE_LIMIT,
            max_wait: DEFAULT_MAX_WAIT,
            standing_wait: DEFAULT_STANDING_WAIT,
            permits: None,
            niceness: DEFAULT_NICENESS,
        }
    }

    /// The name of its threads ("NAME-0", "NAME-1", …) in `top -H` and debuggers. Default "pool".
    pub fn name(mut self, name: impl Into<String>) -> Builder {
        self.name = name.into();
        self
    }

    /// How many threads, 1 to 8192. Default: [`phalanx_memory::usable_cores`].
    pub fn threads(mut self, threads: usize) -> Builder {
        self.threads = threads;
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

    /// Starts the threads.
    pub fn build(self) -> Result<ThreadPool, Error> {
        self.check()?;
        panic::install_hook();
        let cores = phalanx_memory::usable_cores();
        // Under a quota spinning eats what jobs need; on one core it keeps the caller from submitting.
        let may_spin = cores > 1 && phalanx_memory::cpu_quota().is_none();
        let standing = Standing::new(self.max_wait, self.standing_wait);
        let core = Arc::new(Core {
            dispatcher: Dispatcher::new(self.threads, cores, self.queue_limit, standing),
            deadlines: Deadlines::new(format!("{}-clock", self.name)),
            counters: Counters::default(),
            share: self.permits.map(|(permits, owner)| CoreShare::new(permits, owner)),
            given_up: AtomicBool::new(false),
            queue_limit: self.queue_limit,
            records: (0..self.threads).map(|_| ThreadRecord::new()).collect(),
            spin_cores: if may_spin { cores } else { 0 },
            spinning: AtomicUsize::new(0),
            started: Instant::now(),
            draining: Mutex::new(Vec::new()),
        });
        // Dropped on an early return, it ends the threads that were started.
        let pool = ThreadPool::new(core.clone());
        for worker in 0..self.threads {
            let (core, niceness, name) = (core.clone(), self.niceness, format!("{}-{worker}", self.name));
            let body = move || {
                lower_priority(niceness);
                core.work(worker);
            };
            if let Err(source) = thread::Builder::new().name(name.clone()).spawn(body) {
                pool.core().dispatcher.forget_threads(self.threads - worker);
                return Err(Error::Spawn { thread: name, source });
            }
        }
        Ok(pool)
    }

    fn check(&self) -> Result<(), Error> {
        let wrong = |name, problem: String| Err(Error::Setting { name, problem });
        match self {
            Builder { threads, .. } if !(1..=MOST_THREADS).contains(threads) => {
                wrong("threads", format!("{threads} is not in 1 to {MOST_THREADS}"))
            }
            Builder { queue_limit: 0, .. } => {
                wrong("queue_limit", "no job could ever wait; give at least 1".to_owned())
            }
            Builder { niceness, .. } if *niceness > MOST_NICENESS => {
                wrong("niceness", format!("{niceness} is not in 0 to {MOST_NICENESS}"))
            }
            Builder { name, .. } if name.contains('\0') => wrong("name", "it contains a zero byte".to_owned()),
            _ => Ok(()),
        }
    }
}

/// On Linux a priority belongs to a thread, whatever POSIX says.
fn lower_priority(increment: u8) {
    let thread = Some(rustix::thread::gettid());
    if increment > 0
        && let Ok(now) = rustix::process::getpriority_process(thread)
    {
        let _ = rustix::process::setpriority_process(thread, now + i32::from(increment));
    }
}
