//! Pauses, and limits of kinds.

use super::line::{Bucket, Fill};
use super::{Engine, Now};
use crate::Error;
use crate::job::{KindLimits, Pause};

impl Engine {
    pub(super) fn pause(&mut self, what: &Pause, is_paused: bool) -> Result<(), Error> {
        match &what.kind {
            None => {
                let queue = self.queue_for(what.queue.as_str())?;
                self.store_names()?;
                self.store.pause_queue(queue, is_paused)?;
                self.queues[queue as usize].is_paused = is_paused;
            }
            Some(kind) => {
                let line = self.line_for(what.queue.as_str(), Some(kind))?;
                self.store_names()?;
                self.store.pause_line(line, is_paused)?;
                self.line(line).is_paused = is_paused;
            }
        }
        Ok(())
    }

    pub(super) fn limit(&mut self, limits: KindLimits, now: Now) -> Result<(), Error> {
        if limits.rate.is_some_and(|(most, time)| most == 0 || time.is_zero()) || limits.concurrency == Some(0) {
            let reason = "a limit is at least 1, in more than no time; pause the kind to stop it".to_owned();
            return Err(Error::Malformed { what: format!("the limits of \"{}\"", limits.kind), reason });
        }
        let line = self.line_for(limits.queue.as_str(), Some(&limits.kind))?;
        self.store_names()?;
        let limits = (limits.concurrency.is_some() || limits.rate.is_some()).then_some(limits);
        self.store.limit(line, limits.as_ref())?;
        let state = self.line(line);
        state.bucket = limits.as_ref().and_then(|limits| Bucket::new(limits, now.since_start, Fill::Full));
        state.limits = limits;
        Ok(())
    }
}
