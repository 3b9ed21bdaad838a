//! [`Desk`]: a queue of its own and a runner, for one case.

use std::time::{Duration, Instant};

use super::super::{GIVE_UP, wait};
use super::Harness;
use crate::job::{Claim, Finish, Lease, NewJob, Outcome, Recorded, Submitted, Work};
use crate::{Error, JobEnd, JobId, JobState, JobStatus, Queue, QueueName, RetryPolicy};

/// The kind of all jobs, unless a case says otherwise.
pub(super) const KIND: &str = "conformance";

/// A connection, a queue that nobody else has, and a runner that knows [`KIND`].
pub(super) struct Desk {
    pub(super) queue: Queue,
    pub(super) name: QueueName,
    pub(super) runner: JobId,
}

impl Desk {
    pub(super) fn new(harness: &dyn Harness) -> Desk {
        Desk {
            queue: harness.connect(),
            name: QueueName::new(format!("jobs-{}", JobId::new())).unwrap(),
            runner: JobId::new(),
        }
    }

    /// Another connection with a runner of its own, for the same queue.
    pub(super) fn beside(&self, harness: &dyn Harness) -> Desk {
        Desk { queue: harness.connect(), name: self.name.clone(), runner: JobId::new() }
    }

    /// A job that is tried again almost at once.
    pub(super) fn job(&self, payload: &str) -> NewJob {
        let retry = RetryPolicy::default().backoff(Duration::from_millis(1), Duration::from_millis(2));
        NewJob { retry, ..NewJob::new(self.name.clone(), KIND, payload.as_bytes().to_vec()) }
    }

    pub(super) fn try_submit(&self, work: Work) -> Result<Submitted, Error> {
        wait(self.queue.store().submit(vec![work])).unwrap().remove(0)
    }

    /// Submits it; its id.
    pub(super) fn submit(&self, job: NewJob) -> JobId {
        let id = job.id;
        assert_eq!(self.try_submit(Work::Job(job)), Ok(Submitted::Taken(id)));
        id
    }

    pub(super) fn claim_kinds(&self, kinds: &[&str], most: usize, patience: Duration) -> Vec<Lease> {
        let claim = Claim {
            runner: self.runner,
            name: "conformance".to_owned(),
            queues: vec![self.name.clone()],
            kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
            most,
            wait: patience,
        };
        wait(self.queue.store().claim(claim)).unwrap()
    }

    /// What there is now, at most so many.
    pub(super) fn claim_now(&self, most: usize) -> Vec<Lease> {
        self.claim_kinds(&[KIND], most, Duration::ZERO)
    }

    /// The next one, as soon as there is one.
    pub(super) fn claim(&self) -> Lease {
        let begun = Instant::now();
        loop {
            // A store may answer early with nothing.
            if let Some(lease) = self.claim_kinds(&[KIND], 1, Duration::from_secs(10)).pop() {
                return lease;
            }
            assert!(begun.elapsed() < GIVE_UP, "no job came");
        }
    }

    /// So many, as soon as there are as many; more than that is wrong.
    pub(super) fn claim_all(&self, count: usize) -> Vec<Lease> {
        let begun = Instant::now();
        let mut leases = Vec::new();
        while leases.len() < count {
            leases.extend(self.claim_kinds(&[KIND], count + 10 - leases.len(), Duration::from_secs(2)));
            assert!(begun.elapsed() < GIVE_UP, "{} of {count} jobs came", leases.len());
        }
        assert_eq!(leases.len(), count);
        leases
    }

    pub(super) fn finish(&self, lease: &Lease, outcome: Outcome) -> Recorded {
        wait(self.queue.store().finish(vec![Finish { token: lease.token, outcome }])).unwrap().remove(0)
    }

    /// Finishes it with this result.
    pub(super) fn done(&self, lease: &Lease, result: &str) {
        assert_eq!(self.finish(lease, Outcome::Done(result.into())), Recorded::Yes);
    }

    /// Its end, as soon as it has ended.
    pub(super) fn end(&self, job: JobId) -> JobEnd {
        let begun = Instant::now();
        loop {
            if let Some(end) = wait(self.queue.store().ended(job, Duration::from_secs(10))).unwrap() {
                return end;
            }
            assert!(begun.elapsed() < GIVE_UP, "the job did not end");
        }
    }

    pub(super) fn status(&self, job: JobId) -> JobStatus {
        wait(self.queue.store().changed(job, 0, Duration::ZERO)).unwrap()
    }

    /// Waits until the job is in this state.
    pub(super) fn until(&self, job: JobId, state: JobState) -> JobStatus {
        let begun = Instant::now();
        let mut status = self.status(job);
        while status.state != state {
            assert!(begun.elapsed() < GIVE_UP, "the job is {}, not {state}", status.state);
            status = wait(self.queue.store().changed(job, status.version, Duration::from_secs(1))).unwrap();
        }
        status
    }
}

/// What an attempt says that failed with this error.
pub(super) fn failed(message: &str) -> Outcome {
    Outcome::Failed { error: error(message), hopeless: false }
}

/// A packed error.
pub(super) fn error(message: &str) -> Vec<u8> {
    crate::payload::error(&phalanx_task::TaskError::Failed { message: message.to_owned() })
}

/// Looks again and again until it is so.
pub(super) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < GIVE_UP, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
