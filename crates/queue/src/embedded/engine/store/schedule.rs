//! The table `schedule`, in SQL.

use rusqlite::params;

use super::Store;
use super::item::{number, whole};
use crate::job::{NewJob, Schedule};
use crate::{Error, UnixMillis};

const ALL: &str = "SELECT name, cron, next, job FROM schedule ORDER BY name";
const SET: &str = "INSERT OR REPLACE INTO schedule (name, cron, next, job) VALUES (?1, ?2, ?3, ?4)";
const NEXT: &str = "UPDATE schedule SET next = ?2 WHERE name = ?1";
const REMOVE: &str = "DELETE FROM schedule WHERE name = ?1";

impl Store {
    pub(in crate::embedded::engine) fn schedules(&self) -> Result<Vec<Schedule>, Error> {
        let rows = self.many(ALL, [], |row| {
            let next = UnixMillis(whole(row.get(2)?));
            Ok((row.get(0)?, row.get(1)?, next, row.get::<_, Vec<u8>>(3)?))
        })?;
        let mut schedules = Vec::with_capacity(rows.len());
        for (name, cron, next, job) in rows {
            let Some(job) = self.unpacked::<NewJob>(Some(job), "a schedule")? else { continue };
            schedules.push(Schedule { name, cron, job, next });
        }
        Ok(schedules)
    }

    pub(in crate::embedded::engine) fn set_schedule(&mut self, schedule: &Schedule) -> Result<(), Error> {
        let job = self.packed(&schedule.job)?;
        self.write(SET, params![schedule.name, schedule.cron, number(schedule.next.0), job]).map(drop)
    }

    pub(in crate::embedded::engine) fn set_next(&mut self, name: &str, next: UnixMillis) -> Result<(), Error> {
        self.write(NEXT, params![name, number(next.0)]).map(drop)
    }

    pub(in crate::embedded::engine) fn remove_schedule(&mut self, name: &str) -> Result<(), Error> {
        self.write(REMOVE, [name]).map(drop)
    }
}
