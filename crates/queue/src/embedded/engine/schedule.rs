//! What is submitted again and again.

use super::submit::{LONGEST_TEXT, check};
use super::{Engine, Now};
use crate::cron::{next_after, tick_id};
use crate::job::{NewJob, Schedule};
use crate::{Error, UnixMillis};

/// Schedules of one store.
const MOST: usize = 10_000;

impl Engine {
    pub(super) fn schedule(&mut self, name: String, schedule: Option<Schedule>, now: Now) -> Result<(), Error> {
        let Some(mut schedule) = schedule else {
            self.store.remove_schedule(&name)?;
            self.schedules.remove(&name);
            return Ok(());
        };
        let malformed = |reason: String| Error::Malformed { what: "the schedule".to_owned(), reason };
        if name.len() > LONGEST_TEXT {
            return Err(malformed(format!("its name has more than {LONGEST_TEXT} bytes")));
        }
        if self.schedules.len() >= MOST && !self.schedules.contains_key(&name) {
            return Err(malformed(format!("there are {MOST} already")));
        }
        check(&schedule.job)?;
        schedule.next = next_after(&schedule.cron, now.wall)?;
        schedule.name = name;
        self.store.set_schedule(&schedule)?;
        self.schedules.insert(schedule.name.clone(), schedule);
        Ok(())
    }

    /// Submits what is due. After a time in which nobody looked only the latest of the missed ones.
    pub(super) fn submit_scheduled(&mut self, now: Now) -> Result<(), Error> {
        let due: Vec<Schedule> =
            self.schedules.values().filter(|schedule| schedule.next <= now.wall).cloned().collect();
        for schedule in due {
            let Ok((at, next)) = latest(&schedule, now) else {
                // A line that names no moment any more.
                self.schedules.remove(&schedule.name);
                continue;
            };
            let job = NewJob { id: tick_id(&schedule.name, at), not_before: at, ..schedule.job };
            // Full, or its unique key is held: this time it is left out.
            if let Err(error @ Error::Store { .. }) = self.submit_job(job, now) {
                return Err(error);
            }
            self.store.set_next(&schedule.name, next)?;
            if let Some(schedule) = self.schedules.get_mut(&schedule.name) {
                schedule.next = next;
            }
        }
        Ok(())
    }
}

/// The latest moment that is due, and the one after now.
fn latest(schedule: &Schedule, now: Now) -> Result<(UnixMillis, UnixMillis), Error> {
    let mut at = schedule.next;
    // A day of minutes; who was away for longer gets one of the missed, not the very latest.
    for _ in 0..24 * 60 {
        let next = next_after(&schedule.cron, at)?;
        if next > now.wall {
            return Ok((at, next));
        }
        at = next;
    }
    Ok((at, next_after(&schedule.cron, now.wall)?))
}
