//! [`Builder`]: the settings of a pool of processes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use phalanx_shared::{Owner, Permits};

use crate::SandboxPolicy;
use crate::pool::{PoolError, PoolEvent, ProcessPool};

/// Tasks that may wait.
const DEFAULT_QUEUE_LIMIT: usize = 1024;
/// How long a task may wait by prediction.
const DEFAULT_MAX_WAIT: Duration = Duration::from_secs(1);
/// What nobody notices beside the work itself.
const DEFAULT_STANDING_WAIT: Duration = Duration::from_millis(100);
/// A process costs a few megabytes while it waits, and some milliseconds to start.
const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// As for the threads of a pool: the event loop goes first.
const DEFAULT_NICENESS: u8 = 1;
/// The lowest priority that Linux knows (setpriority(2)).
const MOST_NICENESS: u8 = 19;
/// More processes than any machine has cores are a mistake.
const MOST_PROCESSES: usize = 4096;
/// Resident memory after a task, above which the process is replaced: what a decoder of large pictures keeps, with some to spare.
const DEFAULT_MAX_MEMORY: u64 = 512 << 20;
/// Heap of a process.
const DEFAULT_DATA_LIMIT: u64 = 1 << 30;
/// Its standard streams, its desk, and what a library opens.
const DEFAULT_OPEN_FILES: u64 = 64;
/// Input and output of a task.
const DEFAULT_MAX_BYTES: u64 = 512 << 20;
/// One crash may be bad luck, and so may two.
const DEFAULT_POISON_AFTER: u32 = 3;
/// What a task has between its deadline and the kill.
const DEFAULT_KILL_GRACE: Duration = Duration::from_millis(10);
/// Tasks that wait in a process behind the one that runs.
const DEFAULT_AHEAD: usize = 8;
/// As many as a desk has places for.
const MOST_AHEAD: usize = 63;

/// Settings of a [`ProcessPool`], made by [`ProcessPool::builder`].
#[derive(Clone)]
#[must_use = "nothing happens before build()"]
pub struct Builder {
    pub(super) name: String,
    least: Option<usize>,
    most: Option<usize>,
    pub(super) idle_timeout: Duration,
    pub(super) queue_limit: usize,
    pub(super) max_wait: Duration,
    pub(super) standing_wait: Duration,
    pub(super) permits: Option<(Permits, Owner)>,
    pub(super) niceness: u8,
    pub(super) max_jobs: Option<u64>,
    pub(super) max_memory: u64,
    pub(super) data_limit: u64,
    pub(super) cpu_limit: Option<Duration>,
    pub(super) open_files: u64,
    pub(super) sandbox: SandboxPolicy,
    pub(super) max_input: u64,
    pub(super) max_output: u64,
    pub(super) poison_after: u32,
    pub(super) kill_grace: Duration,
    pub(super) ahead: usize,
    pub(super) listener: Option<Listener>,
}

/// What is told of every event.
pub(super) type Listener = Arc<dyn Fn(&PoolEvent) + Send + Sync>;

/// How many processes there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) least: usize,
    pub(super) most: usize,
}

impl Builder {
    pub(super) fn new() -> Builder {
        Builder {
            name: "jobs".to_owned(),
            least: None,
            most: None,
            idle_timeout: DEFAULT_IDLE_TIMEOUT,
            queue_limit: DEFAULT_QUEUE_LIMIT,
            max_wait: DEFAULT_MAX_WAIT,
            standing_wait: DEFAULT_STANDING_WAIT,
            permits: None,
            niceness: DEFAULT_NICENESS,
            max_jobs: None,
            max_memory: DEFAULT_MAX_MEMORY,
            data_limit: DEFAULT_DATA_LIMIT,
            cpu_limit: None,
            open_files: DEFAULT_OPEN_FILES,
            sandbox: SandboxPolicy::default(),
            max_input: DEFAULT_MAX_BYTES,
            max_output: DEFAULT_MAX_BYTES,
            poison_after: DEFAULT_POISON_AFTER,
            kill_grace: DEFAULT_KILL_GRACE,
            ahead: DEFAULT_AHEAD,
            listener: None,
        }
    }

    /// The name of the pool, as `ps` shows it for its processes ("phalanx: job NAME"). Default "jobs".
    pub fn name(mut self, name: impl Into<String>) -> Builder {
        self.name = name.into();
        self
    }

    /// How many processes, 1 to 4096, always.
    pub fn processes(mut self, processes: usize) -> Builder {
        (self.least, self.most) = (Some(processes), Some(processes));
        self
    }

    /// How many processes there are at least, from the start. Default 1; of each sandbox level that the registered tasks ask
    /// for there is one at least, if there may be as many; it gives way to tasks of other levels that wait.
    pub fn min_processes(mut self, processes: usize) -> Builder {
        self.least = Some(processes);
        self
    }

    /// How many processes there may be: one more is started when tasks wait and none is idle. Default:
    /// [`phalanx_memory::usable_cores`], but no fewer than the least.
    pub fn max_processes(mut self, processes: usize) -> Builder {
        self.most = Some(processes);
        self
    }

    /// A process beyond the least number that had nothing to do for so long ends. Default 30 s.
    pub fn idle_timeout(mut self, timeout: Duration) -> Builder {
        self.idle_timeout = timeout;
        self
    }

    /// How many tasks may wait, at least 1. Default 1024.
    pub fn queue_limit(mut self, tasks: usize) -> Builder {
        self.queue_limit = tasks;
        self
    }

    /// A task that would wait longer than this, by what the pool measures of its own speed, is refused. Default 1 s.
    pub fn max_wait(mut self, max_wait: Duration) -> Builder {
        self.max_wait = max_wait;
        self
    }

    /// The same once the queue has not emptied for a while: see
    /// [`phalanx_thread::Builder::standing_wait`]. Default 100 ms.
    pub fn standing_wait(mut self, standing_wait: Duration) -> Builder {
        self.standing_wait = standing_wait;
        self
    }

    /// Shares the cores with the other pools of a cluster: the pool holds a permit for each process that runs a task. As
    /// with a pool of threads, one task may always run without, and more after 20 ms.
    pub fn permits(mut self, permits: Permits, owner: Owner) -> Builder {
        self.permits = Some((permits, owner));
        self
    }

    /// By how much the priority of the processes is lowered (0 to 19). Default 1.
    pub fn nice(mut self, increment: u8) -> Builder {
        self.niceness = increment;
        self
    }

    /// A process that has run so many tasks is replaced. Default: never.
    pub fn max_jobs(mut self, tasks: u64) -> Builder {
        self.max_jobs = Some(tasks);
        self
    }

    /// A process that holds more resident bytes than this after a task is replaced. Looked at every 64 tasks or 100 ms.
    /// Default 512 MiB.
    pub fn max_memory(mut self, bytes: u64) -> Builder {
        self.max_memory = bytes;
        self
    }

    /// How much heap a process may have (RLIMIT_DATA): an allocation beyond it fails. Default 1 GiB.
    pub fn data_limit(mut self, bytes: u64) -> Builder {
        self.data_limit = bytes;
        self
    }

    /// How much processor time a process may use in its whole life (RLIMIT_CPU, in whole seconds, rounded up): then SIGXCPU
    /// ends it. Default: no limit; deadlines are the better tool.
    pub fn cpu_limit(mut self, time: Duration) -> Builder {
        self.cpu_limit = Some(time);
        self
    }

    /// How many descriptors a process may have open. Default 64.
    pub fn open_files(mut self, files: u64) -> Builder {
        self.open_files = files;
        self
    }

    /// What becomes of the sandbox where the kernel lacks a part of it. Default [`SandboxPolicy::Prefer`].
    pub fn sandbox(mut self, policy: SandboxPolicy) -> Builder {
        self.sandbox = policy;
        self
    }

    /// A task with a larger input (packed, with its blobs) is refused. Default 512 MiB.
    pub fn max_input(mut self, bytes: u64) -> Builder {
        self.max_input = bytes;
        self
    }

    /// A task with a larger output ends with [`Refusal::TooBig`](crate::Refusal::TooBig). Default 512 MiB.
    pub fn max_output(mut self, bytes: u64) -> Builder {
        self.max_output = bytes;
        self
    }

    /// An input that has killed its process so often is refused from then on, for an hour. Default 3.
    pub fn poison_after(mut self, crashes: u32) -> Builder {
        self.poison_after = crashes;
        self
    }

    /// How long a task may go on after its deadline before its process is killed. Its caller does not wait for that. Default
    /// 10 ms.
    pub fn kill_grace(mut self, grace: Duration) -> Builder {
        self.kill_grace = grace;
        self
    }

    /// How many tasks of kinds that are short (below 200 µs as measured) are queued in a process behind the one that runs, 0 to
    /// 63. Default 8.
    pub fn ahead(mut self, tasks: usize) -> Builder {
        self.ahead = tasks;
        self
    }

    /// Is told what happens to the processes, on a thread of the pool: for logs. It must not block.
    pub fn on_event(mut self, listener: impl Fn(&PoolEvent) + Send + Sync + 'static) -> Builder {
        self.listener = Some(Arc::new(listener));
        self
    }

    /// Starts the pool, and waits (at most 10 s) until its first process has said hello.
    pub fn build(self) -> Result<ProcessPool, PoolError> {
        ProcessPool::build(self)
    }

    /// How many processes, if the settings make sense.
    pub(super) fn checked(&self) -> Result<Size, PoolError> {
        let cores = phalanx_memory::usable_cores();
        let most = self.most.unwrap_or(cores.max(self.least.unwrap_or(0)));
        let least = self.least.unwrap_or(1);
        if !(1..=MOST_PROCESSES).contains(&most) {
            return Err(wrong("max_processes", format!("{most} is not in 1 to {MOST_PROCESSES}")));
        }
        if !(1..=most).contains(&least) {
            return Err(wrong("min_processes", format!("{least} is not in 1 to max_processes, which is {most}")));
        }
        let nothing =
            |name, is_nothing| if is_nothing { Err(wrong(name, "give at least 1".to_owned())) } else { Ok(()) };
        nothing("queue_limit", self.queue_limit == 0)?;
        nothing("max_jobs", self.max_jobs == Some(0))?;
        nothing("poison_after", self.poison_after == 0)?;
        nothing("cpu_limit", self.cpu_limit.is_some_and(|limit| limit.is_zero()))?;
        if self.niceness > MOST_NICENESS {
            return Err(wrong("nice", format!("{} is not in 0 to {MOST_NICENESS}", self.niceness)));
        }
        if self.ahead > MOST_AHEAD {
            return Err(wrong("ahead", format!("{} is not in 0 to {MOST_AHEAD}", self.ahead)));
        }
        if self.name.contains('\0') {
            return Err(wrong("name", "it contains a zero byte".to_owned()));
        }
        Ok(Size { least, most })
    }
}

fn wrong(name: &'static str, problem: String) -> PoolError {
    PoolError::Setting { name, problem }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("name", &self.name).field("sandbox", &self.sandbox).finish_non_exhaustive()
    }
}
