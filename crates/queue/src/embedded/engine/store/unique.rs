//! The table `unique_key`, in SQL.

use rusqlite::params;

use super::Store;
use super::item::number;
use crate::{Error, JobId, UnixMillis};

const HOLDER: &str = "SELECT job FROM unique_key WHERE queue = ?1 AND key = ?2 AND (until IS NULL OR until > ?3)";
const TAKE: &str = "INSERT OR REPLACE INTO unique_key (queue, key, job, until) VALUES (?1, ?2, ?3, ?4)";
const LET_GO: &str = "DELETE FROM unique_key WHERE queue = ?1 AND key = ?2 AND job = ?3 AND until IS NULL";
const SWEEP: &str = "DELETE FROM unique_key WHERE until <= ?1";
const NEXT: &str = "SELECT min(until) FROM unique_key WHERE until IS NOT NULL";

impl Store {
    /// The job that holds a key.
    pub(in crate::embedded::engine) fn key_holder(
        &self,
        queue: u32,
        key: &str,
        now: UnixMillis,
    ) -> Result<Option<JobId>, Error> {
        self.one(HOLDER, params![queue, key, number(now.0)], |row| row.get(0).map(JobId::from_bytes))
    }

    /// Gives a key to a job, until a moment or until the job has ended.
    pub(in crate::embedded::engine) fn take_key(
        &mut self,
        queue: u32,
        key: &str,
        job: &JobId,
        until: Option<UnixMillis>,
    ) -> Result<(), Error> {
        let until = until.map(|until| number(until.0));
        self.write(TAKE, params![queue, key, job.as_bytes(), until]).map(drop)
    }

    /// The job has ended: it holds its key no more, unless for a time.
    pub(in crate::embedded::engine) fn let_key_go(&mut self, queue: u32, key: &str, job: &JobId) -> Result<(), Error> {
        self.write(LET_GO, params![queue, key, job.as_bytes()]).map(drop)
    }

    /// Forgets keys whose time is over; when the next one is.
    pub(in crate::embedded::engine) fn sweep_keys(&mut self, now: UnixMillis) -> Result<Option<u64>, Error> {
        self.write(SWEEP, [number(now.0)])?;
        let next: Option<Option<i64>> = self.one(NEXT, [], |row| row.get(0))?;
        Ok(next.flatten().map(super::item::whole))
    }
}
