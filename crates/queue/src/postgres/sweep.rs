//! What time does: the sweep, and the schedules. Every handle looks; the server sees to it that each thing happens once.

use std::sync::Arc;
use std::time::Duration;

use crate::cron::{next_after, tick_id};
use crate::job::{NewJob, Schedule};
use crate::{Error, UnixMillis};

use super::handle::Handle;
use super::schema::SWEEP_EVERY;
use super::submit::from_now;
use super::values::{Id, column, int, large, millis, moment};

/// Not more often than this, whatever is due.
const SHORTEST_PAUSE: Duration = Duration::from_millis(2);

/// Sweeps until the handle is closed.
pub(super) async fn keep_sweeping(handle: Arc<Handle>) {
    let mut closed = handle.closed.subscribe();
    let mut pause = Duration::ZERO;
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause.max(SHORTEST_PAUSE)) => {}
            () = handle.sweep.notified() => {}
            _ = closed.wait_for(|closed| *closed) => return,
        }
        pause = match sweep(&handle).await {
            Ok(pause) => pause,
            Err(why) => {
                tracing::debug!(%why, "PostgreSQL: cannot sweep");
                SWEEP_EVERY
            }
        };
        if handle.bells.give_back()
            && let Err(why) = handle.tell_bells().await
        {
            tracing::debug!(%why, "PostgreSQL: cannot give bells back");
        }
    }
}

async fn sweep(handle: &Handle) -> Result<Duration, Error> {
    fire_schedules(handle).await?;
    let rows = handle.pool.query("SELECT sweep($1)", &[&handle.may_judge()]).await?;
    let due: i64 = rows.first().map_or(Ok(0), |row| column(row, 0))?;
    Ok(Duration::from_millis(large(due)).min(SWEEP_EVERY))
}

/// Submits what is due: one job each, however many ticks were missed.
async fn fire_schedules(handle: &Handle) -> Result<(), Error> {
    let sql = "SELECT name, cron, next, job, now_ms() FROM schedules WHERE next <= now_ms() LIMIT 100";
    for row in handle.pool.query(sql, &[]).await? {
        let (name, cron): (String, String) = (column(&row, 0)?, column(&row, 1)?);
        let (due, now) = (moment(column(&row, 2)?), moment(column(&row, 4)?));
        // The latest of those that were missed: it is the one after which the next is in the future.
        let mut tick = due;
        let mut next = next_after(&cron, tick)?;
        while next <= now {
            (tick, next) = (next, next_after(&cron, next)?);
        }
        let job = decode(&name, column(&row, 3)?)?;
        fire(handle, &name, due, tick, next, &job).await?;
    }
    Ok(())
}

async fn fire(
    handle: &Handle,
    name: &str,
    due: UnixMillis,
    tick: UnixMillis,
    next: UnixMillis,
    job: &NewJob,
) -> Result<(), Error> {
    let sql = "SELECT fire($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";
    let deadline = job.deadline.map(|deadline| from_now(deadline, (handle.clock)()));
    let params: &super::link::Params<'_> = &[
        &name,
        &millis(due.since(UnixMillis(0))),
        &millis(next.since(UnixMillis(0))),
        &handle.via(),
        &Id(tick_id(name, tick)),
        &job.queue.as_str(),
        &job.kind,
        &job.payload,
        &i16::from(job.priority),
        &deadline,
        &job.run_limit.map(millis),
        &int(job.retry.attempts),
        &int(job.retry.crashes),
        &millis(job.retry.first),
        &millis(job.retry.cap),
        &millis(job.keep),
    ];
    handle.pool.query(sql, params).await?;
    Ok(())
}

/// Sets a schedule, or removes it.
pub(super) async fn schedule(handle: &Handle, name: &str, schedule: Option<Schedule>) -> Result<(), Error> {
    let Some(schedule) = schedule else {
        handle.pool.query("DELETE FROM schedules WHERE name = $1", &[&name]).await?;
        return Ok(());
    };
    // By the server's clock; also the proof that the line can be read.
    let next = next_after(&schedule.cron, handle.server_time().await?)?;
    let next = if schedule.next.0 == 0 { next } else { schedule.next };
    let job = postcard::to_allocvec(&schedule.job).map_err(|error| Error::Malformed {
        what: format!("the job of the schedule \"{name}\""),
        reason: error.to_string(),
    })?;
    let sql = "INSERT INTO schedules VALUES ($1, $2, $3, $4) ON CONFLICT (name) DO UPDATE \
        SET cron = excluded.cron, next = excluded.next, job = excluded.job";
    handle.pool.query(sql, &[&name, &schedule.cron, &millis(next.since(UnixMillis(0))), &job]).await?;
    handle.sweep.notify_one();
    Ok(())
}

/// All of them, by name.
pub(super) async fn schedules(handle: &Handle) -> Result<Vec<Schedule>, Error> {
    let rows = handle.pool.query("SELECT name, cron, next, job FROM schedules ORDER BY name", &[]).await?;
    let read = |row: &tokio_postgres::Row| {
        let name: String = column(row, 0)?;
        let job = decode(&name, column(row, 3)?)?;
        Ok(Schedule { name, cron: column(row, 1)?, job, next: moment(column(row, 2)?) })
    };
    rows.iter().map(read).collect()
}

fn decode(name: &str, job: &[u8]) -> Result<NewJob, Error> {
    postcard::from_bytes(job).map_err(|error| Error::Malformed {
        what: format!("the job of the schedule \"{name}\""),
        reason: error.to_string(),
    })
}
