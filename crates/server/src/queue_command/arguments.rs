//! What `phalanx queue` can be asked.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use phalanx_queue::{JobId, JobState, QueueName};

use crate::jobs::state_of;

const EXAMPLES: &str = "\
Examples:
  phalanx queue stats
  phalanx queue list --state dead
  phalanx queue show 0192e4a1-7b3c-7d2e-9f01-2b5c6d7e8f90
  phalanx queue retry --state dead --name default
      begins every dead job of the queue anew
  phalanx queue purge default --waiting --yes
  phalanx queue stats --queue amqp://user:password@host/vhost

Exit code: 0 done, 1 refused (the reason is on standard error), 64 a wrong command line,
69 the queue cannot be reached.";

/// Which queue, and what about it.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct QueueArguments {
    #[command(flatten)]
    pub(super) place: QueuePlace,
    /// Answers as JSON
    #[arg(long, global = true)]
    pub(super) json: bool,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Where the queue is.
#[derive(Debug, Clone, Args)]
pub(crate) struct QueuePlace {
    /// URL of the queue [default: that of the settings in ./phalanx.toml, else embedded:phalanx-data/queue]
    #[arg(long, value_name = "URL", env = "PHALANX_QUEUE", hide_env = true, global = true)]
    pub(crate) queue: Option<String>,
    /// Where pictures and results of more than 64 KiB are [default: `blobs` in the folder of an embedded queue]
    #[arg(long, value_name = "PLACE", env = "PHALANX_QUEUE_BLOBS", hide_env = true, global = true)]
    pub(crate) queue_blobs: Option<String>,
    /// File of settings in which the queue is named
    #[arg(long, value_name = "FILE", env = "PHALANX_CONFIG", hide_env = true, global = true)]
    pub(crate) config: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// What each queue holds
    Stats {
        /// Only this one
        #[arg(value_name = "NAME", value_parser = name)]
        name: Option<QueueName>,
    },
    /// The oldest messages that wait, without taking them (queues of messages)
    Peek {
        /// Of this queue
        #[arg(value_name = "NAME", value_parser = name)]
        name: QueueName,
        /// How many
        #[arg(long, short = 'n', default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
        most: u16,
    },
    /// Jobs, the newest first
    List {
        #[command(flatten)]
        which: Which,
        /// How many
        #[arg(long, short = 'n', default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
        most: u16,
    },
    /// All that is known of a job
    Show {
        /// Its id
        #[arg(value_name = "JOB", value_parser = id)]
        job: JobId,
    },
    /// Begin a dead or cancelled job anew, or all that are dead
    Retry {
        /// Its id
        #[arg(value_name = "JOB", value_parser = id, required_unless_present = "state", conflicts_with = "state")]
        job: Option<JobId>,
        #[command(flatten)]
        which: Which,
    },
    /// End a job: one that waits never runs, one that runs is told to stop
    Cancel {
        /// Its id
        #[arg(value_name = "JOB", value_parser = id)]
        job: JobId,
    },
    /// Throw away the ended jobs of a queue, or also those that wait
    Purge {
        /// Of this queue
        #[arg(value_name = "NAME", value_parser = name)]
        name: QueueName,
        /// Also the jobs that wait
        #[arg(long)]
        waiting: bool,
        /// Messages that wait, of a queue of messages, instead of jobs
        #[arg(long, conflicts_with = "waiting")]
        messages: bool,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Give nothing of a queue out any more; what runs goes on
    Pause(Paused),
    /// Give out again
    Resume(Paused),
}

/// Which jobs.
#[derive(Debug, Clone, Args)]
pub(crate) struct Which {
    /// In this queue
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub(super) name: Option<QueueName>,
    /// Of this task
    #[arg(long, value_name = "TASK")]
    pub(super) task: Option<String>,
    /// In this state: scheduled, ready, leased, waiting-children, done, dead, cancelled
    #[arg(long, value_name = "STATE", value_parser = state_of)]
    pub(super) state: Option<JobState>,
}

/// What is paused.
#[derive(Debug, Clone, Args)]
pub(crate) struct Paused {
    /// The queue
    #[arg(value_name = "NAME", value_parser = name)]
    pub(super) name: QueueName,
    /// Only this task
    #[arg(long, value_name = "TASK")]
    pub(super) task: Option<String>,
}

fn name(text: &str) -> Result<QueueName, phalanx_queue::Error> {
    QueueName::new(text)
}

fn id(text: &str) -> Result<JobId, phalanx_queue::Error> {
    text.parse()
}
