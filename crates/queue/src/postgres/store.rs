//! [`Store`]: PostgreSQL as the keeper of jobs.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_postgres::Row;

use crate::io::Io;
use crate::job::{
    Claim, Finish, Heartbeat, JobEnd, JobFilter, JobStatus, JobStore, KindLimits, Lease, Outcome, Pause, Recorded,
    Revoked, Schedule, Standing, Submitted, Work,
};
use crate::{BoxFuture, Capability, Error, JobId, QueueName, QueueStats};

use super::NAME;
use super::batch::Batches;
use super::handle::Handle;
use super::run::{self, Finishes};
use super::submit::{self, Submits};
use super::values::{self, Id, column, int, large, millis, statuses};
use super::{session, sweep, watching};

/// Jobs of one answer to [`JobStore::list`].
const LISTED: usize = 100;
/// At most.
const MOST_LISTED: usize = 1000;
/// Jobs that are thrown away in one statement.
const PURGED: i32 = 1000;

/// The jobs of one schema.
pub(super) struct Store {
    pub(super) handle: Arc<Handle>,
    pub(super) io: Arc<Io>,
    plain: Arc<Submits>,
    finishes: Arc<Finishes>,
}

impl Store {
    pub(super) fn new(handle: Arc<Handle>, io: Arc<Io>) -> Store {
        let (one, other) = (handle.clone(), handle.clone());
        let plain =
            Batches::start(io.handle(), Arc::new(move |jobs| Box::pin(submit::submit_plain(one.clone(), jobs))));
        let finishes = Batches::start(io.handle(), Arc::new(move |all| Box::pin(run::finish_many(other.clone(), all))));
        Store { handle, io, plain: Arc::new(plain), finishes: Arc::new(finishes) }
    }

    /// Does it on the thread of the handle; the future runs anywhere.
    fn run<'a, T, F>(&'a self, work: impl FnOnce(Arc<Handle>) -> F + Send + 'a) -> BoxFuture<'a, Result<T, Error>>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        Box::pin(self.io.run(work(self.handle.clone())))
    }

    /// Leases that go back uncounted if nobody wants them any more by the time they are there.
    pub(super) fn claim_by<'a, F>(
        &'a self,
        claim: impl FnOnce(Arc<Handle>, Box<dyn Fn() -> bool + Send + Sync>) -> F + Send + 'a,
    ) -> BoxFuture<'a, Result<Vec<Lease>, Error>>
    where
        F: Future<Output = Result<Vec<Lease>, Error>> + Send + 'static,
    {
        let (give, given) = oneshot::channel();
        let give = Arc::new(std::sync::Mutex::new(Some(give)));
        let wants = give.clone();
        let wanted = Box::new(move || {
            super::handle::locked(&wants)
                .as_ref()
                .is_some_and(|give: &oneshot::Sender<Result<Vec<Lease>, Error>>| !give.is_closed())
        });
        let claimed = claim(self.handle.clone(), wanted);
        let finishes = self.finishes.clone();
        self.io.handle().spawn(async move {
            let outcome = claimed.await;
            let Some(give) = super::handle::locked(&give).take() else { return };
            if let Err(Ok(leases)) = give.send(outcome)
                && !leases.is_empty()
            {
                let back = leases.into_iter().map(|lease| Finish { token: lease.token, outcome: Outcome::Returned });
                let _ = run::finish(&finishes, back.collect()).await;
            }
        });
        Box::pin(async move { given.await.unwrap_or(Err(Error::Closed)) })
    }
}

/// Which jobs, and what was wrong with asking that of this one.
fn said(job: JobId, rows: &[Row], wrong: &str) -> Result<(), Error> {
    match rows.first().map_or(Ok(0), |row| column::<i32>(row, 0))? {
        0 => Ok(()),
        1 => Err(Error::NoSuchJob { job: job.to_string() }),
        _ => Err(Error::WrongState { job: job.to_string(), reason: wrong.to_owned() }),
    }
}

impl JobStore for Store {
    fn name(&self) -> &'static str {
        NAME
    }

    fn can(&self, capability: Capability) -> bool {
        capability != Capability::Reply
    }

    fn submit(&self, works: Vec<Work>) -> BoxFuture<'_, Result<Vec<Result<Submitted, Error>>, Error>> {
        let plain = self.plain.clone();
        self.run(|handle| async move { submit::submit(&handle, &plain, works).await })
    }

    fn claim(&self, claim: Claim) -> BoxFuture<'_, Result<Vec<Lease>, Error>> {
        self.claim_by(|handle, wanted| async move { run::claim(&handle, &claim, wanted).await })
    }

    fn renew(&self, _: JobId, heartbeats: Vec<Heartbeat>) -> BoxFuture<'_, Result<Vec<Standing>, Error>> {
        self.run(|handle| async move { run::renew(&handle, &heartbeats).await })
    }

    fn revoked(&self, runner: JobId, wait: Duration) -> BoxFuture<'_, Result<Vec<Revoked>, Error>> {
        self.run(move |handle| async move { Ok(handle.revoked(runner, wait).await) })
    }

    fn finish(&self, finishes: Vec<Finish>) -> BoxFuture<'_, Result<Vec<Recorded>, Error>> {
        let batches = self.finishes.clone();
        self.run(|_| async move { run::finish(&batches, finishes).await })
    }

    fn ended(&self, job: JobId, wait: Duration) -> BoxFuture<'_, Result<Option<JobEnd>, Error>> {
        self.run(move |handle| async move { watching::ended(&handle, job, wait).await })
    }

    fn changed(&self, job: JobId, seen: u64, wait: Duration) -> BoxFuture<'_, Result<JobStatus, Error>> {
        self.run(move |handle| async move { watching::changed(&handle, job, seen, wait).await })
    }

    fn list(&self, filter: JobFilter) -> BoxFuture<'_, Result<Vec<JobStatus>, Error>> {
        self.run(move |handle| async move {
            let most = if filter.most == 0 { LISTED } else { filter.most.min(MOST_LISTED) };
            let sql = statuses!(
                "WHERE ($1::text IS NULL OR queue = $1) AND ($2::text IS NULL OR kind = $2) AND ($3::smallint IS NULL OR state = $3) \
                 AND id < coalesce($4::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff') ORDER BY id DESC LIMIT $5"
            );
            let queue = filter.queue.as_ref().map(QueueName::as_str);
            let state = filter.state.map(values::number);
            let before = filter.before.map(Id);
            let most = i64::try_from(most).unwrap_or(0);
            let rows = handle.pool.query(sql, &[&queue, &filter.kind, &state, &before, &most]).await?;
            rows.iter().map(values::status).collect()
        })
    }

    fn cancel(&self, job: JobId) -> BoxFuture<'_, Result<(), Error>> {
        self.run(move |handle| async move {
            let rows = handle.pool.query("SELECT cancel($1)", &[&Id(job)]).await?;
            said(job, &rows, "it has ended, and cannot be cancelled")
        })
    }

    fn revive(&self, job: JobId) -> BoxFuture<'_, Result<(), Error>> {
        self.run(move |handle| async move {
            let rows = handle.pool.query("SELECT revive($1)", &[&Id(job)]).await?;
            said(job, &rows, "it is neither dead nor cancelled, and cannot be revived")
        })
    }

    fn stats(&self, queue: Option<QueueName>) -> BoxFuture<'_, Result<Vec<QueueStats>, Error>> {
        self.run(|handle| async move {
            let name = queue.as_ref().map(QueueName::as_str);
            let rows = handle.pool.query("SELECT * FROM job_stats($1)", &[&name]).await?;
            let mut all = rows.iter().map(stats).collect::<Result<Vec<_>, _>>()?;
            if let (Some(name), true) = (name, all.is_empty()) {
                all.push(QueueStats { queue: name.to_owned(), ..QueueStats::default() });
            }
            Ok(all)
        })
    }

    fn purge(&self, queue: QueueName, waiting: bool) -> BoxFuture<'_, Result<u64, Error>> {
        self.run(move |handle| async move {
            let mut all = 0;
            loop {
                let rows =
                    handle.pool.query("SELECT purge_jobs($1, $2, $3)", &[&queue.as_str(), &waiting, &PURGED]).await?;
                match rows.first().map_or(Ok(0), |row| column::<i32>(row, 0))? {
                    0 => return Ok(all),
                    some => all += large(i64::from(some)),
                }
            }
        })
    }

    fn pause(&self, what: Pause, paused: bool) -> BoxFuture<'_, Result<(), Error>> {
        self.run(move |handle| async move {
            let kind = what.kind.as_deref().unwrap_or("");
            handle.pool.query("SELECT pause($1, $2, $3)", &[&what.queue.as_str(), &kind, &paused]).await?;
            Ok(())
        })
    }

    fn limit(&self, limits: KindLimits) -> BoxFuture<'_, Result<(), Error>> {
        self.run(move |handle| async move {
            let (concurrency, rate) = (limits.concurrency.map(int), limits.rate.map(|(rate, _)| int(rate)));
            let per = limits.rate.map(|(_, per)| millis(per).max(1));
            let params: &super::link::Params<'_> = &[&limits.queue.as_str(), &limits.kind, &concurrency, &rate, &per];
            handle.pool.query("SELECT set_limits($1, $2, $3, $4, $5)", params).await?;
            Ok(())
        })
    }

    fn schedule(&self, name: String, schedule: Option<Schedule>) -> BoxFuture<'_, Result<(), Error>> {
        self.run(|handle| async move { sweep::schedule(&handle, &name, schedule).await })
    }

    fn schedules(&self) -> BoxFuture<'_, Result<Vec<Schedule>, Error>> {
        self.run(|handle| async move { sweep::schedules(&handle).await })
    }

    fn io(&self) -> Option<tokio::runtime::Handle> {
        Some(self.io.handle().clone())
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let _ = self.run(|handle| async move { close(&handle).await }).await;
        })
    }
}

/// Gives back what this handle has, and ends it. Idempotent.
pub(super) async fn close(handle: &Handle) -> Result<(), Error> {
    if !handle.closed.send_replace(true) {
        let left = session::leave(handle).await;
        handle.pool.close();
        return left;
    }
    Ok(())
}

fn stats(row: &Row) -> Result<QueueStats, Error> {
    let number = |at| column::<Option<i64>>(row, at).map(|number| large(number.unwrap_or(0)));
    Ok(QueueStats {
        queue: column(row, 0)?,
        ready: number(1)?,
        scheduled: number(2)?,
        leased: number(3)?,
        waiting_children: number(4)?,
        done: number(5)?,
        dead: number(6)?,
        bytes: number(7)?,
        oldest_ms: number(8)?,
        consumers: number(9)?,
        paused: column(row, 10)?,
    })
}
