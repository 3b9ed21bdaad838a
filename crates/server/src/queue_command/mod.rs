//! `phalanx queue`: looks after queues and jobs, on whichever broker they are. It speaks to the queue itself, so it works without a
//! server.
//!
//! Exit codes: 0 done; 1 refused; 64 a wrong command line; 69 (`EX_UNAVAILABLE`) the queue cannot be reached.

mod arguments;
mod table;

pub(crate) use arguments::{QueueArguments, QueuePlace};

use std::io::{BufRead, IsTerminal, Write};
use std::time::Duration;

use arguments::{Command, Which};
use phalanx_queue::job::{JobFilter, Pause};
use phalanx_queue::{Error, JobState, JobStatus, Queue, QueueName};
use serde_json::{Value, json};

use crate::config;
use crate::jobs::{described_whole, of_queue};
use crate::start::Failure;

/// Jobs in one look at a long list.
const A_PAGE: usize = 1000;

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        match error {
            Error::Unavailable { .. } | Error::Closed => Failure::Unavailable(error.to_string()),
            Error::BadUrl { .. } | Error::BadName { .. } => Failure::Setting(error.to_string()),
            _ => Failure::Other(error.to_string()),
        }
    }
}

/// Runs one command of `phalanx queue`.
pub(crate) fn run(arguments: &QueueArguments) -> Result<(), Failure> {
    let QueuePlace { queue, queue_blobs, config } = &arguments.place;
    let at = config::queue(config.as_deref(), queue.as_deref(), queue_blobs.as_deref())?;
    if let Some(folder) = at.embedded_folder().filter(|folder| !folder.exists()) {
        let why = "start a server, or name another queue with --queue";
        return Err(Failure::Unavailable(format!("there is no queue in {}: {why}", folder.display())));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Other(format!("cannot start a runtime: {error}")))?;
    runtime.block_on(async {
        let queue = Queue::connect(at.as_str()).await?;
        let outcome = perform(&queue, arguments).await;
        queue.close().await;
        outcome
    })
}

async fn perform(queue: &Queue, arguments: &QueueArguments) -> Result<(), Failure> {
    let (store, json) = (queue.store(), arguments.json);
    match &arguments.command {
        Command::Stats { name } => {
            let stats = store.stats(name.clone()).await?;
            let told: Vec<Value> = stats.iter().map(of_queue).collect();
            tell(json, &json!({ "queues": told }), || table::of_queues(&stats));
        }
        Command::Peek { name, most } => {
            let messages = queue.broker().peek(name, usize::from(*most)).await?;
            let told: Vec<Value> = messages.iter().map(table::message).collect();
            tell(json, &json!({ "messages": told }), || table::of_messages(&messages));
        }
        Command::List { which, most } => {
            let jobs = store.list(filter(which, usize::from(*most))).await?;
            let told: Vec<Value> = jobs.iter().map(described_whole).collect();
            tell(json, &json!({ "jobs": told }), || table::of_jobs(&jobs));
        }
        Command::Show { job } => {
            let status = store.changed(*job, 0, Duration::ZERO).await?;
            tell(json, &described_whole(&status), || table::of_job(&status));
        }
        Command::Retry { job: Some(job), .. } => {
            store.revive(*job).await?;
            done(json, "retried", 1, &format!("job {job} begins anew"));
        }
        Command::Retry { job: None, which } => {
            let revived = revive_all(queue, which).await?;
            done(json, "retried", revived, &format!("{revived} jobs begin anew"));
        }
        Command::Cancel { job } => {
            store.cancel(*job).await?;
            done(json, "cancelled", 1, &format!("job {job} is cancelled"));
        }
        Command::Purge { name, waiting, messages, yes } => {
            let what = match (waiting, messages) {
                (_, true) => "the messages that wait",
                (true, false) => "the ended jobs and those that wait",
                (false, false) => "the ended jobs",
            };
            sure(*yes, &format!("throw away {what} of the queue \"{name}\""))?;
            let purged = match messages {
                true => queue.broker().purge(name).await?,
                false => store.purge(name.clone(), *waiting).await?,
            };
            done(json, "purged", purged, &format!("{purged} were thrown away"));
        }
        Command::Pause(paused) => {
            pause(queue, &paused.name, &paused.task, true).await?;
            done(json, "paused", 1, &format!("{} is paused", named(&paused.name, &paused.task)));
        }
        Command::Resume(paused) => {
            pause(queue, &paused.name, &paused.task, false).await?;
            done(json, "resumed", 1, &format!("{} goes on", named(&paused.name, &paused.task)));
        }
    }
    Ok(())
}

fn filter(which: &Which, most: usize) -> JobFilter {
    JobFilter { queue: which.name.clone(), kind: which.task.clone(), state: which.state, before: None, most }
}

/// Revives all jobs that are dead (or cancelled, if that was the state); how many.
async fn revive_all(queue: &Queue, which: &Which) -> Result<u64, Failure> {
    if !matches!(which.state, Some(JobState::Dead | JobState::Cancelled)) {
        return Err(Failure::Setting(
            "only dead and cancelled jobs can begin anew: --state dead, or the id of one".into(),
        ));
    }
    let mut revived = 0;
    let mut filter = filter(which, A_PAGE);
    loop {
        let jobs: Vec<JobStatus> = queue.store().list(filter.clone()).await?;
        let Some(last) = jobs.last() else { return Ok(revived) };
        filter.before = Some(last.id);
        for job in &jobs {
            match queue.store().revive(job.id).await {
                Ok(()) => revived += 1,
                // Somebody else was faster.
                Err(Error::WrongState { .. } | Error::NoSuchJob { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

async fn pause(queue: &Queue, name: &QueueName, task: &Option<String>, paused: bool) -> Result<(), Error> {
    queue.store().pause(Pause { queue: name.clone(), kind: task.clone() }, paused).await
}

fn named(name: &QueueName, task: &Option<String>) -> String {
    match task {
        Some(task) => format!("the task \"{task}\" of the queue \"{name}\""),
        None => format!("the queue \"{name}\""),
    }
}

/// Asks on a terminal; elsewhere somebody must have said so.
fn sure(yes: bool, what: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::Setting(format!("this would {what}: say --yes")));
    }
    eprint!("This will {what}. Go on? [y/N] ");
    let mut answer = String::new();
    let _ = std::io::stdin().lock().read_line(&mut answer);
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::Other("nothing was thrown away".into())),
    }
}

fn done(json: bool, word: &str, count: u64, text: &str) {
    tell(json, &json!({ word: count }), || text.to_owned());
}

/// A closed standard output is no failure of the queue.
fn tell(json: bool, value: &Value, text: impl FnOnce() -> String) {
    let told = if json { value.to_string() } else { text() };
    let _ = writeln!(std::io::stdout(), "{}", told.trim_end());
}
