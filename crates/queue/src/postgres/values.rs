//! Values on their way to the server and back.

use std::error::Error as StdError;
use std::time::Duration;

use phalanx_task::{Progress, Refusal, TaskError};
use tokio_postgres::Row;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked};

use crate::job::{ChildEnd, JobEnd, JobState, JobStatus};
use crate::{Error, JobId, QueueName, UnixMillis, payload};

use super::NAME;

/// A job's id as PostgreSQL's `uuid`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Id(pub(super) JobId);

impl ToSql for Id {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        out.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    accepts!(UUID);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for Id {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Id, Box<dyn StdError + Sync + Send>> {
        Ok(Id(JobId::from_bytes(raw.try_into()?)))
    }

    accepts!(UUID);
}

/// Uniform in 0…1.
pub(super) fn random_part() -> f64 {
    let mut bytes = [0_u8; 4];
    if getrandom::fill(&mut bytes).is_err() {
        return 0.5;
    }
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}

/// As many milliseconds as fit.
pub(super) fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 4).min(i64::MAX / 4)
}

/// A number of ours in PostgreSQL's four bytes, which have a sign.
pub(super) fn int(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// And back.
pub(super) fn count(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

/// A number that was counted there.
pub(super) fn large(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// The columns that say how a job ended: state, result, error, cause, crashes.
pub(super) struct Ending {
    state: i16,
    result: Option<Vec<u8>>,
    error: Option<Vec<u8>>,
    cause: i16,
    crashes: i32,
}

impl Ending {
    /// From these columns, the first of them at `at`.
    pub(super) fn read(row: &Row, at: usize) -> Result<Ending, Error> {
        Ok(Ending {
            state: column(row, at)?,
            result: column(row, at + 1)?,
            error: column(row, at + 2)?,
            cause: column(row, at + 3)?,
            crashes: column(row, at + 4)?,
        })
    }

    /// For whoever waits.
    pub(super) fn of_job(self) -> JobEnd {
        match self.state {
            4 => JobEnd::Done(self.result.unwrap_or_default()),
            6 => JobEnd::Cancelled,
            _ => JobEnd::Dead(self.error()),
        }
    }

    /// For its parent.
    pub(super) fn of_child(self) -> ChildEnd {
        match self.state {
            4 => ChildEnd::Done(self.result.unwrap_or_default()),
            _ => ChildEnd::Failed(self.error()),
        }
    }

    fn error(self) -> Vec<u8> {
        error_of(self.cause, self.error, self.crashes).unwrap_or_default()
    }
}

/// What the functions of the schema found themselves has a number there, and its words here.
fn error_of(cause: i16, error: Option<Vec<u8>>, crashes: i32) -> Option<Vec<u8>> {
    match cause {
        1 => Some(payload::error(&TaskError::Refused(Refusal::Poison { crashes: count(crashes) }))),
        2 => Some(payload::error(&TaskError::TimedOut(phalanx_task::Phase::Queue))),
        3 => Some(payload::error(&TaskError::Cancelled)),
        _ => error,
    }
}

/// A value of a row, whose type we know because we made the table.
pub(super) fn column<'a, T: FromSql<'a>>(row: &'a Row, at: usize) -> Result<T, Error> {
    row.try_get(at)
        .map_err(|error| Error::Malformed { what: format!("an answer of {NAME}"), reason: error.to_string() })
}

/// A moment.
pub(super) fn moment(millis: i64) -> UnixMillis {
    UnixMillis(large(millis))
}

/// A query of the view `statuses`, for [`status`].
macro_rules! statuses {
    ($rest:literal) => {
        concat!(
            "SELECT id, queue, kind, state, version, priority, attempts, errors, crashes, submitted, due, ended, expires, \
             progress_done, progress_total, error, cause, runner, parent, children, children_ended FROM statuses ",
            $rest
        )
    };
}
pub(super) use statuses;

/// A row of the view `statuses`.
pub(super) fn status(row: &Row) -> Result<JobStatus, Error> {
    let state = state(column(row, 3)?);
    let crashes: i32 = column(row, 8)?;
    let optional = |at| column::<Option<i64>>(row, at);
    let error = error_of(column(row, 16)?, column(row, 15)?, crashes);
    let progress = optional(13)?.zip(optional(14)?);
    let children = column::<Option<i32>>(row, 19)?.zip(column::<Option<i32>>(row, 20)?);
    Ok(JobStatus {
        id: column::<Id>(row, 0)?.0,
        queue: QueueName::new(column::<String>(row, 1)?)?,
        kind: column(row, 2)?,
        state,
        version: large(column(row, 4)?),
        priority: u8::try_from(column::<i16>(row, 5)?).unwrap_or(0),
        attempts: count(column(row, 6)?),
        errors: count(column(row, 7)?),
        crashes: count(crashes),
        submitted: moment(column(row, 9)?),
        not_before: moment(column(row, 10)?),
        ended: optional(11)?.map(moment),
        expires: optional(12)?.map(moment),
        progress: progress.map(|(done, total)| Progress { done: done.cast_unsigned(), total: total.cast_unsigned() }),
        error: error.filter(|_| state != JobState::Cancelled),
        runner: column(row, 17)?,
        parent: column::<Option<Id>>(row, 18)?.map(|id| id.0),
        children: children.map(|(all, ended)| (count(all), count(ended))),
    })
}

fn state(number: i16) -> JobState {
    match number {
        0 => JobState::Scheduled,
        1 => JobState::Ready,
        2 => JobState::Leased,
        3 => JobState::WaitingChildren,
        4 => JobState::Done,
        5 => JobState::Dead,
        _ => JobState::Cancelled,
    }
}

/// As [`state`] has it.
pub(super) fn number(state: JobState) -> i16 {
    match state {
        JobState::Scheduled => 0,
        JobState::Ready => 1,
        JobState::Leased => 2,
        JobState::WaitingChildren => 3,
        JobState::Done => 4,
        JobState::Dead => 5,
        JobState::Cancelled => 6,
    }
}
