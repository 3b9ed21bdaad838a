//! Which request is done where.

use super::sweep::{Purge, Sweep};
use super::{ClientId, Engine, Now};
use crate::Error;
use crate::embedded::words::{Reply, Request};

impl Engine {
    /// The answer, or `None` if it comes later.
    pub(super) fn handle(
        &mut self,
        client: ClientId,
        ask: u64,
        request: Request,
        now: Now,
    ) -> Result<Option<Reply>, Error> {
        let done = |done: Result<(), Error>| done.map(|()| Some(Reply::Done));
        let later = |done: Result<(), Error>| done.map(|()| None);
        match request {
            Request::Submit(works) => self.submit(works, now).map(|taken| Some(Reply::Submitted(taken))),
            Request::Claim(claim) => later(self.claim(client, ask, claim, now)),
            Request::Renew { runner, heartbeats } => {
                self.renew(client, runner, heartbeats, now).map(|standings| Some(Reply::Standings(standings)))
            }
            Request::Revoked { runner, wait } => self.revoked(client, ask, runner, wait, now),
            Request::Finish(finishes) => self.finish(finishes, now).map(|recorded| Some(Reply::Recorded(recorded))),
            Request::Ended { job, wait } => self.ended(client, ask, job, wait, now),
            Request::Changed { job, seen, wait } => self.changed(client, ask, (job, seen), wait, now),
            Request::List(filter) => {
                self.sweeps.push_back(Sweep::list(client, ask, filter));
                Ok(None)
            }
            Request::Cancel(job) => done(self.cancel(&job, now)),
            Request::Revive(job) => done(self.revive(&job, now)),
            Request::Stats(queue) => self.stats(queue.as_ref(), now).map(|stats| Some(Reply::Stats(stats))),
            Request::Purge { queue, waiting } => {
                let Some(queue) = self.queue_names.get(queue.as_str()).copied() else {
                    return Ok(Some(Reply::Count(0)));
                };
                let which = if waiting { Purge::EndedAndWaiting } else { Purge::Ended };
                self.sweeps.push_back(Sweep::purge(client, ask, queue, which));
                Ok(None)
            }
            Request::Pause { what, paused } => done(self.pause(&what, paused)),
            Request::Limit(limits) => done(self.limit(limits, now)),
            Request::Schedule { name, schedule } => done(self.schedule(name, schedule, now)),
            Request::Schedules => Ok(Some(Reply::Schedules(self.schedules.values().cloned().collect()))),

            Request::Declare(options) => done(self.declare(options)),
            Request::Send { queue, messages } => done(self.send(&queue, messages, now)),
            Request::Consume { queue, consumer, prefetch } => {
                let line = self.message_line(queue.as_str())?;
                done(self.consume(client, line, consumer, prefetch))
            }
            Request::StopConsume { consumer } => done(self.end_consume((client, consumer))),
            Request::EndConsume { consumer } => done(self.stop_consuming((client, consumer), now)),
            Request::Settle { token, settlement } => done(self.settle(&token, settlement, now)),
            Request::Peek { queue, most } => self.peek(&queue, most).map(|shown| Some(Reply::Messages(shown))),
            Request::PurgeMessages { queue } => later(self.purge_messages(client, ask, &queue)),
            Request::Delete { queue } => later(self.delete(client, ask, &queue, now)),
        }
    }
}
