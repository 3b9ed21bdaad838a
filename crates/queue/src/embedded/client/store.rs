//! Jobs over the owner: [`JobStore`] for [`Client`].

use std::time::Duration;

use super::link::Holds;
use super::{Client, pieces, unexpected};
use crate::embedded::words::{Reply, Request};
use crate::job::{
    Claim, Finish, Heartbeat, JobEnd, JobFilter, JobStatus, JobStore, KindLimits, Lease, NewJob, Outcome, Pause,
    Recorded, Revoked, Schedule, Standing, Submitted, Work,
};
use crate::{BoxFuture, Capability, Error, JobId, QueueName, QueueStats};

/// What a job takes beside its payload in a frame, at most by far: for dividing batches.
const AROUND_A_JOB: usize = 512;

impl JobStore for Client {
    fn name(&self) -> &'static str {
        "embedded"
    }

    fn can(&self, _capability: Capability) -> bool {
        true
    }

    fn submit(&self, works: Vec<Work>) -> BoxFuture<'_, Result<Vec<Result<Submitted, Error>>, Error>> {
        Box::pin(async move {
            let mut all = Vec::with_capacity(works.len());
            for works in pieces(works, bytes_of) {
                match self.0.link.ask(Request::Submit(works), Holds::Nothing).await? {
                    Reply::Submitted(submitted) => all.extend(submitted),
                    other => return Err(unexpected(&other)),
                }
            }
            Ok(all)
        })
    }

    fn claim(&self, claim: Claim) -> BoxFuture<'_, Result<Vec<Lease>, Error>> {
        Box::pin(async move {
            match self.0.link.ask(Request::Claim(claim), Holds::Nothing).await? {
                Reply::Leases(leases) => Ok(leases),
                other => Err(unexpected(&other)),
            }
        })
    }

    fn renew(&self, runner: JobId, heartbeats: Vec<Heartbeat>) -> BoxFuture<'_, Result<Vec<Standing>, Error>> {
        Box::pin(async move {
            let mut all = Vec::with_capacity(heartbeats.len());
            let bytes_of = |heartbeat: &Heartbeat| heartbeat.details.as_ref().map_or(0, Vec::len) + AROUND_A_JOB;
            for heartbeats in pieces(heartbeats, bytes_of) {
                let tokens = heartbeats.iter().map(|heartbeat| heartbeat.token).collect();
                match self.0.link.ask(Request::Renew { runner, heartbeats }, Holds::Renews(tokens)).await? {
                    Reply::Standings(standings) => all.extend(standings),
                    other => return Err(unexpected(&other)),
                }
            }
            Ok(all)
        })
    }

    fn revoked(&self, runner: JobId, wait: Duration) -> BoxFuture<'_, Result<Vec<Revoked>, Error>> {
        Box::pin(async move {
            match self.0.link.ask(Request::Revoked { runner, wait }, Holds::Nothing).await? {
                Reply::Revoked(revoked) => Ok(revoked),
                other => Err(unexpected(&other)),
            }
        })
    }

    fn finish(&self, finishes: Vec<Finish>) -> BoxFuture<'_, Result<Vec<Recorded>, Error>> {
        Box::pin(async move {
            let mut all = Vec::with_capacity(finishes.len());
            let bytes_of = |finish: &Finish| match &finish.outcome {
                Outcome::Done(bytes) | Outcome::Failed { error: bytes, .. } | Outcome::Crashed { error: bytes } => {
                    bytes.len() + AROUND_A_JOB
                }
                _ => AROUND_A_JOB,
            };
            for finishes in pieces(finishes, bytes_of) {
                let tokens = finishes.iter().map(|finish| finish.token).collect();
                match self.0.link.ask(Request::Finish(finishes), Holds::Frees(tokens)).await? {
                    Reply::Recorded(recorded) => all.extend(recorded),
                    other => return Err(unexpected(&other)),
                }
            }
            Ok(all)
        })
    }

    fn ended(&self, job: JobId, wait: Duration) -> BoxFuture<'_, Result<Option<JobEnd>, Error>> {
        Box::pin(async move {
            match self.0.link.ask(Request::Ended { job, wait }, Holds::Nothing).await? {
                Reply::End(end) => Ok(end),
                other => Err(unexpected(&other)),
            }
        })
    }

    fn changed(&self, job: JobId, seen: u64, wait: Duration) -> BoxFuture<'_, Result<JobStatus, Error>> {
        Box::pin(async move {
            match self.0.link.ask(Request::Changed { job, seen, wait }, Holds::Nothing).await? {
                Reply::Status(status) => Ok(*status),
                other => Err(unexpected(&other)),
            }
        })
    }

    fn list(&self, filter: JobFilter) -> BoxFuture<'_, Result<Vec<JobStatus>, Error>> {
        Box::pin(async move {
            match self.0.link.ask(Request::List(filter), Holds::Nothing).await? {
                Reply::Statuses(statuses) => Ok(statuses),
                other => Err(unexpected(&other)),
            }
        })
    }

    fn cancel(&self, job: JobId) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.done(Request::Cancel(job)))
    }

    fn revive(&self, job: JobId) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.done(Request::Revive(job)))
    }

    fn stats(&self, queue: Option<QueueName>) -> BoxFuture<'_, Result<Vec<QueueStats>, Error>> {
        Box::pin(async move {
            match self.0.link.ask(Request::Stats(queue), Holds::Nothing).await? {
                Reply::Stats(stats) => Ok(stats),
                other => Err(unexpected(&other)),
            }
        })
    }

    fn purge(&self, queue: QueueName, waiting: bool) -> BoxFuture<'_, Result<u64, Error>> {
        Box::pin(self.count(Request::Purge { queue, waiting }))
    }

    fn pause(&self, what: Pause, paused: bool) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.done(Request::Pause { what, paused }))
    }

    fn limit(&self, limits: KindLimits) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.done(Request::Limit(limits)))
    }

    fn schedule(&self, name: String, schedule: Option<Schedule>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.done(Request::Schedule { name, schedule }))
    }

    fn schedules(&self) -> BoxFuture<'_, Result<Vec<Schedule>, Error>> {
        Box::pin(async move {
            match self.0.link.ask(Request::Schedules, Holds::Nothing).await? {
                Reply::Schedules(schedules) => Ok(schedules),
                other => Err(unexpected(&other)),
            }
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.0.link.close())
    }

    fn io(&self) -> Option<tokio::runtime::Handle> {
        Some(self.0.io.handle().clone())
    }
}

fn bytes_of(work: &Work) -> usize {
    let bytes = |job: &NewJob| job.payload.len() + AROUND_A_JOB;
    match work {
        Work::Job(job) => bytes(job),
        Work::Flow(flow) => bytes(&flow.gather) + flow.children.iter().map(bytes).sum::<usize>(),
    }
}
