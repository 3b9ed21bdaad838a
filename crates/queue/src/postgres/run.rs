//! Jobs are claimed, renewed and finished.

use std::sync::Arc;
use std::time::Duration;

use phalanx_task::Progress;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::Row;

use crate::job::{ChildEnd, Claim, Finish, Heartbeat, Lease, Outcome, Recorded, Standing};
use crate::{Error, JobId, QueueName, Token, UnixMillis};

use super::batch::Batches;
use super::handle::Handle;
use super::submit::MAX_PAYLOAD;
use super::values::{Ending, Id, column, count, int, large};

/// Details of a heartbeat.
const MAX_DETAILS: usize = 64 * 1024;
/// The net under notifications.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Looks after a bell was hung up: what was submitted in that moment may not have rung it.
const FIRST_LOOKS: [Duration; 3] = [Duration::from_millis(5), Duration::from_millis(25), Duration::from_millis(125)];
/// Jobs in one answer: what they carry has to be in memory at once.
const MOST_CLAIMED: usize = 256;

/// What the statements for finishes answer.
pub(super) type Finishes = Batches<Finish, Recorded>;

/// Jobs to run, as soon as there is one; none when they are no longer wanted.
pub(super) async fn claim(handle: &Handle, claim: &Claim, wanted: impl Fn() -> bool) -> Result<Vec<Lease>, Error> {
    let deadline = Instant::now() + claim.wait;
    handle.introduce(claim.runner, &claim.name, &claim.queues).await?;
    let mut closed = handle.closed.subscribe();
    let mut looks = FIRST_LOOKS.len();
    loop {
        let bells: Vec<_> = claim.queues.iter().map(|queue| handle.bells.at(&format!("r{queue}"))).collect();
        let are_told = bells.iter().all(|(_, told)| *told);
        let mut rings: Vec<_> = bells.iter().map(|(bell, _)| Box::pin(bell.notified())).collect();
        rings.iter_mut().for_each(|ring| {
            ring.as_mut().enable();
        });
        let (leases, hint) = claim_now(handle, claim).await?;
        if !leases.is_empty() || Instant::now() >= deadline || *closed.borrow() || !wanted() {
            return Ok(leases);
        }
        if !are_told {
            handle.tell_bells().await?;
            looks = 0;
        }
        let look = FIRST_LOOKS.get(looks).copied().unwrap_or(LOOK_EVERY);
        looks = looks.saturating_add(1);
        let until = deadline.min(Instant::now() + hint.unwrap_or(look).min(look));
        let rung =
            std::future::poll_fn(|context| match rings.iter_mut().any(|ring| ring.as_mut().poll(context).is_ready()) {
                true => std::task::Poll::Ready(()),
                false => std::task::Poll::Pending,
            });
        tokio::select! {
            _ = timeout_at(until, rung) => {}
            _ = closed.wait_for(|closed| *closed) => {}
        }
    }
}

async fn claim_now(handle: &Handle, claim: &Claim) -> Result<(Vec<Lease>, Option<Duration>), Error> {
    let queues: Vec<&str> = claim.queues.iter().map(QueueName::as_str).collect();
    let most = int(u32::try_from(claim.most.clamp(1, MOST_CLAIMED)).unwrap_or(1));
    let (session, number) = (handle.session(), handle.number());
    let sql = "SELECT * FROM claim($1, $2, $3, $4, $5, $6, $7)";
    let rows = handle
        .pool
        .query_or_again(
            sql,
            &[&session, &Id(claim.runner), &number, &false, &queues, &claim.kinds, &most],
            &[&session, &Id(claim.runner), &number, &true, &queues, &claim.kinds, &most],
        )
        .await?;
    let hint = rows.last().filter(|row| !matches!(row.try_get::<_, Option<Id>>(0), Ok(Some(_))));
    let hint = hint.and_then(|row| row.try_get::<_, i64>(11).ok()).map(|hint| Duration::from_millis(large(hint)));
    leases(handle, &rows).await.map(|leases| (leases, hint))
}

/// What the broker announced: leases for those of them that are to be run now.
#[cfg(any(feature = "amqp", feature = "kafka"))]
pub(super) async fn claim_by_id(handle: &Handle, claim: &Claim, ids: &[JobId]) -> Result<Vec<Lease>, Error> {
    let ids: Vec<Id> = ids.iter().copied().map(Id).collect();
    let queues: Vec<&str> = claim.queues.iter().map(QueueName::as_str).collect();
    let sql = "SELECT * FROM claim_by_id($1, $2, $3, $4, $5, $6)";
    let params: &super::link::Params<'_> =
        &[&handle.session(), &Id(claim.runner), &handle.number(), &ids, &queues, &claim.kinds];
    let rows = handle.pool.query(sql, params).await?;
    leases(handle, &rows).await
}

async fn leases(handle: &Handle, rows: &[Row]) -> Result<Vec<Lease>, Error> {
    let mut leases = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(Id(job)) = column::<Option<Id>>(row, 0)? else { continue };
        let children = match column::<bool>(row, 10)? {
            true => Some(children(handle, job).await?),
            false => None,
        };
        let deadline_in: Option<i64> = column(row, 7)?;
        leases.push(Lease {
            token: Token { job, epoch: 0, attempt: count(column(row, 1)?) },
            queue: QueueName::new(column::<String>(row, 2)?)?,
            kind: column(row, 3)?,
            payload: column(row, 4)?,
            attempt: count(column(row, 5)?),
            crashes: count(column(row, 6)?),
            deadline: deadline_in.map(|time| UnixMillis((handle.clock)().0.saturating_add_signed(time))),
            run_limit: column::<Option<i64>>(row, 8)?.map(|time| Duration::from_millis(large(time))),
            details: column(row, 9)?,
            children,
        });
    }
    Ok(leases)
}

async fn children(handle: &Handle, parent: JobId) -> Result<Vec<ChildEnd>, Error> {
    let rows = handle.pool.query("SELECT * FROM children_of($1)", &[&Id(parent)]).await?;
    rows.iter().map(|row| Ending::read(row, 0).map(Ending::of_child)).collect()
}

/// The runner is alive.
pub(super) async fn renew(handle: &Handle, heartbeats: &[Heartbeat]) -> Result<Vec<Standing>, Error> {
    if heartbeats.is_empty() {
        return Ok(Vec::new());
    }
    if let Some(bytes) =
        heartbeats.iter().filter_map(|beat| Some(beat.details.as_ref()?.len())).find(|bytes| *bytes > MAX_DETAILS)
    {
        return Err(Error::TooBig { bytes: bytes as u64, limit: MAX_DETAILS as u64 });
    }
    let ids: Vec<Id> = heartbeats.iter().map(|beat| Id(beat.token.job)).collect();
    let attempts: Vec<i32> = heartbeats.iter().map(|beat| attempt(beat.token)).collect();
    let of = |what: fn(Progress) -> u64| -> Vec<Option<i64>> {
        heartbeats.iter().map(|beat| beat.progress.map(|progress| what(progress).cast_signed())).collect()
    };
    let (done, total) = (of(|progress| progress.done), of(|progress| progress.total));
    let details: Vec<Option<&[u8]>> = heartbeats.iter().map(|beat| beat.details.as_deref()).collect();
    let rows =
        handle.pool.query("SELECT renew($1, $2, $3, $4, $5)", &[&ids, &attempts, &done, &total, &details]).await?;
    let said: Vec<i16> = rows.first().map_or_else(|| Ok(Vec::new()), |row| column(row, 0))?;
    Ok(said
        .into_iter()
        .map(|standing| match standing {
            0 => Standing::Kept,
            1 => Standing::Cancelled,
            _ => Standing::Lost,
        })
        .collect())
}

/// How attempts went.
pub(super) async fn finish(batches: &Finishes, finishes: Vec<Finish>) -> Result<Vec<Recorded>, Error> {
    let items: Vec<(usize, Finish)> =
        finishes.into_iter().map(|finish| (body(&finish.outcome).map_or(0, <[u8]>::len), finish)).collect();
    if let Some((bytes, _)) = items.iter().find(|(bytes, _)| *bytes > MAX_PAYLOAD) {
        return Err(Error::TooBig { bytes: *bytes as u64, limit: MAX_PAYLOAD as u64 });
    }
    batches.run(items).await.into_iter().collect()
}

/// One statement for many finishes.
pub(super) async fn finish_many(handle: Arc<Handle>, finishes: Vec<Finish>) -> Result<Vec<Recorded>, Error> {
    let ids: Vec<Id> = finishes.iter().map(|finish| Id(finish.token.job)).collect();
    let attempts: Vec<i32> = finishes.iter().map(|finish| attempt(finish.token)).collect();
    let whats: Vec<i16> = finishes.iter().map(|finish| what(&finish.outcome)).collect();
    let bodies: Vec<Option<&[u8]>> = finishes.iter().map(|finish| body(&finish.outcome)).collect();
    let rows = handle.pool.query("SELECT finish($1, $2, $3, $4)", &[&ids, &attempts, &whats, &bodies]).await?;
    if whats.iter().any(|what| matches!(what, 1 | 3)) {
        // Something is to be tried again, perhaps very soon.
        handle.sweep.notify_one();
    }
    let said: Vec<bool> = rows.first().map_or_else(|| Ok(Vec::new()), |row| column(row, 0))?;
    Ok(said.into_iter().map(|recorded| if recorded { Recorded::Yes } else { Recorded::Stale }).collect())
}

/// A token of another store never fits.
fn attempt(token: Token) -> i32 {
    if token.epoch == 0 { int(token.attempt) } else { 0 }
}

fn what(outcome: &Outcome) -> i16 {
    match outcome {
        Outcome::Done(_) => 0,
        Outcome::Failed { hopeless: false, .. } => 1,
        Outcome::Failed { hopeless: true, .. } => 2,
        Outcome::Crashed { .. } => 3,
        Outcome::Returned => 4,
        Outcome::Cancelled => 5,
    }
}

fn body(outcome: &Outcome) -> Option<&[u8]> {
    match outcome {
        Outcome::Done(body) | Outcome::Failed { error: body, .. } | Outcome::Crashed { error: body } => Some(body),
        Outcome::Returned | Outcome::Cancelled => None,
    }
}
