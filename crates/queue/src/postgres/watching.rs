//! [`Watching`]: who waits for the end of a job, or for a change of it. One task asks for all of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::job::{JobEnd, JobStatus};
use crate::{Error, JobId};

use super::handle::{Handle, locked};
use super::values::{self, Ending, Id, column, statuses};

/// The net under notifications: all that is awaited is looked at this often.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Changes are looked for this often: progress is said at most four times a second.
const CHANGES_EVERY: Duration = Duration::from_millis(250);
/// Jobs in one look.
const MOST: usize = 1000;

type Told = oneshot::Sender<Result<JobEnd, Error>>;

/// Who waits for the ends of which jobs.
#[derive(Default)]
pub(super) struct Watching {
    waiting: Mutex<Waiting>,
    wanted: Notify,
    changes: Mutex<HashMap<JobId, Watched>>,
    changes_wanted: Notify,
}

#[derive(Default)]
struct Waiting {
    jobs: HashMap<JobId, Vec<Told>>,
    /// To be looked at next.
    next: Vec<JobId>,
}

#[derive(Default)]
struct Watched {
    version: i64,
    changed: Arc<Notify>,
}

impl Watching {
    fn wait(&self, job: JobId) -> oneshot::Receiver<Result<JobEnd, Error>> {
        let (told, tell) = oneshot::channel();
        let mut waiting = locked(&self.waiting);
        waiting.jobs.entry(job).or_default().push(told);
        waiting.next.push(job);
        self.wanted.notify_one();
        tell
    }

    /// The server says that these have ended.
    pub(super) fn ended(&self, jobs: impl Iterator<Item = JobId>) {
        let changes = locked(&self.changes);
        let mut waiting = locked(&self.waiting);
        let mut any = false;
        for job in jobs {
            if let Some(watched) = changes.get(&job) {
                watched.changed.notify_waiters();
            }
            if waiting.jobs.contains_key(&job) {
                waiting.next.push(job);
                any = true;
            }
        }
        if any {
            self.wanted.notify_one();
        }
    }

    /// Something may have been missed.
    pub(super) fn look_at_all(&self) {
        let mut waiting = locked(&self.waiting);
        let Waiting { jobs, next } = &mut *waiting;
        jobs.retain(|_, told| {
            told.retain(|told| !told.is_closed());
            !told.is_empty()
        });
        next.clear();
        next.extend(jobs.keys());
        self.wanted.notify_one();
    }

    fn take(&self) -> Vec<JobId> {
        let mut waiting = locked(&self.waiting);
        let rest = waiting.next.len().saturating_sub(MOST);
        waiting.next.split_off(rest)
    }

    fn tell(&self, job: JobId, end: &Result<JobEnd, Error>) {
        for told in locked(&self.waiting).jobs.remove(&job).unwrap_or_default() {
            let _ = told.send(end.clone());
        }
    }

    fn watch(&self, job: JobId) -> Arc<Notify> {
        self.changes_wanted.notify_one();
        locked(&self.changes).entry(job).or_default().changed.clone()
    }
}

/// Waits for the end of a job.
pub(super) async fn ended(handle: &Handle, job: JobId, wait: Duration) -> Result<Option<JobEnd>, Error> {
    let deadline = Instant::now() + wait;
    if wait.is_zero() {
        return look(handle, &[job]).await.map(|mut ends| ends.pop().map(|(_, end)| end).transpose())?;
    }
    match timeout_at(deadline, handle.watching.wait(job)).await {
        Err(_) => Ok(None),
        Ok(Ok(end)) => end.map(Some),
        Ok(Err(_)) => Err(Error::Closed),
    }
}

/// Tells those who wait for ends. Runs as long as the handle.
pub(super) async fn tell_ends(handle: Arc<Handle>) {
    let mut closed = handle.closed.subscribe();
    let mut all_at = Instant::now() + LOOK_EVERY;
    loop {
        let jobs = handle.watching.take();
        if !jobs.is_empty() {
            match look(&handle, &jobs).await {
                Ok(ends) => ends.iter().for_each(|(job, end)| handle.watching.tell(*job, end)),
                Err(why) => tracing::debug!(%why, "PostgreSQL: cannot look for ends"),
            }
            continue;
        }
        tokio::select! {
            () = handle.watching.wanted.notified() => {}
            () = tokio::time::sleep_until(all_at) => {
                handle.watching.look_at_all();
                all_at = Instant::now() + LOOK_EVERY;
            }
            _ = closed.wait_for(|closed| *closed) => return,
        }
    }
}

type Ends = Vec<(JobId, Result<JobEnd, Error>)>;

async fn look(handle: &Handle, jobs: &[JobId]) -> Result<Ends, Error> {
    let ids: Vec<Id> = jobs.iter().copied().map(Id).collect();
    let rows = handle.pool.query("SELECT * FROM look($1)", &[&ids]).await?;
    let mut ends = Vec::with_capacity(rows.len());
    for row in rows {
        let job = column::<Id>(&row, 0)?.0;
        let end = match column::<Option<i16>>(&row, 1)? {
            Some(_) => Ok(Ending::read(&row, 1)?.of_job()),
            None => Err(Error::NoSuchJob { job: job.to_string() }),
        };
        ends.push((job, end));
    }
    Ok(ends)
}

/// What is known of a job, as soon as it differs from version `seen`.
pub(super) async fn changed(handle: &Handle, job: JobId, seen: u64, wait: Duration) -> Result<JobStatus, Error> {
    let deadline = Instant::now() + wait;
    let status = status(handle, job).await?;
    if status.version != seen || wait.is_zero() {
        return Ok(status);
    }
    let watched = handle.watching.watch(job);
    loop {
        let mut rings = std::pin::pin!(watched.notified());
        rings.as_mut().enable();
        let status = self::status(handle, job).await?;
        if status.version != seen || Instant::now() >= deadline {
            return Ok(status);
        }
        let _ = timeout_at(deadline, rings).await;
    }
}

async fn status(handle: &Handle, job: JobId) -> Result<JobStatus, Error> {
    let rows = handle.pool.query(statuses!("WHERE id = $1"), &[&Id(job)]).await?;
    values::status(rows.first().ok_or_else(|| Error::NoSuchJob { job: job.to_string() })?)
}

/// Looks for changes of what is watched, for all at once. Runs as long as the handle.
pub(super) async fn tell_changes(handle: Arc<Handle>) {
    let mut closed = handle.closed.subscribe();
    loop {
        let ids: Vec<Id> = {
            let mut changes = locked(&handle.watching.changes);
            changes.retain(|_, watched| Arc::strong_count(&watched.changed) > 1);
            changes.keys().copied().map(Id).collect()
        };
        let pause = async {
            if ids.is_empty() {
                handle.watching.changes_wanted.notified().await;
            } else {
                tokio::time::sleep(CHANGES_EVERY).await;
            }
        };
        tokio::select! {
            () = pause => {}
            _ = closed.wait_for(|closed| *closed) => return,
        }
        for part in ids.chunks(MOST) {
            let found = handle.pool.query("SELECT id, version FROM jobs WHERE id = ANY($1)", &[&part]).await;
            for row in found.unwrap_or_default() {
                let (Ok(id), Ok(version)) = (column::<Id>(&row, 0), column::<i64>(&row, 1)) else { continue };
                if let Some(watched) = locked(&handle.watching.changes).get_mut(&id.0)
                    && watched.version != version
                {
                    watched.version = version;
                    watched.changed.notify_waiters();
                }
            }
        }
    }
}
