//! Jobs come in: plain ones in batches, flows and unique ones each on its own.

use std::sync::Arc;

use tokio_postgres::types::ToSql;

use crate::job::{NewFlow, NewJob, OnFailure, Submitted, Work};
use crate::{Error, JobId, UnixMillis};

use super::batch::Batches;
use super::handle::Handle;
use super::link::{Failure, Params};
use super::values::{Id, column, int, large, millis};

/// The largest payload of a job, and the largest result.
pub(super) const MAX_PAYLOAD: usize = 1 << 20;
/// Children of a flow.
const MAX_CHILDREN: usize = 10_000;
/// What a row needs besides its payload, for the size of a statement.
const ROW_BYTES: usize = 200;

/// What the statements for plain jobs answer.
pub(super) type Submits = Batches<NewJob, Result<Submitted, Error>>;

/// Takes these, each as a whole or not at all.
pub(super) async fn submit(
    handle: &Handle,
    plain: &Submits,
    works: Vec<Work>,
) -> Result<Vec<Result<Submitted, Error>>, Error> {
    let mut answers: Vec<Option<Result<Submitted, Error>>> = Vec::new();
    answers.resize_with(works.len(), || None);
    let (mut places, mut jobs) = (Vec::new(), Vec::new());
    for (place, work) in works.into_iter().enumerate() {
        match check(&work) {
            Err(error) => answers[place] = Some(Err(error)),
            Ok(()) => match work {
                Work::Job(job) if job.unique.is_none() => {
                    places.push(place);
                    jobs.push((job.payload.len() + ROW_BYTES, job));
                }
                whole => answers[place] = Some(submit_whole(handle, &whole).await),
            },
        }
    }
    for (place, answer) in places.into_iter().zip(plain.run(jobs).await) {
        answers[place] = Some(answer?);
    }
    Ok(answers.into_iter().flatten().collect())
}

fn check(work: &Work) -> Result<(), Error> {
    let fits = |job: &NewJob| match job.payload.len() {
        bytes if bytes > MAX_PAYLOAD => Err(Error::TooBig { bytes: bytes as u64, limit: MAX_PAYLOAD as u64 }),
        _ => Ok(()),
    };
    match work {
        Work::Job(job) => fits(job),
        Work::Flow(flow) if flow.children.is_empty() || flow.children.len() > MAX_CHILDREN => Err(Error::Malformed {
            what: format!("the flow {}", flow.gather.id),
            reason: format!("it has {} children; 1 to {MAX_CHILDREN} make a flow", flow.children.len()),
        }),
        Work::Flow(flow) => flow.children.iter().chain([&flow.gather]).try_for_each(fits),
    }
}

/// One statement for many plain jobs.
pub(super) async fn submit_plain(
    handle: Arc<Handle>,
    jobs: Vec<NewJob>,
) -> Result<Vec<Result<Submitted, Error>>, Error> {
    let columns = Columns::of(jobs.iter(), (handle.clock)());
    let via = handle.via();
    let params = columns.params(&via);
    let sql = "SELECT * FROM submit($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";
    let refused = handle.pool.query(sql, &params).await?;
    let mut answers: Vec<Result<Submitted, Error>> = jobs.iter().map(|job| Ok(Submitted::Taken(job.id))).collect();
    for row in refused {
        let at = usize::try_from(column::<i32>(&row, 0)?).unwrap_or(0);
        if let Some(answer) = at.checked_sub(1).and_then(|at| answers.get_mut(at)) {
            *answer = Err(full(column(&row, 3)?, large(column(&row, 1)?), large(column(&row, 2)?)));
        }
    }
    if jobs.iter().any(|job| job.not_before.0 > 0 || job.deadline.is_some()) {
        handle.sweep.notify_one();
    }
    Ok(answers)
}

pub(super) fn full(queue: String, waiting: u64, limit: u64) -> Error {
    Error::Full { queue, waiting, limit, retry_after: None }
}

/// One statement for a flow, or for a job with a key.
async fn submit_whole(handle: &Handle, work: &Work) -> Result<Submitted, Error> {
    let head = work.head();
    let (children, fail_fast): (&[NewJob], _) = match work {
        Work::Job(_) => (&[], None),
        Work::Flow(NewFlow { children, on_failure, .. }) => (children, Some(*on_failure == OnFailure::FailFast)),
    };
    let jobs = || std::iter::once(head).chain(children);
    let columns = Columns::of(jobs(), (handle.clock)());
    let keys: Vec<Option<&str>> = jobs().map(|job| job.unique.as_ref().map(|unique| unique.key.as_str())).collect();
    let ttls: Vec<Option<i64>> = jobs().map(|job| job.unique.as_ref().map(|unique| millis(unique.ttl))).collect();
    let via = handle.via();
    let mut params = columns.params(&via);
    params.extend([&keys as &(dyn ToSql + Sync), &ttls, &fail_fast]);
    let params: &Params<'_> = &params;
    let sql = "SELECT submit_whole($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)";
    match handle.pool.query(sql, params).await {
        Ok(_) => {
            handle.sweep.notify_one();
            Ok(Submitted::Taken(head.id))
        }
        Err(Failure::Said(code, holder)) if code == "PX001" => Ok(Submitted::Held(holder.parse::<JobId>()?)),
        Err(Failure::Said(code, said)) if code == "PX002" => {
            let mut parts = said.splitn(3, '/');
            let mut number = || parts.next().and_then(|number| number.parse().ok()).unwrap_or(0);
            let (waiting, limit) = (number(), number());
            Err(full(parts.next().unwrap_or_default().to_owned(), waiting, limit))
        }
        Err(Failure::Said(code, said)) if code == "PX004" => Err(Error::Malformed {
            what: format!("the flow {}", head.id),
            reason: format!("its child {said} is another job already"),
        }),
        Err(failure) => Err(failure.into()),
    }
}

/// The columns of jobs, as arrays. Moments become times from now: the clocks of the machines need not agree.
struct Columns<'a> {
    ids: Vec<Id>,
    queues: Vec<&'a str>,
    kinds: Vec<&'a str>,
    payloads: Vec<&'a [u8]>,
    priorities: Vec<i16>,
    delays: Vec<i64>,
    deadlines: Vec<Option<i64>>,
    run_limits: Vec<Option<i64>>,
    errors: Vec<i32>,
    crashes: Vec<i32>,
    firsts: Vec<i64>,
    caps: Vec<i64>,
    keeps: Vec<i64>,
    awaited: Vec<bool>,
}

impl<'a> Columns<'a> {
    fn of(jobs: impl Iterator<Item = &'a NewJob> + Clone, now: UnixMillis) -> Columns<'a> {
        let all = jobs;
        Columns {
            ids: all.clone().map(|job| Id(job.id)).collect(),
            queues: all.clone().map(|job| job.queue.as_str()).collect(),
            kinds: all.clone().map(|job| job.kind.as_str()).collect(),
            payloads: all.clone().map(|job| job.payload.as_slice()).collect(),
            priorities: all.clone().map(|job| i16::from(job.priority.min(9))).collect(),
            delays: all.clone().map(|job| millis(job.not_before.since(now))).collect(),
            deadlines: all.clone().map(|job| job.deadline.map(|deadline| from_now(deadline, now))).collect(),
            run_limits: all.clone().map(|job| job.run_limit.map(millis)).collect(),
            errors: all.clone().map(|job| int(job.retry.attempts)).collect(),
            crashes: all.clone().map(|job| int(job.retry.crashes)).collect(),
            firsts: all.clone().map(|job| millis(job.retry.first)).collect(),
            caps: all.clone().map(|job| millis(job.retry.cap)).collect(),
            keeps: all.clone().map(|job| millis(job.keep)).collect(),
            awaited: all.map(|job| job.awaited).collect(),
        }
    }

    fn params<'b>(&'b self, via: &'b i16) -> Vec<&'b (dyn ToSql + Sync)> {
        vec![
            via,
            &self.ids,
            &self.queues,
            &self.kinds,
            &self.payloads,
            &self.priorities,
            &self.delays,
            &self.deadlines,
            &self.run_limits,
            &self.errors,
            &self.crashes,
            &self.firsts,
            &self.caps,
            &self.keeps,
            &self.awaited,
        ]
    }
}

/// Negative if it is over.
pub(super) fn from_now(moment: UnixMillis, now: UnixMillis) -> i64 {
    millis(moment.since(now)) - millis(now.since(moment))
}
