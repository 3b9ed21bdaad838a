//! `phalanx work`: does the jobs of a queue, in job processes, beside a server or on another machine.
//!
//! ```text
//!   queue ── jobs ──► this process ── pool ──► job processes: sandboxed, may crash
//!         ◄── results, leases renewed ──┘
//! ```
//!
//! Exit codes: 0 after a clean stop (SIGTERM or SIGINT: what runs may go on for 25 s, the rest is handed back); 64 a wrong setting; 1 a
//! queue that refuses. A queue that cannot be reached is tried again and again.

use std::time::Duration;

use clap::Args;
use phalanx::task::{ProcessPool, SandboxPolicy};
use phalanx_queue::{JobRunner, Queue, QueueName};

use crate::config::quantity::{ByteSize, Span};
use crate::config::{self, LogFormat, LogLevel, QueueAt, Sandboxing};
use crate::jobs::BLOBS_UNUSED_FOR;
use crate::logs;
use crate::queue_command::QueuePlace;
use crate::start::Failure;
use crate::tasks::QUEUED;
use crate::work;

/// From one attempt to reach the queue to the next at first; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// What runs may go on for so long after SIGTERM.
const DRAIN: Duration = Duration::from_secs(25);
/// Memory of one picture, as `serve` has it.
const JOB_MEMORY: ByteSize = ByteSize(512 << 20);
/// A job that was claimed waits in the pool as long as it takes.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

const EXAMPLES: &str = "\
Examples:
  phalanx work --queue embedded:phalanx-data/queue
      does the jobs of the server in this folder, beside it
  phalanx work --queue 'amqp://user:password@host/vhost?state=postgres://user:password@host/database' --queue-blobs /mnt/blobs
      does the jobs of servers on other machines

Signals: SIGTERM and SIGINT finish what runs within 25 s and hand back the rest; a second one does not wait.
Exit code: 0 after a clean stop, 64 for a wrong setting, 1 for a queue that refuses.";

/// What to do, and where.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct WorkArguments {
    #[command(flatten)]
    place: QueuePlace,
    /// Queues to work for, with the same right for all of them [default: default]
    #[arg(long, value_name = "NAMES", env = "PHALANX_QUEUES", hide_env = true, value_delimiter = ',')]
    queues: Vec<String>,
    /// Job processes: so many jobs at once [default: usable cores]
    #[arg(long, value_name = "N", env = "PHALANX_JOB_PROCESSES", hide_env = true, value_parser = clap::value_parser!(u16).range(1..=1024))]
    processes: Option<u16>,
    /// Whether to start where the kernel lacks a part of the sandbox of job processes; `off` runs them without
    #[arg(long, value_name = "POLICY", env = "PHALANX_SANDBOX", hide_env = true, default_value = "prefer")]
    sandbox: Sandboxing,
    /// Memory that one picture may need
    #[arg(long, value_name = "SIZE", env = "PHALANX_JOB_MEMORY", hide_env = true, default_value_t = JOB_MEMORY)]
    job_memory: ByteSize,
    /// Time for what runs after SIGTERM
    #[arg(long, value_name = "TIME", default_value_t = Span(DRAIN))]
    drain: Span,
    /// Log lines for people, for machines, or people on a terminal and machines otherwise
    #[arg(long, value_name = "FORMAT", env = "PHALANX_LOG_FORMAT", hide_env = true, default_value = "auto")]
    log_format: LogFormat,
    /// Least important level that is still logged
    #[arg(long, value_name = "LEVEL", env = "PHALANX_LOG_LEVEL", hide_env = true, default_value = "info")]
    log_level: LogLevel,
}

/// Works until a signal.
pub(crate) fn run(arguments: &WorkArguments) -> Result<(), Failure> {
    let QueuePlace { queue, queue_blobs, config } = &arguments.place;
    let at = config::queue(config.as_deref(), queue.as_deref(), queue_blobs.as_deref())?;
    let names = config::queue_names(&arguments.queues)?;
    let _logs_until_the_end = logs::start(arguments.log_format, arguments.log_level);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Other(format!("cannot start a runtime: {error}")))?;
    runtime.block_on(work(arguments, at, names))
}

async fn work(arguments: &WorkArguments, at: QueueAt, names: Vec<QueueName>) -> Result<(), Failure> {
    let processes = arguments.processes.map_or_else(phalanx::memory::usable_cores, usize::from);
    let pool = ProcessPool::builder()
        .name("work")
        .max_processes(processes)
        .max_wait(LONGEST_WAIT)
        .standing_wait(LONGEST_WAIT)
        .data_limit(work::data_limit(arguments.job_memory.0))
        .max_output(arguments.job_memory.0)
        .sandbox(SandboxPolicy::from(arguments.sandbox))
        .on_event(work::log_pool_event)
        .build()
        .map_err(|error| Failure::Other(format!("no job process can be started: {error}")))?;
    work::tell_confinement(&pool, "jobs are done");
    let queue = reached(&at).await?;
    let runner = JobRunner::builder(&queue)
        .on_processes(pool)
        .concurrency(processes)
        .queues(names.iter().cloned())
        .kinds(QUEUED)
        .drain(arguments.drain.0)
        .sweep_blobs_unused_for(BLOBS_UNUSED_FOR)
        .build()?;
    let of: Vec<&str> = names.iter().map(QueueName::as_str).collect();
    tracing::info!(queue = %at, broker = queue.store().name(), queues = of.join(","), processes, "ready for jobs");
    let metrics = runner.clone();
    let handed_back = runner.run_until_signal().await?.jobs;
    let told = metrics.metrics();
    tracing::info!(
        done = told.done,
        failed = told.failed,
        crashed = told.crashed,
        cancelled = told.cancelled,
        handed_back,
        "stopped"
    );
    queue.close().await;
    Ok(())
}

/// Connects, however long it takes; a queue that says no is an error.
async fn reached(at: &QueueAt) -> Result<Queue, Failure> {
    let mut pause = FIRST_PAUSE;
    loop {
        match Queue::connect(at.as_str()).await {
            Ok(queue) => return Ok(queue),
            Err(error) if error.is_passing() => {
                tracing::warn!(queue = %at, "the queue cannot be reached, it is tried again: {error}");
            }
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
